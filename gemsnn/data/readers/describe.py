"""What a file holds, in a few numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gemsnn.data.events import Recording
from gemsnn.data.images import load_images
from gemsnn.data.readers import units
from gemsnn.data.readers.files import read_recording
from gemsnn.data.readers.hdf5 import (
    open_hdf5,
    read_array,
    read_part,
    recordings_under,
    sensor_side,
    to_recording,
)
from gemsnn.data.readers.hdf5_spikes import is_spikes, open_spikes
from gemsnn.data.readers.mnist_dvs import find_mnist_dvs, read_files
from gemsnn.data.readers.numpy_files import is_image_archive
from gemsnn.data.readers.recognise import kind_of
from gemsnn.data.readers.units import TimeUnit
from gemsnn.types import AnyPath

PER_SECOND = 1e6


def describe(path: AnyPath, *, time_unit: TimeUnit | None = None) -> dict[str, Any]:
    """Describe a file of any kind that the library reads, in values that JSON can hold.

    Args:
        path: the file; of a folder, :func:`gemsnn.data.readers.describe_folder.describe_folder` tells.
        time_unit: of its times, see :func:`~gemsnn.data.readers.files.read_recording`.

    Returns:
        ``format``, ``events``, ``duration_us`` (last event minus first), ``width``, ``height`` and
        ``on_fraction``, ``None`` where a file has no such thing; of one recording also ``seconds``,
        ``events_per_second`` and ``sensor_inferred`` (whether the size is the extent of the events); ``repairs`` and
        ``notes`` if there are any; ``images`` and ``labels`` (how many of each class) of image files, ``recordings``
        and ``labels`` of data sets.

    Raises:
        InputError: missing or damaged file, or an unknown format.
    """
    path = Path(path)
    units.check(time_unit, path)
    kind = kind_of(path)
    if "idx3-ubyte" in path.name or kind == "IDX":
        return _describe_images(path, "images (IDX)")
    if kind == "npz" and is_image_archive(path):
        return _describe_images(path, "images (npz)")
    if kind == "HDF5":
        with open_hdf5(path) as file:
            counted, spoken = recordings_under(file), is_spikes(file)
        if spoken:
            return _describe_spikes(path, time_unit)
        if counted:
            return _describe_hdf5(path)
    if kind == "zip":
        return _describe_zip(path)
    return summary(read_recording(path, time_unit=time_unit))


def summary(recording: Recording) -> dict[str, Any]:
    """What :func:`describe` tells of one recording."""
    t = recording.events["t"]
    duration_us = int(t[-1] - t[0])
    return {
        "format": recording.format,
        "events": len(t),
        "duration_us": duration_us,
        "seconds": duration_us / PER_SECOND,
        "events_per_second": len(t) / duration_us * PER_SECOND if duration_us else None,
        "width": recording.width,
        "height": recording.height,
        "sensor_inferred": recording.sensor_inferred,
        "on_fraction": float(recording.events["on"].mean()),
        **({"repairs": recording.repairs} if recording.repairs else {}),
        **({"notes": list(recording.notes)} if recording.notes else {}),
    }


def _counts(labels: Any) -> dict[str, int]:
    return {str(label): count for label, count in sorted(Counter(int(label) for label in labels).items())}


def _total(recordings: Iterable[Recording]) -> tuple[int, int, dict[str, int]]:
    """The events of all recordings, how many of them are ON, and the repairs by kind."""
    events, on, repairs = 0, 0, Counter[str]()
    for recording in recordings:
        events += len(recording.events)
        on += int(np.count_nonzero(recording.events["on"]))
        repairs.update(recording.repairs)
    return events, on, dict(repairs)


def _describe_images(path: Path, kind: str) -> dict[str, Any]:
    images, labels = load_images(path)
    return {
        "format": kind,
        "events": None,
        "duration_us": None,
        "width": int(images.shape[2]),
        "height": int(images.shape[1]),
        "on_fraction": None,
        "images": len(images),
        "labels": _counts(labels),
    }


def _describe_hdf5(path: Path) -> dict[str, Any]:
    where = str(path)
    with open_hdf5(path) as file:
        parts = {
            name: part for name in ("train", "test") if (part := read_part(file, name, where)) is not None
        }
        names = [f"{name}/{key}" for name, part in parts.items() for key in part.names]
        side = sensor_side(max(int(read_array(file, name, where)[:, 1:3].max()) for name in names), where)
        recordings = (to_recording(read_array(file, name, where), side, f"{where}:/{name}") for name in names)
        events, on, repairs = _total(recordings)
    return {
        "format": "HDF5 events",
        "events": events,
        "duration_us": None,
        "width": side,
        "height": side,
        "on_fraction": on / events,
        "recordings": {name: len(part.names) for name, part in parts.items()},
        "labels": _counts(label for part in parts.values() for label in part.labels),
        **({"repairs": repairs} if repairs else {}),
    }


def _describe_spikes(path: Path, time_unit: TimeUnit | None) -> dict[str, Any]:
    with open_spikes(path, time_unit) as held:
        events, on, repairs = _total(held)
        return {
            "format": "HDF5 spikes",
            "events": events,
            "duration_us": None,
            "width": held.width,
            "height": 1,
            "on_fraction": on / events,
            "recordings": len(held),
            "labels": _counts(held.labels),
            **({"names": list(held.names)} if held.names else {}),
            **({"repairs": repairs} if repairs else {}),
        }


def _describe_zip(path: Path) -> dict[str, Any]:
    entries = find_mnist_dvs(path, scale=None)
    events, on, repairs = _total(read_files(entries))
    return {
        "format": "MNIST-DVS (zip)",
        "events": events,
        "duration_us": None,
        "width": 128,
        "height": 128,
        "on_fraction": on / events,
        "recordings": len(entries),
        "labels": _counts(entry.digit for entry in entries),
        "scales": _counts(entry.scale for entry in entries),
        "kinds": sorted({entry.kind for entry in entries}),
        **({"repairs": repairs} if repairs else {}),
    }
