"""Augmentation against loops over events, by its laws, and by its statistics.

The oracle takes the same numbers from the same streams and does with them what the equations say, one event at a time.
Beside it, what can be told of a result without its streams is asked of the result alone. Each statistical claim fails
by chance once in a million seeds, or more rarely; the seeds are fixed.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from event_files import random_events
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gemsnn import rng
from gemsnn.data.augment import OFF, AugmentSpec, augmented
from gemsnn.data.events import EVENT, Events, check_events, make_events
from gemsnn.errors import InputError

FAILURE = 1e-6
NAMES = tuple(item.name for item in dataclasses.fields(AugmentSpec))
ORDER = (
    "flip", "rotate", "zoom", "shift", "swap_polarity", "time_stretch", "time_shift", "drop_region", "drop_pixels",
    "drop_time", "drop_events", "noise_events",
)  # fmt: skip


def oracle(events: Events, spec: AugmentSpec, frame: tuple[int, int, int], *address: int) -> list[tuple]:
    """The events as tuples, changed one by one in the documented order."""
    width, height, duration = frame
    seed, epoch, number = address

    def draws(name):
        return rng.generator(seed, "augment", name, epoch, number)

    rows = [(i, *event) for i, event in enumerate(events.tolist())]
    if spec.flip > 0 and draws("flip").random() < spec.flip:
        rows = [(i, t, width - 1 - x, y, on) for i, t, x, y, on in rows]
    for name in ("rotate", "zoom"):
        if getattr(spec, name) > 0 and width > 1 and height > 1:
            random = draws(name)
            v = random.uniform(-1, 1)
            angle = math.radians(v * spec.rotate) if name == "rotate" else 0.0
            factor = (1 + spec.zoom) ** v if name == "zoom" else 1.0
            within = random.random((2, len(events)))
            moved = []
            for i, t, x, y, on in rows:
                a, b = x + within[0, i] - width / 2, y + within[1, i] - height / 2
                a, b = a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle)
                moved.append(
                    (i, t, math.floor(factor * a + width / 2), math.floor(factor * b + height / 2), on)
                )
            rows = [row for row in moved if row[2] in range(width) and row[3] in range(height)]
    if spec.shift > 0:
        dx, dy = (int(by) for by in draws("shift").integers(-spec.shift, spec.shift + 1, 2))
        dx, dy = dx if width > 1 else 0, dy if height > 1 else 0
        moved = [(i, t, x + dx, y + dy, on) for i, t, x, y, on in rows]
        rows = [row for row in moved if row[2] in range(width) and row[3] in range(height)]
    if spec.swap_polarity > 0 and draws("swap_polarity").random() < spec.swap_polarity:
        rows = [(i, t, x, y, not on) for i, t, x, y, on in rows]
    if spec.time_stretch > 0:
        factor = (1 + spec.time_stretch) ** draws("time_stretch").uniform(-1, 1)
        rows = [(i, math.floor(factor * t), x, y, on) for i, t, x, y, on in rows]
    if spec.time_shift > 0:
        later = round(draws("time_shift").uniform(-1, 1) * spec.time_shift * duration)
        rows = [(i, t + later, x, y, on) for i, t, x, y, on in rows if t + later >= 0]
    if spec.drop_region > 0:
        random = draws("drop_region")
        share = random.random() * spec.drop_region
        if width > 1 and height > 1:
            size = round(math.sqrt(share) * width), round(math.sqrt(share) * height)
        elif width > 1 or height > 1:
            size = (round(share * width), 1) if width > 1 else (1, round(share * height))
        else:
            size = round(share), round(share)
        x0, y0 = random.integers(width - size[0] + 1), random.integers(height - size[1] + 1)
        blank = {(x0 + i, y0 + j) for i in range(size[0]) for j in range(size[1])}
        rows = [row for row in rows if (row[2], row[3]) not in blank]
    if spec.drop_pixels > 0:
        random = draws("drop_pixels")
        lost = np.float32(random.random() * spec.drop_pixels)
        chances = random.random((height, width), np.float32)
        rows = [row for row in rows if chances[row[3], row[2]] >= lost]
    if spec.drop_time > 0:
        random = draws("drop_time")
        length = round(random.random() * spec.drop_time * duration)
        begin = random.integers(duration - length + 1)
        rows = [row for row in rows if not begin <= row[1] < begin + length]
    if spec.drop_events > 0:
        random = draws("drop_events")
        lost = random.random() * spec.drop_events
        chances = random.random(len(events), np.float32)
        rows = [row for row in rows if chances[row[0]] >= np.float32(lost)]
    if spec.noise_events > 0:
        random = draws("noise_events")
        own = sum(t < duration for t, *_ in events.tolist())
        count = random.poisson(random.random() * spec.noise_events * own)
        if count:
            t, x, y, on = (random.integers(end, size=count).tolist() for end in (duration, width, height, 2))
            rows += [(None, *each) for each in zip(sorted(t), x, y, map(bool, on), strict=True)]
            rows.sort(key=lambda row: row[1])  # stable: noise after the recording's own
    return [row[1:] for row in rows]


@st.composite
def specs(draw) -> AugmentSpec:
    share = st.just(0.0) | st.floats(0, 1)
    return AugmentSpec(
        shift=draw(st.sampled_from([0, 0, 1, 3, 40, 32768])),
        rotate=draw(st.just(0.0) | st.floats(0, 180)),
        zoom=draw(st.just(0.0) | st.floats(0, 10)),
        flip=draw(share),
        swap_polarity=draw(share),
        time_stretch=draw(st.just(0.0) | st.floats(0, 10)),
        time_shift=draw(share),
        drop_region=draw(share),
        drop_pixels=draw(share),
        drop_time=draw(share),
        drop_events=draw(share),
        noise_events=draw(st.just(0.0) | st.floats(0, 10)),
    )


@st.composite
def recordings(draw) -> tuple[Events, tuple[int, int, int]]:
    width, height = draw(st.sampled_from([(1, 1), (7, 1), (1, 5), (6, 4), (34, 34), (32768, 2)]))
    duration, count = (
        draw(st.sampled_from([0, 1, 40, 17_000, 3_000_000])),
        draw(st.sampled_from([0, 1, 2, 30])),
    )
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    t = np.sort(random.integers(0, duration + duration // 4 + 1, count))
    ends = (width, height, 2)
    return make_events(t, *(random.integers(end, size=count) for end in ends)), (width, height, duration)


addresses = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 100), st.integers(0, 2**40))


def result(events: Events, spec: AugmentSpec, frame: tuple[int, int, int], *address: int) -> Events:
    (width, height, duration), (seed, epoch, number) = frame, address
    return augmented(
        events, spec, width=width, height=height, duration_us=duration, seed=seed, epoch=epoch, address=number
    )


def one(name: str, value: float) -> AugmentSpec:
    return AugmentSpec(**{name: value})  # type: ignore[arg-type]


# -- the whole ---------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(recordings(), specs(), addresses)
def test_augmentation_is_what_a_loop_over_events_says(recording, spec, address):
    events, frame = recording
    before = events.copy()
    events.flags.writeable = False
    got = result(events, spec, frame, *address)
    assert got.tolist() == oracle(events, spec, frame, *address)
    assert got.dtype == EVENT
    check_events(got, frame[0], frame[1], "augmented")  # order of time, from 0 on, on the sensor
    assert (events == before).all()


@given(recordings(), addresses)
def test_nothing_on_changes_nothing(recording, address):
    events, frame = recording
    assert result(events, AugmentSpec(), frame, *address) is events


def test_the_settings_that_are_on():
    assert not AugmentSpec().is_on
    assert AugmentSpec().on == ()
    assert AugmentSpec() == OFF
    assert set(ORDER) == set(NAMES)
    for name in NAMES:
        assert one(name, 1).is_on
        assert one(name, 1).on == (name,)
    with pytest.raises(InputError, match=r"drop_events must be at least 0 and at most 1, not 1\.5"):
        AugmentSpec(drop_events=1.5)


FULL = AugmentSpec(
    shift=3, rotate=20.0, zoom=0.3, flip=0.5, swap_polarity=0.5, time_stretch=0.2, time_shift=0.1, drop_region=0.3,
    drop_pixels=0.3, drop_time=0.3, drop_events=0.3, noise_events=0.3,
)  # fmt: skip
EVENTS = random_events(np.random.default_rng(0), 500, 34, 200_000)
FRAME = (34, 34, 300_000)


def test_the_same_address_gives_the_same_and_another_address_another():
    first = result(EVENTS, FULL, FRAME, 5, 2, 9)
    assert (result(EVENTS, FULL, FRAME, 5, 2, 9) == first).all()
    for other in ((6, 2, 9), (5, 3, 9), (5, 2, 10)):
        assert result(EVENTS, FULL, FRAME, *other).tolist() != first.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_draws_anew_for_each_seed_epoch_and_recording(name):
    spec = one(name, getattr(FULL, name))
    for place in range(3):
        addresses = [tuple(i if place == j else 0 for j in range(3)) for i in range(20)]
        found = {result(EVENTS, spec, FRAME, *address).tobytes() for address in addresses}
        assert len(found) == 2 if name in ("flip", "swap_polarity") else len(found) > 10


COUNTING = ("rotate", "zoom", "drop_events", "noise_events")
"""They draw for the events of the recording as it is."""

LOSSLESS = ("flip", "swap_polarity", "time_stretch")
PAIRS = [
    (first, second)
    for first, second in itertools.combinations(ORDER, 2)
    if first in LOSSLESS or second not in COUNTING
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_operations_are_one_after_the_other(first, second):
    """So that neither changes what the other draws, and their order is the documented one."""
    specs = [one(name, getattr(FULL, name)) for name in (first, second)]
    both = dataclasses.replace(specs[0], **{second: getattr(FULL, second)})
    for number in range(6):
        alone = result(EVENTS, specs[0], FRAME, 1, 0, number)
        then = result(alone, specs[1], FRAME, 1, 0, number)
        assert (result(EVENTS, both, FRAME, 1, 0, number) == then).all()


@pytest.mark.parametrize("other", ["shift", "drop_region", "drop_pixels", "drop_time"])
def test_the_same_events_are_lost_whatever_else_is_lost(other):
    events = EVENTS.copy()
    events["t"] = 500 * np.arange(len(events))  # a time is an event's name
    by = {"drop_events": 0.6, other: getattr(FULL, other)}
    for number in range(6):
        alone = [result(events, one(*pair), FRAME, 1, 0, number)["t"] for pair in by.items()]
        both = result(events, AugmentSpec(**by), FRAME, 1, 0, number)["t"]
        assert set(both) == set(alone[0]) & set(alone[1])


def test_noise_does_not_follow_what_is_lost():
    """It is as much for the recording, and at the same pixels, whatever is left of it."""
    alone = result(EVENTS, one("noise_events", 0.5), FRAME, 1, 0, 0)
    noise = sorted(set(alone.tolist()) - set(EVENTS.tolist()))
    assert len(noise) > 20
    blank = AugmentSpec(noise_events=0.5, drop_events=1.0, drop_region=1.0, shift=3)
    assert set(noise) <= set(result(EVENTS, blank, FRAME, 1, 0, 0).tolist())


# -- what may happen, told by the result alone ------------------------------------------------------------


def at(t, x, y, on=True) -> Events:
    t, x, y, on = np.broadcast_arrays(t, x, y, on)
    return make_events(t.ravel(), x.ravel(), y.ravel(), on.ravel())


def outcomes(
    events: Events, spec: AugmentSpec, frame: tuple[int, int, int], count: int = 2000
) -> list[Events]:
    """What becomes of a recording in many epochs."""
    return [result(events, spec, frame, 17, epoch, 3) for epoch in range(count)]


def is_uniform(values, low: float, high: float) -> bool:
    """Whether numbers may be of the uniform distribution; false by chance once in 1 / FAILURE times."""
    return stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > FAILURE


def test_shifts_are_whole_uniform_and_independent():
    moved = [found[0] for found in outcomes(at([0], 50, 40), one("shift", 2), (100, 80, 1))]
    table = np.zeros((5, 5), int)
    np.add.at(table, ([int(e["x"]) - 48 for e in moved], [int(e["y"]) - 38 for e in moved]), 1)
    assert table.sum() == 2000
    assert stats.chisquare(table.ravel()).pvalue > FAILURE


def test_what_is_shifted_off_the_sensor_is_lost_and_the_rest_keeps_its_place():
    x, y = (part.ravel() for part in np.meshgrid(np.arange(6), np.arange(5)))
    seen = set()
    for found in outcomes(at(np.arange(30), x, y), one("shift", 2), (6, 5, 30), 200):
        dx = int(found["x"][0]) - found["t"][0] % 6
        dy = int(found["y"][0]) - found["t"][0] // 6
        seen.add((dx, dy))
        want = [(t, t % 6 + dx, t // 6 + dy, True) for t in range(30)]
        assert found.tolist() == [each for each in want if 0 <= each[1] < 6 and 0 <= each[2] < 5]
    assert len(seen) == 25


def places(found: Events) -> np.ndarray:
    """Of events on a sensor of 2,000 x 2,000 pixels, from its middle, ``[2, n]``."""
    return np.stack((found["x"], found["y"])) + 0.5 - 1000


def test_the_scene_turns_about_the_middle_by_a_uniform_angle():
    before = at([0, 1], [1600, 1000], [1000, 300])  # 600 right of the middle, and 700 above it
    angles = []
    for found in outcomes(before, one("rotate", 30), (2000, 2000, 2)):
        x, y = places(found)
        assert np.hypot(x, y) == pytest.approx([600, 700], abs=2)
        first, second = np.arctan2(y, x) - [0, -np.pi / 2]
        assert first == pytest.approx(second, abs=0.005)
        angles.append(np.degrees(second))
    assert is_uniform(np.array(angles), -30, 30)


def test_the_scene_is_smaller_as_often_as_larger():
    before = at([0, 1], [1400, 1000], [1000, 500])
    powers = []
    for found in outcomes(before, one("zoom", 0.5), (2000, 2000, 2)):
        x, y = places(found)
        assert [y[0], x[1]] == pytest.approx([0, 0], abs=2)
        assert x[0] / 400 == pytest.approx(y[1] / -500, abs=0.01)
        powers.append(math.log(y[1] / -500) / math.log(1.5))
    assert is_uniform(np.array(powers), -1, 1)


def test_a_scene_that_grows_has_no_holes():
    """Each of 400 pixels has 250 events, and every pixel that it grows over has as many as its neighbours."""
    x, y = (part.ravel() for part in np.meshgrid(np.arange(20), np.arange(20)))
    events = at(np.arange(100_000), np.tile(x, 250), np.tile(y, 250))
    for found in outcomes(events, one("zoom", 1.0), (20, 20, 100_000), 20):
        counts = np.zeros((20, 20))
        np.add.at(counts, (found["x"], found["y"]), 1)
        if len(found) < len(events):  # it grew over the edge; else its own edge is within
            assert np.ptp(counts) < 12 * math.sqrt(
                counts.mean()
            )  # six standard deviations of a count to either side


@pytest.mark.parametrize("name", ["rotate", "zoom"])
@pytest.mark.parametrize("frame", [(50, 1, 1), (1, 50, 1)])
def test_a_row_of_channels_neither_turns_nor_grows(name, frame):
    events = at([0], min(25, frame[0] - 1), min(25, frame[1] - 1))
    assert all((found == events).all() for found in outcomes(events, one(name, 10), frame, 20))


@pytest.mark.parametrize("frame", [(50, 1, 1), (1, 50, 1), (1, 1, 1)])
def test_a_row_of_channels_stays_a_row(frame):
    x, y = min(25, frame[0] - 1), min(25, frame[1] - 1)
    found = outcomes(at([0], x, y), one("shift", 3), frame, 100)
    assert all(len(each) == 1 for each in found)
    places = {(int(each[0]["x"]) - x, int(each[0]["y"]) - y) for each in found}
    assert places == {
        (dx, dy)
        for dx in (range(-3, 4) if frame[0] > 1 else [0])
        for dy in (range(-3, 4) if frame[1] > 1 else [0])
    }


def test_far_shifts_leave_nothing():
    found = outcomes(at(np.arange(4), 1, [0, 1, 2, 3]), one("shift", 32768), (4, 4, 4), 50)
    assert all(len(each) == 0 and each.dtype == EVENT for each in found)


@pytest.mark.parametrize(
    ("name", "column", "before", "after"), [("flip", "x", 3, 30), ("swap_polarity", "on", True, False)]
)
def test_a_share_of_recordings_is_mirrored_or_made_negative(name, column, before, after):
    events = at([0, 5], 3, 7)
    found = [each[column].tolist() for each in outcomes(events, one(name, 0.3), (34, 34, 9))]
    assert all(each in ([before] * 2, [after] * 2) for each in found)
    changed = sum(each[0] == after for each in found)
    assert stats.binomtest(changed, len(found), 0.3).pvalue > FAILURE
    always = outcomes(events, one(name, 1.0), (34, 34, 9), 50)
    assert all(each[column].tolist() == [after] * 2 for each in always)


def test_stretches_are_slower_as_often_as_faster():
    t = 10**12
    found = outcomes(at([0, t], 0, 0), one("time_stretch", 0.25), (1, 1, 1))
    assert all(each["t"][0] == 0 for each in found)
    logs = np.log([each["t"][1] / t for each in found])
    assert is_uniform(logs, -math.log(1.25), math.log(1.25))


@pytest.mark.parametrize("duration", [17_000, 3_000_000])
def test_shifts_of_time_are_a_share_of_the_presentation(duration):
    """Of one of 17 ms as of one of 3 s; what begins before it is lost."""
    t = np.linspace(0, duration - 1, 11).astype(int)
    later = []
    for found in outcomes(at(t, 0, 0), one("time_shift", 0.1), (1, 1, duration)):
        later.append(int(found["t"][-1] - t[-1]))
        assert found["t"].tolist() == [each + later[-1] for each in t.tolist() if each + later[-1] >= 0]
    assert is_uniform(later, -0.1 * duration, 0.1 * duration)


def lost(events: Events, found: Events) -> set[tuple]:
    assert set(found.tolist()) <= set(events.tolist())
    return set(events.tolist()) - set(found.tolist())


@pytest.mark.parametrize("sides", [(40, 30), (200, 1), (1, 200)])
def test_the_region_is_a_rectangle_of_a_uniform_share_and_place(sides):
    x, y = (part.ravel() for part in np.meshgrid(np.arange(sides[0]), np.arange(sides[1])))
    events = at(0, x, y)
    shares, places = [], []
    for found in outcomes(events, one("drop_region", 0.4), (*sides, 1), 600):
        pixels = np.array([each[1:3] for each in lost(events, found)]).reshape(-1, 2)
        if not len(pixels):
            shares.append(0.0)
            continue
        low, high = pixels.min(0), pixels.max(0) + 1
        assert (high - low).prod() == len(pixels)  # all of a rectangle
        shares.append(len(pixels) / len(events))
        if min(sides) > 1:
            assert abs(np.subtract(*((high - low) / sides))) <= 0.5 / 40 + 0.5 / 30  # of the sensor's form
        room = np.array(sides) - (high - low)
        places += [(low[i] + 0.5) / (room[i] + 1) for i in range(2) if sides[i] > 1]
    # whole pixels spread by half a pixel of 30, and places by half of the least room of 11
    assert abs(np.mean(shares) - 0.2) < 5 * 0.4 / math.sqrt(12 * 600) + 0.002
    assert max(shares) < 0.42
    assert abs(np.mean(places) - 0.5) < 5 / math.sqrt(12 * len(places))


def test_the_only_pixel_is_blanked_where_more_than_half_of_it_would_be():
    found = outcomes(at([0], 0, 0), one("drop_region", 1.0), (1, 1, 1), 400)
    assert stats.binomtest(sum(len(each) for each in found), 400, 0.5).pvalue > FAILURE
    assert all(len(each) for each in outcomes(at([0], 0, 0), one("drop_region", 0.4), (1, 1, 1), 400))


def test_pixels_are_dead_one_by_one_with_a_uniform_chance():
    """All events of a pixel are lost, or none."""
    y, x, times, on = (
        each.ravel() for each in np.meshgrid(range(8), range(10), range(3), [0, 1], indexing="ij")
    )
    order = np.argsort(times, kind="stable")
    events = make_events(times[order], x[order], y[order], on[order].astype(bool))
    each, shares = np.zeros(80), []
    for found in outcomes(events, one("drop_pixels", 0.5), (10, 8, 3), 1000):
        left = np.bincount(10 * found["y"].astype(int) + found["x"], minlength=80)
        assert set(left.tolist()) <= {0, 6}
        each += left == 0
        shares.append((left == 0).mean())
    chance = 0.25 / 12
    tosses = (0.25 - (0.25**2 + chance)) / 80
    assert abs(np.mean(shares) - 0.25) < 5 * math.sqrt((chance + tosses) / 1000)
    assert np.var(shares) == pytest.approx(chance + tosses, rel=0.2)
    assert np.abs(each / 1000 - 0.25).max() < 6 * math.sqrt(0.25 * 0.75 / 1000)


def test_the_span_of_time_is_of_a_uniform_share_and_place():
    events = at(np.arange(1000), 0, 0)
    shares, places = [], []
    for found in outcomes(events, one("drop_time", 0.4), (1, 1, 1000), 800):
        times = np.setdiff1d(events["t"], found["t"]).tolist()
        shares.append(len(times) / 1000)
        if times:
            assert times == list(range(times[0], times[-1] + 1))
            places.append((times[0] + 0.5) / (1001 - len(times)))
    assert abs(np.mean(shares) - 0.2) < 5 * 0.4 / math.sqrt(12 * len(shares))
    assert max(shares) <= 0.4
    assert stats.kstest(np.round(places, 2), stats.uniform(0, 1).cdf).statistic < 0.005 + 2.7 / math.sqrt(
        2000
    )


def test_events_are_lost_one_by_one_with_a_uniform_chance():
    events = at(np.arange(400), 0, 0)
    found = outcomes(events, one("drop_events", 0.5), (1, 1, 400))
    each = np.zeros(400)
    shares = []
    for left in found:
        assert (np.diff(left["t"]) > 0).all()
        gone = np.ones(400)
        gone[left["t"]] = 0
        each += gone
        shares.append(gone.mean())
    # the share of one recording has the variance of the chance (0.5 u, u uniform) and that of 400 tosses
    chance = 0.25 / 12
    tosses = (0.25 - (0.25**2 + chance)) / 400
    assert abs(np.mean(shares) - 0.25) < 5 * math.sqrt((chance + tosses) / 2000)
    assert np.var(shares) == pytest.approx(chance + tosses, rel=0.15)  # 7 errors
    assert np.abs(each / 2000 - 0.25).max() < 6 * math.sqrt(0.25 * 0.75 / 2000)  # no place is favoured


def test_noise_is_uniform_and_of_a_uniform_share():
    """Events that lie beyond the presentation are not counted: there is no noise for them."""
    own, frame = 1000, (12, 10, 50_000)
    events = at(np.concatenate([np.zeros(own, int), np.full(300, 60_000)]), 3, 4)
    noise, counts = [], []
    for found in outcomes(events, one("noise_events", 0.5), frame, 400):
        others = found[own:-300]
        assert (found[:own] == events[:own]).all()  # at equal times noise comes last
        assert (found[-300:] == events[-300:]).all()
        counts.append(len(others))
        noise.append(others)
    wide = math.sqrt((500**2 / 12 + 250) / 400)
    assert abs(np.mean(counts) - 250) < 5 * wide
    assert np.std(counts) == pytest.approx(math.sqrt(500**2 / 12 + 250), rel=0.15)  # 6 errors
    all_of_it = np.concatenate(noise)
    assert is_uniform(all_of_it["t"], 0, frame[2])
    place = all_of_it["x"].astype(int) * frame[1] + all_of_it["y"]
    assert stats.chisquare(np.bincount(2 * place + all_of_it["on"], minlength=240)).pvalue > FAILURE


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"events": EVENTS["t"]}, "events must be a 1-d array"),
        ({"events": EVENTS.tolist()}, "events must be a 1-d array"),
        ({"width": 0}, "width must be at least 1"),
        ({"height": 1.5}, "height must be a whole number"),
        ({"duration_us": -1}, "duration_us must be at least 0"),
    ],
)
def test_what_are_no_events_is_refused(wrong, said):
    right = {"events": EVENTS, "spec": FULL, "width": 34, "height": 34, "duration_us": 9}
    with pytest.raises(InputError, match=said):
        augmented(**right | wrong, seed=0, epoch=0, address=0)  # type: ignore[arg-type]
