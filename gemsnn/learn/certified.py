"""What a certificate makes of a stream: sets of classes, answers before a recording's end, and an alarm.

A recording begins where the stream does, and where somebody says so. Up to the certificate's last moment, its *end*,
its answers rest on the output spikes from its first observed bin on, as those of :mod:`gemsnn.scoring.evaluate` do, and
the early rule answers it or leaves a set. After that, and until the next one begins, a set rests on the last bins of
the stream, as many as count in a recording: it is that of a recording that has just ended.

Where the class is told at a recording's end or after it, the limits of sets and of the early rules ``single`` and
``any`` follow what was missed (:mod:`gemsnn.scoring.following`), so that the long-run share of misses is the risk
whatever comes, a network that learns on included. Told or not, each recording's doubt, ``1 - max p``, its number of
input spikes and, where what is familiar is known, the surprises of its hidden activity and of its inputs
(:mod:`gemsnn.scoring.familiar`) are watched for a change of the world (:mod:`gemsnn.scoring.alarm`).

The first recording of a stream is judged as ``gemsnn evaluate --certified`` judges it, to the bit. Later ones find the
network as the one before has left it, and have other noise of the same kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.scoring import certify, conformal, early
from gemsnn.scoring.alarm import Alarm, AlarmSpec
from gemsnn.scoring.answers import Answers
from gemsnn.scoring.familiar import Familiar, Surprises
from gemsnn.scoring.following import Following, FollowingSpec
from gemsnn.scoring.promise import Certificate
from gemsnn.store import trees as states

UNANSWERED = -1


class Verdict(NamedTuple):
    """What a certificate makes of a stream by a bin.

    Attributes:
        recording: how many recordings began before this one.
        elapsed: bins since it began.
        classes: those that are left, in order; all of them where nothing is promised yet.
        answered: whether one class was left when the rule looked, which it then stays.
        over: whether its end has passed; then the set is that of the stream's last bins.
        probabilities: float64 ``[V]``, at the temperature of so much elapsed time.
        alarm: the recording at whose end the alarm was raised, or ``None``.
    """

    recording: int
    elapsed: int
    classes: tuple[int, ...]
    answered: bool
    over: bool
    probabilities: Tensor
    alarm: int | None


class Held(NamedTuple):
    """What goes on, of the recording.

    Attributes:
        recording: how many recordings began before this one.
        elapsed: bins since it began.
        answer: the class that was left first, or :data:`UNANSWERED`.
        named: 1 once its class was told after its end, else 0.
        left: bool ``[V]``, the classes that are left.
        counts: int64 ``[K, V]``, output spikes that count for its answer.
        inputs: int64 ``[M]``, spikes of each input that count for it.
        hidden: int64 ``[H]``, hidden spikes of all compartments in the bins that count for it.
        values: float64 ``[N, V]``, levels (of ``spikecp``, scores) at the checkpoints by now.
        ends: float64 ``[V]``, scores at its end.
    """

    recording: int
    elapsed: int
    answer: int
    named: int
    left: Tensor
    counts: Tensor
    inputs: Tensor
    hidden: Tensor
    values: Tensor
    ends: Tensor

    @property
    def came(self) -> int:
        """Input spikes that count for its answer."""
        return int(self.inputs.sum())


class Certifier:
    """A certificate at work on a stream.

    Args:
        certificate: the limits.
        classes: V.
        address: of the stream's noise; recordings are numbered from it on.
        least_spikes: input spikes without which a recording, or the stream's last bins, are silent.
        inputs: M.
        hidden: H, hidden neurons.
        familiar: what their activity is like; without it, it is not watched.
        false_alarms: the probability of an alarm, ever, where the world stays as it was.

    Attributes:
        held: what goes on, of the recording.
        sets: the limit of sets; ``None`` where each class has one, which stays.
        rule: the limit of the early rule; ``None`` of those whose limits stay.
        alarm: what watches.

    Raises:
        InputError: the certificate is about another number of classes, or a number makes no sense.
    """

    def __init__(
        self, certificate: Certificate, classes: int, *, address: int, least_spikes: int, inputs: int,
        hidden: int, familiar: Familiar | None = None, false_alarms: float = 0.01,
    ) -> None:  # fmt: skip
        if certificate.by_class and len(certificate.set_limits) != classes:
            raise InputError(
                f"the certificate is about {len(certificate.set_limits)} classes, and the network has {classes}"
            )
        made = self.certificate = certificate
        self._classes, self._address, self._least = classes, address, least_spikes
        self._inputs, self._hidden = inputs, hidden
        known = (None, None) if familiar is None else familiar
        held = made.surprises, made.input_surprises
        self._familiar = [mixture if values else None for mixture, values in zip(known, held, strict=True)]
        self._reference = torch.tensor(made.reference, dtype=torch.float64)
        spec = FollowingSpec(risk=made.risk)
        numbers = [torch.tensor(each, dtype=torch.float64) for each in (made.scores, made.own)]
        self.sets = None if made.by_class else Following(numbers[0], spec)
        self.rule = Following(numbers[1], spec) if made.own else None
        watched = [made.doubts, made.came]
        watched += [
            values for values, mixture in zip(held, self._familiar, strict=True) if mixture is not None
        ]
        calibration = torch.tensor(watched, dtype=torch.float64).T
        self.alarm = Alarm(calibration, AlarmSpec(rate=false_alarms, most=max(20_000, len(calibration))))
        self.held = self._fresh(0)

    def _fresh(self, recording: int) -> Held:
        classes = self._classes
        return Held(
            recording, 0, UNANSWERED, 0,
            torch.ones(classes, dtype=torch.bool),
            torch.zeros(self.certificate.compartments, classes, dtype=torch.int64),
            torch.zeros(self._inputs, dtype=torch.int64),
            torch.zeros(self._hidden, dtype=torch.int64),
            torch.zeros(len(self.certificate.checkpoints), classes, dtype=torch.float64),
            torch.zeros(classes, dtype=torch.float64),
        )  # fmt: skip

    def begin(self) -> None:
        """With the next bin a recording begins."""
        if self.held.elapsed:
            self.held = self._fresh(self.held.recording + 1)

    def observed(self, count: int) -> Tensor:
        """Which of the next C steps count for the recording's answer, bool ``[C]``."""
        return torch.arange(1, count + 1) + self.held.elapsed > self.certificate.begin

    @property
    def observed_before(self) -> int:
        """How many of its steps have counted by now."""
        return max(0, self.held.elapsed - self.certificate.begin)

    def counts(self, fired: Tensor) -> Tensor:
        """Output spikes of the recording after each step, int64 ``[K, C, V]``, of those of C steps."""
        observed = self.observed(fired.shape[1])[:, None]
        return self.held.counts[:, None] + (fired.to(torch.int64) * observed).cumsum(1)

    def verdicts(
        self, counts: Tensor, so_far: Answers, inputs: Tensor, last: Answers, heard_last: Tensor, hidden: Tensor,
        target: int | None,
    ) -> Iterator[Verdict]:  # fmt: skip
        """Let C steps of the recording pass, and say after each what is made of it.

        Args:
            counts: output spikes of the recording after each, int64 ``[K, C, V]``, of :meth:`counts`.
            so_far: answers ``[C, V]`` of these, however silent.
            inputs: spikes of the inputs ``[C, M]``.
            last: answers ``[C, V]`` of the stream's last bins.
            heard_last: input spikes in those, int64 ``[C]``.
            hidden: hidden spikes ``[K, C, H]``.
            target: the class that is told, or ``None``.
        """
        recent, sent = heard_last.tolist(), hidden.sum(0, dtype=torch.int64)
        for c in range(len(inputs)):
            now = slice(c, c + 1)
            self._step(counts[:, c].clone(), inputs[c], sent[c], _at(so_far, now), target)
            yield self._verdict(_at(so_far, now), _at(last, now), recent[c])

    def _step(self, counts: Tensor, heard: Tensor, sent: Tensor, so_far: Answers, target: int | None) -> None:
        """Let a bin of the recording pass."""
        made, held, elapsed = self.certificate, self.held, self.held.elapsed + 1
        self.held = held._replace(elapsed=elapsed, counts=counts)
        if made.begin < elapsed <= made.checkpoints[-1]:
            self.held = self.held._replace(inputs=held.inputs + heard, hidden=held.hidden + sent)
        if elapsed in made.checkpoints:
            self._look(made.checkpoints.index(elapsed), so_far)
        if elapsed == made.checkpoints[-1]:
            self._watch(so_far)
        if elapsed >= made.checkpoints[-1] and target is not None and not self.held.named:
            self._name(target)

    def _look(self, number: int, found: Answers) -> None:
        """Judge the recording at a checkpoint."""
        made, held = self.certificate, self.held
        scores = self._scores(found, held.came)[0]
        limit = certify.bounds(made.limits)[number if made.rule == "spikecp" else 0]
        if self.rule is not None:
            limit = torch.tensor(self.rule.limit, dtype=torch.float64)
        values = scores
        if made.reference:
            values = early.levels(self._reference[:, number : number + 1], scores[None, None])[0, 0]
        held.values[number] = values
        last = number == len(made.checkpoints) - 1
        if last:
            held.ends[:] = scores
        if held.answer != UNANSWERED:
            return
        left, answered = early.left(values, limit)
        if bool(answered):
            answer = int(values.argmin())
            only = torch.arange(self._classes) == answer
            self.held = held._replace(answer=answer, left=only)
        elif made.rule in ("any", "spikecp") or (last and made.rule == "single"):
            self.held = held._replace(left=left)
        elif last:
            self.held = held._replace(left=self._inside(scores))

    def _watch(self, found: Answers) -> None:
        """Bet on the recording that has ended."""
        made, held = self.certificate, self.held
        shares = self._heard(found, held.came).tempered(made.temperature).probabilities
        scores = [1 - float(shares.max()), float(held.came)]
        scores += [float(found) for found in self.surprises() if found is not None]
        seed, heard = rng.derive(made.seed, "alarm"), self.alarm.heard
        address = torch.tensor([self._address])
        u, v = rng.uniforms(seed, address, range(heard, heard + 1), 2, len(scores))[0, 0].tolist()
        self.alarm.step(scores, u, v)

    def ended(self) -> tuple[int, ...]:
        """The set at the end of the recording, of its answers there alone, however it was answered before."""
        return tuple(self._inside(self.held.ends).nonzero()[:, 0].tolist())

    def surprises(self) -> Surprises:
        """Of the recording that has come to its end, ``[1]`` each; ``None`` of what is not known to be familiar."""
        made, held = self.certificate, self.held
        bins = made.checkpoints[-1] - made.begin
        rates = held.hidden.double() / (made.compartments * bins), held.inputs.double() / bins
        hidden, inputs = (
            None if mixture is None else mixture.surprise(rate[None])
            for mixture, rate in zip(self._familiar, rates, strict=True)
        )
        return Surprises(hidden, inputs)

    def _name(self, target: int) -> None:
        """The class of the recording that has ended is known."""
        self.held = self.held._replace(named=1)
        if self.sets is not None:
            self.sets.tell(float(self.held.ends[target]))
        if self.rule is not None:
            label = torch.tensor([target])
            rule = cast("Literal['single', 'any']", self.certificate.rule)
            self.rule.tell(float(early.own_limits(rule, self.held.values[None], label)[0]))

    def _heard(self, found: Answers, came: int) -> Answers:
        """Answers ``[1, V]``, even where too little has come."""
        return found.silenced(torch.tensor([came < self._least]))

    def _scores(self, found: Answers, came: int) -> Tensor:
        """Scores of the classes, ``[1, V]``, of answers ``[1, V]``."""
        made, number = self.certificate, self._address + self.held.recording
        shares = self._heard(found, came).tempered(made.temperature).probabilities
        drawn = rng.generator(made.seed, "conformal", number).random()
        return conformal.scores(made.score, shares, torch.tensor([drawn], dtype=torch.float64))

    def _inside(self, scores: Tensor) -> Tensor:
        """The set at the end of a recording, bool ``[V]``, of scores ``[V]``."""
        if self.sets is not None:
            return scores <= self.sets.limit
        return scores <= certify.bounds(self.certificate.set_limits)

    def _verdict(self, so_far: Answers, last: Answers, came: int) -> Verdict:
        """What is said after a step, of answers ``[1, V]``; ``came`` are the input spikes in the stream's last bins."""
        made, held = self.certificate, self.held
        over = held.elapsed > made.checkpoints[-1]
        left = self._inside(self._scores(last, came)[0]) if over else held.left
        passed = sum(bins <= held.elapsed for bins in made.checkpoints)
        now = self._heard(last, came) if over else self._heard(so_far, held.came)
        return Verdict(
            held.recording,
            held.elapsed,
            tuple(left.nonzero()[:, 0].tolist()),
            not over and held.answer != UNANSWERED,
            over,
            now.tempered(made.temperatures[max(0, passed - 1)]).probabilities[0],
            self.alarm.raised,
        )

    def state(self) -> dict[str, Tensor]:
        """All that goes on, to the bit."""
        parts = {"sets": self.sets, "rule": self.rule, "alarm": self.alarm}
        told = {name: part.state() for name, part in parts.items() if part is not None}
        text = torch.frombuffer(bytearray(json.dumps(told).encode()), dtype=torch.uint8)
        return {**states.flat("certified", self.held), "certified.text": text}

    def restore(self, leaves: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` of one with the same certificate has returned.

        Raises:
            InputError: it is the state of another, or damaged.
        """
        self.held = states.filled("certified", self.held, leaves)
        told = _parsed(leaves.get("certified.text"))
        for name, part in (("sets", self.sets), ("rule", self.rule), ("alarm", self.alarm)):
            if part is not None:
                part.restore(told.get(name, {}))


def _parsed(text: Tensor | None) -> dict[str, Any]:
    try:
        found = json.loads(bytes(text.tolist())) if text is not None else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError("the saved state's certificate is damaged, or was not there; begin a new state")
    return found


def _at(answers: Answers, rows: slice) -> Answers:
    return Answers(answers.probabilities[rows], answers.logs[rows])
