"""What recordings of one's own are like, and which bins and inputs follow from that.

Every file is read once for it and what was seen is kept in the cache, by the file's content.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from gemsnn.data import cache, content
from gemsnn.data.binning import BinSpec
from gemsnn.data.building import AT_A_TIME, PARALLEL_BYTES, in_portions
from gemsnn.data.events import Recording
from gemsnn.data.readers.files import read_recording
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError
from gemsnn.machine import places, workers
from gemsnn.types import AnyPath, Progress

VERSION = 2
"""Raised whenever files are seen otherwise."""

BINS = 60
"""Bins that the median recording is given, about: as many as N-MNIST's usual ones."""

ROUND = (1.0, 2.0, 2.5, 5.0)
"""Widths of bins begin with these digits."""

MOST_BINS = 250
"""No recording is given more bins, where nobody asks for more."""

MOST_CELLS = 2500
"""Pixels of the window are pooled until no more inputs of a polarity are left: N-MNIST has 1156."""

LONG = 0.95
"""This part of all recordings is as long as the bins are, or shorter."""


class Seen(NamedTuple):
    """What a file's events are like.

    Attributes:
        events: how many.
        duration_us: from time 0 to the last of them.
        width: of the sensor.
        height: of the sensor.
        inferred: whether that is the events' extent, for want of another.
        box: the first and last column and row with events, ``(x0, y0, x1, y1)``.
        notes: what its reader assumed.
        repairs: what its reader mended, counted by kind.
    """

    events: int
    duration_us: int
    width: int
    height: int
    inferred: bool
    box: tuple[int, int, int, int]
    notes: tuple[str, ...]
    repairs: dict[str, int]


class Damaged(NamedTuple):
    """Why a file could not be read."""

    why: str


def survey(
    root: AnyPath, files: Sequence[AnyPath], time_unit: TimeUnit | None, *, progress: Progress | None
) -> dict[Path, Seen | Damaged]:
    """What each of these files is like."""
    paths = list(dict.fromkeys(map(Path, files)))
    known = content.digests(root, paths)
    place = _place(Path(root), time_unit)
    kept = _kept(place)
    unknown = [path for path in paths if known[path] not in kept]
    done = _see(unknown, time_unit, content.size_of(unknown))
    if progress is not None and unknown:
        done = progress(done, len(unknown), "looking at recordings")
    damaged: dict[Path, Damaged] = {}
    for path, seen in zip(unknown, done, strict=True):
        if isinstance(seen, Damaged):
            damaged[path] = seen
        else:
            kept[known[path]] = seen
    if len(unknown) > len(damaged):
        _keep(place, kept)
    return {path: damaged[path] if path in damaged else kept[known[path]] for path in paths}


def choose(
    seen: Sequence[Seen],
    width: int,
    height: int,
    given: BinSpec,
    *,
    bin_us: int | None = None,
    pool: int | None = None,
) -> BinSpec:
    """The given bins, with what they leave open chosen from what was seen.

    Args:
        seen: all recordings.
        width: of the sensor.
        height: of the sensor.
        given: open are the steps and the crop where they are ``None``; its width of bins and its pooling do not count.
        bin_us: the width of a bin; ``None`` where it is open.
        pool: pixels a side of the squares that share an input; ``None`` where it is open and no cells are given.
    """
    times = np.array([max(each.duration_us, 1) for each in seen])
    if bin_us is None:
        bin_us = _rounded(float(np.median(times)) / BINS)
    steps = given.steps
    if steps is None:
        steps = min(MOST_BINS, int(np.quantile(times, LONG, method="inverted_cdf")) // bin_us + 1)
    crop = _box(seen, width, height) if given.crop is None else given.crop
    if pool is None:
        columns, rows = (width, height) if crop is None else crop[2:]
        pool = 1 if given.cells is not None else _pool(columns, rows)
    return replace(given, bin_us=bin_us, steps=steps, crop=crop, pool=pool)


def _pool(columns: int, rows: int) -> int:
    """The smallest power of two by which no more than :data:`MOST_CELLS` are left of a window; of a row, 1."""
    pool = 1
    while min(columns, rows) > 1 and -(-columns // pool) * -(-rows // pool) > MOST_CELLS:
        pool *= 2
    return pool


def _rounded(bin_us: float) -> int:
    """The nearest width, in ratio, that begins with one of :data:`ROUND`; at least a microsecond."""
    if bin_us <= 1:
        return 1
    power = 10 ** math.floor(math.log10(bin_us))
    widths = [power * digits for digits in (*ROUND, 10.0)]
    return max(1, round(min(widths, key=lambda width: abs(math.log(width / bin_us)))))


def _box(seen: Sequence[Seen], width: int, height: int) -> tuple[int, int, int, int] | None:
    """The part of the sensor that holds all events, where it is less than half of it."""
    boxes = np.array([each.box for each in seen if each.events])
    if not len(boxes):
        return None
    (x0, y0), (x1, y1) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    columns, rows = int(x1 - x0) + 1, int(y1 - y0) + 1
    return (int(x0), int(y0), columns, rows) if 2 * columns * rows <= width * height else None


def _see(files: Sequence[Path], time_unit: TimeUnit | None, size: int) -> Iterator[Seen | Damaged]:
    if size < PARALLEL_BYTES or len(files) <= AT_A_TIME:
        for path in files:
            yield _look(path, time_unit)
        return
    for seen in workers.mapped(partial(_look_at, time_unit=time_unit), in_portions(files)):
        yield from seen


def _look_at(files: Sequence[Path], time_unit: TimeUnit | None) -> list[Seen | Damaged]:
    return [_look(path, time_unit) for path in files]


def _look(path: Path, time_unit: TimeUnit | None) -> Seen | Damaged:
    try:
        return seen_of(read_recording(path, time_unit=time_unit))
    except InputError as error:
        return Damaged(str(error))


def seen_of(recording: Recording) -> Seen:
    """What a recording is like."""
    events, width, height, _, repairs, notes, inferred = recording
    if not len(events):
        return Seen(0, 0, width, height, inferred, (0, 0, 0, 0), notes, repairs)
    x, y = events["x"], events["y"]
    box = (int(x.min()), int(y.min()), int(x.max()), int(y.max()))
    return Seen(len(events), int(events["t"][-1]), width, height, inferred, box, notes, repairs)


def _place(root: Path, time_unit: TimeUnit | None) -> Path:
    name = hashlib.sha256(f"{VERSION} {root.absolute()} {time_unit}".encode()).hexdigest()[:32]
    return places.cache_folder() / "files" / f"seen-{name}.json"


def _kept(place: Path) -> dict[str, Seen]:
    try:
        return msgspec.convert(json.loads(place.read_bytes()), dict[str, Seen])
    except (OSError, ValueError, RecursionError):
        return {}


def _keep(place: Path, kept: dict[str, Seen]) -> None:
    if places.opened(places.cache_folder(), "files", tell=False) == place.parent:
        with contextlib.suppress(OSError):
            cache.write(place, json.dumps(kept).encode())
