"""Many recordings of a row of channels in one HDF5 file, as in the Heidelberg data sets of spoken words, SHD and SSC.

``spikes/times`` and ``spikes/units`` hold an array of its own length for each recording: seconds from its beginning,
and channels; ``labels`` its class, and ``extra/keys`` the classes' names (B. Cramer, Y. Stradmann, J. Schemmel and
F. Zenke, IEEE TNNLS 33, 2022; https://zenkelab.org/datasets). Recordings are read one by one, never all into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gemsnn.data.access import found_at, walk
from gemsnn.data.events import Recording
from gemsnn.data.readers import units
from gemsnn.data.readers.assembled import LARGEST_RECORDING, recording_of
from gemsnn.data.readers.hdf5 import open_hdf5, stored
from gemsnn.data.readers.hdf5_heaps import check_heaps
from gemsnn.data.readers.recognise import kind_of
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError
from gemsnn.types import LARGEST_SIDE, AnyPath

BLOCK = 256
"""Recordings that are looked at together for the number of channels."""


class Spikes:
    """The recordings of an open file, whatever their classes."""

    def __init__(self, file: h5py.File, where: str, time_unit: TimeUnit | None) -> None:
        self._times: Any = file["spikes/times"]
        self._units: Any = file["spikes/units"]
        self._where = where
        self._time_unit: TimeUnit | None = time_unit
        if self._units.shape != (len(self),):
            raise InputError(
                f"{where}: /spikes has {len(self)} times but {self._units.shape} units; write the file again"
            )
        if not len(self):
            raise InputError(f"{where}: the file holds no recordings")

    @cached_property
    def width(self) -> int:
        """Channels: one more than the highest of any recording, all of which are looked at."""
        return 1 + max(self._highest(start) for start in range(0, len(self), BLOCK))

    def __len__(self) -> int:
        return len(self._times)

    def __getitem__(self, index: int) -> Recording:
        """A recording by its number; time is counted from its beginning, not from its first event."""
        return self.recording(index, self.width)

    def recording(self, index: int, width: int) -> Recording:
        """The same, where it is known how many channels there are."""
        inside = f"{self._where}:/spikes/{index}"
        times = np.asarray(self._times[index])
        seconds: TimeUnit | None = "s" if times.dtype.kind == "f" else None  # by the format's definition
        return recording_of(
            {"t": times, "channel": np.asarray(self._units[index])},
            inside,
            "HDF5 spikes",
            unit=seconds,
            time_unit=self._time_unit,
            sensor=(width, 1),
            own_clock=True,
        )

    def __iter__(self) -> Iterator[Recording]:
        return (self[index] for index in range(len(self)))

    def _highest(self, start: int) -> int:
        found = [np.asarray(row) for row in self._units[start : start + BLOCK]]
        if any(len(row) > LARGEST_RECORDING for row in found):
            raise InputError(
                f"{self._where}: a recording has more than {LARGEST_RECORDING} events; leave it out"
            )
        highest = max((int(row.max()) for row in found if len(row)), default=0)
        if not 0 <= highest < LARGEST_SIDE:
            raise InputError(f"{self._where}: units up to {highest} are too many channels; check the file")
        return highest


class SpikeFile(Spikes):
    """The same with their classes.

    Attributes:
        labels: int64 ``[n]``, the class of each recording, counted from 0.
        names: the classes' names, where the file has them.
    """

    def __init__(self, file: h5py.File, where: str, time_unit: TimeUnit | None) -> None:
        super().__init__(file, where, time_unit)
        labels = _inside(file, "labels")
        if (
            not isinstance(labels, h5py.Dataset)
            or labels.dtype.kind not in "iu"
            or labels.shape != (len(self),)
        ):
            raise InputError(
                f"{where}: /labels must hold a whole number for each of the {len(self)} recordings; add them"
            )
        self.labels: NDArray[np.int64] = stored(labels, where).astype(np.int64)
        if self.labels.min() < 0 or self.labels.max() >= LARGEST_SIDE:
            raise InputError(
                f"{where}: labels must count from 0, not {self.labels.min()} .. {self.labels.max()}"
            )
        self.names = _names(file, int(self.labels.max()) + 1)


@contextmanager
def open_spikes(path: AnyPath, time_unit: TimeUnit | None = None) -> Iterator[SpikeFile]:
    """Open a file of this layout.

    Args:
        path: the file.
        time_unit: of its times; by default seconds where they are fractions, see :mod:`gemsnn.data.readers.units`.

    Raises:
        InputError: it is damaged, or has another layout.
    """
    with _opened(path, time_unit) as file:
        yield SpikeFile(file, str(path), time_unit)


@contextmanager
def _opened(path: AnyPath, time_unit: TimeUnit | None) -> Iterator[h5py.File]:
    units.check(time_unit, path)
    check_heaps(Path(path))
    with open_hdf5(path) as file:
        if not is_spikes(file):
            raise InputError(f"{path}: the file has no spikes/times and spikes/units; give a file as SHD is")
        yield file


class Unlabelled:
    """Recordings of such files by their numbers, with or without labels; the last file stays open until another's turn.

    Args:
        time_unit: see :func:`open_spikes`.
        channels: of each recording.
    """

    def __init__(self, time_unit: TimeUnit | None, channels: int) -> None:
        self._time_unit: TimeUnit | None = time_unit
        self._channels = channels
        self._stack, self._path, self._held = ExitStack(), None, None

    def __enter__(self) -> Unlabelled:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def recording(self, path: AnyPath, number: int) -> Recording:
        """A recording of a file.

        Raises:
            InputError: see :func:`open_spikes`; or it has other channels.
        """
        if self._held is None or path != self._path:
            self._stack.close()
            self._held = None
            file = self._stack.enter_context(_opened(path, self._time_unit))
            self._path, self._held = path, Spikes(file, str(path), self._time_unit)
        return self._held.recording(number, self._channels)


def recordings_in(path: AnyPath) -> int:
    """How many recordings a file of this layout has; 0 where an HDF5 file has another layout.

    Raises:
        InputError: it is damaged.
    """
    with open_hdf5(path) as file:
        return len(file["spikes/times"]) if is_spikes(file) else 0  # pyright: ignore[reportArgumentType]


def spike_files(root: AnyPath) -> list[Path]:
    """The files of this layout that ``root`` is, or that lie in it; none unless all HDF5 files there are such."""
    root = Path(root)
    held = found_at(root)
    if held == "file":
        paths = [root]
    elif held == "folder":
        paths = sorted(folder / name for folder, name in walk(root))
    else:
        return []
    found = []
    for path in paths:
        if path.name.startswith(".") or found_at(path) != "file" or kind_of(path) != "HDF5":
            continue
        with open_hdf5(path) as file:
            if not is_spikes(file):
                return []
        found.append(path)
    return found


def is_spikes(file: h5py.File) -> bool:
    """Whether a file has this layout."""
    held = {name: _inside(file, f"spikes/{name}") for name in ("times", "units")}
    kinds = {"times": "iuf", "units": "iu"}
    return all(
        isinstance(data, h5py.Dataset) and _of_arrays(data, kinds[name]) for name, data in held.items()
    )


def _of_arrays(data: h5py.Dataset, kinds: str) -> bool:
    inner = h5py.check_vlen_dtype(data.dtype)
    return data.ndim == 1 and isinstance(inner, np.dtype) and inner.kind in kinds and not data.is_virtual


def _inside(file: h5py.File, name: str) -> Any:
    """What lies there, unless a link leads out of the file."""
    held: Any = file
    for part in name.split("/"):
        if not isinstance(held, h5py.Group) or not isinstance(held.get(part, getlink=True), h5py.HardLink):
            return None
        held = held[part]
    return held


def _names(file: h5py.File, classes: int) -> tuple[str, ...] | None:
    keys = _inside(file, "extra/keys")
    if (
        not isinstance(keys, h5py.Dataset)
        or keys.shape is None
        or len(keys.shape) != 1
        or keys.is_virtual
        or keys.external
    ):
        return None
    if not classes <= len(keys) <= LARGEST_SIDE or h5py.check_string_dtype(keys.dtype) is None:
        return None
    names = tuple(key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key) for key in keys[()])
    return names if len(set(names)) == len(names) else None
