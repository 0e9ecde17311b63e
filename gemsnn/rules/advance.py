"""One step of any rule, as the reference does it: the running sums of :mod:`gemsnn.rules.base`, synapse by synapse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn.model import glm
from gemsnn.model.network import Network, Params, Step, local_gradient
from gemsnn.model.network import error as error_of
from gemsnn.model.network import evidence as evidence_of
from gemsnn.rules import credit as onehop
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.credit import Control, Recent
from gemsnn.rules.importance import replaced


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


class RuleState(NamedTuple):
    """What a rule remembers between steps.

    Attributes:
        log_weights: ``[B, K]``, in nats.
        eligibility: Params with leading dimensions ``[B, K]``.
        baseline: of the rule ml; ``None`` for the global rules.
        recent: the last steps, for the one-hop rules.
        control: the control variate of the rule one-hop-cv.
    """

    log_weights: Tensor
    eligibility: Params
    baseline: Baseline | None = None
    recent: Recent | None = None
    control: Control | None = None


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


def advance_log_weights(spec: RuleSpec, log_weights: Tensor, evidence: Tensor, alive: Tensor) -> Tensor:
    """``v <- kappa v + evidence``, at rest where ``alive`` (bool ``[B]``) is false."""
    fresh = (1 - spec.kappa) * evidence if spec.average else evidence
    return torch.where(alive[:, None], spec.kappa * log_weights + fresh, log_weights)


def learning_signal(spec: RuleSpec, network: Network, log_weights: Tensor) -> Tensor:
    """A global rule's learning signal of every neuron, ``[B, K, N]``, from log-weights ``[B, K]``."""
    signal = spec.value.signal(log_weights)
    hidden, visible = network.spec.hidden_neurons, network.spec.visible
    return torch.cat(
        [signal.hidden[..., None].expand(-1, -1, hidden), signal.visible[..., None].expand(-1, -1, visible)],
        -1,
    )


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


def init(spec: RuleSpec, network: Network, params: Params, batch: int, compartments: int) -> RuleState:
    """Nothing seen yet."""
    if spec.value.init is not None:
        return spec.value.init(spec, network, params, batch, compartments)

    def zeros(neurons: int) -> Params:
        return Params(*(leaf.new_zeros(batch, compartments, neurons, *leaf.shape[1:]) for leaf in params))

    hidden = network.spec.hidden_neurons
    needs = spec.value.needs
    baseline = None if "signal" in needs else Baseline(zeros(hidden), zeros(hidden), zeros(hidden))
    return RuleState(
        network.taps.new_zeros(batch, compartments),
        zeros(network.spec.neurons),
        baseline,
        onehop.start(network, batch, compartments) if "credit" in needs else None,
        onehop.start_control(network, params, batch, compartments)
        if {"credit", "synapse"} <= needs
        else None,
    )


def advance(
    spec: RuleSpec,
    network: Network,
    params: Params,
    state: RuleState,
    now: Step,
    *,
    observed: Tensor,
    alive: Tensor,
    read: Tensor,
) -> tuple[RuleState, Params]:
    """One step of any rule, from what the network did: :func:`update`, and what the one-hop rules add to it.

    Args:
        spec: the rule.
        network: the network.
        params: its parameters.
        state: what the rule remembers.
        now: the step.
        observed: bool ``[B]``, whether the visible neurons' spikes are evidence.
        alive: bool ``[B]``.
        read: bool ``[B]``, whether this step's direction is read.

    Returns:
        The new state, and the direction to climb, averaged over presentations.
    """
    if spec.value.advance is not None:
        return spec.value.advance(
            spec, network, params, state, now, observed=observed, alive=alive, read=read
        )
    evidence = evidence_of(network, now.spikes, now.potential) * observed[:, None]
    gradient = local_gradient(network, now, observed)
    after, direction = update(
        spec, network, state, reward(spec, network, evidence, now), gradient, alive=alive, read=read
    )
    if state.recent is None:
        return after, direction
    hidden, weight = network.spec.hidden_neurons, read[:, None].to(after.log_weights) / len(read)
    error = error_of(network, now.spikes, now.potential)[..., hidden:] * observed[:, None, None]
    if state.control is None:
        signal = spec.value.signal(after.log_weights).visible
        hop = onehop.direction(network, params, state.recent, error, signal * weight)
        direction = _each(torch.add, direction, hop)
    else:
        control = onehop.advance_control(
            network,
            params,
            state.recent,
            state.control,
            error,
            kappa=spec.kappa,
            gamma=spec.gamma,
            alive=alive,
        )
        share = lever(after.log_weights) * weight * ((1 - spec.kappa) if spec.average else 1.0)
        known = _each(lambda leaf: leaf[:, :, :hidden], after.eligibility)
        taken = onehop.of_hidden(params, -share * control.surrogate, known)
        given = onehop.of_hidden(params, share * ((1 - spec.gamma) if spec.average else 1.0), control.mean)
        direction = _each(lambda a, b, c: a + b + c, direction, taken, given)
        after = after._replace(control=control)
    return after._replace(recent=onehop.push(network, state.recent, now)), direction


def update(
    spec: RuleSpec,
    network: Network,
    state: RuleState,
    evidence: Tensor,
    gradient: Params,
    *,
    alive: Tensor,
    read: Tensor,
) -> tuple[RuleState, Params]:
    """One step of a rule.

    Args:
        spec: the rule.
        network: the network.
        state: what the rule remembers.
        evidence: ``[B, K]``, see :func:`gemsnn.model.network.evidence` and :func:`reward`.
        gradient: leading dimensions ``[B, K]``, see :func:`gemsnn.model.network.local_gradient`.
        alive: bool ``[B]``.
        read: bool ``[B]``, whether this step's direction is read.

    Returns:
        The new state, and the direction to climb, summed over compartments and averaged over presentations.
    """
    log_weights = advance_log_weights(spec, state.log_weights, evidence, alive)
    fresh = 1 - spec.gamma if spec.average else 1.0
    score = _each(lambda new: fresh * new, gradient)
    eligibility = _each(lambda old, new: _if(alive, spec.gamma * old + new, old), state.eligibility, score)
    if state.baseline is None:
        signal = learning_signal(spec, network, log_weights) * read[:, None, None] / len(read)
        direction = _each(lambda leaf: torch.einsum("bkn,bkn...->n...", signal, leaf), eligibility)
        return state._replace(log_weights=log_weights, eligibility=eligibility), direction
    baseline = advance_baseline(spec, state.baseline, log_weights, eligibility, score, alive)
    weight = read[:, None].to(log_weights).expand_as(log_weights) / log_weights.numel()

    def teach(trace: Tensor, subtracted: Tensor) -> Tensor:
        hidden, visible = trace.tensor_split([network.spec.hidden_neurons], 2)
        single = torch.cat([_like(log_weights, hidden) * hidden - subtracted, visible], 2)
        return torch.einsum("bk,bk...->...", weight, single)

    after = state._replace(log_weights=log_weights, eligibility=eligibility, baseline=baseline)
    return after, _each(teach, eligibility, baseline.trace)


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
        eligibility: of this step, leading dimensions ``[B, K]``.
        score: what this step added to the eligibility.
        alive: bool ``[B]``.
    """

    def advance(
        signal: Tensor, weight: Tensor, trace: Tensor, e: Tensor, new: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        e, new = e[:, :, : signal.shape[2]], new[:, :, : signal.shape[2]]
        known = torch.where(weight > 0, signal / weight, 0.0)
        return (
            _if(alive, spec.baseline_decay * signal + _like(log_weights, e) * e.square(), signal),
            _if(alive, spec.baseline_decay * weight + e.square(), weight),
            _if(alive, spec.gamma * trace + known * new, trace),
        )

    leaves = [advance(*parts) for parts in zip(*old, eligibility, score, strict=True)]
    return Baseline(*(Params(*part) for part in zip(*leaves, strict=True)))


def _each(function: Callable[..., Tensor], *params: Params) -> Params:
    return Params(*(function(*leaves) for leaves in zip(*params, strict=True)))


def _like(values: Tensor, leaf: Tensor) -> Tensor:
    """``[B, K]`` with as many further dimensions of size one as the leaf has."""
    return values.reshape(*values.shape, *(1,) * (leaf.ndim - 2))


def _if(alive: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """What has moved where ``alive`` (bool ``[B]``), what was where not."""
    return torch.where(alive.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
