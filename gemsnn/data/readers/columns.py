"""Events as columns of numbers, whatever file they come from: which column is which, and a recording from them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import EVENT, Recording, check_events, in_order, make_events
from gemsnn.data.readers import units
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError
from gemsnn.types import LARGEST_SIDE

Role = Literal["t", "x", "y", "p", "channel"]

LARGEST_RECORDING = 100_000_000
"""Recordings that claim more events are refused: they would not fit a common machine's memory."""

FAR_BACK_US = 100_000
"""A step back in time that is longer is no small disorder, and told."""

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("t", "ts", "time", "times", "timestamp", "timestamps"), "t"),
    **dict.fromkeys(("x", "xs", "col", "column"), "x"),
    **dict.fromkeys(("y", "ys", "row"), "y"),
    **dict.fromkeys(("p", "ps", "pol", "pols", "polarity", "polarities", "on"), "p"),
    **dict.fromkeys(("channel", "channels", "ch", "unit", "units", "neuron", "neurons"), "channel"),
    **dict.fromkeys(
        ("taxel", "taxels", "address", "addresses", "addr", "electrode", "electrodes"), "channel"
    ),
}
_WITH_UNIT = re.compile(r"(.*?)[\s_]*[\[(]?\s*([a-zµμ]+)\s*[\])]?")
_SIDE = re.compile(r"@(\d{1,5})$")
_WIRE = ("t", "x", "y", "on")
_MANY = ("offsets", "starts", "trial_ids", "trials")
WANTED = "t, x, y and p (or t and channel)"


class Found(NamedTuple):
    """Which columns of a file are those of events.

    Attributes:
        columns: the position or name of each column, by its role.
        unit: of time, where a name tells it.
        notes: what was assumed.
    """

    columns: dict[Role, Any]
    unit: TimeUnit | None = None
    notes: tuple[str, ...] = ()


def by_name(names: Sequence[str], where: object) -> Found | None:
    """Which of the named columns are those of events, ``None`` if they have no time or no place.

    Raises:
        InputError: two columns have the same role, or rows have no columns.
    """
    found: dict[Role, str] = {}
    unit: TimeUnit | None = (
        "us" if tuple(_SIDE.sub("", name) for name in names) == _WIRE else None
    )  # the columns of gemsnn.data.wire
    for name in names:
        role, told = _role(name)
        if role is None:
            continue
        if role in found:
            raise InputError(
                f"{where}: {found[role]} and {name} could both be the column {role} of events; rename one of them"
            )
        found[role] = name
        unit = told or unit
    if "x" in found:
        found.pop("channel", None)
    if "t" not in found or not ("x" in found or "channel" in found):
        return None
    if "channel" in found:
        found.pop("y", None)
    many = [name for name in names if name.lower() in _MANY]
    if many:
        raise InputError(
            f"{where}: {many[0]} says that many recordings lie here end to end; save each as a file of its own, those "
            "of a class in a folder of its name"
        )
    return Found(cast(dict[Role, Any], found), unit)


def sides_in(names: Sequence[str]) -> tuple[int, int] | None:
    """Width and height, where the names of columns tell them."""
    sides = {
        name.partition("@")[0].strip().lower(): side[1] for name in names if (side := _SIDE.search(name))
    }
    return (int(sides["x"]), int(sides["y"])) if {"x", "y"} <= set(sides) else None


def _role(name: str) -> tuple[Role | None, TimeUnit | None]:
    """The role that a name means, and the unit of time in it; faery adds the sensor's sides (``x@640``)."""
    name = _SIDE.sub("", name.strip().strip("\"'").strip().lower())
    if name in _ROLES:
        return _ROLES[name], None
    match = _WITH_UNIT.fullmatch(name)
    if match and _ROLES.get(match[1]) == "t" and (unit := units.named(match[2])):
        return "t", unit
    return None, None


def by_values(table: NDArray[Any], where: object) -> Found:
    """Which of two to four columns without names are those of events, by their values.

    The one column with fractions, with numbers beyond any pixel, or else that never falls (nearly, and rises most) is
    the time; of three or four columns one of 0 and 1, or -1 and 1, alone is the polarity (where several are, the one in
    the place that it has in ``t x y p``, ``x y t p``, ``x y p t``, ``p x y t`` or ``t p x y``); x stands before y.

    Args:
        table: numbers ``[n, c]``, ``n >= 1``, finite.
        where: the file, for messages.

    Raises:
        InputError: other columns, or they cannot be told apart.
    """
    count = table.shape[1]
    if not 2 <= count <= 4:
        raise InputError(
            f"{where}: {count} columns without names are not those of events; name them {WANTED}"
        )
    t = _time_column(table, where)
    rest = [at for at in range(count) if at != t]
    signs = [at for at in rest if len(rest) > 1 and _is_polarity(table[:, at])]
    p = None
    if len(signs) == 1 and len(rest) <= 3:
        p = signs[0]
    elif len(signs) > 1 and len(rest) == 3:
        usual = {3: 2, 0: 3, 2: 3}.get(t)  # by the place of t, that of p
        p = usual if usual in signs else None
        p = 0 if p is None and t == 3 and 0 in signs else p
    if (len(rest) == 3 and p is None) or (len(rest) == 2 and len(signs) > 1):
        raise InputError(f"{where}: which column is the polarity cannot be told; name the columns {WANTED}")
    places = [at for at in rest if at != p]
    roles: dict[Role, Any] = {"t": t}
    roles |= {"x": places[0], "y": places[1]} if len(places) == 2 else {"channel": places[0]}
    roles |= {} if p is None else {"p": p}
    order = ", ".join(sorted(roles, key=roles.__getitem__))
    assumed = ", x before y" if len(places) == 2 else ""
    return Found(roles, None, (f"Columns have no names and are taken as {order}, by their values{assumed}.",))


def _time_column(table: NDArray[Any], where: object) -> int:
    columns = range(table.shape[1])
    sure = [at for at in columns if (table[:, at] != np.rint(table[:, at])).any()]
    sure = sure or [at for at in columns if table[:, at].max() >= LARGEST_SIDE]
    if not sure and len(table) > 1:
        rising = [
            at for at in columns if (np.diff(table[:, at]) >= 0).mean() >= 0.9 and np.ptp(table[:, at]) > 1
        ]
        span = [np.ptp(table[:, at]) for at in rising]
        sure = [at for at, width in zip(rising, span, strict=True) if width == max(span)]
    if len(sure) != 1:
        raise InputError(f"{where}: which column is the time cannot be told; name the columns {WANTED}")
    return sure[0]


def _is_polarity(column: NDArray[Any]) -> bool:
    return bool(np.isin(column, (0, 1)).all() or np.isin(column, (-1, 1)).all())


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
    y = _places(columns["y"], "y", where) if "y" in columns else np.zeros(count, np.int64)
    on = _polarity(columns["p"], where) if "p" in columns else np.ones(count, bool)
    if "p" not in columns and "x" in columns:
        notes += ("The file has no polarities: all events are taken as ON.",)
    if (back := _far_back(since)) is not None:
        notes += (
            f"Events were sorted by time, some over {back / 1e6:.3g} s: check that the file holds one recording.",
        )
    order, time, repairs = in_order(since, 0 if own_clock else None)
    events = make_events(time, x[order], y[order], on[order])
    width, height = sensor or (int(x.max()) + 1, int(y.max()) + 1)
    check_events(events, width, height, str(where))
    if sensor is None:
        notes += (size_note(width, height),)
    return Recording(events, width, height, kind, repairs, notes, sensor is None)


def size_note(width: int, height: int) -> str:
    """What is told where the sensor's size is inferred."""
    extent = f"{width} x {height} pixels" if height > 1 else f"a row of {width}"
    return f"The file does not tell the sensor's size: {extent} is the extent of its events."


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


def _places(column: NDArray[Any], name: str, where: object) -> NDArray[np.int64]:
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
    return column.astype(np.int64)


def _polarity(column: NDArray[Any], where: object) -> NDArray[np.bool_]:
    column = _numbers(column, "p", where)
    if not _is_polarity(column):
        raise InputError(
            f"{where}: polarities must be 0 and 1, or -1 and 1, not {column.min()} .. {column.max()}; check which "
            "column is which"
        )
    return column > 0


def _far_back(t: NDArray[np.int64]) -> int | None:
    """The longest step back in time, if it is no small disorder."""
    back = int((np.maximum.accumulate(t) - t).max())
    return back if back > FAR_BACK_US else None
