"""The figures of the sweep over compartments, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gemsnn.plots.looks import look, save, style
from gemsnn.plots.strokes import band, logarithmic, marker
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
        with style(axes_grid=True):
            figure = Figure(figsize=(6.8, 2.7), layout="constrained")
            left, right = figure.subplots(1, 2)
            panel(results, left, right)
            if results.get("quick"):
                figure.suptitle(QUICK, color=look().second)
            written.append(save(figure, folder / f"{name}.png"))
    return written


def _trained(results: dict[str, Any]) -> list[int]:
    return sorted({row["compartments"] for row in results["rows"]})


def _colour(results: dict[str, Any], k: int) -> Any:
    """Numbers have an order, and so have their colours."""
    values = _trained(results)
    return colormaps["viridis"](0.9 * values.index(k) / max(1, len(values) - 1))


def _log_likelihood(results: dict[str, Any], left: Axes, right: Axes) -> None:
    for k in _trained(results):
        course = _smooth(results["course"][k if k in results["course"] else str(k)])
        at, bound = zip(*course, strict=True)
        # A line through one point is nothing to see.
        left.plot(at, bound, color=_colour(results, k), label=f"K = {k}", **marker(len(at)))
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
    means = [row["accuracy"]["mean"] for row in rows]
    errors = [row["accuracy"]["error"] or 0 for row in rows]
    right.errorbar(at, means, errors, capsize=3, color=look().main, **marker(len(at)))
    right.set(ylabel="share of right answers", title="accuracy with K compartments throughout")
    _logarithmic(right, at, "K = K_I")


def _calibration(results: dict[str, Any], left: Axes, right: Axes) -> None:
    _against_votes(results, left, "ece", "ECE", "calibration error on the test part")
    right.plot([0, 1], [0, 1], color=look().muted, linestyle="--", linewidth=1, label="calibrated")
    for k in _trained(results):
        cells = results["reliability"][k if k in results["reliability"] else str(k)]
        seen = [cell for cell in cells if cell["count"]]
        right.plot(
            [cell["confidence"] for cell in seen],
            [cell["accuracy"] for cell in seen],
            color=_colour(results, k),
            label=f"K = K_I = {k}",
            # one vote is always certain
            **(marker(len(seen)) if len(seen) > 1 else {"marker": "s", "markersize": 4, "linestyle": ""}),
        )
    right.set(
        xlabel="confidence",
        ylabel="share of right answers",
        title="reliability",
        xlim=(0, 1.02),
        ylim=(0, 1.02),
    )
    right.legend()


def _against_votes(results: dict[str, Any], axes: Axes, name: str, label: str, title: str) -> None:
    for k in _trained(results):
        rows = [row for row in results["rows"] if row["compartments"] == k]
        at = np.array([row["votes"] for row in rows], float)
        means = np.array([row[name]["mean"] for row in rows], float)
        errors = np.array([row[name]["error"] or 0 for row in rows], float)
        axes.plot(at, means, color=_colour(results, k), label=f"K = {k}")
        band(axes, at, means - errors, means + errors, _colour(results, k))
    axes.set(ylabel=label, title=title)
    votes = [row["votes"] for row in results["rows"]]
    _logarithmic(axes, votes, "compartments in inference, K_I")
    axes.legend()


def _logarithmic(axes: Axes, at: Sequence[int], label: str) -> None:
    axes.set(xlabel=label)
    logarithmic(axes, [tick for tick in TICKS if min(at) <= tick <= max(at)])
