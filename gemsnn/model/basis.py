"""Filter banks: how a spike ``d`` steps ago acts now.

A synapse filters its sender's spikes with ``L`` fixed functions of the lag, ``f_1 .. f_L``, and learns one
weight for each. The traces are ``a[l, t] = sum_{d=1..D} f_l(d) s[t - d]``: strictly causal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, Range

BasisKind = Literal["raised-cosine", "exponential"]
LARGEST = 2**20


@dataclass(frozen=True)
class BasisSpec:
    """A filter bank.

    Attributes:
        kind: ``"raised-cosine"`` (Pillow et al. 2008) or ``"exponential"``.
        count: number of functions L.
        taps: memory D in steps; every function is zero beyond it.
        offset: for raised cosines, the ``c`` of ``log(d + c)``: small values crowd the bumps at short lags,
            large ones space them evenly.
    """

    kind: BasisKind = "raised-cosine"
    count: Count = 4
    taps: Count = 10
    offset: Annotated[float, Range(above=-1)] = 1.0

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        if self.count > self.taps:
            raise InputError(f"a basis needs count <= taps, not count {self.count} and taps {self.taps}")
        if self.count * self.taps > LARGEST:
            raise InputError(
                f"a basis of {self.count} functions over {self.taps} steps is too large (the product may be "
                f"{LARGEST}); shorten the memory"
            )


def raised_cosine(count: int, taps: int, offset: float = 1.0) -> Tensor:
    """Raised cosine bumps in log time, ``[L, D]``, float64.

    ``f_l(d) = (1 + cos(a log(d + c) - phi_l)) / 2`` where ``|a log(d + c) - phi_l| <= pi``, else 0, with
    ``phi_l = phi_1 + (l - 1) pi / 2`` (J. W. Pillow et al., "Spatio-temporal correlations and visual signalling
    in a complete neuronal population", Nature 454, 2008). The scale ``a`` follows from two wishes: the first
    bump peaks at lag 1, and the last one reaches zero at lag D + 1.
    """
    start, end = math.log(1 + offset), math.log(taps + 1 + offset)
    a = (count + 1) * (math.pi / 2) / (end - start)
    lags = torch.arange(1, taps + 1, dtype=torch.float64)
    phase = a * torch.log(lags + offset) - (
        a * start + torch.arange(count, dtype=torch.float64)[:, None] * (math.pi / 2)
    )
    return torch.where(phase.abs() <= math.pi, (1 + torch.cos(phase)) / 2, 0.0)


def exponential(count: int, taps: int) -> Tensor:
    """Exponential decays, ``[L, D]``, float64: ``f_l(d) = exp(-(d - 1) / tau_l)``.

    The time constants are spaced geometrically from one step to a third of the taps, where the cut at D
    leaves out 5 % of the slowest; a single function takes the longest.
    """
    longest = max(1.0, taps / 3)
    place = (
        torch.linspace(0, 1, count, dtype=torch.float64) if count > 1 else torch.ones(1, dtype=torch.float64)
    )
    tau = longest**place
    lags = torch.arange(taps, dtype=torch.float64)
    return torch.exp(-lags / tau[:, None])


def bank(spec: BasisSpec) -> Tensor:
    """The functions of a spec at lags 1 .. D, ``[L, D]``, float64."""
    if spec.kind == "raised-cosine":
        return raised_cosine(spec.count, spec.taps, spec.offset)
    return exponential(spec.count, spec.taps)


def trace(history: Tensor, taps: Tensor) -> Tensor:
    """The traces after a history of spikes.

    Args:
        history: ``[.., D, X]``, the last D steps, oldest first.
        taps: ``[L, D]``, see :func:`bank`.

    Returns:
        ``[.., X, L]`` with ``a[x, l] = sum_d f_l(d) s[x, -d]``.
    """
    return torch.einsum("...dx,ld->...xl", history, taps.flip(1))
