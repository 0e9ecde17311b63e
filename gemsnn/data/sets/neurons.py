"""Seven pictures seen by 132 real neurons: spikes of single cells in a macaque's inferior temporal cortex.

Y. Zhang, E. Meyers, N. Bichot, T. Serre, T. Poggio and R. Desimone, "Object decoding with attention in inferior
temporal cortex", PNAS 108 (2011). The neurons were recorded one after the other, so no trial holds all of them: a
*population* is one trial of each neuron, all of the same picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn import rng
from gemsnn.data.binning import BinSpec
from gemsnn.data.events import Recording, make_events
from gemsnn.data.parts import Item, Listing
from gemsnn.data.sets import packed
from gemsnn.errors import InputError
from gemsnn.types import LARGEST_SIDE, AnyPath

FILE = "zhang_desimone.npz"
SHA256 = {FILE: "71c3e2a70625f11d3c811e4cf031cbc102a1b513bad357274a4262398f859d24"}
TRIAL_MS, PICTURE_MS = 1000, 500
"""A trial's length, and when the picture appears in it: before, nothing can be known of it."""

BINS = BinSpec(10_000, 100, polarity="merged")

SHARES = {"test": 0.25, "validation": 0.15}
"""The shares of each neuron's trials of each picture; the rest train."""

POPULATIONS = {"training": 144, "validation": 36, "test": 60}
"""Populations drawn for each picture. Each trial occurs in four of them where a neuron has 60 of the picture."""

SEED = 20
"""Trials and populations are the same for every user and every seed."""

_NUMBERS = ("spike_offsets", "spike_trial", "spike_ms", "trials", "stimulus", "position")


class _Neurons(NamedTuple):
    """The file, its trials of all neurons end to end.

    Attributes:
        starts: int64 ``[trials + 1]``; the spikes of trial ``i`` are ``starts[i] .. starts[i + 1]``.
        ms: ``[spikes]``, their times.
        first: int64 ``[neurons + 1]``, the first trial of each neuron.
        picture: int64 ``[trials]``, what was shown.
        position: int64 ``[trials]``, where.
        names: of the pictures.
    """

    starts: NDArray[np.int64]
    ms: NDArray[Any]
    first: NDArray[np.int64]
    picture: NDArray[np.int64]
    position: NDArray[np.int64]
    names: tuple[str, ...]


def listing(root: AnyPath) -> Listing:
    """Populations of ``zhang_desimone.npz``.

    The trials of each neuron and picture are split first, in random order but for the picture's position on the screen,
    of which each part gets its share: a quarter of the trials is kept for the test part and 15 % for the validation
    part, and none is in two. Then populations are drawn within the parts, :data:`POPULATIONS` for each picture, so that
    all trials of a part occur equally often, up to one. Populations of the same part share trials: fewer of them are
    independent than there are.

    Arrays: ``spike_offsets`` ``[neurons + 1]``, for each spike its ``spike_trial`` and ``spike_ms`` (0 .. 999), the
    number of ``trials`` ``[neurons]``, for each trial of all neurons end to end the ``stimulus`` and its ``position``,
    and ``stimuli``, the pictures' names. Recordings have a row of neurons, and all spikes are ON.

    Args:
        root: the file, or the folder that holds it.

    Raises:
        InputError: the file is missing, damaged, or another, or a neuron has too few trials of a picture to split.
    """
    path = packed.find(root, FILE)
    held = _held(path, packed.stamp(path))
    parts: dict[str, list[Item]] = {part: [] for part in POPULATIONS}
    index = 0
    drawn = _populations(held, path)
    for part, items in parts.items():
        for picture, name in enumerate(held.names):
            for number, trials in enumerate(drawn[part, picture].tolist()):
                what = f"{part} population {number} of {name}"
                items.append(Item(picture, index, tuple(trials), what))
                index += 1
    return Listing(
        *("Zhang and Desimone", path, parts["training"], parts["test"], _Read(path)),
        *(len(held.first) - 1, 1, len(held.names), packed.differs(path, SHA256)),
        names=held.names,
        validation=parts["validation"],
    )


@dataclass(frozen=True)
class _Read:
    """Recordings of items, from the file at ``path``; an item's source is a trial of each neuron."""

    path: Path

    def __call__(self, items: Iterable[Item]) -> Iterator[Recording]:
        held = _held(self.path, packed.stamp(self.path))
        for item in items:
            trials = np.array(item.source)
            counts = held.starts[trials + 1] - held.starts[trials]
            neuron = np.repeat(np.arange(len(trials)), counts)
            ms = np.concatenate(
                [held.ms[held.starts[trial] : held.starts[trial + 1]] for trial in item.source]
            )
            order = np.argsort(ms, kind="stable")
            t, x = 1000 * ms[order].astype(np.int64), neuron[order]
            yield Recording(
                make_events(t, x, np.zeros_like(x), np.ones(len(x), bool)), len(trials), 1, "spike trains", {}
            )


def _populations(held: _Neurons, path: Path) -> dict[tuple[str, int], NDArray[np.int64]]:
    """The trials of each part's populations of each picture, int64 ``[populations, neurons]``."""
    neurons = len(held.first) - 1
    drawn = {
        (part, picture): np.empty((count, neurons), np.int64)
        for part, count in POPULATIONS.items()
        for picture in range(len(held.names))
    }
    for neuron in range(neurons):
        chance = rng.generator(SEED, "populations", neuron)
        own = np.arange(held.first[neuron], held.first[neuron + 1])
        for picture in range(len(held.names)):
            trials = own[held.picture[own] == picture]
            for part, chosen in _split(trials, held.position[trials], chance).items():
                if not len(chosen):
                    raise InputError(
                        f"{path}: neuron {neuron} has {len(trials)} trials of the picture {held.names[picture]}, too "
                        "few to train, validate and test with; give the whole file"
                    )
                count = POPULATIONS[part]
                rounds = [chance.permutation(chosen) for _ in range(-(-count // len(chosen)))]
                drawn[part, picture][:, neuron] = np.concatenate(rounds)[:count]
    return drawn


def _split(
    trials: NDArray[np.int64], position: NDArray[np.int64], chance: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """A neuron's trials of a picture in three parts: shuffled, then dealt out by turns from each position."""
    shuffled = chance.permutation(len(trials))
    turn = np.empty(len(trials), np.int64)
    for place in np.unique(position):
        there = shuffled[position[shuffled] == place]
        turn[there] = np.arange(len(there))
    dealt = trials[np.lexsort((position, turn))]
    tested, validated = (int(share * len(dealt) + 0.5) for share in SHARES.values())
    return {
        "training": dealt[tested + validated :],
        "validation": dealt[tested : tested + validated],
        "test": dealt[:tested],
    }


@lru_cache(maxsize=1)
def _held(path: Path, stamp: packed.Stamp) -> _Neurons:
    """The file's arrays, checked, with the spikes by trial."""
    held = packed.read(path, _NUMBERS, ("stimuli",))
    offsets, spike_trial, spike_ms, trials, stimulus, position = (held[name] for name in _NUMBERS)
    names = tuple(held["stimuli"].tolist())
    if len(names) < 2 or len(set(names)) != len(names):
        raise InputError(f"{path}: 'stimuli' must be two different names or more; download the file again")
    packed.check_ends(offsets, len(spike_ms), "spike_offsets", path)
    packed.check_lengths(path, len(spike_ms), spike_trial=spike_trial)
    packed.check_lengths(path, len(offsets) - 1, trials=trials)
    packed.check_range(trials, 1, 2**20, "trials", path)
    packed.check_lengths(path, int(trials.sum(dtype=np.int64)), stimulus=stimulus, position=position)
    if len(trials) > LARGEST_SIDE:
        raise InputError(f"{path}: {len(trials)} neurons are too many, {LARGEST_SIDE} are the limit")
    packed.check_range(spike_ms, 0, TRIAL_MS - 1, "spike_ms", path)
    packed.check_range(stimulus, 0, len(names) - 1, "stimulus", path)
    packed.check_range(position, 0, 2**15 - 1, "position", path)
    first = np.concatenate([[0], np.cumsum(trials, dtype=np.int64)])
    neuron = np.repeat(np.arange(len(trials)), np.diff(offsets.astype(np.int64)))
    packed.check_range(spike_trial, 0, 2**20, "spike_trial", path)
    if np.any(spike_trial >= trials[neuron]):
        raise InputError(
            f"{path}: a spike lies in a trial that its neuron does not have; download the file again"
        )
    trial = first[neuron] + spike_trial.astype(np.int64)
    packed.check_order(trial, offsets, "spike_trial", path)
    starts = np.searchsorted(trial, np.arange(first[-1] + 1))
    return _Neurons(starts, spike_ms, first, stimulus.astype(np.int64), position.astype(np.int64), names)
