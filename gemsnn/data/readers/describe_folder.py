"""What a folder of recordings holds, in a few numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from gemsnn.data.folders import Folder, find_recordings
from gemsnn.data.readers.describe import PER_SECOND
from gemsnn.data.readers.files import read_recording
from gemsnn.data.readers.units import TimeUnit
from gemsnn.data.tally import NAMED
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

CLASSES_FROM = {
    "labels": "a labels file",
    "names": "the names of files",
    "folders": "folders",
    "files": "files, each of which is a class and has to be cut into windows",
}


def describe_folder(
    root: AnyPath,
    *,
    time_unit: TimeUnit | None = None,
    class_from: str | None = None,
    labels: AnyPath | None = None,
) -> dict[str, Any]:
    """Read every recording of a folder and describe them together, in values that JSON can hold.

    Args:
        root: the folder.
        time_unit: of the times of files that may have any, see :func:`~gemsnn.data.readers.files.read_recording`.
        class_from: see :func:`gemsnn.data.folders.find_recordings`.
        labels: likewise.

    Returns:
        ``recordings``, how many; ``classes`` and ``splits``, how many of each; ``classes_from``, what tells the
        classes; ``formats``, files of each; ``events`` of all; ``seconds`` and ``events_per_second``, the ``median``,
        ``min`` and ``max`` of files; ``width`` and ``height`` of the largest sensor, and ``sensor_inferred``;
        ``on_fraction``; ``repairs`` of all; ``damaged``, how many files cannot be read, and ``refusals``, the sentences
        on the first ones; ``notes``. ``None`` where nothing can be told.

    Raises:
        InputError: there is no such folder, it holds no event files, or classes cannot be told.
    """
    folder = find_recordings(root, class_from=class_from, labels=labels)
    formats, repairs, notes = Counter[str](), Counter[str](), Counter[str]()
    sensors: list[tuple[int, int, bool]] = []
    numbers: list[tuple[int, int, int]] = []
    refusals: list[str] = []
    damaged = 0
    for path in dict.fromkeys(entry.path for entry in folder.entries):
        try:
            recording = read_recording(path, time_unit=time_unit)
        except InputError as error:
            damaged += 1
            refusals += [str(error)][: NAMED - len(refusals)]
            continue
        t = recording.events["t"]
        formats[recording.format] += 1
        repairs.update(recording.repairs)
        notes.update(recording.notes)
        sensors.append((recording.width, recording.height, recording.sensor_inferred))
        numbers.append((len(t), int(t[-1] - t[0]), int(np.count_nonzero(recording.events["on"]))))
    events, duration_us, on = np.array(numbers, np.float64).reshape(-1, 3).T
    lasting = duration_us > 0
    return {
        **_of_classes(folder),
        "formats": dict(formats),
        "events": int(events.sum()),
        "seconds": _spread(duration_us / PER_SECOND),
        "events_per_second": _spread(events[lasting] / duration_us[lasting] * PER_SECOND),
        "width": max((width for width, _, _ in sensors), default=None),
        "height": max((height for _, height, _ in sensors), default=None),
        "sensor_inferred": any(inferred for _, _, inferred in sensors),
        "on_fraction": float(on.sum() / events.sum()) if len(events) else None,
        **({"repairs": dict(repairs)} if repairs else {}),
        "damaged": damaged,
        **({"refusals": refusals} if refusals else {}),
        "notes": [*folder.notes, *_told_of_files(notes)],
    }


def _of_classes(folder: Folder) -> dict[str, Any]:
    found = Counter(entry.label for entry in folder.entries)
    splits = {"no part" if split is None else split: count for split, count in folder.splits.items()}
    return {
        "recordings": len(folder.entries),
        "classes": {name: found[name] for name in folder.classes},
        "classes_from": CLASSES_FROM[folder.rule],
        **({"splits": splits} if set(folder.splits) != {None} else {}),
    }


def _spread(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    return {"median": float(np.median(values)), "min": float(values.min()), "max": float(values.max())}


def _told_of_files(notes: Counter[str]) -> list[str]:
    """The notes on files; of those that many files have with other numbers, the most frequent ones alone."""
    common = notes.most_common(NAMED)
    told = [note if count == 1 else f"Of {count} files: {note}" for note, count in common]
    rest = notes.total() - sum(count for _, count in common)
    return told + ([f"There are {rest} more notes like these on single files."] if rest else [])
