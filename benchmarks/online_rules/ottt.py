"""OTTT: online training through time.

M. Xiao, Q. Meng, Z. Zhang, D. He and Z. Lin, "Online Training Through Time for Spiking Neural Networks", NeurIPS 2022
(arXiv 2210.04195), the variant OTTT_A, which adds up the steps' gradients. A readout without memory, and a loss at
every observed step, here the cross entropy alone, to which the paper adds a little of the squared error.

    u_t = a (u_{t-1} - s_{t-1}) + W x_t      s_t = [u_t >= 1]        y_t = V s_t
    dW  = sum_t psi(u_t) V^T (softmax y_t - onehot) xhat_t           xhat_t = a xhat_{t-1} + x_t
    dV  = sum_t (softmax y_t - onehot) s_t

It is the exact gradient, with psi for the derivative of a spike, where the reset is taken as given.
"""

from __future__ import annotations

import torch
from torch import Tensor

from online_rules import lif
from online_rules.lif import Params, Run

init = lif.init
SLOPE = 4.0


def psi(potential: Tensor) -> Tensor:
    """The derivative of ``sigmoid(4 (u - 1))``."""
    risen = torch.sigmoid(SLOPE * (potential - lif.THRESHOLD))
    return SLOPE * risen * (1 - risen)


def forward(params: Params, inputs: Tensor, decay: float) -> Run:
    """Inputs ``[T, B, M + 1]`` through the network."""
    potential, spikes = lif.spiking(inputs @ params.hidden.T, decay, decay * lif.THRESHOLD)
    return Run(potential, spikes, lif.with_one(spikes) @ params.readout.T)


def gradients(params: Params, inputs: Tensor, labels: Tensor, observed: Tensor, decay: float) -> Params:
    """What the rule subtracts, times a step size.

    ``sum_t g_t xhat_t`` is taken as ``sum_s x_s sum_{t >= s} a^(t-s) g_t``, which needs a trace of each hidden neuron
    instead of one of each input: the same sum in another order.
    """
    run = forward(params, inputs, decay)
    errors = lif.step_errors(run.logits, labels, observed)
    learning = psi(run.potential) * (errors @ params.readout[:, :-1])
    return Params(
        lif.outer(lif.filtered_back(learning, decay), inputs), lif.outer(errors, lif.with_one(run.spikes))
    )
