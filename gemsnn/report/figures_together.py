"""One compartment beside several, and a network's confidence in what it knows beside what it does not, as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gemsnn.report.chance import wilson
from gemsnn.report.figures_recording import events_picture, framed
from gemsnn.report.reading import Layout
from gemsnn.report.svg import (
    MAIN,
    MAIN_PIXELS,
    MUTED,
    SECOND,
    SECOND_PIXELS,
    Row,
    column,
    legend,
    pixels,
    pool,
    short,
    styled,
    to_svg,
)

Line = tuple[str, Mapping[str, Any], str]
"""A network's name in the picture, its scores, its colour."""


def lines(own: Row, other: Row | None, names: tuple[str, str]) -> list[Line]:
    """The networks that are drawn: the run's own, and another one behind it."""
    return [*([] if other is None else [(names[1], other, SECOND)]), (names[0], own, MAIN)]


def one_beside_several(drawn: Sequence[Line]) -> str:
    """Reliability by one compartment and by all, each with Wilson's intervals, and the NLL by compartments asked.

    Where a run tells nothing of one compartment's reliability, its panel is left out.
    """
    rows = drawn[-1][1]["by_compartments"]
    cells: list[tuple[str, list[tuple[str, Any, float | None, str]]]] = []
    alone = [(name, (of.get("alone") or {}).get("reliability"), of["by_compartments"][0].get("ece"), colour)
             for name, of, colour in drawn]  # fmt: skip
    if any(found for _, found, _, _ in alone):
        cells.append(("answered by 1", alone))
    several = [(name, of.get("reliability"), of.get("ece"), colour) for name, of, colour in drawn]
    cells.append((f"answered by {rows[-1]['compartments']}", several))
    with styled():
        figure = Figure(figsize=(3.7 * (len(cells) + 1), 3.7), layout="constrained")
        panels = figure.subplots(1, len(cells) + 1)
        for axes, (title, networks) in zip(panels, cells, strict=False):
            _reliability(axes, networks)
            axes.set_title(title, loc="left", fontweight="bold", pad=22 if len(drawn) > 1 else None)
        panels[0].set_ylabel("actually right, %")
        _surprise(panels[-1], drawn)
        if len(drawn) > 1:
            for axes in panels:
                legend(axes)
    return to_svg(
        figure, "together", "Confidence against accuracy by one compartment and by several, and surprise"
    )


def _reliability(axes: Axes, networks: Sequence[tuple[str, Any, float | None, str]]) -> None:
    axes.plot([0, 100], [0, 100], "--", color=MUTED, linewidth=1.2)
    for place, (name, found, ece, colour) in enumerate(reversed(networks)):
        filled = [row for row in found or () if row["count"] and row["accuracy"] is not None]
        if not filled:
            continue
        claimed, reached, count = (column(filled, key) for key in ("confidence", "accuracy", "count"))
        limits = 100 * np.array([wilson(row["accuracy"], row["count"]) for row in filled])
        beside = 1.2 * place  # where two networks claim the same
        axes.vlines(100 * claimed - beside, *limits.T, color=colour, linewidth=1.6, alpha=0.7)
        axes.scatter(
            100 * claimed - beside,
            100 * reached,
            s=18 + 120 * count / count.max(),
            color=colour,
            zorder=3,
        )
        axes.plot([], [], "o", color=colour, markersize=5, label=name)
        if ece is not None:
            text = f"calibration error {100 * ece:.1f} %"
            axes.text(99, 3 + 9 * place, text, ha="right", fontsize=10, color=colour)
    axes.set(xlabel="how sure it says it is, %", ylim=(-3, 104), xlim=(-3, 104))


def _surprise(axes: Axes, drawn: Sequence[Line]) -> None:
    ends: dict[int, list[tuple[float, float, str]]] = {0: [], -1: []}
    for name, of, colour in drawn:
        rows = [row for row in of["by_compartments"] if row.get("nll") is not None]
        x, nll = column(rows, "compartments"), column(rows, "nll")
        axes.plot(x, nll, "o-", color=colour, markersize=4, label=name)
        for end, told in ends.items():
            told += [(float(nll[end]), float(x[end]), colour)] if rows else []
    for (
        end,
        told,
    ) in ends.items():  # before the first point; at the last the larger number above, the smaller below
        for place, (value, x, colour) in enumerate(sorted(told, reverse=True)):
            offset, side = ((-6, -4), "right") if end == 0 else ((0, 7 if place == 0 else -16), "center")
            style = {"textcoords": "offset points", "fontsize": 10, "ha": side, "color": colour}
            axes.annotate(f"{value:.2f}", (x, value), xytext=offset, **style)
    axes.set_xlim(left=-0.12 * axes.get_xlim()[1])
    axes.set_ylim(0, 1.15 * max(axes.get_ylim()[1], 1e-9))
    axes.set(xlabel="compartments asked", ylabel="surprise (NLL), nats")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("surprise", loc="left", fontweight="bold", pad=22 if len(drawn) > 1 else None)


DRAWN = 10


def divided(example: Mapping[str, Any], layout: Layout | None, names: Sequence[str] = ()) -> str:
    """One recording and what each compartment makes of it: output spikes ``visible [K, T, V]``, and its vote.

    The first ten are drawn, blue where a vote is right and orange where it is not.
    """
    visible, votes, label = example["visible"][:DRAWN], example["votes"], int(example["label"][0])
    classes, count, bin_us = visible.shape[2], len(visible), example["bin_us"]
    columns, rows = -(-count // 2), min(count, 2)
    end_ms, begin_ms = visible.shape[1] * bin_us / 1000, example["begin"] * bin_us / 1000

    def called(label: int) -> str:
        return short(names[label]) if label < len(names) else str(label)

    with styled(**{"axes.grid": False}):
        figure = Figure(figsize=(11, 1.9 * rows + 0.3), layout="constrained")
        seen = layout is not None and layout.inputs == example["inputs"].shape[1]
        ratios = [1.15 * rows, columns] if seen else [columns]
        boxes = figure.subfigures(1, len(ratios), width_ratios=ratios, squeeze=False)[0]
        if seen:
            assert layout is not None
            axes = boxes[0].subplots()
            counts = example["inputs"].sum(0, dtype=float)
            axes.imshow(events_picture(on_sensor(counts, layout), None), interpolation="none")
            axes.set_title(f"what the sensor saw: class {called(label)}", loc="left")
            framed(axes)
        grid = boxes[-1].subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes in grid.ravel():
            axes.set_axis_off()
        for k, (axes, spikes, vote) in enumerate(zip(grid.ravel(), visible, votes, strict=False)):
            right = vote == label
            axes.set_axis_on()
            image = pixels(pool(spikes.T, classes), MAIN_PIXELS if right else SECOND_PIXELS)
            axes.imshow(image, aspect="auto", interpolation="none", extent=(0.0, end_ms, classes - 0.5, -0.5))
            axes.axhspan(vote - 0.5, vote + 0.5, color=MAIN if right else SECOND, alpha=0.14, linewidth=0)
            if begin_ms:
                axes.axvline(begin_ms, color=MUTED, linestyle="--", linewidth=1)
            axes.set_title(
                f"{k + 1}: votes {called(vote)}", fontsize=10, loc="left", color=MAIN if right else SECOND
            )
            if classes <= 12:
                axes.set_yticks(range(classes), [called(each) for each in range(classes)], fontsize=7)
            axes.tick_params(length=2)
            if k >= (rows - 1) * columns:
                axes.set_xlabel("time, ms", fontsize=9)
        for axes in grid[:, 0]:
            axes.set_ylabel("class", fontsize=9)
    return to_svg(figure, "divided", "A recording, and the output spikes and votes of each compartment")


def on_sensor(counts: NDArray[Any], layout: Layout) -> NDArray[np.float64]:
    """Counts ``[M]`` as a picture ``[height, width, channels]``; see :class:`~gemsnn.report.reading.Layout`."""
    shape = (layout.width, layout.height, layout.channels)
    return counts.astype(float).reshape(shape).transpose(1, 0, 2)


def confidences(found: Mapping[str, Any]) -> str:
    """How many test recordings and how many scribbles were answered how surely: ``known [n]``, ``unknown [m]``."""
    with styled():
        figure = Figure(figsize=(5, 3.8), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, sharey=True)
        edges = np.arange(-5, 106, 10)  # shares of ten votes lie in the middle of a bar
        for axes, name, colour, title in (
            (upper, "known", MAIN, "test recordings"),
            (lower, "unknown", SECOND, "scribbles"),
        ):
            values = 100 * np.asarray(found[name], dtype=float)
            weights = np.full(len(values), 100 / len(values))
            axes.hist(values, edges, weights=weights, color=colour, alpha=0.8, rwidth=0.9)
            middle = float(np.median(values))
            axes.axvline(middle, color=MUTED, linestyle="--", linewidth=1.2)
            axes.set(ylabel="share, %")
            axes.set_title(f"{len(values)} {title}; half of them at {middle:.0f} % or less", loc="left")
        lower.set(xlabel="how sure the network says it is, %", xlim=(-2, 107))
        figure.align_ylabels()
    return to_svg(figure, "confidences", "Confidence in test recordings beside confidence in scribbles")


def pictures(found: Mapping[str, Any], layout: Layout, names: Sequence[str] = ()) -> str:
    """Some scribbles ``pictures [p, M]`` as the sensor saw them, the one it is surest of first, with its answers."""
    count = len(found["pictures"])
    columns = min(count, 3)
    with styled(**{"axes.grid": False}):
        figure = Figure(figsize=(5, 1.9 * -(-count // columns)), layout="constrained")
        grid = figure.subplots(-(-count // columns), columns, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, counts, answer, sure in zip(
            grid, found["pictures"], found["answers"], found["confidence"], strict=False
        ):
            axes.imshow(events_picture(on_sensor(counts, layout), None), interpolation="none")
            name = short(names[int(answer)]) if 0 <= answer < len(names) else str(answer)
            told = "no answer" if answer < 0 else f"“{name}”, {100 * sure:.0f} % sure"
            axes.set_title(told, fontsize=10)
            framed(axes)
    return to_svg(figure, "scribbles", "Scribbles as the sensor saw them, with the network’s answers")
