"""The one-hop signal: what each hidden spike did to the visible neurons' log-probability, to first order.

Hidden neuron j's spike at step tau moves visible neuron i's potential at the D steps t after it by
``sum_l w[i, j, l] f_l(t - tau)``. So, spikes taken as their probabilities, the gradient of ``log p(x[t] | u[t])`` with
respect to j's potential at tau through these synapses is

``c[j, tau] = sigmoid'(u[j, tau]) sum_{t = tau+1..tau+D} sum_{i visible} err[i, t] sum_l w[i, j, l] f_l(t - tau)``

with the errors ``err = x - p``. The direction adds ``signal c[j, tau] a[.., tau]`` with the traces a of step tau:
local to pairs of neurons, and known D steps later at the latest. It sees one synapse ahead and treats spikes as
numbers, so it is biased; it carries neither the noise of the other neurons nor that of the log-weights. It is the
exact gradient where visible neurons hear hidden probabilities in place of hidden spikes, all else as it was.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn import glm
from gemsnn.network import Network, Params, Step


class Recent(NamedTuple):
    """The last D steps, the last one first.

    Attributes:
        slope: ``[B, K, D, H]``, ``sigmoid'(u)``.
        input_trace: ``[B, D, M, L]``.
        neuron_trace: ``[B, K, D, N, L]``.
        own_trace: ``[B, K, D, H, Lf]``.
    """

    slope: Tensor
    input_trace: Tensor
    neuron_trace: Tensor
    own_trace: Tensor


def start(network: Network, batch: int, compartments: int) -> Recent:
    """Nothing has happened."""
    spec, new = network.spec, network.taps.new_zeros
    (count, memory), own_count = network.taps.shape, network.own_taps.shape[0]
    return Recent(
        new(batch, compartments, memory, spec.hidden_neurons),
        new(batch, memory, spec.inputs, count),
        new(batch, compartments, memory, spec.neurons, count),
        new(batch, compartments, memory, spec.hidden_neurons, own_count),
    )


def push(network: Network, recent: Recent, now: Step) -> Recent:
    """Take in a step and forget the oldest."""
    hidden = network.spec.hidden_neurons
    probability = glm.probability(now.potential[..., :hidden])
    return Recent(
        torch.cat([(probability * (1 - probability))[:, :, None], recent.slope[:, :, :-1]], 2),
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
    m, hidden = network.spec.inputs, network.spec.hidden_neurons
    outgoing = params.weight[hidden:, m : m + hidden]
    effect = torch.einsum("bkv,vhl,ld->bkdh", error, outgoing, network.taps)
    coefficient = signal[:, :, None, None] * recent.slope * effect
    inputs = torch.einsum("bkdh,bdml->hml", coefficient, recent.input_trace)
    neurons = torch.einsum("bkdh,bkdnl->hnl", coefficient, recent.neuron_trace)
    out = Params(*map(torch.zeros_like, params))
    out.weight[:hidden] = torch.cat([inputs, neurons], 1) * network.mask[:hidden, :, None]
    out.feedback[:hidden] = torch.einsum("bkdh,bkdhl->hl", coefficient, recent.own_trace)
    out.feedback[:hidden] *= network.own[:hidden, None]
    out.bias[:hidden] = coefficient.sum((0, 1, 2))
    return out
