"""What a direction does to the parameters: init/update pairs, climbing.

``sgd``: ``theta <- theta + lr * direction``, the papers' choice. ``adam``: element-wise step sizes (D. Kingma and
J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015), with state per synapse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch

from gemsnn.errors import InputError
from gemsnn.model.network import Params
from gemsnn.specs import checks
from gemsnn.specs.checks import NotNegative, Positive, Range
from gemsnn.specs.needs import needs, one_of

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


class OptimiserState(NamedTuple):
    """What an optimiser remembers: the number of updates, and (adam) the running moments."""

    updates: int
    first: Params | None
    second: Params | None


def init(spec: OptimiserSpec, params: Params) -> OptimiserState:
    """Nothing done yet."""
    if spec.optimiser == "sgd":
        return OptimiserState(0, None, None)
    first, second = (Params(*(torch.zeros_like(leaf) for leaf in params)) for _ in range(2))
    return OptimiserState(0, first, second)


def check_state(spec: OptimiserSpec, state: OptimiserState, params: Params) -> None:
    """Raise :class:`InputError` unless a state is one of this optimiser, for these parameters."""
    moments = [leaf for moment in (state.first, state.second) if moment is not None for leaf in moment]
    if len(moments) != (0 if spec.optimiser == "sgd" else 2 * len(params)):
        raise InputError(f"the checkpoint was not written by the optimiser {spec.optimiser}; train again")
    if any(
        m.shape != p.shape or m.dtype != p.dtype for m, p in zip(moments, [*params, *params], strict=False)
    ):
        raise InputError("the optimiser's state in the checkpoint does not fit the parameters; train again")


def update(
    spec: OptimiserSpec, state: OptimiserState, params: Params, direction: Params, *, lr: float
) -> tuple[OptimiserState, Params]:
    """Climb one step of size ``lr`` (the spec's, or what a schedule made of it) along ``direction``."""
    return OPTIMISERS[spec.optimiser](spec, state, params, direction, lr)


def sgd(
    _: OptimiserSpec, state: OptimiserState, params: Params, direction: Params, lr: float
) -> tuple[OptimiserState, Params]:
    """``theta <- theta + lr * direction``."""
    moved = Params(*(leaf + lr * slope for leaf, slope in zip(params, direction, strict=True)))
    return state._replace(updates=state.updates + 1), moved


def adam(
    spec: OptimiserSpec, state: OptimiserState, params: Params, direction: Params, lr: float
) -> tuple[OptimiserState, Params]:
    """``theta <- theta + lr * m / (sqrt(v) + epsilon)`` with bias-corrected moments m and v of the direction."""
    assert state.first is not None
    assert state.second is not None
    updates = state.updates + 1
    mean, power = 1 - spec.beta1**updates, 1 - spec.beta2**updates
    leaves = []
    for leaf, m, v, d in zip(params, state.first, state.second, direction, strict=True):
        m = torch.lerp(d, m, spec.beta1)
        v = (spec.beta2 * v).addcmul_(d, d, value=1 - spec.beta2)
        width = (v / power).sqrt_().add_(spec.epsilon)  # in place: fresh memory costs more than arithmetic
        leaves.append((torch.addcdiv(leaf, m, width, value=lr / mean), m, v))
    moved, first, second = (Params(*part) for part in zip(*leaves, strict=True))
    return OptimiserState(updates, first, second), moved


OPTIMISERS: dict[OptimiserName, Callable[..., tuple[OptimiserState, Params]]] = {"sgd": sgd, "adam": adam}
