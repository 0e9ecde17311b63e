"""Data sets of event recordings, from files to binned and split spike sets.

Every loader gives each recording a presentation index of its own, which depends on what the data set holds
but not on ``limit``: with the seed it addresses all noise that the recording will meet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gemsnn import rng
from gemsnn.data.binning import BinSpec, bin_events
from gemsnn.data.deflicker import process
from gemsnn.data.events import Recording
from gemsnn.data.readers.files import MAGIC_HDF5, first_bytes, read_bytes
from gemsnn.data.readers.hdf5 import (
    CROPPED,
    ORIGIN,
    open_hdf5,
    read_array,
    read_part,
    sensor_side,
    to_recording,
)
from gemsnn.data.readers.mnist_dvs import DvsFile, choose, find_mnist_dvs, read_files
from gemsnn.data.readers.nmnist import SIDE as NMNIST_SIDE
from gemsnn.data.readers.nmnist import read_nmnist
from gemsnn.data.spikeset import SpikeSet, Splits
from gemsnn.errors import InputError
from gemsnn.types import Layout, Progress

__all__ = ["DvsFile", "find_mnist_dvs", "load_hdf5", "load_mnist_dvs", "load_nmnist", "split_validation"]

CLASSES = 10
MNIST_DVS_BINS = BinSpec(25_000, 80, crop=(48, 48, 26, 26))
"""H. Jang and O. Simeone (arXiv 2007.11894): 80 bins of 25 ms, 26 x 26 pixels, for scale 4."""

NMNIST_BINS = BinSpec(5_000, 60)
"""60 bins of 5 ms: the three saccades of 0.1 s."""

LAST_TRAINING_NUMBER = 900
"""MNIST-DVS: files 0001 .. 0900 of each digit train, 0901 .. 1000 test."""

HELD_OUT = 0.2
"""The fraction held out for testing where the official test part is absent."""


@dataclass(frozen=True)
class Item:
    """A recording to be read: its label, its presentation index, and where it is."""

    label: int
    index: int
    source: Any


def load_mnist_dvs(
    root: str | Path,
    spec: BinSpec = MNIST_DVS_BINS,
    *,
    scale: int = 4,
    deflicker: bool = False,
    seed: int = 0,
    limit: int | None = None,
    validation: float = 0.1,
    progress: Progress | None = None,
) -> Splits:
    """Load MNIST-DVS from folders, from its zip files, or from the group's HDF5 file (:func:`load_hdf5`).

    Files 901 .. 1000 of each digit are the test part. Where no digit has any, the last 20 % of each digit are
    held out instead, which a note tells.

    Args:
        root: the folder (recordings at any depth), a zip file, or an HDF5 file.
        spec: the bins.
        scale: 4, 8 or 16. The default crop suits 4.
        deflicker: apply the authors' pre-processing (:mod:`gemsnn.data.deflicker`) to raw recordings.
            Processed ones stay as they are, which a note tells.
        seed: of the pre-processing's noise.
        limit: read only this many recordings of training and validation together, classes interleaved (the
            first of each class, then the second of each, ..). The test part is not limited.
        validation: the fraction of the training part cut off for validation, see :func:`split_validation`.
        progress: wraps the files as they are read, to show a bar.

    Raises:
        InputError: nothing found, a damaged file (it is named), or numbers out of range.
    """
    root = Path(root)
    if root.is_file() and first_bytes(root).startswith(MAGIC_HDF5):
        splits = load_hdf5(root, spec, limit=limit, validation=validation, progress=progress)
        note = "De-flickering is not applied to an HDF5 file: what was done to its events is not known."
        return replace(splits, notes=(*splits.notes, note)) if deflicker else splits
    if scale not in (4, 8, 16):
        raise InputError(f"scale must be 4, 8 or 16, not {scale}")
    found, notes = choose(find_mnist_dvs(root, scale))
    items = [Item(entry.digit, CLASSES * entry.number + entry.digit, entry) for entry in found]
    test = [item for item in items if item.source.number > LAST_TRAINING_NUMBER]
    train = [item for item in items if item.source.number <= LAST_TRAINING_NUMBER]
    if not train:
        raise InputError(
            f"{root}: only test recordings (numbers above 900) of scale {scale} are here; add the others"
        )
    if not test:
        train, test = _hold_out_by_class(train)
        notes += (_held_out_note("numbers 0901 .. 1000", "the last 20 % of each digit", len(test)),)
    notes += _missing_classes_note(train, test)
    if deflicker and found[0].processed:
        deflicker = False
        notes += ("The recordings are processed already, so de-flickering was not applied again.",)

    def read(chosen: Sequence[Item], wrapped: Iterable[Item]) -> Iterator[Recording]:
        recordings = read_files(item.source for item in wrapped)
        for item, recording in zip(chosen, recordings, strict=True):
            noise = rng.generator(seed, "deflicker", item.index)
            yield recording._replace(events=process(recording.events, noise)) if deflicker else recording

    layout = _layout(spec, 128, 128)
    return _splits(
        train, test, read, partial(_bin, spec, layout), limit, validation, progress, "MNIST-DVS", notes
    )


def load_nmnist(
    root: str | Path,
    spec: BinSpec = NMNIST_BINS,
    *,
    limit: int | None = None,
    validation: float = 0.1,
    progress: Progress | None = None,
) -> Splits:
    """Load N-MNIST from ``Train/<digit>/<id>.bin`` and ``Test/<digit>/<id>.bin``.

    Where there is no ``Test``, the 20 % of recordings with the highest ids are held out, which a note tells.

    Args:
        root: the folder with ``Train`` in it, or ``Train`` itself.
        spec: the bins.
        limit: as in :func:`load_mnist_dvs`.
        validation: the fraction of the training part cut off for validation, see :func:`split_validation`.
        progress: wraps the files as they are read, to show a bar.

    Raises:
        InputError: nothing found, a label folder other than 0 .. 9, or a damaged file (it is named).
    """
    root = Path(root)
    if not root.exists():
        raise InputError(f"{root}: there is no such folder; check the path of the data set")
    if root.name == "Train" and not (root / "Train").is_dir():
        root = root.parent
    train_files = _nmnist_files(root / "Train")
    test_files = _nmnist_files(root / "Test")
    if not train_files:
        raise InputError(f"{root}: no file Train/<digit>/<id>.bin is here; give the folder that holds Train")
    listed = [Item(label, index, path) for index, (label, path) in enumerate([*train_files, *test_files])]
    train, test = listed[: len(train_files)], listed[len(train_files) :]
    notes: tuple[str, ...] = ()
    if not test:
        kept = len(train) - _part_of(len(train), HELD_OUT)
        train, test = train[:kept], train[kept:]
        notes = (
            _held_out_note(
                "files Test/<digit>/<id>.bin", "the 20 % of recordings with the highest ids", len(test)
            ),
        )
    notes += _missing_classes_note(train, test)

    def read(_: Sequence[Item], wrapped: Iterable[Item]) -> Iterator[Recording]:
        return (read_nmnist(read_bytes(item.source), str(item.source)) for item in wrapped)

    layout = _layout(spec, NMNIST_SIDE, NMNIST_SIDE)
    return _splits(
        train, test, read, partial(_bin, spec, layout), limit, validation, progress, "N-MNIST", notes
    )


def load_hdf5(
    path: str | Path,
    spec: BinSpec = MNIST_DVS_BINS,
    *,
    limit: int | None = None,
    validation: float = 0.1,
    progress: Progress | None = None,
) -> Splits:
    """Load events from one HDF5 file of the layout in :mod:`gemsnn.data.readers.hdf5`.

    The file does not tell its sensor's size. If the first recordings (up to 50) have no coordinate above 25,
    the file holds 26 x 26 pixels that were cut out at (48, 48): a crop, given in pixels of the sensor, is
    moved there and must lie within. Otherwise the sensor has 128 x 128 pixels and the crop applies as it is.
    Polarity 1 is taken as ON.

    Args:
        path: the file.
        spec: the bins.
        limit: as in :func:`load_mnist_dvs`.
        validation: the fraction of the training part cut off for validation, see :func:`split_validation`.
        progress: wraps the recordings as they are read, to show a bar.

    Raises:
        InputError: missing or damaged file, other contents, labels out of range, or a crop beyond the pixels.
    """
    path = Path(path)
    where = str(path)
    if not first_bytes(path).startswith(MAGIC_HDF5):
        raise InputError(f"{where}: this is not an HDF5 file; give a file of events in HDF5")
    with open_hdf5(path) as file:
        parts = {name: read_part(file, name, where) for name in ("train", "test")}
        train, test = [], []
        for name, items in (("train", train), ("test", test)):
            part = parts[name]
            for key, label in zip(part.names, part.labels, strict=True) if part else ():
                if not 0 <= label < CLASSES:
                    raise InputError(
                        f"{where}: label {label} of /{name}/{key} is out of range; labels must be 0 .. 9"
                    )
                items.append(Item(label, len(train) + len(test), f"{name}/{key}"))
        if not train:
            raise InputError(
                f"{where}: there are no recordings /train/0, /train/1, .. here; give an event data set"
            )
        notes: tuple[str, ...] = ()
        if not test:
            train, test = _hold_out_by_class(train)
            notes = (_held_out_note("recordings under /test", "the last 20 % of each class", len(test)),)
        notes += _missing_classes_note(train, test)

        first = [item.source for item in [*_first(train, limit), *test][:50]]
        side = sensor_side(max(int(read_array(file, name, where)[:, 1:3].max()) for name in first), where)
        if side == CROPPED and spec.crop is not None:
            x0, y0, width, height = spec.crop
            moved = (x0 - ORIGIN, y0 - ORIGIN, width, height)
            if min(moved[:2]) < 0 or moved[0] + width > CROPPED or moved[1] + height > CROPPED:
                raise InputError(
                    f"{where}: the file holds only the pixels 48 .. 73 of the sensor, and the crop "
                    f"{spec.crop} reaches beyond; use the crop (48, 48, 26, 26) or one within"
                )
            spec = replace(spec, crop=moved)

        def read(_: Sequence[Item], wrapped: Iterable[Item]) -> Iterator[Recording]:
            for item in wrapped:
                yield to_recording(read_array(file, item.source, where), side, f"{where}:/{item.source}")

        layout = _layout(spec, side, side)
        return _splits(
            train, test, read, partial(_bin, spec, layout), limit, validation, progress, "HDF5", notes
        )


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


def _nmnist_files(part: Path) -> list[tuple[int, Path]]:
    """The labels and paths under ``Train`` or ``Test``, in order of id, then of label; empty without any."""
    if not part.is_dir():
        return []
    files: list[tuple[int, int, Path]] = []
    for folder in sorted(part.iterdir()):
        if not folder.is_dir() or folder.name.startswith((".", "_")):
            continue
        paths = [path for path in folder.glob("*.bin") if path.stem.isascii() and path.stem.isdigit()]
        if not (folder.name.isascii() and folder.name.isdigit() and int(folder.name) < CLASSES):
            raise InputError(f"{folder}: a label folder must be named 0 .. 9; move this one out of {part}")
        files += [(int(path.stem), int(folder.name), path) for path in paths]
    return [(label, path) for _, label, path in sorted(files)]


def _layout(spec: BinSpec, width: int, height: int) -> Layout:
    _, _, crop_width, crop_height = spec.window(width, height)
    return Layout(spec.channels, crop_height, crop_width, CLASSES, spec.bin_us)


def _bin(spec: BinSpec, layout: Layout, items: Sequence[Item], recordings: Iterable[Recording]) -> SpikeSet:
    """Bin recordings, which arrive in the order of the items."""
    bins = (bin_events(r.events, spec, width=r.width, height=r.height) for r in recordings)
    spikes = SpikeSet.from_bins(bins, [item.label for item in items], layout, counts=spec.counts)
    return replace(spikes, address=np.array([item.index for item in items], np.int64))


def _splits(
    train: Sequence[Item],
    test: Sequence[Item],
    read: Callable[[Sequence[Item], Iterable[Item]], Iterator[Recording]],
    bin_all: Callable[[Sequence[Item], Iterable[Recording]], SpikeSet],
    limit: int | None,
    validation: float,
    progress: Progress | None,
    name: str,
    notes: tuple[str, ...],
) -> Splits:
    """Read, bin and split. ``read`` gets the items twice: as a list, and wrapped to show a bar."""
    wrap = progress or (lambda items, *_: items)
    if not 0 <= validation < 1:
        raise InputError(f"the validation fraction must be at least 0 and below 1, not {validation}")
    repairs: Counter[str] = Counter()

    def binned(items: Sequence[Item], part: str) -> SpikeSet:
        recordings = read(items, wrap(items, len(items), f"reading {name}, {part} part"))
        return bin_all(items, _counted(recordings, repairs))

    train_set, validation_set = split_validation(binned(_first(train, limit), "training"), validation)
    test_set = binned(test, "test")
    if repairs:
        mended = ", ".join(f"{count} {kind}" for kind, count in sorted(repairs.items()))
        notes += (f"Recordings were mended while they were read: {mended}.",)
    return Splits(train_set, validation_set, test_set, notes)


def _counted(recordings: Iterable[Recording], repairs: Counter[str]) -> Iterator[Recording]:
    """The recordings as they come, with their repairs added up; special events are left out, which mends nothing."""
    for recording in recordings:
        repairs.update({kind: count for kind, count in recording.repairs.items() if kind != "special events"})
        yield recording


def _first(items: Sequence[Item], limit: int | None) -> list[Item]:
    """The first ``limit`` items, classes interleaved: the first of each class, then the second of each, .."""
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1 recording, not {limit}")
    met = [0] * CLASSES
    ranked = []
    for item in items:
        ranked.append((met[item.label], item.label, item))
        met[item.label] += 1
    return [item for _, _, item in sorted(ranked, key=lambda entry: entry[:2])][:limit]


def _part_of(count: int, fraction: float) -> int:
    """The fraction of a count, rounded; at least 1, but not all."""
    return min(max(1, int(fraction * count + 0.5)), count - 1)


def _hold_out_by_class(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Split off the last :data:`HELD_OUT` of each class, in the given order; of one recording nothing."""
    held: set[int] = set()
    for label in {item.label for item in items}:
        members = [item.index for item in items if item.label == label]
        held.update(members[len(members) - _part_of(len(members), HELD_OUT) :])
    return [item for item in items if item.index not in held], [item for item in items if item.index in held]


def _held_out_note(absent: str, taken: str, count: int) -> str:
    return (
        f"The official test part is absent (no {absent}): {taken} ({count} recordings) are held out as test."
    )


def _missing_classes_note(train: Sequence[Item], test: Sequence[Item]) -> tuple[str, ...]:
    """A sentence for each part in which some class never occurs."""
    notes = []
    for name, items in (("training", train), ("test", test)):
        missing = sorted(set(range(CLASSES)) - {item.label for item in items})
        if missing:
            notes.append(f"The {name} part has no recordings of class {', '.join(map(str, missing))}.")
    return tuple(notes)
