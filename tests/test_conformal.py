"""Sets with a promise: against MAPIE, against the definition, and the promise itself on drawn scores."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gemsnn.errors import InputError
from gemsnn.scoring import conformal

FAILURE = 1e-6
RISKS = (0.01, 0.05, 0.1, 0.2)


def probabilities(count, classes=5, seed=0, sharpness=2.0):
    """Answers, and labels that are drawn from them but for some that are drawn from all."""
    draw = torch.Generator().manual_seed(seed)
    shares = torch.softmax(sharpness * torch.randn(count, classes, generator=draw, dtype=torch.float64), 1)
    labels = torch.multinomial(0.8 * shares + 0.2 / classes, 1, generator=draw)[:, 0]
    return shares, labels


def right_of(found, labels):
    return found.gather(1, labels[:, None])[:, 0]


# -- limits ------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.integers(1, 99))
def test_the_limit_is_the_order_statistic_of_the_definition(values, percent):
    found = conformal.limit(torch.tensor(values, dtype=torch.float64), percent / 100)
    wanted = math.ceil((1 - Fraction(percent, 100)) * (len(values) + 1))
    assert found == (sorted(values)[wanted - 1] if wanted <= len(values) else math.inf)


def test_a_risk_is_meant_as_it_is_written():
    assert conformal.rank(9, 0.1) == 9  # of 0.9 x 10, though 1 - 0.1 is a little more or less in binary
    assert conformal.rank(99, 0.05) == 95
    assert conformal.rank(999, 0.001) == 999
    assert conformal.limit(torch.arange(18.0), 0.05) == math.inf
    assert conformal.limit(torch.arange(19.0), 0.05) == 18


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 99), st.integers(0, 2**31), st.integers(2, 8))
def test_p_values_and_limits_are_one_thing(count, percent, seed, levels):
    """Scores of few levels tie."""
    draw = np.random.default_rng(seed)
    right = torch.from_numpy(draw.integers(0, levels, count) / levels)
    found = torch.from_numpy(draw.integers(0, levels, (20, 3)) / levels)
    p = conformal.p_values(right, found)
    wanted = torch.tensor(
        [[(1 + sum(r >= s for r in right.tolist())) / (count + 1) for s in row] for row in found.tolist()],
        dtype=torch.float64,
    )
    assert torch.equal(p, wanted)
    inside = p * (count + 1) > float(Fraction(percent, 100) * (count + 1)) + 1e-9
    assert torch.equal(inside, found <= conformal.limit(right, percent / 100))


def test_p_values_with_ties_broken_at_random_are_uniform():
    """Of the right class, whatever its scores are; 20,000 draws, Kolmogorov-Smirnov at 1e-6."""
    draw = np.random.default_rng(0)
    values = []
    for _ in range(20_000):
        scores = torch.from_numpy(draw.integers(0, 3, 8).astype(float))
        u = torch.from_numpy(draw.random(1))
        values.append(float(conformal.p_values(scores[:7], scores[7:][None], u)))
    assert stats.kstest(values, "uniform").pvalue > FAILURE


def test_limits_by_class_are_those_of_the_classes():
    shares, labels = probabilities(300)
    right = right_of(conformal.scores("lac", shares, shares[:, 0]), labels)
    found = conformal.limits_by_class(right, labels, 6, 0.1)
    for c in range(5):
        assert float(found[c]) == conformal.limit(right[labels == c], 0.1)
    assert found[5] == math.inf  # there is none of it


# -- scores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lac", "aps"])
def test_where_answers_tie_the_promise_is_kept_exactly(name):
    """A third of the answers are even, as those of silence; 2,000 draws of 49 and one, at five errors."""
    draw, held = np.random.default_rng(3), 0
    for _ in range(2000):
        shares = draw.dirichlet(np.full(4, 0.3), 50)
        shares[draw.random(50) < 1 / 3] = 0.25
        labels = torch.from_numpy(np.array([draw.choice(4, p=row) for row in shares]))
        found = conformal.scores(name, torch.from_numpy(shares), torch.from_numpy(draw.random(50)))
        right = found[torch.arange(50), labels]
        held += bool(right[-1] <= conformal.limit(right[:-1], 0.3))
    assert abs(held / 2000 - 0.7) < 5 * (0.7 * 0.3 / 2000) ** 0.5


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**31), st.booleans())
def test_aps_is_the_mass_ahead_and_a_share_of_its_own(classes, seed, tied):
    draw = np.random.default_rng(seed)
    weights = draw.integers(1, 4, classes).astype(float) if tied else draw.random(classes) + 0.01
    shares, u = weights / weights.sum(), draw.random()
    found = conformal.scores("aps", torch.from_numpy(shares)[None], torch.tensor([u], dtype=torch.float64))[0]
    for c in range(classes):
        ahead = sum(p for p in shares if p > shares[c])
        level = sum(p for p in shares if p == shares[c])
        assert float(found[c]) == pytest.approx(min(1.0, ahead + u * level), abs=1e-12)


@pytest.mark.parametrize("name", ["lac", "aps"])
@pytest.mark.parametrize("risk", [0.05, 0.2])
def test_sets_are_those_of_mapie(name, risk):
    """MAPIE draws ``1 - u`` for the scores of right classes; of APS its sets are never empty."""
    mapie = pytest.importorskip("mapie.classification")
    linear = pytest.importorskip("sklearn.base")

    class Told(linear.ClassifierMixin, linear.BaseEstimator):
        """Answers that are its inputs."""

        classes_ = np.arange(5)

        def fit(self, x, y):
            self.fitted_ = True
            return self

        def __sklearn_is_fitted__(self):
            return True

        def predict_proba(self, x):
            return x

        def predict(self, x):
            return x.argmax(1)

    shares, labels = probabilities(250, seed=1)
    asked, _ = probabilities(400, seed=2)
    theirs = mapie.SplitConformalClassifier(
        Told(), confidence_level=1 - risk, conformity_score=name, prefit=True, random_state=0
    )
    theirs.conformalize(shares.numpy(), labels.numpy())
    more = {"conformity_score_params": {"include_last_label": False}} if name == "aps" else {}
    wanted = theirs.predict_set(asked.numpy(), **more)[1][:, :, 0]
    drawn = torch.from_numpy(1 - np.random.RandomState(0).uniform(size=250))
    right = right_of(conformal.scores(name, shares, drawn), labels)
    ours = conformal.scores(name, asked, torch.ones(400)) <= conformal.limit(right, risk)
    some = ours.any(1)
    assert some.double().mean() > 0.3
    assert torch.equal(ours[some], torch.from_numpy(wanted)[some])


# -- the promise -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lac", "aps"])
@pytest.mark.parametrize("risk", RISKS)
def test_coverage_is_as_promised_and_spreads_as_theory_says(name, risk):
    """1,000 draws of 199 calibration and 100 test recordings; mean and spread at five errors."""
    count, tested, draws = 199, 100, 1000
    law = conformal.coverage_law(count, risk, tested)
    covered = []
    for seed in range(draws):
        shares, labels = probabilities(count + tested, seed=seed)
        u = torch.rand(len(labels), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        right = right_of(conformal.scores(name, shares, u), labels)
        covered.append(float((right[count:] <= conformal.limit(right[:count], risk)).double().mean()))
    assert law.mean >= 1 - risk
    assert abs(np.mean(covered) - law.mean) < 5 * law.deviation_of_tested / math.sqrt(draws)
    assert np.std(covered) == pytest.approx(law.deviation_of_tested, rel=5 / math.sqrt(2 * draws) + 0.02)


def test_the_law_is_beta_and_beta_binomial():
    found = conformal.coverage_law(100, 0.1, 50)
    beta = stats.beta(91, 10)
    assert found.mean == pytest.approx(beta.mean())
    assert found.deviation == pytest.approx(beta.std())
    assert found.deviation_of_tested == pytest.approx(stats.betabinom(50, 91, 10).std() / 50)
    with pytest.raises(InputError, match="give at least 99"):
        conformal.coverage_law(98, 0.01, 10)


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: conformal.scores("raps", torch.ones(2, 1), torch.ones(2)), "lac"),
        (lambda: conformal.scores("lac", torch.ones(2, 3), torch.ones(2)), "sum to one"),
        (lambda: conformal.scores("aps", torch.ones(2, 1), torch.ones(3)), "one for each"),
        (lambda: conformal.scores("aps", torch.ones(2, 1), torch.full((2,), 2.0)), r"numbers in \[0, 1\]"),
        (lambda: conformal.limit(torch.tensor([math.nan]), 0.1), "must be numbers"),
        (lambda: conformal.limit(torch.ones(3), 0.0), "risk must be above 0"),
        (lambda: conformal.limit(torch.ones(3), 1.0), "below 1"),
        (
            lambda: conformal.limits_by_class(torch.ones(2), torch.tensor([0, 2]), 2, 0.1),
            "classes from 0 to 1",
        ),
        (lambda: conformal.p_values(torch.ones(2), torch.ones(2, 3), torch.ones(3)), "one for each"),
    ],
)
def test_what_makes_no_sense_is_refused(ask, message):
    with pytest.raises(InputError, match=message):
        ask()
