"""Which columns of a file are those of events: by their names, or by their values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.readers import units
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError
from gemsnn.types import LARGEST_SIDE

Role = Literal["t", "x", "y", "p", "channel"]

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
_BOXES = {"w", "h"}
"""Columns that make positions and times those of labels around objects, not of events."""

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
    if {name.lower() for name in names} >= _BOXES:
        return None
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
    signs = [at for at in rest if len(rest) > 1 and is_polarity(table[:, at])]
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


def is_polarity(column: NDArray[Any]) -> bool:
    """Whether these are the values of a polarity."""
    return bool(np.isin(column, (0, 1)).all() or np.isin(column, (-1, 1)).all())
