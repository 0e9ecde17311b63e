"""Events in NumPy's files: a structured array, an array ``[n, c]`` of columns, or an ``.npz`` with an array a column.

Fields and arrays are known by their names, see :mod:`gemsnn.data.readers.columns`. Nothing is ever unpickled.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.access import refusal
from gemsnn.data.events import Recording
from gemsnn.data.npy import DAMAGED_ZIP, check_header, packing, read_array, read_member
from gemsnn.data.readers import columns
from gemsnn.data.readers.assembled import recording_of
from gemsnn.data.readers.columns import WANTED
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

LARGEST_EVENTS = 2**32
"""Bytes of an array of events that is still read."""

_SIDES = ("width", "height")


def read_npy(path: AnyPath, time_unit: TimeUnit | None = None) -> Recording:
    """Read a ``.npy`` file of events.

    Raises:
        InputError: it is damaged, announces more than it holds, or holds something else.
    """
    path = Path(path)
    where = str(path)
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            check_header(file, "the array", size, where, LARGEST_EVENTS)
            file.seek(0)
            array = read_array(file)
    except (OSError, ValueError, EOFError) as error:
        raise refusal(path, error, f"this .npy file is damaged ({error}); copy it again") from error
    return from_array(array, where, "npy", time_unit)


def read_npz(path: AnyPath, time_unit: TimeUnit | None = None) -> Recording:
    """Read an ``.npz`` file of one recording: an array a column, or one array of all columns.

    Raises:
        InputError: as :func:`read_npy`.
    """
    path = Path(path)
    where = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            found = columns.by_name(names, where)
            if found is None and len(names) == 1:
                return from_array(
                    read_member(archive, names[0], where, LARGEST_EVENTS), where, "npz", time_unit
                )
            if found is None:
                raise InputError(
                    f"{where}: it holds the arrays {', '.join(names) or 'none'}, which are not those of one "
                    f"recording; save {WANTED}, or one array with these fields"
                )
            picked: dict[columns.Role, NDArray[Any]] = {
                role: read_member(archive, name, where, LARGEST_EVENTS)
                for role, name in found.columns.items()
            }
            sensor = _sides(archive, names, where)
    except DAMAGED_ZIP as error:
        damage = f"the file is damaged and cannot be read as .npz ({error}); {packing(error)}"
        raise refusal(path, error, damage) from error
    picked = {role: _flat(array, role, where) for role, array in picked.items()}
    return recording_of(
        picked, where, "npz", unit=found.unit, time_unit=time_unit, sensor=sensor, notes=found.notes
    )


def has_events(path: AnyPath, kind: Literal["npy", "npz"]) -> bool:
    """Whether the header of an array, or the names in an archive, may be those of events; so may damaged ones."""
    path = Path(path)
    try:
        if kind == "npz":
            with zipfile.ZipFile(path) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist()]
            return len(names) == 1 or columns.by_name(names, path) is not None
        with path.open("rb") as file:
            shape, dtype = check_header(file, "the array", path.stat().st_size, path, LARGEST_EVENTS)
    except (*DAMAGED_ZIP, InputError):
        return True
    if dtype.names is not None:
        return columns.by_name(dtype.names, path) is not None
    return dtype.kind in "iuf" and len(shape) == 2 and 2 <= shape[1] <= 4


def is_image_archive(path: AnyPath) -> bool:
    """Whether an ``.npz`` file holds images and their labels instead of events."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return {"images.npy", "labels.npy"} <= set(archive.namelist())
    except DAMAGED_ZIP:
        return False


def from_array(
    array: NDArray[Any],
    where: str,
    kind: str,
    time_unit: TimeUnit | None = None,
    *,
    unit: TimeUnit | None = None,
    sensor: tuple[int, int] | None = None,
) -> Recording:
    """A recording from one array: structured, or ``[n, c]`` of columns without names.

    Args:
        array: the array.
        where: the file, for messages.
        kind: the format's name.
        time_unit: of its times, where the user tells it.
        unit: likewise, where the file does.
        sensor: width and height, where the file tells them.

    Raises:
        InputError: it is another array.
    """
    picked: dict[columns.Role, NDArray[Any]]
    if array.dtype.names is not None and array.ndim == 1:
        found = columns.by_name(array.dtype.names, where)
        if found is None:
            raise InputError(
                f"{where}: the fields {', '.join(array.dtype.names)} are not those of events; name them {WANTED}"
            )
        picked = {role: array[name] for role, name in found.columns.items()}
    else:
        if array.dtype.kind not in "iuf" or array.ndim != 2 or not len(array):
            raise InputError(
                f"{where}: an array of {array.dtype} {list(array.shape)} holds no events; save a structured array with "
                f"the fields {WANTED}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{where}: the array holds numbers that are not finite; leave these events out")
        found = columns.by_values(array, where)
        picked = {role: array[:, at] for role, at in found.columns.items()}
    return recording_of(
        picked, where, kind, unit=found.unit or unit, time_unit=time_unit, sensor=sensor, notes=found.notes
    )


def _flat(array: NDArray[Any], role: str, where: str) -> NDArray[Any]:
    """An array ``[n]``, also where it was saved as ``[n, 1]`` or ``[1, n]``."""
    if array.ndim == 2 and 1 in array.shape:
        return array.ravel()
    if array.ndim != 1:
        raise InputError(
            f"{where}: the array {role} has the shape {list(array.shape)}, not [n]; save one number an event"
        )
    return array


def _sides(archive: zipfile.ZipFile, names: list[str], where: str) -> tuple[int, int] | None:
    """Width and height, where the archive has them as numbers of their own."""
    if not set(_SIDES) <= set(names):
        return None
    found = [read_member(archive, side, where, 1024) for side in _SIDES]
    if any(side.size != 1 or side.dtype.kind not in "iu" for side in found):
        return None
    return int(found[0].reshape(())), int(found[1].reshape(()))
