"""Pixels that share inputs: a stream and a whole recording give the bins of plain loops, and a model keeps the grid."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemsnn.data.arrivals import ArrivalSpec, EventBins
from gemsnn.data.binning import BinSpec, bin_and_tally, bin_events
from gemsnn.data.events import Recording, make_events
from gemsnn.data.grid import Grid
from gemsnn.data.reading import Reading, reading_of
from gemsnn.errors import InputError
from gemsnn.runs import facts
from gemsnn.types import LARGEST_SIDE, Layout

MANY = settings(deadline=None, max_examples=60)


@st.composite
def specs(draw) -> tuple[BinSpec, tuple[int, int]]:
    """Bins with any window, pooled or not, and the sensor."""
    width, height = draw(st.integers(1, 12)), draw(st.integers(1, 9))
    crop = None
    if draw(st.booleans()):
        x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        crop = (x0, y0, draw(st.integers(1, width - x0)), draw(st.integers(1, height - y0)))
    columns, rows = (width, height) if crop is None else crop[2:]
    pooled = draw(st.sampled_from(["no", "pool", "cells"]))
    how = {"pool": draw(st.integers(1, 15))} if pooled == "pool" else {}
    if pooled == "cells":
        how = {"cells": (draw(st.integers(1, columns)), draw(st.integers(1, rows)))}
    spec = BinSpec(
        100, draw(st.integers(1, 6)), crop, draw(st.sampled_from(["two", "merged"])), draw(st.booleans()),
        draw(st.booleans()), **how,
    )  # fmt: skip
    return spec, (width, height)


@st.composite
def recordings(draw, sensor: tuple[int, int]):
    count = draw(st.integers(1, 40))
    of = lambda most: draw(st.lists(st.integers(0, most), min_size=count, max_size=count))  # noqa: E731
    t = np.sort(of(700))
    return make_events(
        t - t[0],
        np.array(of(sensor[0] - 1)),
        np.array(of(sensor[1] - 1)),
        np.array(of(1), bool),
    )


def cell(at: int, window: int, pool: int, cells: int | None) -> int:
    """Which of the cells of a window's side holds a pixel: found by going through them."""
    if cells is None:
        return next(i for i in range(window) if pool * i <= at < pool * (i + 1))
    return next(i for i in range(cells) if i * window <= at * cells < (i + 1) * window)


def plainly(events, spec: BinSpec, sensor: tuple[int, int]) -> np.ndarray:
    """The bins, event by event."""
    x0, y0, width, height = spec.crop or (0, 0, *sensor)
    cells = spec.cells or (None, None)
    columns, rows = spec.cells or (-(-width // spec.pool), -(-height // spec.pool))
    last = int(events["t"][-1]) // spec.bin_us + 1
    assert spec.steps is not None
    steps = spec.steps if spec.pad else min(last, spec.steps)
    bins = np.zeros((steps, columns, rows, spec.channels), np.int64)
    for t, x, y, on in events.tolist():
        if x0 <= x < x0 + width and y0 <= y < y0 + height and t // spec.bin_us < steps:
            place = cell(x - x0, width, spec.pool, cells[0]), cell(y - y0, height, spec.pool, cells[1])
            bins[(t // spec.bin_us, *place, int(on) if spec.channels == 2 else 0)] += 1
    return np.minimum(bins, 255 if spec.counts else 1).reshape(steps, -1)


def read_with(spec: BinSpec, sensor: tuple[int, int]) -> Reading:
    return reading_of(spec, sensor, spec.layout(*sensor, 2), ("a", "b"))


@MANY
@given(st.data())
def test_bins_are_those_of_plain_loops(data):
    spec, sensor = data.draw(specs())
    events = data.draw(recordings(sensor))
    found = bin_and_tally(events, spec, width=sensor[0], height=sensor[1])
    wanted = plainly(events, spec, sensor)
    assert np.array_equal(found.rows.dense(), wanted)
    layout = spec.layout(*sensor, 2)
    assert layout.inputs == wanted.shape[1] == found.rows.inputs
    assert found.tally.events == len(events)
    if spec.counts:
        assert found.tally.kept == wanted.sum()


@MANY
@given(st.data())
def test_a_stream_gives_the_bins_of_the_whole_recording(data):
    """In any portions, from any corner of a sensor."""
    spec, sensor = data.draw(specs())
    events = data.draw(recordings(sensor))
    reading = read_with(spec, sensor)
    edges = [0, *sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=3))), len(events)]
    bins = EventBins(reading.arrivals())
    bins.begin(0)
    parts = [*(bins.push(events[a:b]) for a, b in pairwise(edges)), bins.finish(reading.steps)]
    got = np.concatenate([block for part in parts for block in part])
    wanted = reading.bin(events)
    assert np.array_equal(wanted, plainly(events, spec, sensor))
    length = min(len(got), len(wanted))
    assert np.array_equal(got[:length], wanted[:length])
    assert not wanted[length:].any()
    assert len(got) >= len(wanted)
    outside = bin_and_tally(events, reading.bins, width=sensor[0], height=sensor[1]).tally.outside
    assert bins.counts.outside == outside


@MANY
@given(st.data())
def test_a_reading_says_its_grid_again(data):
    """What it makes of bins, it gives as bins; and model.json keeps it."""
    spec, sensor = data.draw(specs())
    reading = read_with(spec, sensor)
    again = reading.bins
    assert again.grid(*sensor) == spec.grid(*sensor)
    assert again.window(*sensor) == spec.window(*sensor)
    assert read_with(again, sensor) == reading
    events = data.draw(recordings(sensor))
    of = {"width": sensor[0], "height": sensor[1]}
    assert np.array_equal(bin_events(events, again, **of), bin_events(events, spec, **of))
    told = facts.written(facts.Facts(reading, 0.0, "votes", 0))
    assert facts.read(json.loads(json.dumps(told)), "here").reading == reading


@pytest.mark.parametrize("window", [1, 2, 3, 35, 1000, LARGEST_SIDE])
@pytest.mark.parametrize("pool", [1, 2, 3, 7, LARGEST_SIDE])
def test_squares_hold_all_pixels_of_the_widest_window(window, pool):
    grid = Grid.pooled(window, 1, pool)
    x = np.arange(-2, window + 2)
    inside, column, row = grid.place(x, np.zeros_like(x))
    assert inside.tolist() == [0 <= at < window for at in x.tolist()]
    assert column[inside].tolist() == [at // pool for at in range(window)]
    assert grid.cells == (column[inside].max() + 1, 1)
    assert not row[inside].any()


@MANY
@given(st.integers(1, 200), st.data())
def test_scaled_cells_are_as_equal_as_pixels_allow(window, data):
    cells = data.draw(st.integers(1, window))
    _, column, _ = Grid.scaled(window, 1, cells, 1).place(np.arange(window), np.zeros(window, np.int64))
    sizes = np.bincount(column, minlength=cells)
    assert len(sizes) == cells
    assert np.all(np.diff(column) >= 0)
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"crop": (30, 0, 5, 5)}, r"the crop \(30, 0, 5, 5\) does not fit a sensor of 34 x 34 pixels"),
        ({"cells": (35, 1)}, "35 x 1 cells are more than the 34 x 34 pixels of the window; choose fewer"),
        ({"crop": (0, 0, 5, 5), "cells": (6, 5)}, "6 x 5 cells are more than the 5 x 5 pixels of the window"),
    ],
)
def test_what_does_not_fit_a_sensor(how, said):
    with pytest.raises(InputError, match=said):
        BinSpec(**how).grid(34, 34)


def test_two_ways_at_once():
    with pytest.raises(InputError, match="pool and cells both say how pixels become inputs"):
        BinSpec(pool=2, cells=(3, 3))


def test_a_grid_that_no_bins_can_say_is_refused():
    layout = Layout(1, 3, 3, 2, 100)
    given_grid = Grid((10, 10), (3, 3), (12, 15))
    with pytest.raises(InputError, match="grid must be one that pooling or scaling makes"):
        Reading(layout, 5, False, True, (10, 10), (0, 0), ("a", "b"), given_grid)
    with pytest.raises(InputError, match="grid must have the layout's 3 x 3 cells"):
        ArrivalSpec(layout, grid=Grid.pooled(10, 10, 2))
    told = facts.written(facts.Facts(read_with(BinSpec(100, 4, pool=3), (10, 10)), 0.0, "votes", 0))
    for grid in ({"window": [10, 10]}, {"window": [10, 10], "cells": [4], "span": [12, 12]}, 7):
        with pytest.raises(InputError, match="here holds what it should not"):
            facts.read(told | {"grid": grid}, "here")


def test_a_recording_of_another_sensor_is_pooled_from_its_own_corner():
    reading = read_with(BinSpec(100, 4, (2, 1, 5, 5), pool=2), (8, 8))
    events = make_events(np.array([0, 150]), np.array([12, 16]), np.array([11, 15]), np.ones(2, bool))
    found = reading.bin(Recording(events, 40, 30, "test", {}), x0=12, y0=11)
    assert [tuple(at) for at in np.argwhere(found)] == [(0, 1), (1, 2 * 8 + 1)]
    with pytest.raises(InputError, match="its window of 5 x 5 pixels"):
        reading.bin(Recording(events, 40, 30, "test", {}))
    with pytest.raises(InputError, match="the network sees 5 x 5 pixels, which do not fit"):
        reading.bin(Recording(events, 40, 30, "test", {}), x0=36, y0=11)
