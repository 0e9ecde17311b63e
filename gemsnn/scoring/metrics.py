"""Scores: tensors in, numbers out, one formula per function.

Nothing here knows of networks, so any model's probabilities or votes can be scored. Probabilities are
``[B, C]`` (``B`` presentations, ``C`` classes, rows summing to one), labels int64 ``[B]``; sums are taken
in float64.

Votes tie often: two compartments that disagree are already a tie. Breaking ties by a random draw would make
the scores noisy, and taking the lowest class, as ``argmax`` does, would favour some classes. Therefore every
score of the *top label* is the expectation under uniform tie-breaking: a presentation whose ``n`` top classes
are tied counts ``1/n`` if its label is one of them and 0 if not. Exact, and the same on every run.

A score of no number is an error: every function raises :class:`~gemsnn.errors.InputError` where what it is given is
NaN, infinite or negative where it must not be, does not sum to one, or has the wrong type, shape or range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.scoring.scores import QUIET, SATURATED, Cell, Mute
from gemsnn.specs import checks


@dataclass(frozen=True)
class Reliability:
    """What a model claims beside what it achieves, cell by cell of its confidence.

    All float64 ``[bins]``. A dataclass, for a named tuple has no room for a field named ``count``.

    Attributes:
        low: left edge of the cell, excluded.
        high: right edge of the cell, included.
        confidence: mean confidence in the cell; NaN where it is empty.
        accuracy: share of right answers in the cell; NaN where it is empty.
        count: presentations in the cell.
    """

    low: Tensor
    high: Tensor
    confidence: Tensor
    accuracy: Tensor
    count: Tensor

    def cells(self) -> tuple[Cell, ...]:
        """One plain record a cell, ready for JSON: None where a cell is empty, for JSON has no NaN."""
        columns = (self.low, self.high, self.confidence, self.accuracy, self.count)
        return tuple(
            Cell(low, high, confidence if count else None, reached if count else None, int(count))
            for low, high, confidence, reached, count in zip(*(c.tolist() for c in columns), strict=True)
        )


def likeliest(probabilities: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Classes from the likeliest down, and how many of these it takes to have a share of the probability.

    ``n = min {n: sum_{i <= n} p_(i) >= share}``, of probabilities ``p_(1) >= p_(2) >= ..``; rounding does not count.

    Args:
        probabilities: ``[.., C]``.
        share: above 0, up to 1.

    Returns:
        The classes, int64 ``[.., C]``, those that tie in their order; and n, int64 ``[..]``.

    Raises:
        InputError: they are no probabilities.
    """
    checks.distributions(probabilities, "the probabilities", "[.., C]")
    order = probabilities.argsort(dim=-1, descending=True, stable=True)
    short = probabilities.gather(-1, order).cumsum(-1) < share - 1e-12
    return order, short.sum(-1) + 1


class SelectiveAccuracy(NamedTuple):
    """Accuracy among the presentations kept when the least confident abstain; float64 ``[G]``.

    One entry for each of the ``G`` distinct confidences, from the most confident few (low coverage) to
    everything (coverage 1).
    """

    coverage: Tensor
    accuracy: Tensor


# -- weights of samples ------------------------------------------------------------------------------------


def effective_sample_size(share: Tensor) -> Tensor:
    """``1 / sum_k q_k^2`` of weights ``q [.., K]`` that sum to one: between 1 (one carries all) and K (even).

    Source: A. Kong, "A note on importance sampling using standardized weights", 1992.

    >>> effective_sample_size(torch.tensor([0.5, 0.5, 0.0]))
    tensor(2.)
    """
    checks.distributions(share, "the shares", "[.., K]")
    return share.square().sum(dim=-1).reciprocal()


# -- votes -------------------------------------------------------------------------------------------------


def vote_shares(votes: Tensor, classes: int) -> Tensor:
    """``p[b, c] = (1/K) sum_k 1[votes[b, k] = c]``: int64 votes ``[B, K]`` to float64 shares ``[B, C]``.

    >>> vote_shares(torch.tensor([[0, 2, 2, 2]]), classes=3)
    tensor([[0.2500, 0.0000, 0.7500]], dtype=torch.float64)
    """
    checks.classes_of(votes, "the votes", "[B, K]", classes, dims=2)
    return _one_hot(votes, classes).sum(dim=1) / votes.shape[1]


def vote_shares_by_compartments(votes: Tensor, classes: int) -> Tensor:
    """The shares among the first k compartments, for every k: votes ``[B, K]`` to float64 ``[K, B, C]``.

    Row ``k - 1`` equals ``vote_shares(votes[:, :k], classes)``.
    """
    checks.classes_of(votes, "the votes", "[B, K]", classes, dims=2)
    counts = _one_hot(votes, classes).cumsum(dim=1)
    compartments = torch.arange(1, votes.shape[1] + 1, device=votes.device)
    return (counts / compartments[None, :, None]).transpose(0, 1)


_HAIR = 2.0**-40


def break_ties(shares: Tensor, counts: Tensor) -> Tensor:
    """Shares in which, of the classes that lead together, those with most ``counts`` lead the others by a hair.

    Two votes that differ are a tie, yet the output spikes behind them tell which vote was the firmer one. Nothing else
    changes: shares without a tie at the top stay as they are, and classes with equal counts stay tied.

    Args:
        shares: float64 ``[.., C]``.
        counts: not negative, ``[.., C]``.
    """
    checks.distributions(shares, "the shares", "[.., C]")
    if counts.shape != shares.shape or not bool((counts >= 0).all()):  # NaN is not >= 0
        raise InputError(
            f"the counts must be numbers >= 0 with the shares' shape {list(shares.shape)}, those given have "
            f"{list(counts.shape)} and begin at {float(counts.min()) if counts.numel() else 'nothing'}"
        )
    tied = shares == shares.amax(-1, keepdim=True)
    known = counts.to(shares).masked_fill(~tied, -1)
    first = tied & (known == known.amax(-1, keepdim=True))
    behind = tied & ~first
    apart = behind.any(-1, keepdim=True)
    up = first / first.sum(-1, keepdim=True)
    down = behind / behind.sum(-1, keepdim=True).clamp(min=1)
    return shares + _HAIR * apart * (up - down)


def smoothed_shares(shares: Tensor, compartments: int | Tensor, classes: int) -> Tensor:
    """``(K p + 1/C) / (K + 1)``: the shares after one more vote, spread evenly over the classes.

    A class without votes has share 0 and would cost infinitely many nats when it turns out to be right, which
    K votes do not justify. Use it before :func:`negative_log_likelihood` and nowhere else: it never changes
    which class leads, but it does change confidences.

    Args:
        shares: vote shares ``[.., C]``.
        compartments: the number of votes ``K``, or a tensor of such numbers that broadcasts with ``shares``
            (``[K, 1, 1]`` for the output of :func:`vote_shares_by_compartments`).
        classes: ``C``.
    """
    checks.distributions(shares, "the shares", "[.., C]")
    if shares.shape[-1] != classes:
        raise InputError(f"the shares must have {classes} classes, the number given, not {shares.shape[-1]}")
    if not bool((torch.as_tensor(compartments) >= 1).all()):
        raise InputError(f"the number of votes must be at least 1, not {compartments}")
    return (compartments * shares + 1.0 / classes) / (compartments + 1)


# -- neurons that tell nothing -----------------------------------------------------------------------------


def mute(rates: Tensor) -> Mute:
    """Count the neurons of rates ``[H]`` (spikes per step) that tell next to nothing."""
    checks.no_nan(rates, "the rates")
    if (rates < 0).any():
        raise InputError(f"the rates must not be negative, and {float(rates.min()):g} is")
    return Mute(int((rates < QUIET).sum()), int((rates > SATURATED).sum()))


# -- proper scores -----------------------------------------------------------------------------------------


def negative_log_likelihood(probabilities: Tensor, labels: Tensor, floor: float = 0.0) -> float:
    """``-(1/B) sum_b log max(p[b, label_b], floor)``, in nats.

    Infinite where a label has probability 0 and there is no floor. For vote shares prefer
    :func:`smoothed_shares` to a floor: the floor's value would decide the score.
    """
    _check(probabilities, labels)
    if not 0 <= floor <= 1:
        raise InputError(f"the floor of probabilities must lie between 0 and 1, not {floor}")
    return -float(_of_labels(probabilities, labels).clamp(min=floor).log().mean())


def log_loss(log_probabilities: Tensor, labels: Tensor) -> float:
    """``-(1/B) sum_b log p[b, label_b]``, in nats, where probabilities would be too small to be numbers."""
    _check_logs(log_probabilities, labels)
    checks.distributions(log_probabilities.exp(), "the exponentials of the log-probabilities", "[B, C]")
    return -float(_of_labels(log_probabilities, labels).mean())


def brier(probabilities: Tensor, labels: Tensor) -> float:
    """``(1/B) sum_b sum_c (p[b, c] - 1[c = label_b])^2``, between 0 (perfect) and 2 (certain and wrong).

    Source: G. Brier, "Verification of forecasts expressed in terms of probability", 1950: the sum over all
    classes, twice the form that is common for two classes.
    """
    _check(probabilities, labels)
    error = probabilities.double() - _one_hot(labels, probabilities.shape[1])
    return float(error.square().sum(dim=1).mean())


# -- temperature -------------------------------------------------------------------------------------------


def tempered(log_probabilities: Tensor, temperature: float | Tensor) -> Tensor:
    """``log p_T(c)`` with ``p_T(c) = p(c)^(1/T) / sum_c' p(c')^(1/T)``, for ``[.., C]``.

    Above 1 a temperature makes claims more modest, below 1 bolder; the order of the classes stays. An answer that
    rounding has made certain cannot be made modest again: keep logarithms. Source: C. Guo et al., ICML 2017.

    A tensor ``[.., 1]`` gives each answer a temperature of its own.
    """
    _check_logits(log_probabilities)
    numbers = temperature.flatten().tolist() if isinstance(temperature, Tensor) else [temperature]
    if not all(0 < number < math.inf for number in numbers):
        raise InputError(f"the temperature must be a number above 0, not {temperature}")
    return torch.log_softmax(log_probabilities.double() / temperature, -1)


TEMPERATURES = (1e-2, 1e5)
"""The range in which a temperature is sought."""


def fitted_temperature(log_probabilities: Tensor, labels: Tensor) -> float:
    """The ``T`` in :data:`TEMPERATURES` with the lowest ``log_loss(tempered(log p, T), labels)``.

    In ``b = 1/T`` that loss is convex with the slope ``mean_n (E_{p_T} log p - log p[n, label_n])``, whose root is
    found by bisection. Where every label leads, the loss falls for ever as T falls, and T stays 1.

    Raises:
        InputError: also where a label has probability 0, for which every temperature costs infinitely many nats.
    """
    _check_logs(log_probabilities, labels)
    logs = log_probabilities.double()
    reached = _of_labels(logs, labels)
    if reached.isneginf().any():
        row = int(reached.isneginf().nonzero()[0, 0])
        raise InputError(f"the label of row {row} has probability 0, which no temperature can mend")
    if torch.equal(reached, logs.amax(1)):
        return 1.0
    low, high = (math.log(1 / temperature) for temperature in reversed(TEMPERATURES))
    for _ in range(60):
        middle = (low + high) / 2
        share = torch.softmax(math.exp(middle) * logs, 1)
        expected = torch.where(share > 0, share * logs, 0.0).sum(1)  # a class of probability 0 adds nothing
        if float((expected - reached).mean()) < 0:
            low = middle
        else:
            high = middle
    return math.exp(-(low + high) / 2)


# -- scores of the top label -------------------------------------------------------------------------------


def top_label(probabilities: Tensor) -> Tensor:
    """The prediction as a distribution, float64 ``[B, C]``: ``1/n`` on each of the ``n`` tied top classes."""
    checks.distributions(probabilities, "the probabilities", "[B, C]", 2)
    top = (probabilities == probabilities.amax(dim=1, keepdim=True)).double()
    return top / top.sum(dim=1, keepdim=True)


def correctness(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Float64 ``[B]``: 1 if the top class is the label, ``1/n`` in a tie of ``n`` with the label, else 0."""
    _check(probabilities, labels)
    return _of_labels(top_label(probabilities), labels)


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """The share of presentations whose top class is the label, in expectation over uniform tie-breaking.

    >>> accuracy(torch.tensor([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]]), torch.tensor([0, 2]))
    0.75
    """
    return float(correctness(probabilities, labels).mean())


def confusion_matrix(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Float64 ``[C, C]``: entry ``[i, j]`` counts class ``i`` predicted as ``j``; a tie is shared evenly."""
    _check(probabilities, labels)
    return _one_hot(labels, probabilities.shape[1]).T @ top_label(probabilities)


EDGE = 2.0**-20
"""A confidence less than this above the edge of a cell lies on it."""


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Reliability:
    """Confidence against accuracy in ``M = bins`` equal cells: cell ``m = 1 .. M`` is ``((m-1)/M, m/M]``.

    The cells are closed on the right, so that confidence 1, a unanimous vote, lies in the last cell with its
    neighbours. Vote shares such as 3/15 lie exactly on an edge: the cell is ``ceil(M (confidence - EDGE))`` with
    :data:`EDGE` = 2^-20, far more than rounding (of float32 too) or the hair of :func:`break_ties` can add, and far
    less than one vote. Source: C. Guo et al., "On calibration of modern neural networks", ICML 2017, section 2.

    ``torchmetrics`` (1.9) differs: its cells are closed on the left, and confidence 1 has a cell of its own.
    """
    if not 1 <= bins <= 10_000:
        raise InputError(f"a reliability diagram has from 1 to 10000 bins, not {bins}")
    right = correctness(probabilities, labels)
    confidence = probabilities.amax(dim=1).double()
    cell = ((confidence - EDGE) * bins).ceil().long().clamp(1, bins) - 1
    count, claimed, reached = (
        torch.zeros(bins, dtype=torch.float64, device=confidence.device).scatter_add_(0, cell, value)
        for value in (torch.ones_like(right), confidence, right)
    )
    edges = torch.arange(bins + 1, dtype=torch.float64, device=confidence.device) / bins
    return Reliability(edges[:-1], edges[1:], claimed / count, reached / count, count)


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """``sum_m (count_m / B) |accuracy_m - confidence_m|`` over the cells of :func:`reliability` that are not empty.

    Source: C. Guo et al., ICML 2017, equation 3, with their 15 cells. Equals ``torchmetrics``' multiclass
    calibration error (top label, equal widths, ``norm="l1"``) wherever no confidence is 1 or lies on another edge
    and no top classes are tied; in ties torchmetrics takes the lowest class and this the expectation.
    """
    cells = reliability(probabilities, labels, bins)
    filled = cells.count > 0
    gap = (cells.accuracy[filled] - cells.confidence[filled]).abs()
    return float((gap * cells.count[filled]).sum() / cells.count.sum())


def selective_accuracy(probabilities: Tensor, labels: Tensor) -> SelectiveAccuracy:
    """Keep the most confident presentations, the others abstain: accuracy of those kept, for every threshold.

    Presentations of equal confidence are kept or dropped together, as a threshold on confidence would.
    Source: Y. Geifman and R. El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017
    (risk is one minus this accuracy).
    """
    right = correctness(probabilities, labels)
    confidence, order = probabilities.amax(dim=1).sort(descending=True, stable=True)
    kept = torch.arange(1, len(right) + 1, dtype=torch.float64, device=right.device)
    last_of_tie = torch.ones_like(confidence, dtype=torch.bool)
    last_of_tie[:-1] = confidence[:-1] != confidence[1:]
    running = right[order].cumsum(dim=0) / kept
    return SelectiveAccuracy((kept / len(right))[last_of_tie], running[last_of_tie])


def _one_hot(indices: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(indices.long(), classes).double()


def _of_labels(values: Tensor, labels: Tensor) -> Tensor:
    """Float64 ``[B]``: of each row of ``[B, C]`` the entry of its label."""
    return values.double().gather(1, labels.long()[:, None])[:, 0]


def _check(probabilities: Tensor, labels: Tensor) -> None:
    checks.distributions(probabilities, "the probabilities", "[B, C]", 2)
    _check_labels(labels, probabilities)


def _check_logits(logs: Tensor, dims: int | None = None) -> None:
    """Logarithms up to a constant a row: minus infinity stands for probability 0, which not all of a row may have."""
    shape = "[.., C]" if dims is None else "[B, C]"
    checks.no_nan(
        checks.floats(logs, "the log-probabilities", shape, dims), "the log-probabilities", infinite=True
    )
    if (logs.amax(-1) == -math.inf).any():
        raise InputError("the log-probabilities must have a finite number in every row")


def _check_logs(logs: Tensor, labels: Tensor) -> None:
    _check_logits(logs, 2)
    _check_labels(labels, logs)


def _check_labels(labels: Tensor, scored: Tensor) -> None:
    checks.classes_of(labels, "the labels", "[B]", scored.shape[1])
    if len(labels) != len(scored):
        raise InputError(
            f"the labels must be as many as the answers, but are {len(labels)} for {len(scored)}"
        )
