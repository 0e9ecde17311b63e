"""When votes are enough: the winner of infinitely many, told from as few as a promise allows.

Compartments are independent draws given the input, so their votes come from one distribution ``p(c)``, and what one
would like to know is its *mode*, the winner of infinitely many. A rule looks at the votes so far, as often as it likes,
and stops when it names a winner. Whatever ``p`` is: *with probability at most the risk it ever stops at a class that is
no mode.* That holds for looks at any moments, because both rules rest on nonnegative supermartingales that begin at 1,
which with probability at most ``risk`` ever reach ``1 / risk`` (J. Ville, "Etude critique de la notion de collectif",
1939). Nothing is promised of the votes being right: the winner may be the wrong class.

``ppr``
    PPR-1v1: the leader ``a`` of the votes, with ``n_a`` of them, is told once for every rival ``b``
    ``BetaPDF(1/2; 1 + n_a, 1 + n_b) <= risk / (C - 1)``. The density is the posterior of ``p_a / (p_a + p_b)`` after an
    even prior; prior over posterior at the true value is the martingale, and the risk is divided between the ``C - 1``
    rivals of the mode. S. Jain and others, "PAC Mode Estimation using PPR Martingale Confidence Sequences", AISTATS
    2022, arXiv 2109.05047. As the density grows with ``n_b <= n_a``, only the rival with most votes counts.
``leader``
    Every class ``m`` is taken for a mode until a bet against it has won ``1 / risk``. Before each vote the bet is on
    the class that leads then, ties going to the lowest, and rests where that is ``m`` itself or where nothing has been
    voted. With ``A_m`` votes for the leaders of these moments and ``B_m`` for ``m``, it has won ::

        E_m = 2 int_1/2^1 (2 q)^A_m (2 - 2 q)^B_m dq = 2^(A_m + B_m + 1) B(A_m + 1, B_m + 1) P(q > 1/2),

    with ``q`` drawn from ``Beta(A_m + 1, B_m + 1)``. If ``m`` is a mode, no class is likelier than it, and then each
    factor's mean is at most 1: ``p_a 2 q + p_m (2 - 2 q) + 1 - p_a - p_m <= 1`` as ``q >= 1/2`` and ``p_a <= p_m``. The
    winner is told once all other classes are lost. Since the true mode is lost with probability at most the risk,
    nothing is divided by the number of classes. Betting on what led so far: I. Waudby-Smith and A. Ramdas, "Estimating
    means of bounded random variables by betting", arXiv 2010.09686.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from scipy import special
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.scoring.conformal import Risk
from gemsnn.specs import checks
from gemsnn.specs.checks import Count

Rule = Literal["leader", "ppr"]


class Stops(NamedTuple):
    """When a rule stops, ``[n]`` each.

    Attributes:
        asked: int64, votes that had come by then; all of them, where it never does.
        decided: bool, whether it does.
    """

    asked: Tensor
    decided: Tensor


def decided(counts: Tensor, risk: float) -> Tensor:
    """Whether ``ppr`` tells the winner of votes: bool ``[..]`` of their numbers, int64 ``[.., C]``.

    >>> decided(torch.tensor([[11, 0, 0], [11, 3, 0]]), 0.05)
    tensor([ True, False])

    Raises:
        InputError: these are no numbers of votes, or the risk is none.
    """
    checks.number(risk, Risk, "risk")
    _check_whole(counts, "the numbers of votes", "[.., C]")
    classes = counts.shape[-1]
    if classes == 1:
        return torch.ones(counts.shape[:-1], dtype=torch.bool)
    first, second = counts.sort(-1, descending=True).values[..., :2].double().unbind(-1)
    return log_density(first, second) <= math.log(risk / (classes - 1))


def log_density(first: Tensor, second: Tensor) -> Tensor:
    """``log BetaPDF(1/2; 1 + first, 1 + second)``, float64, of numbers of votes ``[..]`` both."""
    beta = special.betaln(1 + first.double().numpy(), 1 + second.double().numpy())
    return torch.from_numpy(np.asarray(-math.log(2) * (first + second).double().numpy() - beta))


def log_wealth(won: Tensor, lost: Tensor) -> Tensor:
    """``log E`` of ``leader``, float64, of a bet that ``won`` votes have won and ``lost`` have lost, ``[..]`` both."""
    a, b = won.double().numpy(), lost.double().numpy()
    with np.errstate(divide="ignore"):  # a bet that is lost beyond all numbers
        above = np.log(special.betainc(b + 1, a + 1, 0.5))  # P(q > 1/2)
    return torch.from_numpy(np.asarray(math.log(2) * (a + b + 1) + special.betaln(a + 1, b + 1) + above))


def told(votes: Tensor, classes: int, risk: float, rule: Rule = "leader") -> Tensor:
    """Whether a rule tells the winner after each vote: bool ``[n, K]`` of votes int64 ``[n, K]`` in their order.

    Raises:
        InputError: these are no votes, or there is no such rule or risk.
    """
    checks.choice(rule, Rule, "rule")
    checks.number(risk, Risk, "risk")
    checks.classes_of(votes, "the votes", "[n, K]", classes, dims=2)
    each = torch.nn.functional.one_hot(votes, classes)
    counts = each.cumsum(1)
    if rule == "ppr":
        return decided(counts, risk)
    leader = counts.argmax(-1)  # after each vote; of those that tie, the lowest
    before = torch.cat([votes.new_full((len(votes), 1), -1), leader[:, :-1]], 1)
    rests = (before[..., None] == torch.arange(classes)) | (before < 0)[..., None]
    won = ((votes == before)[..., None] & ~rests).cumsum(1)
    lost = (each.bool() & ~rests).cumsum(1)
    out = (log_wealth(won, lost) >= -math.log(risk)).cumsum(1) > 0  # once lost is lost
    return (out | torch.nn.functional.one_hot(leader, classes).bool()).all(-1)


def stops(
    votes: Tensor, classes: int, risk: float, rule: Rule = "leader", looks: Sequence[int] | None = None
) -> Stops:
    """When a rule stops on votes int64 ``[n, K]`` in their order.

    Args:
        votes: the votes.
        classes: C.
        risk: how often the winner that is told may be no mode.
        rule: ``leader`` or ``ppr``.
        looks: after how many votes it looks, rising; by default after each.

    Raises:
        InputError: as :func:`told`, or there are no such moments.
    """
    found, most = told(votes, classes, risk, rule), votes.shape[1]
    moments = list(range(1, most + 1) if looks is None else looks)
    if not moments or moments != sorted(set(moments)) or not 1 <= moments[0] <= moments[-1] <= most:
        raise InputError(f"looks must rise from at least 1 to at most the {most} votes, not {looks}")
    at = torch.tensor(moments)
    here = found[:, at - 1]
    return Stops(torch.where(here.any(1), at[here.to(torch.int8).argmax(1)], most), here.any(1))


def least(classes: int, risk: float, rule: Rule = "leader") -> int:
    """How many votes it takes at least: so many that all agree.

    >>> least(10, 0.05), least(10, 0.05, "ppr")
    (8, 12)

    Raises:
        InputError: there is no such rule or risk.
    """
    checks.number(classes, Count, "classes")
    checks.number(risk, Risk, "risk")
    votes = 1
    while not bool(told(torch.zeros(1, votes, dtype=torch.int64), classes, risk, rule)[0, -1]):
        votes += 1
    return votes


def _check_whole(counts: Tensor, name: str, shape: str) -> None:
    whole = checks.is_tensor(counts) and str(counts.dtype) in checks.WHOLE
    if not whole or counts.ndim < 1 or counts.numel() == 0 or int(counts.min()) < 0:
        raise InputError(f"{name} must be a tensor {shape} of whole numbers >= 0, not {checks.told(counts)}")
