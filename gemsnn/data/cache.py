"""Binned recordings kept on disk, under a name made from everything that shaped them.

A file's name holds the SHA-256 of its ingredients, so data made from another spec, seed, image or version
of the code is another file, and nothing is ever out of date. Files are written beside their place and moved
there, so a reader never sees half a file. A checksum inside tells a damaged file, which is made again.
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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.machine import places
from gemsnn.types import AnyPath, Layout

FORMAT = 2
"""Version of the files: raised whenever they are laid out differently."""

_ARRAYS = ("values", "starts", "labels", "address", "tallies")


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
    text = json.dumps({"format": FORMAT, **ingredients}, sort_keys=True, default=_plain, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    """What JSON cannot write by itself."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            "type": type(value).__name__,
            **{f.name: getattr(value, f.name) for f in dataclasses.fields(value)},
        }
    raise TypeError(f"a cache ingredient must be plain data, not {type(value).__name__}")


def recall(name: str, ingredients: Mapping[str, Any], make: Callable[[], SpikeSet]) -> SpikeSet:
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
            store(folder / name, made)
        except OSError as error:
            warnings.warn(
                f"the cache {folder} cannot be written ({error.strerror or error}); set GEMSNN_CACHE to a folder "
                "that can",
                stacklevel=2,
            )
    return made


def store(path: AnyPath, spikes: SpikeSet) -> None:
    """Write a set of recordings, all at once or not at all; raise :class:`OSError` where that is impossible."""
    path = Path(path)
    arrays = {
        name: np.ascontiguousarray(held)
        for name in _ARRAYS
        if (held := getattr(spikes, name)) is not None  # tallies may not be there
    }
    facts = {"layout": spikes.layout._asdict(), "packed": spikes.packed}
    metadata = {"facts": json.dumps(facts), "checksum": _checksum(arrays, facts)}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(save(arrays, metadata))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: AnyPath) -> SpikeSet | None:
    """Read a set of recordings, or nothing if the file is missing, damaged, or out of reach."""
    path = Path(path)
    try:
        if not path.is_file():
            return None
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        facts = json.loads(metadata["facts"])
        if metadata["checksum"] != _checksum(arrays, facts):
            return None
        return SpikeSet(**arrays, layout=Layout(**facts["layout"]), packed=facts["packed"])
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError, InputError):
        return None


def _checksum(arrays: Mapping[str, NDArray], facts: Mapping[str, Any]) -> str:
    """SHA-256 over all that a file holds."""
    text = json.dumps([facts, [[name, digest(arrays[name])] for name in sorted(arrays)]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
