"""One recording and what the compartments made of it, as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gemsnn import plots
from gemsnn.plots.looks import SERIES
from gemsnn.plots.sensor import events_on
from gemsnn.plots.strokes import framed
from gemsnn.report.reading import Layout
from gemsnn.report.svg import MAIN, MUTED, SECOND, page, small, to_svg

FRAMES = 8


def shown(compartments: int) -> int:
    """How many compartments a raster draws."""
    return min(compartments, len(SERIES))


def frames(inputs: NDArray[np.uint8], layout: Layout, bin_us: int, name: str) -> list[str]:
    """The events ``[T, M]`` as pictures: sums over equal stretches of time, ON and OFF in two colours, on one scale."""
    with page(axes_grid=False):
        made = [small(layout.height / layout.width) for _ in range(min(FRAMES, len(inputs)))]
        plots.frames(inputs, layout, count=len(made), bin_us=bin_us, axes=[axes for _, axes in made])
    return [
        to_svg(figure, f"frames-{name}-{n}", f"Events from {axes.get_title('center')}")
        for n, (figure, axes) in enumerate(made)
    ]


def raster(example: Mapping[str, Any], name: str = "any", names: Sequence[str] = ()) -> str:
    """Spikes of one recording: ``inputs [T, M]``, ``hidden [K, T, H]``, outputs ``visible [K, T, V]``, ``votes``.

    Panels share the time axis. The first six compartments are drawn, each in its colour; all of them vote. The warm-up,
    up to the step ``begin``, is shaded. Few classes are shown by their ``names``, if they have any.
    """
    hidden, visible, bin_us = example["hidden"], example["visible"], example["bin_us"]
    classes = visible.shape[2]
    classed = {"label": int(example["label"][0]), "answer": example.get("answer"), "names": names}
    with page(axes_grid=False):
        with_hidden = hidden.shape[2] > 0
        ratios = [2.0, 2.6, 2.8] if with_hidden else [2.0, 2.8]
        figure = Figure(figsize=(5.6, 6.4 if with_hidden else 4.6), layout="constrained")
        grid = figure.subplots(len(ratios), 2, width_ratios=[4, 1], height_ratios=ratios, squeeze=False)
        for axes in grid[:-1, 1]:
            axes.set_axis_off()
        top, bottom, ballot = grid[0, 0], *grid[-1]
        plots.raster(example["inputs"], bin_us=bin_us, colour=MUTED, ax=top)
        top.set(ylabel="input", title="Inputs, by number")
        if with_hidden:
            plots.compartment_raster(hidden, bin_us=bin_us, ax=grid[1, 0])
            grid[1, 0].set_title(f"Hidden neurons: the same {hidden.shape[2]} in every one")
        begin = example.get("begin", 0)
        plots.compartment_raster(visible, by="neuron", bin_us=bin_us, begin=begin, **classed, ax=bottom)
        bottom.set_title("Output neurons")
        for axes in grid[:-1, 0]:
            axes.tick_params(labelbottom=False)
            axes.set_xlabel("")
        plots.votes(example["votes"], classes, **classed, ax=ballot)
        ballot.set(ylabel="", yticks=[], title="Votes")
        ballot.spines[["left", "bottom"]].set_visible(False)
        figure.align_ylabels()
    return to_svg(
        figure, f"raster-{name}", "Spikes of inputs, hidden neurons and output neurons over time, and votes"
    )


def course(example: Mapping[str, Any], name: str = "any", names: Sequence[str] = ()) -> str:
    """The shares of the votes ``course [K, T]`` of one recording as time passes, class by class."""
    with page():
        figure = Figure(figsize=(5.6, 2.6), layout="constrained")
        plots.votes_over_time(
            example["course"], example["visible"].shape[2], bin_us=example["bin_us"], begin=example["begin"],
            label=int(example["label"][0]), names=names, ax=figure.subplots(),
        )  # fmt: skip
    return to_svg(figure, f"votes-{name}", "Shares of the votes over time")


def receptive_fields(fields: Mapping[str, Any], layout: Layout, names: Sequence[str] = ()) -> list[str]:
    """Fields ``[n, M]`` on the sensor, ON minus OFF, each on a scale of its own: its sign is told by the colour.

    Output neurons are shown by their classes' ``names``, if they have any.
    """
    with page(axes_grid=False):
        made = [small(layout.height / layout.width) for _ in fields["field"]]
        plots.receptive_fields(fields, layout, names=names, axes=[axes for _, axes in made])
    return [
        to_svg(figure, f"field-{n}", f"Weights from the sensor to neuron {axes.get_title('center')}")
        for n, (figure, axes) in enumerate(made)
    ]


def augmented(found: Mapping[str, Any]) -> list[str]:
    """A recording and its augmentations: pictures ``counts [n, rows, columns, 2]``, ``over_time [n, steps, 2]`` below.

    Pictures share their scale. ON is drawn upwards from a line, OFF downwards; a row of channels is drawn over time.
    """
    counts, over_time = found["counts"].astype(float), found["over_time"].astype(float)
    on_sensor = found["kind"] == "sensor"
    tall = min(max(counts.shape[1] / counts.shape[2], 0.4), 1.6) if on_sensor else 0.8
    most, busiest = float(counts.sum(3).max()), max(over_time.max(), 1.0)
    made = []
    for i, (setting, epoch) in enumerate(zip(found["settings"], found["epochs"], strict=True)):
        told = f"{setting}\n{f'epoch {epoch}' if epoch else ''}"
        with page(axes_grid=False):
            figure, picture = small(tall, lines=2)
            events_on(picture, counts[i], most, told)
            picture.set_aspect("equal" if on_sensor else "auto")
        made.append(to_svg(figure, f"augmented-{i}", f"The recording: {' '.join(told.split())}"))
        if on_sensor:
            made[-1] += _over_time(over_time[i], busiest, i)
    return made


def _over_time(counts: NDArray[np.float64], busiest: float, number: int) -> str:
    """Counts ``[steps, 2]``: ON upwards from a line, OFF downwards."""
    with page(axes_grid=False):
        figure, axes = small(0.28, lines=0)
        for sign, channel, colour in ((1, 1, MAIN), (-1, 0, SECOND)):
            axes.stairs(sign * counts[:, channel], fill=True, color=colour, linewidth=0)
        axes.axhline(0, color=MUTED, linewidth=0.6)
        axes.set(xlim=(0, len(counts)), ylim=(-busiest, busiest))
        framed(axes)
    return to_svg(figure, f"course-{number}", "Its events as time passes, ON upwards and OFF downwards")
