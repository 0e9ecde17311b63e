"""Events to spikes: half-open time bins, a crop of the sensor, polarity channels.

Bin ``i`` is the half-open interval ``[i dt, (i + 1) dt)`` of the recording's time. By default a bin
is 1 if any event fell into it (binary OR), the convention of H. Jang and O. Simeone (arXiv 2007.11894);
with ``counts`` it holds the number of events, at most 255.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import EVENT, Events
from gemsnn.data.grid import Grid
from gemsnn.data.tally import Tally
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.specs import checks
from gemsnn.specs.checks import Range
from gemsnn.types import LARGEST_SIDE, LONGEST_BIN_US, Layout

Polarity = Literal["two", "merged"]
MOST_STEPS = 10**6
"""A recording of more bins is refused: its times are false, or its bins too fine."""

LARGEST_BINNED = 2**29
"""A dense array of more bins times inputs is refused."""


Corner = Annotated[int, Range(0, LARGEST_SIDE)]
Extent = Annotated[int, Range(1, LARGEST_SIDE)]


@dataclass(frozen=True)
class BinSpec:
    """How events become spikes.

    Attributes:
        bin_us: bin width in microseconds.
        steps: number of bins T; longer recordings are cut there. ``None`` keeps every bin up to the last event.
        crop: ``(x0, y0, width, height)`` in pixels; events outside are left out. ``None`` keeps the sensor.
        pool: pixels a side of the squares that share an input, see :mod:`gemsnn.data.grid`.
        cells: columns and rows of inputs that the crop is scaled to instead.
        polarity: ``"two"`` channels (OFF, ON), or ``"merged"`` into one.
        counts: numbers of events per bin instead of their binary OR.
        pad: fill recordings shorter than ``steps`` with empty bins, which then are part of the presentation.
            Otherwise a short recording stays short, and the network is idle in the padding of its batch.
    """

    bin_us: Annotated[int, Range(1, LONGEST_BIN_US)] = 25_000
    steps: Annotated[int, Range(1, MOST_STEPS)] | None = 80
    crop: tuple[Corner, Corner, Extent, Extent] | None = None
    polarity: Polarity = "two"
    counts: bool = False
    pad: bool = True
    pool: Extent = 1
    cells: tuple[Extent, Extent] | None = None

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        if self.pool > 1 and self.cells is not None:
            raise InputError("pool and cells both say how pixels become inputs; give one of them")

    @property
    def channels(self) -> int:
        """Channels per pixel: 2, or 1 with merged polarities."""
        return 2 if self.polarity == "two" else 1

    def window(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The crop on a sensor of this size, as ``(x0, y0, width, height)``."""
        if self.crop is None:
            return 0, 0, width, height
        x0, y0, crop_width, crop_height = self.crop
        if x0 + crop_width > width or y0 + crop_height > height:
            raise InputError(
                f"the crop {self.crop} does not fit a sensor of {width} x {height} pixels; change the crop"
            )
        return self.crop

    def grid(self, width: int, height: int) -> Grid:
        """The inputs of a polarity on a sensor of this size."""
        _, _, window_width, window_height = self.window(width, height)
        if self.cells is not None:
            return Grid.scaled(window_width, window_height, *self.cells)
        return Grid.pooled(window_width, window_height, self.pool)

    def settled(self, longest: int) -> BinSpec:
        """The same with as many bins as the longest recording has, where their number is open."""
        return self if self.steps is not None else replace(self, steps=longest)

    def layout(self, width: int, height: int, classes: int) -> Layout:
        """The inputs that these bins make of a sensor of this size, and the classes."""
        columns, rows = self.grid(width, height).cells
        return Layout(self.channels, rows, columns, classes, self.bin_us)


class Binned(NamedTuple):
    """The bins of one recording, and what became of its events."""

    rows: SpikeRows
    tally: Tally


def bin_events(events: Events, spec: BinSpec, *, width: int, height: int) -> NDArray[np.uint8]:
    """Bin the events of one recording.

    Args:
        events: in order of time; those before ``t = 0`` are left out.
        spec: the bins.
        width: sensor width in pixels.
        height: sensor height in pixels.

    Returns:
        uint8 ``[T, M]`` with the input order of :class:`gemsnn.types.Layout`. A recording without events has
        ``spec.steps`` empty bins if padded, else one.

    Raises:
        InputError: these are no events in order of time, the crop does not fit the sensor, or there are too many bins.
    """
    rows = bin_and_tally(events, spec, width=width, height=height).rows
    if len(rows) * rows.inputs > LARGEST_BINNED:
        raise InputError(
            f"a recording of {len(rows)} bins of {spec.bin_us} microseconds and {rows.inputs} inputs is too large; "
            "take wider bins, fewer steps or a crop"
        )
    return rows.dense()


def bin_and_tally(events: Events, spec: BinSpec, *, width: int, height: int) -> Binned:
    """As :func:`bin_events`, with what became of the events: each was kept, or dropped for one reason."""
    if not isinstance(events, np.ndarray) or events.dtype != EVENT or events.ndim != 1:
        raise InputError(f"events must be a 1-d array of dtype {EVENT}")
    if len(events) and np.any(np.diff(events["t"]) < 0):
        raise InputError("events must be in order of time; sort them first")
    (x0, y0, _, _), grid = spec.window(width, height), spec.grid(width, height)
    columns, rows_of_cells = grid.cells
    inputs = spec.channels * columns * rows_of_cells
    last = max(int(events["t"][-1]), 0) // spec.bin_us + 1 if len(events) else 1
    steps = last if spec.steps is None else (spec.steps if spec.pad else min(last, spec.steps))

    if steps > MOST_STEPS:
        raise InputError(
            f"a recording of {steps} bins of {spec.bin_us} microseconds is too long; take wider bins or fewer steps"
        )

    t = events["t"]
    on_pixels, x, y = grid.place(events["x"].astype(np.int64) - x0, events["y"].astype(np.int64) - y0)
    before, beyond = t < 0, t >= steps * spec.bin_us
    kept = on_pixels & ~before & ~beyond
    count = np.count_nonzero
    shown, outside = int(count(kept)), len(t) - int(count(on_pixels))
    early = int(count(on_pixels & before)) if before.any() else 0
    tally = Tally(shown, outside, early, len(t) - shown - outside - early)

    x, y, step = x[kept], y[kept], t[kept] // spec.bin_us
    pixel = x * rows_of_cells + y
    sender = 2 * pixel + events["on"][kept] if spec.channels == 2 else pixel
    rows = SpikeRows.at(step, sender, (steps, inputs), counts=spec.counts)
    if not spec.counts:
        return Binned(rows, tally)
    fitting = int(rows.sizes.sum(dtype=np.int64))
    return Binned(rows, tally._replace(kept=fitting, capped=shown - fitting))
