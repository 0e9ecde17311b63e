"""Sets that lie in one .npz file: found, held while they are read, and checked before anything is made of them.

The events of all recordings lie end to end; those of recording ``i`` are ``offsets[i] .. offsets[i + 1]``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.access import first_bytes, found_at, refusal
from gemsnn.data.npz import read_npz
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

Stamp = tuple[int, int]
"""When it was last written, in nanoseconds, and its bytes: another stamp is another file."""


def find(root: AnyPath, name: str) -> Path:
    """The file of a set: ``root`` itself, or ``name`` in the folder ``root``.

    Raises:
        InputError: there is no such file.
    """
    root = Path(root)
    found = found_at(root)
    if found != "folder":
        first_bytes(root)
        return root
    if found_at(root / name) != "file":
        raise InputError(f"{root}: no file {name} is here; give the file, or the folder that holds it")
    return root / name


def stamp(path: AnyPath) -> Stamp:
    """What tells a file or folder from an earlier one at its place, so that it is read once and never out of date."""
    path = Path(path)
    try:
        held = [each.stat() for each in ([path, *path.rglob("*")] if path.is_dir() else [path])]
    except OSError as error:
        raise refusal(path, error, "") from error
    return max(each.st_mtime_ns for each in held), sum(each.st_size for each in held)


def differs(path: AnyPath, known: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence where a file is none of those whose SHA-256 are known."""
    path, digest = Path(path), hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError as error:
        raise refusal(path, error, "") from error
    if (found := digest.hexdigest()) in known.values():
        return ()
    wanted = " or ".join(f"{each[:12]} ({name})" for name, each in known.items())
    return (
        f"{path.name} is not the file that is known of this data set: its SHA-256 begins {found[:12]}, not {wanted}; "
        "it is read all the same.",
    )


def read(path: AnyPath, numbers: Sequence[str], texts: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Arrays ``[n]`` of whole numbers and of texts.

    Raises:
        InputError: see :func:`gemsnn.data.npz.read_npz`; or an array has another type or shape.
    """
    held = read_npz(path, (*numbers, *texts))
    for name, array in held.items():
        kinds, what = ("U", "texts") if name in texts else ("iu", "whole numbers")
        if array.ndim != 1 or array.dtype.kind not in kinds:
            raise InputError(
                f"{path}: the array '{name}' must hold {what} [n], not {array.dtype} {list(array.shape)}; give the "
                "file of this data set"
            )
    return held


def check_ends(offsets: NDArray[Any], count: int, name: str, path: AnyPath) -> None:
    """Whether recordings end where they should: offsets rise from 0 to the number of events.

    Raises:
        InputError: they do not.
    """
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != count or np.any(offsets[1:] < offsets[:-1]):
        raise InputError(
            f"{path}: '{name}' must rise from 0 to the {count} events of its recordings; download the file again"
        )


def check_lengths(path: AnyPath, length: int, **arrays: NDArray[Any]) -> None:
    """Whether arrays that belong together are equally long.

    Raises:
        InputError: one is not; it is named.
    """
    for name, array in arrays.items():
        if len(array) != length:
            raise InputError(
                f"{path}: '{name}' has {len(array)} entries where {length} belong; download the file again"
            )


def check_range(array: NDArray[Any], low: int, high: int, name: str, path: AnyPath) -> None:
    """Whether all numbers lie in ``low .. high``.

    Raises:
        InputError: some do not.
    """
    if len(array) and (array.min() < low or array.max() > high):
        raise InputError(
            f"{path}: '{name}' must lie in {low} .. {high}, not in {array.min()} .. {array.max()}; give the file of "
            "this data set"
        )


def check_order(times: NDArray[Any], offsets: NDArray[Any], name: str, path: AnyPath) -> None:
    """Whether times rise within each recording.

    Raises:
        InputError: they go back; the first recording in which they do is named.
    """
    back = np.flatnonzero(times[1:] < times[:-1]) + 1
    back = back[~np.isin(back, offsets)]  # a recording may begin earlier than the one before it ends
    if len(back):
        number = int(np.searchsorted(offsets, back[0], side="right")) - 1
        raise InputError(
            f"{path}: '{name}' goes back in recording {number}; sort its events by time, or download the file again"
        )
