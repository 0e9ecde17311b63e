"""Events themselves, for what is done to them before they become bins: kept in the cache, mapped into memory."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gemsnn.data import cache
from gemsnn.data.augment import AugmentSpec, augmented
from gemsnn.data.binning import BinSpec, bin_and_tally
from gemsnn.data.events import Recording
from gemsnn.data.packing import LATEST_US, PACKED, RawEvents, Source, pack, starts_of
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.machine import places
from gemsnn.types import Presentation, PresentationSequence, Progress, class_target

FORMAT = 2

Recorded = TypeVar("Recorded", bound=PresentationSequence)


def learned(
    spikes: Recorded, augment: AugmentSpec, seed: int, *, progress: Progress | None = None
) -> Recorded | Augmented:
    """Recordings as they are learned: changed anew in every epoch, or as they are where nothing is on.

    Raises:
        InputError: they are to be changed, and their events are not known, or what is on has no effect.
    """
    if not augment.is_on:
        return spikes
    if not isinstance(spikes, SpikeSet) or spikes.source is None or spikes.reading is None:
        raise InputError(
            f"{augment.on[0]} changes events before they are binned, and these recordings are bins by now; give a data "
            "set (gemsnn.dataset) or events (gemsnn.Recordings.from_events), or leave it out"
        )
    if spikes.targets is not None:
        raise InputError(
            f"{augment.on[0]} changes recordings, and would leave their targets as they are; leave it out"
        )
    if augment.swap_polarity and spikes.layout.channels == 1:
        raise InputError("swap_polarity has no effect where polarities are merged; leave it out")
    raw = raw_events(spikes.source, spikes.address.tolist(), progress=progress)
    return Augmented(spikes, raw, augment, replace(spikes.reading.bins, crop=raw.crop), seed)


def raw_events(
    source: Source | RawEvents, indices: Sequence[int], *, progress: Progress | None = None
) -> RawEvents:
    """The events of the recordings with these presentation indices: at hand, from the cache, or read and then kept.

    Raises:
        InputError: a recording is damaged.
    """
    if isinstance(source, RawEvents):
        return source.of(indices)

    def read() -> Iterator[NDArray[np.void]]:
        recordings: Iterable[Recording] = source.read(indices)
        if progress is not None:
            recordings = progress(recordings, len(indices), f"reading events of {source.name}")
        return (pack(recording.events) for recording in recordings)

    folder = None if source.ingredients is None else places.opened(places.cache_folder(), tell=False)
    if folder is None or source.ingredients is None:
        return RawEvents.join(list(read()), source.width, source.height, source.crop)
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
        starts = starts_of(lengths)
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
        return RawEvents(packed, starts, source.width, source.height, source.crop) if sound else None
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
