"""What a certificate makes of a stream: sets of classes, and answers before a recording's end.

A recording begins where the stream does, and where somebody says so. Up to the certificate's last moment its answers
rest on the output spikes from its first observed bin on, as those of :mod:`gemsnn.scoring.evaluate` do, and the early
rule answers it or leaves a set. After that, and until the next one begins, a set rests on the last bins of the stream,
as many as count in a recording: it is that of a recording that has just ended.

The first recording of a stream is judged as ``gemsnn evaluate --certified`` judges it, to the bit. Later ones find the
network as the one before has left it, and have other noise of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.scoring import certify, conformal, early
from gemsnn.scoring.answers import Answers
from gemsnn.scoring.promise import Certificate

UNANSWERED = -1


class Verdict(NamedTuple):
    """What a certificate makes of a stream by a bin.

    Attributes:
        recording: how many recordings began before this one.
        elapsed: bins since it began.
        classes: those that are left, in order; all of them where nothing is promised yet.
        answered: whether one class was left when the rule looked, which it then stays.
        over: whether the recording has come to its end; then the set is that of the stream's last bins.
        probabilities: float64 ``[V]``, at the temperature of so much elapsed time.
    """

    recording: int
    elapsed: int
    classes: tuple[int, ...]
    answered: bool
    over: bool
    probabilities: Tensor


class Held(NamedTuple):
    """What goes on.

    Attributes:
        recording: how many recordings began before this one.
        elapsed: bins since it began.
        answer: the class that was left first, or :data:`UNANSWERED`.
        left: bool ``[V]``, the classes that are left.
        told: int64 ``[K, V]``, output spikes that count for its answer.
        came: input spikes that count for it.
    """

    recording: int
    elapsed: int
    answer: int
    left: Tensor
    told: Tensor
    came: int


class Certifier:
    """A certificate at work on a stream.

    Args:
        certificate: the limits.
        classes: V.
        address: of the stream's noise; recordings are numbered from it on.
        least_spikes: input spikes without which a recording, or the stream's last bins, are silent.

    Attributes:
        held: what goes on.

    Raises:
        InputError: the certificate is about another number of classes.
    """

    def __init__(self, certificate: Certificate, classes: int, *, address: int, least_spikes: int) -> None:
        if certificate.by_class and len(certificate.set_limits) != classes:
            raise InputError(
                f"the certificate is about {len(certificate.set_limits)} classes, and the network has {classes}"
            )
        self.certificate, self._classes = certificate, classes
        self._address, self._least = address, least_spikes
        self._reference = torch.tensor(certificate.reference, dtype=torch.float64)
        self.held = self._fresh(0)

    def _fresh(self, recording: int) -> Held:
        told = torch.zeros(self.certificate.compartments, self._classes, dtype=torch.int64)
        return Held(recording, 0, UNANSWERED, torch.ones(self._classes, dtype=torch.bool), told, 0)

    def begin(self) -> None:
        """With the next bin a recording begins."""
        if self.held.elapsed:
            self.held = self._fresh(self.held.recording + 1)

    def counts(self, fired: Tensor) -> Tensor:
        """Output spikes of the recording after each step, int64 ``[K, C, V]``, of those of C steps."""
        at = torch.arange(1, fired.shape[1] + 1) + self.held.elapsed
        observed = (at > self.certificate.begin)[:, None]
        return self.held.told[:, None] + (fired.to(torch.int64) * observed).cumsum(1)

    def verdicts(
        self, told: Tensor, so_far: Answers, heard: Tensor, last: Answers, heard_last: Tensor
    ) -> Iterator[Verdict]:
        """Let C steps of the recording pass, and say after each what is made of it.

        Args:
            told: output spikes of the recording after each, int64 ``[K, C, V]``, of :meth:`counts`.
            so_far: answers ``[C, V]`` of these, however silent.
            heard: input spikes of each step, int64 ``[C]``.
            last: answers ``[C, V]`` of the stream's last bins.
            heard_last: input spikes in those, int64 ``[C]``.
        """
        arrived, recent = heard.tolist(), heard_last.tolist()
        for c in range(len(arrived)):
            now = slice(c, c + 1)
            self._step(told[:, c].clone(), arrived[c], _at(so_far, now))
            yield self._verdict(_at(so_far, now), _at(last, now), recent[c])

    def _step(self, told: Tensor, heard: int, so_far: Answers) -> None:
        """Let a bin of the recording pass."""
        elapsed = self.held.elapsed + 1
        came = self.held.came + (heard if elapsed > self.certificate.begin else 0)
        self.held = self.held._replace(elapsed=elapsed, told=told, came=came)
        if elapsed in self.certificate.checkpoints and self.held.answer == UNANSWERED:
            self._look(self.certificate.checkpoints.index(elapsed), so_far)

    def _look(self, number: int, found: Answers) -> None:
        """Judge the recording at a checkpoint."""
        made = self.certificate
        values = self._scores(found, self.held.came)
        limit = certify.bounds(made.limits)
        if made.reference:
            values = early.levels(self._reference[:, number : number + 1], values[None])[0]
        else:
            limit = limit[number : number + 1]
        left, answered = early.left(values[0], limit)
        last = number == len(made.checkpoints) - 1
        if bool(answered):
            answer = int(values[0].argmin())
            only = torch.zeros_like(self.held.left)
            only[answer] = True
            self.held = self.held._replace(answer=answer, left=only)
        elif made.rule in ("any", "spikecp") or (last and made.rule == "single"):
            self.held = self.held._replace(left=left)
        elif last:
            self.held = self.held._replace(left=self._at_end(found, self.held.came))

    def _scores(self, found: Answers, came: int) -> Tensor:
        """Scores of the classes, ``[1, V]``, of answers ``[1, V]``."""
        made, number = self.certificate, self._address + self.held.recording
        shares = found.silenced(torch.tensor([came < self._least])).tempered(made.temperature).probabilities
        drawn = rng.generator(made.seed, "conformal", number).random()
        return conformal.scores(made.score, shares, torch.tensor([drawn], dtype=torch.float64))

    def _at_end(self, found: Answers, came: int) -> Tensor:
        """The set at the end of a recording, bool ``[V]``."""
        return self._scores(found, came)[0] <= certify.bounds(self.certificate.set_limits)

    def _verdict(self, so_far: Answers, last: Answers, came: int) -> Verdict:
        """What is said after a step, of answers ``[1, V]``; ``came`` are the input spikes in the stream's last bins."""
        made, held = self.certificate, self.held
        over = held.elapsed > made.checkpoints[-1]
        left = self._at_end(last, came) if over else held.left
        passed = sum(bins <= held.elapsed for bins in made.checkpoints)
        heard = came if over else held.came
        now = (last if over else so_far).silenced(torch.tensor([heard < self._least]))
        return Verdict(
            held.recording,
            held.elapsed,
            tuple(left.nonzero()[:, 0].tolist()),
            not over and held.answer != UNANSWERED,
            over,
            now.tempered(made.temperatures[max(0, passed - 1)]).probabilities[0],
        )


def _at(answers: Answers, rows: slice) -> Answers:
    return Answers(answers.probabilities[rows], answers.logs[rows])
