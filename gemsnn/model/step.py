"""One time step of a network: spikes in, potentials, spikes out, and what they say of every synapse.

``step`` advances K compartments of B presentations. Potentials are strictly causal: what spikes at step t is heard from
step t + 1 on.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn.model import basis, glm
from gemsnn.model.network import Network, Params
from gemsnn.model.neurons import log_prob_alone


class Traces(NamedTuple):
    """Filtered spikes, of one basis.

    Attributes:
        inputs: ``[B, M, L]``, the same for every compartment.
        neurons: ``[B, K, N, L]``.
    """

    inputs: Tensor
    neurons: Tensor


class State(NamedTuple):
    """What moves with time: the last spikes, oldest first, as far back as the longest filter.

    Attributes:
        inputs: ``[B, D, M]``.
        neurons: ``[B, K, max(D, Df), N]``.
    """

    inputs: Tensor
    neurons: Tensor


class Step(NamedTuple):
    """What happened in one step.

    Attributes:
        spikes: ``[B, K, N]``.
        potential: ``[B, K, N]``.
        traces: of every basis.
        own_trace: ``[B, K, N, Lf]``.
    """

    spikes: Tensor
    potential: Tensor
    traces: tuple[Traces, ...]
    own_trace: Tensor


def initial_state(network: Network, batch: int, compartments: int) -> State:
    """Silence before the first step."""
    memory = max(network.memory, network.own_taps.shape[1])
    return State(
        network.taps.new_zeros(batch, network.memory, network.spec.inputs),
        network.taps.new_zeros(batch, compartments, memory, network.spec.neurons),
    )


def step(
    network: Network,
    params: Params,
    state: State,
    inputs: Tensor,
    uniform: Tensor,
    *,
    clamp: Tensor,
    observed: Tensor,
    alive: Tensor,
) -> tuple[State, Step]:
    """Advance K compartments of B presentations by one step.

    Args:
        network: the network.
        params: its parameters.
        state: the last spikes.
        inputs: ``[B, M]``, the inputs' spikes of this step (heard from the next step on).
        uniform: ``[B, K, N]``, numbers in (0, 1).
        clamp: ``[B, V]``, what the visible neurons do where they are observed.
        observed: bool ``[B]``; where false they are free.
        alive: bool ``[B]``; where false the step is padding and nothing spikes.

    Returns:
        The new state, and what happened.
    """
    hidden, d_own = network.spec.hidden_neurons, network.own_taps.shape[1]
    traces = tuple(
        Traces(
            basis.trace(state.inputs[:, -taps.shape[1] :], taps),
            basis.trace(state.neurons[:, :, -taps.shape[1] :], taps),
        )
        for taps in network.banks
    )
    own_trace = basis.trace(state.neurons[:, :, -d_own:], network.own_taps)
    feedback, bias = spread(network, params.feedback), spread(network, params.bias)
    potential = drive(network, params, traces) + glm.feedback(feedback, own_trace) + bias
    spikes = spike(network, uniform, potential)
    free = spikes[:, :, hidden:]
    spikes[:, :, hidden:] = torch.where(observed[:, None, None], clamp[:, None].to(spikes), free)
    spikes = spikes * alive[:, None, None]
    heard = (inputs.to(spikes) * alive[:, None])[:, None]
    after = State(
        torch.cat([state.inputs[:, 1:], heard], 1),
        torch.cat([state.neurons[:, :, 1:], spikes[:, :, None]], 2),
    )
    return after, Step(spikes, potential, traces, own_trace)


def drive(network: Network, params: Params, traces: tuple[Traces, ...]) -> Tensor:
    """What all synapses add to the potentials, ``[B, K, N]``."""
    found = [
        (link.listeners, link.drive(params.weights.get(link.name), *traces[link.basis]))
        for link in network.links
    ]
    if len(found) == 1 and network.is_joint:
        return found[0][1]
    batch, compartments, neurons, _ = traces[0].neurons.shape
    total = network.taps.new_zeros(batch, compartments, neurons)
    for listeners, part in found:
        total[:, :, listeners] += part
    return total


def spread(network: Network, values: Tensor) -> Tensor:
    """Values ``[S, ..]`` of sites as those of the neurons that share them, ``[N, ..]``."""
    return values if network.site is None else values[network.site]


def gather(network: Network, values: Tensor, *, hidden: bool = False) -> Tensor:
    """Sums of values ``[B, K, N, ..]`` of neurons, or of hidden ones, over those of a site: ``[B, K, S, ..]``."""
    if network.site is None:
        return values
    count = network.hidden_sites if hidden else network.sites
    empty = values.new_zeros(*values.shape[:2], count, *values.shape[3:])
    return empty.index_add_(2, network.site[: values.shape[2]], values)


def spike(network: Network, uniform: Tensor, potential: Tensor) -> Tensor:
    """Free spikes ``[.., N]``; a circuit uses the number of its first neuron."""
    return _joined(
        [neuron.sample(uniform[..., span], potential[..., span]) for span, neuron in network.stretches]
    )


def error(network: Network, spikes: Tensor, potential: Tensor) -> Tensor:
    """The local score ``d log p(s | u) / du_i`` of every neuron, ``[.., N]``."""
    return _joined(
        [neuron.error(spikes[..., span], potential[..., span]) for span, neuron in network.stretches]
    )


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def evidence(network: Network, spikes: Tensor, potential: Tensor) -> Tensor:
    """``log p(x | u)`` of all visible neurons' spikes in nats: the new evidence of each compartment.

    Args:
        network: the network.
        spikes: ``[.., N]``, the visible ones clamped to the target.
        potential: ``[.., N]``.

    Returns:
        ``[..]``.
    """
    parts = [
        neuron.log_prob(spikes[..., span], potential[..., span]) for span, neuron in network.visible_stretches
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def answered(network: Network, spikes: Tensor, potential: Tensor, weights: tuple[int, ...] = ()) -> Tensor:
    """The same of the last readout alone, which answers; or, with a weight for each, of all: ``sum_r w_r log p_r``."""
    each = network.visible_stretches
    parts = [
        weight * neuron.log_prob(spikes[..., span], potential[..., span])
        for weight, (span, neuron) in zip(weights or (0,) * (len(each) - 1) + (1,), each, strict=True)
        if weight
    ]
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


def answered_alone(network: Network, potential: Tensor, weights: tuple[int, ...] = ()) -> Tensor:
    """What :func:`answered` is where, of each readout, neuron c alone spikes: for every class c, ``[.., C]``."""
    each = network.visible_stretches
    parts = [
        weight * log_prob_alone(neuron, potential[..., span])
        for weight, (span, neuron) in zip(weights or (0,) * (len(each) - 1) + (1,), each, strict=True)
        if weight
    ]
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


def local_gradient(network: Network, now: Step, observed: Tensor) -> Params:
    """``grad log p(s_i | u_i)`` of every neuron, synapse by synapse: error times trace.

    Visible neurons that are not observed (bool ``[B]``) have said nothing, so their gradient is zero.

    Returns:
        Params with leading dimensions ``[B, K]``.
    """
    score = error(network, now.spikes, now.potential)
    score[:, :, network.spec.hidden_neurons :] *= observed[:, None, None]
    weights = {
        link.name: link.gradient(
            score[:, :, None, link.listeners],
            now.traces[link.basis].inputs[:, None],
            now.traces[link.basis].neurons[:, :, None],
        )
        for link in network.links
        if link.shape is not None
    }
    feedback = score[..., None] * now.own_trace * network.own[:, None]
    return Params(weights, gather(network, feedback), gather(network, score))
