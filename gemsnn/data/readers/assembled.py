"""A recording from columns of numbers, whatever file they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import EVENT, SIZE_INFERRED, Recording, check_events, in_order, make_events
from gemsnn.data.readers import units
from gemsnn.data.readers.columns import Role, is_polarity
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError

LARGEST_RECORDING = 100_000_000
"""Recordings that claim more events are refused: they would not fit a common machine's memory."""

FAR_BACK_US = 100_000
"""A step back in time that is longer is no small disorder, and told."""


def recording_of(
    columns: Mapping[Role, NDArray[Any]],
    where: object,
    kind: str,
    *,
    unit: TimeUnit | None = None,
    time_unit: TimeUnit | None = None,
    sensor: tuple[int, int] | None = None,
    notes: tuple[str, ...] = (),
    own_clock: bool = False,
) -> Recording:
    """A recording from the columns of its events.

    Args:
        columns: numbers ``[n]`` by role: t; x and y, or x alone, or channel; p. A row of channels lies at
            y = 0; without p all events are ON.
        where: the file, for messages.
        kind: the format's name.
        unit: of time, where the file tells it.
        time_unit: of time, where the user tells it.
        sensor: width and height, where the file tells them; by default the extent of the events.
        notes: what was assumed up to here.
        own_clock: whether time 0 is the file's own instead of the first event's.

    Raises:
        InputError: no events or too many, columns of other lengths, or values that are none of events.
    """
    units.check(time_unit, where)
    lengths = {role: len(column) for role, column in columns.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{count} of {role}" for role, count in lengths.items())
        raise InputError(
            f"{where}: the columns of events have different lengths: {told}; write the file again"
        )
    count = lengths["t"]
    if not 1 <= count <= LARGEST_RECORDING:
        why = "it holds no events; leave it out" if count == 0 else f"{count} events are too many; cut it"
        raise InputError(f"{where}: {why}, or record it again")
    t = _numbers(columns["t"], "t", where)
    if (told := time_unit or unit) is None:
        told, more = units.decide(t, where)
        notes += more
    since = units.microseconds(t, told, where, from_zero=own_clock)
    if own_clock and since.min() < 0:
        raise InputError(f"{where}: times begin at {t.min()}, before the recording's own 0; check the file")
    x = _places(columns["x"] if "x" in columns else columns["channel"], "x", where)
    y = _places(columns["y"], "y", where) if "y" in columns else np.zeros(count, np.int16)
    on = _polarity(columns["p"], where) if "p" in columns else np.ones(count, bool)
    if "p" not in columns and "x" in columns:
        notes += ("The file has no polarities: all events are taken as ON.",)
    if (np.maximum.accumulate(since) - since).max() > FAR_BACK_US:
        notes += (
            f"Events were sorted by time, over more than {FAR_BACK_US / 1e6} s: check that it is one recording.",
        )
    order, time, repairs = in_order(since, 0 if own_clock else None)
    events = make_events(time, x[order], y[order], on[order])
    width, height = sensor or (int(x.max()) + 1, int(y.max()) + 1)
    check_events(events, width, height, str(where))
    if sensor is None:
        notes += (SIZE_INFERRED,)
    return Recording(events, width, height, kind, repairs, notes, sensor is None)


def _numbers(column: NDArray[Any], name: str, where: object) -> NDArray[Any]:
    if column.ndim != 1 or column.dtype.kind not in "iufb":
        raise InputError(
            f"{where}: the column {name} holds {column.dtype} {list(column.shape)}, not a number an event; write the "
            "file again"
        )
    if column.dtype.kind == "b":
        return column.astype(np.int64)
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        at = int(np.flatnonzero(~np.isfinite(column))[0])
        raise InputError(f"{where}: {name} of event {at} is {column[at]}; mend it or leave the event out")
    if column.dtype.kind == "u" and column.max() > np.iinfo(np.int64).max:
        raise InputError(
            f"{where}: {name} holds numbers beyond 63 bits, so it is damaged; write the file again"
        )
    return column


def _places(column: NDArray[Any], name: str, where: object) -> NDArray[np.int16]:
    column = _numbers(column, name, where)
    farthest = np.iinfo(EVENT[name]).max
    if column.min() < 0 or column.max() > farthest:
        raise InputError(
            f"{where}: {name} of events lies in {column.min()} .. {column.max()}, and pixels in 0 .. {farthest}; check "
            "which column is which"
        )
    if column.dtype.kind == "f" and (column != np.rint(column)).any():
        raise InputError(
            f"{where}: {name} of events has fractions, and pixels have none; check which column is which"
        )
    return column.astype(EVENT[name])


def _polarity(column: NDArray[Any], where: object) -> NDArray[np.bool_]:
    column = _numbers(column, "p", where)
    if not is_polarity(column):
        raise InputError(
            f"{where}: polarities must be 0 and 1, or -1 and 1, not {column.min()} .. {column.max()}; check which "
            "column is which"
        )
    return column > 0
