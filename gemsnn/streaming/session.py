"""A stream under way: from a source through a learner to lines of JSON, and into a folder that it can go on from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Literal, Protocol, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from gemsnn.data import wire
from gemsnn.data.sources import Arrival, Source
from gemsnn.errors import InputError
from gemsnn.learn.certified import Verdict
from gemsnn.learn.decisions import Decision, Reason
from gemsnn.model import network as networks
from gemsnn.model.network import Params
from gemsnn.runs import console
from gemsnn.scoring import metrics
from gemsnn.store import parsing
from gemsnn.store.checkpoints import Checkpoints
from gemsnn.streaming.labels import Labels
from gemsnn.streaming.lag import WALL, Ends, Heard, Limit, Replayed, Wall
from gemsnn.streaming.spec import StreamSpec, Task
from gemsnn.streaming.window import Window

LATE_SHARE = 0.05
"""Of all events, how many may be late before a person is told."""


class Later(TypedDict, total=False):
    """What goes with saved states by now; older ones lack it."""

    begins: list[int]


class Saved(Later):
    """What goes with a saved state."""

    identity: dict[str, Any]
    bins: int
    label: int | None
    labels: list[tuple[int, int | None]]


class Lines(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> object:
        """Take lines.

        Raises:
            BrokenPipeError: whoever read them has gone.
        """
        ...

    def flush(self) -> object:
        """Hand on what was taken."""
        ...


class Session:
    """A stream under way.

    Args:
        spec: the stream.
        task: what it does.
        source: where events come from.
        labels: which class is told when.
        out: where lines go.
        identity: what a saved state must agree with.
        wall: the computer's clock, which is also that of the source.
        params: the network's; by default those of the training.

    Attributes:
        unheard: whether whoever read the lines has gone.
    """

    def __init__(
        self,
        spec: StreamSpec,
        task: Task,
        source: Source,
        labels: Labels,
        out: Lines,
        identity: dict[str, Any],
        wall: Wall = WALL,
        params: Params | None = None,
    ) -> None:
        self.spec, self.task, self.source, self.labels, self.out = spec, task, source, labels, out
        self._identity, self._damaged_labels = identity, 0
        self.learner = task.learner(params)
        assert self.learner.bins is not None
        self.bins = self.learner.bins
        if source.origin is not None:
            self.bins.begin(source.origin)
        self.worst_lag_ms, self.answers, self._saved_at = 0.0, 0, 0
        self._layout, self._wall, self._limit = task.arrivals.layout, wall, Limit(spec.max_lag_ms)
        self._ends: Ends | None = None
        self._told, self.unheard = False, False

    @property
    def _live(self) -> bool:
        return self.spec.speed == "real"

    def run(self, stop: Callable[[], bool]) -> bool:
        """Until the end of the source, of the bins asked for, or a stop; whether it was the source's end."""
        begun, newest = self._wall.now(), self.bins.clock.newest
        heard = Heard(self._layout.bin_us, begun, newest) if self._live and self.source.live else None
        if self._live:
            self._ends = heard or Replayed(self._layout.bin_us, begun, self.learner.passed.bins)
        skip = 0 if self.source.live else self.bins.counts.events
        window = Window(self.task.arrivals, self.source.sensor is None and not self.bins.counts.events)
        last = (
            begun - (newest - self.bins.clock.base) / 1e6
        )  # time goes on from where it stood when it was saved
        patience = min(max(self._layout.bin_us / 4e6, 0.001), 0.05) if self._live else 0.1
        while not (stop() or self.enough() or self.unheard):
            try:
                arrival = self.source.poll(patience)
            except EOFError:
                if self.source.live and not self.bins.counts.events and self.source.trouble.damaged:
                    raise InputError(f"nothing that came was an event: {self.source.trouble.first}") from None
                self._tell_trouble()
                self._pass(self.bins.finish(0 if self.source.live else self.task.at_least))
                return True
            events = wire.no_events()
            if arrival is not None:
                skip, arrival = self._unseen(skip, arrival)
                self._hear(arrival)
                events = arrival.message.events
            if arrival is not None and len(events):
                last = arrival.at
                self._pass(self._timed(self.bins.push(events), heard, arrival.at))
                window.look(self.bins.counts)
            elif heard is not None:
                # of a label that comes alone, the time at which it came: events may wait behind it
                now = self._wall.now() if arrival is None else arrival.at
                self._pass(self._timed(self.bins.tick(int((now - last) * 1e6)), heard, now))
            self._write("")
            self._tell_trouble()
            if (
                self.spec.state is not None
                and self.learner.passed.bins - self._saved_at >= self.spec.save_every
            ):
                self.save()
        return self.unheard

    def _timed(
        self, blocks: Iterator[NDArray[np.uint8]], heard: Heard | None, at: float
    ) -> Iterator[NDArray[np.uint8]]:
        """The same blocks, while what is heard at this time tells when their bins have ended."""
        jumps, more = self.bins.counts.clock_jumps, True
        while more:
            block = next(blocks, None)
            more = block is not None
            if heard is not None:
                heard.reached(at, self.bins.clock.newest, anew=self.bins.counts.clock_jumps > jumps)
                jumps = self.bins.counts.clock_jumps
            if block is not None:
                yield block

    def _tell_trouble(self) -> None:
        """Say what could not be used as soon as there is something, once: a sensor may go on for days."""
        first = self.source.trouble.first
        if first is not None and not self._told:
            console.say(f"note: the first of what could not be used: {first}")
            self._told = True

    def enough(self) -> bool:
        """Whether the bins that were asked for have passed."""
        return self.spec.bins is not None and self.learner.passed.bins >= self.spec.bins

    @staticmethod
    def _unseen(skip: int, arrival: Arrival) -> tuple[int, Arrival]:
        """Without the events that a saved state has seen."""
        if not skip:
            return 0, arrival
        events = arrival.message.events
        rest = arrival.message._replace(events=events[skip:])
        return max(0, skip - len(events)), arrival._replace(message=rest)

    def _hear(self, arrival: Arrival) -> None:
        for label in arrival.message.labels:
            if label.label is not None and label.label >= self._layout.classes:
                self._damaged_labels += 1
                continue
            now = self.bins.clock.newest
            self.labels.tell(label, now if label.t is None else self.bins.stream_time(label.t))
        for begin in arrival.message.begins:
            now = self.bins.clock.newest
            self.labels.tell(begin, now if begin.t is None else self.bins.stream_time(begin.t))

    def _pass(self, blocks: Iterable[NDArray[np.uint8]]) -> None:
        """Let bins pass; at real speed one by one, each when it is due."""
        for block in blocks:
            spikes = torch.from_numpy(block)
            if self._ends is None:
                self._advance(spikes, None)
                continue
            for row in spikes.split(1):
                due = self._ends.due(self.learner.passed.bins)
                if not self.source.live:
                    self._wall.sleep(max(0.0, due - self._wall.now()))
                begun = self._wall.now()
                if self._limit.drops(begun - due):
                    self.learner.skip(1)
                    continue
                self._advance(row, due)
                self._limit.took(self._wall.now() - begun)

    def _advance(self, spikes: torch.Tensor, due: float | None) -> None:
        first, done, begun = self.learner.passed.bins, 0, 0
        told = []
        for c in range(len(spikes)):
            begun += self.labels.begins(first + c, self.bins.stream_time)
            told.append((begun, self.labels.at(first + c, self.bins.stream_time)))
        before = 0
        for (recording, target), group in groupby(told):
            count = len(list(group))
            if recording > before:
                self.learner.begin()
            for decision in self.step(spikes[done : done + count], target):
                self._say(decision, due)
            done, before = done + count, recording

    def step(self, spikes: torch.Tensor, target: int | None) -> list[Decision]:
        """Let the network see bins that have passed, ``[C, M]``; what it answers."""
        return self.learner.step(spikes, target)

    def _say(self, decision: Decision, due: float | None) -> None:
        """Write the line of an answer, and how far behind it is written."""
        line = self.line(decision)
        if due is not None:
            line["lag_ms"] = round(1e3 * max(0.0, self._wall.now() - due), 3)
            self.worst_lag_ms = max(self.worst_lag_ms, line["lag_ms"])
        self._write(json.dumps(line, allow_nan=False) + "\n", flush=due is not None)
        self.answers += 1

    def _write(self, text: str, *, flush: bool = True) -> None:
        """Write lines. If whoever read them has gone, what has come still passes, so that the state is whole."""
        try:
            self.out.write(text)
            if flush:
                self.out.flush()
        except BrokenPipeError:
            self.out, self.unheard = open(os.devnull, "w"), True  # noqa: PTH123, SIM115

    def line(self, decision: Decision) -> dict[str, Any]:
        """What is said of an answer, but for how far behind it is."""
        reason: Reason | Literal["unsure", "undecided"] | None = decision.reason
        label, probabilities, entropy = decision.label, decision.probabilities, decision.entropy
        verdict, certified = decision.verdict, {}
        if verdict is not None:
            probabilities, certified = verdict.probabilities, self._certified(verdict)
            entropy = max(0.0, float(torch.special.entr(probabilities).sum()))
            label = verdict.classes[0] if len(verdict.classes) == 1 else None
            if verdict.answered:
                reason = None  # what was answered stays, though it has become silent since
            elif label is None and reason is None:
                reason = "undecided"
        if reason is None and float(probabilities.max()) < self.spec.threshold:
            reason = "unsure"
        counts, trouble = self.bins.counts, self.source.trouble
        label = label if reason is None else None
        return {
            "time_us": (decision.bin + 1) * self._layout.bin_us,
            "bin": decision.bin,
            "class": label,
            "name": None if label is None else self.task.model.names[label],
            "reason": reason,
            "probabilities": [round(p, 6) for p in probabilities.tolist()],
            "entropy": round(entropy, 6),
            **certified,
            "votes": decision.votes.tolist(),
            "hidden_rate": round(decision.hidden_rate, 6),
            "target": decision.target,
            "lag_ms": None,
            "dropped_bins": self.learner.passed.skipped,
            "late_events": counts.late,
            "outside_events": counts.outside,
            "damaged": counts.damaged + trouble.damaged + self._damaged_labels,
            "dropped_messages": trouble.dropped + self.labels.forgotten,
            "clock_jumps": counts.clock_jumps,
        }

    def _certified(self, verdict: Verdict) -> dict[str, Any]:
        """What a certificate makes of a bin, as a line has it."""
        return {
            "set": [self.task.model.names[c] for c in verdict.classes],
            "answered": verdict.answered,
            "recording": verdict.recording,
            "elapsed_us": verdict.elapsed * self._layout.bin_us,
            "over": verdict.over,
            "alarm": verdict.alarm,
        }

    def save(self) -> None:
        """Save all that goes on."""
        assert self.spec.state is not None
        self.out.flush()  # what the state has left behind must have been said
        params, tensors = self.learner.params, self.learner.state()
        network = self.task.model.network
        named = {f"params.{name}": leaf for name, leaf in networks.named(network, params).items()}
        named |= networks.masks(network)
        facts = {
            "kind": "stream",
            "batches": self.task.model.learner.batches,
            "updates": 0,  # who begins anew from these parameters begins with a fresh optimiser
            "identity": self._identity,
            "bins": self.learner.passed.bins,
            "label": self.labels.now,
            "labels": [list(told) for told in self.labels.told],
            "begins": list(self.labels.begun),
        }
        Checkpoints(self.spec.state).save({**named, **tensors}, facts)
        self._saved_at = self.learner.passed.bins

    def restore(self) -> None:
        """Go on from the last saved state, if there is one.

        Raises:
            InputError: it is damaged, or of another stream.
        """
        if self.spec.state is None or not Checkpoints(self.spec.state).any:
            return
        tensors, facts = Checkpoints(self.spec.state).load(note=console.say)
        if facts.get("kind") != "stream":
            raise InputError(
                f"{self.spec.state} holds the checkpoints of a training; give --state another folder"
            )
        where = f"what goes with the state in {self.spec.state}"
        theirs = parsing.conform(facts, Saved, where)["identity"]
        for name, value in self._identity.items():
            if name not in theirs:
                raise InputError(
                    f"the state in {self.spec.state} was saved by another version of gemsnn, which knew of no "
                    f"{name}; give --state another folder"
                )
            if theirs.get(name) != value:
                raise InputError(
                    f"the state in {self.spec.state} was saved with {name} {theirs.get(name)}, and now it is {value}; "
                    "give the same settings, or --state another folder"
                )
        self.learner.restore(tensors)
        self.labels.now = facts["label"]
        self.labels.told = [(bin, label) for bin, label in facts["labels"]]
        self.labels.begun = list(facts.get("begins", ()))
        self._saved_at = facts["bins"]
        console.say(f"going on after bin {facts['bins']}")

    def summary(self) -> str:
        """What has happened, in one line."""
        counts, passed, trouble = self.bins.counts, self.learner.passed, self.source.trouble
        said = f"{passed.bins} bins, {self.answers} answers, {counts.events} events"
        told = {
            "late": counts.late,
            "outside the window": counts.outside,
            "damaged": counts.damaged + trouble.damaged + self._damaged_labels,
            "messages dropped": trouble.dropped + self.labels.forgotten,
            "clock jumps": counts.clock_jumps,
            "bins dropped": passed.skipped,
        }
        said += "".join(f", {number} {what}" for what, number in told.items() if number)
        if self._live and self.answers:
            said += f"; at most {self.worst_lag_ms:.3f} ms behind"
        return said

    def warnings(self) -> list[str]:
        """What a person should know of the network and the input."""
        found = []
        counts, rates = self.bins.counts, self.learner.hidden_rates()
        if counts.events and counts.outside == counts.events - counts.late - counts.damaged:
            found.append(
                "all events lay outside the window of pixels that the network sees; set --x0 and --y0"
            )
        if counts.late > counts.events * LATE_SHARE:
            found.append(
                f"{counts.late} of {counts.events} events came after their bin had closed and were dropped; give a "
                "longer --reorder-us"
            )
        warning = None if rates is None else metrics.mute(rates).warning(len(rates))
        return found if warning is None else [*found, warning]
