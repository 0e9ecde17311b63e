"""Binned recordings kept on disk, under a name made from everything that shaped them.

A file's name holds the SHA-256 of its ingredients, so data made from another spec, seed, image or version
of the code is another file, and nothing is ever out of date. Files are written beside their place and moved
there, so a reader never sees half a file. A checksum inside tells a damaged file, which is made again.

Spikes are not read into memory: the file is mapped, and processes share what of it they look at.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.machine import places
from gemsnn.rows import SpikeRows
from gemsnn.types import AnyPath, Layout

FORMAT = 3
"""Version of the files: raised whenever they are laid out differently."""

_ROWS = ("indices", "indptr", "counts")
_ARRAYS = ("starts", "labels", "address", "tallies")
_TYPES = {"U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "I64": np.int64}


def digest(array: NDArray) -> str:
    """SHA-256 of an array: its type, shape and bytes."""
    head = f"{array.dtype.str} {list(array.shape)}\n".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def key(ingredients: Mapping[str, Any]) -> str:
    """SHA-256 of everything that shaped the data, and of the files' format.

    Args:
        ingredients: by name: numbers, strings, sequences, mappings, and dataclasses, which count field by
            field and with their type's name. Give arrays as their :func:`digest`.
    """
    text = json.dumps({"format": FORMAT, **ingredients}, sort_keys=True, default=plain, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: object) -> object:
    """What JSON cannot write by itself."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            "type": type(value).__name__,
            **{f.name: getattr(value, f.name) for f in dataclasses.fields(value)},
        }
    raise TypeError(f"a cache ingredient must be plain data, not {type(value).__name__}")


class Kept(NamedTuple):
    """What a file of the cache holds.

    Attributes:
        spikes: recordings.
        facts: what else is known of them, as JSON can hold it.
    """

    spikes: SpikeSet
    facts: dict[str, Any]


def recall(name: str, ingredients: Mapping[str, Any], make: Callable[[], SpikeSet]) -> SpikeSet:
    """The recordings of these ingredients: see :func:`recalled`."""
    return recalled(name, ingredients, lambda: Kept(make(), {})).spikes


def recalled(name: str, ingredients: Mapping[str, Any], make: Callable[[], Kept]) -> Kept:
    """The data of these ingredients: from the cache if it is there and sound, else made and then kept.

    Where the cache cannot be read or written, a temporary place is taken, and where there is none, or it is full, the
    data is returned all the same; standard error or a warning tells.
    """
    name = f"{name}-{key(ingredients)[:32]}.safetensors"
    usual = places.cache_folder()
    if (kept := load(usual / name)) is not None:  # also one that can only be read
        return kept
    folder = places.opened(usual)
    if folder not in (None, usual) and (kept := load(folder / name)) is not None:
        return kept
    made = make()
    if folder is not None:
        try:
            store(folder / name, *made)
        except OSError as error:
            warnings.warn(
                f"the cache {folder} cannot be written ({error.strerror or error}); set GEMSNN_CACHE to a folder "
                "that can",
                stacklevel=2,
            )
        else:
            return load(folder / name) or made  # in the file's memory
    return made


def store(path: AnyPath, spikes: SpikeSet, facts: Mapping[str, Any] | None = None) -> None:
    """Write a set of recordings, all at once or not at all; raise :class:`OSError` where that is impossible."""
    rows = SpikeRows.join([spikes.rows])  # without others' that lie around them in memory
    held = [(name, getattr(rows, name)) for name in _ROWS] + [
        (name, getattr(spikes, name)) for name in _ARRAYS
    ]
    arrays = {name: np.ascontiguousarray(array) for name, array in held if array is not None}
    told = {"layout": spikes.layout._asdict(), "counts": spikes.counts, "more": dict(facts or {})}
    metadata = {"facts": json.dumps(told), "checksum": _checksum(arrays, told)}
    write(path, save(arrays, metadata))


def write(path: AnyPath, content: bytes) -> None:
    """Write a file of the cache, all at once or not at all; raise :class:`OSError` where that is impossible."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: AnyPath) -> Kept | None:
    """Read a set of recordings, or nothing if the file is missing, damaged, or out of reach."""
    path = Path(path)
    try:
        if not path.is_file():
            return None
        arrays, metadata = _mapped(path)
        facts = json.loads(metadata["facts"])
        if metadata["checksum"] != _checksum(arrays, facts):
            return None
        layout = Layout(**facts["layout"])
        indices, indptr, counts = (arrays.pop(name, None) for name in _ROWS)
        rows = SpikeRows(indices, indptr, layout.inputs, counts)
        small = {name: array.copy() for name, array in arrays.items()}
        return Kept(SpikeSet(rows, **small, layout=layout, counts=facts["counts"]), facts["more"])
    except (OSError, KeyError, ValueError, TypeError, RecursionError, InputError):
        return None


def _mapped(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The arrays of a safetensors file, in its own memory, and its metadata."""
    whole = np.memmap(path, np.uint8, "r")
    size = int.from_bytes(whole[:8].tobytes(), "little")
    header = json.loads(whole[8 : 8 + size].tobytes())
    metadata, arrays = header.pop("__metadata__"), {}
    for name, told in header.items():
        first, last = (8 + size + offset for offset in told["data_offsets"])
        array = whole[first:last].view(_TYPES[told["dtype"]]).reshape(told["shape"])
        arrays[name] = array.view(np.ndarray)
    return arrays, metadata


def _checksum(arrays: Mapping[str, NDArray], facts: Mapping[str, Any]) -> str:
    """SHA-256 over all that a file holds."""
    text = json.dumps([facts, [[name, digest(arrays[name])] for name in sorted(arrays)]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
