"""Spikes held sparsely: for every row, the inputs that spiked, as compressed sparse rows (CSR) have them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gemsnn.errors import InputError

Index = NDArray[np.unsignedinteger]


def index_type(inputs: int) -> type[np.unsignedinteger]:
    """The smaller of two types that can number so many inputs."""
    return np.uint16 if inputs <= 2**16 else np.uint32


@dataclass(frozen=True, eq=False, repr=False)
class SpikeRows:
    """Rows of ``M`` inputs, of which few are not zero; a row is a step of a recording.

    Arrays may lie in a file that is mapped into memory, and are never written to.

    Attributes:
        indices: the inputs that spiked, ascending within each row, ``[E]``, of :func:`index_type`.
        indptr: int64 ``[R + 1]``; those of row ``r`` are ``indices[indptr[r] : indptr[r + 1]]``.
        inputs: M.
        counts: uint8 ``[E]``, how many events each of them is, from 1 on; ``None`` where a row says only whether.
    """

    indices: Index
    indptr: NDArray[np.int64]
    inputs: int
    counts: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        """The number of rows R."""
        return len(self.indptr) - 1

    def __repr__(self) -> str:
        """For messages: arrays by their size."""
        return f"rows [{len(self)}, {self.inputs}]"

    @property
    def nbytes(self) -> int:
        """What the arrays take, in bytes."""
        return self.indices.nbytes + self.indptr.nbytes + (0 if self.counts is None else self.counts.nbytes)

    @staticmethod
    def of(dense: NDArray[np.uint8], *, counts: bool | None = None) -> SpikeRows:
        """The rows of an array ``[R, M]``; with ``counts`` its numbers are kept, by default where one is above 1."""
        flat = np.ascontiguousarray(dense).reshape(-1)
        where = np.flatnonzero(flat)
        inputs = dense.shape[1]
        row = where // inputs
        indptr = np.searchsorted(row, np.arange(len(dense) + 1)).astype(np.int64)
        sizes = flat[where]
        keep = bool(len(sizes) and sizes.max() > 1) if counts is None else counts
        return SpikeRows(
            (where - row * inputs).astype(index_type(inputs)), indptr, inputs, sizes if keep else None
        )

    @staticmethod
    def silent(rows: int, inputs: int) -> SpikeRows:
        """So many rows without a spike."""
        return SpikeRows(np.empty(0, index_type(inputs)), np.zeros(rows + 1, np.int64), inputs)

    @staticmethod
    def at(
        row: NDArray[np.int64], index: NDArray[np.int64], shape: tuple[int, int], *, counts: bool
    ) -> SpikeRows:
        """The rows of events, each at a row and an input, in any order; several at one place are one, or counted.

        Counts stop at 255.
        """
        rows, inputs = shape
        place = row * inputs + index
        if counts:
            place, number = np.unique(place, return_counts=True)
            number = np.minimum(number, 255).astype(np.uint8)
        else:
            place, number = _distinct(place), None
        row = place // inputs
        indptr = np.searchsorted(row, np.arange(rows + 1)).astype(np.int64)
        return SpikeRows((place - row * inputs).astype(index_type(inputs)), indptr, inputs, number)

    @staticmethod
    def join(
        parts: Sequence[SpikeRows], inputs: int | None = None, *, counts: bool | None = None
    ) -> SpikeRows:
        """Rows after rows; ``inputs`` and ``counts`` say what they have where there are none.

        Raises:
            InputError: they have other inputs.
        """
        inputs = parts[0].inputs if inputs is None else inputs
        if any(part.inputs != inputs for part in parts):
            raise InputError(f"rows of {inputs} inputs cannot be joined with rows of others")
        if counts is None:
            counts = any(part.counts is not None for part in parts)
        sizes = [part.sizes for part in parts] if counts else None
        before = np.cumsum([0, *(part.indptr[-1] - part.indptr[0] for part in parts)])
        pointers = [
            part.indptr[:-1] - part.indptr[0] + first for part, first in zip(parts, before, strict=False)
        ]
        return SpikeRows(
            np.concatenate([np.zeros(0, index_type(inputs)), *(part.held for part in parts)]),
            np.concatenate([*pointers, before[-1:]]).astype(np.int64),
            inputs,
            None if sizes is None else np.concatenate([np.zeros(0, np.uint8), *sizes]),
        )

    @property
    def held(self) -> Index:
        """The indices of these rows, without others' that lie around them in memory."""
        return self.indices[self.indptr[0] : self.indptr[-1]]

    @property
    def sizes(self) -> NDArray[np.uint8]:
        """How many events each of :attr:`held` is."""
        held = slice(int(self.indptr[0]), int(self.indptr[-1]))
        return np.ones(held.stop - held.start, np.uint8) if self.counts is None else self.counts[held]

    @property
    def largest(self) -> int:
        """The most events that any of :attr:`held` is, at least 1."""
        return 1 if self.counts is None else int(self.sizes.max(initial=1))

    def part(self, low: int, high: int) -> SpikeRows:
        """Rows ``low .. high``, in the same memory."""
        return SpikeRows(self.indices, self.indptr[low : high + 1], self.inputs, self.counts)

    def padded(self, rows: int) -> SpikeRows:
        """So many rows, those after these empty."""
        more = np.full(rows - len(self), self.indptr[-1])
        return SpikeRows(self.indices, np.concatenate([self.indptr, more]), self.inputs, self.counts)

    def woven(self, others: SpikeRows, groups: int) -> SpikeRows:
        """The rows of both in so many groups of equal length: the first of these, the first of those, and so on."""
        both = self, others
        lengths = [np.diff(part.indptr).reshape(groups, -1) for part in both]
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths, 1))])
        # one whose rows are all empty has nothing to put between
        full = [
            (part, part.indptr[:: length.shape[1]])
            for part, length in zip(both, lengths, strict=True)
            if len(part.held)
        ]

        def woven(of: Callable[[SpikeRows], NDArray]) -> NDArray:
            if len(full) < 2:
                return of(full[0][0] if full else self)
            pieces = [
                of(part)[bounds[at] - bounds[0] : bounds[at + 1] - bounds[0]]
                for at in range(groups)
                for part, bounds in full
            ]
            return np.concatenate(pieces)

        counted = any(part.counts is not None for part in both)
        sizes = woven(lambda part: part.sizes) if counted else None
        return SpikeRows(woven(lambda part: part.held), indptr, self.inputs, sizes)

    def merged(self, channels: int, *, counts: bool) -> SpikeRows:
        """The rows of every ``channels`` neighbouring inputs taken as one: whether any spiked, or up to 255 events."""
        index = self.held.astype(np.int64) // channels
        row, shape = self.row, (len(self), self.inputs // channels)
        if not counts:
            return SpikeRows.at(row, index, shape, counts=False)
        sizes = self.sizes
        return SpikeRows.at(np.repeat(row, sizes), np.repeat(index, sizes), shape, counts=True)

    def dense(self) -> NDArray[np.uint8]:
        """All numbers, uint8 ``[R, M]``."""
        out = np.zeros((len(self), self.inputs), np.uint8)
        out[self.row, self.held] = self.sizes if self.counts is not None else 1
        return out

    @property
    def row(self) -> NDArray[np.int64]:
        """The row of each of :attr:`held`."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def digest(self) -> str:
        """SHA-256 of the numbers: equal where rows hold the same."""
        found = hashlib.sha256(f"{self.inputs} {self.counts is not None}\n".encode())
        for part in (self.held, np.diff(self.indptr), *([] if self.counts is None else [self.sizes])):
            found.update(np.ascontiguousarray(part).data)
        return found.hexdigest()

    def per_row(self) -> NDArray[np.int64]:
        """Spikes (or events) of each row, int64 ``[R]``."""
        if self.counts is None:
            return np.diff(self.indptr)
        sums = np.concatenate([[0], np.cumsum(self.sizes, dtype=np.int64)])
        return sums[self.indptr[1:] - self.indptr[0]] - sums[self.indptr[:-1] - self.indptr[0]]

    def per_input(self) -> NDArray[np.int64]:
        """Spikes (or events) of each input, int64 ``[M]``."""
        weights = None if self.counts is None else self.sizes
        return np.bincount(self.held, weights, minlength=self.inputs).astype(np.int64)


def _distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each number once, ascending: ``np.unique``, which of whole numbers makes a hash table first, and takes longer."""
    ascending = np.sort(numbers)
    return ascending[np.diff(ascending, prepend=-1) != 0]
