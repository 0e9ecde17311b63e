from __future__ import annotations

import numpy as np
import pytest
from event_files import random_events
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from gemsnn import rng
from gemsnn.data.deflicker import deflicker, stabilise
from gemsnn.data.events import check_events, make_events
from gemsnn.data.readers import read_recording


class NoNoise:
    """A generator whose normal numbers are all zero."""

    def standard_normal(self, size):
        return np.zeros(size)


@given(st.integers(0, 2**32), st.integers(0, 60))
def test_process_keeps_the_contract_and_its_input(seed, count):
    events = (
        random_events(np.random.default_rng(seed), count, 128, 2_000_000, low=40)
        if count
        else make_events(*[[]] * 4)
    )
    before = events.copy()
    moved = deflicker(events, np.random.default_rng(seed))
    np.testing.assert_array_equal(events, before)
    check_events(moved, 128, 128, "here")
    assert len(moved) == count
    for column in ("x", "y", "on"):
        np.testing.assert_array_equal(moved[column], events[column])
    if count:
        assert (moved["t"][0], moved["t"][-1]) == (0, events["t"][-1])
    still = stabilise(moved, np.random.default_rng(seed))
    check_events(still, 128, 128, "here")
    assert len(still) <= count


def test_deflicker_equation():
    """cumsum(mean + 2 std N), shifted to begin at 0, scaled to the old end, rounded, sorted; written out."""
    events = random_events(np.random.default_rng(1), 500, 128, 2_000_000)
    d = np.diff(events["t"])
    steps = np.mean(d) + 2 * np.sqrt(((d - d.mean()) ** 2).sum() / (len(d) - 1)) * rng.generator(
        3, "x"
    ).standard_normal(500)
    walk = np.array([steps[: i + 1].sum() for i in range(500)])
    want = sorted(np.rint((walk - walk.min()) * events["t"][-1] / (walk.max() - walk.min())).astype(int))
    np.testing.assert_allclose(deflicker(events, rng.generator(3, "x"))["t"], want, atol=1)


@pytest.mark.parametrize(
    ("t_s", "shift"),
    [
        # Without noise yc = 127 - round(5 |mod(t, 2T) - T| / T + 58) and likewise xc; shift = 63 - centre.
        (0.0, (63 - 127 + 58 + 5, 63 - 127 + 63)),
        (0.2982, (63 - 127 + 68, 63 - 127 + 58)),
        (2 * 0.2982, (63 - 127 + 63, 63 - 127 + 63)),
        (3 * 0.2982, (63 - 127 + 58, 63 - 127 + 58)),
    ],
)
def test_stabilise_equation(t_s, shift):
    events = make_events(*np.array([[round(t_s * 1e6)], [60], [61], [1]]))
    still = stabilise(events, NoNoise())
    assert (int(still["x"][0]) - 60, int(still["y"][0]) - 61) == shift


def test_events_that_leave_the_sensor_are_dropped():
    events = make_events(*np.array([[0, 0], [60, 0], [0, 60], [1, 1]]))  # at t = 0 the shift is (-1, -1)
    assert len(stabilise(events, NoNoise())) == 0


def test_real_flicker_goes_and_the_digit_stands_still():
    paths = sorted(shared("mnist-dvs", "grabbed_data0", "scale4").glob("*.aedat"))[:20]
    for index, path in enumerate(paths):
        events = read_recording(path).events
        assert flicker(deflicker(events, rng.generator(0, "deflicker", index))) < flicker(events) / 3

    def mean_entropy(change) -> float:
        return np.mean([entropy(change(read_recording(path).events)) for path in paths])

    def against_the_movement(events):
        mirrored = events.copy()
        mirrored["x"] = 127 - events["x"]
        return stabilise(mirrored, np.random.default_rng(0))

    raw = mean_entropy(lambda events: events)
    assert mean_entropy(lambda events: stabilise(events, np.random.default_rng(0))) < raw - 0.05
    assert mean_entropy(against_the_movement) > raw + 0.05


def entropy(events) -> float:
    """Of the pixels' share of events, in nats: low if the digit stands still."""
    counts = np.bincount(events["x"].astype(np.int64) * 128 + events["y"])
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def flicker(events) -> float:
    """Strength of the 75 Hz component of event times, from 0 (even) to 1 (all at one phase)."""
    return float(
        max(np.abs(np.exp(2j * np.pi * f * events["t"] * 1e-6).mean()) for f in np.arange(74, 76, 0.05))
    )
