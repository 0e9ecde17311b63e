"""One compartment beside several, and a network's confidence in what it knows beside what it does not, as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gemsnn import plots
from gemsnn.plots.given import on_sensor
from gemsnn.plots.sensor import events_on
from gemsnn.plots.strokes import called
from gemsnn.report.reading import Layout
from gemsnn.report.svg import MAIN, MUTED, SECOND, Row, page, panel, small, to_svg

Line = tuple[str, Mapping[str, Any], str]
"""A network's name in the picture, its scores, its colour."""


def lines(own: Row, other: Row | None, names: tuple[str, str]) -> list[Line]:
    """The networks that are drawn: the run's own, and another one behind it."""
    return [*([] if other is None else [(names[1], other, SECOND)]), (names[0], own, MAIN)]


def one_beside_several(drawn: Sequence[Line]) -> list[str]:
    """Reliability answered by one compartment and by all, each with Wilson's intervals.

    Where a run tells nothing of one compartment's reliability, its picture is left out.
    """
    several = drawn[-1][1]["by_compartments"][-1]["compartments"]
    found = []
    for key, count in (("alone", 1), ("together", several)):
        cells = [
            (
                name,
                of.get("reliability") if key == "together" else (of.get("alone") or {}).get("reliability"),
                c,
            )
            for name, of, c in drawn
        ]
        known = [
            (name, rows, colour) for name, rows, colour in cells if any(row["count"] for row in rows or ())
        ]
        if not known:
            continue
        with page():
            figure, axes = panel(3.9, 3.7)
            for place, (name, rows, colour) in enumerate(reversed(known)):
                label = name if len(drawn) > 1 else None
                plots.reliability(rows, label=label, colour=colour, beside=-1.2 * place, ax=axes)
            axes.set_title(f"answered by {count}", fontweight="bold", pad=22 if len(drawn) > 1 else None)
        alt = f"How often {count} {'is' if count == 1 else 'are'} right against how sure they say they are"
        found.append(to_svg(figure, key, alt))
    return found


def surprise(drawn: Sequence[Line]) -> str:
    """The NLL by compartments asked, of each network, with its first and last number."""
    with page():
        figure, axes = panel()
        for name, of, colour in drawn:
            rows = [row for row in of["by_compartments"] if row.get("nll") is not None]
            if rows:
                label = name if len(drawn) > 1 else None
                plots.against_compartments(rows, "nll", label=label, colour=colour, ax=axes)
        _ends(axes)
    return to_svg(figure, "surprise", "Surprise at the true class against compartments asked")


def _ends(axes: Axes) -> None:
    """Numbers before the first points of lines, and at the last: the larger above, the smaller below."""
    for end, ha, above, below in ((0, "right", (-6, 3), (-6, -6)), (-1, "center", (0, 10), (0, -11))):
        points: list[Any] = [(*np.array(line.get_xydata())[end], line.get_color()) for line in axes.lines]
        points.sort(key=lambda point: -point[1])
        for place, (x, y, colour) in enumerate(points):
            style = {"textcoords": "offset points", "fontsize": 10, "ha": ha, "va": "center", "color": colour}
            axes.annotate(f"{y:.2f}", (x, y), xytext=below if place else above, **style)
    axes.set_xlim(left=-0.12 * axes.get_xlim()[1])


DRAWN = 10


def divided(example: Mapping[str, Any], layout: Layout | None, names: Sequence[str] = ()) -> list[str]:
    """One recording, and what each compartment makes of it: output spikes ``visible [K, T, V]``, and its vote.

    The first ten are drawn, blue where a vote is right and orange where it is not, a picture each.
    """
    visible, votes, label = example["visible"][:DRAWN], example["votes"], int(example["label"][0])
    found = []
    if layout is not None and layout.inputs == example["inputs"].shape[1]:
        with page(axes_grid=False):
            figure, axes = panel(2.2, 2.2)
            plots.events(example["inputs"], layout, ax=axes)
            axes.set_title(f"the events: class {called(label, names)}", fontsize=10)
        found.append(to_svg(figure, "divided-events", "The events of the recording"))
    for k, (spikes, vote) in enumerate(zip(visible, votes, strict=False)):
        with page(axes_grid=False):
            figure, axes = panel(2.2, 2.2)
            colour = MAIN if vote == label else SECOND
            plots.raster(spikes, bin_us=example["bin_us"], names=names, colour=colour, ax=axes)
            axes.axhspan(vote - 0.5, vote + 0.5, color=colour, alpha=0.14, linewidth=0)
            if example["begin"]:
                begin_ms = example["begin"] * example["bin_us"] / 1000
                axes.axvline(begin_ms, color=MUTED, linestyle="--", linewidth=1)
            axes.set(ylabel="", title="")
            axes.set_title(f"{k + 1}: votes {called(vote, names)}", fontsize=10, color=colour)
            axes.tick_params(length=2, labelsize=8)
        found.append(to_svg(figure, f"divided-{k}", f"Output spikes and vote of compartment {k + 1}"))
    return found


def confidences(found: Mapping[str, Any]) -> str:
    """How many test recordings and how many scribbles were answered how surely: ``known [n]``, ``unknown [m]``."""
    with page():
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
            axes.set_title(f"{len(values)} {title}; half of them at {middle:.0f} % or less")
        lower.set(xlabel="confidence, %", xlim=(-2, 107))
        figure.align_ylabels()
    return to_svg(figure, "confidences", "Confidence in test recordings beside confidence in scribbles")


def pictures(found: Mapping[str, Any], layout: Layout, names: Sequence[str] = ()) -> list[str]:
    """Some scribbles ``pictures [p, M]`` as the sensor saw them, the one it is surest of first, with its answers."""
    made = []
    for n, (counts, answer, sure) in enumerate(
        zip(found["pictures"], found["answers"], found["confidence"], strict=True)
    ):
        told = "no answer" if answer < 0 else f"“{called(int(answer), names)}”, {100 * sure:.0f} % sure"
        with page(axes_grid=False):
            figure, axes = small(layout.height / layout.width)
            events_on(axes, on_sensor(counts, layout), None, told)
        made.append(to_svg(figure, f"scribble-{n}", f"A scribble: {told}"))
    return made
