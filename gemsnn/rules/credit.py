"""The one-hop signal: what each hidden spike did to the visible neurons' log-probability, to first order.

Hidden neuron j's spike at step tau moves visible neuron i's potential at the D steps t after it by
``sum_l w[i, j, l] f_l(t - tau)``. So, spikes taken as their probabilities, the gradient of ``log p(x[t] | u[t])`` with
respect to j's potential at tau through these synapses is

``c[j, tau] = sigmoid'(u[j, tau]) sum_{t = tau+1..tau+D} sum_{i visible} err[i, t] sum_l w[i, j, l] f_l(t - tau)``

with the errors ``err = x - p``. The direction adds ``signal c[j, tau] a[.., tau]`` with the traces a of step tau:
local to pairs of neurons, and known D steps later at the latest. It sees one synapse ahead and treats spikes as
numbers, so it is biased; it carries neither the noise of the other neurons nor that of the log-weights. It is the
exact gradient where visible neurons hear hidden probabilities in place of hidden spikes, all else as it was.

The same effect makes a control variate without bias (:func:`advance_control`). Let ``g[k, j, tau, t]`` be that sum's
part of step t, averaged over the compartments other than k. Given those, compartment k's own surrogate of its evidence,

``C[k, t] = kappa C[k, t-1] + sum_{j, tau} g[k, j, tau, t] (s[k, j, tau] - p[k, j, tau])``,

has zero mean, and what it shares with the eligibility ``e[t] = gamma e[t-1] + (s - p) a`` is known: of two scores'
product only that of the same neuron at the same step has a mean, ``p (1 - p)``, since a score has none given the
past. So ``C[k, t] e[k, j, t]`` and

``G[k, j, t] = kappa gamma G[k, j, t-1] + sum_tau gamma^(t - tau) g[k, j, tau, t] p (1 - p) a[tau]``

have the same mean, at any kappa and gamma, and their difference times anything that does not depend on compartment k
may be added to a direction. In the manner of S. Gu, S. Levine, I. Sutskever and A. Mnih, "MuProp" (ICLR 2016, arXiv
1511.05176), with the other compartments in place of a mean-field pass.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn.model import glm
from gemsnn.model.network import Network, Params, Step


class Recent(NamedTuple):
    """The last D steps, the last one first.

    Attributes:
        slope: ``[B, K, D, H]``, ``sigmoid'(u)``.
        score: ``[B, K, D, H]``, ``s - sigmoid(u)``.
        input_trace: ``[B, D, M, L]``.
        neuron_trace: ``[B, K, D, N, L]``.
        own_trace: ``[B, K, D, H, Lf]``.
    """

    slope: Tensor
    score: Tensor
    input_trace: Tensor
    neuron_trace: Tensor
    own_trace: Tensor


def start(network: Network, batch: int, compartments: int) -> Recent:
    """Nothing has happened."""
    spec, new = network.spec, network.taps.new_zeros
    (count, memory), own_count = network.taps.shape, network.own_taps.shape[0]
    return Recent(
        new(batch, compartments, memory, spec.hidden_neurons),
        new(batch, compartments, memory, spec.hidden_neurons),
        new(batch, memory, spec.inputs, count),
        new(batch, compartments, memory, spec.neurons, count),
        new(batch, compartments, memory, spec.hidden_neurons, own_count),
    )


def push(network: Network, recent: Recent, now: Step) -> Recent:
    """Take in a step and forget the oldest."""
    hidden = network.spec.hidden_neurons
    probability = glm.probability(now.potential[..., :hidden])
    score = glm.error(now.spikes[..., :hidden], now.potential[..., :hidden])
    return Recent(
        torch.cat([(probability * (1 - probability))[:, :, None], recent.slope[:, :, :-1]], 2),
        torch.cat([score[:, :, None], recent.score[:, :, :-1]], 2),
        torch.cat([now.input_trace[:, None], recent.input_trace[:, :-1]], 1),
        torch.cat([now.neuron_trace[:, :, None], recent.neuron_trace[:, :, :-1]], 2),
        torch.cat([now.own_trace[:, :, None, :hidden], recent.own_trace[:, :, :-1]], 2),
    )


def direction(network: Network, params: Params, recent: Recent, error: Tensor, signal: Tensor) -> Params:
    """What the visible errors of a step say of the hidden spikes of the D steps before it.

    Args:
        network: the network.
        params: its parameters.
        recent: the steps before.
        error: ``[B, K, V]``, the visible neurons' errors, zero where they are not observed.
        signal: ``[B, K]``, the weight of each compartment.

    Returns:
        The direction, zero for visible neurons.
    """
    found = effect(network, params, error)
    per_compartment = _with_traces(network, recent, recent.slope * found)
    return of_hidden(params, signal, per_compartment)


def of_hidden(params: Params, signal: Tensor, part: Params) -> Params:
    """``sum_{b, k} signal[b, k] part[b, k]`` for hidden neurons, and zero for visible ones."""

    def whole(leaf: Tensor, hidden: Tensor) -> Tensor:
        found = torch.einsum("bk,bk...->...", signal, hidden)
        return torch.cat([found, torch.zeros_like(leaf[len(found) :])])

    return Params(*map(whole, params, part))


def effect(network: Network, params: Params, error: Tensor) -> Tensor:
    """What a spike of each of the D steps before would have changed, to first order, ``[B, K, D, H]``.

    ``sum_{i visible} err[i, t] sum_l w[i, j, l] f_l(t - tau)`` for visible errors ``[B, K, V]`` of step t.
    """
    m, hidden = network.spec.inputs, network.spec.hidden_neurons
    return torch.einsum("bkv,vhl,ld->bkdh", error, params.weight[hidden:, m : m + hidden], network.taps)


def _with_traces(network: Network, recent: Recent, coefficient: Tensor) -> Params:
    """``sum_d coefficient[.., d, h]`` times the traces of the step d + 1 back, hidden Params led by ``[B, K]``."""
    hidden = network.spec.hidden_neurons
    inputs = torch.einsum("bkdh,bdml->bkhml", coefficient, recent.input_trace)
    neurons = torch.einsum("bkdh,bkdnl->bkhnl", coefficient, recent.neuron_trace)
    return Params(
        torch.cat([inputs, neurons], 3) * network.mask[:hidden, :, None],
        torch.einsum("bkdh,bkdhl->bkhl", coefficient, recent.own_trace) * network.own[:hidden, None],
        coefficient.sum(2),
    )


class Control(NamedTuple):
    """The control variate's running sums.

    Attributes:
        surrogate: C, ``[B, K]``.
        mean: G, Params of the hidden neurons led by ``[B, K]``.
    """

    surrogate: Tensor
    mean: Params


def start_control(network: Network, params: Params, batch: int, compartments: int) -> Control:
    """Nothing has happened."""
    hidden = network.spec.hidden_neurons
    mean = (leaf.new_zeros(batch, compartments, hidden, *leaf.shape[1:]) for leaf in params)
    return Control(network.taps.new_zeros(batch, compartments), Params(*mean))


def advance_control(
    network: Network,
    params: Params,
    recent: Recent,
    old: Control,
    error: Tensor,
    *,
    kappa: float,
    gamma: float,
    alive: Tensor,
) -> Control:
    """The running sums after a step with these visible errors ``[B, K, V]``; at K = 1 there are no others: zero."""
    found, compartments = effect(network, params, error), error.shape[1]
    others = (found.sum(1, keepdim=True) - found) / max(compartments - 1, 1)
    lag = torch.arange(1, found.shape[2] + 1, device=found.device)
    faded = (gamma ** lag.to(found))[:, None] * others * recent.slope
    surrogate = kappa * old.surrogate + (others * recent.score).sum((2, 3))
    new = _with_traces(network, recent, faded)

    def advanced(before: Tensor, fresh: Tensor) -> Tensor:
        rest = alive.reshape(-1, *(1,) * (before.ndim - 1))
        return torch.where(rest, kappa * gamma * before + fresh, before)

    return Control(
        torch.where(alive[:, None], surrogate, old.surrogate),
        Params(*(advanced(*leaves) for leaves in zip(old.mean, new, strict=True))),
    )
