"""An alarm where the world has changed: betting against the exchangeability of recordings, without labels.

*The p-values.* Each new recording has a score, larger where it is stranger: its entropy, say. Among a pool ``R`` of m
earlier scores, of calibration and of the stream, with a number ``u`` in [0, 1] drawn for it,

    ``p = (#{s in R: s > s_n} + u (1 + #{s in R: s = s_n})) / (m + 1)``  (as :func:`gemsnn.scoring.conformal.p_values`).

As long as all recordings are exchangeable, and every score joins the pool, the p-values are independent and uniform in
[0, 1] (V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", 2005). So they stay where the
pool is bounded, provided that what leaves it is drawn by lot: once it holds ``most`` scores, one of these *and the new
one*, all with the same chance, is dropped, by a second number ``v``. For given the ``most + 1`` scores, p depends on
nothing but which of them is the new one, and that is as likely to be each; what stays depends on the lot alone. So p is
uniform given all that later p-values are made of. (A pool that keeps its first scores, or its newest, has no such
proof: then what p-values have been says something of those to come.)

*The bets.* A capital of 1 is bet on the p-values. The Simple Jumper divides it among three, ``e`` in {-1, 0, 1}, which
bet that p is small, that it is uniform, and that it is large; before each bet, a share ``J`` is divided anew:

    ``C_e <- (1 - J) C_e + J / 3 sum_e C_e``,  then  ``C_e <- C_e (1 + e (p - 1/2))``.

The Composite Jumper is the mean over ``J`` in {1e-4, 1e-3, 1e-2, 1e-1, 1}: the last never bets. (V. Vovk, I. Petej,
I. Nouretdinov, E. Ahlberg, L. Carlsson and A. Gammerman, "Retrain or Not Retrain: Conformal Test Martingales for
Change-Point Detection", PMLR 152, 2021, arXiv 2102.10439.) On independent uniform p-values the capital is a martingale,
so the probability that it *ever* reaches ``1 / rate`` is at most the rate, in a stream without end (J. Ville). Then the
alarm is raised, and stays so: what comes after is another stream, with a calibration of its own.

*Several scores.* Each of k scores has its own pool and capital, and the alarm is raised when the *largest* capital
reaches ``k / rate``: at most the rate, by the sum of k probabilities, whatever the scores have to do with each other.
The mean of the capitals would reach ``1 / rate`` earlier, but promises nothing. Each is a martingale given its own
p-values, and none given those of another score too, which may say more of what is to come (Y. J. Choe and A. Ramdas,
"Combining Evidence Across Filtrations", arXiv 2402.09698; tests/test_alarm.py has a case of three recordings).

What the alarm cannot tell: a world that had changed before calibration; a change that leaves the distribution of the
scores as it is; and one so slow that the pool has become used to it.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, Probability, Range, Share

BETS = np.array([-1.0, 0.0, 1.0])
"""``e``: on small p-values, on none, on large ones."""

JUMPS = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
"""``J``."""

Heard = Annotated[int, Range(0, 2**62)]


# -- capital -----------------------------------------------------------------------------------------------


class Capital(NamedTuple):
    """Of Composite Jumpers, any number of them side by side.

    Attributes:
        logs: of the capital of each ``J``, float64 ``[.., J]``.
        shares: of it that each ``e`` holds, float64 ``[.., J, E]``.
    """

    logs: NDArray[np.float64]
    shares: NDArray[np.float64]

    @property
    def log(self) -> NDArray[np.float64]:
        """Of the mean over ``J``, float64 ``[..]``."""
        return np.logaddexp.reduce(self.logs, -1) - math.log(self.logs.shape[-1])


def begun(*shape: int) -> Capital:
    """A capital of 1 for each."""
    logs = np.zeros((*shape, len(JUMPS)))
    return Capital(logs, np.full((*logs.shape, len(BETS)), 1 / len(BETS)))


def bet(capital: Capital, p_values: ArrayLike) -> Capital:
    """What comes of a capital when the next p-values, ``[..]``, are known."""
    p = np.asarray(p_values, np.float64)[..., None, None]
    jump = JUMPS[:, None]
    held = ((1 - jump) * capital.shares + jump / len(BETS)) * (1 + BETS * (p - 0.5))
    grown = held.sum(-1)
    return Capital(capital.logs + np.log(grown), held / grown[..., None])


# -- the pool ----------------------------------------------------------------------------------------------


def p_value(pool: Sequence[float], score: float, u: float) -> float:
    """``p`` of a score among those of a pool, which rise."""
    first, last = bisect.bisect_left(pool, score), bisect.bisect_right(pool, score)
    return (len(pool) - last + u * (1 + last - first)) / (len(pool) + 1)


def join(pool: list[float], score: float, most: int, v: float) -> None:
    """Put a score into a pool; where that is full, drop one of all these by the lot ``v``.

    The chances are the same but for the grain of ``v``: of 2^-23, :mod:`gemsnn.rng`'s, and 20,001 scores, by 1 in 400.
    """
    bisect.insort(pool, score)
    if len(pool) > most:
        del pool[min(int(v * len(pool)), most)]


# -- the alarm ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AlarmSpec:
    """When an alarm is raised.

    Attributes:
        rate: the probability that it is ever raised while nothing has changed, at most.
        most: scores that are held, of each kind.
    """

    rate: Probability = 0.01
    most: Count = 20_000

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)


class Watch(NamedTuple):
    """What one recording has come to.

    Attributes:
        p_values: of its k scores.
        log_capitals: of each score by itself, in nats, after it.
        log_capital: of all together: the largest, less ``log k``.
        raised: the recording, from 0, that raised the alarm, or ``None``.
    """

    p_values: tuple[float, ...]
    log_capitals: tuple[float, ...]
    log_capital: float
    raised: int | None


class Alarm:
    """Watches a stream of recordings.

    Args:
        calibration: scores of recordings that nothing was learned from, ``[n, k]``, at most ``most`` of each kind.
        spec: when it is raised.

    Attributes:
        heard: recordings of the stream so far.
        raised: the one that raised the alarm, or ``None``.

    Raises:
        InputError: these are no scores, or too many.
    """

    def __init__(self, calibration: Tensor, spec: AlarmSpec | None = None) -> None:
        self.spec = AlarmSpec() if spec is None else spec
        checks.floats(calibration, "the calibration scores", "[n, k]", 2)
        checks.no_nan(calibration, "the calibration scores")
        if len(calibration) > self.spec.most:
            raise InputError(
                f"the calibration scores must be at most {self.spec.most}, as many as are held, not {len(calibration)}"
            )
        self.heard = 0
        self.raised: int | None = None
        self._pools: list[list[float]] = calibration.double().sort(0).values.T.tolist()
        self._capital = begun(len(self._pools))

    def step(self, scores: Sequence[float], u: Sequence[float], v: Sequence[float]) -> Watch:
        """The next recording.

        Args:
            scores: k numbers, larger where it is stranger.
            u: as many numbers in [0, 1] that break ties.
            v: as many that say what leaves the pools; not those of ``u``, or the p-values are no longer independent.
                ``u, v = rng.uniforms(seed, address, range(heard, heard + 1), 2, k)[0, 0].tolist()`` has addresses.

        Raises:
            InputError: a score is no finite number, or the numbers are not k, or not in [0, 1].
        """
        found = self._numbers(scores, float, "scores")
        ties, lots = self._numbers(u, Share, "u"), self._numbers(v, Share, "v")
        p = tuple(p_value(*each) for each in zip(self._pools, found, ties, strict=True))
        for pool, score, lot in zip(self._pools, found, lots, strict=True):
            join(pool, score, self.spec.most, lot)
        self._capital = bet(self._capital, p)
        logs = tuple(self._capital.log.tolist())
        joint = max(logs) - math.log(len(logs))
        if self.raised is None and joint >= -math.log(self.spec.rate):
            self.raised = self.heard
        self.heard += 1
        return Watch(p, logs, joint, self.raised)

    def _numbers(self, given: Sequence[float], kind: Any, name: str) -> list[float]:
        """One for each kind of score."""
        if len(given) != len(self._pools):
            raise InputError(f"{name} must be {len(self._pools)} numbers, one a score, not {len(given)}")
        return [float(checks.number(value, kind, f"each of {name}")) for value in given]

    def state(self) -> dict[str, Any]:
        """All that goes on, to the bit, of numbers, texts and lists alone, as JSON holds them."""
        return {
            "heard": self.heard,
            "raised": self.raised,
            "pools": [list(pool) for pool in self._pools],
            "logs": self._capital.logs.tolist(),
            "shares": self._capital.shares.tolist(),
        } | vars(self.spec)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` of one with the same settings has returned.

        Raises:
            InputError: it is the state of another, or damaged.
        """
        checks.same(state, self.spec, "the saved alarm")
        heard = checks.number(state.get("heard"), Heard, "heard of the saved alarm")
        before: Any = Annotated[int, Range(0, heard - 1)]
        raised = checks.number(state.get("raised"), before | None, "raised of the saved alarm")
        pools = checks.number(state.get("pools"), tuple[tuple[float, ...], ...], "pools of the saved alarm")
        logs = _array(state.get("logs"), self._capital.logs, "logs of the saved alarm")
        shares = _array(state.get("shares"), self._capital.shares, "shares of the saved alarm")
        sizes = {len(pool) for pool in pools}
        if len(pools) != len(self._pools) or len(sizes) != 1 or not 0 < max(sizes) <= self.spec.most:
            raise InputError(
                f"pools of the saved alarm must be {len(self._pools)} of the same size, at most {self.spec.most}"
            )
        if (shares < 0).any() or not np.allclose(shares.sum(-1), 1):
            raise InputError("shares of the saved alarm must be parts of a whole")
        self.heard, self.raised = heard, raised
        self._pools = [sorted(map(float, pool)) for pool in pools]
        self._capital = Capital(logs, shares)


def _array(saved: Any, like: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Nested lists of numbers, in the shape of an array."""
    kind: Any = float
    for _ in like.shape:
        kind = tuple[kind, ...]
    rows = checks.number(saved, kind, name)
    try:
        found = np.array(rows, np.float64)
    except ValueError:  # rows of several lengths
        found = np.empty(0)
    if found.shape != like.shape:
        raise InputError(f"{name} must have the shape {list(like.shape)}")
    return found
