"""As many compartments as it takes: recordings are asked in portions until their votes tell a winner.

A first portion is as large as the least number of votes that can tell one (:func:`gemsnn.scoring.mode.least`); then
the recordings that are still open are asked by further portions, each beginning at the compartment after the last. The
noise of a compartment is addressed by its number, so what ``k`` compartments answer that were asked in portions is, to
the bit, what the first ``k`` of :func:`gemsnn.scoring.evaluate.predict` answer. A rule of :mod:`gemsnn.scoring.mode`
looks after every portion; a silent recording (:mod:`gemsnn.scoring.answers`) is asked by the first alone.

Whichever decoder answers, votes decide how many are asked, and it is the winner of the votes that is promised.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.kernels.contract import Kernel, check_kernel
from gemsnn.model.network import Network, Params
from gemsnn.scoring import evaluate, mode, sampling
from gemsnn.scoring.answers import COUNTED, Answers, Decoder, check_decoder, rate_answers, share_answers
from gemsnn.scoring.conformal import Risk
from gemsnn.scoring.mode import Rule
from gemsnn.scoring.sampling import Weights
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, Range
from gemsnn.types import PresentationSequence, Progress

MOST = 50
"""Compartments that are asked at most, by default."""

PORTION = 5
"""Compartments of every portion but the first, by default."""


class Polled(NamedTuple):
    """What as many compartments say of n recordings as it took.

    Attributes:
        decoder: the decoder of the answers.
        answers: of all compartments that were asked of a recording, ``[n, C]``.
        asked: int64 ``[n]``, how many these are.
        decided: bool ``[n]``, whether the votes told a winner; never in silence.
        votes: int64 ``[n, most]``, compartment by compartment; -1 where none was asked.
        labels: int64 ``[n]``.
        silent: bool ``[n]``, see :class:`gemsnn.scoring.evaluate.Poll`.
    """

    decoder: Decoder
    answers: Answers
    asked: Tensor
    decided: Tensor
    votes: Tensor
    labels: Tensor
    silent: Tensor


class _Chosen(NamedTuple):
    """Some of the presentations."""

    presentations: PresentationSequence
    positions: list[int]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, position):  # pyright: ignore
        return self.presentations[self.positions[position]]


def portions(classes: int, risk: float, most: int, portion: int, rule: Rule) -> list[range]:
    """The numbers of the compartments of each portion: the first can just tell a winner.

    >>> portions(10, 0.05, 20, 5, "leader")
    [range(0, 8), range(8, 13), range(13, 18), range(18, 20)]

    Raises:
        InputError: so few compartments can never tell a winner, or a number makes no sense.
    """
    checks.number(most, Count, "most")
    checks.number(portion, Count, "portion")
    first = mode.least(classes, risk, rule)
    if first > most:
        raise InputError(
            f"most must be at least {first}, not {most}: with fewer votes no winner of {classes} classes can be "
            f"told at a risk of {risk}"
        )
    ends = [*range(first, most, portion), most]
    return [range(low, high) for low, high in zip([0, *ends], ends, strict=False)]


def predict(
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    risk: float,
    *,
    kernel: Kernel,
    seed: int,
    most: int = MOST,
    portion: int = PORTION,
    rule: Rule = "leader",
    decoder: Decoder = "votes",
    readouts: Weights = (),
    least_spikes: int = 1,
    batch: int = 64,
    progress: Progress | None = None,
) -> Polled:
    """What compartments say, asked in portions until their votes tell a winner.

    Args:
        network: the network.
        params: its parameters.
        presentations: what is shown, n of them.
        risk: how often, at most, the winner that is told may be none of infinitely many votes.
        kernel: runs the network.
        seed: with the presentations' addresses, of all noise.
        most: compartments that are asked at most; where they tell no winner, the recording stays undecided.
        portion: compartments of every portion but the first.
        rule: how a winner is told, see :mod:`gemsnn.scoring.mode`.
        decoder: what makes probabilities of all compartments that were asked, ``votes`` or ``rates``.
        readouts: how much each readout counts, see :func:`gemsnn.scoring.sampling.said`.
        least_spikes: see :func:`gemsnn.scoring.evaluate.predict`.
        batch: presentations at a time; the result is the same.
        progress: shows how far each portion has come.

    Raises:
        InputError: as :func:`gemsnn.scoring.evaluate.predict`; or the decoder is another, the kernel lacks
            something, or see :func:`portions`.
    """
    check_kernel(kernel)
    check_decoder(decoder, network)
    if decoder not in COUNTED:
        raise InputError(
            "compartments are asked until their votes agree by the decoders votes and rates alone"
        )
    sampling.check_weights(network, readouts)
    evaluate.check(network, params, presentations, most, batch, seed)
    checks.number(risk, Risk, "risk")
    checks.number(least_spikes, Annotated[int, Range(0, 2**63 - 1)], "least_spikes")
    classes, count, seed = network.spec.visible, len(presentations), sampling.free_seed(seed)
    votes = torch.full((count, most), -1)
    spikes = torch.zeros(count, classes, dtype=torch.int64)
    labels, came, asked = (torch.zeros(count, dtype=torch.int64) for _ in range(3))
    decided = torch.zeros(count, dtype=torch.bool)
    still = torch.arange(count)
    for numbers in portions(classes, risk, most, portion, rule):
        some, done = _Chosen(presentations, still.tolist()), 0
        for rows in evaluate.shown(network, some, batch, len(numbers), progress, "prediction"):
            ended = sampling.ended(
                network, params, rows, numbers, kernel=kernel, seed=seed, readouts=readouts
            )
            new, spoken, label, heard = sampling.home(
                ended.votes, ended.counts.sum(1), rows.label, (rows.came * rows.observed).sum(1)
            )
            at = still[done : done + len(new)]
            votes[at, numbers.start : numbers.stop] = new
            spikes[at] += spoken
            labels[at], came[at], done = label, heard, done + len(new)
        asked[still] = numbers.stop
        still = still[came[still] >= least_spikes]
        if len(still):
            decided[still] = mode.told(votes[still, : numbers.stop], classes, risk, rule)[:, -1]
            still = still[~decided[still]]
        if not len(still):
            break
    silent = came < least_spikes
    answers = answered(decoder, votes, spikes, asked).silenced(silent)
    return Polled(decoder, answers, asked, decided, votes, labels, silent)


def answered(decoder: Decoder, votes: Tensor, spikes: Tensor, asked: Tensor) -> Answers:
    """Answers ``[n, C]`` of the first ``asked [n]`` votes of ``[n, most]``, and of their output spikes ``[n, C]``."""
    if decoder == "rates":
        return Answers(*(leaf[0] for leaf in rate_answers(spikes[:, None])))
    classes = spikes.shape[1]
    given = torch.arange(votes.shape[1]) < asked[:, None]
    counts = torch.nn.functional.one_hot(votes.clamp(min=0), classes) * given[..., None]
    return share_answers(counts.sum(1).double() / asked[:, None], spikes, asked[:, None])
