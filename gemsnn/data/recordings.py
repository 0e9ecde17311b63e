"""Data sets of event recordings, from files to binned and split spike sets.

Every loader gives each recording a presentation index of its own, which depends on what the data set holds
but not on ``limit``: with the seed it addresses all noise that the recording will meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gemsnn import rng
from gemsnn.data.access import first_bytes, found_at, listing
from gemsnn.data.binning import BinSpec
from gemsnn.data.deflicker import process
from gemsnn.data.events import Recording
from gemsnn.data.parts import (
    HELD_OUT,
    Item,
    Listing,
    first,
    held_out_note,
    hold_out_by_class,
    load,
    missing_in,
    part_of,
    split_validation,
)
from gemsnn.data.readers.files import MAGIC_HDF5, read_bytes
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
from gemsnn.data.splits import Splits
from gemsnn.data.tally import NAMED, listed
from gemsnn.errors import InputError
from gemsnn.types import AnyPath, Progress

__all__ = ["DvsFile", "find_mnist_dvs", "load_hdf5", "load_mnist_dvs", "load_nmnist", "split_validation"]

CLASSES = 10
MNIST_DVS_BINS = BinSpec(25_000, 80, crop=(48, 48, 26, 26))
"""H. Jang and O. Simeone (arXiv 2007.11894): 80 bins of 25 ms, 26 x 26 pixels, for scale 4."""

NMNIST_BINS = BinSpec(5_000, 60)
"""60 bins of 5 ms: the three saccades of 0.1 s."""

LAST_TRAINING_NUMBER = 900
"""MNIST-DVS: files 0001 .. 0900 of each digit train, 0901 .. 1000 test."""


def load_mnist_dvs(
    root: AnyPath,
    spec: BinSpec = MNIST_DVS_BINS,
    *,
    scale: int = 4,
    deflicker: bool = False,
    seed: int = 0,
    limit: int | None = None,
    validation: float = 0.1,
    progress: Progress | None = None,
    skip_damaged: bool = False,
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
            first of each class, then the second of each, ..), and the same share of the test part, which a note
            tells.
        validation: the fraction of the training part cut off for validation, see :func:`split_validation`.
        progress: wraps the files as they are read, to show a bar.
        skip_damaged: leave out damaged recordings, and name and count them.

    Raises:
        InputError: nothing found, a damaged file (it is named), or numbers out of range.
    """
    root = Path(root)
    if found_at(root) == "file" and first_bytes(root).startswith(MAGIC_HDF5):
        splits = load_hdf5(
            root, spec, limit=limit, validation=validation, progress=progress, skip_damaged=skip_damaged
        )
        note = "De-flickering is not applied to an HDF5 file: what was done to its events is not known."
        return replace(splits, notes=(*splits.notes, note)) if deflicker else splits
    if scale not in (4, 8, 16):
        raise InputError(f"scale must be 4, 8 or 16, not {scale}")
    found, notes = choose(find_mnist_dvs(root, scale))
    items = [
        Item(
            entry.digit,
            CLASSES * entry.number + entry.digit,
            entry,
            entry.where.removeprefix(f"{root}/"),
            entry.path,
        )
        for entry in found
    ]
    test = [item for item in items if item.source.number > LAST_TRAINING_NUMBER]
    train = [item for item in items if item.source.number <= LAST_TRAINING_NUMBER]
    if not train:
        raise InputError(
            f"{root}: only test recordings (numbers above 900) of scale {scale} are here; add the others"
        )
    divided = bool(test)
    if not divided:
        train, test = hold_out_by_class(train)
        notes += (held_out_note("numbers 0901 .. 1000", "the last 20 % of each digit", len(test)),)
    notes += missing_in(train, test, CLASSES)
    if deflicker and found[0].processed:
        deflicker = False
        notes += ("The recordings are processed already, so de-flickering was not applied again.",)

    data = Listing(
        *("MNIST-DVS", root, train, test, _read_dvs, 128, 128, CLASSES, notes),
        prepare=_Deflickered(seed) if deflicker else None,
        divided=divided,
    )
    return load(data, spec, limit=limit, validation=validation, progress=progress, skip_damaged=skip_damaged)


def load_nmnist(
    root: AnyPath,
    spec: BinSpec = NMNIST_BINS,
    *,
    limit: int | None = None,
    validation: float = 0.1,
    progress: Progress | None = None,
    skip_damaged: bool = False,
) -> Splits:
    """Load N-MNIST from ``Train/<digit>/<id>.bin`` and ``Test/<digit>/<id>.bin``.

    Where there is no ``Test``, the 20 % of recordings with the highest ids are held out, which a note tells.

    Args:
        root: the folder with ``Train`` in it, or ``Train`` itself.
        spec: the bins.
        limit: as in :func:`load_mnist_dvs`.
        validation: the fraction of the training part cut off for validation, see :func:`split_validation`.
        progress: wraps the files as they are read, to show a bar.
        skip_damaged: leave out damaged recordings, and name and count them.

    Raises:
        InputError: nothing found, a label folder other than 0 .. 9, or a damaged file (it is named).
    """
    root = Path(root)
    if (held := found_at(root)) != "folder":
        what = "this is a file, not a folder" if held else "there is no such folder"
        raise InputError(f"{root}: {what}; check the path of the data set")
    if root.name == "Train" and found_at(root / "Train") != "folder":
        root = root.parent
    (train_files, notes), (test_files, more) = _nmnist_files(root / "Train"), _nmnist_files(root / "Test")
    if not train_files:
        raise InputError(f"{root}: no file Train/<digit>/<id>.bin is here; give the folder that holds Train")
    notes += more
    listed = [
        Item(label, index, path, str(path.relative_to(root)), path)
        for index, (label, path) in enumerate([*train_files, *test_files])
    ]
    train, test = listed[: len(train_files)], listed[len(train_files) :]
    divided = bool(test)
    if not divided:
        kept = len(train) - part_of(len(train), HELD_OUT)
        train, test = train[:kept], train[kept:]
        taken = "the 20 % of recordings with the highest ids"
        notes += (held_out_note("files Test/<digit>/<id>.bin", taken, len(test)),)
    notes += missing_in(train, test, CLASSES)

    data = Listing(
        "N-MNIST", root, train, test, _read_nmnist, NMNIST_SIDE, NMNIST_SIDE, CLASSES, notes, divided=divided
    )
    return load(data, spec, limit=limit, validation=validation, progress=progress, skip_damaged=skip_damaged)


def load_hdf5(
    path: AnyPath,
    spec: BinSpec = MNIST_DVS_BINS,
    *,
    limit: int | None = None,
    validation: float = 0.1,
    progress: Progress | None = None,
    skip_damaged: bool = False,
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
        skip_damaged: leave out damaged recordings, and name and count them.

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
                items.append(Item(label, len(train) + len(test), f"{name}/{key}", f"{name}/{key}", path))
        if not train:
            raise InputError(
                f"{where}: there are no recordings /train/0, /train/1, .. here; give an event data set"
            )
        notes: tuple[str, ...] = ()
        divided = bool(test)
        if not divided:
            train, test = hold_out_by_class(train)
            notes = (held_out_note("recordings under /test", "the last 20 % of each class", len(test)),)
        notes += missing_in(train, test, CLASSES)

        looked_at = [item.source for item in [*first(train, limit), *test][:50]]
        largest = max(int(read_array(file, name, where)[:, 1:3].max()) for name in looked_at)
        side = sensor_side(largest, where)
        if side == CROPPED and spec.crop is not None:
            x0, y0, width, height = spec.crop
            moved = (x0 - ORIGIN, y0 - ORIGIN, width, height)
            if min(moved[:2]) < 0 or moved[0] + width > CROPPED or moved[1] + height > CROPPED:
                raise InputError(
                    f"{where}: the file holds only the pixels 48 .. 73 of the sensor, and the crop "
                    f"{spec.crop} reaches beyond; use the crop (48, 48, 26, 26) or one within"
                )
            spec = replace(spec, crop=moved)

    seen = f" (coordinates reach {largest}, and the crop is {spec.crop})" if spec.crop else ""
    data = Listing(
        "HDF5", where, train, test, _Hdf5(path, side), side, side, CLASSES, notes, seen=seen, divided=divided
    )
    return load(data, spec, limit=limit, validation=validation, progress=progress, skip_damaged=skip_damaged)


def _read_dvs(items: Iterable[Item]) -> Iterator[Recording]:
    return read_files(item.source for item in items)


def _read_nmnist(items: Iterable[Item]) -> Iterator[Recording]:
    return (read_nmnist(read_bytes(item.source), str(item.source)) for item in items)


@dataclass(frozen=True)
class _Deflickered:
    """Recordings after the authors' pre-processing, whose noise a seed addresses."""

    seed: int

    def __call__(self, item: Item, recording: Recording) -> Recording:
        noise = rng.generator(self.seed, "deflicker", item.index)
        return recording._replace(events=process(recording.events, noise))


@dataclass(frozen=True)
class _Hdf5:
    """The recordings of a file whose sensor has so many pixels a side."""

    path: Path
    side: int

    def __call__(self, items: Iterable[Item]) -> Iterator[Recording]:
        where = str(self.path)
        with open_hdf5(self.path) as file:
            for item in items:
                array = read_array(file, item.source, where)
                yield to_recording(array, self.side, f"{where}:/{item.source}")


def _nmnist_files(part: Path) -> tuple[list[tuple[int, Path]], tuple[str, ...]]:
    """The labels and paths under ``Train`` or ``Test``, in order of id, then of label; and what was left out.

    Files of the same label and id (``1.bin``, ``00001.bin``) are one recording if they hold the same.
    """
    if found_at(part) != "folder":
        return [], ()
    files: dict[tuple[int, int], list[Path]] = {}
    for folder in listing(part):
        if found_at(folder) != "folder" or folder.name.startswith((".", "_")):
            continue
        numbered = [
            path
            for path in listing(folder)
            if path.suffix == ".bin" and path.stem.isascii() and path.stem.isdigit()
        ]
        if not (folder.name.isascii() and folder.name.isdigit() and int(folder.name) < CLASSES):
            raise InputError(f"{folder}: a label folder must be named 0 .. 9; move this one out of {part}")
        for path in numbered:
            files.setdefault((int(path.stem), int(folder.name)), []).append(path)
    kept: list[tuple[int, Path]] = []
    left: list[Path] = []
    for (_, label), paths in sorted(files.items()):
        contents = {read_bytes(path): path for path in reversed(paths)} if len(paths) > 1 else {}
        distinct = [path for path in paths if not contents or path in contents.values()]
        kept += [(label, path) for path in distinct]
        left += [path for path in paths if path not in distinct]
    if not left:
        return kept, ()
    named = listed([str(path.relative_to(part.parent)) for path in left[:NAMED]], len(left))
    return kept, (f"Files were left out, for others of their id hold the same: {named}.",)
