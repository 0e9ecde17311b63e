"""Events as they arrive, into bins that close as time passes: the binning of :mod:`gemsnn.data.binning`, without end.

Stream time begins at 0 and never stands still for long. What may go wrong with events that come from outside, and what
is done about it (each is counted in :class:`Counts`):

* **out of order**: a bin stays open for ``reorder_us`` after its end, so events may overtake each other by that much.
* **late**: an event whose bin has closed is dropped.
* **twice**: binary bins do not notice; where bins count, each copy counts, for two real events look just the same.
* **outside** the window of pixels: dropped.
* **damaged**: a time that no clock shows (negative, or beyond 2^62 microseconds): dropped.
* **clock jumps**: a time more than ``max_gap_us`` before or after the newest one is that of a clock that was set anew:
  stream time goes on from where it stands, as if none had passed. So it does if only late events have come, three times
  in a row: the sensor's clock has fallen behind.
* **silence**: without events, :meth:`EventBins.tick` lets time pass by a clock of the computer's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import EVENT, Events
from gemsnn.data.grid import Grid
from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import Range
from gemsnn.types import LARGEST_SIDE, Layout

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 64
"""Bins that are handed on at a time, at most."""

CHUNK = 4096
"""Events that are looked at together."""

LATEST = 2**62
"""No clock shows more microseconds than this."""

LATE_IN_A_ROW = 3
"""Arrivals with late events alone, after which the sensor's clock is taken to have fallen behind."""


@dataclass(frozen=True)
class ArrivalSpec:
    """How arriving events become spikes.

    Attributes:
        layout: the inputs and the bin's width.
        x0: the first pixel column of the sensor that the layout covers.
        y0: the first row.
        counts: numbers of events per bin (at most 255) instead of their binary OR.
        reorder_us: how long a bin waits for events after its end, in microseconds; ``None`` for the width of a bin.
        max_gap_us: the longest step of time that is believed, in microseconds.
        grid: how the pixels of the window become the layout's; by default each is one.
    """

    layout: Layout
    x0: Annotated[int, Range(0, LARGEST_SIDE)] = 0
    y0: Annotated[int, Range(0, LARGEST_SIDE)] = 0
    counts: bool = False
    reorder_us: Annotated[int, Range(0, LATEST)] | None = None
    max_gap_us: Annotated[int, Range(1, LATEST)] = 10_000_000
    grid: Grid | None = None

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        if self.cells.cells != (self.layout.width, self.layout.height):
            raise InputError(
                f"grid must have the layout's {self.layout.width} x {self.layout.height} cells, not {self.cells.cells}"
            )
        if not 0 <= self.patience <= 1000 * self.layout.bin_us:
            raise InputError(f"reorder_us must lie between 0 and 1000 bins, not {self.reorder_us}")
        if self.max_gap_us < self.layout.bin_us:
            raise InputError(
                f"max_gap_us must be at least a bin of {self.layout.bin_us} microseconds, not {self.max_gap_us}"
            )

    @property
    def cells(self) -> Grid:
        """How pixels become the layout's."""
        return self.grid or Grid.whole(self.layout.width, self.layout.height)

    @property
    def patience(self) -> int:
        """How long a bin waits, in microseconds."""
        return self.layout.bin_us if self.reorder_us is None else self.reorder_us


class Counts(NamedTuple):
    """What has come by now, in events, and in jumps of the sensor's clock."""

    events: int = 0
    late: int = 0
    outside: int = 0
    damaged: int = 0
    clock_jumps: int = 0


class Clock(NamedTuple):
    """Where time stands, in microseconds.

    Attributes:
        newest: the stream's time.
        offset: the sensor's time minus the stream's.
        known: 1 once an event has told the offset.
        base: the stream's time at the last arrival.
        closed: bins that have been handed on.
        late_in_a_row: arrivals with late events alone, up to now.
    """

    newest: int = 0
    offset: int = 0
    known: int = 0
    base: int = 0
    closed: int = 0
    late_in_a_row: int = 0


class EventBins:
    """Open bins, of bounded size whatever comes.

    Attributes:
        spec: how events become spikes.
        counts: what has come by now.
        clock: where time stands.
    """

    def __init__(self, spec: ArrivalSpec) -> None:
        self.spec, self.counts, self.clock = spec, Counts(), Clock()
        rows = spec.patience // spec.layout.bin_us + 2 + BLOCK
        self._open = np.zeros((rows, spec.layout.inputs), np.uint8)

    def push(self, events: Events) -> Iterator[NDArray[np.uint8]]:
        """Take events; what closes through them comes out, uint8 ``[C, M]``, C at most a block.

        Time only moves as the result is consumed.

        Raises:
            InputError: these are no events.
        """
        if events.dtype != EVENT or events.ndim != 1:
            raise InputError(f"events must be a 1-d array of dtype {EVENT}, not {events.dtype}")
        before = self.counts
        for start in range(0, len(events), CHUNK):
            chunk = events[start : start + CHUNK]
            sane = (chunk["t"] >= 0) & (chunk["t"] < LATEST)
            self._count(events=len(chunk), damaged=int((~sane).sum()))
            yield from self._take(chunk[sane])
        self.clock = self.clock._replace(base=self.clock.newest)
        came, late = self.counts.events - before.events, self.counts.late - before.late
        if came:
            row = self.clock.late_in_a_row + 1 if late == came else 0
            if row == LATE_IN_A_ROW:
                self._begin_again(int(events["t"].max()))
                row = 0
            self.clock = self.clock._replace(late_in_a_row=row)

    def tick(self, elapsed_us: int) -> Iterator[NDArray[np.uint8]]:
        """So much time has passed since the last arrival (or since the beginning); what closes comes out."""
        newest = max(self.clock.newest, self.clock.base + elapsed_us)
        if newest - self.clock.newest > self.spec.max_gap_us:
            self._count(clock_jumps=1)
            self.clock = self.clock._replace(base=self.clock.newest - elapsed_us)
            return
        self.clock = self.clock._replace(newest=newest)
        yield from self._close(self._due(newest))

    def begin(self, sensor_us: int) -> None:
        """Before anything has come: the stream's time begins where the sensor's clock shows this."""
        self.clock = self.clock._replace(offset=sensor_us, known=1)

    def finish(self, at_least: int = 0) -> Iterator[NDArray[np.uint8]]:
        """No more will come: close the bins that have begun, and let silence pass until there are so many in all."""
        until = at_least * self.spec.layout.bin_us - 1
        if until > self.clock.newest:
            self.clock = self.clock._replace(newest=until)
        if self.clock.known or self.clock.newest:
            yield from self._close(self.clock.newest // self.spec.layout.bin_us + 1)

    def stream_time(self, sensor_us: int) -> int:
        """A time of the sensor's clock as stream time."""
        return sensor_us - self.clock.offset if self.clock.known else sensor_us

    @property
    def open_bins(self) -> Tensor:
        """The bins that are still open, as saved."""
        import torch

        return torch.from_numpy(self._open.copy())

    def restore(self, counts: Counts, clock: Clock, open_bins: Tensor) -> None:
        """Go on from what was saved.

        Raises:
            InputError: it was saved with other settings.
        """
        if str(open_bins.dtype) != "torch.uint8" or tuple(open_bins.shape) != self._open.shape:
            raise InputError("the saved state has other open bins; it was written with other settings")
        width, patience = self.spec.layout.bin_us, self.spec.patience
        sane = (
            0 <= clock.newest < LATEST
            and -LATEST < clock.base <= clock.newest
            and abs(clock.offset) <= LATEST
        )
        if not sane or not (clock.newest - patience) // width <= clock.closed <= clock.newest // width + 1:
            raise InputError("the saved state's times do not fit one another; it is damaged")
        self.counts, self.clock = counts, clock
        self._open[:] = open_bins.numpy()

    def _take(self, events: Events) -> Iterator[NDArray[np.uint8]]:
        """Events with sane times: in stretches between jumps of their clock."""
        while len(events):
            t, gap = events["t"], self.spec.max_gap_us
            if not self.clock.known:
                self.clock = self.clock._replace(offset=int(t[0]) - self.clock.newest, known=1)
            before = np.maximum.accumulate(np.concatenate([[self.clock.newest + self.clock.offset], t[:-1]]))
            jumps = np.flatnonzero(np.abs(t - before) > gap)
            stop = int(jumps[0]) if len(jumps) else len(t)
            yield from self._bin(events[:stop])
            events = events[stop:]
            if len(events):
                self._begin_again(int(t[stop]))

    def _begin_again(self, sensor_us: int) -> None:
        """The sensor's clock now shows this; the stream's stands where it stood."""
        self._count(clock_jumps=1)
        self.clock = self.clock._replace(offset=sensor_us - self.clock.newest)

    def _bin(self, events: Events) -> Iterator[NDArray[np.uint8]]:
        if not len(events):
            return
        layout, width = self.spec.layout, self.spec.layout.bin_us
        t = events["t"] - self.clock.offset
        newest = np.maximum.accumulate(np.maximum(t, self.clock.newest))
        step, closed = t // width, np.maximum((newest - self.spec.patience) // width, self.clock.closed)
        x, y = events["x"].astype(np.int64) - self.spec.x0, events["y"].astype(np.int64) - self.spec.y0
        inside, x, y = self.spec.cells.place(x, y)
        late = step < closed
        self._count(late=int(late.sum()), outside=int((~inside & ~late).sum()))
        sender = x * layout.height + y
        if layout.channels == 2:
            sender = 2 * sender + events["on"]
        kept = inside & ~late
        order = np.argsort(step[kept], kind="stable")
        step, sender = step[kept][order], sender[kept][order]
        self.clock = self.clock._replace(newest=int(newest[-1]))
        due, done, rows = self._due(self.clock.newest), 0, len(self._open)
        while True:
            stop = int(np.searchsorted(step, self.clock.closed + rows))
            self._mark(step[done:stop] - self.clock.closed, sender[done:stop])
            done = stop
            if self.clock.closed >= due:
                return
            yield from self._close(min(due, self.clock.closed + BLOCK))

    def _mark(self, row: NDArray, sender: NDArray) -> None:
        if not self.spec.counts:
            self._open[row, sender] = 1
            return
        place, count = np.unique(row * self._open.shape[1] + sender, return_counts=True)
        flat = self._open.reshape(-1)
        flat[place] = np.minimum(flat[place] + count, 255)

    def _due(self, newest: int) -> int:
        """How many bins should have closed."""
        return max((newest - self.spec.patience) // self.spec.layout.bin_us, self.clock.closed)

    def _close(self, until: int) -> Iterator[NDArray[np.uint8]]:
        """Hand on the bins before ``until``."""
        while self.clock.closed < until:
            count = min(BLOCK, until - self.clock.closed)
            block = self._open[:count].copy()
            self._open[:-count] = self._open[count:].copy()
            self._open[-count:] = 0
            self.clock = self.clock._replace(closed=self.clock.closed + count)
            yield block

    def _count(self, **more: int) -> None:
        self.counts = self.counts._replace(
            **{name: getattr(self.counts, name) + number for name, number in more.items()}
        )
