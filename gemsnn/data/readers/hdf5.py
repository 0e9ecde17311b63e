"""Event data sets in one HDF5 file, as written for the GEM papers (with PyTables, plain HDF5).

``/train/<i>`` and ``/test/<i>`` are arrays ``[n, 4]`` of t (microseconds), x, y and polarity;
``/train/labels`` and ``/test/labels`` hold the classes in the order of ``i``. Other groups are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import Recording, check_events, make_events
from gemsnn.data.readers.files import one_line
from gemsnn.types import InputError

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
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open for reading; what the HDF5 library finds wrong with the file becomes an :class:`InputError`."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: this HDF5 file cannot be read ({one_line(error)}); it is damaged, so copy it again"
        ) from error


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
    return Part(names, tuple(int(label) for label in np.asarray(labels[()]).ravel()))


def read_array(file: h5py.File, name: str, where: str) -> NDArray[np.int64]:
    """The ``[n, 4]`` numbers of one recording, unchecked but for shape, type and size."""
    data = file.get(name)
    whole = (
        isinstance(data, h5py.Dataset)
        and data.dtype.kind in "iu"
        and len(data.shape) == 2
        and data.shape[1] == 4
    )
    if not whole or not isinstance(data, h5py.Dataset):
        raise InputError(
            f"{where}: /{name} is not an array [n, 4] of whole numbers t, x, y, polarity; write it again"
        )
    if not 1 <= data.shape[0] <= LARGEST_RECORDING:
        raise InputError(
            f"{where}: /{name} has {data.shape[0]} events, not 1 .. {LARGEST_RECORDING}; leave it out"
        )
    return np.asarray(data[()]).astype(np.int64)


def sensor_side(largest: int, where: str) -> int:
    """26 or 128: the side of the sensor on which coordinates up to ``largest`` lie."""
    if largest >= SENSOR:
        raise InputError(
            f"{where}: pixels up to {largest} lie outside 128 x 128; give recordings of a 128 x 128 camera"
        )
    return CROPPED if largest < CROPPED else SENSOR


def to_recording(array: NDArray[np.int64], side: int, where: str) -> Recording:
    """Columns t, x, y, polarity (1 is ON) as a recording, with time from its first event and sorted by it."""
    t, x, y, polarity = array.T
    if polarity.min() < 0 or polarity.max() > 1:
        raise InputError(f"{where}: polarities must be 0 or 1, not {polarity.min()} .. {polarity.max()}")
    if min(x.min(), y.min()) < 0 or max(x.max(), y.max()) >= side:
        raise InputError(
            f"{where}: pixels up to ({x.max()}, {y.max()}) do not fit the {side} x {side} of others; "
            "crop all recordings of a file alike"
        )
    order = np.argsort(t, kind="stable")
    disorder = int((np.diff(t) < 0).sum())
    events = make_events(t - t.min(), x, y, polarity)[order]
    check_events(events, side, side, where)
    return Recording(events, side, side, "HDF5 events", {"events out of order": disorder} if disorder else {})
