"""A recording before the network, bin by bin: what neurons do, and what all but some of the compartments would answer.

Compartment k is the same however many there are, so one run of K compartments is also one of the first 1, 2, .., and
the answers of all of these come with every bin. At the last bin of a recording they are those of
:meth:`gemsnn.Model.predict` from the same seed and number, to the bit.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gemsnn.learn.certified import Verdict
from gemsnn.learn.decisions import Activity
from gemsnn.scoring import answers as decoding
from gemsnn.scoring import certify, metrics
from gemsnn.scoring.answers import Decoder, Told
from gemsnn.scoring.familiar import Surprises
from gemsnn.scoring.scores import SHARE
from gemsnn.serve.served import Served, Weights

Finding = Literal["sure", "unsure", "strange", "silent"]
"""What can be said of an answer, see :class:`Outcome`."""

STRANGE = 0.02
"""At most so many of the recordings that are like those of the certificate have such a p-value of strangeness."""


class Answers(NamedTuple):
    """What the first 1, 2, .., K compartments say after a bin.

    Attributes:
        labels: the classes, int64 ``[K]``; -1 in silence.
        probabilities: float64 ``[K, V]``, each row at the temperature that was fitted for so many compartments.
        entropy: of them, in nats, ``[K]``.
        sets: the likeliest classes that together have :data:`~gemsnn.scoring.scores.SHARE` of the probability, the
            likeliest first.
    """

    labels: Tensor
    probabilities: Tensor
    entropy: Tensor
    sets: tuple[tuple[int, ...], ...]


class Bin(NamedTuple):
    """What happened in a bin.

    Attributes:
        number: of the bin, from 0 on.
        inputs: uint8 ``[M]``.
        hidden: spikes of the hidden neurons, uint8 ``[K, H]``.
        visible: spikes of the visible ones, uint8 ``[K, V]``.
        votes: int64 ``[K]``.
        answers: what the compartments say.
        verdict: what the certificate makes of it, or ``None``.
        target: the class that was told, or ``None``.
    """

    number: int
    inputs: Tensor
    hidden: Tensor
    visible: Tensor
    votes: Tensor
    answers: Answers
    verdict: Verdict | None
    target: int | None


class Outcome(NamedTuple):
    """What can be said at the end of a recording.

    Attributes:
        last: its last bin.
        classes: the set of all compartments, the likeliest class first.
        promised: whether that is the certificate's.
        first: the class with which the certificate answered before, or ``None``.
        strange: p-value of what the hidden neurons did, ``None`` where it is not known what is familiar.
        strange_inputs: p-value of what came in, likewise.
        finding: ``silent``: too little has come. ``strange``: the certificate leaves no class, or the first p-value
            that is known is at most :data:`STRANGE`. ``sure``: one class is left. Else ``unsure``.
        weights: those that it leaves.
    """

    last: Bin
    classes: tuple[int, ...]
    promised: bool
    first: int | None
    strange: float | None
    strange_inputs: float | None
    finding: Finding
    weights: Weights


class Showing:
    """A recording that is shown.

    Args:
        served: what is served.
        weights: of the network; they stay as they are.
        bins: of the recording, uint8 ``[T, M]``.
        number: addresses the noise.
        target: the class that is taught, or ``None``.

    Raises:
        InputError: the bins or the class do not fit the network.
    """

    def __init__(
        self, served: Served, weights: Weights, bins: Tensor, number: int, target: int | None = None
    ) -> None:
        self._served, self._weights, self._bins, self._target = served, weights, bins, target
        self._learner = served.learner(weights, number, taught=target is not None, steps=len(bins))
        self._begins = served.begins(len(bins))
        self._decoder: Decoder = served.decoder
        self._temperatures = served.temperatures
        self._ended: tuple[tuple[int, ...], Surprises] | None = None
        self._last: Bin | None = None

    @property
    def passed(self) -> int:
        """How many bins have been shown."""
        return self._learner.passed.bins

    @property
    def over(self) -> bool:
        """Whether all have."""
        return self.passed == len(self._bins)

    def step(self, count: int = 1) -> list[Bin]:
        """Show the next bins, as many as this or as are left."""
        learner, first = self._learner, self.passed
        stops = [len(self._bins), first + count]
        if first < self._begins:
            stops.append(self._begins)
        certifier = learner.certifier
        if certifier is not None and first < certifier.certificate.checkpoints[-1]:
            stops.append(certifier.certificate.checkpoints[-1])
        rows = self._bins[first : min(stops)]
        target = self._target if first >= self._begins else None
        decisions, done = learner.step(rows, target), learner.activity
        assert done is not None
        silent = torch.tensor([each.reason is not None for each in decisions])
        found = answers_of(self._decoder, self._temperatures, done, silent)
        bins = [
            Bin(
                each.bin, rows[c], done.hidden[:, c], done.visible[:, c], done.votes[:, c], found[c],
                each.verdict, target,
            )
            for c, each in enumerate(decisions)
        ]  # fmt: skip
        if certifier is not None and self.passed == certifier.certificate.checkpoints[-1]:
            self._ended = certifier.ended(), certifier.surprises()
        self._last = bins[-1]
        return bins

    def outcome(self) -> Outcome:
        """What can be said once all bins have been shown."""
        last = self._last
        assert last is not None
        assert self.over
        made, shares = self._served.certificate, last.answers.probabilities[-1].tolist()
        classes, first, p_values = last.answers.sets[-1], None, (None, None)
        promised = self._ended is not None and last.verdict is not None
        if self._ended is not None and last.verdict is not None and made is not None:
            classes, surprises = self._ended
            classes = last.verdict.classes if last.verdict.over else classes
            classes = tuple(sorted(classes, key=lambda label: -shares[label]))
            first = last.verdict.classes[0] if last.verdict.answered else None
            p_values = (
                None if each is None else float(each) for each in certify.strangeness(made, surprises)
            )
        strange, strange_inputs = p_values
        least = next((value for value in (strange, strange_inputs) if value is not None), 1.0)
        if int(last.answers.labels[-1]) < 0:
            finding = "silent"
        elif not classes or least <= STRANGE:
            finding = "strange"
        else:
            finding = "sure" if len(classes) == 1 else "unsure"
        return Outcome(last, classes, promised, first, strange, strange_inputs, finding, self._left())

    def _left(self) -> Weights:
        optimiser = self._learner.optimiser
        if self._target is None or optimiser is None:
            return self._weights
        return Weights(self._learner.params, optimiser, self._weights.lessons + 1)


def answers_of(
    decoder: Decoder, temperatures: Tensor | None, done: Activity, silent: Tensor
) -> list[Answers]:
    """The answers of the first 1, 2, .. compartments after each of C steps, silent where ``[C]`` is true."""
    counts, votes = done.counts.transpose(0, 1), done.votes.T[:, :, None]
    told = Told(counts.cumsum(1), counts.sum(1, keepdim=True), votes)
    if done.told is not None:
        evidence = done.told.transpose(0, 1)
        told = Told(evidence, evidence[:, -1:], votes)
    bare = decoding.answers(decoder, told)[0]
    labels = bare.probabilities.argmax(-1).masked_fill(silent, -1)
    warm = bare if temperatures is None else bare.tempered(temperatures)
    shares = warm.silenced(silent.expand(len(labels), -1)).probabilities.transpose(0, 1)
    entropy = torch.special.entr(shares).sum(-1).clamp(min=0)
    order, needed = metrics.likeliest(shares, SHARE)
    sets = [
        tuple(tuple(row[:count]) for row, count in zip(*each, strict=True))
        for each in zip(order.tolist(), needed.tolist(), strict=True)
    ]
    return [Answers(labels[:, c], shares[c], entropy[c], sets[c]) for c in range(len(silent))]
