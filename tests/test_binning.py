from __future__ import annotations

import numpy as np
import pytest
from event_files import random_events
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from gemsnn.data.binning import BinSpec, bin_events
from gemsnn.data.events import make_events
from gemsnn.data.readers import read_recording
from gemsnn.errors import InputError


def at(*times, x=0, y=0, on=True):
    return make_events(
        np.array(times), np.full(len(times), x), np.full(len(times), y), np.full(len(times), on)
    )


@st.composite
def specs(draw):
    return BinSpec(
        bin_us=draw(st.integers(1, 700)),
        steps=draw(st.none() | st.integers(1, 12)),
        crop=draw(st.sampled_from([None, (0, 0, 6, 5), (1, 2, 3, 2), (5, 4, 1, 1)])),
        polarity=draw(st.sampled_from(["two", "merged"])),
        counts=draw(st.booleans()),
        pad=draw(st.booleans()),
    )


@given(specs(), st.integers(0, 2**32), st.integers(0, 60))
def test_binning_is_what_a_loop_over_events_says(spec, seed, count):
    generator = np.random.default_rng(seed)
    events = random_events(generator, count, 5, 3000) if count else at()
    x0, y0, width, height = spec.crop or (0, 0, 6, 5)
    last = int(events["t"][-1]) // spec.bin_us + 1 if count else 1
    steps = last if spec.steps is None else spec.steps if spec.pad else min(spec.steps, last)
    want = np.zeros((steps, spec.channels * width * height), int)
    for t, x, y, on in events.tolist():
        inside = x0 <= x < x0 + width and y0 <= y < y0 + height
        for i in range(steps):
            if inside and i * spec.bin_us <= t < (i + 1) * spec.bin_us:
                pixel = (x - x0) * height + (y - y0)
                want[i, int(on) + 2 * pixel if spec.polarity == "two" else pixel] += 1
    got = bin_events(events, spec, width=6, height=5)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, want if spec.counts else want > 0)


def test_bins_are_half_open():
    spikes = bin_events(at(0, 9, 10, 29), BinSpec(10, None, polarity="merged"), width=1, height=1)
    assert spikes[:, 0].tolist() == [1, 1, 1]
    counts = bin_events(
        at(0, 9, 10, 29), BinSpec(10, None, polarity="merged", counts=True), width=1, height=1
    )
    assert counts[:, 0].tolist() == [2, 1, 1]


def test_the_last_event_counts():
    assert bin_events(at(0, 30), BinSpec(10, 4), width=1, height=1)[3].tolist() == [0, 1]


def test_pad_cut_and_short():
    assert bin_events(at(0, 15), BinSpec(10, 5), width=1, height=1).shape == (5, 2)
    assert bin_events(at(0, 15), BinSpec(10, 5, pad=False), width=1, height=1).shape == (2, 2)
    assert bin_events(at(0, 95), BinSpec(10, 5), width=1, height=1).sum() == 1
    assert bin_events(at(), BinSpec(10, 5), width=1, height=1).shape == (5, 2)


def test_input_order_of_the_papers():
    """With X, Y in 48 .. 73: 676 inputs X * 26 + Y, 1,352 inputs pol + 2 (X * 26 + Y) with polarity."""
    crop = (48, 48, 26, 26)
    on, off = (at(0, x=50, y=53, on=value) for value in (True, False))
    pixel = 2 * 26 + 5
    two, one = BinSpec(crop=crop), BinSpec(crop=crop, polarity="merged")
    assert (two.bin_us, two.steps) == (25_000, 80)
    assert np.argwhere(bin_events(on, two, width=128, height=128)).tolist() == [[0, 1 + 2 * pixel]]
    assert np.argwhere(bin_events(off, two, width=128, height=128)).tolist() == [[0, 2 * pixel]]
    assert np.argwhere(bin_events(off, one, width=128, height=128)).tolist() == [[0, pixel]]
    assert bin_events(on, two, width=128, height=128).shape == (80, 1352)
    assert bin_events(on, one, width=128, height=128).shape == (80, 676)
    for x, y, inside in ((48, 48, 1), (73, 73, 1), (47, 60, 0), (74, 60, 0), (60, 74, 0)):
        assert bin_events(at(0, x=x, y=y), two, width=128, height=128).sum() == inside


def test_counts_saturate_at_255():
    assert bin_events(at(*[0] * 300), BinSpec(10, 1, counts=True), width=1, height=1).max() == 255


@pytest.mark.parametrize(
    "numbers", [{"bin_us": 0}, {"steps": 0}, {"crop": (-1, 0, 2, 2)}, {"crop": (0, 0, 0, 2)}]
)
def test_impossible_specs_are_refused(numbers):
    with pytest.raises(InputError, match=next(iter(numbers))):
        BinSpec(**numbers)


def test_a_crop_must_fit_the_sensor():
    with pytest.raises(InputError, match="does not fit a sensor of 34 x 34"):
        bin_events(at(0), BinSpec(crop=(48, 48, 26, 26)), width=34, height=34)


def test_real_recordings_give_the_known_numbers():
    """200 raw recordings of digit 0: 12,470 events and 6,213 active bins in 2 s and 26 x 26 pixels."""
    paths = sorted(shared("mnist-dvs", "grabbed_data0", "scale4").glob("*.aedat"))
    assert len(paths) == 200
    crop = (48, 48, 26, 26)
    events, active = [], []
    for path in paths:
        recording = read_recording(path)
        size = {"width": recording.width, "height": recording.height}
        events.append(bin_events(recording.events, BinSpec(crop=crop, counts=True), **size).sum(dtype=int))
        active.append(bin_events(recording.events, BinSpec(crop=crop), **size).sum(dtype=int))
    assert np.mean(events) == pytest.approx(12_470, abs=5)
    assert np.mean(active) == pytest.approx(6_213, abs=1)
