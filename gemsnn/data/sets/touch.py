"""Ev-Objects: 36 household objects touched by an event-driven fingertip of 39 taxels.

F. Gu, W. Sng, T. Taunyazov and H. Soh, "TactileSGNet: A Spiking Graph Neural Network for Event-based Tactile Object
Recognition", IROS 2020 (arXiv 2008.08046). The data are bins, not events: a taxel and polarity either has an event in
a bin or has none, and the width of a bin is not stated in the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from gemsnn.data.binning import BinSpec
from gemsnn.data.events import Recording, make_events
from gemsnn.data.parts import Item, Listing, missing_in
from gemsnn.data.sets import packed
from gemsnn.data.sets.ev_objects import ARCHIVE, FILE, OBJECTS, PARTS, STEPS, TAXELS, Part, find, read_parts
from gemsnn.types import AnyPath

SHA256 = {
    FILE: "477e84b84544ad677497552d47d6d349d78e145d823a8f268e1d111b37d9a7ae",
    ARCHIVE: "bd8e828064a85c4fc6567789283198ff0b92384ef58aeb2366fa36a963ded867",
}

BIN_US = 20_000
"""A nominal width: the bins of the data come without one. It gives the time axis its numbers and changes no spike."""

MERGED = 5
"""Bins of the data in one of ours. Finer ones tell the objects apart no better (experiments/filters)."""

BINS = BinSpec(MERGED * BIN_US, STEPS // MERGED)


def listing(root: AnyPath) -> Listing:
    """The recordings of the set, in its own training and test parts.

    Recordings have a row of 39 taxels and a time of :data:`BIN_US` a bin; polarity 1 is taken as ON.

    Args:
        root: the file, or the folder that holds it; see :mod:`gemsnn.data.sets.ev_objects`.

    Raises:
        InputError: the file is missing, damaged, or another.
    """
    path = find(root)
    parts = _held(path, packed.stamp(path))
    first = {"train": 0, "test": len(parts["train"].label)}
    items = {
        part: [
            Item(int(label), first[part] + position, (part, position), f"{part} recording {position}")
            for position, label in enumerate(parts[part].label)
        ]
        for part in PARTS
    }
    notes = (
        *(packed.differs(path, SHA256) if path.is_file() else ()),
        f"The width of the set's bins is not stated: {BIN_US // 1000} ms is a nominal one, and times are multiples of "
        "it.",
        *missing_in(items["train"], items["test"], OBJECTS),
    )
    return Listing("Ev-Objects", path, items["train"], items["test"], _Read(path), TAXELS, 1, OBJECTS, notes)


@dataclass(frozen=True)
class _Read:
    """Recordings of items, from the file at ``path``."""

    path: Path

    def __call__(self, items: Iterable[Item]) -> Iterator[Recording]:
        parts = _held(self.path, packed.stamp(self.path))
        for item in items:
            name, position = item.source
            part = parts[name]
            here = slice(int(part.offsets[position]), int(part.offsets[position + 1]))
            taxel = part.taxel[here]
            events = make_events(
                part.bin[here].astype(np.int64) * BIN_US, taxel, np.zeros_like(taxel), part.polarity[here]
            )
            yield Recording(events, TAXELS, 1, "Ev-Objects", {})


@lru_cache(maxsize=1)
def _held(path: Path, stamp: packed.Stamp) -> dict[str, Part]:
    return read_parts(path)
