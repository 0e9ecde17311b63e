"""e-prop: eligibility traces times online learning signals, for leaky integrate-and-fire neurons.

G. Bellec, F. Scherr, A. Subramoney, E. Hajek, D. Salaj, R. Legenstein and W. Maass, "A solution to the learning dilemma
for recurrent networks of spiking neurons", Nature Communications 11, 3625 (2020); here without recurrent weights, with
symmetric feedback. Readouts leak, and a softmax cross entropy is taken at every observed step.

    u_t = a u_{t-1} + W x_t - s_{t-1}        s_t = [u_t >= 1]        y_t = k y_{t-1} + V s_t
    e_t = psi(u_t) xbar_t                    xbar_t = a xbar_{t-1} + x_t
    dW  = sum_t L_t F_k(e)_t                 L_t = V^T (softmax y_t - onehot)
    dV  = sum_t (softmax y_t - onehot) F_k(s)_t

``F_k`` is the trace of decay k. It is the exact gradient, with psi for the derivative of a spike, where the reset is
taken as given.
"""

from __future__ import annotations

from torch import Tensor

from online_rules import lif
from online_rules.lif import Params, Run

init = lif.init
DAMPING = 0.3
"""The largest derivative of a spike."""


def psi(potential: Tensor) -> Tensor:
    """``0.3 max(0, 1 - |u - 1|)``."""
    return DAMPING * (1 - (potential - lif.THRESHOLD).abs()).clamp(min=0)


def forward(params: Params, inputs: Tensor, decay: float) -> Run:
    """Inputs ``[T, B, M + 1]`` through the network; readouts leak as hidden neurons do."""
    potential, spikes = lif.spiking(inputs @ params.hidden.T, decay, lif.THRESHOLD)
    return Run(potential, spikes, lif.filtered(lif.with_one(spikes) @ params.readout.T, decay))


def gradients(params: Params, inputs: Tensor, labels: Tensor, observed: Tensor, decay: float) -> Params:
    """What the rule subtracts, times a step size.

    The sums are in another order than time's,
    ``sum_t L_t sum_{s <= t} k^(t-s) e_s = sum_s e_s sum_{t >= s} k^(t-s) L_t``, and so for ``xbar``: traces of neurons
    take the place of one of each synapse.
    """
    run = forward(params, inputs, decay)
    errors = lif.filtered_back(lif.step_errors(run.logits, labels, observed), decay)
    learning = lif.filtered_back(psi(run.potential) * (errors @ params.readout[:, :-1]), decay)
    return Params(lif.outer(learning, inputs), lif.outer(errors, lif.with_one(run.spikes)))
