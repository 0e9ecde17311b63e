"""What a stream has to do: its settings, and what follows from them for a model and a sensor."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gemsnn.config import Settings
from gemsnn.data.arrivals import ArrivalSpec
from gemsnn.data.recordings import MNIST_DVS_BINS, NMNIST_BINS
from gemsnn.errors import InputError
from gemsnn.kernels import Learning
from gemsnn.online import OnlineLearner, OnlineSpec
from gemsnn.records import RunFolder
from gemsnn.running import Trained
from gemsnn.types import Layout

MNIST_DVS_CORNER = (48, 48)
"""Where the pixels of MNIST-DVS begin on the sensor."""


@dataclass(frozen=True)
class StreamSpec:
    """A stream, beside its model and its input.

    Attributes:
        speed: real: bins take as long as they do for the sensor, and silence lets time pass; max: time is that of
            the events alone, and bins are worked through as fast as they can be.
        learn: learn while a label is told, with the run's rule and optimiser.
        labels: a file of lines label,T,C: from the time T on (microseconds of the events' clock) the class is C, or
            none.
        state: a folder to save the stream in, and to go on from where it was stopped.
        compartments: K, that vote and learn.
        window: bins whose output spikes make a vote; by default as many as made the answers in training. Where no
            input has spiked in them there is no class, for the reason silence.
        every: bins from one answer to the next.
        update_every: bins from one update to the next; by default the run's, or a window where that was a
            presentation.
        lr: the step size; by default the run's.
        x0: the first pixel column that the network sees; by default the middle of the sensor, where known, else 0.
        y0: the first row.
        reorder_us: how long a bin waits for events after its end; by default the width of a bin.
        max_gap_us: the longest step of time that is believed; more is a clock that was set anew.
        max_lag_ms: how far behind the end of its bin an answer may be written (speed real). Bins whose answers would
            be further behind are dropped; no line is further behind than this and the time of its own step.
        threshold: where the greatest probability is smaller, the class is null, for the reason unsure.
        save_every: bins from one saved state to the next.
        bins: end once so many bins have passed. What the same events have closed still passes (of a file, those
            of up to a second), so that a state goes on to the bit.
        seed: of all noise.
    """

    speed: Literal["real", "max"] = "real"
    learn: bool = False
    labels: Path | None = None
    state: Path | None = None
    compartments: int = 10
    window: int | None = None
    every: int = 1
    update_every: int | None = None
    lr: float | None = None
    x0: int | None = None
    y0: int | None = None
    reorder_us: int | None = None
    max_gap_us: int = 10_000_000
    max_lag_ms: float = 1000.0
    threshold: float = 0.0
    save_every: int = 2000
    bins: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers once."""
        for name in ("save_every", "bins"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, not {value}")
        if not 0 <= self.threshold <= 1:
            raise InputError(f"threshold must lie between 0 and 1, not {self.threshold}")
        if not self.max_lag_ms >= 0:
            raise InputError(f"max_lag_ms must not be negative, not {self.max_lag_ms}")


class Task(NamedTuple):
    """A model, and how it is to run."""

    trained: Trained
    online: OnlineSpec
    arrivals: ArrivalSpec
    learning: Learning | None

    def learner(self) -> OnlineLearner:
        """A learner at its beginning."""
        optimiser = self.trained.learner.optimiser
        fits = self.learning is not None and (self.learning.optimiser.optimiser == "sgd") == (
            optimiser.first is None
        )
        return OnlineLearner(
            self.trained.network,
            self.trained.learner.params,
            self.online,
            arrivals=self.arrivals,
            learning=self.learning,
            optimiser=optimiser if fits else None,
        )


def task_of(spec: StreamSpec, settings: Settings, trained: Trained, sensor: tuple[int, int] | None) -> Task:
    """What a stream with these settings has to do.

    Raises:
        InputError: the network cannot learn like this without end, or does not fit on the sensor.
    """
    layout = trained.layout
    usual = (NMNIST_BINS if settings.data.data == "nmnist" else MNIST_DVS_BINS).steps or 1
    steps = settings.data.steps or usual
    window = spec.window or max(1, round(steps * (1 - settings.data.warm_up)))
    learning = None
    if spec.learn:
        optimiser = settings.optimiser
        if spec.lr is not None:
            optimiser = dataclasses.replace(optimiser, lr=spec.lr)
        every = spec.update_every or settings.train.update_steps or window
        learning = Learning(settings.rule, optimiser, spec.compartments, every)
    x0, y0 = _corner(spec, settings, layout, sensor)
    return Task(
        trained,
        OnlineSpec(spec.compartments, window, spec.every, spec.seed),
        ArrivalSpec(layout, x0, y0, settings.data.counts, spec.reorder_us, spec.max_gap_us),
        learning,
    )


def _corner(
    spec: StreamSpec, settings: Settings, layout: Layout, sensor: tuple[int, int] | None
) -> tuple[int, int]:
    if sensor is None:
        middle = (0, 0)
    elif settings.data.data == "mnist-dvs" and sensor == (128, 128):
        middle = MNIST_DVS_CORNER
    else:
        middle = (max(0, sensor[0] - layout.width) // 2, max(0, sensor[1] - layout.height) // 2)
    corner = (middle[0] if spec.x0 is None else spec.x0, middle[1] if spec.y0 is None else spec.y0)
    if sensor is not None and (corner[0] + layout.width > sensor[0] or corner[1] + layout.height > sensor[1]):
        raise InputError(
            f"the network sees {layout.width} x {layout.height} pixels, which do not fit on the sensor of "
            f"{sensor[0]} x {sensor[1]} from {corner} on; choose --x0 and --y0"
        )
    return corner


def identity(task: Task, folder: RunFolder) -> dict[str, Any]:
    """What a stream that goes on must have in common with the one that was stopped."""
    learning = None if task.learning is None else dataclasses.asdict(task.learning)
    arrivals = dataclasses.asdict(task.arrivals)
    arrivals["layout"] = list(task.arrivals.layout)
    _, facts = folder.load_checkpoint()
    return {
        "model": facts["sha256"],
        **dataclasses.asdict(task.online),
        **arrivals,
        "learning": learning,
    }
