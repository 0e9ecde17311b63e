"""Events themselves, for what is done to them before they become bins: kept in the cache, mapped into memory.

An event takes eight bytes there: its time in microseconds (32 bits, so up to 71 minutes), its column, and its row with
the polarity in the highest bit.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data import cache
from gemsnn.data.augment import AugmentSpec, augmented
from gemsnn.data.binning import BinSpec, bin_and_tally
from gemsnn.data.events import EVENT, Events, Recording
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.machine import places
from gemsnn.types import Presentation, Progress, class_target

PACKED = np.dtype([("t", "<u4"), ("x", "<u2"), ("y", "<u2")])
ON = np.uint16(1 << 15)
LATEST_US = 2**32
FORMAT = 2


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
    """

    name: str
    read: Callable[[Sequence[int]], Iterator[Recording]]
    width: int
    height: int
    ingredients: Mapping[str, Any] | None
    crop: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class RawEvents:
    """The events of n recordings.

    Attributes:
        packed: of all recordings one after the other, see above.
        starts: int64 ``[n + 1]``; those of recording ``i`` are ``packed[starts[i] : starts[i + 1]]``.
        width: of the sensor, in pixels.
        height: of the sensor.
    """

    packed: NDArray[np.void]
    starts: NDArray[np.int64]
    width: int
    height: int

    def __len__(self) -> int:
        """N."""
        return len(self.starts) - 1

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


def raw_events(source: Source, indices: Sequence[int], *, progress: Progress | None = None) -> RawEvents:
    """The events of the recordings with these presentation indices: from the cache, or read and then kept.

    Raises:
        InputError: a recording is damaged.
    """

    def read() -> Iterator[NDArray[np.void]]:
        recordings: Iterable[Recording] = source.read(indices)
        if progress is not None:
            recordings = progress(recordings, len(indices), f"reading events of {source.name}")
        return (pack(recording.events) for recording in recordings)

    folder = None if source.ingredients is None else places.opened(places.cache_folder(), tell=False)
    if folder is None or source.ingredients is None:
        each = list(read())
        return RawEvents(_joined(each), _starts(map(len, each)), source.width, source.height)
    told = {"raw": FORMAT, **source.ingredients, "indices": cache.digest(np.asarray(indices, np.int64))}
    place = folder / f"events-{cache.key(told)[:32]}"
    kept = _mapped(place, source, len(indices))
    if kept is None:
        try:
            _write(place, read())
        except OSError as error:
            warnings.warn(f"events cannot be kept in {folder} ({error.strerror or error})", stacklevel=2)
            return raw_events(source._replace(ingredients=None), indices)
        kept = _mapped(place, source, len(indices))
        if kept is None:
            return raw_events(source._replace(ingredients=None), indices)
    return kept


def _joined(each: list[NDArray[np.void]]) -> NDArray[np.void]:
    return np.concatenate(each) if each else np.empty(0, PACKED)


def _starts(lengths: Any) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(list(lengths))]).astype(np.int64)


def _write(place: Path, each: Iterator[NDArray[np.void]]) -> None:
    """A folder of the cache, all at once or not at all, one recording in memory at a time."""
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix=place.name, suffix=".tmp"))
    try:
        found, lengths = hashlib.sha256(), []
        with (temporary / "events").open("wb") as file:
            for packed in each:
                content = packed.tobytes()
                found.update(content)
                lengths.append(len(packed))
                file.write(content)
        starts = _starts(lengths)
        (temporary / "starts").write_bytes(starts.tobytes())
        found.update(starts.tobytes())
        (temporary / "sha256").write_text(found.hexdigest())
        if place.exists():
            shutil.rmtree(place)
        temporary.replace(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _mapped(place: Path, source: Source, count: int) -> RawEvents | None:
    """What a folder of the cache holds; nothing if it is missing or damaged."""
    try:
        starts, file = np.fromfile(place / "starts", np.int64), place / "events"
        packed = np.memmap(file, PACKED, "r") if file.stat().st_size else np.empty(0, PACKED)
        found = hashlib.sha256(packed.data)
        found.update(starts.data)
        sound = len(starts) == count + 1 and (place / "sha256").read_text() == found.hexdigest()
        return RawEvents(packed, starts, source.width, source.height) if sound else None
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Augmented:
    """A part of a data set whose recordings come a little different in every epoch.

    Attributes:
        spikes: the recordings as they are.
        raw: their events.
        augment: what is changed.
        bins: how events become spikes.
        seed: addresses what is drawn.
    """

    spikes: SpikeSet
    raw: RawEvents
    augment: AugmentSpec
    bins: BinSpec
    seed: int

    def __post_init__(self) -> None:
        """Check that recordings and events fit one another."""
        if len(self.raw) != len(self.spikes):
            raise InputError(
                f"raw must hold the events of {len(self.spikes)} recordings, not of {len(self.raw)}"
            )
        if self.duration_us > LATEST_US:
            raise InputError(
                "recordings of more than 71 minutes cannot be augmented; take fewer or narrower bins"
            )

    @property
    def duration_us(self) -> int:
        """How long a presentation lasts."""
        return (self.bins.steps or 1) * self.bins.bin_us

    def __len__(self) -> int:
        """The number of recordings."""
        return len(self.spikes)

    def __getitem__(self, position: int) -> Presentation:
        """A recording as it is."""
        return self.spikes[position]

    def at_epoch(self, epoch: int) -> Epoch:
        """The recordings as they are learned in one epoch."""
        return Epoch(self, epoch)


@dataclass(frozen=True)
class Epoch:
    """The recordings of one epoch, see :class:`Augmented`."""

    whole: Augmented
    epoch: int

    def __len__(self) -> int:
        """The number of recordings."""
        return len(self.whole)

    def __getitem__(self, position: int) -> Presentation:
        """A recording, changed before it is binned; its length in bins is the unchanged one's where bins are padded."""
        whole, spikes = self.whole, self.whole.spikes
        raw, address, label = whole.raw, int(spikes.address[position]), int(spikes.labels[position])
        events = augmented(
            raw.events(position), whole.augment, width=raw.width, height=raw.height, duration_us=whole.duration_us,
            seed=whole.seed, epoch=self.epoch, address=address,
        )  # fmt: skip
        rows = bin_and_tally(events, whole.bins, width=raw.width, height=raw.height).rows
        return Presentation(rows, class_target(label, len(rows), spikes.layout.classes), label, address)
