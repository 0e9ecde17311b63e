"""The rule one-hop-cv: gem-cv, less what the one-hop signal foresees of the evidence, and its mean given back.

See :mod:`gemsnn.rules.credit` for the control variate, which changes no expectation. With its running sums C and G,
``lever`` l and eligibility e, the direction of hidden neurons is ``sum_k (q[k] - 1/K) e[k] + l[k] (G[k] - C[k] e[k])``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from gemsnn.model.network import Network, Params
from gemsnn.model.step import Step
from gemsnn.rules import advance as advancing
from gemsnn.rules import credit as onehop
from gemsnn.rules import parts
from gemsnn.rules.credit import Control, Recent
from gemsnn.rules.importance import replaced
from gemsnn.store import trees

if TYPE_CHECKING:
    from gemsnn.rules.base import RuleSpec


class State(NamedTuple):
    """What the rule remembers between steps.

    Attributes:
        log_weights: ``[B, K]``, in nats.
        eligibility: Params with leading dimensions ``[B, K]``.
        recent: the last steps.
        control: the control variate.
    """

    log_weights: Tensor
    eligibility: Params
    recent: Recent
    control: Control


def lever(log_weights: Tensor) -> Tensor:
    """By how much a compartment's share would follow its log-weight, ``q (1 - q)``, as the others see it, ``[.., K]``.

    With the others' mean in place of the compartment's own log-weight, so that its own noise has no part in it.
    """
    compartments = log_weights.shape[-1]
    if compartments == 1:
        return torch.zeros_like(log_weights)
    mean = (log_weights.sum(-1, keepdim=True) - log_weights) / (compartments - 1)
    share = torch.softmax(replaced(log_weights, mean), -1).diagonal(dim1=-2, dim2=-1)
    return share * (1 - share)


def init(spec: RuleSpec, network: Network, params: Params, batch: int, compartments: int) -> State:
    """See :func:`gemsnn.rules.advance.init`."""
    return State(
        network.taps.new_zeros(batch, compartments),
        parts.zeros_of_runs(params, batch, compartments),
        onehop.start(network, batch, compartments),
        onehop.start_control(network, params, batch, compartments),
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
    after, direction = advancing.update(spec, network, state, evidence, gradient, alive=alive, read=read)
    control = onehop.advance_control(
        network,
        params,
        state.recent,
        state.control,
        advancing.visible_error(network, now, observed),
        kappa=spec.kappa,
        gamma=spec.gamma,
        alive=alive,
    )
    share = lever(after.log_weights) * advancing.average(read, after.log_weights)
    share = share * ((1 - spec.kappa) if spec.average else 1.0)
    known = parts.of_hidden(network, after.eligibility)
    taken = onehop.of_hidden(network, params, -share * control.surrogate, known)
    given = onehop.of_hidden(
        network, params, share * ((1 - spec.gamma) if spec.average else 1.0), control.mean
    )
    direction = trees.map(lambda a, b, c: a + b + c, direction, taken, given)
    return after._replace(recent=onehop.push(network, state.recent, now), control=control), direction
