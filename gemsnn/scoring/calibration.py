"""How much of a calibration error is chance, and what abstaining is worth: numbers beside the curves.

With few recordings an expected calibration error is above zero however honest the claims are. Cell m of a reliability
diagram (:func:`gemsnn.scoring.metrics.reliability`) holds ``n_m`` recordings of mean confidence ``c_m``, of which the
share ``a_m`` is right. Were the claims right, ``B / n_m`` of them would be right with ``B ~ Bin(n_m, c_m)``; the error
that is then expected is

    ``chance = sum_m (n_m / n) E |B / n_m - c_m|``.

The same reasoning about the shares that were found, ``B ~ Bin(n_m, a_m)``, tells how much too large the error is on
average, and without that it is

    ``debiased = max(0, 2 ECE - sum_m (n_m / n) E |B / n_m - c_m|)``

(a bootstrap estimate of the bias, whose expectation is taken exactly; A. Kumar, P. Liang and T. Ma, "Verified
Uncertainty Calibration", NeurIPS 2019, debias errors so, in the normal approximation). It varies more than the plain
error does.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from gemsnn.scoring import metrics
from gemsnn.scoring.metrics import Reliability, SelectiveAccuracy
from gemsnn.scoring.scores import Calibration


def calibration(probabilities: Tensor, labels: Tensor) -> Calibration:
    """Numbers beside the curves of answers ``[n, C]``."""
    cells = metrics.reliability(probabilities, labels)
    return Calibration(
        error_by_chance(cells),
        debiased_error(cells),
        risk_area(metrics.selective_accuracy(probabilities, labels)),
    )


def error_by_chance(cells: Reliability) -> float:
    """The expected calibration error of claims that are right, on so many recordings."""
    filled = cells.count > 0
    return _expected(cells.count[filled], cells.confidence[filled], cells.confidence[filled])


def debiased_error(cells: Reliability) -> float:
    """The expected calibration error without what chance adds to it on average, and not below 0."""
    filled = cells.count > 0
    count, claimed, reached = cells.count[filled], cells.confidence[filled], cells.accuracy[filled]
    plain = float((count * (reached - claimed).abs()).sum() / count.sum())
    return max(0.0, 2 * plain - _expected(count, reached, claimed))


def _expected(count: Tensor, share: Tensor, claimed: Tensor) -> float:
    """``sum_m (n_m / n) E |Bin(n_m, share_m) / n_m - claimed_m|``."""
    total = 0.0
    for n, right, said in zip(count.tolist(), share.clamp(0, 1).tolist(), claimed.tolist(), strict=True):
        found = np.arange(round(n) + 1)
        total += float((stats.binom.pmf(found, round(n), right) * np.abs(found / n - said)).sum()) * n
    return total / float(count.sum())


def risk_area(curve: SelectiveAccuracy) -> float:
    """The area under the share of wrong answers against the share answered: the mean of the former over recordings.

    ``sum_g (coverage_g - coverage_(g-1)) (1 - accuracy_g)``: 0 where all answers are right; of confidences that tell
    nothing it is the share of wrong answers (Y. Geifman, G. Uziel and R. El-Yaniv, "Bias-Reduced Uncertainty Estimation
    for Deep Neural Classifiers", ICLR 2019).
    """
    steps = torch.diff(curve.coverage, prepend=curve.coverage.new_zeros(1))
    return float((steps * (1 - curve.accuracy)).sum())
