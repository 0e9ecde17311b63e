"""Events that lie in memory, as a person or another library holds them: arrays with named fields become recordings.

The fields are known by the names that columns of files have (:mod:`gemsnn.data.readers.columns`), in any order and
type: ``x``, ``y``, ``t`` (``ts``, ``time``, ``timestamp``), ``p`` (``pol``, ``polarity``, ``on``: 0 and 1, -1 and 1, or
truth values). A row of channels has no ``y``. As in a file, time begins at the first event, events out of order are
sorted, which is told. What this library's readers have made, a :class:`~gemsnn.data.events.Recording` or an array of
:data:`~gemsnn.data.events.EVENT`, has a clock already and is taken as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.binning import BinSpec, bin_and_tally
from gemsnn.data.events import EVENT, Events, Recording, mended
from gemsnn.data.packing import RawEvents, pack
from gemsnn.data.readers import columns, units
from gemsnn.data.readers.columns import WANTED
from gemsnn.data.readers.numpy_files import from_array
from gemsnn.data.readers.units import TimeUnit
from gemsnn.data.tally import Tally, total
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.specs import checks
from gemsnn.types import LARGEST_SIDE

ALL_ON = "Events have no polarities: all are taken as ON."
OWN_EVENTS = "an array of named fields, a Recording, or an array of the dtype EVENT"
Size = Annotated[tuple[int, int], checks.Range(1, LARGEST_SIDE)]


class Held(NamedTuple):
    """Recordings of events, binned.

    Attributes:
        rows: their spikes.
        spec: the bins, with as many as the longest has where their number was open.
        tallies: what became of their events, int64 ``[n, 6]``.
        raw: the events, and the sensor's size.
        notes: what was mended, in sentences.
    """

    rows: list[SpikeRows]
    spec: BinSpec
    tallies: NDArray[np.int64]
    raw: RawEvents
    notes: tuple[str, ...]


def recording_of(given: Any, where: str, time_unit: TimeUnit = "us") -> Recording:
    """One recording.

    Args:
        given: an array ``[n]`` with the fields of events, or a recording.
        where: names it, for messages.
        time_unit: of times whose field's name does not tell it, as ``t_ms`` does.

    Raises:
        InputError: it is neither, its fields or their values are none of events, or the unit cannot be the one told.
    """
    units.check(time_unit, where)
    if isinstance(given, Recording):
        return given
    names = given.dtype.names if isinstance(given, np.ndarray) and given.ndim == 1 else None
    if names is None:
        found = checks.told(given) if isinstance(given, np.ndarray) else type(given).__name__
        raise InputError(f"{where} must be {OWN_EVENTS}, not {found}; name the fields {WANTED}")
    array: NDArray[Any] = given
    if array.dtype == EVENT:
        if np.any(np.diff(array["t"]) < 0):
            raise InputError(f"{where}: times go backwards; sort the events by time first")
        return Recording(array, *extent_of(array, where), "memory", {}, sensor_inferred=True)
    found = columns.by_name(names, where)
    if found is None:
        raise InputError(
            f"{where}: the fields {', '.join(names)} are not those of events; name them {WANTED}"
        )
    if not len(array):
        return Recording(np.empty(0, EVENT), 1, 1, "memory", {}, sensor_inferred=True)
    unit = found.unit or time_unit
    if unit == "us":
        _check_microseconds(array[found.columns["t"]], where)
    recording = from_array(array, where, "memory", unit)
    return recording._replace(notes=() if {"p", "channel"} & set(found.columns) else (ALL_ON,))


def _check_microseconds(t: NDArray[Any], where: str) -> None:
    """Refuse times that are told to be microseconds and cannot be: they would all fall into one bin, or into none."""
    if t.dtype.kind == "f" and np.isfinite(t).all() and (t != np.rint(t)).any():
        raise InputError(
            f"{where}: times have fractions, so they are no microseconds; give time_unit (s, ms), or round them"
        )
    if t.dtype.kind in "iuf" and t.min() >= units.SINCE_1970_NS:
        raise InputError(
            f"{where}: times from {t.min()} on are those of a clock in nanoseconds; give time_unit='ns'"
        )


def extent_of(events: Events, where: str) -> tuple[int, int]:
    """The width and height that events need.

    Raises:
        InputError: one has a negative column or row.
    """
    if not len(events):
        return 1, 1
    x, y = events["x"], events["y"]
    if min(x.min(), y.min()) < 0:
        raise InputError(
            f"{where}: an event lies outside every sensor: its column or row is negative; check the events"
        )
    return int(x.max()) + 1, int(y.max()) + 1


def binned(
    recordings: Iterable[Any], spec: BinSpec, *, sensor: tuple[int, int] | None, time_unit: TimeUnit
) -> Held:
    """Recordings of one sensor, taken one at a time.

    Where the sensor is not told, the events of all are held until the last has come, since only then is their extent
    known; else each is binned, and packed into eight bytes an event, before the next is asked for.

    Args:
        recordings: see :func:`recording_of`.
        spec: the bins.
        sensor: width and height in pixels; ``None`` for the largest that recordings tell or their events need.
        time_unit: see :func:`recording_of`.

    Raises:
        InputError: a recording is none, or does not fit; or no event falls into a bin, or all into the first.
    """
    checks.number(sensor, Size | None, "sensor")
    rows: list[SpikeRows] = []
    tallies: list[Tally] = []
    packed: list[NDArray[np.void]] = []
    repairs, notes, last = Counter[str](), dict[str, None](), 0

    def take(recording: Recording, sensor: tuple[int, int]) -> None:
        rows_of, tally = bin_and_tally(recording.events, spec, width=sensor[0], height=sensor[1])
        rows.append(rows_of)
        tallies.append(tally)
        packed.append(pack(recording.events))

    waiting: list[Recording] = []
    for position, given in enumerate(recordings):
        where = f"recording {position}"
        recording = recording_of(given, where, time_unit)
        if recording is not given:  # else who made it has told
            repairs.update(recording.repairs)
            notes |= dict.fromkeys(_notes(recording, spec))
        last = max(last, int(recording.events["t"][-1])) if len(recording.events) else last
        if sensor is None:
            waiting.append(recording)
            continue
        _check_within(recording.events, sensor, where)
        take(recording, sensor)
    if sensor is None:
        sensor = (
            max((each.width for each in waiting), default=1),
            max((each.height for each in waiting), default=1),
        )
        for recording in waiting:
            take(recording, sensor)
    became = np.array(tallies, np.int64).reshape(-1, len(Tally._fields))
    _check_bins(became, spec, last)
    settled = spec.settled(max(map(len, rows)))
    if settled is not spec and spec.pad:
        rows = [each.padded(settled.steps or 1) for each in rows]
    return Held(rows, settled, became, RawEvents.join(packed, *sensor, spec.crop), (*mended(repairs), *notes))


def _notes(recording: Recording, spec: BinSpec) -> tuple[str, ...]:
    """What its reading assumed, as far as it matters to these bins."""
    return tuple(note for note in recording.notes if note != ALL_ON or spec.channels == 2)


def _check_within(events: Events, sensor: tuple[int, int], where: str) -> None:
    outside = (events["x"] >= sensor[0]) | (events["y"] >= sensor[1])
    if outside.any():
        x, y = (int(events[side][outside][0]) for side in ("x", "y"))
        raise InputError(
            f"{where}: an event at ({x}, {y}) lies outside the sensor of {sensor[0]} x {sensor[1]} pixels; give its "
            "true size"
        )


def _check_bins(tallies: NDArray[np.int64], spec: BinSpec, last: int) -> None:
    """Refuse recordings that the bins make nothing of: their width, crop or unit of time is not what was meant."""
    tally = total(tallies)
    if not len(tallies):
        raise InputError("recordings must be one or more, but there are none")
    if not tally.kept:
        became = [f"{count} {reason}" for reason, count in tally.dropped.items()]
        raise InputError(
            f"recordings have no spikes: {tally.events} events in all{', '.join(['', *became])}; take other bins, "
            "another crop or another time_unit"
        )
    if last < spec.bin_us and spec.steps != 1:
        raise InputError(
            f"all events lie in the first bin: the last comes after {last} microseconds, and a bin lasts "
            f"{spec.bin_us}; check time_unit and bin_us"
        )
