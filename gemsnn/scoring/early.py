"""When to answer: sets of classes at every moment of a recording, and stopping rules that keep a promise.

Scores ``s_i(x, c)`` (:mod:`gemsnn.scoring.conformal`) at checkpoints ``i = 1 .. N`` are made comparable between moments
first: on one part A of the calibration recordings, ``F_i`` is the distribution of the right class's score at
checkpoint i, and the *level* of a class is ``F_i(s_i(x, c))``, in [0, 1]. The other part B gives one limit for all
moments. At the limit q the set at checkpoint i is ``{c: level_i(c) <= q}``; whatever A made of the levels, what is
promised of B's limit holds as long as B and the new recording are exchangeable.

``any``
    ``q`` is the conformal quantile of ``max_i level_i(y)``: with probability ``1 - risk`` the right class is in the set
    at *every* checkpoint, so that whoever stops, whenever and for whatever reason, keeps the promise.
``single``
    ``q`` is the conformal quantile, over recordings, of the least limit from which on the rule *stop when one class is
    left* does not miss the right one (:func:`safe_limit`). The promise holds for this rule and for no other. The limit
    is never above that of ``any``, so the rule never stops later.
``spikecp``
    A limit for each checkpoint by itself, of the risk divided by their number (Bonferroni): with probability
    ``1 - risk`` the right class is in the set at every checkpoint. It needs no part A. J. Chen, S. Park and O. Simeone,
    "SpikeCP: Delay-Adaptive Reliable Spiking Neural Networks via Conformal Prediction", arXiv 2305.11322.

``answers``
    ``q`` is such that, of the recordings that are answered as ``single`` answers them, no more than the risk are
    answered wrongly, with a confidence over the draw of calibration recordings (:func:`answers_limit`). What is left
    unanswered is promised nothing. Learn Then Test, with exact binomial tests in an order that part A gives:
    A. Angelopoulos, S. Bates, E. Candes, M. Jordan and L. Lei, "Learn then Test: Calibrating Predictive Algorithms to
    Achieve Risk Control", arXiv 2110.01052.

A recording is answered at the first checkpoint at which one class is left, or none: then it is the one of least level.
If that never happens, the set at the end is an abstention with content. A *miss* is an answer that is wrong, or a set
at the end without the right class.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from scipy import stats
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.scoring import conformal
from gemsnn.specs import checks

Rule = Literal["single", "any", "answers", "spikecp"]
GRID = 200
"""Limits that ``answers`` chooses from, equally spaced in (0, 1)."""


class Stops(NamedTuple):
    """What came of recordings, ``[n]`` each.

    Attributes:
        checkpoint: int64, at which the answer was given, from 0; the last, where none was.
        answered: bool, whether one class was left.
        sets: bool ``[n, C]``, the classes that were left; of an answer, that class alone.
        misses: bool, whether the right class is none of them.
    """

    checkpoint: Tensor
    answered: Tensor
    sets: Tensor
    misses: Tensor


def levels(reference: Tensor, found: Tensor) -> Tensor:
    """``F_i(s_i)``, float64 in [0, 1], of the shape of ``found``.

    ``F_i`` is the distribution function of ``reference[:, i]``, ``(rank - 1/2) / n`` at these scores and linear between
    them. Beyond the largest, and below the least, it goes on towards 1, and 0, as an exponential whose scale is their
    standard deviation, so that of scores that are all beyond the larger one keeps the larger level.

    Args:
        reference: the right class's scores of part A, ``[a, N]``.
        found: scores at the same checkpoints, ``[n, N, C]``.

    Raises:
        InputError: the shapes do not fit, or these are no scores.
    """
    _check_paths(found, "found", "[n, N, C]", 3)
    checks.floats(reference, "the reference", "[a, N]", 2)
    checks.no_nan(reference, "the reference")
    if reference.shape[1] != found.shape[1]:
        raise InputError(
            f"the reference must have the {found.shape[1]} checkpoints of the scores, not {reference.shape[1]}"
        )
    held = reference.double().T.sort(1).values.contiguous()  # [N, a]
    count = held.shape[1]
    values = found.double().permute(1, 0, 2).reshape(len(held), -1).contiguous()
    after = torch.searchsorted(held, values).clamp(1, max(1, count - 1))
    low, high = held.gather(1, after - 1), held.gather(1, after.clamp(max=count - 1))
    share = ((values - low) / (high - low).clamp(min=torch.finfo(torch.float64).tiny)).clamp(0, 1)
    rank = (after - 0.5 + share) / count
    edge, scale = 0.5 / count, held.std(1, correction=0)[:, None].clamp(min=1e-12)
    beyond = 1 - edge * torch.exp(-(values - held[:, -1:]) / scale)
    below = edge * torch.exp(-(held[:, :1] - values) / scale)
    rank = torch.where(values > held[:, -1:], beyond, torch.where(values < held[:, :1], below, rank))
    return rank.reshape(len(held), len(found), -1).permute(1, 0, 2)


def any_limit(right: Tensor, risk: float) -> float:
    """The limit of the rule ``any``, from the levels of right classes of part B, ``[b, N]``."""
    checks.floats(right, "the levels of right classes", "[b, N]", 2)
    return conformal.limit(right.amax(1), risk)


def safe_limit(found: Tensor, labels: Tensor) -> Tensor:
    """The least limit of each recording from which on stopping at one class misses nothing, float64 ``[n]``.

    Let ``M_i`` be the largest second-least level up to checkpoint i. At a limit in ``[M_(i-1), M_i)`` the rule stops at
    i, and misses if the class of least level is not the right one; from ``M_N`` on it never stops, and misses while the
    limit is below the right class's level at the end. So the safe limit is the largest ``M_i`` of a moment at which a
    stop would miss, or that level.

    Args:
        found: levels, ``[n, N, C]``.
        labels: int64 ``[n]``.

    Raises:
        InputError: the shapes do not fit, or there is one class only.
    """
    _check_paths(found, "the levels", "[n, N, C]", 3)
    checks.classes_of(labels, "the labels", "[n]", found.shape[2])
    if found.shape[2] < 2:
        raise InputError("answers need two classes or more")
    values = found.double()
    second = values.topk(2, dim=2, largest=False).values[..., 1].cummax(1).values  # M_i
    before = torch.cat([torch.full_like(second[:, :1], -math.inf), second[:, :-1]], 1)
    wrong = (values.argmin(2) != labels[:, None]) & (second > before)
    stopped = torch.where(wrong, second, -math.inf).amax(1)
    last = values[torch.arange(len(values)), -1, labels]
    return torch.maximum(stopped, torch.where(last > second[:, -1], last, -math.inf))


def single_limit(found: Tensor, labels: Tensor, risk: float) -> float:
    """The limit of the rule ``single``, from the levels ``[b, N, C]`` and labels of part B."""
    return conformal.limit(own_limits("single", found, labels), risk)


def own_limits(rule: Literal["single", "any"], found: Tensor, labels: Tensor) -> Tensor:
    """The least limit that keeps the rule's promise for each recording, of which its limit is the quantile.

    Args:
        rule: of the two that have one.
        found: levels of part B, ``[b, N, C]``.
        labels: int64 ``[b]``.

    Returns:
        float64 ``[b]``, finite.
    """
    if rule == "any":
        return found[torch.arange(len(found)), :, labels].amax(1)
    return safe_limit(found, labels).clamp(min=torch.finfo(torch.float64).min)


def answers_limit(
    found_a: Tensor, labels_a: Tensor, found_b: Tensor, labels_b: Tensor, risk: float, confidence: float
) -> float:
    """The limit of the rule ``answers``; infinite, so that nothing is answered, where none can be shown to keep it.

    Of m answered recordings of part B, e are wrong. Were a share R > risk of the answers of a limit wrong, so few would
    be with probability at most ``P(Bin(m, risk) <= e)``, given which ones are answered: that is the p-value of the
    limit. Limits are tested in the order of their p-values on part A, each at the level ``1 - confidence``, until one
    fails; all before it are shown to keep the promise, with that confidence for all of them together. Of these it is
    the one that answers most on part A, and of equals the earliest.

    Args:
        found_a: levels of part A, ``[a, N, C]``.
        labels_a: int64 ``[a]``.
        found_b: levels of part B, ``[b, N, C]``.
        labels_b: int64 ``[b]``.
        risk: share of the answers that may be wrong.
        confidence: above 0 and below 1.

    Raises:
        InputError: the shapes do not fit, or a number is out of range.
    """
    checks.number(risk, conformal.Risk, "risk")
    checks.number(confidence, conformal.Risk, "confidence")
    grid = [(at + 1) / (GRID + 1) for at in range(GRID)]
    on_a = [stops(found_a, labels_a, limit) for limit in grid]
    order = sorted(range(GRID), key=lambda at: _p_of_answers(on_a[at], risk))
    shown: list[int] = []
    for at in order:
        if _p_of_answers(stops(found_b, labels_b, grid[at]), risk) > 1 - confidence:
            break
        shown.append(at)

    def worth(at: int) -> tuple[float, float]:
        found = on_a[at]
        return float(found.answered.double().mean()), -float(found.checkpoint.double().mean())

    return grid[max(shown, key=worth)] if shown else math.inf


def _p_of_answers(found: Stops, risk: float) -> float:
    """``P(Bin(m, risk) <= e)`` of m answers of which e are wrong."""
    answered, wrong = int(found.answered.sum()), int((found.answered & found.misses).sum())
    return float(stats.binom.cdf(wrong, answered, risk))


def spikecp_limits(right: Tensor, risk: float) -> Tensor:
    """SpikeCP's limits, float64 ``[N]``, from the scores (or levels) of right classes, ``[b, N]``."""
    checks.floats(right, "the scores of right classes", "[b, N]", 2)
    checkpoints = right.shape[1]
    return torch.tensor(
        [conformal.limit(now, risk / checkpoints) for now in right.T.contiguous()], dtype=torch.float64
    )


def stops(found: Tensor, labels: Tensor, limit: float | Tensor) -> Stops:
    """When recordings are answered, and how.

    Args:
        found: levels, or for limits of each checkpoint scores, ``[n, N, C]``.
        labels: the right classes, int64 ``[n]``.
        limit: for all checkpoints, or float ``[N]``.

    Raises:
        InputError: the shapes do not fit.
    """
    _check_paths(found, "the levels", "[n, N, C]", 3)
    checks.classes_of(labels, "the labels", "[n]", found.shape[2])
    values = found.double()
    where = torch.as_tensor(limit, dtype=torch.float64)
    kept, few = left(values, where[:, None] if where.ndim else where)
    answered = few.any(1)
    at = torch.where(answered, few.to(torch.int8).argmax(1), found.shape[1] - 1)
    rows = torch.arange(len(found))
    best = torch.nn.functional.one_hot(values[rows, at].argmin(1), found.shape[2]).bool()
    sets = torch.where(answered[:, None], best, kept[rows, at])
    return Stops(at, answered, sets, ~sets[rows, labels])


def left(values: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """The classes that are left at a limit, bool ``[.., C]``, and where one is left or none: there it is answered."""
    kept = values <= limit
    return kept, kept.sum(-1) <= 1


def _check_paths(values: Tensor, name: str, shape: str, dims: int) -> None:
    checks.floats(values, name, shape, dims)
    checks.no_nan(values, name)
