"""DECOLLE: deep continuous local learning, one layer of it.

J. Kaiser, H. Mostafa and E. Neftci, "Synaptic Plasticity Dynamics for Deep Continuous Local Learning (DECOLLE)",
Frontiers in Neuroscience 14 (2020) (arXiv 1811.10766). Hidden neurons are read out by fixed random weights, and their
own weights learn to make that readout right. The loss of a step is the cross entropy here, so that answers are
probabilities as all others' are; the paper takes a squared error, and adds a term that keeps neurons from falling
silent. One decay serves synapses and membranes.

    q_t = a q_{t-1} + (1 - a) x_t       p_t = a p_{t-1} + (1 - a) q_t       (a second-order synapse)
    r_t = b r_{t-1} + (1 - b) s_{t-1}   u_t = W p_t - r_t                   s_t = [u_t >= 0]        y_t = G s_t
    dW  = sum_t psi(u_t) G^T (softmax y_t - onehot) p_t

It is the exact gradient, with psi for the derivative of a spike, where ``r`` is taken as given.
"""

from __future__ import annotations

import torch
from torch import Tensor

from online_rules import lif
from online_rules.lif import Params, Run

WIDTH = 0.5
REFRACTORY = 0.65
"""b, the decay of refractoriness, as the authors' program has it."""

READOUT = 3.0
"""Range of the fixed readout: uniform within ``3 / sqrt(H)`` of 0, so that 256 neurons can be sure of a class."""


def init(inputs: int, hidden: int, classes: int, draw: torch.Generator) -> Params:
    """As others, but for the readout, which is drawn once and never learns, and has no biases."""
    params = lif.init(inputs, hidden, classes, draw)
    readout = (2 * torch.rand(classes, hidden + 1, generator=draw) - 1) * READOUT / hidden**0.5
    readout[:, -1] = 0
    return Params(params.hidden, readout)


def psi(potential: Tensor) -> Tensor:
    """1 within :data:`WIDTH` of the threshold, which is 0 here, and 0 elsewhere."""
    return (potential.abs() <= WIDTH).to(potential.dtype)


def synapses(drive: Tensor, decay: float) -> Tensor:
    """``p`` of ``x``, or, as both are linear, ``W p`` of ``W x``."""
    return (1 - decay) ** 2 * lif.filtered(lif.filtered(drive, decay), decay)


def forward(params: Params, inputs: Tensor, decay: float) -> Run:
    """Inputs ``[T, B, M + 1]`` through the network."""
    drive = synapses(inputs @ params.hidden.T, decay)
    potential, spikes = torch.empty_like(drive), torch.empty_like(drive)
    r, s = torch.zeros_like(drive[0]), torch.zeros_like(drive[0])
    for now, u_now, s_now in zip(drive, potential, spikes, strict=True):
        r = r.mul_(REFRACTORY).add_(s, alpha=1 - REFRACTORY)
        s = torch.ge(torch.sub(now, r, out=u_now), 0, out=s_now)
    return Run(potential, spikes, lif.with_one(spikes) @ params.readout.T)


def gradients(params: Params, inputs: Tensor, labels: Tensor, observed: Tensor, decay: float) -> Params:
    """What the rule subtracts, times a step size: nothing from the readout.

    As in :mod:`online_rules.ottt` the sum is taken over traces of hidden neurons instead of inputs.
    """
    run = forward(params, inputs, decay)
    errors = lif.step_errors(run.logits, labels, observed)
    learning = psi(run.potential) * (errors @ params.readout[:, :-1])
    back = (1 - decay) ** 2 * lif.filtered_back(lif.filtered_back(learning, decay), decay)
    return Params(lif.outer(back, inputs), torch.zeros_like(params.readout))
