"""What may be chance: errors of shares and scores, and whether two of them differ by more.

``n`` recordings of which a share ``p`` is right tell the chance of being right with the standard error
``sqrt(p (1 - p) / n)``. Where ``p`` is 0 or 1 that is 0, which says too much; Wilson's interval says what is known
(E. B. Wilson, JASA 22, 1927). Everywhere a difference is called one only beyond :data:`BEYOND` standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import Any

BEYOND = 2.0
"""Standard errors that may be chance."""

ENOUGH = 30
"""Recordings below which a group of them is not spoken of."""


def wilson(share: float, count: float, z: float = BEYOND) -> tuple[float, float]:
    """Wilson's interval of ``z`` standard errors on either side.

    ``(p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4 n^2)) / (1 + z^2 / n)``; with no recordings 0 to 1.
    """
    if count <= 0:
        return 0.0, 1.0
    wide = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    middle, whole = share + z * z / (2 * count), 1 + z * z / count
    return max(0.0, min(share, (middle - wide) / whole)), min(1.0, max(share, (middle + wide) / whole))


def consistent(claimed: float, count: int, z: float = BEYOND) -> tuple[float, float]:
    """Between which shares the accuracy lies by chance where what is claimed is right.

    The quantiles ``Phi(-z)`` and ``Phi(z)`` of ``X / n`` with X binomial of n recordings and the claimed share, the
    exact ones: beyond either lies no more than ``Phi(-z)``. (J. Broecker and L. A. Smith, "Increasing the Reliability
    of Reliability Diagrams", Weather and Forecasting 22, 2007, who draw them by resampling.) With no recordings 0 to 1.
    """
    if count <= 0:
        return 0.0, 1.0
    import numpy as np
    from scipy.special import bdtr  # which takes a while to load, and reports do without it

    below = bdtr(np.arange(count + 1), count, claimed)
    tail = NormalDist().cdf(-z)
    low, high = np.searchsorted(below, [tail, 1 - tail])
    return float(low / count), float(min(high, count) / count)


def half_width(share: float, count: float) -> float:
    """Half of Wilson's interval of one standard error: nearly ``sqrt(p (1 - p) / n)``, and not 0 where p is 0 or 1.

    The error of a calibration error is about this or less: the accuracies of its cells vary independently, and the sum
    over cells of ``n_i p_i (1 - p_i)`` is at most ``n p (1 - p)``.
    """
    low, high = wilson(share, count, 1.0)
    return (high - low) / 2


def compare_shares(first: float, first_count: float, second: float, second_count: float) -> int:
    """1 where the first share is larger beyond chance, -1 where it is smaller, else 0.

    For independent samples, by the interval of the difference of R. G. Newcombe (Statistics in Medicine 17, 1998,
    method 10). Where the same recordings give both shares it is cautious.
    """
    if first < second:
        return -compare_shares(second, second_count, first, first_count)
    low, high = wilson(first, first_count)[0], wilson(second, second_count)[1]
    return int(first - second > math.hypot(first - low, high - second))


def compare_means(first: float, first_error: float, second: float, second_error: float) -> int:
    """1 where the first number is larger beyond :data:`BEYOND` errors of the difference, -1 where smaller, else 0.

    The error of the difference is ``sqrt(e1^2 + e2^2)``, as of independent samples.
    """
    difference = first - second
    if abs(difference) <= BEYOND * math.hypot(first_error, second_error):
        return 0
    return 1 if difference > 0 else -1


def calibration_by_chance(cells: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """Mean and standard deviation of the calibration error that a perfectly calibrated network would show.

    In a cell of ``n`` recordings and confidence ``c`` the accuracy is ``X / n`` with X binomial, and
    ``E |X - n c| = 2 v C(n, v) c^v (1 - c)^(n - v + 1)`` with ``v = floor(n c) + 1`` (A. de Moivre, 1730). So it is not
    0, however well calibrated a network is, and the larger the fewer recordings there are.
    """
    filled = [cell for cell in cells if cell["count"] and cell["confidence"] is not None]
    total = sum(cell["count"] for cell in filled)
    mean, variance = 0.0, 0.0
    for cell in filled:
        count, claimed = cell["count"], min(max(cell["confidence"], 0.0), 1.0)
        weight, away = count / total, _mean_deviation(count, claimed)
        mean += weight * away
        variance += weight * weight * max(0.0, claimed * (1 - claimed) / count - away * away)
    return mean, math.sqrt(variance)


def _mean_deviation(count: int, share: float) -> float:
    """``E |X / n - p|`` of a binomial X."""
    if not 0 < share < 1:
        return 0.0
    v = min(math.floor(count * share) + 1, count)
    log = math.lgamma(count + 1) - math.lgamma(v + 1) - math.lgamma(count - v + 1)
    log += v * math.log(share) + (count - v + 1) * math.log1p(-share)
    return 2 * v * math.exp(log) / count
