"""S-TLLR: a temporal local learning rule after spike-timing-dependent plasticity.

M. P. E. Apolinario and K. Roy, "S-TLLR: STDP-inspired Temporal Local Learning Rule for Spiking Neural Networks", TMLR
2025 (arXiv 2306.15220). The eligibility of a synapse has a causal part, as that of other rules, and one of input spikes
that come after the neuron was near its threshold. Readouts leak; their learning signal reaches the hidden neurons
through their weights, at every observed step.

    u_t = a u_{t-1} + W x_t - s_{t-1}        s_t = [u_t >= 1]        y_t = a y_{t-1} + V s_t
    e_t = psi(u_t) xhat_t + POST x_t psihat_{t-1}
    xhat_t = PRE_DECAY xhat_{t-1} + x_t      psihat_t = POST_DECAY psihat_{t-1} + psi(u_t)
    dW  = sum_t V^T (softmax y_t - onehot) e_t

Its constants are those that the paper takes for gestures before an event camera.
"""

from __future__ import annotations

import torch
from torch import Tensor

from online_rules import eprop, lif
from online_rules.lif import Params

init, forward = lif.init, eprop.forward
PRE_DECAY, POST_DECAY, POST = 0.75, 0.2, -1.0


def psi(potential: Tensor) -> Tensor:
    """``1 / (1 + 100 |u - 1|)^2``."""
    return (1 + 100 * (potential - lif.THRESHOLD).abs()) ** -2


def gradients(params: Params, inputs: Tensor, labels: Tensor, observed: Tensor, decay: float) -> Params:
    """What the rule subtracts, times a step size.

    The causal part is summed over traces of hidden neurons, as in :mod:`online_rules.ottt`; the other part needs no
    more than those.
    """
    run = forward(params, inputs, decay)
    errors = lif.step_errors(run.logits, labels, observed)
    signal, near = errors @ params.readout[:, :-1], psi(run.potential)
    before = torch.cat([torch.zeros_like(near[:1]), lif.filtered(near, POST_DECAY)[:-1]])
    learning = lif.filtered_back(near * signal, PRE_DECAY) + POST * before * signal
    fading = lif.filtered(lif.with_one(run.spikes), decay)
    return Params(lif.outer(learning, inputs), lif.outer(errors, fading))
