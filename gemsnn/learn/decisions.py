"""What a stream answers: how it is asked to, what its neurons did, and what a decoder makes of that.

The same decoders as for presentations (:mod:`gemsnn.scoring.answers`), here after every step of a window that moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from torch import Tensor

from gemsnn.learn.certified import Verdict
from gemsnn.scoring import metrics, mixtures
from gemsnn.scoring.answers import Answers, likelihood_answers, rate_answers, share_answers
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, Range, Seed

Streaming = Literal["votes", "rates", "mixture", "pooled"]
"""The decoders of :mod:`gemsnn.scoring.answers` by which a stream can answer."""

Reason = Literal["silence"]
"""Why there is no answer."""


@dataclass(frozen=True)
class OnlineSpec:
    """How a learner answers.

    Attributes:
        compartments: K.
        window: bins whose output spikes are counted for a vote.
        every: bins from one answer to the next.
        seed: addresses all noise.
        address: which of the noises of that seed.
        least_spikes: input spikes (or events, where bins hold counts) in the last ``window`` bins below which there is
            no answer; see :func:`gemsnn.scoring.evaluate.least_spikes_of`.
        readouts: how much each readout of a network that has several counts, see :func:`gemsnn.scoring.sampling.said`;
            by default the last alone.
        decoder: how compartments answer, see :mod:`gemsnn.scoring.answers`.
        temperature: of the probabilities, see :func:`gemsnn.scoring.metrics.tempered`; ``None`` for the bare shares.
    """

    compartments: Count = 10
    window: Count = 80
    every: Count = 1
    seed: Seed = 0
    address: Annotated[int, Range(0, 2**32 - 1)] = 0
    least_spikes: Annotated[int, Range(0, 2**63 - 1)] = 1
    readouts: Annotated[tuple[int, ...], Range(0, 127)] = ()
    decoder: Streaming = "votes"
    temperature: Annotated[float, Range(above=0)] | None = None

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)


class Decision(NamedTuple):
    """One answer.

    Attributes:
        bin: the last bin that it rests on, counted from 0.
        label: the class with most votes; at a tie the one with more output spikes, then at random; with the decoder
            rates, the one with most output spikes; with mixture and pooled, the most probable. ``None`` where there is
            no answer.
        reason: why there is none: ``"silence"``, where the inputs have spiked too little. Else ``None``.
        probabilities: float64 ``[V]``, the shares of the votes, with their ties broken by output spikes
            (:func:`gemsnn.scoring.metrics.break_ties`), or what another decoder makes of the window; ``1 / V`` each
            where there is no answer.
        entropy: of the shares, in nats: 0 where all compartments (or all output spikes) agree, ``log V`` at most and
            where there is no answer.
        votes: int64 ``[K]``, also where they are no answer.
        hidden_rate: spikes per hidden neuron, compartment and bin, since the answer before.
        target: the class that was told in this bin, or ``None``.
        verdict: what the learner's certificate makes of it, or ``None``.
    """

    bin: int
    label: int | None
    reason: Reason | None
    probabilities: Tensor
    entropy: float
    votes: Tensor
    hidden_rate: float
    target: int | None
    verdict: Verdict | None = None


class Activity(NamedTuple):
    """What the neurons of K compartments did in C steps.

    Attributes:
        hidden: spikes of the hidden neurons, uint8 ``[K, C, H]``.
        visible: spikes of the visible ones, uint8 ``[K, C, V]``; while a class is told, those that they would have
            fired.
        counts: of these in the window after each step, int64 ``[K, C, V]``.
        votes: what each compartment votes for after each step, int64 ``[K, C]``.
        told: with the decoders ``mixture`` and ``pooled``, what the first k compartments tell of each class by the
            window after each step (:func:`gemsnn.scoring.mixtures.divided`), float64 ``[K, C, V]``.
    """

    hidden: Tensor
    visible: Tensor
    counts: Tensor
    votes: Tensor
    told: Tensor | None = None


class Told(NamedTuple):
    """What answers are made of, after each of C steps.

    Attributes:
        votes: int64 ``[K, C]``.
        counts: output spikes of all compartments, int64 ``[C, V]``.
        evidence: what all compartments tell, float64 ``[C, V]``; ``None`` where the decoder does not ask.
    """

    votes: Tensor
    counts: Tensor
    evidence: Tensor | None


def bare(spec: OnlineSpec, found: Told) -> Answers:
    """The answers ``[C, V]``, at no temperature."""
    if found.evidence is not None:
        return likelihood_answers(found.evidence[:, None]).at(0)
    if spec.decoder == "rates":
        return rate_answers(found.counts[:, None]).at(0)
    shares = metrics.vote_shares(found.votes.T, found.counts.shape[1])
    return share_answers(shares, found.counts, spec.compartments)


def shares(spec: OnlineSpec, found: Told) -> tuple[Tensor, Tensor, Tensor]:
    """Of each class after each step, ``[C, V]``: its share, its probability, and what it is ranked by."""
    answers, counts = bare(spec, found), found.counts
    if spec.decoder == "votes":
        each = metrics.vote_shares(found.votes.T, counts.shape[1])
        rank = (each * spec.compartments).round() * (counts.max() + 1) + counts
    else:
        each = answers.probabilities
        rank = counts if found.evidence is None else (found.evidence / mixtures.UNIT).round()
    if spec.temperature is None:
        return each, answers.probabilities, rank
    warm = answers.tempered(spec.temperature).probabilities
    return warm, warm, rank
