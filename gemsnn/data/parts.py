"""From a list of recordings to the parts of a data set: read, binned, split, and what a user should know of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gemsnn import rng
from gemsnn.data import building, cache, content, copies, tally
from gemsnn.data.binning import BinSpec
from gemsnn.data.building import Binned, Damaged, Item, Job, Prepare, Read
from gemsnn.data.cache import Kept
from gemsnn.data.copies import Marked
from gemsnn.data.events import Recording, mended
from gemsnn.data.packing import Source
from gemsnn.data.spikeset import SpikeSet, interleaved
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError, one_line
from gemsnn.types import Progress

READERS = 2
"""Version of what reading and binning do: raised whenever they give other spikes for the same files."""

HELD_OUT = 0.2
"""The fraction held out for testing where the official test part is absent."""


@dataclass(frozen=True)
class Listing:
    """A data set before it is read.

    Attributes:
        name: the data set's, for the progress bar.
        where: the folder or file, for messages.
        train: recordings for training and validation.
        test: recordings for testing.
        read: the recordings of items, one by one; a function of a module, or a value that can be pickled, since it is
            called in processes of their own.
        prepare: what is done to a recording before it is binned; ``None`` for nothing.
        width: sensor width in pixels.
        height: sensor height in pixels.
        classes: how many classes there are.
        notes: what a user should know already.
        seen: what was noticed of the events, for the refusal of a part without spikes.
        names: of the classes, in the order of their labels; by default their numbers.
        validation: recordings for validation, where the data set has such a part; else a share of ``train`` is taken.
        divided: whether ``test`` is the data set's own part, and was not held out here.
    """

    name: str
    where: object
    train: Sequence[Item]
    test: Sequence[Item]
    read: Read
    width: int
    height: int
    classes: int
    notes: tuple[str, ...] = ()
    prepare: Prepare | None = None
    seen: str = ""
    names: tuple[str, ...] = ()
    validation: Sequence[Item] | None = None
    divided: bool = True


def load(
    listing: Listing, spec: BinSpec, *, limit: int | None, validation: float, progress: Progress | None,
    skip_damaged: bool = False,
) -> Splits:  # fmt: skip
    """Read, bin and split.

    Args:
        listing: the data set.
        spec: the bins.
        limit: read only so many recordings of training and validation together, classes interleaved, and the same
            share of the test part.
        validation: the fraction of the training part cut off for validation.
        progress: wraps the items as they are read, to show a bar.
        skip_damaged: leave out damaged recordings, which a note names and counts.

    Raises:
        InputError: numbers out of range, a damaged file, or a part without spikes.
    """
    if not 0 <= validation < 1:
        raise InputError(f"the validation fraction must be at least 0 and below 1, not {validation}")
    reader = _Reader(listing, spec, progress, skip=skip_damaged)
    own = listing.validation or ()
    total = len(listing.train) + len(own)
    held = share_of(len(own), limit, total)
    chosen = first(listing.train, limit if limit is None or not held else max(limit - held, 1))
    train = reader.binned(chosen, "training")
    if listing.validation is None:
        train, validate = split_validation(train, validation)
    else:
        validate = reader.binned(first(own, held), "validation")
    tested = share_of(len(listing.test), limit, total)
    test = listing.test if tested == len(listing.test) else first(listing.test, tested)
    splits = Splits(train, validate, reader.binned(test, "test"), divided=listing.divided)
    every = (*listing.train, *(listing.validation or ()), *listing.test)
    name = {item.index: item.name for item in every}.__getitem__
    marked = {part: reader.marks(spikes, name) for part, spikes in splits.parts.items()}
    told = ()
    if limit is not None and tested < len(listing.test):
        told = (limit_note(limit, total, tested, len(listing.test)),)
    notes = (*listing.notes, *told, *reader.told(), *look_at(splits, listing.where, name, listing.seen))
    source = Source(
        listing.name, _Events(listing), listing.width, listing.height, reader.ingredients(chosen), spec.crop
    )
    notes = tuple(map(one_line, (*notes, *copies.between(marked))))
    return replace(splits, train=replace(train, source=source), notes=notes)


@dataclass(frozen=True)
class _Events:
    """The recordings of a listing's training part, by their indices, as they are before they are binned."""

    listing: Listing

    def __call__(self, indices: Sequence[int]) -> Iterator[Recording]:
        by_index = {item.index: item for item in self.listing.train}
        items = [by_index[index] for index in indices]
        for item, recording in zip(items, self.listing.read(items), strict=True):
            yield recording if self.listing.prepare is None else self.listing.prepare(item, recording)


class _Reader:
    """Reads and bins the items of one part after the other; what was mended and left out adds up."""

    def __init__(self, listing: Listing, spec: BinSpec, progress: Progress | None, *, skip: bool) -> None:
        self.listing = listing
        self.job = Job(listing.read, listing.prepare, spec, skip)
        self.wrap = progress or (lambda items, *_: items)
        self.notes: list[str] = []
        self.repairs: Counter[str] = Counter()
        self.content: dict[int, str | None] = {}
        """The digests of what a network gets of recordings, or of their events where something random was done to
        those; by index, none where they hold nothing."""

    def binned(self, items: Sequence[Item], part: str) -> SpikeSet:
        """The items' recordings, each content of a class once."""
        kept = self._recalled(items, part)
        facts = kept.facts
        self.repairs.update(facts["repairs"])
        self.notes += [note for note in facts["notes"] if note not in self.notes]
        self.content |= dict(zip(kept.spikes.address.tolist(), facts["content"], strict=True))
        names = self.listing.names
        return replace(kept.spikes, names=names) if names else kept.spikes

    def _recalled(self, items: Sequence[Item], part: str) -> Kept:
        """From the cache, where the content of all files is known; else read."""
        known = self.ingredients(items)
        if known is None:
            return self._read(items, part, 0)
        size = content.size_of(dict.fromkeys(item.path for item in items if item.path is not None))
        # where recordings may be left out, a note names them with their places
        known |= {"bins": self.job.spec, "skip": str(self.listing.where) if self.job.skip else None}
        return cache.recalled("recordings", known, lambda: self._read(items, part, size))

    def ingredients(self, items: Sequence[Item]) -> dict[str, Any] | None:
        """What shapes the events of items; nothing where the content of their files is not known."""
        listing, paths = self.listing, [item.path for item in items if item.path is not None]
        if not items or len(paths) < len(items):
            return None
        known = content.digests(Path(str(listing.where)), paths)

        def plain(value: object) -> object:
            # of a place counts what lies there
            return known.get(value, value.name) if isinstance(value, Path) else cache.plain(value)

        told = [
            (item.name, item.label, item.index, known[path], item.source)
            for item, path in zip(items, paths, strict=True)
        ]
        return {
            "readers": READERS,
            "read": _said(listing.read),
            "prepare": _said(listing.prepare),
            "sensor": (listing.width, listing.height, listing.classes),
            "items": hashlib.sha256(json.dumps(told, default=plain).encode()).hexdigest(),
        }

    def _read(self, items: Sequence[Item], part: str, size: int) -> Kept:
        listing, spec = self.listing, self.job.spec
        done = self.wrap(
            building.build(self.job, items, size=size), len(items), f"reading {listing.name}, {part} part"
        )
        whole: list[tuple[Item, Binned]] = []
        damaged: list[Damaged] = []
        for item, each in zip(items, done, strict=True):
            if isinstance(each, Damaged):
                damaged.append(each)
            else:
                whole.append((item, each))
        labels = [item.label for item, _ in whole]
        layout = spec.layout(listing.width, listing.height, listing.classes)
        spikes = SpikeSet.from_bins((each.rows for _, each in whole), labels, layout, counts=spec.counts)
        tallies = np.array([each.tally for _, each in whole], np.int64).reshape(-1, len(tally.Tally._fields))
        spikes = replace(
            spikes, address=np.array([item.index for item, _ in whole], np.int64), tallies=tallies
        )
        found = copies.find([Marked(each.content, item.label, item.name) for item, each in whole])
        if not found.first.all():
            spikes = spikes.select(np.flatnonzero(found.first))
        marks = [
            each.content if listing.prepare else each.rows.digest() if len(each.rows.held) else None
            for (_, each), first in zip(whole, found.first, strict=True)
            if first
        ]
        repairs: Counter[str] = Counter()
        for _, each in whole:
            repairs.update(each.repairs)
        notes = [*copies.notes("recordings", found), *_damaged(damaged, len(items))]
        return Kept(spikes, {"repairs": dict(repairs), "notes": notes, "content": marks})

    def marks(self, spikes: SpikeSet, name: Callable[[int], str]) -> list[Marked]:
        """What identifies the content of recordings."""
        labelled = zip(spikes.address.tolist(), spikes.labels.tolist(), strict=True)
        return [Marked(self.content[index], label, name(index)) for index, label in labelled]

    def told(self) -> Iterator[str]:
        """What was mended and left out, in sentences."""
        yield from mended(self.repairs)
        yield from self.notes


def _damaged(found: Sequence[Damaged], total: int) -> tuple[str, ...]:
    """A sentence about damaged recordings that were left out."""
    if not found:
        return ()
    named = tally.listed([each.why for each in found[: tally.NAMED]], len(found))
    return (f"Damaged recordings were left out: {len(found)} of {total} ({named}).",)


def _said(value: object) -> str | None:
    """What a function or a frozen value is, in words that are the same in every process."""
    if value is None:
        return None
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name else f"{type(value).__module__}.{value!r}"


def look_at(splits: Splits, where: object, name: Callable[[int], str], seen: str = "") -> tuple[str, ...]:
    """Sentences about recordings that keep few of their events in the bins; a part without spikes is refused.

    Args:
        splits: with tallies.
        where: the data set, for messages.
        name: the name of a recording by its index.
        seen: what was noticed of the events.

    Raises:
        InputError: a part without spikes.
    """
    parts = {part: spikes.tallies for part, spikes in splits.parts.items() if spikes.tallies is not None}
    tally.check_spikes(parts, where, seen)
    index = np.concatenate([spikes.address for spikes in splits.parts.values()])
    tallies = np.concatenate(list(parts.values()))
    return tally.notes(tallies, lambda position: name(int(index[position])))


def split_validation(train: SpikeSet, fraction: float) -> tuple[SpikeSet, SpikeSet]:
    """Cut a validation part from a training part: stratified, and the same whatever seed training uses.

    Of the ``n`` recordings of a class, ``round(fraction n)`` are taken, those whose index has the smallest
    hash; at least one recording in all if there are two. Both parts keep the order of ``train``.

    Args:
        train: the recordings.
        fraction: ``0 <= fraction < 1``.

    Returns:
        What remains for training, and the validation part.

    Raises:
        InputError: a fraction out of range.
    """
    if not 0 <= fraction < 1:
        raise InputError(f"the validation fraction must be at least 0 and below 1, not {fraction}")
    rank = np.array([rng.derive(0, "validation", int(index)) for index in train.address], np.uint64)
    chosen = np.zeros(len(train), bool)
    for label in np.unique(train.labels):
        members = np.flatnonzero(train.labels == label)
        chosen[members[np.argsort(rank[members])][: int(fraction * len(members) + 0.5)]] = True
    if chosen.all():
        chosen[np.argsort(rank)[-1:]] = False  # training needs one
    if fraction > 0 and len(train) > 1 and not chosen.any():
        chosen[np.argmin(rank)] = True
    return train.select(np.flatnonzero(~chosen)), train.select(np.flatnonzero(chosen))


def first(items: Sequence[Item], limit: int | None) -> list[Item]:
    """The first ``limit`` items, classes interleaved: the first of each class, then the second of each, .."""
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1 recording, not {limit}")
    return [items[position] for position in interleaved([item.label for item in items])[:limit]]


def share_of(count: int, limit: int | None, total: int) -> int:
    """How many of ``count`` recordings of a part go with ``limit`` of ``total``; at least one, where there are any."""
    return count if limit is None or limit >= total else min(max(round(count * limit / total), 1), count)


def limit_note(kept: int, total: int, tested: int, of: int) -> str:
    """What a limit has left of the data, for :attr:`Splits.notes`."""
    return (
        f"limit: {kept} of {total} recordings to learn from and validate with, and in the same proportion {tested} of "
        f"{of} to test on."
    )


def part_of(count: int, fraction: float) -> int:
    """The fraction of a count, rounded; at least 1, but not all."""
    return min(max(1, int(fraction * count + 0.5)), count - 1)


def hold_out_by_class(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Split off the last :data:`HELD_OUT` of each class, in the given order; of one recording nothing."""
    held: set[int] = set()
    for label in {item.label for item in items}:
        members = [item.index for item in items if item.label == label]
        held.update(members[len(members) - part_of(len(members), HELD_OUT) :])
    return [item for item in items if item.index not in held], [item for item in items if item.index in held]


def held_out_note(absent: str, taken: str, count: int) -> str:
    """What was done for want of an official test part."""
    return (
        f"The official test part is absent (no {absent}): {taken} ({count} recordings) are held out as test."
    )


def missing_classes(labels: Mapping[str, Iterable[int]], names: Mapping[int, str]) -> tuple[str, ...]:
    """A sentence for each part in which some of the classes never occur.

    Args:
        labels: of the recordings of each part, by its name.
        names: of the classes, by their labels.
    """
    notes = []
    for part, found in labels.items():
        missing = sorted(set(names) - set(found))
        if missing:
            named = tally.listed([names[label] for label in missing[: tally.MOST_NAMED]], len(missing))
            notes.append(f"The {part} part has no recordings of class {named}.")
    return tuple(notes)


def missing_in(train: Sequence[Item], test: Sequence[Item], classes: int | Sequence[str]) -> tuple[str, ...]:
    """:func:`missing_classes` of lists of items; classes by their names, or how many there are."""
    names = [str(label) for label in range(classes)] if isinstance(classes, int) else classes
    labels = {"training": (item.label for item in train), "test": (item.label for item in test)}
    return missing_classes(labels, dict(enumerate(names)))
