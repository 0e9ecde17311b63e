"""Pixels become inputs: a window of the sensor, whose pixels may be pooled into the cells of a layout.

A cell is that of a pixel ``(x, y)`` of the window, counted from its corner::

    column = x columns // span_x        row = y rows // span_y

Without pooling the span is the number of cells, and each pixel is a cell of its own. With ``pool`` p it is p times the
number of cells (the last ones may be cut by the window's edge); scaled to a given number of cells it is the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import Range
from gemsnn.types import LARGEST_SIDE

Sides = Annotated[tuple[int, int], Range(1, LARGEST_SIDE)]
Span = Annotated[tuple[int, int], Range(1, 2 * LARGEST_SIDE)]


@dataclass(frozen=True)
class Grid:
    """The cells of a window.

    Attributes:
        window: its columns and rows of pixels.
        cells: columns and rows of cells.
        span: see above.
    """

    window: Sides
    cells: Sides
    span: Span

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        if any(cells > window for cells, window in zip(self.cells, self.window, strict=True)):
            raise InputError(
                f"{self.cells[0]} x {self.cells[1]} cells are more than the {self.window[0]} x {self.window[1]} "
                "pixels of the window; choose fewer"
            )
        if any(span < window for span, window in zip(self.span, self.window, strict=True)):
            raise InputError(f"span must be at least the window {self.window}, not {self.span}")

    @staticmethod
    def whole(width: int, height: int) -> Grid:
        """Every pixel is a cell."""
        return Grid((width, height), (width, height), (width, height))

    @staticmethod
    def pooled(width: int, height: int, pool: int) -> Grid:
        """Squares of ``pool`` by ``pool`` pixels; of one that is cut by the edge, what there is."""
        cells = -(-width // pool), -(-height // pool)
        return Grid((width, height), cells, (pool * cells[0], pool * cells[1]))

    @staticmethod
    def scaled(width: int, height: int, columns: int, rows: int) -> Grid:
        """So many cells, as equal in size as whole pixels allow."""
        return Grid((width, height), (columns, rows), (width, height))

    @property
    def is_whole(self) -> bool:
        """Whether every pixel is a cell."""
        return self.cells == self.span

    def place(
        self, x: NDArray[np.int64], y: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """Whether pixels, counted from the window's corner, lie in it, and their columns and rows of cells."""
        inside = (x >= 0) & (x < self.window[0]) & (y >= 0) & (y < self.window[1])
        if self.is_whole:
            return inside, x, y
        (columns, rows), (span_x, span_y) = self.cells, self.span
        return inside, x * columns // span_x, y * rows // span_y
