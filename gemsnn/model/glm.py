"""One neuron, one step: the generalised linear model. The only sigmoid and the only softmax of potentials.

A neuron with potential ``u`` spikes with probability ``sigmoid(u)``, so ``log p(s | u) = log sigmoid((2 s - 1) u)``
and its derivative, the error, is ``s - sigmoid(u)`` (H. Jang et al., "An Introduction to Probabilistic
Spiking Neural Networks", arXiv 1910.01059, eqs. 3-8).

Neurons in a winner-take-all circuit spike one at a time or not at all: the i-th with probability ``exp(u_i) / (1 +
sum_j exp(u_j))``, so the error is again ``s - p`` (H. Jang, N. Skatchkovsky and O. Simeone, "VOWEL", arXiv 2004.09416).
A circuit of one neuron is a neuron.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def drive(weight: Tensor, trace: Tensor) -> Tensor:
    """What synapses add to the potential: ``sum_j sum_l w[n, j, l] a[.., j, l]``.

    Args:
        weight: ``[N, X, L]``, from X senders.
        trace: ``[.., X, L]``.

    Returns:
        ``[.., N]``.
    """
    return trace.flatten(-2) @ weight.flatten(-2).T


def feedback(weight: Tensor, own_trace: Tensor) -> Tensor:
    """What a neuron's own past spikes add: ``sum_l wf[n, l] b[.., n, l]``, of shape ``[.., N]``."""
    return (weight * own_trace).sum(-1)


def probability(potential: Tensor) -> Tensor:
    """``p(s = 1 | u) = sigmoid(u)``."""
    return torch.sigmoid(potential)


def spike(uniform: Tensor, potential: Tensor) -> Tensor:
    """Spikes, 0 or 1 in the potential's dtype: 1 where ``uniform < sigmoid(u)``."""
    return (uniform < probability(potential)).to(potential.dtype)


def log_prob(spikes: Tensor, potential: Tensor) -> Tensor:
    """``log p(s | u) = log sigmoid((2 s - 1) u)``, in nats; finite for every finite ``u``."""
    return logsigmoid((2 * spikes - 1) * potential)


def error(spikes: Tensor, potential: Tensor) -> Tensor:
    """The local score ``d log p(s | u) / du = s - sigmoid(u)``."""
    return spikes - probability(potential)


def choice_probability(potential: Tensor) -> Tensor:
    """``exp(u_i) / (1 + sum_j exp(u_j))`` of each neuron of a circuit, over the last dimension."""
    return torch.softmax(_with_silence(potential), -1)[..., 1:]


def choose(uniform: Tensor, potential: Tensor) -> Tensor:
    """Spikes of a circuit: the first neuron i with ``uniform < p_1 + .. + p_i``, if any.

    Args:
        uniform: ``[..]``.
        potential: ``[.., V]``.
    """
    reached = uniform[..., None] < choice_probability(potential).cumsum(-1)
    before = torch.cat([torch.zeros_like(reached[..., :1]), reached[..., :-1]], -1)
    return (reached & ~before).to(potential.dtype)


def log_choice(spikes: Tensor, potential: Tensor) -> Tensor:
    """``sum_i s_i u_i - log(1 + sum_j exp(u_j))`` in nats, of a circuit: ``[..]``."""
    return (spikes * potential).sum(-1) - torch.logsumexp(_with_silence(potential), -1)


def _with_silence(potential: Tensor) -> Tensor:
    """The potentials, and before them that of silence: 0."""
    return torch.cat([torch.zeros_like(potential[..., :1]), potential], -1)
