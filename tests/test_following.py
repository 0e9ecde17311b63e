"""A limit that follows: against split conformal prediction, the bound for any sequence, and what is saved."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gemsnn.errors import InputError
from gemsnn.scoring import conformal
from gemsnn.scoring.following import Following, FollowingSpec


def drawn(count, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=count))


# -- limits ------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(0, 12), st.integers(0, 2**31), st.integers(1, 60))
def test_limits_are_those_of_split_conformal_prediction_at_the_level(count, most, seed, recordings):
    """Against the definition: levels summed up one after the other, limits of whatever is held at the time."""
    draw = np.random.default_rng(seed)
    scores = np.round(draw.normal(size=count), 1)
    following = Following(torch.from_numpy(scores), FollowingSpec(0.3, 0.2, most))
    level, held = Fraction(3, 10), scores.tolist()
    for score in np.round(draw.normal(size=recordings), 1).tolist():
        held = held[-most:] if most else held
        wanted = math.inf if level <= 0 else -math.inf
        if 0 < level < 1:
            wanted = conformal.limit(torch.tensor(held, dtype=torch.float64), float(level))
        found = following.tell(score)
        assert (found.limit, found.level, found.missed) == (wanted, float(level), score > wanted)
        level += Fraction(1, 5) * (Fraction(3, 10) - found.missed)
        held += [score] if most else []
    assert following.level == float(level)


def test_four_recordings_by_hand():
    """Nine scores 1 .. 9, risk 0.2, step 0.5: ranks 8, then of a level of -0.2 none, of -0.1 none, of 0 none."""
    following = Following(torch.arange(1.0, 10.0), FollowingSpec(0.2, 0.5))
    seen = [following.tell(score) for score in (8.5, 100.0, 3.0, 3.0)]
    assert [each.missed for each in seen] == [True, False, False, False]
    assert [each.limit for each in seen] == [8.0, math.inf, math.inf, math.inf]
    assert [each.level for each in seen] == [0.2, -0.2, -0.1, 0.0]
    assert (following.level, following.limit) == (0.1, 9.0)
    assert (following.told, following.missed) == (4, 1)


def test_a_level_of_one_leaves_no_class():
    """Risk 0.9, step 0.2: levels 0.9, 1.08, 1.06, 1.04, 1.02, 1 and 0.98."""
    following = Following(torch.arange(1.0, 10.0), FollowingSpec(0.9, 0.2))
    assert [following.tell(0.0).limit for _ in range(7)] == [1.0] + [-math.inf] * 5 + [1.0]
    assert following.missed == 5


def test_a_pool_slides():
    following = Following(torch.tensor([5.0, 9.0, 1.0]), FollowingSpec(0.5, 0.1, 2))
    assert following.state()["scores"] == [9.0, 1.0]
    following.tell(4.0)
    assert following.state()["scores"] == [1.0, 4.0]


# -- the bound ---------------------------------------------------------------------------------------------


def adversary(kind, following, draw):
    """The next score, by somebody who knows the limit."""
    limit = following.limit
    if kind == "draw":
        return draw.normal()
    if kind == "drift":
        return draw.normal() + 0.1 * following.told
    if kind == "miss":
        return limit + 1 if math.isfinite(limit) else 0.0
    if kind == "hit":
        return limit if math.isfinite(limit) else 0.0
    if kind == "waves":
        return (limit + (1 if following.told // 20 % 2 else -1)) if math.isfinite(limit) else 0.0
    return 1e6 * draw.integers(-1, 2)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["draw", "drift", "miss", "hit", "waves", "far"]),
    st.integers(1, 99),
    st.sampled_from([0.001, 0.01, 0.1, 0.5, 0.99]),
    st.sampled_from([0, 1, 7]),
    st.integers(0, 2**31),
)
def test_the_share_of_misses_is_near_the_risk_whatever_comes(kind, percent, step, most, seed):
    """After every recording; in fractions, without a tolerance."""
    draw = np.random.default_rng(seed)
    risk, by = Fraction(percent, 100), Fraction(str(step))
    following = Following(drawn(10, seed), FollowingSpec(percent / 100, step, most))
    missed = 0
    for told in range(1, 151):
        missed += following.tell(adversary(kind, following, draw)).missed
        bound = (max(risk, 1 - risk) + by) / (by * told)
        assert abs(Fraction(missed, told) - risk) <= bound
        assert following.bound == pytest.approx(float(bound))
    assert len(following.state()["scores"]) == (most or 10)


def test_the_bound_is_reached_but_for_a_step():
    """By who lets nothing be missed until the set is empty."""
    following = Following(drawn(200), FollowingSpec(0.1, 0.01))
    while following.level < 1:
        following.tell(-1e9)
    assert (following.told, following.missed) == (900, 0)
    assert 0.1 < following.bound == pytest.approx(0.1 * 0.91 / 0.9)


def test_a_shift_is_followed_where_a_limit_that_stays_misses_half():
    """1,000 recordings whose scores lie higher; the last 500 are missed as often as they may be, to 0.03."""
    draw = np.random.default_rng(3)
    scores = draw.normal(1.28, size=1000)
    staying = conformal.limit(drawn(200), 0.1)
    assert (scores > staying).mean() > 0.4
    for most in (0, 200):
        following = Following(drawn(200), FollowingSpec(0.1, 0.01, most))
        missed = [following.tell(score).missed for score in scores.tolist()]
        assert abs(np.mean(missed[500:]) - 0.1) < 0.03


# -- what is saved, and what is refused --------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, 5, 50])
def test_what_was_saved_goes_on_to_the_bit(most):
    spec = FollowingSpec(0.1, 0.03, most)
    whole, scores = Following(drawn(20), spec), drawn(80, seed=1).tolist()
    wanted = [whole.tell(score) for score in scores]
    first = Following(drawn(20), spec)
    found = [first.tell(score) for score in scores[:33]]
    second = Following(torch.zeros(1), spec)
    second.restore(json.loads(json.dumps(first.state())))
    assert found + [second.tell(score) for score in scores[33:]] == wanted
    assert second.state() == whole.state()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"risk": 0.2}, "has the risk 0.2 where 0.1 is set"),
        ({"most": 4}, "has the most 4 where 5 is set"),
        ({"told": -1}, "told of the saved limit must be at least 0"),
        ({"told": None}, "told of the saved limit must be a whole number"),
        ({"missed": 4}, "missed of the saved limit must be at least 0 and at most 3"),
        ({"scores": [1.0, math.nan]}, "scores of the saved limit must be a finite number"),
        ({"scores": []}, "scores of the saved limit must be some"),
        ({"scores": [1.0] * 6}, "at most 5"),
        ({"scores": "1"}, "scores of the saved limit must be a tuple"),
    ],
)
def test_a_damaged_state_is_refused(changed, message):
    following = Following(drawn(20), FollowingSpec(most=5))
    for score in (1.0, 2.0, 3.0):
        following.tell(score)
    before = following.state()
    with pytest.raises(InputError, match=message):
        following.restore(before | changed)
    assert following.state() == before


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: Following(torch.ones(2, 2)), r"must be a tensor \[n\]"),
        (lambda: Following(torch.ones(0)), "none of its sizes 0"),
        (lambda: Following(torch.tensor([math.inf])), "must be numbers"),
        (lambda: Following(torch.ones(2)).tell(math.nan), "the score of the right class must be a finite"),
        (lambda: FollowingSpec(risk=0.0), "risk must be above 0"),
        (lambda: FollowingSpec(step=1.0), "step must be above 0 and below 1"),
        (lambda: FollowingSpec(most=-1), "most must be at least 0"),
    ],
)
def test_what_makes_no_sense_is_refused(ask, message):
    with pytest.raises(InputError, match=message):
        ask()


def test_before_anything_is_told_nothing_is_promised():
    assert Following(torch.ones(3)).bound == math.inf
