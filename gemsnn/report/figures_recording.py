"""One recording and what the compartments made of it, as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gemsnn.report.reading import Layout
from gemsnn.report.svg import (
    COMPARTMENTS,
    FAINT,
    INPUT_PIXELS,
    MAIN,
    MAIN_PIXELS,
    MUTED,
    SECOND,
    SECOND_PIXELS,
    pixels,
    pool,
    short,
    styled,
    to_svg,
)

FRAMES = 8


def shown(compartments: int) -> int:
    """How many compartments a raster draws."""
    return min(compartments, len(COMPARTMENTS))


def frames(inputs: NDArray[np.uint8], layout: Layout, bin_us: int, name: str) -> str:
    """The events ``[T, M]`` as pictures: sums over equal stretches of time, ON and OFF in two colours.

    All frames share one scale. Input ``c + channels * (x * height + y)`` is channel c of the pixel (x, y).
    """
    count = min(FRAMES, len(inputs))
    edges = np.linspace(0, len(inputs), count + 1).round().astype(int)
    shape = (layout.width, layout.height, layout.channels)
    sums = [inputs[a:b].sum(0, dtype=float).reshape(shape).transpose(1, 0, 2) for a, b in pairwise(edges)]
    rows = 2 if count > 4 else 1
    columns = -(-count // rows)
    with styled(**{"axes.grid": False}):
        figure = Figure(figsize=(5.6, 1.6 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        most = max(float(part.sum(2).max(initial=0)) for part in sums)
        for axes, part, begin, end in zip(grid, sums, edges, edges[1:], strict=False):
            axes.imshow(events_picture(part, most), interpolation="none")
            axes.set_title(f"{begin * bin_us / 1000:.0f} to {end * bin_us / 1000:.0f} ms", fontsize=9)
            framed(axes)
        for axes in grid[count:]:
            axes.set_axis_off()
    return to_svg(figure, f"frames-{name}", "Events of the recording summed over equal stretches of time")


def events_picture(counts: NDArray[np.float64], most: float | None) -> NDArray[np.float64]:
    """Counts ``[height, width, channels]`` to RGBA: strength by their sum (of ``most``), colour by the share of ON."""
    total = counts.sum(2)
    most = float(total.max(initial=0)) if most is None else most
    colour = np.empty((*total.shape, 4))
    if counts.shape[2] == 2:
        on = (counts[..., 1] / np.maximum(total, 1))[..., None]
        colour[..., :3] = on * to_rgb(MAIN_PIXELS) + (1 - on) * to_rgb(SECOND_PIXELS)
    else:
        colour[..., :3] = to_rgb(INPUT_PIXELS)
    colour[..., 3] = np.sqrt(total / max(most, 1.0))
    return colour


def raster(example: dict[str, Any] | Any, name: str = "any", names: Sequence[str] = ()) -> str:
    """Spikes of one recording: ``inputs [T, M]``, ``hidden [K, T, H]``, outputs ``visible [K, T, V]``, ``votes``.

    Panels share the time axis. The first six compartments are drawn, each in its colour; all of them vote. The warm-up,
    up to the step ``begin``, is shaded. Few classes are shown by their ``names``, if they have any.
    """
    inputs, hidden, visible, votes = (example[key] for key in ("inputs", "hidden", "visible", "votes"))
    label, answer, bin_us = int(example["label"][0]), example.get("answer"), example["bin_us"]
    with styled(**{"axes.grid": False}):
        drawn, classes = shown(len(visible)), visible.shape[2]
        with_hidden = hidden.shape[2] > 0
        ratios = [2.0, 2.6, 2.8] if with_hidden else [2.0, 2.8]
        figure = Figure(figsize=(5.6, 6.4 if with_hidden else 4.6), layout="constrained")
        grid = figure.subplots(len(ratios), 2, width_ratios=[4, 1], height_ratios=ratios, squeeze=False)
        for axes in grid[:-1, 1]:
            axes.set_axis_off()
        end_ms, begin_ms = inputs.shape[0] * bin_us / 1000, example.get("begin", 0) * bin_us / 1000

        def draw(axes: Axes, image: NDArray[np.float64], rows: float) -> None:
            extent = (0.0, end_ms, rows - 0.5, -0.5)
            axes.imshow(image, aspect="auto", interpolation="none", extent=extent)
            axes.tick_params(labelbottom=axes is grid[-1, 0])
            axes.set_xlim(0, end_ms)

        top = grid[0, 0]
        draw(top, pixels(pool(inputs.T, 160), INPUT_PIXELS), inputs.shape[1])
        top.set_ylabel("input")
        top.set_title("Inputs, by number", loc="left")

        if with_hidden:
            middle = grid[1, 0]
            bands = [pixels(pool(hidden[k].T, max(8, 192 // drawn)), COMPARTMENTS[k]) for k in range(drawn)]
            draw(middle, np.concatenate(bands), drawn)
            middle.set_yticks(range(drawn), [str(k + 1) for k in range(drawn)])
            middle.hlines(np.arange(1, drawn) - 0.5, 0, end_ms, color=FAINT, linewidth=0.8)
            middle.set_ylabel("compartment")
            middle.set_title(f"Hidden neurons: the same {hidden.shape[2]} in every one", loc="left")

        # Within the row of a class, one line a compartment.
        bottom, ballot = grid[-1]
        lines = np.concatenate(
            [pixels(pool(visible[k].T, classes), COMPARTMENTS[k])[:, None] for k in range(drawn)], axis=1
        )
        draw(bottom, lines.reshape(classes * drawn, -1, 4), classes)
        for axes in (bottom, ballot):
            axes.axhspan(label - 0.5, label + 0.5, color=MAIN, alpha=0.16, linewidth=0, zorder=0)
            if answer is not None and answer != label:
                axes.axhspan(answer - 0.5, answer + 0.5, color=SECOND, alpha=0.16, linewidth=0, zorder=0)
        if begin_ms:
            bottom.axvspan(0, begin_ms, color=FAINT, alpha=0.6, linewidth=0, zorder=0)
            bottom.axvline(begin_ms, color=MUTED, linestyle="--", linewidth=1)
        bottom.hlines(np.arange(1, classes) - 0.5, 0, end_ms, color=FAINT, linewidth=0.6)
        bottom.set(xlabel="time, ms", ylabel="class")
        bottom.set_title("Output neurons", loc="left")
        if classes <= 12:
            bottom.set_yticks(
                range(classes), [short(each) for each in names] if len(names) == classes else None
            )

        place = np.array([(votes[:k] == vote).sum() for k, vote in enumerate(votes)])
        colours = [COMPARTMENTS[k] if k < drawn else MUTED for k in range(len(votes))]
        widest = max(6, int(place.max()) + 1)
        ballot.scatter(place, votes, color=colours, s=max(4, min(30, 260 / widest)), linewidth=0)
        ballot.set(xlim=(-0.7, widest - 0.3), ylim=(classes - 0.5, -0.5), yticks=[], xticks=[])
        ballot.set_title("Votes", loc="left")
        ballot.spines[["left", "bottom"]].set_visible(False)
        figure.align_ylabels()
    return to_svg(
        figure, f"raster-{name}", "Spikes of inputs, hidden neurons and output neurons over time, and votes"
    )


def receptive_fields(fields: dict[str, Any] | Any, layout: Layout, names: Sequence[str] = ()) -> str:
    """Fields ``[n, M]`` on the sensor, ON minus OFF, each on a scale of its own: its sign is told by the colour.

    Output neurons are shown by their classes' ``names``, if they have any.
    """
    shape = (-1, layout.width, layout.height, layout.channels)
    maps = fields["field"].astype(float).reshape(shape).transpose(0, 2, 1, 3)
    maps = maps[..., 1] - maps[..., 0] if layout.channels == 2 else maps.sum(3)
    columns = min(6, len(maps))
    rows = -(-len(maps) // columns)
    with styled(**{"axes.grid": False}):
        figure = Figure(figsize=(1.4 * columns, 1.6 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, field, neuron, lag in zip(grid, maps, fields["neuron"], fields["lag"], strict=False):
            colour = np.empty((*field.shape, 4))
            colour[..., :3] = np.where((field > 0)[..., None], to_rgb(MAIN_PIXELS), to_rgb(SECOND_PIXELS))
            colour[..., 3] = np.abs(field) / max(float(np.abs(field).max()), 1e-12)
            axes.imshow(colour, interpolation="none")
            after = f"{lag * layout.bin_us / 1000:g} ms" if layout.bin_us else f"{lag} bins"
            by_name = fields.get("kind") == "output" and neuron < len(names)
            whose = short(names[int(neuron)]) if by_name else neuron
            axes.set_title(f"{whose}, {after}", fontsize=9)
            framed(axes)
    return to_svg(figure, "fields", "Weights from the sensor to some neurons, as pictures")


PICTURES_A_ROW = 4


def augmented(found: Mapping[str, Any]) -> str:
    """A recording and its augmentations: pictures ``counts [n, rows, columns, 2]``, ``over_time [n, steps, 2]`` below.

    Pictures share their scale. ON is drawn upwards from a line, OFF downwards; a row of channels is drawn over time.
    """
    counts, over_time = found["counts"].astype(float), found["over_time"].astype(float)
    rows = -(-len(counts) // PICTURES_A_ROW)
    on_sensor = found["kind"] == "sensor"
    ratios = [1.0, 0.28] if on_sensor else [1.0]
    tall = counts.shape[1] / counts.shape[2] if on_sensor else 0.8
    size = (1.75 * PICTURES_A_ROW, rows * (1.65 * min(max(tall, 0.4), 1.6) * sum(ratios) + 0.5))
    with styled(**{"axes.grid": False}):
        figure = Figure(figsize=size, layout="constrained")
        lines = figure.subplots(
            rows * len(ratios), PICTURES_A_ROW, squeeze=False, height_ratios=rows * ratios
        )
        for axes in lines.ravel():
            axes.set_axis_off()
        most, busiest = counts.sum(3).max(), max(over_time.max(), 1.0)
        for i, (setting, epoch) in enumerate(zip(found["settings"], found["epochs"], strict=True)):
            row, column = divmod(i, PICTURES_A_ROW)
            picture = lines[row * len(ratios), column]
            picture.imshow(
                events_picture(counts[i], most), interpolation="none", aspect="equal" if on_sensor else "auto"
            )
            picture.set_title(f"{setting}\n{f'epoch {epoch}' if epoch else ''}", fontsize=9)
            framed(picture)
            if on_sensor:
                below = lines[row * len(ratios) + 1, column]
                for sign, channel, colour in ((1, 1, MAIN), (-1, 0, SECOND)):
                    below.stairs(sign * over_time[i, :, channel], fill=True, color=colour, linewidth=0)
                below.axhline(0, color=MUTED, linewidth=0.6)
                below.set(xlim=(0, over_time.shape[1]), ylim=(-busiest, busiest))
                framed(below)
    return to_svg(figure, "augmented", "One recording as it is and as it is changed while it is learned")


def framed(axes: Axes) -> None:
    """A thin frame instead of ticks."""
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
