"""One step of any rule, as the reference does it: the running sums of :mod:`gemsnn.rules.base`, synapse by synapse.

A rule that keeps no state of its own for synapses is its signal: :func:`update` weighs the eligibilities with that, and
:func:`advance` adds what :mod:`gemsnn.rules.credit` says of hidden spikes, where the rule needs it. The others bring
their own ``init`` and ``advance``, which are called from here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from gemsnn.model.network import Network, Params
from gemsnn.model.step import Step, local_gradient
from gemsnn.model.step import error as error_of
from gemsnn.model.step import evidence as evidence_of
from gemsnn.rules import credit as onehop
from gemsnn.rules import parts
from gemsnn.rules.contract import Signal
from gemsnn.rules.credit import Recent
from gemsnn.store import trees

if TYPE_CHECKING:
    from gemsnn.rules.base import RuleSpec


class RuleState(NamedTuple):
    """What a rule remembers between steps.

    Attributes:
        log_weights: ``[B, K]``, in nats.
        eligibility: Params with leading dimensions ``[B, K]``.
        recent: the last steps, where the rule needs credit.
    """

    log_weights: Tensor
    eligibility: Params
    recent: Recent | None = None


def advance_log_weights(spec: RuleSpec, log_weights: Tensor, evidence: Tensor, alive: Tensor) -> Tensor:
    """``v <- kappa v + evidence``, at rest where ``alive`` (bool ``[B]``) is false."""
    fresh = (1 - spec.kappa) * evidence if spec.average else evidence
    return torch.where(alive[:, None], spec.kappa * log_weights + fresh, log_weights)


def init(spec: RuleSpec, network: Network, params: Params, batch: int, compartments: int) -> Any:
    """Nothing seen yet: a :class:`RuleState`, or what the rule itself begins with, which has ``log_weights`` too."""
    rule = spec.value
    if rule.init is not None:
        return rule.init(spec, network, params, batch, compartments)
    return RuleState(
        network.taps.new_zeros(batch, compartments),
        parts.zeros_of_runs(params, batch, compartments),
        onehop.start(network, batch, compartments) if "credit" in rule.needs else None,
    )


def advance(
    spec: RuleSpec,
    network: Network,
    params: Params,
    state: Any,
    now: Step,
    *,
    observed: Tensor,
    alive: Tensor,
    read: Tensor,
    signal: Callable[[Tensor], Signal] | None = None,
) -> tuple[Any, Params]:
    """One step of any rule, from what the network did: :func:`update`, and the credit of hidden spikes where needed.

    Args:
        spec: the rule.
        network: the network.
        params: its parameters.
        state: what the rule remembers.
        now: the step.
        observed: bool ``[B]``, whether the visible neurons' spikes are evidence.
        alive: bool ``[B]``.
        read: bool ``[B]``, whether this step's direction is read.
        signal: the learning signals of these runs, where others know more than their log-weights; else the rule's own.

    Returns:
        The new state, and the direction to climb, averaged over presentations.
    """
    rule = spec.value
    if rule.advance is not None:
        return rule.advance(spec, network, params, state, now, observed=observed, alive=alive, read=read)
    evidence, gradient = seen(network, now, observed)
    signal = signal or rule.signal
    after, direction = update(spec, network, state, evidence, gradient, alive=alive, read=read, signal=signal)
    if after.recent is None:
        return after, direction
    weight = signal(after.log_weights).visible * average(read, after.log_weights)
    hop = onehop.direction(network, params, after.recent, visible_error(network, now, observed), weight)
    return after._replace(recent=onehop.push(network, after.recent, now)), trees.map(
        torch.add, direction, hop
    )


def seen(network: Network, now: Step, observed: Tensor) -> tuple[Tensor, Params]:
    """A step's evidence ``[B, K]``, in nats, and its local gradient, led by ``[B, K]``; observed: bool ``[B]``."""
    evidence = evidence_of(network, now.spikes, now.potential) * observed[:, None]
    return evidence, local_gradient(network, now, observed)


def visible_error(network: Network, now: Step, observed: Tensor) -> Tensor:
    """The visible neurons' errors, ``[B, K, V]``, zero where they are not observed (bool ``[B]``)."""
    hidden = network.spec.hidden_neurons
    return error_of(network, now.spikes, now.potential)[..., hidden:] * observed[:, None, None]


def average(read: Tensor, like: Tensor) -> Tensor:
    """The weight of each presentation in a direction, ``[B, 1]``, of those that are read (bool ``[B]``)."""
    return read[:, None].to(like) / len(read)


def sums(
    spec: RuleSpec, state: Any, evidence: Tensor, gradient: Params, alive: Tensor
) -> tuple[Tensor, Params, Params]:
    """The running sums after a step: log-weights ``[B, K]`` and eligibility, and what the step added to this.

    Args:
        spec: the rule.
        state: what it remembers, ``log_weights`` and ``eligibility`` among it.
        evidence: ``[B, K]``, see :func:`gemsnn.model.step.evidence`.
        gradient: leading dimensions ``[B, K]``, see :func:`gemsnn.model.step.local_gradient`.
        alive: bool ``[B]``.
    """
    log_weights = advance_log_weights(spec, state.log_weights, evidence, alive)
    fresh = 1 - spec.gamma if spec.average else 1.0
    score = trees.map(lambda new: fresh * new, gradient)
    eligibility = trees.map(
        lambda old, new: moved(alive, spec.gamma * old + new, old), state.eligibility, score
    )
    return log_weights, eligibility, score


def update(
    spec: RuleSpec,
    network: Network,
    state: Any,
    evidence: Tensor,
    gradient: Params,
    *,
    alive: Tensor,
    read: Tensor,
    signal: Callable[[Tensor], Signal] | None = None,
) -> tuple[Any, Params]:
    """One step of the running sums, and their direction under the rule's signal.

    Args:
        spec: the rule.
        network: the network.
        state: what the rule remembers, ``log_weights`` and ``eligibility`` among it.
        evidence: ``[B, K]``, see :func:`sums`.
        gradient: leading dimensions ``[B, K]``.
        alive: bool ``[B]``.
        read: bool ``[B]``, whether this step's direction is read.
        signal: as in :func:`advance`.

    Returns:
        The new state, and the direction to climb, summed over compartments and averaged over presentations.
    """
    log_weights, eligibility, _ = sums(spec, state, evidence, gradient, alive)
    visible, hidden = (
        leaf * read[:, None] / len(read) for leaf in (signal or spec.value.signal)(log_weights)
    )
    direction = parts.taught(network, hidden, visible, eligibility)
    return state._replace(log_weights=log_weights, eligibility=eligibility), direction


def moved(alive: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """What has moved where ``alive`` (bool ``[B]``), what was where not."""
    return torch.where(alive.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
