"""Filtering over many steps at once, as matrix products.

Steps are the second dimension; the first one counts runs or presentations, and filters have the lags 1 .. D.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch
from torch import Tensor

STEPS = 16
"""Steps that are filtered in one product: the longer, the larger the product, and the more of it is zeros."""


@functools.lru_cache(256)
def _lags(steps: int, memory: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """From the steps that a piece hears to its own: the lag less one (0 where there is none), and where there is."""
    lag = (
        torch.arange(steps, device=device)[:, None] - torch.arange(steps + memory - 1, device=device) + memory
    )
    return lag.clamp(1, memory) - 1, (lag >= 1) & (lag <= memory)


def lag_matrix(taps: Tensor, steps: int) -> Tensor:
    """``[C, C + D - 1, L]``: entry ``(c, e, l)`` is ``f_l(c - e + D)``, from step e - D of a block to step c."""
    place, inside = _lags(steps, taps.shape[1], taps.device)
    return taps.T[place] * inside[:, :, None].to(taps)


def _pieces(steps: int) -> Iterator[tuple[int, int]]:
    for low in range(0, steps, STEPS):
        yield low, min(STEPS, steps - low)


def filtered(values: Tensor, taps: Tensor) -> Tensor:
    """Traces ``y[r, t, l] = sum_d f_l(d) x[r, t - d]`` of all steps t.

    Args:
        values: x, ``[R, C + D - 1, X]``; its first step is D before the first t.
        taps: ``[L, D]``; turned round (``flip(1)``) they filter backwards in time, from one to D steps ahead, and
            the first step of the values is the one after the first t.

    Returns:
        ``[R, C, L, X]``.
    """
    (count, memory), (rows, known, width) = taps.shape, values.shape
    steps, found = known - memory + 1, []
    for low, some in _pieces(steps):
        matrix = lag_matrix(taps, some).transpose(1, 2).flatten(0, 1)
        piece = torch.bmm(matrix.expand(rows, -1, -1), values[:, low : low + some + memory - 1])
        found.append(piece.view(rows, some, count, width))
    return found[0] if len(found) == 1 else torch.cat(found, 1)


def combined(values: Tensor, taps: Tensor) -> Tensor:
    """``y[r, t] = sum_l sum_d f_l(d) x[r, t - d, l]`` of all steps t, ``[R, C, X]``.

    Args:
        values: x, ``[R, C + D - 1, L, X]``.
        taps: as in :func:`filtered`.
    """
    memory, rows, known = taps.shape[1], len(values), values.shape[1]
    steps, found = known - memory + 1, []
    for low, some in _pieces(steps):
        matrix, piece = lag_matrix(taps, some).flatten(1), values[:, low : low + some + memory - 1]
        found.append(torch.bmm(matrix.expand(rows, -1, -1), piece.flatten(1, 2)))
    return found[0] if len(found) == 1 else torch.cat(found, 1)
