"""Braille letters read by NUSkin, an event-driven skin: 26 letters and the space, each touched many times.

A taxel sends its new value whenever that changes. The finger's position was varied on purpose.
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
from gemsnn.data.events import Events, Recording, make_events
from gemsnn.data.parts import Item, Listing, missing_in
from gemsnn.data.sets import packed
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

FILE = "letters_train.npz"
SHA256 = {FILE: "d00c182e88abc67796593967e4d65ea08d42f58df41b29070b85abf38b3abca0"}
TAXELS, LETTERS = 80, 27
NOISE = -1
"""The taxel of events that belong to none."""

BINS = BinSpec(100_000, 40)
"""4 s, which holds 99 % of the recordings whole. Finer bins tell the letters apart no better (experiments/filters)."""

TEST_DIGITS, VALIDATION_DIGITS = (2, 7), (8,)
"""The last digits of the repetitions that are the test and the validation part; all others train."""

LONGEST_US = 60_000_000
"""A time beyond this is damage: the longest recording takes 4.6 s."""

_NUMBERS = ("offsets", "t_us", "taxel", "adc", "label", "repetition")


class _Letters(NamedTuple):
    """The arrays of the file; see :mod:`gemsnn.data.sets.packed` for offsets."""

    offsets: NDArray[Any]
    t_us: NDArray[Any]
    taxel: NDArray[Any]
    adc: NDArray[Any]
    label: NDArray[Any]
    repetition: NDArray[Any]
    letters: tuple[str, ...]


def listing(root: AnyPath) -> Listing:
    """The recordings of ``letters_train.npz``, split by repetition.

    A letter's repetitions are numbered 0 .. 49. Those of the official test part (5, 10, 14, 19, ..) are not in the
    file. Of the others, all that end in 2 or 7 are the test part here and all that end in 8 the validation part, of
    every letter: about a quarter and an eighth of each, and no repetition lies in two parts.

    Arrays: ``offsets`` ``[n + 1]``, ``label`` and ``repetition`` ``[n]``, ``letters`` ``[27]``, and for each event
    ``t_us``, ``taxel`` (1 .. 80) and ``adc``, the taxel's value. Recordings have a row of 80 taxels.

    An event is ON where the value has risen since the last event of the same taxel, OFF where it has fallen. Events
    of taxel -1 are noise. A taxel's first event of a recording, and one with the value of the event before, tell of no
    change. All three kinds are left out, which a note counts.

    Args:
        root: the file, or the folder that holds it.

    Raises:
        InputError: the file is missing, damaged, or another.
    """
    path = packed.find(root, FILE)
    held = _held(path, packed.stamp(path))
    train: list[Item] = []
    validation: list[Item] = []
    test: list[Item] = []
    for position, (label, repetition) in enumerate(
        zip(held.label.tolist(), held.repetition.tolist(), strict=True)
    ):
        digit = repetition % 10
        part = test if digit in TEST_DIGITS else validation if digit in VALIDATION_DIGITS else train
        part.append(Item(label, position, position, f"letter {held.letters[label]}, repetition {repetition}"))
    if not train or not test:
        raise InputError(f"{path}: too few repetitions are here to learn from some and test on others")
    notes = (
        *packed.differs(path, SHA256),
        "The official test repetitions are not in this file: of the others, those that end in 2 or 7 are the test "
        f"part here ({len(test)} recordings), those that end in 8 the validation part ({len(validation)}).",
        *_left_out(held),
        *missing_in(train, test, held.letters),
    )
    return Listing(
        *("NUSkin Braille", path, train, test, _Read(path), TAXELS, 1, LETTERS, notes),
        names=held.letters,
        validation=validation or None,
    )


@dataclass(frozen=True)
class _Read:
    """Recordings of items, from the file at ``path``."""

    path: Path

    def __call__(self, items: Iterable[Item]) -> Iterator[Recording]:
        held = _held(self.path, packed.stamp(self.path))
        for item in items:
            here = slice(int(held.offsets[item.source]), int(held.offsets[item.source + 1]))
            events = changes(held.t_us[here], held.taxel[here], held.adc[here])
            yield Recording(events, TAXELS, 1, "NUSkin", {})


def changes(t_us: NDArray[Any], taxel: NDArray[Any], adc: NDArray[Any]) -> Events:
    """A recording's events as ON and OFF: the sign of ``adc_i - adc_j``, ``j`` the event before ``i`` of its taxel.

    Args:
        t_us: ``[n]``, times in order.
        taxel: ``[n]``, -1 or 1 .. 80; taxel ``k`` becomes column ``k - 1``.
        adc: ``[n]``, the values.

    Returns:
        The events that have such a ``j`` and another value.
    """
    change = _changes(taxel, adc)
    kept = change != 0
    column = taxel[kept].astype(np.int64) - 1
    return make_events(t_us[kept].astype(np.int64), column, np.zeros_like(column), change[kept] > 0)


def _changes(taxel: NDArray[Any], adc: NDArray[Any]) -> NDArray[np.int64]:
    """The change of value of each event since the last of its taxel; 0 of first ones and of noise."""
    by_taxel = np.argsort(taxel, kind="stable")
    value, place = adc[by_taxel].astype(np.int64), taxel[by_taxel]
    step = np.zeros(len(value), np.int64)
    step[1:] = np.where((place[1:] == place[:-1]) & (place[1:] != NOISE), np.diff(value), 0)
    change = np.empty_like(step)
    change[by_taxel] = step
    return change


def _left_out(held: _Letters) -> tuple[str, ...]:
    """How many events are left out, and why."""
    recording = np.repeat(np.arange(len(held.label)), np.diff(held.offsets.astype(np.int64)))
    own = recording * (TAXELS + 1) + held.taxel.astype(np.int64)  # a number for each recording and taxel
    noise = int(np.count_nonzero(held.taxel == NOISE))
    first = len(np.unique(own[held.taxel != NOISE]))
    own = np.where(held.taxel == NOISE, NOISE, own)
    same = int(np.count_nonzero(_changes(own, held.adc) == 0)) - noise - first
    counts = (
        (noise, "belong to no taxel"),
        (first, "are the first of their taxel"),
        (same, "repeat its value"),
    )
    told = ", ".join(f"{count} {why}" for count, why in counts if count)
    return (f"Events that tell of no change of a taxel are left out: {told}.",) if told else ()


@lru_cache(maxsize=1)
def _held(path: Path, stamp: packed.Stamp) -> _Letters:
    """The file's arrays, checked."""
    held = packed.read(path, _NUMBERS, ("letters",))
    letters = _Letters(*(held[name] for name in _NUMBERS), letters=tuple(held["letters"].tolist()))
    count = len(letters.t_us)
    packed.check_lengths(path, count, taxel=letters.taxel, adc=letters.adc)
    packed.check_ends(letters.offsets, count, "offsets", path)
    packed.check_lengths(path, len(letters.offsets) - 1, label=letters.label, repetition=letters.repetition)
    packed.check_lengths(path, LETTERS, letters=held["letters"])
    if len(set(letters.letters)) != LETTERS:
        raise InputError(f"{path}: 'letters' must be {LETTERS} different names; download the file again")
    packed.check_range(letters.t_us, 0, LONGEST_US, "t_us", path)
    packed.check_range(letters.taxel, NOISE, TAXELS, "taxel", path)
    packed.check_range(letters.adc, -(2**15), 2**15 - 1, "adc", path)
    packed.check_range(letters.label, 0, LETTERS - 1, "label", path)
    packed.check_range(letters.repetition, 0, 2**15 - 1, "repetition", path)
    if np.any(letters.taxel == 0):
        raise InputError(
            f"{path}: 'taxel' must be -1 or 1 .. {TAXELS}, and 0 occurs; download the file again"
        )
    packed.check_order(letters.t_us, letters.offsets, "t_us", path)
    return letters
