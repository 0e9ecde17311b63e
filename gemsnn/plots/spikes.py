"""Spikes over time: of some neurons, of several compartments, and what output neurons vote for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from gemsnn.errors import InputError
from gemsnn.plots.given import array
from gemsnn.plots.looks import canvas, look
from gemsnn.plots.strokes import named_rows, pixels, time_of
from gemsnn.specs import checks

MOST_MARKS = 4000
"""Spikes that are drawn as strokes; of more a picture of pixels is made, in which those that share one are added up."""

HIGHEST, LONGEST = 192, 1000
"""Rows and columns of such a picture."""


def raster(
    spikes: Any,
    *,
    bin_us: int | None = None,
    names: Sequence[str] = (),
    colour: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Which neuron spiked when: a stroke for each spike, a row a neuron, the first on top.

    It stands at the middle of its bin; where rows are too thin for that, it lies along its bin.

    Of more than :data:`MOST_MARKS` spikes a picture of pixels is made instead, which keeps a file small: a pixel is the
    darker the more of them fall into it, and none is lost.

    Args:
        spikes: of one recording, ``[T, N]``: an array, a tensor, ``recordings.recording(n)``, or one compartment of
            what :meth:`gemsnn.Model.spikes` gives.
        bin_us: the width of a bin in microseconds, for an axis of time.
        names: of the neurons, where there are few.
        colour: of the strokes.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: the spikes are not those of one recording.

    >>> import numpy as np
    >>> from gemsnn import plots
    >>> from matplotlib.figure import Figure
    >>> axes = plots.raster(np.eye(5), bin_us=1000, ax=Figure().subplots())
    >>> axes.get_xlim()
    (np.float64(0.0), np.float64(5.0))
    """
    found = array(spikes, "TN")
    with canvas(ax) as axes:
        rows = found.shape[1]
        _drawn(axes, [found], np.arange(rows)[None], 1.0, rows, bin_us, [colour or look().ink])
        axes.set_ylim(max(rows, 1) - 0.5, -0.5)
        named_rows(axes, rows, names)
        axes.set(ylabel="neuron", xlabel=time_of(bin_us)[1])
    return axes


def compartment_raster(
    spikes: Any,
    *,
    by: Literal["compartment", "neuron"] = "compartment",
    bin_us: int | None = None,
    begin: int = 0,
    label: int | None = None,
    answer: int | None = None,
    names: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """The same recording in several compartments, a colour each.

    The first six are drawn, since more colours could not be told apart. As :func:`raster`, many spikes become pixels.

    Args:
        spikes: ``[K, T, N]``, of hidden or of output neurons.
        by: whether a row holds all neurons of a compartment, or a neuron in all compartments, one line each.
        bin_us: the width of a bin in microseconds, for an axis of time.
        begin: bins before the first that counts for an answer; they are shaded.
        label: of output neurons by neuron, the right class, which is shaded in the main colour.
        answer: the class that was answered, shaded in the second colour where it is another.
        names: of the rows.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: the spikes are not those of one recording, or there is no such ``by``.
    """
    checks.choice(by, Literal["compartment", "neuron"], "by")
    found = array(spikes, "KTN")[: len(look().series)]
    compartments, steps, neurons = found.shape
    each = np.arange(compartments)[:, None]
    one = np.arange(neurons)[None]
    if by == "compartment":
        row, tall, rows = (
            each - 0.46 + 0.92 * (one + 0.5) / max(neurons, 1),
            0.92 / max(neurons, 1),
            compartments,
        )
        names = names or [str(number + 1) for number in range(compartments)]
    else:
        row, tall, rows = one - 0.5 + (each + 0.5) / compartments, 1 / compartments, neurons
    with canvas(ax) as axes:
        _drawn(axes, list(found), row, tall, rows, bin_us, look().series, interleaved=by == "neuron")
        scale, xlabel = time_of(bin_us)
        shade(axes, label, answer)
        if begin:
            axes.axvspan(0, begin * scale, color=look().faint, alpha=0.6, linewidth=0, zorder=0)
            axes.axvline(begin * scale, color=look().muted, linestyle="--", linewidth=0.8)
        axes.hlines(np.arange(1, rows) - 0.5, 0, steps * scale, color=look().faint, linewidth=0.6)
        axes.set_ylim(rows - 0.5, -0.5)
        named_rows(axes, rows, names)
        axes.set(ylabel="compartment" if by == "compartment" else "class", xlabel=xlabel)
    return axes


def shade(ax: Axes, label: int | None, answer: int | None) -> None:
    """The row of the right class, and that of the answer where it is another."""
    for row, colour in ((label, look().main), (None if answer == label else answer, look().second)):
        if row is not None:
            ax.axhspan(row - 0.5, row + 0.5, color=colour, alpha=0.16, linewidth=0, zorder=0)


def votes(
    given: Any,
    classes: int,
    *,
    label: int | None = None,
    answer: int | None = None,
    names: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """What each compartment votes for: a dot each, in the row of its class.

    Dots have the colours that :func:`compartment_raster` gives the compartments; those beyond are grey.

    Args:
        given: the classes ``[K]`` that compartments vote for.
        classes: how many there are.
        label: the right class, which is shaded.
        answer: the class that was answered, shaded where it is another.
        names: of the classes.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: a vote is for no class.
    """
    found = array(given, "K", "votes").astype(int)
    if len(found) and not 0 <= found.min() <= found.max() < classes:
        raise InputError(f"votes must be for classes 0 to {classes - 1}, not {found.min()} to {found.max()}")
    place = np.array([(found[:k] == vote).sum() for k, vote in enumerate(found)])
    widest = max(6, int(place.max(initial=0)) + 1)
    series = look().series
    with canvas(ax, 1.6) as axes:
        shade(axes, label, answer)
        colours = [series[k] if k < len(series) else look().muted for k in range(len(found))]
        axes.scatter(place, found, color=colours, s=max(4, min(30, 260 / widest)), linewidth=0)
        axes.set(xlim=(-0.7, widest - 0.3), ylim=(classes - 0.5, -0.5), xticks=[], ylabel="class")
        named_rows(axes, classes, names)
    return axes


def _drawn(
    ax: Axes,
    parts: Sequence[NDArray[Any]],
    row: NDArray[Any],
    tall: float,
    rows: int,
    bin_us: int | None,
    colours: Sequence[str],
    *,
    interleaved: bool = False,
) -> None:
    """Spikes ``[T, N]`` of each part in its colour, neuron n of part k ``tall`` rows high at the height ``row[k, n]``.

    Pixels fill the ``rows`` part by part, or ``interleaved``, neuron by neuron.
    """
    steps, scale = len(parts[0]), time_of(bin_us)[0]
    if sum(int(np.count_nonzero(part)) for part in parts) <= MOST_MARKS:
        for part, at, colour in zip(parts, row, colours, strict=False):
            step, neuron = np.nonzero(part)
            _marks(ax, step * scale, at[neuron], scale, tall, rows, steps, colour)
    else:
        high = parts[0].shape[1] if interleaved else max(8, HIGHEST // len(parts))
        bands = [pixels(pooled(part.T, high), colour) for part, colour in zip(parts, colours, strict=False)]
        picture = (
            np.stack(bands, 1).reshape(-1, *bands[0].shape[1:]) if interleaved else np.concatenate(bands)
        )
        ax.imshow(picture, aspect="auto", interpolation="none", extent=(0.0, steps * scale, rows - 0.5, -0.5))
    ax.set_xlim(0, max(steps, 1) * scale)


LOWEST = 4.0
"""Points of height below which a stroke lies: as long as its bin, since there is no room for it to stand."""


def _marks(
    ax: Axes,
    begin: NDArray[Any],
    row: NDArray[np.float64],
    wide: float,
    tall: float,
    rows: int,
    steps: int,
    colour: str,
) -> None:
    """A stroke for each spike in a bin that begins then, ``wide`` long, in a row that is ``tall``; all are one line."""
    place, figure = ax.get_position(), ax.figure
    across, down = np.array([figure.bbox.width, figure.bbox.height]) * 72 / figure.get_dpi()
    high, broad = place.height * down * tall / max(rows, 1), place.width * across / max(steps, 1)
    stands = high >= LOWEST
    middle = begin + 0.5 * wide
    half = (0.0, 0.42 * tall) if stands else (0.5 * wide, 0.0)
    gap = np.full(len(begin), np.nan)
    x = np.column_stack([middle - half[0], middle + half[0], gap]).ravel()
    y = np.column_stack([row - half[1], row + half[1], gap]).ravel()
    thick = float(np.clip(0.5 * broad, 0.7, 3)) if stands else float(np.clip(0.84 * high, 0.5, LOWEST))
    ax.plot(x, y, color=colour, linewidth=thick, solid_capstyle="butt")


def pooled(spikes: NDArray[Any], rows: int) -> NDArray[np.float64]:
    """``[R, T]`` spikes to at most ``rows`` rows and :data:`LONGEST` columns: the mean of neighbours.

    Whoever shrinks a picture drops lines of it; the mean keeps every spike visible.
    """
    for axis, limit in ((0, rows), (1, LONGEST)):
        if spikes.shape[axis] > limit:
            starts = np.linspace(0, spikes.shape[axis], limit, endpoint=False).astype(int)
            size = np.diff(np.append(starts, spikes.shape[axis]))
            total = np.add.reduceat(spikes.astype(float), starts, axis=axis)
            spikes = total / (size[:, None] if axis == 0 else size)
    return spikes.astype(float)
