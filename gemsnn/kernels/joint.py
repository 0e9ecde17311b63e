"""The parameters of a joint network in one piece, as the kernels that serve such networks hold them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gemsnn.model.links import JOINT
from gemsnn.model.network import Params
from gemsnn.rules.optimisers import OptimiserState


class Joint(NamedTuple):
    """What is learned.

    Attributes:
        weight: ``[N, J, L]``, zero where there is no synapse.
        feedback: ``[N, Lf]``, zero where a neuron has no feedback.
        bias: ``[N]``.
    """

    weight: Tensor
    feedback: Tensor
    bias: Tensor


def joined(params: Params) -> Joint:
    """The same tensors."""
    return Joint(params.weights[JOINT], params.feedback, params.bias)


def apart(joint: Joint) -> Params:
    """The same tensors, as everybody else has them."""
    return Params({JOINT: joint.weight}, joint.feedback, joint.bias)


def joined_state(optimiser: OptimiserState) -> OptimiserState:
    """The same tensors, their trees in one piece."""
    moments = (None if tree is None else joined(tree) for tree in optimiser[1:])
    return OptimiserState(optimiser.updates, *moments)


def apart_state(optimiser: OptimiserState) -> OptimiserState:
    """The same tensors, as everybody else has them."""
    moments = (None if tree is None else apart(tree) for tree in optimiser[1:])
    return OptimiserState(optimiser.updates, *moments)
