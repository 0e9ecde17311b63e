"""Numbers beside the curves: against enumeration, against drawn worlds, and against their limits."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from gemsnn.scoring import calibration, metrics
from gemsnn.scoring.metrics import Reliability, SelectiveAccuracy


def cells(*rows):
    """A diagram of cells ``(count, confidence, accuracy)``; an empty one has neither."""
    count, claimed, reached = torch.tensor(rows, dtype=torch.float64).T
    edges = torch.linspace(0, 1, len(rows) + 1, dtype=torch.float64)
    return Reliability(edges[:-1], edges[1:], claimed, reached, count)


def test_chance_is_the_mean_over_all_outcomes():
    """Of two cells with 3 and 2 recordings, all 2^5 outcomes with their probabilities."""
    diagram = cells((3, 0.7, 1 / 3), (0, math.nan, math.nan), (2, 0.9, 0.5))
    found = mean_error([0.7] * 3 + [0.9] * 2)
    assert calibration.error_by_chance(diagram) == pytest.approx(found, abs=1e-12)
    bootstrapped = mean_error([1 / 3] * 3 + [0.5] * 2)
    plain = (3 * abs(0.7 - 1 / 3) + 2 * 0.4) / 5
    assert calibration.debiased_error(diagram) == pytest.approx(2 * plain - bootstrapped, abs=1e-12)


def mean_error(right):
    """The mean calibration error of claims of 0.7 for three recordings and 0.9 for two."""
    total = 0.0
    for outcome in itertools.product((0, 1), repeat=5):
        chance = math.prod(p if hit else 1 - p for p, hit in zip(right, outcome, strict=True))
        first, second = np.mean(outcome[:3]), np.mean(outcome[3:])
        total += chance * (3 * abs(first - 0.7) + 2 * abs(second - 0.9)) / 5
    return total


def world(count, seed, honest=True):
    draw = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 4, generator=draw, dtype=torch.float64)
    shares = torch.softmax(logits, 1)
    truth = shares if honest else torch.softmax(0.5 * logits, 1)
    return shares, torch.multinomial(truth, 1, generator=draw)[:, 0]


def test_of_honest_claims_the_error_is_that_of_chance_and_debiased_it_is_smaller():
    """Over 300 worlds of 200 recordings, means at five errors."""
    plain, chance, debiased = [], [], []
    for seed in range(300):
        shares, labels = world(200, seed)
        diagram = metrics.reliability(shares, labels)
        plain.append(metrics.expected_calibration_error(shares, labels))
        chance.append(calibration.error_by_chance(diagram))
        debiased.append(calibration.debiased_error(diagram))
    assert np.mean(plain) > 0.04  # though nothing is wrong with the claims
    # recordings of a cell differ in confidence, so that they vary less than a binomial of its mean does
    assert np.mean(chance) == pytest.approx(np.mean(plain), rel=0.1)
    assert np.mean(debiased) < 0.7 * np.mean(plain)


def test_of_dishonest_claims_the_debiased_error_is_nearer_the_true_one():
    many, labels = world(400_000, 1, honest=False)
    true = metrics.expected_calibration_error(many, labels)
    plain, debiased = [], []
    for seed in range(300):
        shares, labels = world(100, seed, honest=False)
        plain.append(metrics.expected_calibration_error(shares, labels))
        debiased.append(calibration.debiased_error(metrics.reliability(shares, labels)))
    assert abs(np.mean(debiased) - true) < abs(np.mean(plain) - true)


def test_the_area_is_the_mean_share_of_mistakes():
    shares = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 1])
    wanted = np.mean([0, 1 / 2, 1 / 3, 2 / 4])
    assert calibration.calibration(shares, labels).risk_area == pytest.approx(wanted)
    even = torch.full((4, 2), 0.5, dtype=torch.float64)
    assert calibration.calibration(even, labels).risk_area == pytest.approx(0.5)
    right = SelectiveAccuracy(torch.tensor([0.5, 1.0]), torch.ones(2))
    assert calibration.risk_area(right) == 0
