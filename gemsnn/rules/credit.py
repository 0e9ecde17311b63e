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

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from gemsnn.errors import InputError
from gemsnn.model.network import Network, Params
from gemsnn.model.neurons import Neuron
from gemsnn.model.step import Step, Traces, gather
from gemsnn.rules import parts
from gemsnn.store import trees


class Recent(NamedTuple):
    """The last D steps, the last one first.

    Attributes:
        slope: ``[B, K, D, H]``, by how much more a neuron spikes for a higher potential: ``sigmoid'(u)``.
        score: ``[B, K, D, H]``, ``s - sigmoid(u)``.
        traces: of every basis, ``[B, D, M, L]`` of the inputs and ``[B, K, D, N, L]`` of the neurons.
        own_trace: ``[B, K, D, H, Lf]``.
    """

    slope: Tensor
    score: Tensor
    traces: tuple[Traces, ...]
    own_trace: Tensor


def check_taught(network: Network, rule: str) -> None:
    """Raise :class:`InputError` where a rule that teaches by visible errors alone would leave some neurons untaught."""
    untaught = network.graph.untaught()
    if untaught:
        raise InputError(
            f"the rule {rule} teaches hidden neurons through their synapses to visible ones, and {', '.join(untaught)} "
            f"{'has' if len(untaught) == 1 else 'have'} none; give every group a readout (--readouts "
            "each-layer), or take "
            "a rule such as one-hop-gem"
        )


def start(network: Network, batch: int, compartments: int) -> Recent:
    """Nothing has happened."""
    spec, new, memory = network.spec, network.taps.new_zeros, network.memory
    return Recent(
        new(batch, compartments, memory, spec.hidden_neurons),
        new(batch, compartments, memory, spec.hidden_neurons),
        tuple(
            Traces(
                new(batch, memory, spec.inputs, len(taps)),
                new(batch, compartments, memory, spec.neurons, len(taps)),
            )
            for taps in network.banks
        ),
        new(batch, compartments, memory, spec.hidden_neurons, network.own_taps.shape[0]),
    )


def push(network: Network, recent: Recent, now: Step) -> Recent:
    """Take in a step and forget the oldest."""
    hidden, spikes, potential = network.spec.hidden_neurons, now.spikes, now.potential
    slope = _of_hidden_neurons(network, lambda kind, some: kind.slope(potential[..., some]), potential)
    score = _of_hidden_neurons(
        network, lambda kind, some: kind.error(spikes[..., some], potential[..., some]), potential
    )
    return Recent(
        torch.cat([slope[:, :, None], recent.slope[:, :, :-1]], 2),
        torch.cat([score[:, :, None], recent.score[:, :, :-1]], 2),
        tuple(
            Traces(
                torch.cat([new.inputs[:, None], old.inputs[:, :-1]], 1),
                torch.cat([new.neurons[:, :, None], old.neurons[:, :, :-1]], 2),
            )
            for new, old in zip(now.traces, recent.traces, strict=True)
        ),
        torch.cat([now.own_trace[:, :, None, :hidden], recent.own_trace[:, :, :-1]], 2),
    )


def _of_hidden_neurons(network: Network, ask: Callable[[Neuron, slice], Tensor], like: Tensor) -> Tensor:
    """What the hidden neurons' kinds say of them, ``[.., H]``."""
    hidden = network.spec.hidden_neurons
    found = [
        ask(neuron, slice(span.start, min(span.stop, hidden)))
        for span, neuron in network.stretches
        if span.start < hidden
    ]
    return torch.cat(found, -1) if found else like[..., :0]


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
    return of_hidden(network, params, signal, per_compartment)


def of_hidden(network: Network, params: Params, signal: Tensor, part: Params) -> Params:
    """``sum_{b, k} signal[b, k] part[b, k]`` for hidden neurons, and zero for visible ones."""
    return parts.nothing_for_visible(network, params, parts.summed(signal, part))


def effect(network: Network, params: Params, error: Tensor) -> Tensor:
    """What a spike of each of the D steps before would have changed, to first order, ``[B, K, D, H]``.

    ``sum_{i visible} err[i, t] sum_l w[i, j, l] f_l(t - tau)`` for visible errors ``[B, K, V]`` of step t: the
    credit that projections to visible populations pass back.
    """
    hidden = network.spec.hidden_neurons
    total = error.new_zeros(*error.shape[:2], network.memory, hidden)
    for link in network.links:
        weight = params.weights.get(link.name)
        if link.is_joint:
            assert weight is not None
            m = network.spec.inputs
            credit = link.kind.credit(weight[hidden:, m : m + hidden], error, *link.ends, len(link.taps))
            total = torch.einsum("bkhl,ld->bkdh", credit, link.taps)
        elif link.listeners.start >= hidden and 0 < link.neurons.stop <= hidden:
            some = error[..., link.listeners.start - hidden : link.listeners.stop - hidden]
            credit = link.kind.credit(weight, some, *link.ends, len(link.taps))
            found = torch.einsum("bkhl,ld->bkdh", credit, link.taps)
            total[..., link.neurons] += pad(found, (0, 0, 0, network.memory - link.taps.shape[1]))
    return total


def _with_traces(network: Network, recent: Recent, coefficient: Tensor) -> Params:
    """``sum_d coefficient[.., d, h]`` times the traces of the step d + 1 back, hidden Params led by ``[B, K]``."""
    hidden = network.spec.hidden_neurons
    weights = {}
    for link in network.links:
        if link.shape is None or not (link.is_joint or link.listeners.stop <= hidden):
            continue
        some = coefficient if link.is_joint else coefficient[..., link.listeners]
        weights[link.name] = link.gradient(some, *recent.traces[link.basis])
    feedback = torch.einsum("bkdh,bkdhl->bkhl", coefficient, recent.own_trace) * network.own[:hidden, None]
    small = (feedback, coefficient.sum(2))
    return Params(weights, *(gather(network, leaf, hidden=True) for leaf in small))


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
    mean = parts.zeros_of_runs(parts.of_hidden(network, params, 0), batch, compartments)
    return Control(network.taps.new_zeros(batch, compartments), mean)


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

    return Control(torch.where(alive[:, None], surrogate, old.surrogate), trees.map(advanced, old.mean, new))
