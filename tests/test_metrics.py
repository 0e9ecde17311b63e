"""Scores against hand-computed cases, laws, and torchmetrics and scikit-learn as outside referees."""

from __future__ import annotations

import doctest
import inspect
import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from gemsnn.errors import InputError
from gemsnn.model import logspace
from gemsnn.scoring import metrics
from gemsnn.scoring.scores import Cell, Mute

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
    torch.testing.assert_close(logspace.log_mean_exp(x, dim=1), expected)


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


@st.composite
def answered(draw):
    """Log-probabilities [B, C], some of them tied, some of them certain but for rounding, and labels [B]."""
    presentations = draw(st.integers(1, 12))
    number = st.floats(-900, 0).map(lambda value: round(value, 1))
    row = st.lists(st.one_of(number, st.sampled_from([0.0, -1.0])), min_size=CLASSES, max_size=CLASSES)
    logits = torch.tensor(draw(st.lists(row, min_size=presentations, max_size=presentations)))
    labels = draw(st.lists(st.integers(0, CLASSES - 1), min_size=presentations, max_size=presentations))
    return torch.log_softmax(logits.double(), 1), torch.tensor(labels)


temperatures = st.floats(*metrics.TEMPERATURES)


@given(answered())
def test_temperature_one_changes_nothing(case):
    logs, _ = case
    torch.testing.assert_close(metrics.tempered(logs, 1.0), logs)


@given(answered(), temperatures)
def test_a_temperature_keeps_the_order_of_the_classes(case, temperature):
    logs, _ = case
    warm = metrics.tempered(logs, temperature)
    torch.testing.assert_close(warm.exp().sum(1), torch.ones(len(logs), dtype=torch.float64))
    assert (warm.gather(1, logs.argsort(1)).diff(dim=1) >= 0).all()
    assert warm.gather(1, logs.argmax(1, keepdim=True)).equal(warm.amax(1, keepdim=True))


@given(voted(), temperatures)
def test_a_temperature_keeps_the_accuracy_of_votes(case, temperature):
    """Ties included."""
    votes, labels = case
    shares = metrics.vote_shares(votes, CLASSES)
    logs = metrics.smoothed_shares(shares, votes.shape[1], CLASSES).log()
    warm = metrics.tempered(logs, temperature).exp()
    assert metrics.accuracy(warm, labels) == metrics.accuracy(shares, labels)


@given(answered(), temperatures, temperatures)
def test_confidence_falls_as_temperature_rises(case, one, other):
    logs, _ = case
    cold, warm = (metrics.tempered(logs, t).amax(1) for t in sorted((one, other)))
    assert (warm <= cold + 1e-12).all()
    assert (warm >= -math.log(CLASSES) - 1e-12).all()


def loss_at(temperature: float, logs: torch.Tensor, labels: torch.Tensor) -> float:
    return metrics.log_loss(metrics.tempered(logs, temperature), labels)


@given(answered())
def test_no_temperature_does_better_than_the_fitted_one(case):
    logs, labels = case
    fitted = metrics.fitted_temperature(logs, labels)
    if metrics.correctness(logs.exp(), labels).all():
        assert fitted == 1
        return
    least = loss_at(fitted, logs, labels)
    for temperature in (*metrics.TEMPERATURES, 0.1, 1.0, 10.0, 0.9 * fitted, 1.1 * fitted):
        if metrics.TEMPERATURES[0] <= temperature <= metrics.TEMPERATURES[1]:
            assert least <= loss_at(temperature, logs, labels) + 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_the_fitted_temperature_against_scipy(seed):
    probabilities, labels = softmaxed(seed)
    logs = probabilities.log()
    found = minimize_scalar(
        lambda log_t: loss_at(math.exp(log_t), logs, labels), bounds=(-3, 3), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    assert metrics.fitted_temperature(logs, labels) == pytest.approx(math.exp(found.x), rel=1e-6)
    # softmaxed() draws labels at temperature 1/2
    assert metrics.fitted_temperature(logs, labels) == pytest.approx(0.5, abs=0.1)


def test_the_fitted_temperature_by_hand():
    """Three right of four at odds of 9 : 1 should be odds of 3 : 1."""
    logs = torch.tensor([[0.9, 0.1]] * 4, dtype=torch.float64).log()
    fitted = metrics.fitted_temperature(logs, torch.tensor([0, 0, 0, 1]))
    assert fitted == pytest.approx(math.log(9) / math.log(3))
    assert metrics.tempered(logs, fitted)[0].exp().tolist() == pytest.approx([0.75, 0.25])
    assert metrics.fitted_temperature(logs, torch.tensor([1, 1, 1, 0])) == pytest.approx(
        metrics.TEMPERATURES[1]
    )
    assert metrics.fitted_temperature(3 * logs, torch.tensor([0, 0, 0, 1])) == pytest.approx(3 * fitted)


def test_running_log_mean_exp_against_its_prefixes():
    x = 300 * torch.randn(5, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = logspace.running_log_mean_exp(x, 1)
    for k in range(1, 8):
        torch.testing.assert_close(found[:, k - 1], logspace.log_mean_exp(x[:, :k], 1))
    torch.testing.assert_close(logspace.running_log_mean_exp(x.transpose(1, 2), -1), found.transpose(1, 2))


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


def calibration_error_by_hand(leading: np.ndarray, votes: int, right: np.ndarray, bins: int) -> float:
    """Guo et al., equations 2 and 3, in whole numbers: ``(m-1)/M < leading/votes <= m/M`` has no rounding in it."""
    error = 0.0
    for m in range(1, bins + 1):
        inside = ((m - 1) * votes < leading * bins) & (leading * bins <= m * votes)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - leading[inside].mean() / votes)
    return error


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("compartments", [1, 3, 5, 15, 20, 30, 60])
def test_calibration_error_of_votes_by_hand(compartments, bins, dtype):
    """Every share that can lead, on an edge or not, certainty too, and the hair by which broken ties lead."""
    generator = np.random.default_rng(compartments)
    leading = generator.integers(-(-compartments // 2), compartments + 1, 400)
    wrong = generator.random(400) < 0.4
    shares = torch.from_numpy(np.stack((leading, compartments - leading), 1)).to(dtype) / compartments
    right = np.where(2 * leading == compartments, 0.5, ~wrong)
    labels = torch.from_numpy(wrong.astype(np.int64))
    expected = calibration_error_by_hand(leading, compartments, right, bins)
    assert metrics.expected_calibration_error(shares, labels, bins) == pytest.approx(expected, abs=1e-6)
    if dtype == torch.float64:
        spikes = torch.tensor([9, 7]).expand_as(shares)
        apart = metrics.break_ties(shares, spikes)
        expected = calibration_error_by_hand(leading, compartments, ~wrong, bins)
        assert metrics.expected_calibration_error(apart, labels, bins) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(voted(), st.integers(1, 30))
def test_calibration_error_of_many_classes_by_hand(case, bins):
    votes, labels = case
    shares = metrics.vote_shares(votes, CLASSES)
    leading = (shares.amax(1) * votes.shape[1]).round().long().numpy()
    right = metrics.correctness(shares, labels).numpy()
    expected = calibration_error_by_hand(leading, votes.shape[1], right, bins)
    assert metrics.expected_calibration_error(shares, labels, bins) == pytest.approx(expected, abs=1e-12)


def test_certainty_lies_in_the_last_cell():
    """Sure and wrong beside nearly sure and right: one cell of claims 0.975 and reaches 0.5."""
    probabilities = torch.tensor([[1.0, 0.0], [0.95, 0.05]], dtype=torch.float64)
    labels = torch.tensor([1, 0])
    assert metrics.expected_calibration_error(probabilities, labels) == pytest.approx(0.475)
    cells = metrics.reliability(probabilities, labels)
    assert cells.count.tolist() == [0] * 14 + [2]
    assert cells.high[-1] == 1
    # torchmetrics gives confidence 1 a cell of its own
    other = referee.multiclass_calibration_error(probabilities, labels, 2, n_bins=15, norm="l1")
    assert float(other) == pytest.approx(0.525, abs=1e-6)


def test_accuracy_and_confusion_against_torchmetrics():
    probabilities, labels = softmaxed(3)
    expected = referee.multiclass_accuracy(probabilities, labels, CLASSES, average="micro")
    assert metrics.accuracy(probabilities, labels) == pytest.approx(float(expected), abs=1e-6)
    confusion = referee.multiclass_confusion_matrix(probabilities, labels, CLASSES)
    assert torch.equal(metrics.confusion_matrix(probabilities, labels), confusion.double())


def test_reliability_by_hand():
    probabilities = torch.tensor([[0.6, 0.4], [0.7, 0.3], [0.2, 0.8], [1.0, 0.0]], dtype=torch.float64)
    cells = metrics.reliability(probabilities, torch.tensor([0, 1, 1, 1]), bins=4)
    assert cells.low.tolist() == [0, 0.25, 0.5, 0.75]
    assert cells.high.tolist() == [0.25, 0.5, 0.75, 1]
    assert cells.count.tolist() == [0, 0, 2, 2]
    assert cells.confidence[2:].tolist() == pytest.approx([0.65, 0.9])
    assert cells.accuracy[2:].tolist() == [0.5, 0.5]
    assert cells.confidence[:2].isnan().all()
    assert cells.accuracy[:2].isnan().all()
    assert cells.cells()[0] == Cell(0, 0.25, None, None, 0)
    last = Cell(0.75, 1, pytest.approx(0.9), 0.5, 2)
    assert cells.cells()[3] == last
    error = metrics.expected_calibration_error(probabilities, torch.tensor([0, 1, 1, 1]), bins=4)
    assert error == pytest.approx((2 * 0.15 + 2 * 0.4) / 4)


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


@given(voted(), st.integers(1, 20))
def test_the_likeliest_are_the_fewest_that_have_the_share(case, twentieths):
    votes, _ = case
    shares = metrics.vote_shares(votes, CLASSES)
    order, needed = metrics.likeliest(shares, twentieths / 20)
    counts = (shares * votes.shape[1]).round().long()
    for classes, count, row in zip(order.tolist(), needed.tolist(), counts.tolist(), strict=True):
        assert sorted(classes) == list(range(CLASSES))
        falling = sorted(row, reverse=True)
        assert [row[each] for each in classes] == falling
        # in whole numbers, in which nothing is rounded
        assert sum(falling[:count]) * 20 >= twentieths * votes.shape[1]
        assert sum(falling[: count - 1]) * 20 < twentieths * votes.shape[1]


EVEN, NAN, INFINITE = torch.full((2, 3), 1 / 3), math.nan, math.inf
LABELS = torch.tensor([0, 2])
SCORES = {
    name: getattr(metrics, name)
    for name in (
        "accuracy", "brier", "confusion_matrix", "correctness", "expected_calibration_error",
        "negative_log_likelihood", "reliability", "selective_accuracy",
    )
}  # fmt: skip
OF_LOGS = {name: getattr(metrics, name) for name in ("fitted_temperature", "log_loss")}
NO_LABELS = {
    "break_ties": lambda p: metrics.break_ties(p, torch.ones(2, 3)),
    "effective_sample_size": metrics.effective_sample_size,
    "likeliest": lambda p: metrics.likeliest(p, 0.95),
    "smoothed_shares": lambda p: metrics.smoothed_shares(p, 3, 3),
    "top_label": metrics.top_label,
}
ANY_LOGS = {
    "log_mean_exp": lambda x: logspace.log_mean_exp(x, 1),
    "mute": metrics.mute,
    "running_log_mean_exp": lambda x: logspace.running_log_mean_exp(x, 1),
    "tempered": lambda x: metrics.tempered(x, 2.0),
}
OF_VOTES = {name: getattr(metrics, name) for name in ("vote_shares", "vote_shares_by_compartments")}


def test_every_metric_is_among_those_below():
    found = {
        name
        for module in (metrics, logspace)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    assert found == {*SCORES, *OF_LOGS, *NO_LABELS, *ANY_LOGS, *OF_VOTES}


def spoiled(values: torch.Tensor, value: float) -> torch.Tensor:
    values = values.clone()
    values[1, 1] = value
    return values


@pytest.mark.parametrize(
    ("probabilities", "said"),
    [
        (spoiled(EVEN, NAN), "the (probabilities|shares) must be numbers: 1 of 6 are not, the first is nan"),
        (spoiled(EVEN, INFINITE), "must be numbers: 1 of 6 are not, the first is inf"),
        (spoiled(EVEN, -INFINITE), "must be numbers: 1 of 6 are not, the first is -inf"),
        (spoiled(EVEN, -1 / 3), "must not be negative: row 1 holds -0.333"),
        (spoiled(EVEN, 0.5), "must sum to one in every row: row 1 sums to 1.16"),
        (torch.zeros(2, 3), "must sum to one in every row: row 0 sums to 0"),
        (
            torch.ones(2, 1, dtype=torch.int64),
            r"must be a tensor .* of floating-point numbers.* int64 \[2, 1\]",
        ),
        (torch.zeros(0, 3), r"none of its sizes 0, not float32 \[0, 3\]"),
        (EVEN.numpy(), "not an array of float32"),
    ],
)
@pytest.mark.parametrize("name", [*SCORES, *NO_LABELS])
def test_probabilities_that_are_none(name, probabilities, said):
    with pytest.raises(InputError, match=said):
        SCORES[name](probabilities, LABELS) if name in SCORES else NO_LABELS[name](probabilities)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.tensor([0, 3]), "the labels must be classes from 0 to 2, and 3 is none"),
        (torch.tensor([-1, 0]), "the labels must be classes from 0 to 2, and -1 is none"),
        (torch.tensor([0.0, 1.0]), "the labels must be a tensor .* of whole numbers"),
        (torch.tensor([True, False]), "the labels must be a tensor .* of whole numbers"),
        (torch.zeros(2, 1, dtype=torch.int64), r"the labels must be a tensor \[B\]"),
        (torch.tensor([0, 1, 2]), "the labels must be as many as the answers, but are 3 for 2"),
        ([0, 1], r"not \[0, 1\]"),
    ],
)
@pytest.mark.parametrize("name", [*SCORES, *OF_LOGS])
def test_labels_that_are_none(name, labels, said):
    score = (SCORES | OF_LOGS)[name]
    with pytest.raises(InputError, match=said):
        score(EVEN if name in SCORES else EVEN.log(), labels)


@pytest.mark.parametrize("value", [NAN, INFINITE])
@pytest.mark.parametrize("name", [*OF_LOGS, *ANY_LOGS])
def test_logarithms_that_are_none(name, value):
    logs = spoiled(EVEN.log(), value)
    with pytest.raises(InputError, match="must be numbers: 1 of 6 are not"):
        OF_LOGS[name](logs, LABELS) if name in OF_LOGS else ANY_LOGS[name](logs)


def test_logarithms_of_no_distribution():
    with pytest.raises(InputError, match="must sum to one in every row: row 0 sums to 2"):
        metrics.log_loss(EVEN.log() + math.log(2), LABELS)
    nothing = torch.full((2, 3), -INFINITE)
    for score in (lambda x: metrics.tempered(x, 1.0), lambda x: metrics.fitted_temperature(x, LABELS)):
        with pytest.raises(InputError, match="a finite number in every row"):
            score(nothing)


def test_the_fitted_temperature_beside_a_class_that_cannot_be():
    """0 times minus infinity is nothing, not NaN; a label that cannot be has no temperature."""
    logs = torch.tensor([[0.9, 0.1]] * 4, dtype=torch.float64).log()
    wider = torch.cat([logs, torch.full((4, 1), -INFINITE)], 1)
    labels = torch.tensor([0, 0, 0, 1])
    assert metrics.fitted_temperature(wider, labels) == metrics.fitted_temperature(logs, labels)
    with pytest.raises(InputError, match="the label of row 3 has probability 0"):
        metrics.fitted_temperature(wider, torch.tensor([0, 0, 0, 2]))


@pytest.mark.parametrize("name", OF_VOTES)
@pytest.mark.parametrize(
    "votes", [torch.tensor([[0, 3]]), torch.tensor([[-1]]), torch.zeros(2, 0).long(), EVEN, LABELS]
)
def test_votes_that_are_none(name, votes):
    with pytest.raises(InputError, match=r"the votes must be (classes from 0 to 2|a tensor \[B, K\])"):
        OF_VOTES[name](votes, 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: metrics.tempered(EVEN.log(), 0.0), "the temperature must be a number above 0, not 0"),
        (lambda: metrics.tempered(EVEN.log(), NAN), "the temperature must be a number above 0, not nan"),
        (lambda: metrics.negative_log_likelihood(EVEN, LABELS, floor=NAN), "the floor"),
        (lambda: metrics.reliability(EVEN, LABELS, bins=0), "from 1 to 10000 bins, not 0"),
        (lambda: metrics.smoothed_shares(EVEN, 0, 3), "the number of votes must be at least 1, not 0"),
        (lambda: metrics.smoothed_shares(EVEN, 3, 4), "the shares must have 4 classes"),
        (lambda: metrics.break_ties(EVEN, spoiled(EVEN, NAN)), "the counts must be numbers >= 0"),
        (lambda: metrics.break_ties(EVEN, torch.ones(2, 2)), "the counts .* shape"),
        (lambda: metrics.mute(torch.tensor([0.5, -0.1])), "the rates must not be negative"),
    ],
)
def test_other_arguments_that_are_none(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong()


def test_mute_neurons_are_counted():
    found = metrics.mute(torch.tensor([0.0, 0.0009, 0.001, 0.5, 0.95, 0.951, 1.0]))
    assert found == Mute(quiet=2, saturated=2)
    words = found.warning(7)
    assert words is not None
    assert words.startswith("of 7 hidden neurons 2 hardly ever spike")
    assert metrics.mute(torch.tensor([0.5])).warning(1) is None


def test_the_spikes_behind_the_votes_break_their_ties():
    shares = torch.tensor(
        [[0.5, 0.5, 0.0], [0.6, 0.2, 0.2], [0.4, 0.4, 0.2], [1.0, 0.0, 0.0]], dtype=torch.float64
    )
    counts = torch.tensor([[3, 7, 90], [0, 9, 9], [5, 5, 9], [1, 9, 9]])
    found = metrics.break_ties(shares, counts)
    assert torch.equal(found[1:], shares[1:])  # no tie, a tie of the spikes too, certainty
    assert found[0].argmax() == 1
    torch.testing.assert_close(found, shares, rtol=0, atol=1e-11)
    torch.testing.assert_close(found.sum(1), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-15)
    assert metrics.accuracy(shares[:1], torch.tensor([1])) == 0.5
    assert metrics.accuracy(found[:1], torch.tensor([1])) == 1


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_the_likeliest_classes_are_as_few_as_have_the_share(seed, share):
    """Against all subsets of five classes."""
    shares = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.full(5, 0.4), 3))
    order, needed = metrics.likeliest(shares, share)
    for p, classes, count in zip(shares.tolist(), order.tolist(), needed.tolist(), strict=True):
        fewest = next(
            size
            for size in range(1, 6)
            if max(sum(some) for some in itertools.combinations(p, size)) >= share - 1e-12
        )
        assert count == fewest
        assert [p[each] for each in classes] == sorted(p, reverse=True)


def test_ties_do_not_make_a_set_larger():
    assert metrics.likeliest(torch.full((1, 10), 0.1, dtype=torch.float64), 0.95)[1].tolist() == [10]
    assert metrics.likeliest(torch.full((1, 20), 0.05, dtype=torch.float64), 0.95)[1].tolist() == [19]
