"""Whether confidence tells what a network knows from what it does not: two sets of confidences side by side."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn.errors import InputError


class Area(NamedTuple):
    """The area under the ROC curve, and its standard error."""

    area: float
    error: float


def auroc(known: Tensor, unknown: Tensor) -> Area:
    """How often a known recording's confidence lies above an unknown one's: 1 always, 0.5 no telling, 0 never.

    ``A = (#{c_i > d_j} + #{c_i = d_j} / 2) / n m`` over all pairs of confidences ``c [n]`` and ``d [m]``. Its standard
    error follows J. A. Hanley and B. J. McNeil (Radiology 143, 1982):
    ``sqrt((A (1 - A) + (n - 1) (Q1 - A^2) + (m - 1) (Q2 - A^2)) / n m)`` with ``Q1 = A / (2 - A)`` and
    ``Q2 = 2 A^2 / (1 + A)``; 0 where ``A`` is 0 or 1, or nearly so where it is near them.

    Args:
        known: confidences ``[n]``.
        unknown: confidences ``[m]``.

    Raises:
        InputError: one of them is empty, has another shape, or holds NaN.
    """
    for name, values in (("known", known), ("unknown", unknown)):
        if values.ndim != 1 or not len(values) or bool(values.isnan().any()):
            raise InputError(
                f"{name} must be one confidence a recording, without NaN, not {list(values.shape)}"
            )
    mine, theirs = known.double(), unknown.double().sort().values
    below = torch.searchsorted(theirs, mine).double()
    equal = torch.searchsorted(theirs, mine, right=True).double() - below
    n, m = len(known), len(unknown)
    area = float((below + equal / 2).sum()) / (n * m)
    above, under = area / (2 - area), 2 * area * area / (1 + area)
    variance = area * (1 - area) + (n - 1) * (above - area * area) + (m - 1) * (under - area * area)
    return Area(area, math.sqrt(max(variance, 0.0) / (n * m)))
