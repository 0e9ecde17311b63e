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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.binning import BinSpec
from gemsnn.data.events import Recording, make_events
from gemsnn.data.parts import Item, Listing, missing_in
from gemsnn.data.sets import packed
from gemsnn.types import AnyPath

FILE = "ev_objects.npz"
SHA256 = "477e84b84544ad677497552d47d6d349d78e145d823a8f268e1d111b37d9a7ae"
TAXELS, STEPS, OBJECTS = 39, 250, 36

BIN_US = 20_000
"""A nominal width: the bins of the data come without one. It gives the time axis its numbers and changes no spike."""

BINS = BinSpec(BIN_US, STEPS)
"""The bins of the data themselves."""

_PARTS = ("train", "test")
_ARRAYS = ("offsets", "bin", "taxel", "polarity", "label")


class _Part(NamedTuple):
    """The arrays of one part; see :mod:`gemsnn.data.sets.packed` for offsets."""

    offsets: NDArray[Any]
    bin: NDArray[Any]
    taxel: NDArray[Any]
    polarity: NDArray[Any]
    label: NDArray[Any]


def listing(root: AnyPath) -> Listing:
    """The recordings of ``ev_objects.npz``, in its own training and test parts.

    Arrays ``train_*`` and ``test_*``: ``offsets`` ``[n + 1]``, ``label`` ``[n]``, and for each event ``bin``, ``taxel``
    and ``polarity`` (1 is taken as ON). Recordings have a row of 39 taxels and a time of :data:`BIN_US` a bin.

    Args:
        root: the file, or the folder that holds it.

    Raises:
        InputError: the file is missing, damaged, or another.
    """
    path = packed.find(root, FILE)
    parts = _held(path, packed.stamp(path))
    first = {"train": 0, "test": len(parts["train"].label)}
    items = {
        part: [
            Item(int(label), first[part] + position, (part, position), f"{part} recording {position}")
            for position, label in enumerate(parts[part].label)
        ]
        for part in _PARTS
    }
    notes = (
        *packed.differs(path, SHA256),
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
def _held(path: Path, stamp: packed.Stamp) -> dict[str, _Part]:
    """Both parts, checked."""
    held = packed.read(path, [f"{part}_{name}" for part in _PARTS for name in _ARRAYS])
    parts = {part: _Part(*(held[f"{part}_{name}"] for name in _ARRAYS)) for part in _PARTS}
    for name, part in parts.items():
        arrays = {f"{name}_{field}": array for field, array in part._asdict().items()}
        events = {key: array for key, array in arrays.items() if not key.endswith(("offsets", "label"))}
        packed.check_lengths(path, len(part.bin), **events)
        packed.check_ends(part.offsets, len(part.bin), f"{name}_offsets", path)
        packed.check_lengths(path, len(part.offsets) - 1, **{f"{name}_label": part.label})
        for key, most in (("bin", STEPS), ("taxel", TAXELS), ("polarity", 2), ("label", OBJECTS)):
            packed.check_range(arrays[f"{name}_{key}"], 0, most - 1, f"{name}_{key}", path)
        packed.check_order(part.bin, part.offsets, f"{name}_bin", path)
    return parts
