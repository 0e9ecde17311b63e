"""Events: checked structured arrays, and the recording that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.errors import InputError
from gemsnn.types import LARGEST_SIDE

EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("on", "?")])
"""One event: time in microseconds, pixel column and row, and true for ON (brighter), false for OFF."""

Events = NDArray[np.void]

LONGEST_GAP_US = 10_000_000
"""A longer step of time between two events is a jump of the clock: a sensor of pixels is never silent for so long."""

SIZE_INFERRED = "The file does not tell the sensor's size: the extent of its events is taken for it."
"""What is told where width and height are those of the events."""


class Recording(NamedTuple):
    """What one file holds.

    Attributes:
        events: structured array of dtype :data:`EVENT`, in order of time; ``t`` counts from the recording's
            origin, which readers put at the first event unless the format has a clock of its own.
        width: sensor width in pixels.
        height: sensor height in pixels.
        format: the file format's name, e.g. ``"AEDAT 2.0"``.
        repairs: what the reader mended, counted by kind (e.g. ``{"timestamp resets": 1}``); empty if nothing.
        notes: sentences about what the file does not tell and the reader assumed, e.g. the unit of time.
        sensor_inferred: whether width and height are the extent of the events, since the file does not tell them.
    """

    events: Events
    width: int
    height: int
    format: str
    repairs: dict[str, int]
    notes: tuple[str, ...] = ()
    sensor_inferred: bool = False


def mended(repairs: Mapping[str, int]) -> tuple[str, ...]:
    """A sentence about repairs, if there were any; special events are left out, which mends nothing."""
    found = [f"{count} {kind}" for kind, count in sorted(repairs.items()) if kind != "special events"]
    return (f"Recordings were mended while they were read: {', '.join(found)}.",) if found else ()


def make_events(t: NDArray, x: NDArray, y: NDArray, on: NDArray) -> Events:
    """Assemble columns of equal length into an array of dtype :data:`EVENT`.

    Raises:
        InputError: a column is no array ``[n]`` of whole numbers (``on``: of 0 and 1, or truth values), is shorter or
            longer than ``t``, or holds a number that an event has no room for.
    """
    t, x, y, on = (np.asarray(column) for column in (t, x, y, on))
    for name, column in zip(EVENT.names or (), (t, x, y, on), strict=True):
        if column.ndim != 1 or len(column) != len(t):
            raise InputError(f"{name} of events must be an array of {len(t)} numbers, as many as t")
        if len(column) == 0:
            continue
        if column.dtype.kind not in "iub":
            raise InputError(f"{name} of events must be whole numbers, not {column.dtype}")
        low, high = (0, 1) if name == "on" else (np.iinfo(EVENT[name]).min, np.iinfo(EVENT[name]).max)
        if column.min() < low or column.max() > high:
            raise InputError(
                f"{name} of events must lie in {low} .. {high}, not in {column.min()} .. {column.max()}"
            )
    events = np.empty(len(t), EVENT)
    events["t"], events["x"], events["y"], events["on"] = t, x, y, on
    return events


def check_events(events: Events, width: int, height: int, where: str) -> None:
    """Raise :class:`InputError` unless the events have the right type, order and pixels."""
    if events.dtype != EVENT or events.ndim != 1:
        raise InputError(f"{where}: events must be a 1-d array of dtype {EVENT}, not {events.dtype}")
    if max(width, height) > LARGEST_SIDE:
        raise InputError(f"{where}: a sensor of {width} x {height} pixels is none; check the file's header")
    if len(events) == 0:
        return
    x, y, t = events["x"], events["y"], events["t"]
    if x.min() < 0 or y.min() < 0 or x.max() >= width or y.max() >= height:
        raise InputError(
            f"{where}: an event lies outside the {width} x {height} sensor; check the file's format"
        )
    if t[0] < 0 or np.any(np.diff(t) < 0):
        raise InputError(f"{where}: timestamps go backwards; sort the events by time first")


def close_gaps(step: NDArray[np.int64]) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Steps of time between events in order, without jumps ahead.

    Over a step longer than :data:`LONGEST_GAP_US` time goes on as if none had passed, as a stream's does
    (:mod:`gemsnn.data.arrivals`): a few stray events before a recording do not push it out of the bins.

    Returns:
        The steps, and the number of repairs by kind.
    """
    ahead = step > LONGEST_GAP_US
    jumps = int(ahead.sum())
    return np.where(ahead, 0, step), {"timestamp jumps ahead": jumps} if jumps else {}


def in_order(
    t: NDArray[np.int64], origin: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
    """Times in order and without jumps ahead, counted from the first one.

    Args:
        t: int64 ``[n]``, ``n >= 1``, in microseconds.
        origin: where time is counted from instead, not after the first one.

    Returns:
        The order in which events must be taken (a stable sort), their times in that order, and the number of repairs
        by kind: steps back, and jumps ahead (:func:`close_gaps`).
    """
    disorder = int((np.diff(t) < 0).sum())
    order = np.argsort(t, kind="stable") if disorder else np.arange(len(t))
    step, jumps = close_gaps(np.diff(t[order], prepend=t[order[0]] if origin is None else origin))
    return order, np.cumsum(step), ({"events out of order": disorder} if disorder else {}) | jumps
