"""Online learning rules: three factors, one global scalar per compartment.

Every rule of this module has the form (H. Jang and O. Simeone, arXiv 2102.03280, eqs. 9-13)

* log-weights ``v[k, t] = kappa v[k, t-1] + evidence[k, t]``,
* eligibility ``e[k, i, t] = gamma e[k, i, t-1] + grad_i log p(s[k, i, t] | u[k, i, t])``,
* direction ``sum_k c[k, i, t] e[k, i, t]``, to climb,

and differs only in the learning signal ``c``, a function of the log-weights. With ``q = softmax_k(v)``:

========== =============== ================= ================================================
rule       visible neurons hidden neurons    note
========== =============== ================= ================================================
``gem``    ``q[k]``        ``q[k]``          generalised expectation maximisation
``gem-cv`` ``q[k]``        ``q[k] - 1 / K``  the same expectation (a score has zero mean), less
                                             variance, exactly zero at K = 1
========== =============== ================= ================================================

A direction is read at certain steps (``readout``) and the sum of what was read since the last update moves
the parameters. ``"every-step"`` reads at every step. ``"last-step"`` reads once, at the last step before an
update; with ``kappa = gamma = 1`` and one update a presentation that is exact batch GEM, the gradient of
``sum_k q[k] log p(x, h[k])``.

In padding everything rests: no evidence, no decay, no reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gemsnn.network import Network, Params
from gemsnn.types import InputError

RuleName = Literal["gem", "gem-cv"]
Readout = Literal["every-step", "last-step"]


@dataclass(frozen=True)
class RuleSpec:
    """A learning rule.

    Attributes:
        rule: the learning signal's name; see :mod:`gemsnn.rules`.
        kappa: how much of the log-weights survives a step, in [0, 1].
        gamma: how much of the eligibility survives a step, in [0, 1].
        readout: at which steps the direction is read.
        average: scale what is new in both running sums by ``1 - kappa`` and ``1 - gamma``, as some
            published code does.
    """

    rule: RuleName = "gem-cv"
    kappa: float = 0.9
    gamma: float = 0.9
    readout: Readout = "every-step"
    average: bool = False

    def __post_init__(self) -> None:
        """Check the numbers once."""
        for name, value in (("kappa", self.kappa), ("gamma", self.gamma)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} must lie in [0, 1], not {value}")
            if self.average and value == 1:
                raise InputError(
                    f"with average, {name} must be below 1: a factor 1 - {name} of zero learns nothing"
                )


class Signal(NamedTuple):
    """Learning signals ``[.., K]``, for the visible and for the hidden neurons."""

    visible: Tensor
    hidden: Tensor


class RuleState(NamedTuple):
    """What a rule remembers between steps.

    Attributes:
        log_weights: ``[B, K]``, in nats.
        eligibility: Params with leading dimensions ``[B, K]``.
    """

    log_weights: Tensor
    eligibility: Params


def gem(log_weights: Tensor) -> Signal:
    """``q[k] = softmax_k(v)`` for all neurons."""
    share = torch.softmax(log_weights, -1)
    return Signal(share, share)


def gem_cv(log_weights: Tensor) -> Signal:
    """``q[k]`` for visible neurons, ``q[k] - 1 / K`` for hidden ones."""
    share = torch.softmax(log_weights, -1)
    return Signal(share, share - 1 / share.shape[-1])


RULES: dict[RuleName, Callable[[Tensor], Signal]] = {"gem": gem, "gem-cv": gem_cv}


def advance_log_weights(spec: RuleSpec, log_weights: Tensor, evidence: Tensor, alive: Tensor) -> Tensor:
    """``v <- kappa v + evidence``, at rest where ``alive`` (bool ``[B]``) is false."""
    fresh = (1 - spec.kappa) * evidence if spec.average else evidence
    return torch.where(alive[:, None], spec.kappa * log_weights + fresh, log_weights)


def learning_signal(spec: RuleSpec, network: Network, log_weights: Tensor) -> Tensor:
    """The learning signal of every neuron, ``[B, K, N]``, from log-weights ``[B, K]``."""
    signal = RULES[spec.rule](log_weights)
    hidden, visible = network.spec.hidden_neurons, network.spec.visible
    return torch.cat(
        [signal.hidden[..., None].expand(-1, -1, hidden), signal.visible[..., None].expand(-1, -1, visible)],
        -1,
    )


def memory_of(spec: RuleSpec, dtype: torch.dtype) -> int:
    """Steps after which an eligibility is below the resolution of ``dtype``; the largest int32 if it never fades."""
    if spec.gamma == 1:
        return 2**31 - 1
    if spec.gamma == 0:
        return 0
    return math.ceil(2 * math.log(torch.finfo(dtype).eps) / math.log(spec.gamma))


def read_steps(spec: RuleSpec, alive: Tensor, update_every: int | None) -> Tensor:
    """At which steps directions are read, bool ``[B, T]``.

    Args:
        spec: the rule.
        alive: bool ``[B, T]``.
        update_every: steps between updates; ``None`` for one update a presentation.
    """
    if spec.readout == "every-step":
        return alive
    steps = alive.shape[1]
    ends = torch.zeros(steps, dtype=torch.bool, device=alive.device)
    ends[-1] = True
    if update_every is not None:
        ends[update_every - 1 :: update_every] = True
    followed = torch.cat([alive[:, 1:], torch.zeros_like(alive[:, :1])], 1)
    return alive & (ends | ~followed)


def init(network: Network, params: Params, batch: int, compartments: int) -> RuleState:
    """Nothing seen yet."""
    leading = (batch, compartments)
    zeros = Params(*(leaf.new_zeros(*leading, *leaf.shape) for leaf in params))
    return RuleState(network.taps.new_zeros(leading), zeros)


def update(
    spec: RuleSpec,
    network: Network,
    state: RuleState,
    evidence: Tensor,
    gradient: Params,
    *,
    alive: Tensor,
    read: Tensor,
) -> tuple[RuleState, Params]:
    """One step of a rule.

    Args:
        spec: the rule.
        network: the network.
        state: what the rule remembers.
        evidence: ``[B, K]``, see :func:`gemsnn.network.evidence`.
        gradient: leading dimensions ``[B, K]``, see :func:`gemsnn.network.local_gradient`.
        alive: bool ``[B]``.
        read: bool ``[B]``, whether this step's direction is read.

    Returns:
        The new state, and the direction to climb, summed over compartments and averaged over presentations.
    """
    log_weights = advance_log_weights(spec, state.log_weights, evidence, alive)
    fresh = 1 - spec.gamma if spec.average else 1.0

    def decay(old: Tensor, new: Tensor) -> Tensor:
        living = alive.reshape(-1, *(1,) * (old.ndim - 1))
        return torch.where(living, spec.gamma * old + fresh * new, old)

    eligibility = Params(*(decay(old, new) for old, new in zip(state.eligibility, gradient, strict=True)))
    signal = learning_signal(spec, network, log_weights) * read[:, None, None] / len(read)
    direction = Params(*(torch.einsum("bkn,bkn...->n...", signal, leaf) for leaf in eligibility))
    return RuleState(log_weights, eligibility), direction
