"""The rule ml: maximum likelihood of single compartments, with a baseline for every hidden neuron's parameter.

The direction is ``e`` for visible neurons and ``v e - g`` for hidden ones, averaged over compartments: see
:func:`advance_baseline`. It keeps three numbers for every synapse and compartment beside the eligibility.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from gemsnn.model import glm
from gemsnn.model.network import Network, Params
from gemsnn.model.step import Step
from gemsnn.rules import advance as advancing
from gemsnn.rules import parts
from gemsnn.rules.advance import moved
from gemsnn.store import trees

if TYPE_CHECKING:
    from gemsnn.rules.base import RuleSpec


class Baseline(NamedTuple):
    """What the rule ml knows of every hidden neuron's parameters; Params with leading dimensions ``[B, K, H]``.

    Attributes:
        signal: ``<v e^2>``, a decaying sum over steps.
        weight: ``<e^2>``, likewise; their quotient is the baseline b.
        trace: ``g[t] = gamma g[t-1] + b[t-1] grad log p(s[t] | u[t])``, what is subtracted from ``v e``.
    """

    signal: Params
    weight: Params
    trace: Params


class State(NamedTuple):
    """What the rule remembers between steps.

    Attributes:
        log_weights: ``[B, K]``, in nats.
        eligibility: Params with leading dimensions ``[B, K]``.
        baseline: of the hidden neurons.
    """

    log_weights: Tensor
    eligibility: Params
    baseline: Baseline


def reward(spec: RuleSpec, network: Network, evidence: Tensor, now: Step) -> Tensor:
    """What a step adds to the log-weights, ``[B, K]`` in nats: the evidence, less the price of hidden spikes.

    ``evidence - sparsity sum_{i hidden} log p(s[i] | u[i]) / r(s[i])``, where ``r(1) = sparsity_rate``. Summed
    over a presentation its mean is ``log p(x || h) - sparsity KL(p(h || x) || r)``, and that divergence is the
    sum over steps and hidden neurons of the mean of ``KL(sigmoid(u) || sparsity_rate)``.

    Source: H. Jang, O. Simeone, B. Gardner and A. Grüning, arXiv 1910.01059, and its authors' code.
    """
    if not spec.sparsity:
        return evidence
    hidden = slice(network.spec.hidden_neurons)
    spikes, potential = now.spikes[..., hidden], now.potential[..., hidden]
    wanted = torch.full_like(potential, math.log(spec.sparsity_rate / (1 - spec.sparsity_rate)))
    price = glm.log_prob(spikes, potential) - glm.log_prob(spikes, wanted)
    return evidence - spec.sparsity * price.sum(-1)


def init(spec: RuleSpec, network: Network, params: Params, batch: int, compartments: int) -> State:
    """See :func:`gemsnn.rules.advance.init`."""
    hidden = parts.zeros_of_runs(parts.of_hidden(network, params, 0), batch, compartments)
    return State(
        network.taps.new_zeros(batch, compartments),
        parts.zeros_of_runs(params, batch, compartments),
        Baseline(hidden, hidden, hidden),
    )


def advance(
    spec: RuleSpec,
    network: Network,
    params: Params,
    state: State,
    now: Step,
    *,
    observed: Tensor,
    alive: Tensor,
    read: Tensor,
) -> tuple[State, Params]:
    """See :func:`gemsnn.rules.advance.advance`."""
    evidence, gradient = advancing.seen(network, now, observed)
    wanted = reward(spec, network, evidence, now)
    return update(spec, network, state, wanted, gradient, alive=alive, read=read)


def update(
    spec: RuleSpec,
    network: Network,
    state: State,
    evidence: Tensor,
    gradient: Params,
    *,
    alive: Tensor,
    read: Tensor,
) -> tuple[State, Params]:
    """See :func:`gemsnn.rules.advance.update`, with the evidence of :func:`reward`."""
    log_weights, eligibility, score = advancing.sums(spec, state, evidence, gradient, alive)
    known, new = (parts.of_hidden(network, tree) for tree in (eligibility, score))
    baseline = advance_baseline(spec, state.baseline, log_weights, known, new, alive)
    weight = read[:, None].to(log_weights).expand_as(log_weights) / log_weights.numel()
    own = trees.map(
        lambda e, subtracted: _like(log_weights, e) * e - subtracted,
        known,
        baseline.trace,
    )
    direction = parts.summed(weight, parts.whole(network, eligibility, own))
    return State(log_weights, eligibility, baseline), direction


def advance_baseline(
    spec: RuleSpec, old: Baseline, log_weights: Tensor, eligibility: Params, score: Params, alive: Tensor
) -> Baseline:
    """The rule ml's baseline, one for every hidden neuron's parameter and compartment.

    The direction of the rule is ``e`` for visible neurons and ``v e - g`` for hidden ones, averaged over
    compartments, with

    * ``g[t] = gamma g[t-1] + b[t-1] grad log p(s[t] | u[t])``,
    * ``b[t] = <v e^2> / <e^2>`` (0 as long as e was), ``<f>[t] = baseline_decay <f>[t-1] + f[t]``.

    If b stood still, that would be ``(v - b) e``, and ``E v e^2 / E e^2`` is the constant b of least variance
    (H. Jang, O. Simeone, B. Gardner and A. Grüning, arXiv 1910.01059). But it moves with the compartment's own
    spikes, those that ``e`` is made of, and so ``b e`` has a mean. Hence each score meets the baseline known
    before its spike was drawn, and g has none: the direction's expectation is that of ``v e``.

    Args:
        spec: the rule.
        old: the baseline of the last step.
        log_weights: ``[B, K]``, of this step.
        eligibility: the hidden neurons', of this step, leading dimensions ``[B, K]``.
        score: what this step added to it.
        alive: bool ``[B]``.
    """

    def advance(
        signal: Tensor, weight: Tensor, trace: Tensor, e: Tensor, new: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        known = torch.where(weight > 0, signal / weight, 0.0)
        return (
            moved(alive, spec.baseline_decay * signal + _like(log_weights, e) * e.square(), signal),
            moved(alive, spec.baseline_decay * weight + e.square(), weight),
            moved(alive, spec.gamma * trace + known * new, trace),
        )

    found = [
        trees.map(lambda *leaves, at=at: advance(*leaves)[at], *old, eligibility, score) for at in range(3)
    ]
    return Baseline(*found)


def _like(values: Tensor, leaf: Tensor) -> Tensor:
    """``[B, K]`` with as many further dimensions of size one as the leaf has."""
    return values.reshape(*values.shape, *(1,) * (leaf.ndim - 2))
