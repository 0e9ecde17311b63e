"""Sets of classes that hold the right one with a promised probability: split conformal prediction.

A *score* ``s(x, c)`` says how ill a class suits a recording. Of n recordings that nothing was learned from, the scores
of the right classes are ``s_1 .. s_n``; the set of a new recording is ``{c: s(x, c) <= Q}`` with

    ``Q`` = the ``ceil((1 - risk) (n + 1))``-th smallest of them, infinite where there are not so many.

If those recordings and the new one are exchangeable (as draws from one world are, in whatever order), the right class
is in the set with probability at least ``1 - risk``, and at most ``1 - risk + 1 / (n + 1)`` where no two scores are the
same: whatever the network is worth, and however it was calibrated (V. Vovk, A. Gammerman and G. Shafer, "Algorithmic
Learning in a Random World", 2005; J. Lei and others, "Distribution-Free Predictive Inference for Regression", 2018).
That is a mean over calibration recordings too; given n of them, the coverage is ``Beta(k, n + 1 - k)`` with that rank
``k``, see :func:`coverage_law`.

Where scores tie, as those of votes do, sets are larger than they need be. With a number ``u`` in (0, 1) drawn for each
recording, ties are broken at random (:func:`scores`, :func:`p_values`), and the promise is kept exactly.

======= ==================================================================================================
``lac`` ``1 - p(c)``: the smallest sets on average (M. Sadinle, J. Lei and L. Wasserman, "Least Ambiguous
        Set-Valued Classifiers with Bounded Error Levels", 2019)
``aps`` the probability of all classes ahead of ``c``, and ``u p(c)``: sets that grow where the answer is hard
        (Y. Romano, M. Sesia and E. Candes, "Classification with Valid and Adaptive Coverage", 2020)
======= ==================================================================================================
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import Range

ScoreName = Literal["lac", "aps"]
Risk = Annotated[float, Range(above=0, below=1)]

HAIR = 2.0**-32
"""By how much, at most, a tie is broken."""


def scores(name: ScoreName, probabilities: Tensor, uniform: Tensor) -> Tensor:
    """How ill each class suits, float64 ``[.., C]``, in [0, 1]; see the module's table.

    Classes of the same probability are one step of ``aps``: neither is ahead of the other. Of ``lac`` the number drawn
    for a recording breaks ties with other recordings, as answers by counted spikes have them, by a hair: its scores are
    ``(1 - p(c)) (1 - 2^-32 u)``. So no limit has to take all recordings of a tie or none.

    Args:
        name: ``lac`` or ``aps``.
        probabilities: ``[.., C]``.
        uniform: ``u [..]``, one number in [0, 1] for each recording.

    Raises:
        InputError: there is no such score, these are no probabilities, or the shapes do not fit.
    """
    checks.choice(name, ScoreName, "score")
    checks.distributions(probabilities, "the probabilities", "[.., C]")
    shares = probabilities.double()
    _check_uniform(uniform, shares.shape[:-1])
    if name == "lac":
        return (1 - shares) * (1 - HAIR * uniform.double())[..., None]
    mine, other = shares[..., :, None], shares[..., None, :]
    ahead = (other * (other > mine)).sum(-1)
    level = (other * (other == mine)).sum(-1)
    return (ahead + uniform.double()[..., None] * level).clamp(max=1.0)


def rank(count: int, risk: float) -> int:
    """``ceil((1 - risk) (n + 1))``, of the risk as it is written: 0.1 is a tenth."""
    checks.number(risk, Risk, "risk")
    return math.ceil((1 - Fraction(str(float(risk)))) * (count + 1))


def limit(right: Tensor, risk: float) -> float:
    """``Q``: what the score of a class may be at most, from the scores ``[n]`` of right classes.

    Infinite where n is so small that no limit could keep the promise: fewer than ``1 / risk - 1`` recordings.

    Raises:
        InputError: these are no scores, or the risk is none.
    """
    checks.floats(right, "the scores of right classes", "[n]", 1)
    checks.no_nan(right, "the scores of right classes")
    wanted = rank(len(right), risk)
    return math.inf if wanted > len(right) else float(right.double().sort().values[wanted - 1])


def limits_by_class(right: Tensor, labels: Tensor, classes: int, risk: float) -> Tensor:
    """A limit for each class, float64 ``[C]``, from the scores ``[n]`` of recordings of these classes ``[n]``.

    Then the promise holds for the recordings of each class by itself; it takes as many of each as of all without it.

    Raises:
        InputError: as :func:`limit`, or a label is no class.
    """
    checks.classes_of(labels, "the labels", "[n]", classes)
    checks.floats(right, "the scores of right classes", "[n]", 1)
    found = [right[labels == c] for c in range(classes)]
    return torch.tensor([limit(of, risk) if len(of) else math.inf for of in found], dtype=torch.float64)


def p_values(right: Tensor, found: Tensor, uniform: Tensor | None = None) -> Tensor:
    """How many recordings were as ill suited by their right class: float64, of the shape of ``found``.

    ``p(c) = (1 + #{i: s_i >= s(x, c)}) / (n + 1)``, and with ``uniform`` ties are broken at random:
    ``(#{i: s_i > s(x, c)} + u (1 + #{i: s_i = s(x, c)})) / (n + 1)``, which is uniform in [0, 1] for the right class.
    Without it, the classes with ``p(c) > risk`` are those whose score is at most :func:`limit`.

    Args:
        right: the scores of right classes, ``[n]``.
        found: scores, ``[.., C]``.
        uniform: ``[..]``, for each recording.

    Raises:
        InputError: these are no scores, or the shapes do not fit.
    """
    checks.floats(right, "the scores of right classes", "[n]", 1)
    checks.no_nan(right, "the scores of right classes")
    checks.floats(found, "the scores", "[.., C]")
    checks.no_nan(found, "the scores")
    held, values = right.double().sort().values, found.double().contiguous()
    above = len(held) - torch.searchsorted(held, values, right=True)
    level = len(held) - torch.searchsorted(held, values) - above
    if uniform is None:
        return (1 + above + level).double() / (len(held) + 1)
    _check_uniform(uniform, values.shape[:-1])
    return (above + uniform.double()[..., None] * (1 + level)) / (len(held) + 1)


class Coverage(NamedTuple):
    """How much of a world a limit covers, over calibration recordings drawn from it.

    Attributes:
        mean: ``k / (n + 1)`` with the rank ``k``.
        deviation: of one draw of n calibration recordings, all of the world asked.
        deviation_of_tested: of one draw of them and of m test recordings: beta-binomial.
    """

    mean: float
    deviation: float
    deviation_of_tested: float


def coverage_law(count: int, risk: float, tested: int) -> Coverage:
    """What theory says of the coverage, where no scores tie: ``Beta(k, n + 1 - k)``, of m tested beta-binomial.

    Raises:
        InputError: so few recordings have no limit.
    """
    first = rank(count, risk)
    second = count + 1 - first
    if second < 1:
        raise InputError(
            f"{count} recordings have no limit of risk {risk}: give at least {math.ceil(1 / risk) - 1}"
        )
    mean = first / (count + 1)
    variance = mean * (1 - mean) / (count + 2)
    return Coverage(mean, variance**0.5, (variance + (mean * (1 - mean) - variance) / tested) ** 0.5)


def _check_uniform(uniform: Tensor, shape: torch.Size) -> None:
    checks.floats(uniform, "uniform", "[..]")
    if uniform.shape != shape or not bool(((uniform >= 0) & (uniform <= 1)).all()):
        raise InputError(
            f"uniform must be numbers in [0, 1], one for each of {list(shape)} recordings, not {checks.told(uniform)}"
        )
