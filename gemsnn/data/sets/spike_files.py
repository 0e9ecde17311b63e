"""HDF5 files that hold many recordings of a row of channels, as SHD's do, in place of a folder of recordings.

The layout is that of :mod:`gemsnn.data.readers.hdf5_spikes`: classes are the file's labels. Of several files the names
tell the parts (``shd_train.h5``, ``shd_test.h5``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from gemsnn.data.binning import BinSpec
from gemsnn.data.events import Recording
from gemsnn.data.labels import SPLITS, Split
from gemsnn.data.parts import Item, Listing, missing_in
from gemsnn.data.readers.hdf5_spikes import open_spikes
from gemsnn.data.readers.units import TimeUnit
from gemsnn.data.sets.events import Found, hold_out, names_of
from gemsnn.data.sets.survey import Seen, choose, seen_of
from gemsnn.errors import InputError
from gemsnn.types import AnyPath, Progress


class _Place(NamedTuple):
    """Where a recording is: the file, and its number there."""

    path: Path
    number: int


def find(
    files: Sequence[AnyPath],
    bins: BinSpec,
    *,
    bin_us: int | None = None,
    time_unit: TimeUnit | None = None,
    sensor: tuple[int, int] | None = None,
    names: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> Found:
    """The recordings of such files; see :func:`gemsnn.data.sets.events.find` for the arguments.

    They have one polarity, so that inputs are merged. Channels are not pooled and not cut, whatever their number.

    Raises:
        InputError: a file is damaged, labels or the number of channels do not fit, or there is one class only.
    """
    paths = [Path(file) for file in files]
    where = paths[0] if len(paths) == 1 else paths[0].parent
    told = {_part(path) for path in paths}
    parts: dict[str, list[Item]] = {"train": [], "validation": [], "test": []}
    seen: list[Seen] = []
    classes: tuple[str, ...] = ()
    labelled: list[tuple[str, Path, int, int]] = []
    width = 0
    for path in paths:
        with open_spikes(path, time_unit) as held:
            width = max(width, held.width)
            here = held.names or tuple(str(label) for label in range(int(held.labels.max()) + 1))
            if classes and held.names and classes[: len(here)] != here[: len(classes)]:
                raise InputError(
                    f"{path}: its classes have other names than those of {paths[0]}; give files of one set"
                )
            classes = max(classes, here, key=len)
            # files of a set without a training part are all there is to learn from
            part = _part(path) if "train" in told else "train"
            labelled += [(part, path, number, int(label)) for number, label in enumerate(held.labels)]
            if bin_us is None or bins.steps is None:
                shown = (
                    iter(held) if progress is None else progress(held, len(held), f"looking at {path.name}")
                )
                seen += [seen_of(recording) for recording in shown]
    if sensor is not None:
        if sensor[0] < width or sensor[1] != 1:
            raise InputError(
                f"{where}: it has {width} channels in a row, and sensor (--sensor) says {sensor}; mend it"
            )
        width = sensor[0]
    number = {name: label for label, name in enumerate(names_of(where, classes, names))}
    order = list(parts)
    for index, (part, path, at, label) in enumerate(sorted(labelled, key=lambda row: order.index(row[0]))):
        name = f"{path.name}, recording {at}"
        parts[part].append(Item(number[classes[label]], index, _Place(path, at), name, path))
    notes = hold_out(where, parts)
    bins = choose(
        seen,
        width,
        1,
        replace(bins, polarity="merged", crop=bins.crop or (0, 0, width, 1)),
        bin_us=bin_us,
        pool=1,
    )
    listing = Listing(
        "events", where, parts["train"], parts["test"], _Read(time_unit, width), width, 1, len(number),
        (*notes, *missing_in(parts["train"], parts["test"], tuple(number))),
        names=tuple(number), validation=parts["validation"] or None, divided=not notes,
    )  # fmt: skip
    chosen = (
        f"{len(labelled)} recordings of {len(number)} classes, which are the files' labels; {width} channels in a row; "
        f"{bins.steps} bins of {bins.bin_us / 1000:g} ms."
    )
    return Found(listing, bins, chosen)


def _part(path: Path) -> Split:
    """The part that the name of a file tells; to train, where it tells none."""
    words = re.split(r"[^a-z]+", path.stem.lower())
    told: list[Split] = [SPLITS[word] for word in words if word in SPLITS]
    return told[0] if told else "train"


@dataclass(frozen=True)
class _Read:
    """Recordings of items, of so many channels; a file is open while it is read from."""

    time_unit: TimeUnit | None
    width: int

    def __call__(self, items: Iterable[Item]) -> Iterator[Recording]:
        for path, some in groupby(items, key=lambda item: item.source.path):
            with open_spikes(path, self.time_unit) as held:
                for item in some:
                    yield held.recording(item.source.number, self.width)
