"""What the rules have in common: leaky sums, leaky integrate-and-fire neurons, weights, and the loss of a step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

THRESHOLD = 1.0
"""Potential from which a neuron spikes."""


class Params(NamedTuple):
    """Weights of a network, and what is to be subtracted from them.

    Attributes:
        hidden: from inputs to hidden neurons, ``[H, M + 1]``.
        readout: from hidden neurons to classes, ``[C, H + 1]``.
    """

    hidden: Tensor
    readout: Tensor


class Run(NamedTuple):
    """What a network does: potentials and spikes of hidden neurons ``[T, B, H]``, logits ``[T, B, C]``."""

    potential: Tensor
    spikes: Tensor
    logits: Tensor


def init(inputs: int, hidden: int, classes: int, draw: torch.Generator) -> Params:
    """Normal weights of variance ``1 / senders`` (Bellec et al. 2020, methods), no biases, and a readout of zeros.

    With a readout of zeros the first answers are even; it learns in the first update, the hidden neurons from then on.
    """
    weights = torch.randn(hidden, inputs + 1, generator=draw) / inputs**0.5
    weights[:, -1] = 0
    return Params(weights, torch.zeros(classes, hidden + 1))


def filtered(values: Tensor, decay: float) -> Tensor:
    """The trace ``x_t = decay x_{t-1} + v_t`` of ``v [T, ..]``."""
    traces = torch.empty_like(values)
    now = torch.zeros_like(values[0])
    for value, trace in zip(values, traces, strict=True):
        now = torch.add(value, now, alpha=decay, out=trace)
    return traces


def filtered_back(values: Tensor, decay: float) -> Tensor:
    """``sum_{t >= s} decay^(t - s) v_t`` for every ``s``: the transpose of :func:`filtered`."""
    return filtered(values.flip(0), decay).flip(0)


def with_one(values: Tensor) -> Tensor:
    """``[T, B, N]`` with one more that is 1 at every step, ``[T, B, N + 1]``."""
    return torch.cat([values, values.new_ones(*values.shape[:2], 1)], 2)


def spiking(drive: Tensor, decay: float, reset: float) -> tuple[Tensor, Tensor]:
    """Potentials and spikes of leaky integrate-and-fire neurons, both like ``drive [T, B, H]``.

    ``u_t = decay u_{t-1} + drive_t - reset s_{t-1}``, ``s_t = [u_t >= THRESHOLD]``.
    """
    potential, spikes = torch.empty_like(drive), torch.empty_like(drive)
    u, s = torch.zeros_like(drive[0]), torch.zeros_like(drive[0])
    for now, u_now, s_now in zip(drive, potential, spikes, strict=True):
        u = torch.add(now, u, alpha=decay, out=u_now).sub_(s, alpha=reset)
        s = torch.ge(u, THRESHOLD, out=s_now)
    return potential, spikes


def step_errors(logits: Tensor, labels: Tensor, observed: Tensor) -> Tensor:
    """Derivative by the logits of the loss of each step, ``[T, B, C]``.

    The loss is ``sum_t w_t CE(softmax y_t, label)``, the mean over the observed steps of a recording
    (``observed [T, B]``, 1 or 0) and over recordings; its derivative is ``w_t (softmax y_t - onehot)``, known at each
    step.
    """
    weight = observed / observed.sum(0).clamp(min=1) / observed.shape[1]
    errors = torch.softmax(logits, 2)
    errors[:, torch.arange(len(labels)), labels] -= 1
    return errors * weight[..., None]


def outer(learning: Tensor, traces: Tensor) -> Tensor:
    """``sum_t sum_b learning_t traces_t^T``: ``[N, M]`` of ``[T, B, N]`` and ``[T, B, M]``."""
    return learning.flatten(0, 1).T @ traces.flatten(0, 1)
