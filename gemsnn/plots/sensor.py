"""What a sensor saw: events as pictures of its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from gemsnn.errors import InputError
from gemsnn.plots.given import Sensor, array, counted, events_of, is_events, on_sensor
from gemsnn.plots.looks import canvas, canvases, look
from gemsnn.plots.strokes import framed


def events(
    given: Any,
    layout: Sensor | None = None,
    *,
    sensor: tuple[int, int] | None = None,
    most: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """All events of a recording on the pixels of the sensor.

    A pixel is the stronger the more events it had (their root, so that few are seen), and its colour says what share of
    them were ON: the main colour for ON alone, the second one for OFF alone, grey for both.

    Args:
        given: events (:data:`gemsnn.data.events.EVENT`), a :class:`gemsnn.data.events.Recording`, or bins ``[T, M]``.
        layout: of bins, how inputs lie: ``recordings.layout``.
        sensor: of bare events, width and height in pixels; by default what the events reach.
        most: how many events have the full colour; by default those of the busiest pixel.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: the bins do not fit the layout, or events the sensor.
    """
    (found,) = pictures(given, layout, sensor, np.array([0, extent(given)]))
    with canvas(ax, 2.2, 2.2) as axes:
        axes.imshow(picture(found, most), interpolation="none")
        framed(axes)
    return axes


def frames(
    given: Any,
    layout: Sensor | None = None,
    *,
    count: int = 8,
    bin_us: int | None = None,
    sensor: tuple[int, int] | None = None,
    axes: Any = None,
) -> list[Axes]:
    """Events in stretches of time, a picture each as :func:`events` draws them, all on one scale.

    Args:
        given: see :func:`events`.
        layout: see :func:`events`.
        count: of pictures, at most as many as there are bins.
        bin_us: of bins, their width in microseconds, for the titles.
        sensor: see :func:`events`.
        axes: to draw into, as many as there are pictures; by default a new figure's, four in a row.

    Returns:
        The Axes of the pictures.

    Raises:
        InputError: as :func:`events`, or there are too few Axes.
    """
    if count < 1:
        raise InputError(f"count must be at least 1, not {count}")
    whole = extent(given)
    ends = np.linspace(0, whole, min(count, max(whole, 1)) + 1).round().astype(np.int64)
    found = list(pictures(given, layout, sensor, ends))
    most = max(float(part.sum(2).max(initial=0)) for part in found)
    with canvases(axes, len(found), 4, (1.2, 1.35)) as drawn:
        for one, part, (begin, end) in zip(drawn, found, pairwise(ends), strict=True):
            events_on(one, part, most, stretch(given, begin, end, bin_us))
    return drawn


def events_on(ax: Axes, counts: NDArray[Any], most: float | None, title: str) -> None:
    """A picture of counts ``[height, width, channels]`` in its frame, for those who have counted already."""
    ax.imshow(picture(counts, most), interpolation="none")
    ax.set_title(title, fontsize="small", loc="center")
    framed(ax)


def picture(counts: NDArray[Any], most: float | None = None) -> NDArray[np.float64]:
    """Counts ``[height, width, channels]`` as RGBA: strength by their sum (of ``most``), colour by the share of ON."""
    total = counts.sum(2, dtype=float)
    most = float(total.max(initial=0)) if most is None else most
    found = np.empty((*total.shape, 4))
    if counts.shape[2] == 2:
        on = (counts[..., 1] / np.maximum(total, 1))[..., None]
        found[..., :3] = on * to_rgb(look().on) + (1 - on) * to_rgb(look().off)
    else:
        found[..., :3] = to_rgb(look().pixels)
    found[..., 3] = np.sqrt(total / max(most, 1.0))
    return found


def extent(given: Any) -> int:
    """How long a recording is: of events in microseconds, to the last of them; of bins in bins."""
    if is_events(given):
        some = getattr(given, "events", given)
        return int(some["t"][-1]) + 1 if len(some) else 1
    return len(array(given, "TM", "bins"))


def stretch(given: Any, begin: int, end: int, bin_us: int | None) -> str:
    """A stretch of time in words, of :func:`extent`'s unit: in milliseconds, or in bins whose width is not known."""
    width = 1 if is_events(given) else bin_us
    if width is None:
        return f"bins {begin} to {end}"
    return f"{begin * width / 1000:.0f} to {end * width / 1000:.0f} ms"


def pictures(
    given: Any, layout: Sensor | None, sensor: tuple[int, int] | None, ends: NDArray[np.int64]
) -> Iterator[NDArray[np.float64]]:
    """Numbers of events ``[height, width, channels]`` between these moments, one picture after the other.

    Raises:
        InputError: see :func:`events`.
    """
    if is_events(given):
        some, width, height = events_of(given, sensor)
        for a, b in pairwise(np.searchsorted(some["t"], ends)):
            yield counted(some[a:b], width, height)
        return
    if layout is None:
        raise InputError("bins need a layout, which says where inputs lie on the sensor: recordings.layout")
    bins = array(given, "TM", "bins")
    for a, b in pairwise(ends):
        yield on_sensor(bins[a:b].sum(0, dtype=float), layout)
