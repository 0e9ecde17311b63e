"""A limit that follows the stream: how often the right class is missed, in the long run, whatever comes.

Where recordings are no longer exchangeable with those of calibration, the promise of :mod:`gemsnn.scoring.conformal`
is void. Where labels are told afterwards, the risk that the limit is taken at can follow what was missed: adaptive
conformal inference (I. Gibbs and E. Candes, "Adaptive Conformal Inference Under Distribution Shift", arXiv 2106.00170).
With the wanted risk ``a``, a step ``g`` and ``err_t = 1`` where the right class of recording t was not in its set,

    ``a_1 = a``,  ``a_(t+1) = a_t + g (a - err_t)``,  and so  ``a_(T+1) = a + g (T a - sum_t err_t)``.

The set of recording t is ``{c: s(x_t, c) <= Q_t}``. ``Q_t`` is :func:`gemsnn.scoring.conformal.limit` at the *level*
``a_t``; at a level of 0 or less it is infinite, so that all classes are in the set and nothing is missed, and at 1 or
more it is minus infinity, so that none is. A level thus never leaves ``[-g (1 - a), 1 + g a]``, from which follows for
*any* sequence of scores, one that an adversary chooses with all limits known as well,

    ``|sum_t err_t / T - a| <= (max(a, 1 - a) + g) / (g T)``  (their Proposition 4.1, with ``a_1 = a``).

That is all: it says nothing of one recording, nothing of stretches shorter than ``1 / g``, and it counts the recordings
whose labels were told, no others. A larger step follows faster and varies more; as long as the recordings are
exchangeable, limits that stay are better.

The bound does not ask what ``Q_t`` is between the two ends. So newly labelled scores may take the places of old ones:
with ``most`` set, limits rest on the newest so many scores, those of calibration counted as the oldest.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, NamedTuple

from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.scoring import conformal
from gemsnn.scoring.conformal import Risk
from gemsnn.specs import checks
from gemsnn.specs.checks import MOST, Range

Told = Annotated[int, Range(0, 2**62)]


@dataclass(frozen=True)
class FollowingSpec:
    """How a limit follows.

    Attributes:
        risk: ``a``, how often the right class may be missed in the long run.
        step: ``g``, how far a miss lowers the level.
        most: scores that limits rest on, the newest of those told; 0 for those of calibration for ever.
    """

    risk: Risk = 0.1
    step: Annotated[float, Range(above=0, below=1)] = 0.01
    most: Annotated[int, Range(0, MOST)] = 0

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)


class Miss(NamedTuple):
    """What came of one recording whose label was told.

    Attributes:
        missed: whether the right class was not in the set.
        limit: that the set was made with.
        level: that the limit was taken at.
    """

    missed: bool
    limit: float
    level: float


class Following:
    """A limit that follows what is told.

    Args:
        right: the scores of right classes of calibration recordings, ``[n]``; the newest of them last.
        spec: how it follows.

    Attributes:
        told: recordings whose labels have been told.
        missed: those of them whose right class was missed.

    Raises:
        InputError: these are no scores.
    """

    def __init__(self, right: Tensor, spec: FollowingSpec | None = None) -> None:
        self.spec = FollowingSpec() if spec is None else spec
        checks.floats(right, "the scores of right classes", "[n]", 1)
        checks.no_nan(right, "the scores of right classes")
        self.told = self.missed = 0
        self._hold(right.double().tolist())

    def _hold(self, scores: list[float]) -> None:
        self._arrived = deque(scores[-self.spec.most :])  # of 0 all
        self._sorted = sorted(self._arrived)

    @property
    def level(self) -> float:
        """``a_t``, from the counts alone, so that rounding does not add up."""
        risk, step = (Fraction(str(float(value))) for value in (self.spec.risk, self.spec.step))
        return float(risk + step * (self.told * risk - self.missed))

    @property
    def limit(self) -> float:
        """``Q_t``, what the score of a class may be at most in the set of the next recording."""
        level = self.level
        if level >= 1:
            return -math.inf
        if level <= 0:
            return math.inf
        wanted = conformal.rank(len(self._sorted), level)
        return math.inf if wanted > len(self._sorted) else self._sorted[wanted - 1]

    @property
    def bound(self) -> float:
        """How far the share of misses can be from the risk by now, whatever has come; infinite before anything has."""
        risk, step = self.spec.risk, self.spec.step
        return (max(risk, 1 - risk) + step) / (step * self.told) if self.told else math.inf

    def tell(self, score: float) -> Miss:
        """The label of the next recording is known: follow.

        Args:
            score: of its right class.

        Raises:
            InputError: it is no finite number.
        """
        score = float(checks.number(score, float, "the score of the right class"))
        level, limit = self.level, self.limit
        missed = score > limit
        self.told, self.missed = self.told + 1, self.missed + missed
        if self.spec.most:
            if len(self._arrived) == self.spec.most:
                del self._sorted[bisect.bisect_left(self._sorted, self._arrived.popleft())]
            self._arrived.append(score)
            bisect.insort(self._sorted, score)
        return Miss(missed, limit, level)

    def state(self) -> dict[str, Any]:
        """All that goes on, to the bit, of numbers, texts and lists alone, as JSON holds them."""
        return {"told": self.told, "missed": self.missed, "scores": list(self._arrived)} | vars(self.spec)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` of one with the same settings has returned.

        Raises:
            InputError: it is the state of another, or damaged.
        """
        checks.same(state, self.spec, "the saved limit")
        told = checks.number(state.get("told"), Told, "told of the saved limit")
        missed = checks.number(
            state.get("missed"), Annotated[int, Range(0, told)], "missed of the saved limit"
        )
        scores = checks.number(state.get("scores"), tuple[float, ...], "scores of the saved limit")
        if not scores or len(scores) > (self.spec.most or MOST):
            raise InputError(f"scores of the saved limit must be some, at most {self.spec.most or MOST}")
        self.told, self.missed = told, missed
        self._hold([float(score) for score in scores])
