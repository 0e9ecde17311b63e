"""Means of weights that are told by their logarithms."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gemsnn.specs import checks


def log_mean_exp(x: Tensor, dim: int, *, check: bool = True) -> Tensor:
    """``log (1/n) sum exp x`` over ``dim`` of size ``n``, without overflow.

    With ``x`` the log-likelihoods of K compartments in nats this is the K-sample bound ``L^K``
    (Jang and Simeone, arXiv 2007.11894). An ``x`` of minus infinity is a weight of zero. Without ``check``, NaN is
    handed on: for a step of learning, which stops by itself where its weights are no longer finite.

    >>> log_mean_exp(torch.tensor([1000.0, 1000.0]), dim=0)
    tensor(1000.)
    """
    if check:
        _check_log_weights(x)
    return torch.logsumexp(x, dim) - math.log(x.shape[dim])


def running_log_mean_exp(x: Tensor, dim: int) -> Tensor:
    """``log (1/k) sum_{j <= k} exp x_j`` for every k: entry ``k - 1`` is :func:`log_mean_exp` of the first k."""
    _check_log_weights(x)
    shape = [-1 if axis == dim % x.ndim else 1 for axis in range(x.ndim)]
    numbers = torch.arange(1, x.shape[dim] + 1, dtype=x.dtype, device=x.device)
    return torch.logcumsumexp(x, dim) - numbers.log().reshape(shape)


def _check_log_weights(x: Tensor) -> None:
    checks.no_nan(checks.floats(x, "the log-weights", "[.., K, ..]"), "the log-weights", infinite=True)
