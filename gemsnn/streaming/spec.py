"""What a stream has to do: its settings, and what follows from them for a model and a sensor."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from gemsnn.data.arrivals import LATEST, ArrivalSpec
from gemsnn.errors import InputError
from gemsnn.kernels import STREAMS, KernelName, Learning
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.learn.online import OnlineLearner
from gemsnn.model.network import Params
from gemsnn.rules import loading
from gemsnn.rules.base import RuleSpec
from gemsnn.runs.config import Settings
from gemsnn.runs.models import Model
from gemsnn.scoring.conformal import Risk
from gemsnn.scoring.familiar import Familiar
from gemsnn.scoring.promise import Certificate
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, NotNegative, Range, Seed, Share
from gemsnn.specs.needs import given, needs, one_of
from gemsnn.types import LARGEST_SIDE

OF_LEARNING = needs(given("learn"))

COMPARTMENTS = 10
"""That answer, where nobody says how many."""


@dataclass(frozen=True)
class StreamSpec:
    """A stream, beside its model and its input.

    Attributes:
        speed: real: bins take as long as they do for the sensor, and silence lets time pass; max: time is that of
            the events alone, and bins are worked through as fast as they can be.
        learn: learn while a label is told, with the run's rule and optimiser.
        rule: the run's rule again, where it is one of your own, module:name or path/to/file.py:name.
        labels: a file of lines label,T,C: from the time T on (microseconds of the events' clock) the class is C, or
            none; and of lines begin,T: at T a recording begins.
        certified: answer under the run's certificate (gemsnn certify): sets of classes, answers before a recording's
            end, nothing where it is undecided. Where labels are told, its limits follow what was missed.
        false_alarms: the probability of an alarm, ever, where the world stays as it was when the run was certified.
        state: a folder to save the stream in, and to go on from where it was stopped.
        compartments: K, that vote and learn; by default 10, or as many as the certificate is about.
        window: bins whose output spikes make a vote; by default as many as made the answers in training. Where no
            input has spiked in them there is no class, for the reason silence.
        every: bins from one answer to the next.
        update_every: bins from one update to the next; by default the run's, or a window where that was a
            presentation.
        lr: the step size; by default the run's.
        x0: the first pixel column that the network sees; by default the one it was trained on, where the sensor is
            as large as the one it was trained on, or does not tell its size.
        y0: the first row.
        reorder_us: how long a bin waits for events after its end; by default the width of a bin.
        max_gap_us: the longest step of time that is believed; more is a clock that was set anew.
        max_lag_ms: how far behind the end of its bin an answer may be written (speed real). Bins whose answers would
            be further behind are dropped; no line is further behind than this and the time of its own step.
        threshold: where the greatest probability is smaller, the class is null, for the reason unsure.
        save_every: bins from one saved state to the next.
        bins: end once so many bins have passed. What the same events have closed still passes (of a file, those
            of up to a second), so that a state goes on to the bit.
        seed: of all noise; by default the run's.
        address: which of the noises of that seed. A recording answers as in gemsnn evaluate, to the bit, at its last
            bin, with its number in the data set here and as many compartments.
    """

    speed: Literal["real", "max"] = "real"
    learn: bool = False
    rule: Annotated[str | None, OF_LEARNING] = None
    labels: Path | None = None
    certified: bool = False
    false_alarms: Annotated[Risk, needs(given("certified"))] = 0.01
    state: Path | None = None
    compartments: Count | None = None
    window: Count | None = None
    every: Count = 1
    update_every: Annotated[Count | None, OF_LEARNING] = None
    lr: Annotated[NotNegative | None, OF_LEARNING] = None
    x0: Annotated[int, Range(0, LARGEST_SIDE)] | None = None
    y0: Annotated[int, Range(0, LARGEST_SIDE)] | None = None
    reorder_us: Annotated[int, Range(0, LATEST)] | None = None
    max_gap_us: Annotated[int, Range(1, LATEST)] = 10_000_000
    max_lag_ms: Annotated[NotNegative, needs(one_of("speed", "real"))] = 1000.0
    threshold: Share = 0.0
    save_every: Annotated[Count, needs(given("state"))] = 2000
    bins: Count | None = None
    seed: Seed | None = None
    address: Annotated[int, Range(0, 2**32 - 1)] = 0

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)


class Task(NamedTuple):
    """A model, and how it is to run.

    Attributes:
        model: the trained network.
        online: how it answers.
        arrivals: how events become bins.
        learning: how it learns, where it does.
        kernel: what runs it: the run's, where it has a stream.
        at_least: bins of a source that ends, silence after its last event with them, as in training.
        certificate: what is promised of its answers, or ``None``.
        familiar: what its alarm knows of hidden activity and inputs, or ``None``.
        false_alarms: the probability of an alarm where nothing has changed.
    """

    model: Model
    online: OnlineSpec
    arrivals: ArrivalSpec
    learning: Learning | None
    at_least: int = 0
    kernel: KernelName = "auto"
    certificate: Certificate | None = None
    familiar: Familiar | None = None
    false_alarms: float = 0.01

    def learner(self, params: Params | None = None) -> OnlineLearner:
        """A learner at its beginning, by default with the parameters of the training."""
        optimiser = self.model.learner.optimiser
        fits = self.learning is not None and (self.learning.optimiser.optimiser == "sgd") == (
            optimiser.first is None
        )
        return OnlineLearner(
            self.model.network,
            self.model.learner.params if params is None else params,
            self.online,
            arrivals=self.arrivals,
            learning=self.learning,
            kernel=self.kernel,
            optimiser=optimiser if fits else None,
            certificate=self.certificate,
            familiar=self.familiar,
            false_alarms=self.false_alarms,
        )


def task_of(
    spec: StreamSpec,
    settings: Settings,
    model: Model,
    sensor: tuple[int, int] | None,
    promised: tuple[Certificate, Familiar | None] | None = None,
) -> Task:
    """What a stream with these settings has to do, under this certificate, with what is familiar.

    Raises:
        InputError: the network cannot learn like this without end, or does not fit on the sensor.
    """
    certificate, familiar = promised or (None, None)
    compartments = spec.compartments or (COMPARTMENTS if certificate is None else certificate.compartments)
    online = model.online(
        compartments, window=spec.window, every=spec.every, seed=spec.seed, address=spec.address
    )
    learning, reading = None, model.reading
    if spec.learn:
        optimiser = settings.optimiser
        if spec.lr is not None:
            optimiser = dataclasses.replace(optimiser, lr=spec.lr)
        every = spec.update_every or settings.train.update_steps or online.window
        learning = Learning(_rule(spec, settings), optimiser, compartments, every)
    corner = reading.corner_on(sensor, spec.x0, spec.y0)
    return Task(
        model,
        online,
        reading.arrivals(corner, reorder_us=spec.reorder_us, max_gap_us=spec.max_gap_us),
        learning,
        reading.steps if reading.pad else 0,
        settings.network.kernel if settings.network.kernel in STREAMS else "auto",
        certificate,
        familiar,
        spec.false_alarms,
    )


def _rule(spec: StreamSpec, settings: Settings) -> RuleSpec:
    """The run's rule; one of a person's own only if it was given again."""
    if spec.rule is None:
        return settings.rule
    rule = loading.given(spec.rule)
    if rule != settings.rule.rule:
        raise InputError(
            f"the run has learned with the rule {settings.rule.name}, and a stream goes on with that, not with {rule}; "
            "leave out --rule, or train anew"
        )
    return dataclasses.replace(settings.rule, rule=rule)


def cautions(spec: StreamSpec, settings: Settings, model: Model) -> list[str]:
    """Where a stream cannot answer as ``gemsnn evaluate`` does for the same recording."""
    found, facts = [], model.facts
    if settings.data.deflicker:
        found.append("the network was trained on de-flickered recordings, and a stream is not de-flickered")
    if facts.decoder == "likelihood":
        found.append(f"the run answers by {facts.decoder}, and a stream by votes")
    if not facts.reading.pad and facts.warm_up and spec.window is None:
        found.append(
            f"the run's recordings end where they end, and their warm-up with them; the window of {facts.window} bins "
            f"is that of a recording of {facts.reading.steps}"
        )
    return found


def identity(task: Task) -> dict[str, Any]:
    """What a stream that goes on must have in common with the one that was stopped."""
    learning = None if task.learning is None else dataclasses.asdict(task.learning)
    if task.learning is not None and learning is not None:
        learning["rule"]["rule"] = task.learning.rule.name
        if not task.learning.rule.resample:  # of which older states do not tell
            del learning["rule"]["resample"]
    arrivals, online = dataclasses.asdict(task.arrivals), dataclasses.asdict(task.online)
    arrivals["layout"] = list(task.arrivals.layout)
    # states of before there was such a thing do not tell of it
    if task.arrivals.grid is None:
        del arrivals["grid"]
    else:
        arrivals["grid"] = {name: list(sides) for name, sides in arrivals["grid"].items()}
    online["readouts"] = list(task.online.readouts)
    if not task.online.readouts:
        del online["readouts"]
    for name in ("decoder", "temperature"):  # what is said of the state, and no part of it
        del online[name]
    found = {"model": task.model.sha256, **online, **arrivals, "learning": learning}
    return found if task.certificate is None else found | {"certificate": task.certificate.digest}
