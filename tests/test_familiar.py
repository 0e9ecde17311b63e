"""What is familiar: densities against scipy, the shrinkage against scikit-learn, p-values on drawn recordings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import make_network, make_presentation
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import ledoit_wolf

from gemsnn.errors import InputError
from gemsnn.model import network as networks
from gemsnn.scoring import conformal, familiar

FAILURE = 1e-6


def covariance_of(known):
    """``S``, float64 ``[D, D]``."""
    v = known.directions
    rest = known.rest * (torch.eye(len(v)) - v @ v.T)
    return (v * known.variances @ v.T + rest).numpy()


def drawn(count, seed, neurons=4, classes=3, steps=40, compartments=20):
    """Hidden rates of recordings of several classes, and their labels; the classes are the same for every seed."""
    levels = np.random.default_rng(0).uniform(0.05, 0.6, (classes, neurons))
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, count)
    own = np.clip(levels[labels] + 0.05 * draw.standard_normal((count, neurons)), 0.01, 0.99)
    rates = draw.binomial(steps * compartments, own) / (steps * compartments)
    return torch.from_numpy(rates), torch.from_numpy(labels)


def test_surprise_and_distance_are_those_of_scipy():
    rates, labels = drawn(60, 1)
    labels = torch.where(labels == 2, 7, labels)  # classes between them have no part
    known = familiar.mixture(rates, labels)
    roots, asked = rates.sqrt().numpy(), drawn(20, 2)[0]
    means = np.stack([roots[labels == c].mean(0) for c in (0, 1, 7)])
    shares = [float((labels == c).double().mean()) for c in (0, 1, 7)]
    covariance = covariance_of(known)
    np.testing.assert_allclose(known.means, means)
    laws = [stats.multivariate_normal(mean, covariance) for mean in means]
    for x, surprise, distance in zip(
        asked.sqrt().numpy(), known.surprise(asked), known.distance(asked), strict=True
    ):
        density = sum(share * law.pdf(x) for share, law in zip(shares, laws, strict=True))
        assert float(surprise) == pytest.approx(-math.log(density), rel=1e-9)
        least = min(mahalanobis(x, mean, np.linalg.inv(covariance)) ** 2 for mean in means)
        assert float(distance) == pytest.approx(least, rel=1e-9)


def test_the_covariance_is_between_that_of_the_recordings_and_the_even_one():
    rates, labels = drawn(60, 1)
    roots = rates.sqrt().numpy()
    residuals = roots - np.stack([roots[labels == c].mean(0) for c in range(3)])[labels]
    plain = residuals.T @ residuals / 60
    even = np.trace(plain) / 4 * np.eye(4)
    found = familiar.mixture(rates, labels)
    covariance = covariance_of(found)
    shrinkage = (covariance - plain)[0, 1] / (even - plain)[0, 1]
    assert 0 < shrinkage < 1
    np.testing.assert_allclose(covariance, (1 - shrinkage) * plain + shrinkage * even, atol=1e-12)


def test_a_neuron_that_never_spikes_and_fewer_recordings_than_neurons_do_no_harm():
    rates, labels = drawn(20, 1, neurons=50)
    rates[:, 3] = 0
    known = familiar.mixture(rates, labels)
    asked = rates.clone()
    asked[:, 3] = 0.5  # now it does
    assert bool((known.surprise(asked) > known.surprise(rates) + 10).all())


def test_p_values_of_recordings_like_those_of_training_are_uniform():
    """Of 2,000 new recordings, each beside 19 held out of its own; Kolmogorov-Smirnov at 1e-6."""
    known = familiar.mixture(*drawn(100, 1))
    held, new = known.surprise(drawn(19 * 2000, 2)[0]).view(2000, 19), known.surprise(drawn(2000, 3)[0])
    u = torch.rand(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = [
        float(conformal.p_values(each, one[None], two)) for each, one, two in zip(held, new, u, strict=True)
    ]
    assert stats.kstest(found, "uniform").pvalue > FAILURE
    # and most of another kind are told at a twentieth
    strangers = known.surprise(1 - drawn(200, 4)[0])
    told = conformal.p_values(held.flatten()[:199], strangers)
    assert float((told <= 0.05).double().mean()) > 0.7


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(4, 40), st.integers(1, 60))
def test_the_shrinkage_is_that_of_scikit_learn(seed, count, dimensions):
    """With fewer recordings than dimensions and with more, the covariance and the density of all of it."""
    draw = np.random.default_rng(seed)
    scale = draw.uniform(0.1, 1, dimensions)
    rates = torch.from_numpy(np.square(2 + scale * draw.standard_normal((count, dimensions))))
    labels = torch.arange(count) % 2
    known = familiar.mixture(rates, labels)
    roots = rates.sqrt()
    residuals = roots - torch.stack([roots[labels == c].mean(0) for c in range(2)])[labels]
    wanted = ledoit_wolf(residuals.numpy(), assume_centered=True)[0]
    np.testing.assert_allclose(covariance_of(known), wanted, rtol=1e-8, atol=1e-10 * wanted.trace())
    laws = [stats.multivariate_normal(roots[labels == c].mean(0).numpy(), wanted) for c in range(2)]
    logs = np.logaddexp(
        *(s + law.logpdf(roots.numpy()) for s, law in zip(known.log_shares.numpy(), laws, strict=True))
    )
    np.testing.assert_allclose(known.surprise(rates), -logs.reshape(count), rtol=1e-6, atol=1e-6)


def test_of_a_large_sensor_the_largest_variances_are_kept_and_the_trace(monkeypatch):
    rates, labels = drawn(60, 1, neurons=30)
    whole = covariance_of(familiar.mixture(rates, labels))
    monkeypatch.setattr(familiar, "NUMBERS", 8 * 30 + 29)
    some = familiar.mixture(rates, labels)
    assert some.directions.shape == (30, 8)
    values = np.linalg.eigvalsh(whole)
    np.testing.assert_allclose(some.variances, values[-8:])
    assert float(some.rest) == pytest.approx(values[:-8].mean())
    np.testing.assert_allclose(covariance_of(some).trace(), whole.trace())


# -- of hidden neurons and of inputs -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    spec = make_network(hidden=(3,), visible=3, feedback="hidden")[0].spec
    return networks.build(replace(spec, warm_up=0.5), seed=0)


@pytest.fixture(scope="module")
def rows(network):
    return [make_presentation(6 + i % 3, network.spec.inputs, 3, index=i) for i in range(30)]


def test_rates_of_inputs_are_those_of_the_bins_that_count(network, rows):
    found = list(familiar.input_rates(network, rows, [4, 2]))
    for rate, position in zip(found, (4, 2), strict=True):
        spikes = rows[position].spikes
        observed = spikes[len(spikes) // 2 :]
        assert torch.equal(rate, observed.double().mean(0))


def test_surprises_are_those_of_the_mixtures(network, rows):
    """Of 70 recordings, which are more than one portion."""
    hidden, labels = drawn(30, 1, neurons=3)
    known = familiar.familiar(network, rows, hidden, labels)
    assert known.hidden is not None
    assert known.inputs is not None
    many, rates = [*rows, *rows, *rows[:10]], drawn(70, 2, neurons=3)[0]
    found = known.surprises(network, many, rates)
    assert torch.equal(found.hidden, known.hidden.surprise(rates))
    came = torch.stack(list(familiar.input_rates(network, many, range(70))))
    torch.testing.assert_close(found.inputs, known.inputs.surprise(came))


def test_what_cannot_be_told_is_not_known(network, rows):
    hidden, labels = drawn(30, 1, neurons=3)
    alike = familiar.familiar(network, rows, torch.zeros(30, 3), labels)
    assert alike.hidden is None
    assert alike.surprises(network, rows, hidden).hidden is None
    without = familiar.familiar(network, rows, torch.zeros(30, 0), labels)
    assert without.hidden is None
    assert without.inputs is not None


def test_of_a_large_sensor_some_recordings_tell_what_is_familiar(network, rows, monkeypatch):
    hidden, labels = drawn(30, 1, neurons=3)
    monkeypatch.setattr(familiar, "AT_ONCE", 15 * network.spec.inputs)
    known = familiar.familiar(network, rows, hidden, labels)
    chosen = list(range(0, 30, 2))
    came = torch.stack(list(familiar.input_rates(network, rows, chosen)))
    assert torch.equal(known.inputs.means, familiar.mixture(came, labels[chosen]).means)


# -- what is refused ---------------------------------------------------------------------------------------

HALVES = torch.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: familiar.mixture(-HALVES, torch.tensor([0, 1])), "not negative"),
        (lambda: familiar.mixture(HALVES / 0, torch.tensor([0, 1])), "must be numbers"),
        (lambda: familiar.mixture(HALVES, torch.tensor([0])), "as many as the 2 recordings"),
        (lambda: familiar.mixture(HALVES, torch.tensor([0, 1])), "give more of each class"),
        (lambda: familiar.mixture(HALVES, torch.tensor([0, 0])), "give more of each class"),
        (lambda: familiar.mixture(*drawn(9, 1)).surprise(HALVES), r"must be \[n, 4\]"),
    ],
)
def test_what_makes_no_sense_is_refused(ask, message):
    with pytest.raises(InputError, match=message):
        ask()
