# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""The learning signals of :mod:`gemsnn.rules.base`, compiled for the cpu kernel. Compiled at first use."""

from __future__ import annotations

import math

import numpy as np

from gemsnn.machine.compiled import njit

GEM, GEM_CV, IW, IW_OVIS, MB, ONE_HOP = range(6)
CODES = {
    "gem": GEM, "gem-cv": GEM_CV, "iw": IW, "iw-ovis": IW_OVIS, "mb": MB, "one-hop": ONE_HOP, "one-hop-gem": GEM_CV
}  # fmt: skip
"""Rules by name, as numbers."""


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
