"""Bins of arriving events: against the binning of whole recordings, and against every stated policy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemsnn.data.arrivals import BLOCK, ArrivalSpec, Clock, Counts, EventBins
from gemsnn.data.binning import BinSpec, bin_events
from gemsnn.data.events import make_events
from gemsnn.data.wire import no_events
from gemsnn.errors import InputError
from gemsnn.types import Layout

LAYOUT = Layout(2, 3, 4, 10, 100)


def events(*times, x=0, y=0, on=True):
    count = len(times)
    return make_events(np.array(times), np.full(count, x), np.full(count, y), np.full(count, on))


def gather(*blocks):
    """All bins that came out, ``[C, M]``."""
    rows = [block for part in blocks for block in part]
    assert all(0 < len(row) <= BLOCK for row in rows)
    return np.concatenate(rows) if rows else np.zeros((0, LAYOUT.inputs), np.uint8)


def busy(bins):
    return np.flatnonzero(bins.any(1)).tolist()


@given(
    times=st.lists(st.integers(0, 30_000), min_size=1, max_size=60),
    shuffle=st.randoms(use_true_random=False),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    counts=st.booleans(),
)
def test_whatever_the_order_and_the_portions_bins_are_those_of_the_whole_recording(
    times, shuffle, cuts, counts
):
    """Events overtake each other by less than ``reorder_us``, and arrive in any portions."""
    rng = np.random.default_rng(len(times))
    t = np.sort(np.array(times)) - min(times)
    whole = make_events(
        t, rng.integers(0, 6, len(t)), rng.integers(0, 5, len(t)), rng.integers(0, 2, len(t)) == 1
    )
    delayed = np.argsort([int(time) + shuffle.randrange(0, 100) for time in t], kind="stable")
    order = np.concatenate([[0], delayed[delayed != 0]])  # the first event tells when time begins
    bins = EventBins(ArrivalSpec(LAYOUT, x0=1, y0=2, counts=counts, max_gap_us=40_000))
    edges = [0, *sorted(min(cut, len(t)) for cut in cuts), len(t)]
    got = gather(*(bins.push(whole[order][a:b]) for a, b in pairwise(edges)), bins.finish())
    spec = BinSpec(100, None, crop=(1, 2, 4, 3), counts=counts)
    np.testing.assert_array_equal(got, bin_events(whole, spec, width=6, height=5))
    assert bins.counts.events == len(t)
    assert bins.counts.late == bins.counts.clock_jumps == bins.counts.damaged == 0


def test_a_bin_closes_when_an_event_is_reorder_us_past_its_end():
    bins = EventBins(ArrivalSpec(LAYOUT, reorder_us=50))
    assert busy(gather(bins.push(events(0, 149)))) == []
    assert busy(gather(bins.push(events(150)))) == [0]
    assert bins.clock.closed == 1


def test_late_events_are_dropped_and_counted():
    bins = EventBins(ArrivalSpec(LAYOUT, reorder_us=0))
    first = gather(bins.push(events(0, 250, 120, 199, 200)))
    assert busy(first) == [0]  # 120 and 199 came after their bin had closed at 200
    assert bins.counts == Counts(events=5, late=2)


def test_pixels_outside_the_window_are_dropped_and_counted():
    bins = EventBins(ArrivalSpec(LAYOUT, x0=2, y0=1))
    for x, y in ((1, 1), (6, 1), (2, 0), (2, 4), (-5, 1), (30_000, 30_000)):
        gather(bins.push(events(0, x=x, y=y)))
    gather(bins.push(events(1, x=2, y=1)))
    assert bins.counts == Counts(events=7, outside=6)
    (only,) = gather(bins.finish())
    assert np.flatnonzero(only).tolist() == [1]


def test_twice_is_once_where_bins_are_binary_and_saturates_where_they_count():
    for counts, expected in ((False, 1), (True, 255)):
        bins = EventBins(ArrivalSpec(LAYOUT, counts=counts))
        (only,) = gather(bins.push(events(*[5] * 300)), bins.push(events(*[5] * 300)), bins.finish())
        assert only.max() == expected


@pytest.mark.parametrize("jump", [10_001, -10_001, 2**61, -(10**8)])
def test_a_clock_that_was_set_anew_goes_on_as_if_no_time_had_passed(jump):
    start = 10**9
    bins = EventBins(ArrivalSpec(LAYOUT, max_gap_us=10_000))
    later = start + 150 + jump
    got = gather(bins.push(events(start, start + 150, later, later + 200)), bins.finish())
    assert busy(got) == [0, 1, 3]  # 0, 150, 150, 350
    assert bins.counts.clock_jumps == 1
    assert bins.counts.late == 0


def test_times_that_no_clock_shows_are_dropped():
    bins = EventBins(ArrivalSpec(LAYOUT))
    got = gather(bins.push(events(0, -1, 2**62, 2**63 - 1, 110)), bins.finish())
    assert busy(got) == [0, 1]
    assert bins.counts == Counts(events=5, damaged=3)


def test_silence_lets_time_pass():
    bins = EventBins(ArrivalSpec(LAYOUT))
    assert len(gather(bins.tick(1000))) == 9  # the tenth waits for events that are on their way
    assert len(gather(bins.tick(1000))) == 0
    gather(bins.push(events(77)))  # whatever the sensor's clock shows, it is now
    assert bins.clock.newest == 1000
    assert len(gather(bins.tick(300))) == 3
    assert busy(gather(bins.finish())) == []


def test_a_computer_that_slept_does_not_make_up_for_it():
    bins = EventBins(ArrivalSpec(LAYOUT, max_gap_us=10_000))
    gather(bins.push(events(0)))
    assert len(gather(bins.tick(10**12))) == 0
    assert bins.counts.clock_jumps == 1
    assert len(gather(bins.tick(10**12 + 500))) == 4


def test_a_sensor_whose_clock_has_fallen_behind_is_heard_again():
    bins = EventBins(ArrivalSpec(LAYOUT))
    gather(bins.push(events(0)), bins.tick(5000))
    for t in (1000, 1010, 1020):
        gather(bins.push(events(t)))
    assert bins.counts == Counts(events=4, late=3, clock_jumps=1)
    assert busy(gather(bins.push(events(1030)), bins.finish())) == [1]  # of the bins that were still open


def test_memory_does_not_grow_with_what_comes():
    bins = EventBins(ArrivalSpec(LAYOUT))
    size = bins.open_bins.numel()
    for round in range(50):
        gather(bins.push(events(*range(round * 9000, round * 9000 + 9000, 3))))
    assert bins.open_bins.numel() == size
    assert bins.clock.closed == 4498  # whole bins in 449,997 - 100 microseconds


def test_what_was_saved_goes_on():
    spec = ArrivalSpec(LAYOUT)
    whole, first, second = EventBins(spec), EventBins(spec), EventBins(spec)
    parts = [events(5, 120, 260), events(300, 210), events(900, 650)]
    want = gather(*(whole.push(part) for part in parts), whole.finish())
    begun = gather(first.push(parts[0]))
    second.restore(first.counts, first.clock, first.open_bins)
    rest = gather(*(second.push(part) for part in parts[1:]), second.finish())
    np.testing.assert_array_equal(np.concatenate([begun, rest]), want)
    assert (whole.counts, whole.clock) == (second.counts, second.clock)
    with pytest.raises(InputError, match="other settings"):
        EventBins(ArrivalSpec(LAYOUT, reorder_us=5000)).restore(Counts(), Clock(), first.open_bins)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30), st.integers(0, 3))
def test_any_times_are_borne(times, ticks):
    bins = EventBins(ArrivalSpec(LAYOUT, max_gap_us=10_000))
    gather(bins.push(events(*times)), bins.tick(ticks * 1000), bins.finish())
    counts = bins.counts
    assert counts.events == len(times)
    assert counts.late + counts.outside + counts.damaged <= len(times)
    assert 0 <= bins.clock.newest <= 10_000 * (len(times) + 1)


def test_nothing_comes():
    bins = EventBins(ArrivalSpec(LAYOUT))
    assert len(gather(bins.push(no_events()), bins.tick(0), bins.finish())) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x0": -1}, "x0 must be at least 0"),
        ({"reorder_us": -1}, "reorder_us"),
        ({"max_gap_us": 99}, "max_gap_us"),
    ],
)
def test_wrong_numbers_are_refused(change, says):
    with pytest.raises(InputError, match=says):
        ArrivalSpec(LAYOUT, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"newest": 2**61},
        {"closed": 99},
        {"closed": -5},
        {"newest": -1},
        {"base": 10**9},
        {"offset": 2**63 - 1},
    ],
)
def test_a_saved_clock_that_cannot_be_is_refused(change):
    bins = EventBins(ArrivalSpec(LAYOUT))
    gather(bins.push(events(0, 250, 600)))
    with pytest.raises(InputError, match="do not fit one another"):
        EventBins(ArrivalSpec(LAYOUT)).restore(bins.counts, bins.clock._replace(**change), bins.open_bins)
