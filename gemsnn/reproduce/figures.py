"""The figures of the sweep over compartments, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from gemsnn.reproduce.claims import QUICK
from gemsnn.reproduce.k_sweep import diagonal
from gemsnn.types import AnyPath

TICKS = (1, 2, 5, 10, 20, 50, 100)


def draw(results: dict[str, Any], folder: AnyPath) -> list[Path]:
    """Write ``log-likelihood.png``, ``accuracy.png`` and ``calibration.png``, and return their paths.

    Bars and bands are one standard error over seeds on either side; with one seed there are none. The figures of
    a quick sweep say that they show nothing.
    """
    folder = Path(folder)
    written = []
    for name, panel in (
        ("log-likelihood", _log_likelihood),
        ("accuracy", _accuracy),
        ("calibration", _calibration),
    ):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        panel(results, left, right)
        if results.get("quick"):
            figure.suptitle(QUICK, color="C3")
        for axes in (left, right):
            axes.grid(color="0.92")
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=150)
        written.append(path)
    return written


def _trained(results: dict[str, Any]) -> list[int]:
    return sorted({row["compartments"] for row in results["rows"]})


def _colour(results: dict[str, Any], k: int) -> Any:
    values = _trained(results)
    return colormaps["viridis"](0.9 * values.index(k) / max(1, len(values) - 1))


def _log_likelihood(results: dict[str, Any], left: Axes, right: Axes) -> None:
    for k in _trained(results):
        course = _smooth(results["course"][k if k in results["course"] else str(k)])
        at, bound = zip(*course, strict=True)
        # A line through one point is nothing to see.
        marker = "o" if len(at) <= 20 else ""
        left.plot(at, bound, marker=marker, markersize=4, color=_colour(results, k), label=f"K = {k}")
    left.set(
        xlabel="presentations learned", ylabel="nats", title="K-sample bound of what comes next, in training"
    )
    low = [min(b for _, b in _smooth(course)[len(course) // 10 :]) for course in results["course"].values()]
    high = [max(b for _, b in _smooth(course)) for course in results["course"].values()]
    room = 0.05 * (max(high) - min(low)) or 1.0
    left.set_ylim(min(low) - room, max(high) + room)
    _against_votes(results, right, "log_likelihood", "nats", "log-likelihood of the test part")


def _smooth(course: Sequence[dict[str, float]]) -> list[tuple[float, float]]:
    """The bound, a running mean of nine records (of fewer in a course of less than 90), against presentations."""
    width = max(1, min(9, len(course) // 10))
    return [
        (course[i + width - 1]["presentations"], sum(row["bound"] for row in course[i : i + width]) / width)
        for i in range(len(course) - width + 1)
    ]


def _accuracy(results: dict[str, Any], left: Axes, right: Axes) -> None:
    _against_votes(results, left, "accuracy", "share of right answers", "accuracy on the test part")
    rows = diagonal(results["rows"])
    at = [row["compartments"] for row in rows]
    right.errorbar(
        at,
        [row["accuracy"]["mean"] for row in rows],
        [row["accuracy"]["error"] or 0 for row in rows],
        marker="o",
        capsize=3,
        color="C0",
    )
    right.set(ylabel="share of right answers", title="accuracy with K compartments throughout")
    _logarithmic(right, at, "K = K_I")


def _calibration(results: dict[str, Any], left: Axes, right: Axes) -> None:
    _against_votes(results, left, "ece", "ECE", "calibration error on the test part")
    right.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="calibrated")
    for k in _trained(results):
        cells = results["reliability"][k if k in results["reliability"] else str(k)]
        seen = [cell for cell in cells if cell["count"]]
        if len(seen) > 1:
            right.plot(
                [cell["confidence"] for cell in seen],
                [cell["accuracy"] for cell in seen],
                marker="o",
                markersize=3,
                color=_colour(results, k),
                label=f"K = K_I = {k}",
            )
        else:  # one vote is always certain
            right.plot(
                seen[0]["confidence"],
                seen[0]["accuracy"],
                "s",
                color=_colour(results, k),
                label=f"K = K_I = {k}",
            )
    right.set(
        xlabel="confidence",
        ylabel="share of right answers",
        title="reliability",
        xlim=(0, 1.02),
        ylim=(0, 1.02),
    )
    right.legend(frameon=False, fontsize=8)


def _against_votes(results: dict[str, Any], axes: Axes, name: str, label: str, title: str) -> None:
    for k in _trained(results):
        rows = [row for row in results["rows"] if row["compartments"] == k]
        at = [row["votes"] for row in rows]
        means = [row[name]["mean"] for row in rows]
        errors = [row[name]["error"] or 0 for row in rows]
        axes.plot(at, means, color=_colour(results, k), label=f"K = {k}")
        low, high = zip(*((m - e, m + e) for m, e in zip(means, errors, strict=True)), strict=True)
        axes.fill_between(at, low, high, color=_colour(results, k), alpha=0.2, linewidth=0)
    axes.set(ylabel=label, title=title)
    votes = [row["votes"] for row in results["rows"]]
    _logarithmic(axes, votes, "compartments in inference, K_I")
    axes.legend(frameon=False, fontsize=8)


def _logarithmic(axes: Axes, at: Sequence[int], label: str) -> None:
    ticks = [tick for tick in TICKS if min(at) <= tick <= max(at)]
    axes.set(xscale="log", xlabel=label)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(tick) for tick in ticks])
