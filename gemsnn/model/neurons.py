"""Kinds of neurons: how the potentials of a population become spikes, and what those say of the potentials.

A kind is a value with the methods of :class:`Neuron`. :class:`Bernoulli` neurons spike independently; those of a
:class:`Circuit` spike one at a time or not at all. Whoever writes another kind writes these methods, in torch, over
the last dimension of potentials ``[.., n]``; the kernels ``reference`` and ``block`` serve it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from gemsnn.model import glm


@runtime_checkable
class Neuron(Protocol):
    """What a network asks of a kind of neuron."""

    name: ClassVar[str]
    """What settings and messages call it."""
    elementwise: ClassVar[bool]
    """Whether every neuron minds its own potential alone, so that populations side by side can share a call."""

    def probability(self, potential: Tensor) -> Tensor:
        """``p(s_i = 1 | u)`` of each neuron, ``[.., n]``."""
        ...

    def sample(self, uniform: Tensor, potential: Tensor) -> Tensor:
        """Spikes ``[.., n]``, 0 or 1 in the potentials' type, a function of uniform numbers ``[.., n]`` in (0, 1)."""
        ...

    def log_prob(self, spikes: Tensor, potential: Tensor) -> Tensor:
        """``log p(s | u)`` of all n neurons together, in nats, ``[..]``."""
        ...

    def error(self, spikes: Tensor, potential: Tensor) -> Tensor:
        """The local score ``d log p(s | u) / d u_i``, ``[.., n]``."""
        ...

    def slope(self, potential: Tensor) -> Tensor:
        """``d p(s_i = 1 | u) / d u_i``, ``[.., n]``: by how much more a neuron spikes, per nat of potential."""
        ...

    def initial_odds(self, size: int, rate: float | None) -> float:
        """``exp`` of the bias with which each of ``size`` neurons spikes at this rate, or at a usual one."""
        ...


@dataclass(frozen=True)
class Bernoulli:
    """Independent neurons: ``p(s = 1 | u) = sigmoid(u)``; see :mod:`gemsnn.model.glm`."""

    name: ClassVar[str] = "independent"
    elementwise: ClassVar[bool] = True

    def probability(self, potential: Tensor) -> Tensor:
        """``sigmoid(u)``."""
        return glm.probability(potential)

    def sample(self, uniform: Tensor, potential: Tensor) -> Tensor:
        """1 where ``uniform < sigmoid(u)``."""
        return glm.spike(uniform, potential)

    def log_prob(self, spikes: Tensor, potential: Tensor) -> Tensor:
        """``sum_i log sigmoid((2 s_i - 1) u_i)``."""
        return glm.log_prob(spikes, potential).sum(-1)

    def error(self, spikes: Tensor, potential: Tensor) -> Tensor:
        """``s - sigmoid(u)``."""
        return glm.error(spikes, potential)

    def slope(self, potential: Tensor) -> Tensor:
        """``sigmoid(u) (1 - sigmoid(u))``."""
        probability = glm.probability(potential)
        return probability * (1 - probability)

    def initial_odds(self, size: int, rate: float | None) -> float:
        """``r / (1 - r)``; the usual rate is ``1 / size``, at most 1/2."""
        rate = 1 / max(size, 2) if rate is None else rate
        return rate / (1 - rate)


@dataclass(frozen=True)
class Circuit:
    """Neurons that spike one at a time or not at all: ``p(s_i = 1 | u) = exp(u_i) / (1 + sum_j exp(u_j))``."""

    name: ClassVar[str] = "winner-take-all"
    elementwise: ClassVar[bool] = False

    def probability(self, potential: Tensor) -> Tensor:
        """A softmax with silence beside the neurons."""
        return glm.choice_probability(potential)

    def sample(self, uniform: Tensor, potential: Tensor) -> Tensor:
        """One choice, with the number of the first neuron."""
        return glm.choose(uniform[..., 0], potential)

    def log_prob(self, spikes: Tensor, potential: Tensor) -> Tensor:
        """``sum_i s_i u_i - log(1 + sum_j exp(u_j))``."""
        return glm.log_choice(spikes, potential)

    def error(self, spikes: Tensor, potential: Tensor) -> Tensor:
        """``s - p``."""
        return spikes - glm.choice_probability(potential)

    def slope(self, potential: Tensor) -> Tensor:
        """``p (1 - p)``: what a neuron's own potential does; the others lose what it gains."""
        probability = glm.choice_probability(potential)
        return probability * (1 - probability)

    def initial_odds(self, size: int, rate: float | None) -> float:
        """``r / (1 - size r)``; the usual rate is ``1 / (size + 1)``: as often one of them as silence."""
        rate = 1 / (size + 1) if rate is None else rate
        return rate / (1 - size * rate)


def log_prob_alone(neuron: Neuron, potential: Tensor) -> Tensor:
    """``log p(s_i = 1, all others 0 | u)`` for each neuron i of a population, in nats, ``[.., n]``."""
    silence = torch.zeros_like(potential)
    if isinstance(
        neuron, Bernoulli | Circuit
    ):  # u_i is what a neuron's spike adds to the log-probability of silence
        return potential + neuron.log_prob(silence, potential)[..., None]
    alone = torch.eye(potential.shape[-1], dtype=potential.dtype, device=potential.device)
    return torch.stack([neuron.log_prob(each.expand_as(potential), potential) for each in alone], -1)


BERNOULLI, CIRCUIT = Bernoulli(), Circuit()
NEURONS: dict[str, Neuron] = {kind.name: kind for kind in (BERNOULLI, CIRCUIT)}
"""The kinds of neurons by name."""
