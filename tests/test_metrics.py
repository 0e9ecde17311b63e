"""Scores against hand-computed cases, laws, and torchmetrics and scikit-learn as outside referees."""

from __future__ import annotations

import doctest
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from gemsnn import metrics

with warnings.catch_warnings():  # deprecations inside the referee's own imports are not ours to fix
    warnings.simplefilter("ignore")
    import torchmetrics.functional.classification as referee

CLASSES = 4


@st.composite
def voted(draw):
    """Votes [B, K] and labels [B]; few compartments, so that ties are common."""
    presentations = draw(st.integers(1, 12))
    compartments = draw(st.integers(1, 7))
    seed = draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    votes = torch.randint(CLASSES, (presentations, compartments), generator=generator)
    return votes, torch.randint(CLASSES, (presentations,), generator=generator)


def softmaxed(seed: int, presentations: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities without ties, and labels drawn from a sharper version of them (so: miscalibrated)."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(presentations, CLASSES, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(torch.softmax(2 * logits, 1), 1, generator=generator)[:, 0]
    return torch.softmax(logits, 1), labels


def test_examples_in_docstrings():
    assert doctest.testmod(metrics).failed == 0


def test_log_mean_exp_survives_extremes():
    x = torch.tensor([[-1e5, -1e5], [0.0, -math.inf]], dtype=torch.float64)
    expected = torch.tensor([-1e5, -math.log(2)], dtype=torch.float64)
    torch.testing.assert_close(metrics.log_mean_exp(x, dim=1), expected)


def test_effective_sample_size_runs_from_one_to_all():
    share = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    assert metrics.effective_sample_size(share).tolist() == [1.0, 4.0]


@given(voted())
def test_shares_of_the_first_compartments(case):
    votes, _ = case
    prefixes = metrics.vote_shares_by_compartments(votes, CLASSES)
    assert prefixes.shape == (votes.shape[1], votes.shape[0], CLASSES)
    for k in range(1, votes.shape[1] + 1):
        assert torch.equal(prefixes[k - 1], metrics.vote_shares(votes[:, :k], CLASSES))
    torch.testing.assert_close(prefixes.sum(-1), torch.ones(prefixes.shape[:2], dtype=torch.float64))


def test_ties_count_their_expectation():
    probabilities = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.1, 0.2, 0.7]])
    labels = torch.tensor([1, 2, 0, 2])
    assert metrics.correctness(probabilities, labels).tolist() == [0.5, 0.0, pytest.approx(1 / 3), 1.0]
    assert metrics.accuracy(probabilities, labels) == pytest.approx((0.5 + 0 + 1 / 3 + 1) / 4)


@given(voted(), st.permutations(range(CLASSES)))
def test_renaming_the_classes_changes_no_score(case, renaming):
    """What taking the first of tied classes would break."""
    votes, labels = case
    new = torch.tensor(renaming)
    before, after = metrics.vote_shares(votes, CLASSES), metrics.vote_shares(new[votes], CLASSES)
    for score in (metrics.accuracy, metrics.brier, metrics.expected_calibration_error):
        assert score(before, labels) == pytest.approx(score(after, new[labels]), abs=1e-12)
    confusion = metrics.confusion_matrix(after, new[labels])
    torch.testing.assert_close(metrics.confusion_matrix(before, labels), confusion[new][:, new])


@given(voted())
def test_smoothing_is_one_more_even_vote(case):
    votes, labels = case
    compartments = votes.shape[1]
    shares = metrics.vote_shares(votes, CLASSES)
    smooth = metrics.smoothed_shares(shares, compartments, CLASSES)
    torch.testing.assert_close(smooth.sum(1), torch.ones(len(votes), dtype=torch.float64))
    assert metrics.accuracy(smooth, labels) == metrics.accuracy(shares, labels)
    worst = math.log(CLASSES * (compartments + 1))
    assert 0 <= metrics.negative_log_likelihood(smooth, labels) <= worst + 1e-12


def test_smoothing_broadcasts_over_numbers_of_compartments():
    votes = torch.tensor([[0, 1, 1], [2, 2, 2]])
    prefixes = metrics.vote_shares_by_compartments(votes, CLASSES)
    together = metrics.smoothed_shares(prefixes, torch.arange(1, 4)[:, None, None], CLASSES)
    for k in (1, 2, 3):
        torch.testing.assert_close(together[k - 1], metrics.smoothed_shares(prefixes[k - 1], k, CLASSES))


def test_negative_log_likelihood_against_sklearn():
    probabilities, labels = softmaxed(0)
    expected = log_loss(labels.numpy(), probabilities.numpy(), labels=range(CLASSES))
    assert metrics.negative_log_likelihood(probabilities, labels) == pytest.approx(expected, rel=1e-9)


def test_negative_log_likelihood_of_the_impossible():
    probabilities, labels = torch.tensor([[1.0, 0.0]]), torch.tensor([1])
    assert metrics.negative_log_likelihood(probabilities, labels) == math.inf
    floored = metrics.negative_log_likelihood(probabilities, labels, floor=0.25)
    assert floored == pytest.approx(math.log(4))


def test_brier_by_hand():
    probabilities = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])
    labels = torch.tensor([0, 0, 2])
    assert metrics.brier(probabilities, labels) == pytest.approx((0 + 2 + 0.04 + 0.09 + 0.25) / 3, abs=1e-7)


@pytest.mark.parametrize("bins", [1, 7, 15])
@pytest.mark.parametrize("seed", range(4))
def test_calibration_error_against_torchmetrics(seed, bins):
    probabilities, labels = softmaxed(seed)
    expected = referee.multiclass_calibration_error(probabilities, labels, CLASSES, n_bins=bins, norm="l1")
    got = metrics.expected_calibration_error(probabilities, labels, bins)
    assert got == pytest.approx(float(expected), abs=2e-6)  # the referee sums 300 terms in float32


@settings(deadline=None)
@given(voted())
def test_calibration_error_of_votes_against_torchmetrics(case):
    """Shares lie on the edges of the cells; ties, where the two definitions differ, are left out."""
    votes, labels = case
    shares = metrics.vote_shares(votes, CLASSES)
    clear = (shares == shares.amax(1, keepdim=True)).sum(1) == 1
    if not clear.any():
        return
    shares, labels = shares[clear], labels[clear]
    expected = referee.multiclass_calibration_error(shares, labels, CLASSES, n_bins=15, norm="l1")
    assert metrics.expected_calibration_error(shares, labels) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("compartments", [5, 15, 20, 30, 60])
def test_every_share_falls_in_the_cell_torchmetrics_gives_it(compartments):
    """One presentation at a time beside an anchor: the error changes if the cells differ."""
    for leading in range(compartments // 2 + 1, compartments + 1):
        share = torch.tensor([leading, compartments - leading], dtype=torch.float64) / compartments
        for anchor in torch.linspace(0.51, 0.99, 3, dtype=torch.float64):
            both = torch.stack((share, torch.stack((anchor, 1 - anchor))))
            labels = torch.tensor([0, 1])
            expected = referee.multiclass_calibration_error(both, labels, 2, n_bins=15, norm="l1")
            assert metrics.expected_calibration_error(both, labels) == pytest.approx(
                float(expected), abs=1e-6
            )


def test_accuracy_and_confusion_against_torchmetrics():
    probabilities, labels = softmaxed(3)
    expected = referee.multiclass_accuracy(probabilities, labels, CLASSES, average="micro")
    assert metrics.accuracy(probabilities, labels) == pytest.approx(float(expected), abs=1e-6)
    confusion = referee.multiclass_confusion_matrix(probabilities, labels, CLASSES)
    assert torch.equal(metrics.confusion_matrix(probabilities, labels), confusion.double())


def test_reliability_by_hand():
    probabilities = torch.tensor([[0.6, 0.4], [0.7, 0.3], [0.2, 0.8], [1.0, 0.0]], dtype=torch.float64)
    cells = metrics.reliability(probabilities, torch.tensor([0, 1, 1, 1]), bins=4)
    assert cells.low.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert cells.high.tolist() == [0.25, 0.5, 0.75, 1, 1]
    assert cells.count.tolist() == [0, 0, 2, 1, 1]
    assert cells.confidence[2:].tolist() == pytest.approx([0.65, 0.8, 1.0])
    assert cells.accuracy[2:].tolist() == [0.5, 1, 0]
    assert cells.confidence[:2].isnan().all()
    assert cells.accuracy[:2].isnan().all()
    assert cells.rows()[0] == {"low": 0, "high": 0.25, "confidence": None, "accuracy": None, "count": 0}
    assert cells.rows()[4] == {"low": 1, "high": 1, "confidence": 1, "accuracy": 0, "count": 1}
    error = metrics.expected_calibration_error(probabilities, torch.tensor([0, 1, 1, 1]), bins=4)
    assert error == pytest.approx((2 * 0.15 + 0.2 + 1.0) / 4)


@given(voted())
def test_reliability_adds_up_to_the_whole(case):
    votes, labels = case
    shares = metrics.vote_shares(votes, CLASSES)
    cells = metrics.reliability(shares, labels)
    assert cells.count.sum() == len(labels)
    overall = float((cells.accuracy.nan_to_num(0.0) * cells.count).sum() / len(labels))
    assert overall == pytest.approx(metrics.accuracy(shares, labels))
    confusion = metrics.confusion_matrix(shares, labels)
    assert float(confusion.trace()) / len(labels) == pytest.approx(metrics.accuracy(shares, labels))
    assert torch.equal(confusion.sum(1).round(), torch.bincount(labels, minlength=CLASSES).double())


def test_selective_accuracy_by_hand():
    probabilities = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.1, 0.9], [0.7, 0.3]])
    curve = metrics.selective_accuracy(probabilities, torch.tensor([0, 1, 0, 0]))
    assert curve.coverage.tolist() == [0.5, 0.75, 1.0]  # the two at 0.9 go together
    assert curve.accuracy.tolist() == pytest.approx([0.5, 2 / 3, 0.5])


@given(voted())
def test_selective_accuracy_ends_at_accuracy_whatever_the_order(case):
    votes, labels = case
    shares = metrics.vote_shares(votes, CLASSES)
    curve = metrics.selective_accuracy(shares, labels)
    assert float(curve.coverage[-1]) == 1.0
    assert float(curve.accuracy[-1]) == pytest.approx(metrics.accuracy(shares, labels))
    assert (curve.coverage.diff() > 0).all()
    backwards = metrics.selective_accuracy(shares.flip(0), labels.flip(0))
    torch.testing.assert_close(curve, backwards)


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="B >= 1"):
        metrics.accuracy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    with pytest.raises(ValueError, match="labels"):
        metrics.brier(torch.full((2, 3), 1 / 3), torch.zeros(3, dtype=torch.long))
