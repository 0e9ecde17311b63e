"""The files of Ev-Objects: as published, a zip or folder of one array a recording, or packed in one .npz.

Published are ``Ev-Objects/<train|test>/sample_<n>_label_<c>.npy``, floats ``[39, 2, 250]`` (taxel, polarity, bin) of 0
and 1. The .npz holds the same as events: arrays ``train_*`` and ``test_*``, ``offsets`` ``[n + 1]``, ``label`` ``[n]``,
and for each event ``bin``, ``taxel`` and ``polarity``.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.access import found_at, listing, refusal
from gemsnn.data.npz import DAMAGED_ZIP, packing, read_member, read_npy
from gemsnn.data.sets import packed
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

FILE, ARCHIVE, FOLDER = "ev_objects.npz", "Ev-Objects.zip", "Ev-Objects"
TAXELS, STEPS, OBJECTS = 39, 250, 36
PARTS = ("train", "test")
_SHAPE = (TAXELS, 2, STEPS)
_ARRAYS = ("offsets", "bin", "taxel", "polarity", "label")
_SAMPLE = re.compile(r"sample_(\d{1,9})_label_(\d{1,9})\.npy")


class Part(NamedTuple):
    """The events of one part, in order of time within each recording; see :mod:`gemsnn.data.sets.packed`."""

    offsets: NDArray[Any]
    bin: NDArray[Any]
    taxel: NDArray[Any]
    polarity: NDArray[Any]
    label: NDArray[Any]


def find(root: AnyPath) -> Path:
    """The file of the set, or the folder that holds ``train`` and ``test``.

    Raises:
        InputError: none of them is here.
    """
    root = Path(root)
    if found_at(root) == "folder":
        for folder in (root, root / FOLDER):
            if all(found_at(folder / part) == "folder" for part in PARTS):
                return folder
        if found_at(root / FILE) is None and found_at(root / ARCHIVE) == "file":
            return root / ARCHIVE
    return packed.find(root, FILE)


def read_parts(path: AnyPath) -> dict[str, Part]:
    """Both parts, checked.

    Raises:
        InputError: the file is damaged, or another.
    """
    path = Path(path)
    if found_at(path) == "folder":
        parts = {part: _of_folder(path / part) for part in PARTS}
    elif path.suffix == ".npz":
        held = packed.read(path, [f"{part}_{name}" for part in PARTS for name in _ARRAYS])
        parts = {part: Part(*(held[f"{part}_{name}"] for name in _ARRAYS)) for part in PARTS}
    else:
        parts = _of_zip(path)
    for name, part in parts.items():
        _check(part, name, path)
    return parts


def _of_zip(path: Path) -> dict[str, Part]:
    """From the members of the published zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = {}
            for part in PARTS:
                members = [name for name in archive.namelist() if Path(name).parent.name == part]
                samples = [
                    (Path(name).name, read_member(archive, name, path, _SHAPE)) for name in _samples(members)
                ]
                parts[part] = _of_samples(samples, path, part)
            return parts
    except DAMAGED_ZIP as error:
        raise refusal(path, error, f"the zip is damaged ({error}); {packing(error)}") from error


def _of_folder(folder: Path) -> Part:
    """From the files of the published zip, unpacked."""
    samples = []
    for name in _samples([path.name for path in listing(folder)]):
        path = folder / name
        try:
            size = path.stat().st_size
            samples.append((name, read_npy(lambda path=path: path.open("rb"), size, path.stem, path, _SHAPE)))
        except (OSError, ValueError) as error:
            raise refusal(path, error, f"the file is damaged ({error}); unpack it again") from error
    return _of_samples(samples, folder.parent, folder.name)


def _samples(names: Iterable[str]) -> list[str]:
    """The names of recordings among these, in order of their numbers."""
    found = [(match, name) for name in names if (match := _SAMPLE.fullmatch(Path(name).name))]
    return [
        name for match, name in sorted(found, key=lambda each: [int(number) for number in each[0].groups()])
    ]


def _of_samples(samples: list[tuple[str, NDArray[Any]]], path: Path, part: str) -> Part:
    """Events from arrays ``[39, 2, 250]`` of 0 and 1."""
    if not samples:
        raise InputError(
            f"{path}: no file {part}/sample_<n>_label_<c>.npy is here; give the whole of {FOLDER}"
        )
    labels, events = [], []
    for name, array in samples:
        if array.dtype.kind not in "iufb" or not np.isin(array, (0, 1)).all():
            raise InputError(f"{path}: {part}/{name} must hold 0 and 1; give the file of this data set")
        match = _SAMPLE.fullmatch(name)
        assert match is not None, "these names were chosen by the pattern"
        labels.append(int(match.group(2)))
        events.append(np.argwhere(array.transpose(2, 0, 1)))
    offsets = np.cumsum([0, *map(len, events)])
    step, taxel, polarity = np.concatenate(events).T
    return Part(offsets, step, taxel, polarity, np.array(labels))


def _check(part: Part, name: str, path: Path) -> None:
    arrays = {f"{name}_{field}": array for field, array in part._asdict().items()}
    events = {key: array for key, array in arrays.items() if not key.endswith(("offsets", "label"))}
    packed.check_lengths(path, len(part.bin), **events)
    packed.check_ends(part.offsets, len(part.bin), f"{name}_offsets", path)
    packed.check_lengths(path, len(part.offsets) - 1, **{f"{name}_label": part.label})
    for key, most in (("bin", STEPS), ("taxel", TAXELS), ("polarity", 2), ("label", OBJECTS)):
        packed.check_range(arrays[f"{name}_{key}"], 0, most - 1, f"{name}_{key}", path)
    packed.check_order(part.bin, part.offsets, f"{name}_bin", path)
