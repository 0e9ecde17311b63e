"""Files whose events come in pieces, in the camera's own microseconds: one of them, and the whole as a recording."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gemsnn.data.events import SIZE_INFERRED, Events, Recording, check_events, in_order
from gemsnn.data.readers.assembled import LARGEST_RECORDING
from gemsnn.errors import InputError
from gemsnn.types import AnyPath


class Decoded(NamedTuple):
    """An opened file.

    Attributes:
        format: its name.
        sensor: width and height, where they are told.
        chunks: the events, some thousands at a time, in their order in the file.
        notes: what was assumed.
        repairs: what was mended up to here, counted by kind; it grows as chunks are taken.
    """

    format: str
    sensor: tuple[int, int] | None
    chunks: Iterator[Events]
    notes: tuple[str, ...]
    repairs: dict[str, int]


def whole(decoded: Decoded, path: AnyPath) -> Recording:
    """All events of a file, in order and counted from the first one.

    Raises:
        InputError: it holds no events, too many, or some outside its sensor; or it is damaged.
    """
    path = Path(path)
    pieces: list[Events] = []
    count = 0
    for piece in decoded.chunks:
        pieces.append(piece)
        count += len(piece)
        if count > LARGEST_RECORDING:
            raise InputError(
                f"{path}: more than {LARGEST_RECORDING} events are too many for one recording; cut it"
            )
    if not count:
        raise InputError(
            f"{path}: this {decoded.format} file holds no events; leave it out or record it again"
        )
    events = np.concatenate(pieces)
    order, t, repairs = in_order(events["t"])
    if "events out of order" in repairs:
        events = events[order]
    events["t"] = t
    sensor, notes = decoded.sensor, decoded.notes
    if sensor is None:
        sensor = (int(events["x"].max()) + 1, int(events["y"].max()) + 1)
        notes += (SIZE_INFERRED,)
    check_events(events, *sensor, str(path))
    return Recording(
        events, *sensor, decoded.format, decoded.repairs | repairs, notes, decoded.sensor is None
    )
