"""A stream under way: from a source through a learner to lines of JSON, and into a folder that it can go on from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, TextIO, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from gemsnn import console, metrics, parsing
from gemsnn.checkpoints import Checkpoints
from gemsnn.data import wire
from gemsnn.data.sources import Arrival, Source
from gemsnn.errors import InputError
from gemsnn.online import Decision
from gemsnn.streaming.labels import Labels
from gemsnn.streaming.spec import StreamSpec, Task


class Saved(TypedDict):
    """What goes with a saved state."""

    identity: dict[str, Any]
    bins: int
    label: int | None
    labels: list[tuple[int, int | None]]


class Session:
    """A stream under way.

    Args:
        spec: the stream.
        task: what it does.
        source: where events come from.
        labels: which class is told when.
        out: where lines go.
        identity: what a saved state must agree with.
    """

    def __init__(
        self,
        spec: StreamSpec,
        task: Task,
        source: Source,
        labels: Labels,
        out: TextIO,
        identity: dict[str, Any],
    ) -> None:
        self.spec, self.task, self.source, self.labels, self.out = spec, task, source, labels, out
        self._identity, self._damaged_labels = identity, 0
        self.learner = task.learner()
        assert self.learner.bins is not None
        self.bins = self.learner.bins
        self.lag_ms, self.worst_lag_ms, self.answers = 0.0, 0.0, 0
        self._saved_at, self._begun = 0, time.monotonic()
        self._first = 0
        self._layout = task.arrivals.layout

    @property
    def _live(self) -> bool:
        return self.spec.speed == "real"

    def run(self, stop: Callable[[], bool]) -> bool:
        """Until the end of the source, of the bins asked for, or a stop; whether it was the source's end."""
        skip = 0 if self.source.live else self.bins.counts.events
        self._begun, self._first = time.monotonic(), self.learner.passed.bins
        last = self._begun
        patience = min(max(self._layout.bin_us / 4e6, 0.001), 0.05)
        while not stop() and not self.enough():
            try:
                arrival = self.source.poll(patience if self._live else 0.1)
            except EOFError:
                if self.source.live and not self.bins.counts.events and self.source.trouble.damaged:
                    raise InputError(f"nothing that came was an event: {self.source.trouble.first}") from None
                self._pass(self.bins.finish(), None)
                return True
            events = wire.no_events()
            if arrival is not None:
                skip, arrival = self._unseen(skip, arrival)
                self._hear(arrival)
                events = arrival.message.events
            if arrival is not None and len(events):
                last = arrival.at
                self._pass(self.bins.push(events), arrival.at if self.source.live else None)
            elif self._live and self.source.live:
                self._pass(self.bins.tick(int((time.monotonic() - last) * 1e6)), None)
            self.out.flush()
            if (
                self.spec.state is not None
                and self.learner.passed.bins - self._saved_at >= self.spec.save_every
            ):
                self.save()
        return False

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

    def _pass(self, blocks: Iterable[NDArray[np.uint8]], arrived: float | None) -> None:
        """Let bins pass; at real speed one by one, each when it is due."""
        for block in blocks:
            spikes = torch.from_numpy(block)
            first = self.learner.passed.bins
            portions = [1] * len(block) if self._live else [len(block)]
            for portion in spikes.split(portions):
                if self._live and self._late(first, arrived):
                    self.learner.skip(len(portion))
                else:
                    self._advance(portion, first)
                first += len(portion)

    def _late(self, bin: int, arrived: float | None) -> bool:
        """Wait until a bin is due; whether that is so long ago that it must be dropped."""
        due = arrived
        if due is None and not self.source.live:
            due = self._begun + (bin + 1 - self._first) * self._layout.bin_us / 1e6
            time.sleep(max(0.0, due - time.monotonic()))
        self.lag_ms = 0.0 if due is None else 1e3 * max(0.0, time.monotonic() - due)
        self.worst_lag_ms = max(self.worst_lag_ms, self.lag_ms)
        return self.lag_ms > self.spec.max_lag_ms

    def _advance(self, spikes: torch.Tensor, first: int) -> None:
        targets = [self.labels.at(first + c, self.bins.stream_time) for c in range(len(spikes))]
        done = 0
        for target, group in groupby(targets):
            count = len(list(group))
            for decision in self.learner.step(spikes[done : done + count], target):
                self.out.write(json.dumps(self._line(decision), allow_nan=False) + "\n")
                self.answers += 1
            done += count

    def _line(self, decision: Decision) -> dict[str, Any]:
        sure = float(decision.probabilities.max()) >= self.spec.threshold
        counts, trouble = self.bins.counts, self.source.trouble
        return {
            "time_us": (decision.bin + 1) * self._layout.bin_us,
            "bin": decision.bin,
            "class": decision.label if sure else None,
            "probabilities": [round(p, 6) for p in decision.probabilities.tolist()],
            "entropy": round(decision.entropy, 6),
            "votes": decision.votes.tolist(),
            "hidden_rate": round(decision.hidden_rate, 6),
            "target": decision.target,
            "lag_ms": round(self.lag_ms, 3) if self._live else None,
            "dropped_bins": self.learner.passed.skipped,
            "late_events": counts.late,
            "outside_events": counts.outside,
            "damaged": counts.damaged + trouble.damaged + self._damaged_labels,
            "dropped_messages": trouble.dropped + self.labels.forgotten,
            "clock_jumps": counts.clock_jumps,
        }

    def save(self) -> None:
        """Save all that goes on."""
        assert self.spec.state is not None
        self.out.flush()  # what the state has left behind must have been said
        params, tensors = self.learner.params, self.learner.state()
        named = {f"params.{name}": leaf for name, leaf in params._asdict().items()}
        facts = {
            "kind": "stream",
            "identity": self._identity,
            "bins": self.learner.passed.bins,
            "label": self.labels.now,
            "labels": [list(told) for told in self.labels.told],
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
            if theirs.get(name) != value:
                raise InputError(
                    f"the state in {self.spec.state} was saved with {name} {theirs.get(name)}, and now it is {value}; "
                    "give the same settings, or --state another folder"
                )
        self.learner.restore(tensors)
        self.labels.now = facts["label"]
        self.labels.told = [(bin, label) for bin, label in facts["labels"]]
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
        if self._live:
            said += f"; at most {self.worst_lag_ms:.1f} ms behind"
        return said

    def warnings(self) -> list[str]:
        """What a person should know of the network and the input."""
        found = []
        counts, rates, trouble = self.bins.counts, self.learner.hidden_rates(), self.source.trouble
        if counts.events and counts.outside == counts.events - counts.late - counts.damaged:
            found.append(
                "all events lay outside the window of pixels that the network sees; set --x0 and --y0"
            )
        if trouble.first is not None:
            found.append(f"the first of what could not be used: {trouble.first}")
        warning = None if rates is None else metrics.mute(rates).warning(len(rates))
        return found if warning is None else [*found, warning]
