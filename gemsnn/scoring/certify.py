"""A certificate fitted on recordings that nothing was learned from, applied to others, and scored there.

A certificate (:mod:`gemsnn.scoring.promise`) holds limits for the set of classes at the end of a recording
(:mod:`gemsnn.scoring.conformal`), and those by which a recording is answered early (:mod:`gemsnn.scoring.early`). Both
are of the answers of K compartments, by one decoder, at one temperature, from one seed: of other answers it promises
nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.scoring import conformal, early, metrics
from gemsnn.scoring.conformal import Risk, ScoreName
from gemsnn.scoring.early import Rule, Stops
from gemsnn.scoring.evaluate import Poll
from gemsnn.scoring.familiar import NONE, Surprises
from gemsnn.scoring.promise import FORMAT, Asked, Certificate
from gemsnn.specs import checks
from gemsnn.specs.checks import Count


class Certified(NamedTuple):
    """What a certificate makes of recordings.

    Attributes:
        sets: the classes at the end, bool ``[n, C]``.
        stops: when each was answered early, and how; checkpoints by their number.
        bins: that had passed by then, int64 ``[n]``.
    """

    sets: Tensor
    stops: Stops
    bins: Tensor


class CertifiedScores(msgspec.Struct, frozen=True):
    """How a certificate fares on labelled recordings.

    Attributes:
        risk: that was promised.
        recordings: how many were asked.
        covered: share whose right class is in the set at the end.
        size: classes of a set at the end, on average.
        single: share of the sets at the end that hold one class.
        missed: share that was answered wrongly, or left with a set without the right class, by the early rule.
        answered: share that the early rule answered.
        right: share of those that is right; ``None`` where none was answered.
        seconds: until the early answer, or to the end where there was none, on average.
        whole_seconds: of the recordings, on average.
        spread: the standard deviation of the share that is missed, over draws of as many recordings to fit on and to
            ask, where the promise is kept exactly; ``None`` of the rule ``answers``, which promises another share.
    """

    risk: float
    recordings: int
    covered: float
    size: float
    single: float
    missed: float
    answered: float
    right: float | None
    seconds: float
    whole_seconds: float
    spread: float | None

    def told(self) -> str:
        """In words that a person can use."""
        if self.right is None:
            early_words = "It answers none of them before their end."
        else:
            early_words = (
                f"Of recordings where it answers ({self.answered:.0%}), {self.right:.1%} are right, after "
                f"{self.seconds:.3g} s of {self.whole_seconds:.3g} s on average (those without an answer to their end)."
            )
        end = f"At the end the set holds the right class in {self.covered:.1%}, and {self.size:.2f} classes on average."
        if self.spread is None:
            return f"{early_words} You asked for at least {1 - self.risk:.1%}. {end}"
        return (
            f"{early_words} It misses the right class in {self.missed:.1%}; you asked for at most {self.risk:.1%}, "
            f"which varies by {self.spread:.1%} (one standard deviation) with so few recordings. {end}"
        )


def fit(
    asked: Asked,
    poll: Poll,
    address: NDArray[np.int64],
    *,
    begin: int,
    temperature: float,
    seed: int,
    surprises: Surprises = NONE,
    weights: str | None = None,
    fitted_on: str = "",
    assumes: tuple[str, ...] = (),
) -> Certificate:
    """The certificate of a poll on recordings that nothing was learned from.

    Half of them, drawn by the seed, give the levels of the early rule and the others its limit (``spikecp`` takes all
    for its limits); the limit of sets at the end is that of all of them.

    Args:
        asked: what is to be promised.
        poll: of the recordings, n of them.
        address: the recordings' own numbers, int64 ``[n]``; with the seed they address what is drawn.
        begin: the first observed bin.
        temperature: of the probabilities.
        seed: see above.
        surprises: of the recordings, where what is familiar is known.
        weights: the SHA-256 of the network's weights.
        fitted_on: the recordings, in words.
        assumes: what the promise rests on besides.

    Raises:
        InputError: there are too few recordings for the risk, or an argument makes no sense.
    """
    checks.number(asked.risk, Risk, "risk")
    checks.choice(asked.rule, Rule, "rule")
    checks.number(asked.checkpoints, Count, "checkpoints")
    steps, count = len(poll.by_time.logs), len(poll.labels)
    marks = np.linspace(begin, steps, min(asked.checkpoints, steps - begin) + 1)[1:]
    checkpoints = tuple(dict.fromkeys(round(float(at)) for at in marks))
    found = path_scores(asked.score, poll, address, checkpoints, temperature, seed)
    right = found[torch.arange(count), :, poll.labels]
    halves = torch.from_numpy(rng.generator(seed, "certificate").permutation(count)).tensor_split(2)
    risk = asked.risk / len(checkpoints) if asked.rule == "spikecp" else asked.risk
    used = count if asked.rule == "spikecp" else len(halves[1])
    if asked.rule == "answers":
        checks.number(asked.confidence, Risk, "confidence")
    elif conformal.rank(used, risk) > used:
        least = math.ceil(1 / risk) - 1
        needed = least if asked.rule == "spikecp" else 2 * least
        raise InputError(
            f"{count} recordings are too few to promise a risk of {asked.risk:g} by the rule {asked.rule} at "
            f"{len(checkpoints)} checkpoints; give at least {needed}, or a larger risk"
        )
    own: list[float] = []
    if asked.rule == "spikecp":
        reference, limits = torch.empty(0, 0), early.spikecp_limits(right, asked.risk).tolist()
    else:
        reference, others = right[halves[0]], halves[1]
        levels = early.levels(reference, found[others])
        names = poll.labels[others]
        if asked.rule == "answers":
            names_a = poll.labels[halves[0]]
            mine = early.levels(reference, found[halves[0]])
            limits = [early.answers_limit(mine, names_a, levels, names, asked.risk, asked.confidence)]
        else:
            mine = early.own_limits(asked.rule, levels, names)
            own, limits = mine.tolist(), [conformal.limit(mine, asked.risk)]
    if asked.by_class:
        classes = found.shape[2]
        ends = conformal.limits_by_class(right[:, -1], poll.labels, classes, asked.risk).tolist()
    else:
        ends = [conformal.limit(right[:, -1], asked.risk)]
    by_time = poll.by_time.logs[_moments(poll, checkpoints)]
    return Certificate(
        format=FORMAT,
        risk=asked.risk,
        score=asked.score,
        rule=asked.rule,
        confidence=asked.confidence if asked.rule == "answers" else None,
        recordings=count,
        compartments=poll.votes.shape[1],
        decoder=poll.decoder,
        seed=seed,
        temperature=temperature,
        begin=begin,
        checkpoints=checkpoints,
        temperatures=tuple(metrics.fitted_temperature(logs, poll.labels) for logs in by_time),
        reference=tuple(map(tuple, reference.tolist())),
        own=tuple(own),
        limits=tuple(_finite(limit) for limit in limits),
        scores=tuple(right[:, -1].tolist()),
        set_limits=tuple(_finite(limit) for limit in ends),
        doubts=tuple((1 - poll.by_time.tempered(temperature).probabilities[-1].amax(1)).tolist()),
        came=tuple(poll.came.tolist()),
        surprises=_kept(surprises.hidden),
        input_surprises=_kept(surprises.inputs),
        weights=weights,
        fitted_on=fitted_on,
        assumes=("new recordings are drawn as those were that it was fitted on (exchangeability)", *assumes),
    )


def path_scores(
    score: ScoreName,
    poll: Poll,
    address: NDArray[np.int64],
    checkpoints: tuple[int, ...],
    temperature: float,
    seed: int,
) -> Tensor:
    """Scores of classes at checkpoints, float64 ``[n, N, C]``; a recording that has ended keeps its answer."""
    at = _moments(poll, checkpoints)
    shares = poll.by_time.tempered(temperature).probabilities[at].transpose(0, 1)
    uniform = [rng.generator(seed, "conformal", int(number)).random() for number in address]
    drawn = torch.tensor(uniform, dtype=torch.float64)[:, None].expand(shares.shape[:2])
    return conformal.scores(score, shares, drawn)


def _moments(poll: Poll, checkpoints: tuple[int, ...]) -> Tensor:
    last = len(poll.by_time.logs) - 1
    return torch.tensor([min(bins - 1, last) for bins in checkpoints])


def check_poll(certificate: Certificate, poll: Poll, temperature: float | None, seed: int) -> None:
    """Raise :class:`InputError` where answers are others than those that a certificate is about."""
    certificate.check(poll.votes.shape[1], poll.decoder, seed)
    if certificate.temperature != temperature:
        raise InputError(
            f"the certificate is about answers at temperature {certificate.temperature:.3g}, not {temperature}; "
            "certify these"
        )


def apply(certificate: Certificate, poll: Poll, address: NDArray[np.int64]) -> Certified:
    """What the certificate makes of recordings; see :func:`check_poll` for whether it may.

    Args:
        certificate: the limits.
        poll: of the recordings.
        address: their own numbers, int64 ``[n]``.
    """
    how = (certificate.checkpoints, certificate.temperature, certificate.seed)
    found = path_scores(certificate.score, poll, address, *how)
    limits = bounds(certificate.limits)
    values, limit = found, limits
    if certificate.reference:
        values = early.levels(torch.tensor(certificate.reference, dtype=torch.float64), found)
        limit = limits[0]
    stopped = early.stops(values, poll.labels, limit)
    bins = torch.tensor(certificate.checkpoints)[stopped.checkpoint]
    return Certified(found[:, -1] <= bounds(certificate.set_limits), stopped, bins)


def strangeness(certificate: Certificate, found: Surprises) -> Surprises:
    """P-values of recordings by their surprises, float64 ``[n]``, small where one is strange.

    Of a recording that comes as those did that the certificate was fitted on, each is at most ``a`` with probability
    at most ``a``.

    Raises:
        InputError: the certificate knows of no such surprises.
    """

    def p_values(held: tuple[float, ...], values: Tensor | None) -> Tensor | None:
        if values is None:
            return None
        if not held:
            raise InputError("the certificate does not know what is familiar; certify the run anew")
        return conformal.p_values(torch.tensor(held, dtype=torch.float64), values)

    return Surprises(
        p_values(certificate.surprises, found.hidden), p_values(certificate.input_surprises, found.inputs)
    )


def bounds(limits: tuple[float | None, ...]) -> Tensor:
    """Limits as numbers, float64: infinite where there is none."""
    return torch.tensor([math.inf if limit is None else limit for limit in limits], dtype=torch.float64)


def score(
    certificate: Certificate, found: Certified, labels: Tensor, lengths: Tensor, bin_us: int
) -> CertifiedScores:
    """How the certificate fares on recordings of these labels and lengths in bins, both int64 ``[n]``."""
    rows, stopped = torch.arange(len(labels)), found.stops
    answered = stopped.answered
    waited = torch.minimum(found.bins, lengths).double()
    right = (~stopped.misses)[answered].double()
    return CertifiedScores(
        risk=certificate.risk,
        recordings=len(labels),
        covered=float(found.sets[rows, labels].double().mean()),
        size=float(found.sets.sum(1).double().mean()),
        single=float((found.sets.sum(1) == 1).double().mean()),
        missed=float(stopped.misses.double().mean()),
        answered=float(answered.double().mean()),
        right=float(right.mean()) if len(right) else None,
        seconds=float(waited.mean()) * bin_us * 1e-6,
        whole_seconds=float(lengths.double().mean()) * bin_us * 1e-6,
        spread=None if certificate.rule == "answers" else _spread(certificate, len(labels)),
    )


def _spread(certificate: Certificate, asked: int) -> float:
    """What theory says of the share that is missed, of the recordings that gave the early limit."""
    used = certificate.recordings - len(certificate.reference)
    return conformal.coverage_law(used, certificate.risk, asked).deviation_of_tested


def _finite(limit: float) -> float | None:
    """A limit as JSON has it: no limit is ``None``, and of one below all levels the least number there is."""
    return None if math.isinf(limit) and limit > 0 else limit


def _kept(values: Tensor | None) -> tuple[float, ...]:
    return () if values is None else tuple(values.tolist())
