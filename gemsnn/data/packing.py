"""Events held in eight bytes each: the time in microseconds, the column, and the row with the polarity.

The time takes 32 bits, so up to 71 minutes; the polarity is the highest bit of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import EVENT, Events, Recording

PACKED = np.dtype([("t", "<u4"), ("x", "<u2"), ("y", "<u2")])
ON = np.uint16(1 << 15)
LATEST_US = 2**32

Box = tuple[int, int, int, int]
"""Corner, width and height in pixels."""


class Source(NamedTuple):
    """Where the events of a part's recordings come from.

    Attributes:
        name: of the data set, for the progress bar.
        read: the recordings with these presentation indices, one by one.
        width: of the sensor, in pixels.
        height: of the sensor.
        ingredients: everything that shapes the events, for the cache; ``None`` where that is not known.
        crop: the part of the sensor that is looked at, as :class:`~gemsnn.data.binning.BinSpec` has it: in pixels of
            these recordings, of which a file may hold a part of the sensor alone.
        data: the data set's name among the settings, where it was loaded by one.
    """

    name: str
    read: Callable[[Sequence[int]], Iterator[Recording]]
    width: int
    height: int
    ingredients: Mapping[str, Any] | None
    crop: Box | None = None
    data: str = ""


@dataclass(frozen=True, eq=False)
class RawEvents:
    """The events of n recordings.

    Attributes:
        packed: of all recordings one after the other, of the dtype :data:`PACKED`.
        starts: int64 ``[n + 1]``; those of recording ``i`` are ``packed[starts[i] : starts[i + 1]]``.
        width: of the sensor, in pixels.
        height: of the sensor.
        crop: the part of it that is looked at, see :class:`Source`.
    """

    packed: NDArray[np.void]
    starts: NDArray[np.int64]
    width: int
    height: int
    crop: Box | None = None

    def __len__(self) -> int:
        """The number of recordings n."""
        return len(self.starts) - 1

    @staticmethod
    def join(each: Sequence[NDArray[np.void]], width: int, height: int, crop: Box | None = None) -> RawEvents:
        """Those of recordings, each packed."""
        packed = np.concatenate(each) if each else np.empty(0, PACKED)
        return RawEvents(packed, starts_of(map(len, each)), width, height, crop)

    def of(self, positions: Sequence[int]) -> RawEvents:
        """Those of some recordings, in this order."""
        if list(positions) == list(range(len(self))):
            return self
        each = [self.packed[self.starts[i] : self.starts[i + 1]] for i in positions]
        return RawEvents.join(each, self.width, self.height, self.crop)

    def events(self, position: int) -> Events:
        """The events of one recording."""
        held = self.packed[self.starts[position] : self.starts[position + 1]]
        events = np.empty(len(held), EVENT)
        events["t"], events["x"] = held["t"], held["x"]
        events["y"], events["on"] = held["y"] & ~ON, held["y"] >= ON
        return events


def pack(events: Events) -> NDArray[np.void]:
    """Events in eight bytes each; those after :data:`LATEST_US` or before 0 are left out."""
    events = events[(events["t"] >= 0) & (events["t"] < LATEST_US)]
    packed = np.empty(len(events), PACKED)
    packed["t"], packed["x"] = events["t"], events["x"]
    packed["y"] = events["y"].astype(np.uint16) | np.where(events["on"], ON, np.uint16(0))
    return packed


def starts_of(lengths: Iterable[int]) -> NDArray[np.int64]:
    """Where recordings of these lengths begin that lie one after the other, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(list(lengths))]).astype(np.int64)
