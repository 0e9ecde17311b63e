"""Events on the wire: UDP datagrams and lines of text.

**A datagram** is any number of events of 13 bytes, little-endian: uint64 time in microseconds, uint16 column, uint16
row, uint8 polarity (1 is ON); the format that faery sends by default (``t64_x16_y16_on8``,
https://github.com/aestream/faery).

**A line** is ``t,x,y,on`` with the same meaning; a first line without digits is a heading.

Both may also carry ``label,T,C``: from the sensor's time T on (now, if T is left out) the class is C (none, if C is
left out).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gemsnn.data.events import EVENT, Events, make_events
from gemsnn.errors import InputError, one_line

DATAGRAM = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "u1")])
LABEL = b"label,"
LONGEST_LINE = 100
"""Longer lines are damaged."""

_FAR = np.iinfo(np.int16).max
_NEVER = np.iinfo(np.int64).max


class Label(NamedTuple):
    """From a time on, the class is this.

    Attributes:
        t: microseconds of the sensor's clock; ``None`` for now.
        label: the class; ``None`` for no class.
    """

    t: int | None
    label: int | None


class Message(NamedTuple):
    """What a datagram or some lines hold: events in the order of their arrival, and labels."""

    events: Events
    labels: tuple[Label, ...] = ()


def read_datagram(data: bytes) -> Message:
    """The content of a datagram.

    Raises:
        InputError: it is damaged, or of another format.
    """
    if data.startswith(LABEL):
        return Message(no_events(), (read_label(data),))
    if len(data) % DATAGRAM.itemsize:
        raise InputError(
            f"a datagram of {len(data)} bytes holds no whole number of events of {DATAGRAM.itemsize} bytes; "
            "send t64_x16_y16_on8"
        )
    raw = np.frombuffer(data, DATAGRAM)
    if len(raw) and raw["on"].max() > 1:
        raise InputError(
            f"a datagram holds a polarity of {raw['on'].max()}, not 0 or 1; send t64_x16_y16_on8"
        )
    t, x, y = np.minimum(raw["t"], _NEVER), np.minimum(raw["x"], _FAR), np.minimum(raw["y"], _FAR)
    return Message(make_events(t, x, y, raw["on"] == 1))


def write_datagram(events: Events) -> bytes:
    """Events as a datagram, to send them."""
    raw = np.empty(len(events), DATAGRAM)
    for name in DATAGRAM.names or ():
        raw[name] = events[name]
    return raw.tobytes()


def read_label(line: bytes) -> Label:
    """The content of ``label,T,C``.

    Raises:
        InputError: it is none.
    """
    parts = line.strip().split(b",")
    if len(line) > LONGEST_LINE or len(parts) != 3 or parts[0] != b"label":
        raise InputError(f"{_shown(line)} is no label; write label,T,C")
    t, label = (_number(part, line) if part.strip() else None for part in parts[1:])
    return Label(t, label)


def read_event(line: bytes) -> tuple[int, int, int, int]:
    """The content of ``t,x,y,on``.

    Raises:
        InputError: it is none.
    """
    parts = line.split(b",")
    if len(line) > LONGEST_LINE or len(parts) != 4:
        raise InputError(f"{_shown(line)} is no event; write t,x,y,on")
    t, x, y, on = (_number(part, line) for part in parts)
    if on > 1:
        raise InputError(f"{_shown(line)} has a polarity other than 0 or 1")
    return min(t, _NEVER), min(x, _FAR), min(y, _FAR), on


def events_of(rows: list[tuple[int, int, int, int]]) -> Events:
    """Events of :func:`read_event`."""
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    return make_events(columns[0], columns[1], columns[2], columns[3] == 1)


def no_events() -> Events:
    """None."""
    return np.empty(0, EVENT)


def _number(part: bytes, line: bytes) -> int:
    part = part.strip()
    if not part.isdigit() or len(part) > 20:
        raise InputError(f"{_shown(line)} holds something else than whole numbers; write t,x,y,on")
    return int(part)


def _shown(line: bytes) -> str:
    return repr(one_line(line[:LONGEST_LINE].decode("utf-8", "replace").strip()))
