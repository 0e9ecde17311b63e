"""An alarm: p-values that are independent, capital that is a martingale, and how often and how soon it is raised."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.scoring import alarm, conformal
from gemsnn.scoring.alarm import Alarm, AlarmSpec

FAILURE = 1e-6


def watched(scores, calibration, spec, seed=0):
    """The alarm and what it said, of scores ``[T, k]``."""
    made, k = Alarm(torch.from_numpy(calibration), spec), calibration.shape[1]
    numbers = rng.uniforms(seed, 0, range(len(scores)), 2, k)[0].tolist()
    return made, [made.step(row, u, v) for row, (u, v) in zip(scores.tolist(), numbers, strict=True)]


# -- p-values ----------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**31), st.sampled_from([2, 5, 1000]), st.floats(0, 1))
def test_p_values_are_those_of_conformal_prediction(count, seed, levels, u):
    """Also of scores that tie; among calibration scores and all of the stream before."""
    draw = np.random.default_rng(seed)
    scores = draw.integers(0, levels, count + 20) / levels
    made = Alarm(torch.from_numpy(scores[:count, None]))
    for n in range(count, count + 20):
        found = made.step([scores[n]], [u], [0.5]).p_values[0]
        asked = torch.tensor([[scores[n]]], dtype=torch.float64)
        uniform = torch.tensor([u], dtype=torch.float64)
        assert found == float(conformal.p_values(torch.from_numpy(scores[:n]), asked, uniform))


def test_p_values_are_independent_and_uniform():
    """8,000 of one stream whose scores tie, half of them beside a full pool: each, and each with the next, at 1e-6."""
    draw = np.random.default_rng(1)
    scores, calibration = draw.integers(0, 7, (8000, 1)) / 7, draw.integers(0, 7, (50, 1)) / 7
    _, said = watched(scores, calibration, AlarmSpec(most=4000))
    p = np.array([each.p_values[0] for each in said])
    assert stats.kstest(p, "uniform").pvalue > FAILURE
    cells = np.histogram2d(p[:-1:2], p[1::2], bins=5, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(cells.ravel()).pvalue > FAILURE


def ranks_of(values, lots, keep):
    """Ranks of values 3, 4, .. among a pool that begins with the first two; ``keep`` says what stays in it."""
    pool, found = sorted(values[:2]), []
    for value, lot in zip(values[2:], lots, strict=True):
        found.append(sum(other > value for other in pool))
        pool = keep(pool, value, lot)
    return tuple(found)


def by_lot(pool, value, lot):
    pool = list(pool)
    alarm.join(pool, value, 2, (lot + 0.5) / 3)
    return pool


def test_a_full_pool_that_drops_by_lot_leaves_p_values_independent():
    """All orders of five recordings, all lots, pool of two: each of the 27 ranks of three as often as the others."""
    runs = [
        ranks_of(values, (*lots, 0), by_lot)
        for values in itertools.permutations(range(5))
        for lots in itertools.product(range(3), repeat=2)
    ]
    assert set(Counter(runs).values()) == {len(runs) // 27}


def test_a_pool_that_keeps_its_first_scores_or_its_newest_does_not():
    orders = list(itertools.permutations(range(5)))
    first = Counter(ranks_of(values, (0, 0, 0), lambda pool, value, lot: pool) for values in orders)
    newest = Counter(
        tuple(sum(other > values[n] for other in values[n - 2 : n]) for n in (2, 3, 4)) for values in orders
    )
    assert len(set(first.values())) > 1
    assert len(set(newest.values())) > 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.integers(1, 10), st.floats(0, 1))
def test_a_pool_rises_and_is_bounded(values, most, v):
    pool = []
    for n, value in enumerate(values):
        before = [*pool, value]
        alarm.join(pool, value, most, v)
        assert pool == sorted(pool)
        assert len(pool) == min(n + 1, most)
        assert not Counter(pool) - Counter(before)


# -- capital -----------------------------------------------------------------------------------------------


def jumper(p_values, jump):
    """The Simple Jumper, line by line."""
    held, whole = {-1: 1 / 3, 0: 1 / 3, 1: 1 / 3}, 1.0
    for p in p_values:
        held = {e: (1 - jump) * value + jump / 3 * whole for e, value in held.items()}
        held = {e: value * (1 + e * (p - 0.5)) for e, value in held.items()}
        whole = sum(held.values())
    return whole


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=40))
def test_capital_is_that_of_the_jumpers(p_values):
    capital = alarm.begun()
    for p in p_values:
        capital = alarm.bet(capital, p)
    wanted = [jumper(p_values, jump) for jump in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)]
    np.testing.assert_allclose(np.exp(capital.logs), wanted, rtol=1e-12)
    assert float(np.exp(capital.log)) == pytest.approx(np.mean(wanted))
    assert capital.logs[-1] == pytest.approx(0, abs=1e-12)  # it never bets


def test_two_bets_by_hand():
    """After p = 0 the shares are 3/6, 2/6 and 1/6; a share of 0.1 is divided anew, and p = 0 once more."""
    capital = alarm.bet(alarm.bet(alarm.begun(), 0.0), 0.0)
    wanted = 1.5 * (0.45 + 0.1 / 3) + (0.3 + 0.1 / 3) + 0.5 * (0.15 + 0.1 / 3)
    assert math.exp(capital.logs[3]) == pytest.approx(wanted, rel=1e-14)


def test_the_mean_of_all_capitals_is_one():
    """Over all sequences of six p-values on a grid of three whose mean is a half: before each bet, and in the end."""
    grid = np.array([1, 3, 5]) / 6
    p = np.array(list(itertools.product(grid, repeat=6)))
    capital = alarm.begun(len(p))
    for n in range(6):
        before = np.exp(capital.log)
        capital = alarm.bet(capital, p[:, n])
        after = np.exp(capital.log).reshape(3**n, 3, -1).mean((1, 2))  # whatever came before
        np.testing.assert_allclose(after, before.reshape(3**n, -1)[:, 0], rtol=1e-12)
    assert np.exp(capital.log).mean() == pytest.approx(1, rel=1e-12)


def test_the_mean_of_the_capitals_of_two_scores_is_no_martingale():
    """One calibration recording and two, in all orders; who goes on only where both scores rise gains on average."""
    pairs = [(1, 1), (2, 3), (3, 2)]
    first, gone_on = [], []
    for order in itertools.permutations(pairs):
        made = Alarm(torch.tensor(order[:1], dtype=torch.float64))
        said = [made.step(pair, (0.5, 0.5), (0.5, 0.5)) for pair in order[1:]]
        means = [np.mean(np.exp(each.log_capitals)) for each in said]
        first.append(means[0])
        gone_on.append(means[1] if max(said[0].p_values) < 0.5 else means[0])
    assert np.mean(first) == pytest.approx(1, rel=1e-12)
    assert np.mean(gone_on) > 1.005
    alone = [gone for gone in gone_on if gone != pytest.approx(1)]
    assert len(alone) == 2
    assert min(alone) > 1


# -- alarms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "recordings"), [(1000, 300), (100, 150)])
def test_alarms_are_no_more_frequent_than_the_rate(most, recordings):
    """1,000 streams after 100 calibration recordings, side by side; with a full pool too. Fails at 1e-6."""
    draw = np.random.default_rng(2)
    calibration, streams = draw.normal(size=(100, 1000)), draw.normal(size=(recordings, 1000))
    made, highest = Alarm(torch.from_numpy(calibration), AlarmSpec(most=most)), np.zeros(1000)
    for n, row in enumerate(streams.tolist()):
        u, v = rng.uniforms(0, 0, range(n, n + 1), 2, 1000)[0, 0].tolist()
        highest = np.maximum(highest, made.step(row, u, v).log_capitals)
    for rate in (0.01, 0.05, 0.2, 0.5):
        alarms = int((highest >= -math.log(rate)).sum())
        assert 0 < alarms <= stats.binom.isf(FAILURE, 1000, rate)


def test_alarms_of_three_scores_together_are_no_more_frequent_than_the_rate():
    """200 streams of 100 recordings, whose scores have much to do with each other. Fails at 1e-6."""
    alarms = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        common = draw.normal(size=(150, 1))
        scores = np.concatenate([common, common**2, -common + draw.normal(size=(150, 1))], 1)
        made, _ = watched(scores[50:], scores[:50], AlarmSpec(0.2, 100), seed)
        alarms += made.raised is not None
    assert alarms <= stats.binom.isf(FAILURE, 200, 0.2)


@pytest.mark.parametrize(("shift", "within"), [(3.0, 40), (1.0, 100), (-1.0, 100)])
def test_an_alarm_is_raised_soon_after_scores_shift(shift, within):
    """By so many deviations, after 200 of calibration and 100 of the stream: in each of 20 streams, not before."""
    for seed in range(20):
        draw = np.random.default_rng(seed)
        scores = draw.normal(size=(400, 1))
        scores[300:] += shift
        made, said = watched(scores[200:], scores[:200], AlarmSpec(0.001), seed)
        assert made.raised is not None
        assert 100 <= made.raised < 100 + within
        assert said[made.raised].raised == made.raised  # told with the recording that raised it
        assert said[made.raised - 1].raised is None


def test_of_two_scores_one_that_shifts_is_enough():
    draw = np.random.default_rng(0)
    scores = draw.normal(size=(400, 2))
    scores[300:, 1] += 2
    made, said = watched(scores[200:], scores[:200], AlarmSpec(0.001))
    assert made.raised is not None
    assert 100 <= made.raised < 150
    at = said[made.raised]
    assert at.log_capital == max(at.log_capitals) - math.log(2) == at.log_capitals[1] - math.log(2)


# -- what is saved, and what is refused --------------------------------------------------------------------


def test_what_was_saved_goes_on_to_the_bit():
    draw = np.random.default_rng(4)
    scores = np.round(draw.normal(size=(120, 2)), 1)
    numbers = draw.random((100, 2, 2)).tolist()
    spec, calibration = AlarmSpec(0.5, 30), torch.from_numpy(scores[:20])
    whole, first = Alarm(calibration, spec), Alarm(calibration, spec)
    rows = list(zip(scores[20:].tolist(), numbers, strict=True))
    wanted = [whole.step(row, u, v) for row, (u, v) in rows]
    found = [first.step(row, u, v) for row, (u, v) in rows[:47]]
    second = Alarm(torch.zeros(1, 2), spec)
    second.restore(json.loads(json.dumps(first.state())))
    assert found + [second.step(row, u, v) for row, (u, v) in rows[47:]] == wanted
    assert second.state() == whole.state()
    assert {len(pool) for pool in second.state()["pools"]} == {30}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rate": 0.2}, "has the rate 0.2 where 0.01 is set"),
        ({"most": 4}, "has the most 4 where 5 is set"),
        ({"heard": -1}, "heard of the saved alarm must be at least 0"),
        ({"raised": 1}, "raised of the saved alarm must be at least 0 and at most 0"),
        ({"raised": "no"}, "raised of the saved alarm must be a whole number"),
        ({"pools": [[1.0], [math.inf]]}, "pools of the saved alarm must be a finite number"),
        ({"pools": [[1.0]]}, "must be 2 of the same size, at most 5"),
        ({"pools": [[1.0], [1.0, 2.0]]}, "must be 2 of the same size, at most 5"),
        ({"pools": [[], []]}, "must be 2 of the same size, at most 5"),
        ({"pools": [[1.0] * 6] * 2}, "must be 2 of the same size, at most 5"),
        ({"logs": [[0.0] * 5]}, r"logs of the saved alarm must have the shape \[2, 5\]"),
        ({"logs": [[0.0] * 5, [0.0] * 4]}, r"logs of the saved alarm must have the shape \[2, 5\]"),
        ({"logs": 3}, "logs of the saved alarm must be a tuple"),
        ({"shares": [[[1.0] * 3] * 5] * 2}, "shares of the saved alarm must be parts of a whole"),
        ({"shares": [[[2.0, 0.0, -1.0]] * 5] * 2}, "shares of the saved alarm must be parts of a whole"),
    ],
)
def test_a_damaged_state_is_refused(changed, message):
    made = Alarm(torch.arange(6.0).reshape(3, 2), AlarmSpec(most=5))
    made.step((1.0, 2.0), (0.1, 0.2), (0.3, 0.4))
    before = made.state()
    with pytest.raises(InputError, match=message):
        made.restore(before | changed)
    assert made.state() == before


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: Alarm(torch.ones(2)), r"must be a tensor \[n, k\]"),
        (lambda: Alarm(torch.ones(0, 1)), "none of its sizes 0"),
        (lambda: Alarm(torch.tensor([[math.nan]])), "must be numbers"),
        (lambda: Alarm(torch.ones(3, 1), AlarmSpec(most=2)), "must be at most 2, as many as are held, not 3"),
        (lambda: Alarm(torch.ones(3, 1)).step([1.0, 2.0], [0.5], [0.5]), "scores must be 1 numbers"),
        (lambda: Alarm(torch.ones(3, 1)).step([math.inf], [0.5], [0.5]), "each of scores must be a finite"),
        (
            lambda: Alarm(torch.ones(3, 1)).step([1.0], [1.5], [0.5]),
            "each of u must be at least 0 and at most 1",
        ),
        (lambda: Alarm(torch.ones(3, 1)).step([1.0], [0.5], [-0.5]), "each of v must be at least 0"),
        (lambda: AlarmSpec(rate=1.0), "rate must be above 0 and below 1"),
        (lambda: AlarmSpec(most=0), "most must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(ask, message):
    with pytest.raises(InputError, match=message):
        ask()
