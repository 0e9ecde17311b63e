"""How a network's recordings became bins: what any other recording must share with them to be answered alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from gemsnn.data import arrays, memory, pairs
from gemsnn.data.arrivals import ArrivalSpec
from gemsnn.data.binning import MOST_STEPS, BinSpec, bin_and_tally, bin_events
from gemsnn.data.events import Events, Recording
from gemsnn.data.grid import Grid
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.specs import checks
from gemsnn.specs.checks import Range
from gemsnn.types import LARGEST_SIDE, Layout

if TYPE_CHECKING:
    from gemsnn.data.spikeset import SpikeSet

Corner = tuple[int, int]
Outputs = Literal["classes", "spike trains"]


@dataclass(frozen=True)
class Reading:
    """How recordings become bins.

    Attributes:
        layout: the inputs, the classes and the bin's width.
        steps: bins of a presentation; longer recordings are cut there.
        counts: numbers of events per bin (at most 255) instead of their binary OR.
        pad: whether shorter recordings are filled with empty bins.
        sensor: the sensor's width and height in pixels.
        corner: ``(x0, y0)``, the first column and row that the layout covers.
        names: the classes' names.
        grid: how the pixels of the window become the layout's; by default each is one.
        time_unit: of the times of events that do not tell it; where it was never told, arrays are in microseconds, and
            of files their numbers decide.
        outputs: what the visible neurons are taught: the class of a recording, or each a spike train of its own; then
            the layout's classes are these neurons.
    """

    layout: Layout
    steps: Annotated[int, Range(1, MOST_STEPS)]
    counts: bool
    pad: bool
    sensor: Annotated[tuple[int, int], Range(1, LARGEST_SIDE)]
    corner: Annotated[Corner, Range(0, LARGEST_SIDE)]
    names: tuple[str, ...]
    grid: Grid | None = None
    time_unit: TimeUnit | None = None
    outputs: Outputs = "classes"

    def __post_init__(self) -> None:
        """Check the fields, and that they fit one another."""
        checks.fields(self)
        if len(self.names) != self.layout.classes or len(set(self.names)) != len(self.names):
            raise InputError(f"{self.layout.classes} classes need as many different names, not {self.names}")
        _ = self.bins, self.arrivals()
        _check_corner(self.corner, self.window, self.sensor)
        if self.grid is not None and self.bins.grid(*self.sensor) != self.grid:
            raise InputError(f"grid must be one that pooling or scaling makes, not {self.grid}")

    @property
    def spoken(self) -> tuple[str, ...] | None:
        """The classes' names; ``None`` where they are their numbers."""
        numbers = tuple(map(str, range(len(self.names))))
        return None if self.names == numbers else self.names

    @property
    def window(self) -> tuple[int, int]:
        """Columns and rows of pixels that are looked at."""
        return (self.layout.width, self.layout.height) if self.grid is None else self.grid.window

    @cached_property
    def bins(self) -> BinSpec:
        """The same for :func:`gemsnn.data.binning.bin_events`, in pixels of the sensor."""
        return BinSpec(
            self.layout.bin_us,
            self.steps,
            (*self.corner, *self.window),
            "two" if self.layout.channels == 2 else "merged",
            self.counts,
            self.pad,
            **self._cells(),
        )

    def _cells(self) -> dict[str, Any]:
        """How a :class:`BinSpec` says what the grid is."""
        if self.grid is None or self.grid.is_whole:
            return {}
        pool = self.grid.span[0] // self.grid.cells[0]
        if Grid.pooled(*self.grid.window, pool) == self.grid:
            return {"pool": pool}
        return {"cells": self.grid.cells}

    def corner_on(
        self, sensor: tuple[int, int] | None, x0: int | None = None, y0: int | None = None
    ) -> Corner:
        """Where the layout begins on a sensor: the pixels that were chosen, or those of the training.

        Args:
            sensor: width and height; ``None`` where they are not known, and taken to be those of the training.
            x0: the first column, where it was chosen.
            y0: the first row, where it was chosen.

        Raises:
            InputError: the sensor is another than that of the training and nothing was chosen, or the layout does
                not fit on it.
        """
        if sensor not in (None, self.sensor) and (x0 is None or y0 is None):
            raise InputError(
                f"the recording is of a sensor of {sensor[0]} x {sensor[1]} pixels where the network was trained on "
                f"{self.sensor[0]} x {self.sensor[1]}; choose with x0 and y0 (--x0 and --y0) where its window of "
                f"{self.window[0]} x {self.window[1]} pixels begins, or give a recording of its sensor"
            )
        corner = (self.corner[0] if x0 is None else x0, self.corner[1] if y0 is None else y0)
        _check_corner(corner, self.window, sensor)
        return corner

    def arrivals(
        self, corner: Corner | None = None, *, reorder_us: int | None = None, max_gap_us: int = 10_000_000
    ) -> ArrivalSpec:
        """The same for events as they arrive."""
        x0, y0 = self.corner if corner is None else corner
        return ArrivalSpec(self.layout, x0, y0, self.counts, reorder_us, max_gap_us, self.grid)

    def bin(
        self, recording: Recording | Events, *, x0: int | None = None, y0: int | None = None
    ) -> NDArray[np.uint8]:
        """The bins of a recording, uint8 ``[T, M]``.

        Args:
            recording: from a reader, or its events alone, as an array with named fields (see
                :mod:`gemsnn.data.memory`), which then must lie on the sensor of the training, as those of a recording
                must that does not tell its sensor.
            x0: the first column of the window, where it is another sensor or part.
            y0: the first row.

        Raises:
            InputError: see :meth:`corner_on`; or these are no events, or they lie outside the sensor.
        """
        events, spec, sensor = self._placed(recording, "the recording", x0, y0)
        return bin_events(events, spec, width=sensor[0], height=sensor[1])

    def rows(
        self, recording: Any, where: str = "the recording", *, x0: int | None = None, y0: int | None = None
    ) -> SpikeRows:
        """The spikes of a recording in memory, of events (see :meth:`bin`) or of bins (see :mod:`gemsnn.data.arrays`).

        Raises:
            InputError: as :meth:`bin`, or bins are of other inputs.
        """
        if not arrays.is_events(recording):
            return self._fitting(recording, where)
        events, spec, sensor = self._placed(recording, where, x0, y0)
        return bin_and_tally(events, spec, width=sensor[0], height=sensor[1]).rows

    def _fitting(self, given: Any, where: str) -> SpikeRows:
        """A recording of bins, whose inputs lie as the layout's, or in a row of as many."""
        rows, sheet = arrays.sparse(given, where, None, counts=self.counts)
        ours = self.layout.channels, self.layout.height, self.layout.width
        if sheet not in (ours, (1, 1, self.layout.inputs)):
            has, wants = [[each[2]] if each[:2] == (1, 1) else list(each) for each in (sheet, ours)]
            raise InputError(
                f"{where} has the inputs {has} and the network {wants}; give the data it was made for"
            )
        return rows

    def _placed(
        self, given: Recording | Events, where: str, x0: int | None, y0: int | None
    ) -> tuple[Events, BinSpec, tuple[int, int]]:
        """Events, and how they are binned on a sensor of this size."""
        recording = memory.recording_of(given, where, self.time_unit or "us")
        sensor = recording.width, recording.height
        if recording.sensor_inferred:
            sensor = self._sensor_of(sensor, x0, y0)
        corner = self.corner_on(sensor, x0, y0)
        bins = self.bins  # which are checked already, as others are each time
        if corner != self.corner:
            bins = replace(bins, crop=(*corner, *self.window))
        return recording.events, bins, sensor

    def _sensor_of(self, extent: tuple[int, int], x0: int | None, y0: int | None) -> tuple[int, int]:
        """That of the training, or a larger one that these events need."""
        if extent[0] <= self.sensor[0] and extent[1] <= self.sensor[1]:
            return self.sensor
        x, y = self.corner if x0 is None or y0 is None else (x0, y0)
        return max(extent[0], x + self.window[0]), max(extent[1], y + self.window[1])

    def presentations(
        self,
        recordings: Iterable[Any],
        labels: arrays.Labels = None,
        *,
        targets: arrays.Arrays = None,
        x0: int | None = None,
        y0: int | None = None,
    ) -> SpikeSet:
        """Labelled recordings in memory, read like this; see :meth:`rows`.

        Args:
            recordings: of events or bins, or pairs of one and its label (or target, where spike trains are learned);
                taken one at a time.
            labels: of each, the number or the name of its class, where they do not come as pairs.
            targets: of each, where spike trains are learned and they do not come as pairs.
            x0: the first column of the window, where it is another sensor or part.
            y0: the first row.

        Raises:
            InputError: as :meth:`rows`; or a label is none.
        """
        from gemsnn.data.spikeset import SpikeSet  # which imports this module

        each, taught = pairs.with_taught(recordings, labels, targets)
        rows = [self.rows(one, f"recording {n}", x0=x0, y0=y0) for n, one in enumerate(each)]
        own = self if x0 is None and y0 is None else None
        if pairs.are_targets(taught):
            made = SpikeSet.from_bins(rows, None, self.layout, counts=self.counts, targets=taught)
            return replace(made, reading=own)
        found, _ = arrays.classes_of(taught, self.names)
        made = SpikeSet.from_bins(rows, found, self.layout, counts=self.counts)
        return replace(made, names=self.spoken, reading=own)

    def check(self, spikes: SpikeSet) -> None:
        """Whether binned recordings can have been read like this.

        Raises:
            InputError: their layout, values or lengths are others; the first that differs is named.
        """
        ours, theirs = self.layout._asdict(), spikes.layout._asdict()
        differing = [
            f"{name} {theirs[name]} where the network was trained on {ours[name]}"
            for name in ours
            if ours[name] != theirs[name]
        ]
        if spikes.counts != self.counts:
            has, wants = (
                ("binary bins", "numbers of events")
                if not spikes.counts
                else ("numbers of events", "binary bins")
            )
            differing.append(f"{has} where the network was trained on {wants}")
        taught = "classes" if spikes.targets is None else "spike trains"
        if taught != self.outputs:
            differing.append(f"{taught} to learn where the network was trained on {self.outputs}")
        lengths = np.diff(spikes.starts)
        if len(lengths) and lengths.max() > self.steps:
            differing.append(f"up to {lengths.max()} bins where the network was trained on {self.steps}")
        elif len(lengths) and self.pad and lengths.min() < self.steps:
            differing.append(
                f"only {lengths.min()} bins where the network was trained on {self.steps}, filled up"
            )
        if spikes.names is not None and spikes.names != self.names:
            differing.append(
                f"the classes {', '.join(spikes.names)} where the network was trained on {', '.join(self.names)}"
            )
        if differing:
            raise InputError(
                f"the recordings do not fit the network: they have {', and '.join(differing)}; read them as its run "
                "did (Model.reading, gemsnn evaluate RUN --data NAME --root FOLDER)"
            )


def reading_of(
    bins: BinSpec,
    sensor: tuple[int, int],
    layout: Layout,
    names: tuple[str, ...] = (),
    time_unit: TimeUnit | None = None,
    outputs: Outputs = "classes",
) -> Reading:
    """How recordings of a sensor became spikes of this layout with these bins, times in this unit.

    A layout of another size than the bins' window is one whose sensor is not known; it is taken to be all of it.
    """
    (x0, y0, _, _), grid = bins.window(*sensor), bins.grid(*sensor)
    if grid.cells != (layout.width, layout.height):
        sensor, x0, y0 = (layout.width, layout.height), 0, 0
        grid = Grid.whole(*sensor)
    assert bins.steps is not None, "a data set has a number of bins"
    names = names or tuple(str(label) for label in range(layout.classes))
    cells = None if grid.is_whole else grid
    return Reading(
        layout, bins.steps, bins.counts, bins.pad, sensor, (x0, y0), names, cells, time_unit, outputs
    )


def reading_of_bins(
    layout: Layout, steps: int, names: tuple[str, ...] | None, *, counts: bool, outputs: Outputs
) -> Reading:
    """How recordings were read that came as bins, up to so many: their own pixels are all there are."""
    names = names or tuple(str(label) for label in range(layout.classes))
    sensor = layout.width, layout.height
    return Reading(layout, steps, counts, False, sensor, (0, 0), names, outputs=outputs)


def _check_corner(corner: Corner, window: tuple[int, int], sensor: tuple[int, int] | None) -> None:
    if min(corner) < 0:
        raise InputError(f"the window must begin on the sensor, not at {corner}; choose --x0 and --y0")
    if sensor is None:
        return
    if corner[0] + window[0] > sensor[0] or corner[1] + window[1] > sensor[1]:
        raise InputError(
            f"the network sees {window[0]} x {window[1]} pixels, which do not fit on the sensor of "
            f"{sensor[0]} x {sensor[1]} from {corner} on; choose --x0 and --y0"
        )
