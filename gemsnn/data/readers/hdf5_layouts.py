"""Events of one recording in an HDF5 file, whatever its layout.

Known are a group of columns (``events/{x,y,p,t}`` of Prophesee and DSEC, ``events/{xs,ys,ps,ts}`` of E2VID, ..), one
structured data set (``CD/events``), and one array ``[n, 4]`` called ``events``; wherever in the file they lie, as long
as there is one. Links and data in other files are not followed. Data sets of many recordings are
:mod:`gemsnn.data.readers.hdf5` and :mod:`gemsnn.data.readers.hdf5_spikes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import Recording
from gemsnn.data.readers import columns, numpy_files, units
from gemsnn.data.readers.assembled import LARGEST_RECORDING, recording_of
from gemsnn.data.readers.columns import WANTED, Found, Role
from gemsnn.data.readers.hdf5 import open_hdf5, recordings_under, stored
from gemsnn.data.readers.hdf5_heaps import check_heaps
from gemsnn.data.readers.hdf5_spikes import is_spikes
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError, one_line
from gemsnn.types import AnyPath

DEEPEST = 6
MOST_OBJECTS = 10_000
NAMED = 5

_MILLISECONDS = "ms_to_idx"
_PAIRS = ("geometry", "sensor_resolution", "sensor_size", "resolution", "size")
_UNITS = ("unit", "units", "time_unit")


class Place(NamedTuple):
    """Where a file holds events.

    Attributes:
        name: of the group or data set.
        found: its columns by role; ``None`` for an array without names.
    """

    name: str
    found: Found | None


def read_hdf5(path: AnyPath, time_unit: TimeUnit | None = None) -> Recording:
    """Read the one recording of an HDF5 file.

    Raises:
        InputError: it is damaged, holds none, or holds several.
    """
    path = Path(path)
    where = str(path)
    check_heaps(path)
    with open_hdf5(path) as file:
        if (count := recordings_under(file)) or is_spikes(file):
            held = f"{count} recordings" if count else "many recordings (spikes/times)"
            raise InputError(
                f"{where}: this file holds {held}, not one; give it as the data set that it is (--root)"
            )
        place = find(file, where)
        inside = f"{where}:{place.name}"
        held: Any = file[place.name]
        sensor = _sensor(held)
        unit = _unit(held, place.found, file)
        if place.found is None or isinstance(held, h5py.Dataset):
            return numpy_files.from_array(
                _read(held, inside), inside, "HDF5", time_unit, unit=unit, sensor=sensor
            )
        picked: dict[Role, NDArray[Any]] = {
            role: _read(held[name], inside) for role, name in place.found.columns.items()
        }
        return recording_of(
            picked, inside, "HDF5", unit=place.found.unit or unit, time_unit=time_unit, sensor=sensor
        )


def find(file: h5py.File, where: str) -> Place:
    """The one place in a file that holds events.

    Raises:
        InputError: there is none, or more than one.
    """
    named: list[Place] = []
    arrays: list[Place] = []
    for name, held in _objects(file):
        if isinstance(held, h5py.Group):
            fields = [
                key for key, child in _children(held) if isinstance(child, h5py.Dataset) and child.ndim == 1
            ]
        else:
            fields = list(held.dtype.names or ())
            if (
                not fields
                and held.dtype.kind in "iuf"
                and held.ndim == 2
                and held.shape[1] == 4
                and held.shape[0]
            ):
                arrays.append(Place(name, None))
        if fields and (found := columns.by_name(fields, f"{where}:{name}")) is not None:
            named.append(Place(name, found))
    called = [place for place in arrays if place.name.lower().rpartition("/")[2] in ("events", "event")]
    for places in (named, called, arrays):
        if len(places) == 1:
            return places[0]
        if places:
            told = ", ".join(one_line(place.name) for place in places[:NAMED])
            raise InputError(
                f"{where}: events lie in {len(places)} places ({told}); give a file with one recording"
            )
    raise InputError(
        f"{where}: this HDF5 file has no recordings /train/0, /train/1, .., and no events in a group or table with "
        f"{WANTED}; give an event file"
    )


def _objects(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Groups and data sets that lie in the file itself, each once."""
    waiting: list[tuple[str, Any, int]] = [("/", file, 0)]
    seen: set[int] = set()
    while waiting:
        name, held, depth = waiting.pop(0)
        address = hash(held.id)
        if address in seen or len(seen) >= MOST_OBJECTS:
            continue
        seen.add(address)
        yield name, held
        if isinstance(held, h5py.Group) and depth < DEEPEST:
            waiting += [(f"{name.rstrip('/')}/{key}", child, depth + 1) for key, child in _children(held)]


def _children(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """What a group holds itself, not by a link."""
    for count, key in enumerate(group):
        if count >= MOST_OBJECTS:
            return
        if isinstance(group.get(key, getlink=True), h5py.HardLink):
            child = group[key]
            if isinstance(child, (h5py.Group, h5py.Dataset)):
                yield key, child


def _read(data: Any, where: str) -> NDArray[Any]:
    kinds = {data.dtype[name].kind for name in data.dtype.names} if data.dtype.names else {data.dtype.kind}
    if not kinds <= set("iufb"):
        raise InputError(f"{where}: {data.name} holds {data.dtype}, not numbers; write it again")
    if data.shape and data.shape[0] > LARGEST_RECORDING:
        raise InputError(
            f"{where}: {data.shape[0]} events are too many for one recording; cut it into shorter ones"
        )
    return stored(data, where)


def _unit(held: Any, found: Found | None, file: h5py.File) -> TimeUnit | None:
    """The unit of time by an attribute, or by the index of milliseconds that DSEC's microseconds come with."""
    column = held if found is None or isinstance(held, h5py.Dataset) else held[found.columns["t"]]
    for attributes in (column.attrs, held.attrs):
        for name in _UNITS:
            value = attributes.get(name)
            value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            if isinstance(value, str) and (unit := units.named(value)) is not None:
                return unit
    groups = [group for group in (held, held.parent, file) if isinstance(group, h5py.Group)]
    return "us" if any(_MILLISECONDS in group for group in groups) else None


def _sensor(held: Any) -> tuple[int, int] | None:
    """Width and height by attributes of the events, of a group above them, or of the file."""
    while True:
        attributes = held.attrs
        sides = [_whole(attributes.get(side)) for side in ("width", "height")]
        if all(len(side) == 1 for side in sides):
            return sides[0][0], sides[1][0]
        for name in _PAIRS:
            pair = _whole(attributes.get(name))
            if len(pair) == 2 and name == "geometry":
                return pair[0], pair[1]
            if len(pair) == 2:  # some write rows first, and sensors are wider than high
                return max(pair), min(pair)
        if held.name == "/":
            return None
        held = held.parent


def _whole(value: Any) -> list[int]:
    """The whole numbers from 1 on of an attribute (``1280x720``, an array of two, ..); none if it has others."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        parts = value.lower().replace("x", " ").replace(",", " ").split()
        return (
            [int(part) for part in parts]
            if all(p.isascii() and p.isdigit() and len(p) < 6 for p in parts)
            else []
        )
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or not 1 <= array.size <= 2:
        return []
    return [int(number) for number in array.ravel()]
