"""What a file holds, in a few numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gemsnn.data.access import first_bytes
from gemsnn.data.events import Recording
from gemsnn.data.images import load_images
from gemsnn.data.readers.files import MAGIC_HDF5, MAGIC_ZIP, read_recording
from gemsnn.data.readers.hdf5 import open_hdf5, read_array, read_part, sensor_side, to_recording
from gemsnn.data.readers.mnist_dvs import find_mnist_dvs, read_files
from gemsnn.errors import InputError

MAGIC_IDX_IMAGES = b"\x00\x00\x08\x03"


def describe(path: str | Path) -> dict[str, Any]:
    """Describe a file of any kind that the library reads, in values that JSON can hold.

    Returns:
        ``format``, ``events``, ``duration_us`` (last event minus first), ``width``, ``height`` and
        ``on_fraction``, ``None`` where a file has no such thing; ``repairs`` if there were any; ``images``
        and ``labels`` (how many of each class) of image files, ``recordings`` and ``labels`` of data sets.

    Raises:
        InputError: missing or damaged file, or an unknown format.
    """
    path = Path(path)
    start = first_bytes(path)
    if path.suffix.lower() == ".npz":
        return _describe_images(path, "images (npz)")
    if start.startswith(MAGIC_IDX_IMAGES) or "idx3-ubyte" in path.name:
        return _describe_images(path, "images (IDX)")
    if start.startswith(MAGIC_HDF5):
        return _describe_hdf5(path)
    if start.startswith(MAGIC_ZIP):
        return _describe_zip(path)
    recording = read_recording(path)
    t = recording.events["t"]
    return {
        "format": recording.format,
        "events": len(t),
        "duration_us": int(t[-1] - t[0]),
        "width": recording.width,
        "height": recording.height,
        "on_fraction": float(recording.events["on"].mean()),
        **({"repairs": recording.repairs} if recording.repairs else {}),
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
        if not any(part.names for part in parts.values()):
            raise InputError(
                f"{where}: this HDF5 file has no recordings /train/0, /train/1, ..; give an event data set"
            )
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
