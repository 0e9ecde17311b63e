"""What a direction does to the parameters: init/update pairs, climbing.

``sgd``: ``theta <- theta + lr * direction``, the papers' choice. ``adam``: element-wise step sizes (D. Kingma and
J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015), with state per synapse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import NotNegative, Positive, Range
from gemsnn.specs.needs import needs, one_of
from gemsnn.store import trees

OptimiserName = Literal["sgd", "adam"]
OF_ADAM = needs(one_of("optimiser", "adam"))


@dataclass(frozen=True)
class OptimiserSpec:
    """An optimiser.

    Attributes:
        optimiser: its name.
        lr: the step size eta.
        beta1: adam's decay of the mean direction.
        beta2: adam's decay of the mean squared direction.
        epsilon: adam's smallest denominator.
    """

    optimiser: OptimiserName = "adam"
    lr: NotNegative = 3e-3
    beta1: Annotated[float, Range(0, below=1), OF_ADAM] = 0.9
    beta2: Annotated[float, Range(0, below=1), OF_ADAM] = 0.999
    epsilon: Annotated[Positive, OF_ADAM] = 1e-8

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)


Tree = TypeVar("Tree")


class OptimiserState(NamedTuple):
    """What an optimiser remembers: the number of updates, and (adam) the running moments, trees like the parameters."""

    updates: int
    first: Any
    second: Any


def init(spec: OptimiserSpec, params: Any) -> OptimiserState:
    """Nothing done yet."""
    if spec.optimiser == "sgd":
        return OptimiserState(0, None, None)
    first, second = (trees.map(torch.zeros_like, params) for _ in range(2))
    return OptimiserState(0, first, second)


def check_state(spec: OptimiserSpec, state: OptimiserState, params: Any) -> None:
    """Raise :class:`InputError` unless a state is one of this optimiser, for these parameters."""
    moments, wanted = list(trees.leaves(state[1:])), list(trees.leaves(params))
    if len(moments) != (0 if spec.optimiser == "sgd" else 2 * len(wanted)):
        raise InputError(f"the checkpoint was not written by the optimiser {spec.optimiser}; train again")
    if any(m.shape != p.shape or m.dtype != p.dtype for m, p in zip(moments, wanted * 2, strict=False)):
        raise InputError("the optimiser's state in the checkpoint does not fit the parameters; train again")


def update(
    spec: OptimiserSpec, state: OptimiserState, params: Tree, direction: Tree, *, lr: float
) -> tuple[OptimiserState, Tree]:
    """Climb one step of size ``lr`` (the spec's, or what a schedule made of it) along ``direction``."""
    return OPTIMISERS[spec.optimiser](spec, state, params, direction, lr)


def sgd(
    _: OptimiserSpec, state: OptimiserState, params: Tree, direction: Tree, lr: float
) -> tuple[OptimiserState, Tree]:
    """``theta <- theta + lr * direction``."""
    moved = trees.map(lambda leaf, slope: leaf + lr * slope, params, direction)
    return state._replace(updates=state.updates + 1), moved


def adam(
    spec: OptimiserSpec, state: OptimiserState, params: Tree, direction: Tree, lr: float
) -> tuple[OptimiserState, Tree]:
    """``theta <- theta + lr * m / (sqrt(v) + epsilon)`` with bias-corrected moments m and v of the direction."""
    updates = state.updates + 1
    mean, power = 1 - spec.beta1**updates, 1 - spec.beta2**updates
    first = trees.map(lambda d, m: torch.lerp(d, m, spec.beta1), direction, state.first)
    second = trees.map(
        lambda d, v: (spec.beta2 * v).addcmul_(d, d, value=1 - spec.beta2), direction, state.second
    )

    def move(leaf: Tensor, m: Tensor, v: Tensor) -> Tensor:
        width = (v / power).sqrt_().add_(spec.epsilon)  # in place: fresh memory costs more than arithmetic
        return torch.addcdiv(leaf, m, width, value=lr / mean)

    return OptimiserState(updates, first, second), trees.map(move, params, first, second)


OPTIMISERS: dict[OptimiserName, Callable[..., Any]] = {"sgd": sgd, "adam": adam}
