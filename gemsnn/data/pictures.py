"""Recordings as pictures for a report: what augmentation makes of one of them."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.augment import AugmentSpec, Frame, augmented
from gemsnn.data.events import Events

MOST_CELLS = 128
"""Cells of a picture in each direction; neighbouring pixels share one on a larger sensor."""

STRETCHES = 60
"""Equal stretches of time that events are counted in."""

EPOCHS = 3
"""So many epochs are shown with all that is on."""

TRIED = 20
"""A change is shown in the first of so many epochs in which there is one."""

AS_IT_IS = "as it is"


class Picture(NamedTuple):
    """The events of one recording as counts, all of them of the presentation's D microseconds.

    Attributes:
        setting: what was changed: a setting and its value, ``"all"`` where several are on, or ``"as it is"``.
        epoch: from 1; 0 as it is.
        counts: uint16 ``[rows, columns, 2]``, OFF and ON events by row and column of the sensor; of a row of
            channels, by channel and stretch of time.
        over_time: uint16 ``[STRETCHES, 2]``, OFF and ON events by stretch of time.
    """

    setting: str
    epoch: int
    counts: NDArray[np.uint16]
    over_time: NDArray[np.uint16]


def pictures(
    events: Events, spec: AugmentSpec, *, width: int, height: int, duration_us: int, seed: int, address: int
) -> list[Picture]:
    """A recording as it is, as it is learned in the first epochs, and under each setting alone where several are on.

    Each setting draws from a stream of its own, so that what it does alone in an epoch is its part of that epoch.

    Args:
        events: in order of time, from ``t = 0`` on, on the sensor.
        spec: what is changed.
        width: sensor width in pixels.
        height: sensor height in pixels.
        duration_us: how long a presentation lasts, D, in microseconds.
        seed: the user's seed.
        address: the recording's own number.

    Returns:
        None of them where nothing is changed; else at most 1 + :data:`EPOCHS` + as many as there are settings.

    Raises:
        InputError: as :func:`gemsnn.data.augment.augmented`.
    """
    if not spec.is_on:
        return []
    frame = Frame(width, height, duration_us)

    def under(spec: AugmentSpec, epoch: int) -> Events:
        return augmented(events, spec, **frame._asdict(), seed=seed, epoch=epoch, address=address)

    named = {name: f"{name.replace('_', ' ')} {getattr(spec, name):g}" for name in spec.on}
    together = "all" if len(named) > 1 else named[spec.on[0]]
    shown = [(AS_IT_IS, 0, events)]
    shown += [(together, epoch + 1, under(spec, epoch)) for epoch in range(EPOCHS)]
    for name, title in named.items() if len(named) > 1 else ():
        alone = dataclasses.replace(AugmentSpec(), **{name: getattr(spec, name)})
        tried = (epoch for epoch in range(TRIED) if not np.array_equal(under(alone, epoch), events))
        epoch = next(tried, 0)
        shown.append((title, epoch + 1, under(alone, epoch)))
    return [Picture(setting, epoch, *_counted(each, frame)) for setting, epoch, each in shown]


def _counted(events: Events, frame: Frame) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The arrays of a :class:`Picture`."""
    width, height, duration = frame
    events = events[: np.searchsorted(events["t"], duration)]
    cell = -(-max(width, height) // MOST_CELLS)
    row, column = events["y"] // cell, events["x"] // cell
    rows, columns = -(-height // cell), -(-width // cell)
    stretch = events["t"] * STRETCHES // max(duration, 1)
    if min(width, height) == 1:
        row, column, rows, columns = row + column, stretch, max(rows, columns), STRETCHES

    def count(place: NDArray, places: int) -> NDArray[np.uint16]:
        found = np.bincount(2 * place.astype(np.int64) + events["on"], minlength=2 * places)
        return np.minimum(found, 2**16 - 1).astype(np.uint16).reshape(-1, 2)

    whole = count(row.astype(np.int64) * columns + column, rows * columns)
    return whole.reshape(rows, columns, 2), count(stretch, STRETCHES)
