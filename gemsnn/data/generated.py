"""Emulated data sets: images shown to the emulated event camera, binned, and kept in the cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gemsnn import rng
from gemsnn.data import cache, copies, parts
from gemsnn.data.binning import Binned, BinSpec, bin_and_tally
from gemsnn.data.camera import MNIST_DVS_SCALE4, EmulatorSpec
from gemsnn.data.emulator import ALGORITHM, emulate
from gemsnn.data.events import Recording
from gemsnn.data.image_sets import ImageSet, numbering, read_images
from gemsnn.data.images import Images, digits_images, framed
from gemsnn.data.packing import Box, Source
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.data.tally import Tally
from gemsnn.errors import InputError, one_line
from gemsnn.rows import SpikeRows
from gemsnn.specs import checks
from gemsnn.specs.checks import Count
from gemsnn.types import AnyPath, Progress

_SPLIT_SEED = 20
"""Splits are the same for every user and every seed."""

_DIGITS_TEST, _DIGITS_VALIDATION = 357, 240
_AT_A_TIME = 64


def emulate_set(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    emulator: EmulatorSpec,
    bins: BinSpec,
    *,
    classes: int,
    seed: int,
    index: NDArray[np.int64] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    description: str = "emulating",
) -> SpikeSet:
    """Show images to the emulated camera and bin what it reports.

    Args:
        images: uint8 ``[n, h, w]``.
        labels: int64 ``[n]``.
        emulator: the camera.
        bins: the bins.
        classes: number of classes.
        seed: with an image's index it addresses the randomness of its recording.
        index: int64 ``[n]``, the images' own numbers; ``0 .. n - 1`` if left out.
        threads: how many work at once (two if left out, where there are two cores); the result is the same.
        progress: shows how far the work is.
        description: what the progress bar says.

    Raises:
        InputError: images, labels or index have the wrong type, or are not as many as one another.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 3:
        raise InputError("images must be an array of uint8 [n, height, width]")
    if threads is not None:
        checks.number(threads, Count, "threads")
    index = np.arange(len(images)) if index is None else index
    for name, column in (("labels", labels), ("index", index)):
        if not isinstance(column, np.ndarray) or column.dtype != np.int64 or column.shape != (len(images),):
            raise InputError(f"{name} must be an array of {len(images)} int64 numbers, one an image")
    layout = bins.layout(emulator.width, emulator.height, classes)

    def one(position: int) -> Binned:
        events = emulate(images[position], emulator, seed=seed, index=int(index[position]))
        return bin_and_tally(events, bins, width=emulator.width, height=emulator.height)

    made: Iterable[Binned] = _in_order(one, len(images), threads or min(2, os.cpu_count() or 1))
    if progress is not None:
        made = progress(made, len(images), description)
    tallies = np.zeros((len(images), len(Tally._fields)), np.int64)

    def rows() -> Iterator[SpikeRows]:
        for position, (found, became) in enumerate(made):
            tallies[position] = became
            yield found

    spikes = SpikeSet.from_bins(rows(), labels.tolist(), layout, counts=bins.counts)
    return replace(spikes, address=index, tallies=tallies)


def _in_order(work: Callable[[int], Binned], count: int, threads: int) -> Iterator[Binned]:
    """``work(0), work(1), ...`` by several threads; few results wait at a time, as unpacked ones are large."""
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, count, _AT_A_TIME):
            yield from pool.map(work, range(start, min(start + _AT_A_TIME, count)))


def load_digits_events(
    bins: BinSpec | None = None,
    emulator: EmulatorSpec = MNIST_DVS_SCALE4,
    seed: int = 0,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Splits:
    """The embedded data set: scikit-learn's 1,797 handwritten digits before the emulated camera.

    Recordings are made when first asked for (some seconds) and kept in the cache. 1,200 are for training, 240
    for validation, 357 for testing, in a split that is the same for every seed. The digits are redrawn as tall
    and as bold as MNIST's first (:func:`gemsnn.data.images.framed`).

    Args:
        bins: the bins; 80 of 25 ms if left out.
        emulator: the camera.
        seed: addresses the randomness of the recordings.
        limit: keep only this many recordings of training and validation together, in their ratio; every class
            has as many as any other, give or take one. Of the test part the same share is kept. What is left out is
            not emulated.
        progress: shows how far the work is.
    """
    small = digits_images()
    every = split(small.labels, _DIGITS_TEST, _DIGITS_VALIDATION)
    positions = limited(every, limit)
    digits = ImageSet(Images(framed(small.images), small.labels), ("digits",), (0,))
    note = "digits: the 1,797 handwritten digits of scikit-learn, seen by an emulated event camera"
    notes = (note, *_limit_notes(every, positions))
    made = partial(_emulated, "digits", digits.source, emulator, bins or BinSpec(), seed, progress)
    return _pick(made, positions, digits, "digits", notes)


def load_image_events(
    root: AnyPath,
    bins: BinSpec | None = None,
    emulator: EmulatorSpec = MNIST_DVS_SCALE4,
    seed: int = 0,
    *,
    limit: int | None = None,
    validation: float = 0.1,
    progress: Progress | None = None,
) -> Splits:
    """Any labelled images before the emulated camera.

    10 % of the recordings are for testing, in a split that depends on the labels alone. A recording's index is
    its image's position in the files, taken in order of their names.

    Args:
        root: an image file (see :func:`gemsnn.data.images.load_images`) or a folder of such files.
        bins: the bins; 80 of 25 ms if left out.
        emulator: the camera.
        seed: addresses the randomness of the recordings.
        validation: the share of the others that is for validation, at least one recording.
        limit: as in :func:`load_digits_events`.
        progress: shows how far the work is.

    Raises:
        InputError: a file cannot be used, images differ in size, or there are too few for a split.
    """
    root = Path(root)
    images = read_images(root)
    source = images.source
    total = len(source.labels)
    if not 0 < validation < 1:
        raise InputError(f"validation must lie between 0 and 1, not {validation}")
    tested = round(total / 10)
    held = min(max(round(validation * (total - tested)), 1), total - tested - 1)
    if tested < 1 or held < 1:
        raise InputError(f"{root}: {total} images are too few to split; give at least 10")
    every = split(source.labels, tested, held)
    positions = limited(every, limit)
    note = f"images: {sum(map(len, positions))} of {total} images, seen by an emulated event camera"
    shown = {"training": source.labels[positions[0]], "test": source.labels[positions[2]]}
    names = {label: str(label) for label in np.unique(source.labels).tolist()}
    missing = parts.missing_classes({part: found.tolist() for part, found in shown.items()}, names)
    notes = (note, *_limit_notes(every, positions), *images.notes, *numbering(source.labels), *missing)
    made = partial(_emulated, "images", source, emulator, bins or BinSpec(), seed, progress)
    return replace(_pick(made, positions, images, root, notes), divided=False)


Parts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Positions of the training, validation and test recordings, each part with its classes interleaved."""


def split(labels: NDArray[np.int64], test: int, validation: int) -> Parts:
    """A stratified split, always the same for the same labels.

    Every example has a rank within its class (at random) and, by that rank over the size of its class, a
    place in one common order; so every stretch of this order holds all classes in proportion. Its first
    ``test`` examples are the test part, the next ``validation`` the validation part, and the rest is for training.
    """
    random = rng.generator(_SPLIT_SEED, "split")
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = np.lexsort((labels, place))
    return order[test + validation :], order[test : test + validation], order[:test]


def limited(every: Parts, limit: int | None) -> Parts:
    """The first recordings of training and validation, ``limit`` in all, and the same share of the test part.

    All in the ratio of the parts, at least one of each.
    """
    train, validation, test = every
    total = len(train) + len(validation)
    if limit is None or limit >= total:
        return every
    if limit < 2:
        raise InputError(
            f"limit must be at least 2, one recording for training and one for validation, not {limit}"
        )
    kept = min(max(round(limit * len(validation) / total), 1), limit - 1)
    return train[: limit - kept], validation[:kept], test[: parts.share_of(len(test), limit, total)]


def _emulated(
    name: str,
    source: Images,
    emulator: EmulatorSpec,
    bins: BinSpec,
    seed: int,
    progress: Progress | None,
    index: NDArray[np.int64],
) -> SpikeSet:
    """Recordings of the images with these numbers, from the cache or new; the cache keeps both polarities."""
    images, labels, classes = source.images[index], source.labels[index], int(source.labels.max()) + 1
    kept = replace(bins, polarity="two")
    ingredients = {
        "algorithm": ALGORITHM,
        "emulator": emulator,
        "bins": kept,
        "seed": seed,
        "classes": classes,
        "images": cache.digest(images),
        "labels": cache.digest(labels),
        "index": cache.digest(index),
    }
    make = partial(emulate_set, images, labels, emulator, kept, classes=classes, seed=seed, index=index)
    spikes = cache.recall(
        name, ingredients, partial(make, progress=progress, description=f"emulating {name}")
    )
    spikes = spikes.merged() if bins.polarity == "merged" else spikes
    return replace(spikes, source=_source(name, source, emulator, seed, bins.crop))


def _source(name: str, images: Images, emulator: EmulatorSpec, seed: int, crop: Box | None) -> Source:
    """Where the events of emulated recordings come from: the camera, once more."""
    ingredients = {
        "algorithm": ALGORITHM, "emulator": emulator, "seed": seed, "images": cache.digest(images.images),
    }  # fmt: skip
    return Source(name, _Seen(images, emulator, seed), emulator.width, emulator.height, ingredients, crop)


@dataclass(frozen=True)
class _Seen:
    """Recordings of images by their numbers."""

    images: Images
    emulator: EmulatorSpec
    seed: int

    def __call__(self, indices: Sequence[int]) -> Iterator[Recording]:
        camera = self.emulator
        for index in indices:
            events = emulate(self.images.images[index], camera, seed=self.seed, index=index)
            yield Recording(events, camera.width, camera.height, "emulated", {})


def _limit_notes(every: Parts, kept: Parts) -> tuple[str, ...]:
    (train, validation, test), (all_train, all_validation, all_test) = map(len, kept), map(len, every)
    total = all_train + all_validation
    if train + validation == total:
        return ()
    return (parts.limit_note(train + validation, total, test, all_test),)


def _pick(
    made: Callable[[NDArray[np.int64]], SpikeSet],
    positions: Parts,
    images: ImageSet,
    where: object,
    notes: tuple[str, ...],
) -> Splits:
    """The parts, with what a user should know of them.

    Args:
        made: gives the recordings of the images with these numbers, in this order.
        positions: the numbers that each part has.
        images: the set of images.
        where: what a sentence about them calls them.
        notes: what is known already.
    """
    wanted = np.sort(np.concatenate(positions))
    whole = made(wanted)
    train, validation, test = (whole.select(np.searchsorted(wanted, part)) for part in positions)
    splits = Splits(train, validation, test)
    marked = {part: images.marks(found) for part, found in zip(splits.parts, positions, strict=True)}
    notes += (*parts.look_at(splits, where, images.name), *copies.between(marked))
    return replace(splits, notes=tuple(map(one_line, notes)))
