"""Resampling: a particle filter inside a rule, which replaces compartments that explain too little of what came.

Log-weights add up, so their shares ``q = softmax_k(v)`` come to rest on one compartment. When their effective number
``1 / sum_k q[k]^2`` has fallen below ``resample K`` at the end of a step with evidence, the compartments of that
presentation are replaced: compartment k goes on from all that its ancestor ``a[k]`` was, and every ``v[k]`` is 0.
Ancestors are systematic: with one number u in (0, 1) for the presentation and step,

``a[k] = min {j : q[0] + .. + q[j] > (k + u) / K}``,

so that compartment j has ``floor(K q[j])`` or ``ceil(K q[j])`` heirs, and K q[j] in the mean.

The estimate of ``p(x)`` stays without bias, ``E mean_k exp l[k] = p(x)``, with ``l[k] <- l[a[k]] - log K q[a[k]]``
where compartments are replaced and ``l[k] <- l[k] + evidence[k]`` at every step. With ``kappa = 1`` that is the same
for all k, the log of the mean weight since the last time added to a running sum; with ``kappa < 1`` the shares have
forgotten some of the evidence, and what they have forgotten stays in ``l``.

Sources: N. Gordon, D. Salmond and A. Smith, IEE Proceedings F 140, 1993 (the filter); G. Kitagawa, Journal of
Computational and Graphical Statistics 5, 1996 (systematic ancestors); J. Liu and R. Chen, Journal of the American
Statistical Association 93, 1998 (shares other than the weights, and the effective number as a threshold); P. Del
Moral, "Feynman-Kac Formulae", 2004 (no bias).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.model.step import State
from gemsnn.store import trees

if TYPE_CHECKING:
    from gemsnn.rules.advance import RuleState
    from gemsnn.rules.base import RuleSpec
    from gemsnn.rules.credit import Recent

Tree = TypeVar("Tree")


class Replaced(NamedTuple):
    """Who goes on from whom.

    Attributes:
        ancestor: a, int64 ``[B, K]``; itself where nobody is replaced.
        where: bool ``[B]``, the presentations whose compartments are.
        log_share: ``log q``, float64 ``[B, K]``.
    """

    ancestor: Tensor
    where: Tensor
    log_share: Tensor

    def of(self, leaf: Tensor) -> Tensor:
        """What the ancestors have, of a leaf ``[B, K, ..]``."""
        return leaf[torch.arange(len(leaf), device=leaf.device)[:, None], self.ancestor]


def ancestors(share: Tensor, uniform: Tensor) -> Tensor:
    """Systematic ancestors, int64 ``[.., K]``, of shares ``[.., K]`` that sum to one and numbers ``[.., 1]``."""
    compartments = share.shape[-1]
    place = (torch.arange(compartments, device=share.device) + uniform.double()) / compartments
    # without the last bound, which is 1 but for rounding, nobody is beyond the end
    bounds = share.double().cumsum(-1)[..., :-1].contiguous()
    return torch.searchsorted(bounds, place.contiguous(), right=True)


def replaced(
    spec: RuleSpec, log_weights: Tensor, observed: Tensor, address: Tensor, step: int, *, seed: int
) -> Replaced | None:
    """Whose compartments are replaced after a step, and by whom; ``None`` where all go on as they are.

    Args:
        spec: the rule, whose ``resample`` is the threshold.
        log_weights: ``[B, K]``, after the step. Where one is no number nobody is replaced.
        observed: bool ``[B]``, where there was evidence.
        address: int64 ``[B]``.
        step: the step; with the seed and the address it addresses u.
        seed: that of the compartments' noise.
    """
    log_share = torch.log_softmax(log_weights.double(), -1)
    share, compartments = log_share.exp(), log_weights.shape[-1]
    few = share.square().sum(-1).reciprocal() < spec.resample * compartments
    where = observed & few
    if not bool(where.any()):
        return None
    noise, steps = rng.derive(seed, "resampling"), range(step, step + 1)
    uniform = rng.uniforms(noise, address, steps, 1, 1, device=log_weights.device)[:, 0, 0]
    stay = torch.arange(compartments, device=share.device)
    return Replaced(torch.where(where[:, None], ancestors(share, uniform), stay), where, log_share)


def gathered(found: Replaced, tree: Tree) -> Tree:
    """The ancestors' part of a tree whose leaves all begin with ``[B, K]``."""
    return trees.map(found.of, tree)


def of_network(found: Replaced, state: State) -> State:
    """The spikes that the compartments go on from; inputs are those of all compartments."""
    return state._replace(neurons=found.of(state.neurons))


def of_rule(found: Replaced, state: RuleState) -> RuleState:
    """What a rule without state of its own remembers of the compartments that go on, with log-weights anew."""
    return state._replace(
        log_weights=anew(found, state.log_weights),
        eligibility=gathered(found, state.eligibility),
        recent=None if state.recent is None else _of_recent(found, state.recent),
    )


def anew(found: Replaced, log_weights: Tensor) -> Tensor:
    """Log-weights ``[B, K]`` of equal compartments where they have been replaced."""
    return log_weights.masked_fill(found.where[:, None], 0.0)


def reweighted(found: Replaced, log_estimates: Tensor) -> Tensor:
    """``l[k] <- l[a[k]] - log K q[a[k]]``, ``[B, K]`` in nats, where compartments have been replaced."""
    even = math.log(log_estimates.shape[-1])
    moved = found.of(log_estimates - (found.log_share + even).to(log_estimates))
    return torch.where(found.where[:, None], moved, log_estimates)


def _of_recent(found: Replaced, recent: Recent) -> Recent:
    traces = tuple(each._replace(neurons=found.of(each.neurons)) for each in recent.traces)
    return recent._replace(
        slope=found.of(recent.slope), score=found.of(recent.score), traces=traces,
        own_trace=found.of(recent.own_trace),
    )  # fmt: skip
