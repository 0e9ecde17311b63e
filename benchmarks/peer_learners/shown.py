"""What learners are shown, what they answer, and what they are made of."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Shape(NamedTuple):
    """Sizes of a network: inputs lie on a sheet as :class:`gemsnn.types.Layout` says."""

    channels: int
    height: int
    width: int
    hidden: int
    classes: int

    @property
    def inputs(self) -> int:
        """The number of inputs M."""
        return self.channels * self.height * self.width


class Settings(NamedTuple):
    """What is chosen on the validation part.

    Attributes:
        lr: Adam's step size at the beginning; the recipe's schedule lowers it.
        decay: what is left of a potential after a step.
    """

    lr: float
    decay: float


class Batch(NamedTuple):
    """Recordings side by side, padded with empty steps.

    Attributes:
        spikes: uint8 ``[B, T, M]``.
        observed: bool ``[B, T]``, the steps that count: after the warm-up, before the padding.
        labels: int64 ``[B]``.
    """

    spikes: NDArray[np.uint8]
    observed: NDArray[np.bool_]
    labels: NDArray[np.int64]

    def steps_first(self, *, one: bool = False) -> Tensor:
        """Spikes float32 ``[T, B, M]``; with ``one`` there is one more input, which is 1 at every step."""
        batch, steps, inputs = self.spikes.shape
        found = torch.ones(steps, batch, inputs + one)
        found[:, :, :inputs] = torch.from_numpy(self.spikes).transpose(0, 1)
        return found

    def weights(self) -> Tensor:
        """1 where a step counts and 0 elsewhere, float32 ``[T, B]``."""
        return torch.from_numpy(self.observed.T.astype(np.float32))


class Answer(NamedTuple):
    """What a learner says of a batch.

    Attributes:
        logits: of the answers after each step, float32 ``[B, T, C]``.
        spikes: of all neurons, ``[B]``.
        operations: spikes that arrived at synapses, ``[B]``.
    """

    logits: NDArray[np.float32]
    spikes: NDArray[np.float64]
    operations: NDArray[np.float64]


class Learner(Protocol):
    """A network that learns."""

    @property
    def bytes(self) -> int:
        """The size of its weights."""
        ...

    def learn(self, batch: Batch, lr: float) -> None:
        """Make one update."""
        ...

    def answer(self, batch: Batch) -> Answer:
        """Answer without learning."""
        ...


def answer_of(logits: Tensor, weights: Tensor, spikes: Tensor, operations: Tensor) -> Answer:
    """Answers from the logits of each step, ``[T, B, C]``: their mean over the steps that counted so far.

    Before the first of those every class is as likely as others.
    """
    total = (weights[..., None] * logits).cumsum(0) / weights.cumsum(0).clamp(min=1)[..., None]
    numbers = (each.double().numpy() for each in (spikes, operations))
    return Answer(total.transpose(0, 1).numpy().astype(np.float32), *numbers)
