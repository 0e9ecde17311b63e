# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""The learning signals of :mod:`gemsnn.rules.importance`, compiled for the cpu kernel. Compiled at first use."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gemsnn.machine.compiled import njit
from gemsnn.rules import importance
from gemsnn.rules.contract import Signal

GEM, GEM_CV, IW, IW_OVIS, MB, ONE_HOP, ASKED = range(7)
CODES: dict[Callable[..., Signal], int] = {
    importance.gem: GEM,
    importance.gem_cv: GEM_CV,
    importance.iw: IW,
    importance.iw_ovis: IW_OVIS,
    importance.mb: MB,
    importance.one_hop: ONE_HOP,
}
"""Signals as numbers. Any other is :data:`ASKED` for when a block of steps has ended, and its weights still rest."""


@njit(nogil=True)
def fill(rule, log_weights, hidden, visible):  # pragma: no cover (compiled)
    """The signals of hidden and visible neurons, ``[K]``, from log-weights ``[K]``."""
    count = len(log_weights)
    top = log_weights.max()
    whole = 0.0
    for k in range(count):
        whole += math.exp(log_weights[k] - top)
    for k in range(count):
        share = math.exp(log_weights[k] - top) / whole
        visible[k] = 1 / count if rule == MB else share
        if rule == GEM:
            hidden[k] = share
        elif rule == GEM_CV:
            hidden[k] = share - 1 / count
        elif rule == ONE_HOP:
            hidden[k] = 0
        elif count == 1:
            hidden[k] = log_weights[k]
        elif rule == MB:
            hidden[k] = (log_weights[k] - log_weights.mean()) / (count - 1)
        elif rule == IW:
            mean = (log_weights.sum() - log_weights[k]) / (count - 1)
            bound = top + math.log(whole / count)
            hidden[k] = bound - (_log_sum_of_others(log_weights, k, mean) - math.log(count))
        else:
            bound = top + math.log(whole / count)
            hidden[k] = bound - (_log_sum_of_others(log_weights, k, -np.inf) - math.log(count - 1))


@njit(nogil=True)
def _log_sum_of_others(log_weights, skip, instead):  # pragma: no cover (compiled)
    """``log (exp(instead) + sum_{k != skip} exp v[k])``."""
    top = instead
    for k in range(len(log_weights)):
        if k != skip:
            top = max(top, log_weights[k])
    total = math.exp(instead - top)
    for k in range(len(log_weights)):
        if k != skip:
            total += math.exp(log_weights[k] - top)
    return top + math.log(total)
