"""Event data sets in one HDF5 file, as written for the GEM papers (with PyTables, plain HDF5).

``/train/<i>`` and ``/test/<i>`` are arrays ``[n, 4]`` of t (microseconds), x, y and polarity;
``/train/labels`` and ``/test/labels`` hold the classes in the order of ``i``. Other groups are ignored.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from gemsnn.data.access import refusal
from gemsnn.data.events import Recording, check_events, in_order, make_events
from gemsnn.data.npy import EXPANSION
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

CROPPED = 26
"""Coordinates below this everywhere: the file holds the 26 x 26 pixels from (48, 48) on, counted from 0."""

SENSOR = 128
ORIGIN = 48
LARGEST_RECORDING = 4_000_000
"""Recordings that claim more events are refused."""


class Part(NamedTuple):
    """The recordings of one part: their dataset names, in order, and their labels."""

    names: tuple[str, ...]
    labels: tuple[int, ...]


@contextmanager
def open_hdf5(path: AnyPath) -> Iterator[h5py.File]:
    """Open for reading; what goes wrong on the way to the file or within it becomes an :class:`InputError`."""
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            _refuse_links(file, str(path))
            yield file
    except InputError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        damage = f"this HDF5 file cannot be read ({error}); it is damaged, so copy it again"
        raise refusal(path, error, damage) from error


def _refuse_links(file: h5py.File, where: str) -> None:
    """A link can lead to another file of the machine, if need be through a second one; what a file holds counts."""
    for name in ("train", "test"):
        links = [file.get(name, getlink=True)]
        if isinstance(links[0], h5py.HardLink) and isinstance(group := file.get(name), h5py.Group):
            links += [group.get(key, getlink=True) for key in group]
        if any(isinstance(link, (h5py.ExternalLink, h5py.SoftLink)) for link in links):
            raise InputError(
                f"{where}: /{name} holds links instead of recordings; write the recordings into the file itself"
            )


def recordings_under(file: h5py.File) -> int:
    """How many recordings ``/train/<i>`` and ``/test/<i>`` a file has."""
    groups = [group for name in ("train", "test") if isinstance(group := file.get(name), h5py.Group)]
    return sum(key.isascii() and key.isdigit() for group in groups for key in map(str, group))


def read_part(file: h5py.File, name: str, where: str) -> Part | None:
    """The recordings listed under ``/<name>``; ``None`` if there is no such group.

    Raises:
        InputError: labels are missing, are not whole numbers, or do not match the recordings in number.
    """
    group = file.get(name)
    if group is None:
        return None
    if not isinstance(group, h5py.Group):
        raise InputError(
            f"{where}: /{name} is not a group; give a file with /train/0, /train/1, .. and /train/labels"
        )
    names = tuple(sorted((key for key in map(str, group) if key.isascii() and key.isdigit()), key=int))
    labels = group.get("labels")
    if not isinstance(labels, h5py.Dataset) or labels.dtype.kind not in "iu" or len(labels.shape) > 2:
        raise InputError(
            f"{where}: /{name}/labels is missing or holds no whole numbers; add one label for each recording"
        )
    count = math.prod(
        labels.shape
    )  # compared before anything is read, since a false shape could claim any size
    if count != len(names):
        raise InputError(
            f"{where}: /{name} has {len(names)} recordings but {count} labels; write the file again"
        )
    return Part(names, tuple(int(label) for label in stored(labels, where).ravel()))


def read_array(file: h5py.File, name: str, where: str) -> NDArray[np.int64]:
    """The ``[n, 4]`` numbers of one recording, unchecked but for shape, type and size."""
    data = file.get(name)
    if (
        not isinstance(data, h5py.Dataset)
        or data.dtype.kind not in "iu"
        or len(data.shape) != 2
        or data.shape[1] != 4
    ):
        raise InputError(
            f"{where}: /{name} is not an array [n, 4] of whole numbers t, x, y, polarity; write it again"
        )
    if not 1 <= data.shape[0] <= LARGEST_RECORDING:
        raise InputError(
            f"{where}: /{name} has {data.shape[0]} events, not 1 .. {LARGEST_RECORDING}; leave it out"
        )
    array = stored(data, where)
    if array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max:
        raise InputError(f"{where}: /{name} holds numbers beyond 63 bits, so it is damaged; write it again")
    return array.astype(np.int64)


def stored(data: h5py.Dataset, where: str) -> NDArray:
    """The numbers of a dataset that lie in the file itself, no more of them than it can hold.

    A dataset may name other files of the machine as its storage, and may claim any size without storing anything.
    """
    if data.is_virtual or data.external:
        raise InputError(
            f"{where}: {data.name} takes its numbers from other files; write the numbers into the file itself"
        )
    unknown = [number for number in _filters(data) if not h5py.h5z.filter_avail(number)]
    if unknown and not _more_filters(unknown):
        raise InputError(
            f"{where}: {data.name} is compressed by the HDF5 filter {unknown[0]}, which is not installed; run pip "
            "install hdf5plugin, or write the file without it (h5repack)"
        )
    held = data.id.get_storage_size()
    if data.size * data.dtype.itemsize > held * EXPANSION:
        raise InputError(
            f"{where}: {data.name} claims {data.size} numbers but the file holds {held} bytes of them; write it again"
        )
    return np.asarray(data[()])


def _filters(data: h5py.Dataset) -> list[int]:
    kept = data.id.get_create_plist()
    return [kept.get_filter(at)[0] for at in range(kept.get_nfilters())]


def _more_filters(unknown: list[int]) -> bool:
    """Whether the package hdf5plugin, if it is there, brings these filters."""
    with suppress(ImportError):
        importlib.import_module("hdf5plugin")
    return all(h5py.h5z.filter_avail(number) for number in unknown)


def sensor_side(largest: int, where: str) -> int:
    """26 or 128: the side of the sensor on which coordinates up to ``largest`` lie."""
    if largest >= SENSOR:
        raise InputError(
            f"{where}: pixels up to {largest} lie outside 128 x 128; give recordings of a 128 x 128 camera"
        )
    return CROPPED if largest < CROPPED else SENSOR


def to_recording(array: NDArray[np.int64], side: int, where: str) -> Recording:
    """Columns t, x, y, polarity (1 is ON) as a recording: time from its first event, sorted, without jumps ahead."""
    t, x, y, polarity = array.T
    if polarity.min() < 0 or polarity.max() > 1:
        raise InputError(f"{where}: polarities must be 0 or 1, not {polarity.min()} .. {polarity.max()}")
    if min(x.min(), y.min()) < 0 or max(x.max(), y.max()) >= side:
        raise InputError(
            f"{where}: pixels up to ({x.max()}, {y.max()}) do not fit the {side} x {side} of others; "
            "crop all recordings of a file alike"
        )
    order, t, repairs = in_order(t)
    events = make_events(t, x[order], y[order], polarity[order])
    check_events(events, side, side, where)
    return Recording(events, side, side, "HDF5 events", repairs)
