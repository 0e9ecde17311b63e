"""A set of binned recordings, held compactly: the sequence of presentations that training reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from gemsnn.data.tally import Tally, total
from gemsnn.errors import InputError
from gemsnn.types import Layout, Presentation, class_target


@dataclass(frozen=True)
class SpikeSet:
    """Binned recordings, one bit a bin where bins are binary.

    A sequence of :class:`~gemsnn.types.Presentation`: ``len(spikes)``, ``spikes[i]``, iteration.

    Attributes:
        values: uint8 ``[steps of all recordings, ceil(M / 8)]`` (packed bits), or ``[.., M]`` for counts.
        starts: int64 ``[n + 1]``; recording ``i`` is rows ``starts[i] .. starts[i + 1]``.
        labels: int64 ``[n]``.
        address: int64 ``[n]``, each presentation's own number, which addresses its noise.
        layout: the inputs and classes.
        packed: whether ``values`` holds packed bits.
        warm_up: share of each recording before the first step at which the target is evidence.
        tallies: int64 ``[n, 6]``, what became of each recording's events (the fields of
            :class:`gemsnn.data.tally.Tally`); ``None`` where it was not counted.
    """

    values: NDArray[np.uint8]
    starts: NDArray[np.int64]
    labels: NDArray[np.int64]
    address: NDArray[np.int64]
    layout: Layout
    packed: bool
    warm_up: float = 0.0
    tallies: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Check that the labels fit the classes."""
        if len(self.labels) and not (self.labels.min() >= 0 and self.labels.max() < self.layout.classes):
            worst = self.labels.max() if self.labels.max() >= self.layout.classes else self.labels.min()
            raise InputError(
                f"label {worst} is out of range: labels must lie in 0 .. {self.layout.classes - 1}"
            )

        shape = (len(self.labels), len(Tally._fields))
        if self.tallies is not None and self.tallies.shape != shape:
            raise InputError(f"tallies must have the shape {list(shape)}, not {list(self.tallies.shape)}")

    @staticmethod
    def from_bins(
        bins: Iterable[NDArray[np.uint8]], labels: Sequence[int], layout: Layout, *, counts: bool
    ) -> SpikeSet:
        """Pack recordings of shape ``[T, M]``, taken one at a time, so that unpacked they never coexist."""
        rows, lengths = [], []
        for spikes in bins:
            if spikes.shape[1] != layout.inputs:
                raise InputError(
                    f"recording {len(rows)} has {spikes.shape[1]} inputs where {layout.inputs} are expected"
                )
            rows.append(spikes if counts else np.packbits(spikes, axis=1))
            lengths.append(len(spikes))
        width = layout.inputs if counts else -(-layout.inputs // 8)
        return SpikeSet(
            values=np.concatenate(rows) if rows else np.zeros((0, width), np.uint8),
            starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            labels=np.asarray(labels, np.int64),
            address=np.arange(len(rows), dtype=np.int64),
            layout=layout,
            packed=not counts,
        )

    def __len__(self) -> int:
        """The number of recordings."""
        return len(self.labels)

    def bins(self, position: int) -> NDArray[np.uint8]:
        """The spikes of one recording, uint8 ``[T, M]``."""
        rows = self.values[self.starts[position] : self.starts[position + 1]]
        return np.unpackbits(rows, axis=1, count=self.layout.inputs) if self.packed else rows.copy()

    def __getitem__(self, position: int) -> Presentation:
        """One presentation, with the target :func:`~gemsnn.types.class_target`."""
        if not -len(self) <= position < len(self):
            raise IndexError(position)
        position %= len(self)
        spikes = torch.from_numpy(self.bins(position))
        label = int(self.labels[position])
        target = class_target(label, len(spikes), self.layout.classes)
        begin = int(self.warm_up * len(spikes))
        return Presentation(spikes, target, label, int(self.address[position]), begin)

    def digest(self) -> str:
        """SHA-256 of all spikes and labels: equal where two sets hold the same recordings in the same order."""
        found = hashlib.sha256()
        for part in (self.values, self.starts, self.labels, self.address):
            found.update(np.ascontiguousarray(part).data)
        return found.hexdigest()

    def select(self, positions: NDArray[np.int64] | Sequence[int] | slice) -> SpikeSet:
        """The recordings at these positions, in this order, each keeping its address."""
        chosen = np.arange(len(self))[positions]
        lengths = self.starts[chosen + 1] - self.starts[chosen]
        rows = [self.values[self.starts[i] : self.starts[i + 1]] for i in chosen]
        return replace(
            self,
            values=np.concatenate(rows) if rows else self.values[:0],
            starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            labels=self.labels[chosen],
            address=self.address[chosen],
            tallies=None if self.tallies is None else self.tallies[chosen],
        )

    def counts_per_input(self) -> NDArray[np.int64]:
        """Spikes (or events, for counts) of each input over each whole recording, int64 ``[n, M]``."""
        counts = np.zeros((len(self), self.layout.inputs), np.int64)
        for position in range(len(self)):
            counts[position] = self.bins(position).sum(axis=0, dtype=np.int64)
        return counts

    def merged(self) -> SpikeSet:
        """The same recordings with ON and OFF merged into one channel: OR of bits, sum of counts."""
        if self.layout.channels == 1:
            return self
        layout = self.layout._replace(channels=1)
        join = (
            np.bitwise_or.reduce
            if self.packed
            else lambda a, axis: np.minimum(a.sum(axis=axis), 255).astype(np.uint8)
        )
        bins = (
            join(self.bins(i).reshape(-1, layout.inputs, self.layout.channels), axis=2)
            for i in range(len(self))
        )
        merged = SpikeSet.from_bins(bins, self.labels.tolist(), layout, counts=not self.packed)
        tallies = self.tallies
        if tallies is not None and not self.packed:  # bins of counts that were joined hold at most 255, too
            lost = self.counts_per_input().sum(axis=1) - merged.counts_per_input().sum(axis=1)
            moved = np.array([[-(name == "kept") + (name == "capped") for name in Tally._fields]])
            tallies = tallies + lost[:, None] * moved
        return replace(merged, address=self.address, warm_up=self.warm_up, tallies=tallies)


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set, and sentences a user should know about how they came to be."""

    train: SpikeSet
    validation: SpikeSet
    test: SpikeSet
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, SpikeSet]:
        """The parts by their names."""
        return {"training": self.train, "validation": self.validation, "test": self.test}

    @property
    def tallies(self) -> dict[str, Tally]:
        """What became of the events of each part; parts where it was not counted are left out."""
        return {name: total(part.tallies) for name, part in self.parts.items() if part.tallies is not None}
