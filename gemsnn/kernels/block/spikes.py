"""Products with spikes, of which there are few: on the CPU only the rows of a matrix are summed that they point at."""

from __future__ import annotations

import functools
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import embedding_bag

FEW = 0.1
"""Share of spikes below which, on the CPU, it is quicker to sum what they point at than to multiply all."""

NARROW = 96
"""Columns of a matrix below which it is quicker to multiply all than to look for the spikes."""


class Events(NamedTuple):
    """Where a matrix of spikes is not zero, row by row.

    Attributes:
        row: int64 ``[E]``, sorted.
        column: int64 ``[E]``.
        value: ``[E]``.
        shape: how many rows and columns there are.
    """

    row: Tensor
    column: Tensor
    value: Tensor
    shape: tuple[int, int]

    @property
    def transposed(self) -> Events:
        """The same, column by column."""
        column, order = self.column.sort(stable=True)
        rows, columns = self.shape
        return Events(column, self.row[order], self.value[order], (columns, rows))

    def times(self, matrix: Tensor) -> Tensor:
        """The product with a matrix ``[Y, Z]``."""
        counts = self.row.bincount(minlength=self.shape[0])
        begins = counts.cumsum(0) - counts
        return embedding_bag(self.column, matrix, begins, mode="sum", per_sample_weights=self.value)


class Spikes:
    """Spikes ``[R, C, m]`` of some senders, which are looked for once, however often they are multiplied."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    @functools.cached_property
    def events(self) -> Events | None:
        """Where they are; ``None`` where that is of no use."""
        if self.values.device.type != "cpu" or self.values.sum() > FEW * self.values.numel():
            return None
        matrix = self.values.flatten(0, 1)
        rows, columns = matrix.shape
        row, column = matrix.nonzero(as_tuple=True)
        return Events(row, column, matrix[row, column], (rows, columns))

    def times(self, matrix: Tensor) -> Tensor:
        """``sum_j s[r, c, j] matrix[j, z]``, ``[R, C, Z]``."""
        if matrix.shape[1] < NARROW or self.events is None:
            # product by product, as they lie: side by side they would first be copied
            return self.values.bmm(matrix.expand(len(self.values), -1, -1))
        return self.events.times(matrix).view(*self.values.shape[:2], -1)

    def outer(self, others: Tensor) -> Tensor:
        """``sum_{r, c} s[r, c, j] others[r, c, z]``, ``[m, Z]``."""
        others = others.flatten(0, 1)
        if others.shape[1] < NARROW or self.events is None:
            return self.values.flatten(0, 1).T @ others
        return self.events.transposed.times(others)

    def split(self, rows: int) -> list[Spikes]:
        """So many of R at a time."""
        if rows >= len(self.values):
            return [self]
        return [Spikes(some) for some in self.values.split(rows)]
