"""N-MNIST and N-Caltech101 (G. Orchard et al., Front. Neurosci. 9:437, 2015): 5 bytes an event, no header.

Byte 0 is the column, byte 1 the row, the top bit of byte 2 the polarity (1 is ON), and the remaining 23 bits
the time in microseconds, high bits first.
"""

from __future__ import annotations

import numpy as np

from gemsnn.data.events import SIZE_INFERRED, Recording, check_events, make_events
from gemsnn.errors import InputError

SIDE = 34
"""Recordings are 34 x 34 pixels."""

WRAP_US = 2**23
"""Times are counted modulo this many microseconds, 8.4 seconds."""


def read_nmnist(data: bytes, where: str, *, caltech: bool = False) -> Recording:
    """Decode an N-MNIST file.

    Times stay on the file's clock, whose 0 is the start of the first saccade (the first event follows within
    some milliseconds), because that is what recordings have in common. A step back by more than half of
    :data:`WRAP_US` is a wrap-around of that clock, and time goes on; events that are still out of order are sorted.

    Args:
        data: the whole file.
        where: the file's name, for messages.
        caltech: it is one of N-Caltech101, whose recordings have sizes of their own.

    Raises:
        InputError: no events, a length that is not a multiple of 5, or pixels outside 34 x 34.
    """
    if not data:
        raise InputError(f"{where}: the file is empty; copy or download it again")
    if len(data) % 5:
        raise InputError(
            f"{where}: an N-MNIST file has 5 bytes an event, and {len(data)} bytes leave {len(data) % 5} "
            "over; it is cut short or of another format, so copy or download it again"
        )
    byte = np.frombuffer(data, np.uint8).reshape(-1, 5).astype(np.int64)
    x, y = byte[:, 0], byte[:, 1]
    if not caltech and max(x.max(), y.max()) >= SIDE:
        raise InputError(
            f"{where}: pixels up to ({x.max()}, {y.max()}) lie outside N-MNIST's {SIDE} x {SIDE}; the file "
            "is damaged or of another format, so give an N-MNIST recording"
        )
    t = (byte[:, 2] & 0x7F) << 16 | byte[:, 3] << 8 | byte[:, 4]
    step = np.diff(t, prepend=t[:1])
    # A step ahead by as much is a late event from before the wrap-around, if there has been one.
    turns = np.cumsum((step < -WRAP_US // 2).astype(np.int64) - (step > WRAP_US // 2))
    turns -= np.minimum.accumulate(np.minimum(turns, 0))
    t = t + WRAP_US * turns
    events = make_events(t, x, y, byte[:, 2] >> 7)
    disorder = int((np.diff(t) < 0).sum())
    if disorder:
        events = events[np.argsort(t, kind="stable")]
    width, height = (int(x.max()) + 1, int(y.max()) + 1) if caltech else (SIDE, SIDE)
    check_events(events, width, height, where)
    found = {"timestamp wrap-arounds": int(turns.max()), "events out of order": disorder}
    repairs = {kind: count for kind, count in found.items() if count}
    if caltech:
        return Recording(events, width, height, "N-Caltech101", repairs, (SIZE_INFERRED,), True)
    return Recording(events, width, height, "N-MNIST", repairs)
