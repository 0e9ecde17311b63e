"""Time against K, T, H and M, as the task ``growth`` measures it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from gemsnn.errors import InputError

FACTORS = {
    "K": "compartments K",
    "T": "steps of a presentation T",
    "H": "hidden neurons H",
    "M": "inputs M",
}


def check(task: str) -> None:
    """Raise :class:`InputError` where a task has nothing to draw."""
    if task not in ("paper", "growth", "all"):
        raise InputError(f"--figures belongs to the tasks growth, paper and all, not to {task}")


def draw(rows: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Write a figure for each factor that was measured at more than one value, and return the files.

    Dots are measurements; a dotted line is proportional to the factor, from the fastest kernel's first dot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for factor, label in FACTORS.items():
        tasks = {row["task"] for row in rows}
        task = "paper" if factor == "K" and "paper" in tasks else f"growth-{factor}"
        chosen = [row for row in rows if row["task"] == task]
        if len({row[factor] for row in chosen}) > 1:
            path = folder / f"time-against-{factor}.png"
            _panel(chosen, factor, label).savefig(path, dpi=150)
            written.append(path)
    return written


def _panel(rows: Sequence[dict[str, Any]], factor: str, label: str) -> Figure:
    figure = Figure(figsize=(5.4, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    values = sorted({row[factor] for row in rows})
    fastest: list[float] | None = None
    for kernel in dict.fromkeys(row["kernel"] for row in rows):
        mine = sorted((row for row in rows if row["kernel"] == kernel), key=lambda row: row[factor])
        at = [row[factor] for row in mine]
        milliseconds = [1e3 * row["seconds_per_presentation"] for row in mine]
        name = f"{kernel} (extrapolated)" if any(row.get("note") for row in mine) else kernel
        axes.plot(at, milliseconds, marker="o", markersize=4, label=name)
        if at == values and (fastest is None or milliseconds[0] < fastest[0]):
            fastest = milliseconds
    if fastest is not None:
        proportional = [fastest[0] * value / values[0] for value in values]
        axes.plot(values, proportional, color="0.6", linestyle=":", label=f"proportional to {factor}")
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="ms a presentation")
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(value) for value in values])
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure
