"""Events on the wire: UDP datagrams and lines of text. ``docs/streams.md`` has both with examples.

**A datagram** is any number of events of 13 bytes, little-endian: uint64 time in microseconds, uint16 column, uint16
row, uint8 polarity (1 is ON); the format that faery sends by default (``t64_x16_y16_on8``,
https://github.com/aestream/faery). Or it is text, one line or several: a datagram of events is never taken for one,
for the polarity of its first event is no letter.

**A line** is ``t,x,y,on`` with the same meaning, or ``label,T,C``: from the sensor's time T on (now, if T is left out)
the class is C (none, if C is left out), or ``begin,T``: at that time (now, if T is left out) a recording begins. On
standard input a first line without digits is a heading.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gemsnn.data.events import EVENT, Events, make_events
from gemsnn.errors import InputError, one_line

FORMATS = "send t64_x16_y16_on8, or text t,x,y,on"
DATAGRAM = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "u1")])
LABEL, BEGIN = b"label,", b"begin,"
LONGEST_LINE = 100
"""Longer lines are damaged."""

_FAR = np.iinfo(np.int16).max
_NEVER = np.iinfo(np.int64).max
_TEXT = bytes([*b"\t\r\n", *range(32, 127)])


class Label(NamedTuple):
    """From a time on, the class is this.

    Attributes:
        t: microseconds of the sensor's clock; ``None`` for now.
        label: the class; ``None`` for no class.
    """

    t: int | None
    label: int | None


class Begin(NamedTuple):
    """A recording begins.

    Attributes:
        t: microseconds of the sensor's clock; ``None`` for now.
    """

    t: int | None


class Message(NamedTuple):
    """What a datagram or some lines hold.

    Attributes:
        events: in the order of their arrival.
        labels: likewise.
        begins: likewise.
        damaged: of lines that are none of these, their positions, and a sentence each.
    """

    events: Events
    labels: tuple[Label, ...] = ()
    damaged: tuple[tuple[int, str], ...] = ()
    begins: tuple[Begin, ...] = ()


def is_text(data: bytes) -> bool:
    """Whether a datagram is one of lines: of printable ASCII, tabs and ends of lines alone.

    A datagram of events has a byte 0 or 1 in its first 13 and is none.
    """
    return bool(data) and not data.translate(None, _TEXT)


def is_heading(line: bytes) -> bool:
    """Whether a first line names columns: it has no digit, and is neither a label nor a beginning."""
    return (
        len(line) <= LONGEST_LINE
        and not line.startswith((LABEL, BEGIN))
        and not any(48 <= byte <= 57 for byte in line)
    )


def read_lines(lines: list[bytes]) -> Message:
    """The content of lines of text, the damaged ones left out and told of."""
    rows: list[tuple[int, int, int, int]] = []
    labels: list[Label] = []
    begins: list[Begin] = []
    damaged: list[tuple[int, str]] = []
    for at, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            if line.startswith(LABEL):
                labels.append(read_label(line))
            elif line.startswith(BEGIN):
                begins.append(read_begin(line))
            else:
                rows.append(read_event(line))
        except InputError as error:
            damaged.append((at, str(error)))
    return Message(events_of(rows), tuple(labels), tuple(damaged), tuple(begins))


def read_datagram(data: bytes) -> Message:
    """The content of a datagram of events of 13 bytes.

    Raises:
        InputError: it is damaged, or of another format.
    """
    if len(data) % DATAGRAM.itemsize:
        raise InputError(
            f"a datagram of {len(data)} bytes holds no whole number of events of {DATAGRAM.itemsize} bytes; "
            f"{FORMATS}"
        )
    raw = np.frombuffer(data, DATAGRAM)
    if len(raw) and raw["on"].max() > 1:
        raise InputError(f"a datagram holds a polarity of {raw['on'].max()}, not 0 or 1; {FORMATS}")
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


def read_begin(line: bytes) -> Begin:
    """The content of ``begin,T``.

    Raises:
        InputError: it is none.
    """
    parts = line.strip().split(b",")
    if len(line) > LONGEST_LINE or len(parts) != 2 or parts[0] != b"begin":
        raise InputError(f"{_shown(line)} is no beginning; write begin,T")
    return Begin(_number(parts[1], line) if parts[1].strip() else None)


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
