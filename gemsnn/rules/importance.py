"""The signals of the rules that weigh compartments by how well they explain the data.

With log-weights ``v [.., K]``, shares ``q = softmax_k(v)`` and the K-sample bound ``L = log (1/K) sum_k exp v[k]``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gemsnn.model.logspace import log_mean_exp
from gemsnn.rules.contract import Signal


def gem(log_weights: Tensor) -> Signal:
    """``q[k] = softmax_k(v)`` for all neurons."""
    share = torch.softmax(log_weights, -1)
    return Signal(share, share)


def gem_cv(log_weights: Tensor) -> Signal:
    """``q[k]`` for visible neurons, ``q[k] - 1 / K`` for hidden ones: the same expectation, less variance."""
    share = torch.softmax(log_weights, -1)
    return Signal(share, share - 1 / share.shape[-1])


def iw(log_weights: Tensor) -> Signal:
    """The gradient of the K-sample bound, less VIMCO's baseline: ``q[k]`` and ``L - L_k``; at K = 1 ``1`` and ``v``.

    Source: A. Mnih and D. Rezende, arXiv 1602.06725, with their geometric mean of the weights.
    """
    compartments = log_weights.shape[-1]
    share, bound = torch.softmax(log_weights, -1), log_mean_exp(log_weights, -1, check=False)[..., None]
    if compartments == 1:
        return Signal(share, bound)
    mean = (log_weights.sum(-1, keepdim=True) - log_weights) / (compartments - 1)
    return Signal(share, bound - log_mean_exp(replaced(log_weights, mean), -1, check=False))


def iw_ovis(log_weights: Tensor) -> Signal:
    """The gradient of the K-sample bound, less OVIS's baseline: ``q[k]`` and ``L - log Z_k``; at K = 1 ``1`` and ``v``.

    The baseline of least variance is near the mean of L over ``h[k]`` with the others given. Now ``L = log Z_k +
    log(1 + (exp v[k] / Z_k - 1) / K)``, whose second term has a mean smaller than 1/K where no weight dominates:
    hence ``log Z_k``. The signal is ``log (1 - 1/K) / (1 - q[k])``. It is also VIMCO with the arithmetic mean of
    the weights: ``log Z_k`` is L with ``log Z_k`` in place of ``v[k]``.

    Source: V. Liévin, A. Dittadi, A. Christensen and O. Winther, "Optimal Variance Control of the Score Function
    Gradient Estimator for Importance Weighted Bounds", NeurIPS 2020, arXiv 2008.01998, and their code: ``d[k] -
    c[k]`` of the asymptotic form at gamma = 1. There ``d[k] = L - q[k]`` and ``c[k] = log Z_k - q[k]``, as
    weights hold a proposal's density; here they hold no hidden neuron's probability, ``d[k] = L`` and ``c[k] =
    log Z_k`` does not depend on compartment k.
    """
    compartments = log_weights.shape[-1]
    share, bound = torch.softmax(log_weights, -1), log_mean_exp(log_weights, -1, check=False)[..., None]
    if compartments == 1:
        return Signal(share, bound)
    others = replaced(log_weights, torch.full_like(log_weights, -math.inf))
    return Signal(share, bound - (torch.logsumexp(others, -1) - math.log(compartments - 1)))


def replaced(log_weights: Tensor, by: Tensor) -> Tensor:
    """``[.., K, K]``: row k holds the log-weights with ``by[k]`` in place of ``v[k]``."""
    own = torch.eye(log_weights.shape[-1], dtype=torch.bool, device=log_weights.device)
    return torch.where(own, by[..., :, None], log_weights[..., None, :])


def mb(log_weights: Tensor) -> Signal:
    """``1/K`` and ``(v[k] - mean_k v) / K``: K single-sample estimators, their mean; at K = 1 ``1`` and ``v``."""
    compartments = log_weights.shape[-1]
    hidden = log_weights
    if compartments > 1:  # (v[k] - mean_k v) / K = (v[k] - mean v) / (K - 1)
        hidden = (log_weights - log_weights.mean(-1, keepdim=True)) / (compartments - 1)
    return Signal(torch.full_like(log_weights, 1 / compartments), hidden)


def one_hop(log_weights: Tensor) -> Signal:
    """``q[k]`` and nothing: hidden neurons learn from :mod:`gemsnn.rules.credit` alone."""
    share = torch.softmax(log_weights, -1)
    return Signal(share, torch.zeros_like(share))
