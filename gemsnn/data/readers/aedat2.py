"""AEDAT 2.0, the format of jAER, as recorded by a DVS128 camera.

ASCII lines that begin with ``#``, the first ``#!AER-DAT2.0``; then 8 bytes an event, big-endian: a uint32
address and a uint32 timestamp in microseconds. Bits of the address: 0 polarity (0 is ON), 1-7 the column
counted from the right, 8-14 the row, 15 set for special events, which belong to no pixel.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import LONGEST_GAP_US, Recording, check_events, close_gaps, make_events
from gemsnn.errors import InputError

SIDE = 128
"""A DVS128 has 128 x 128 pixels."""

WRAP_US = 2**32
"""Timestamps are counted modulo this many microseconds, about 71.6 minutes."""

_VERSION = re.compile(rb"#!AER-DAT([0-9.]+)")
_OTHERS = {b"PK\x03\x04": "a zip file", b"\x89HDF": "an HDF5 file", b"\x1f\x8b": "a gzip file"}


def read_aedat2(data: bytes, where: str) -> Recording:
    """Decode an AEDAT 2.0 file of a 128 x 128 camera.

    Time is counted from the first pixel event. Timestamps that do not grow are mended, see
    :func:`mend_timestamps`; special events are left out. Both are counted in ``repairs``.

    Args:
        data: the whole file.
        where: the file's name, for messages.

    Raises:
        InputError: another format or version, trailing bytes, no events, or another camera's addresses.
    """
    start = header_length(data, where)
    trailing = (len(data) - start) % 8
    if trailing:
        raise InputError(
            f"{where}: this AEDAT 2.0 file ends with {trailing} bytes that make no whole event (8 bytes); "
            "it is cut short or damaged, so copy or download it again"
        )
    words = np.frombuffer(data, ">u4", offset=start).reshape(-1, 2)
    special = (words[:, 0] & 0x8000) != 0
    pixels = words[~special]
    if len(pixels) == 0:
        raise InputError(
            f"{where}: this AEDAT 2.0 file holds no pixel events; leave it out or record it again"
        )
    address = pixels[:, 0].astype(np.int64)
    if np.any(address >> 16):
        raise InputError(
            f"{where}: this AEDAT 2.0 file uses addresses above 16 bits, so it is damaged or does not come "
            "from a 128 x 128 camera (DVS128); give a DVS128 recording"
        )
    t, repairs = mend_timestamps(pixels[:, 1].astype(np.int64))
    if special.any():
        repairs = {"special events": int(special.sum()), **repairs}
    x, y, on = SIDE - 1 - (address >> 1 & 0x7F), address >> 8 & 0x7F, (address & 1) == 0
    events = make_events(t, x, y, on)
    check_events(events, SIDE, SIDE, where)
    return Recording(events, SIDE, SIDE, "AEDAT 2.0", repairs)


def header_length(data: bytes, where: str) -> int:
    """The number of bytes before the first event: the lines at the top that begin with ``#``."""
    version = _VERSION.match(data)
    if not data:
        raise InputError(f"{where}: the file is empty; copy or download it again")
    if version is None:
        found = next(
            (name for magic, name in _OTHERS.items() if data.startswith(magic)), "not an AEDAT 2.0 file"
        )
        raise InputError(
            f"{where}: this is {found}: its first line is not '#!AER-DAT2.0' (AEDAT 1 files may have no such "
            "line at all); give an AEDAT 2.0 file"
        )
    if version[1] != b"2.0":
        raise InputError(
            f"{where}: this is an AEDAT {version[1].decode()} file, and AEDAT 2.0 and 4 are read; "
            "convert it to AEDAT 2.0 first, for example with jAER"
        )
    start = 0
    while data[start : start + 1] == b"#":
        end = data.find(b"\n", start)
        if end < 0:
            raise InputError(
                f"{where}: this AEDAT 2.0 file ends within its header; copy or download it again"
            )
        start = end + 1
    return start


def mend_timestamps(raw: NDArray[np.int64]) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Time since the first event, never falling, from unsigned 32-bit timestamps in the order of arrival.

    Events arrive in order, so the order is kept and a timestamp that jumps back or far ahead is mended:

    * a late event, one whose successor is back at the level before it, takes its predecessor's time
      (other times keep still), and an early one, whose successor fits its predecessor, takes its successor's;
    * a wrap-around past 2^32, known by the gap it leaves (at most :data:`~gemsnn.data.events.LONGEST_GAP_US`),
      adds that gap;
    * any other step back is a reset of the camera's clock: a running offset lets time go on from the event before,
      as if no time had passed, since how long the reset took is not recorded;
    * a step ahead that is longer than such a gap is a jump of the clock, see :func:`~gemsnn.data.events.close_gaps`.

    Args:
        raw: int64 ``[n]``, ``n >= 1``, values 0 .. 2^32 - 1, in microseconds.

    Returns:
        int64 ``[n]`` in microseconds beginning at 0, and the number of repairs by kind (kinds that occurred).
    """
    late = np.zeros(len(raw), bool)
    late[1:-1] = (raw[1:-1] < raw[:-2]) & (raw[2:] >= raw[:-2])
    # The successor of a late event stands at the old level, so a late event's predecessor is never late.
    times = np.where(late, np.roll(raw, 1), raw)
    early = np.zeros(len(raw), bool)
    back, fits = times[2:] < times[1:-1], times[2:] >= times[:-2]
    early[1:-1] = back & fits & ~_wraps(times[2:] - times[1:-1])
    # The predecessor of an early event stands below its successor, so neither of them is early.
    times = np.where(early, np.roll(times, -1), times)
    step = np.diff(times)
    wraps, resets = _wraps(step), (step < 0) & ~_wraps(step)
    step, jumps = close_gaps(np.where(wraps, step + WRAP_US, np.where(resets, 0, step)))
    counted = {
        "late events": late,
        "early events": early,
        "timestamp wrap-arounds": wraps,
        "timestamp resets": resets,
    }
    repairs = {kind: int(m.sum()) for kind, m in counted.items() if m.any()}
    return np.concatenate([[0], np.cumsum(step)]), repairs | jumps


def _wraps(step: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which steps back are wrap-arounds."""
    return (step < 0) & (step + WRAP_US <= LONGEST_GAP_US)
