"""What the inputs of presentations have sent, row by row, as far back as it still matters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.kernels.cpu import products
from gemsnn.kernels.cpu.products import Events
from gemsnn.rows import SpikeRows, index_type


class Inputs(NamedTuple):
    """Spikes of B presentations, as many steps of each, presentation by presentation.

    Attributes:
        rows: ``B S`` of them.
        presentations: B.
    """

    rows: SpikeRows
    presentations: int

    @staticmethod
    def silent(presentations: int, steps: int, inputs: int) -> Inputs:
        """Steps without spikes."""
        nothing = np.zeros(0, index_type(inputs)), np.zeros(presentations * steps + 1, np.int64)
        return Inputs(SpikeRows(*nothing, inputs), presentations)

    @staticmethod
    def of(dense: NDArray[np.uint8]) -> Inputs:
        """The spikes of an array ``[B, S, M]``."""
        return Inputs(SpikeRows.of(dense.reshape(-1, dense.shape[2])), len(dense))

    @property
    def steps(self) -> int:
        """S."""
        return len(self.rows) // self.presentations

    def between(self, first: int, last: int | None) -> Inputs:
        """Some of the steps of every presentation."""
        steps = self.steps
        first, last, _ = slice(first, last).indices(steps)
        if (first, last) == (0, steps):
            return self
        starts = range(0, len(self.rows), steps)
        parts = [self.rows.part(start + first, start + last) for start in starts]
        return Inputs(SpikeRows.join(parts), self.presentations)

    def then(self, rows: SpikeRows) -> Inputs:
        """These steps and more of them."""
        if not self.steps:
            return Inputs(rows, self.presentations)
        return Inputs(self.rows.woven(rows, self.presentations), self.presentations)

    def events(self, one: np.floating) -> Events:
        """Where the spikes are, in two orders."""
        indptr = self.rows.indptr - self.rows.indptr[0]
        return products.find_events(self.rows.held, self.rows.sizes, indptr, self.rows.inputs, one)

    def dense(self) -> NDArray[np.uint8]:
        """All numbers, uint8 ``[B, S, M]``."""
        return self.rows.dense().reshape(self.presentations, -1, self.rows.inputs)

    def heard(self, dtype: np.dtype) -> NDArray:
        """The numbers of those inputs alone that have spiked at all, ``[B, S, m]``: products with the others are 0.

        Where none has, of one that has not.
        """
        held = self.rows.held
        column = np.cumsum(np.bincount(held, minlength=self.rows.inputs) > 0) - 1
        out = np.zeros((len(self.rows), max(1, int(column[-1]) + 1)), dtype)
        out[self.rows.row, column[held]] = self.rows.sizes
        return out.reshape(self.presentations, self.steps, -1)
