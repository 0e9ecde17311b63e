"""Time against K, T, H and M, as the task ``growth`` measures it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from gemsnn.plots.looks import look, save, style
from gemsnn.plots.strokes import logarithmic, marker
from gemsnn.types import AnyPath

FACTORS = {
    "K": "compartments K",
    "T": "steps of a presentation T",
    "H": "hidden neurons H",
    "M": "inputs M",
}


def draw(rows: Sequence[dict[str, Any]], folder: AnyPath) -> list[Path]:
    """Write a figure for each factor that was measured at more than one value, and return the files.

    Dots are measurements; a dotted line is proportional to the factor, from the fastest kernel's first dot.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for factor, label in FACTORS.items():
        tasks = {row["task"] for row in rows}
        task = "paper" if factor == "K" and "paper" in tasks else f"growth-{factor}"
        chosen = [row for row in rows if row["task"] == task]
        if len({row[factor] for row in chosen}) > 1:
            with style():
                figure = _panel(chosen, factor, label)
                written.append(save(figure, folder / f"time-against-{factor}.png"))
    return written


def _panel(rows: Sequence[dict[str, Any]], factor: str, label: str) -> Figure:
    figure = Figure(figsize=(3.4, 2.4), layout="constrained")
    axes = figure.add_subplot()
    values = sorted({row[factor] for row in rows})
    fastest: list[float] | None = None
    for kernel in dict.fromkeys(row["kernel"] for row in rows):
        mine = sorted((row for row in rows if row["kernel"] == kernel), key=lambda row: row[factor])
        at = [row[factor] for row in mine]
        milliseconds = [1e3 * row["seconds_per_presentation"] for row in mine]
        name = f"{kernel} (extrapolated)" if any(row.get("note") for row in mine) else kernel
        axes.plot(at, milliseconds, label=name, **marker(len(at)))
        if at == values and (fastest is None or milliseconds[0] < fastest[0]):
            fastest = milliseconds
    if fastest is not None:
        proportional = [fastest[0] * value / values[0] for value in values]
        axes.plot(values, proportional, color=look().muted, linestyle=":", label=f"proportional to {factor}")
    logarithmic(axes, values)
    axes.set(yscale="log", xlabel=label, ylabel="ms a presentation")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y")
    axes.legend()
    return figure
