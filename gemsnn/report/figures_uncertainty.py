"""What a run's answers are worth, as figures. Bars and bands are two standard errors on either side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from gemsnn.report.chance import BEYOND, ENOUGH, half_width, wilson
from gemsnn.report.svg import (
    BASELINE,
    FAINT,
    INK,
    MAIN,
    MAIN_PIXELS,
    MUTED,
    SECOND,
    Row,
    band,
    column,
    from_zero,
    legend,
    panel,
    reference,
    share_axis,
    short,
    styled,
    to_svg,
)


def reliability_diagram(rows: Sequence[Row], tempered: Sequence[Row] | None = None) -> str:
    """Accuracy against confidence with the diagonal of perfect calibration, above the count in each cell.

    ``tempered`` cells, those at a temperature, are dots without bars.
    """
    with styled():
        figure = Figure(figsize=(5, 4.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        filled = [row for row in rows if row["count"]]
        claimed, reached = 100 * column(filled, "confidence"), 100 * column(filled, "accuracy")
        count = column(filled, "count")
        upper.plot([0, 100], [0, 100], "--", color=MUTED, linewidth=1.2)
        upper.text(7, 11, "perfect calibration", rotation=38, rotation_mode="anchor", fontsize=9, color=MUTED)
        known = [row for row in filled if row["accuracy"] is not None]
        limits = 100 * np.array([wilson(row["accuracy"], row["count"]) for row in known]).reshape(-1, 2)
        upper.vlines(100 * column(known, "confidence"), *limits.T, color=MAIN, linewidth=1.6, alpha=0.7)
        upper.scatter(claimed, reached, s=18 + 120 * count / count.max(), color=MAIN, zorder=3)
        if warm := [row for row in tempered or () if row["count"]]:
            claimed, reached = 100 * column(warm, "confidence"), 100 * column(warm, "accuracy")
            upper.plot(claimed, reached, "o", color=SECOND, markersize=4, label="at temperature")
            legend(upper)
        upper.set(ylabel="actually right, %", ylim=(-4, 104), xlim=(-2, 105))
        # A cell without width holds certainty alone; it gets a bar of its own beyond 100 %.
        width = 100 * min(
            (row["high"] - row["low"] for row in rows if row["high"] > row["low"]), default=0.04
        )
        left = [100 * row["low"] for row in filled]
        wide = [width if row["high"] > row["low"] else 0.6 * width for row in filled]
        lower.bar(left, count, wide, align="edge", color=MAIN, edgecolor="none", alpha=0.8)
        lower.set(xlabel="how sure the network says it is, %", ylabel="recordings")
        figure.align_ylabels()
    return to_svg(figure, "reliability", "How often the network is right against how sure it says it is")


def by_compartments(
    rows: Sequence[Row], baseline: Row | None, recordings: int | None, chance: float | None
) -> str:
    """Accuracy and calibration error against the number of compartments asked."""
    with styled():
        figure = Figure(figsize=(5, 4.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        x, share, ece = (column(rows, name) for name in ("compartments", "accuracy", "ece"))
        style = {"color": MAIN, "markersize": 4}
        top = ece
        if recordings:
            band(upper, x, share, recordings, MAIN)
            error = BEYOND * np.array(
                [half_width(p, recordings) if np.isfinite(p) else np.nan for p in share]
            )
            lower.fill_between(
                x, 100 * np.maximum(ece - error, 0), 100 * (ece + error), color=MAIN, alpha=0.18, lw=0
            )
            top = ece + error
        upper.plot(x, 100 * share, "o-", label="network", **style)
        lower.plot(x, 100 * ece, "o-", **style)
        if baseline:
            reference(upper, baseline.get("accuracy"), BASELINE, "baseline")
            reference(lower, baseline.get("ece"), BASELINE)
            legend(upper)
        share_axis(upper, chance)
        lower.set(xlabel="compartments asked", ylabel="calibration\nerror, %")
        from_zero(lower, 100 * np.concatenate([top, column([baseline or {}], "ece")]))
        lower.xaxis.get_major_locator().set_params(integer=True)
        figure.align_ylabels()
    return to_svg(figure, "by-compartments", "Accuracy and calibration error against compartments asked")


UNDER_TIME = (("ece", "calibration\nerror, %", 100), ("nll", "NLL,\nnats", 1))
"""What is drawn below the accuracy in the course of time: its key, label and factor."""


def by_time(
    rows: Sequence[Row],
    chance: float | None,
    baseline: Row | None,
    recordings: int | None = None,
    warm_up_ms: float = 0.0,
) -> str:
    """Accuracy against the time since the recording began; the warm-up, in which no answer counts, is shaded.

    Below it the calibration error and the negative log-likelihood, where they are known.
    """
    with styled():
        known = {name for name, *_ in UNDER_TIME if any(row.get(name) is not None for row in rows)}
        below = [each for each in UNDER_TIME if each[0] in known]
        figure = Figure(figsize=(5, 3.2 + 1.1 * len(below)), layout="constrained")
        heights = [3] + [1] * len(below)
        panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        axes = panels[0]
        x, share = column(rows, "ms"), column(rows, "accuracy")
        for each in panels if warm_up_ms else ():
            each.axvspan(0, warm_up_ms, color=FAINT, alpha=0.6, linewidth=0, zorder=0)
        if warm_up_ms:
            axes.text(0.5 * warm_up_ms, 50, "warm-up", ha="center", fontsize=10, color=MUTED)
        if recordings:
            after = x > warm_up_ms  # before it there is no answer that could be in error
            band(axes, x[after], share[after], recordings, MAIN)
        axes.plot(x, 100 * share, color=MAIN, label="network")
        if baseline:
            reference(axes, baseline.get("accuracy"), BASELINE, "baseline, at the end")
        reference(axes, chance, MUTED, "guessing")
        axes.set(ylabel="accuracy, %", ylim=(0, 102))
        axes.set_xlim(left=0)
        for (name, label, factor), lower in zip(below, panels[1:], strict=True):
            values = factor * column(rows, name)
            lower.plot(x, values, color=MAIN)
            lower.set(ylabel=label)
            from_zero(lower, values)
        panels[-1].set(xlabel="time since the recording began, ms")
        figure.align_ylabels()
        legend(axes)
    return to_svg(figure, "by-time", "Accuracy, calibration error and NLL against elapsed time")


def selective_curve(
    rows: Sequence[Row],
    tempered: Sequence[Row] | None = None,
    recordings: int | None = None,
    chance: float | None = None,
) -> str:
    """Accuracy on the recordings answered, against the share answered; also for ``tempered`` confidences.

    Shares of less than :data:`~gemsnn.report.chance.ENOUGH` recordings are left out where there are more.
    """

    def enough(curve: Sequence[Row]) -> Sequence[Row]:
        return [row for row in curve if row["coverage"] * (recordings or 0) >= ENOUGH] or curve

    with styled():
        figure, axes = panel()
        rows = enough(rows)
        x, share = 100 * column(rows, "coverage"), column(rows, "accuracy")
        few = {"marker": "o", "markersize": 4} if len(rows) <= 40 else {}
        if recordings:
            band(axes, x, share, column(rows, "coverage") * recordings, MAIN)
        axes.plot(x, 100 * share, color=MAIN, label="network", **few)
        last = share[-1] if len(share) else np.nan
        if tempered:
            warm = enough(tempered)
            axes.plot(
                100 * column(warm, "coverage"),
                100 * column(warm, "accuracy"),
                color=SECOND, linewidth=1.2, label="at temperature",
            )  # fmt: skip
            last = tempered[-1]["accuracy"]
        reference(axes, last, MUTED, "all answered")
        axes.set(xlabel="recordings answered (the surest), %", xlim=(0, 103))
        share_axis(axes, chance)
        axes.set_ylabel("accuracy on those, %")
        legend(axes)
    return to_svg(figure, "selective", "Accuracy on the recordings answered against the share answered")


MOST_NAMES = 40


def confusion(matrix: Sequence[Sequence[float]], names: Sequence[str] = ()) -> str:
    """Rows: the true class; columns: the answer. The shade is the share of the row. Few classes are shown by name."""
    with styled(**{"axes.grid": False}):
        counts = np.asarray(matrix, dtype=float)
        classes = len(counts)
        figure = Figure(figsize=(5, 4.6), layout="constrained")
        axes = figure.subplots()
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1e-9)
        pixels = np.empty((classes, classes, 4))
        pixels[..., :3] = to_rgb(MAIN_PIXELS)
        pixels[..., 3] = 0.04 + 0.96 * share
        axes.imshow(pixels, interpolation="none")
        if classes <= 12:
            for row, column_ in np.argwhere(counts >= 0.05):
                number = float(counts[row, column_])
                text = f"{number:.1f}".removesuffix(".0")
                colour = "white" if share[row, column_] > 0.8 else INK
                axes.text(column_, row, text, ha="center", va="center", fontsize=9, color=colour)
            axes.set_xticks(range(classes))
            axes.set_yticks(range(classes))
        if len(names) == classes <= MOST_NAMES:
            told, size = [short(name) for name in names], 10 if classes <= 12 else 6
            turned = 90 if max(map(len, told)) > 2 else 0
            axes.set_xticks(range(classes), told, rotation=turned, fontsize=size)
            axes.set_yticks(range(classes), told, fontsize=size)
        axes.set(xlabel="answer", ylabel="true class")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return to_svg(figure, "confusion", "Confusion matrix: true class against answer")
