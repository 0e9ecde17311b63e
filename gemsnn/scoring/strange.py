"""How strange a recording is: scores that are the higher, the less it is like what was learned.

Confidence tells which of the known classes a recording is like, not whether it is like any. Besides how familiar its
hidden activity and its inputs are (:mod:`gemsnn.scoring.familiar`), two other things that a poll holds may tell that.

*Disagreement.* Compartment ``k`` by itself answers ``p_k(c)`` and counts ``w_k`` in the answer ``m = sum_k w_k p_k``,
``sum_k w_k = 1``. The entropy of the answer, in nats, is

    ``H(m) = sum_k w_k H(p_k) + sum_k w_k KL(p_k || m)``:

the *noise* that every compartment has by itself, and the *disagreement* between them, which is the mutual information
of the answer and the compartment it comes from (A. Depeweg and others, arXiv 1710.07283). All compartments have the
same weights, so they disagree by their noise and not, as members of an ensemble do, by what they have learned.

*Number of events.* ``|log(1 + n) - median log(1 + n_train)|``, which takes no network at all.

What any such score of a new recording is worth is told by :func:`gemsnn.scoring.conformal.p_values`, given those of
recordings that neither taught the network nor fitted the score: of one that comes as they did, the p-value is at most
``a`` with probability at most ``a``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.scoring.answers import rate_answers
from gemsnn.scoring.evaluate import Poll
from gemsnn.specs import checks

# -- disagreement ------------------------------------------------------------------------------------------

Speech = Literal["votes", "rates"]
"""Decoders of which each compartment has an answer by itself."""


class Alone(NamedTuple):
    """What compartments answer by themselves, float64.

    Attributes:
        shares: class probabilities ``[n, K, C]``.
        weights: how much each counts in the answer of all, ``[n, K]``, the sum one.
    """

    shares: Tensor
    weights: Tensor


def alone(decoder: Speech, poll: Poll) -> Alone:
    """What each compartment of a poll answers by itself, whatever the poll's own decoder is.

    ``votes``: the class that it votes for, with certainty, and each counts the same. ``rates``: the shares of its own
    output spikes, and each counts by their number, so that together they are the answer of all; without any spikes
    every class is as likely. Whether a recording is silent plays no part.

    Raises:
        InputError: the decoder is another one.
    """
    checks.choice(decoder, Speech, "decoder")
    count, compartments, classes = poll.spoken.shape
    even = torch.full((count, compartments), 1 / compartments, dtype=torch.float64)
    if decoder == "votes":
        votes = torch.nn.functional.one_hot(poll.votes[:, :, -1], classes)
        return Alone(votes.double(), even)
    each = poll.spoken.sum(2).double()
    total = each.sum(1, keepdim=True)
    weights = torch.where(total > 0, each / total.clamp(min=1), even)
    return Alone(rate_answers(poll.spoken).probabilities.transpose(0, 1), weights)


class Entropy(NamedTuple):
    """The entropy of answers and its two parts, float64 ``[..]`` in nats; ``whole = noise + disagreement``."""

    whole: Tensor
    noise: Tensor
    disagreement: Tensor


def entropy(shares: Tensor, weights: Tensor) -> Entropy:
    """The entropy of a mixture of answers, the mean entropy of its parts, and how far they lie from the mixture.

    Args:
        shares: class probabilities ``[.., K, C]``.
        weights: how much each of the K counts, ``[.., K]``.

    Raises:
        InputError: these are no probabilities, or the shapes do not fit.
    """
    checks.distributions(shares, "the shares", "[.., K, C]")
    checks.distributions(weights, "the weights", "[.., K]")
    if shares.shape[:-1] != weights.shape:
        raise InputError(
            f"the weights must be one for each of {list(shares.shape[:-1])} answers, not {checks.told(weights)}"
        )
    each, weight = shares.double(), weights.double()[..., None]
    parts = weight * each
    whole = parts.sum(-2)
    apart = weight * torch.xlogy(each, each) - torch.xlogy(parts, whole[..., None, :])
    found = (
        torch.special.entr(whole).sum(-1),
        (weight * torch.special.entr(each)).sum((-2, -1)),
        apart.sum((-2, -1)),
    )
    return Entropy(*(part.clamp(min=0) for part in found))  # rounding takes them a little below


# -- number of events --------------------------------------------------------------------------------------


def usual_number(came: Tensor) -> float:
    """``median log(1 + n)`` of the numbers of input events of training recordings, ``[n]``.

    Raises:
        InputError: there are none, or they are no numbers of events.
    """
    return float(_logs(came).quantile(0.5))


def unusual_number(came: Tensor, usual: float) -> Tensor:
    """How far numbers of input events ``[n]`` lie from the usual one, to either side: ``|log(1 + n) - usual|``.

    Raises:
        InputError: they are no numbers of events.
    """
    return (_logs(came) - usual).abs()


def _logs(came: Tensor) -> Tensor:
    whole = checks.is_tensor(came) and not came.is_floating_point() and came.ndim == 1 and len(came) > 0
    if not whole or int(came.min()) < 0:
        raise InputError(
            f"the numbers of events must be whole ones [n], one or more and not negative, not {checks.told(came)}"
        )
    return came.double().log1p()
