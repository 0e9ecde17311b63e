"""A search of settings by the validation part, within some minutes: ``gemsnn train --tune`` and :func:`gemsnn.tune`.

What is searched follows from the recordings (:func:`space`), and is what one recipe cannot know of all data: how far
back neurons hear, when answers begin, step size, epochs, the hidden group's size, and how far a scene may be moved.
What somebody has given is not searched. The first trial is that of the settings as they are. What is tried next is the
choice of optuna's tree-structured Parzen estimator (T. Akiba and others, "Optuna: A Next-generation Hyperparameter
Optimization Framework", KDD 2019), and a trial that is worse than the median of the others as far along is given up.

Each trial is a training on the training part, and its worth the NLL of its answers to the validation part, at the
temperature fitted there (:func:`gemsnn.learn.judging.losses`). The best of E trials takes the place of the settings as
they were if its lead exceeds what the best of so many would have by chance (:func:`gemsnn.learn.judging.is_ahead`): on
a validation part that is small, a small lead says nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import DivergedError, InputError
from gemsnn.learn import judging
from gemsnn.learn.train import Watcher
from gemsnn.runs.config import Settings
from gemsnn.runs.teaching import teach
from gemsnn.specs import checks
from gemsnn.specs import fields as specs
from gemsnn.specs.checks import Range
from gemsnn.types import PresentationSequence, Progress

if TYPE_CHECKING:
    from types import ModuleType

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Minutes = Annotated[float, Range(above=0, high=60 * 24 * 30)]

RANDOM = 5
"""Trials drawn at random, before the estimator has anything to go by."""

PARTS = 10
"""Stretches of a training at whose ends trials are compared."""

EARLIEST = 3
"""Of these, so many before a trial is given up."""

LEAST_MEMORY = 10
OFFSETS = (1.0, 10_000.0)
"""Of raised cosines: crowded at short lags, or evenly spaced in any memory."""

State = Literal["whole", "given up", "out of time", "diverged"]


class Trial(msgspec.Struct, frozen=True):
    """What came of some settings.

    Attributes:
        settings: those that were searched.
        state: ``whole``; ``given up`` where it was behind others; ``out of time`` where the search's time was over;
            ``diverged`` where weights were no longer finite.
        course: the least NLL so far, in nats, at the end of each tenth of the training that it came to.
        losses: each validation recording's, in nats; of a whole trial.
        seconds: what it took.
    """

    settings: dict[str, Any]
    state: State
    course: tuple[float, ...]
    losses: tuple[float, ...]
    seconds: float

    @property
    def nll(self) -> float | None:
        """The mean of the losses; ``None`` if the trial is not whole."""
        return sum(self.losses) / len(self.losses) if self.state == "whole" else None


class Tuned(msgspec.Struct, frozen=True):
    """What a search has found.

    Attributes:
        settings: those to train with, by name: empty where none were better by more than chance makes them.
        trials: all of them, the first that of the settings as they were.
        ended: whether the search came to its end; false where it was stopped.
    """

    settings: dict[str, Any]
    trials: tuple[Trial, ...]
    ended: bool = True

    def told(self) -> str:
        """In words."""
        tried = f"search of settings, {len(self.trials)} trial{'s' if len(self.trials) > 1 else ''}"
        best, before = best_of(self.trials), self.trials[0].nll if self.trials else None
        if best is None or before is None:
            return f"{tried}: the settings as they were could not be tried to their end, so they stay"
        if len(self.trials) == 1:
            return f"{tried}: the time was over after that of the settings as they were, which stay"
        if not self.settings:
            return (
                f"{tried}: the settings stay as they were (NLL {before:.3f} on the validation part; the least of a "
                f"trial is {best.nll:.3f}, a lead that chance may have made)"
            )
        return (
            f"{tried}: {in_words(self.settings)} (NLL {before:.3f} -> {best.nll:.3f} on the validation part)"
        )


def in_words(settings: Mapping[str, Any]) -> str:
    """Settings as ``name value, name value``."""
    shown = {name: ",".join(map(str, v)) if isinstance(v, tuple) else v for name, v in settings.items()}
    return ", ".join(
        f"{name} {format(value, '.3g') if isinstance(value, float) else value}"
        for name, value in shown.items()
    )


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The whole trial of the least NLL."""
    whole = [trial for trial in trials if trial.nll is not None]
    return min(whole, key=lambda trial: trial.nll or 0.0, default=None)


def chosen(trials: Sequence[Trial]) -> dict[str, Any]:
    """The settings that take the place of those of the first trial; none, where no lead is more than chance."""
    best = best_of(trials)
    if best is None or best is trials[0] or trials[0].nll is None:
        return {}
    found, own = (torch.tensor(each.losses, dtype=torch.float64) for each in (best, trials[0]))
    if not judging.is_ahead(found, own, len(trials)):
        return {}
    return {name: value for name, value in best.settings.items() if value != trials[0].settings[name]}


def library() -> ModuleType:
    """Optuna.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise InputError(
            "the search of settings needs the library optuna; install it with pip install 'gemsnn[tune]', or leave "
            "--tune out"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def space(recordings: SpikeSet, own: Settings, given: Collection[str]) -> dict[str, BaseDistribution]:
    """What is searched, and where, by the settings' names.

    =================== =============================================================================================
    ``lr``              a quarter of the settings' own to four times as much, in equal ratios
    ``epochs``          half the settings' own to twice as many, in equal ratios
    ``warm_up``         0, 1/4, 1/2, 3/4
    ``memory``          10 bins to all of the longest recording, in equal ratios
    ``basis_count``     4 or 8 filters
    ``basis_offset``    1, filters crowded at short lags, or 10,000, evenly spaced; of raised cosines
    ``readout_memory``  as memory, or 10 bins, where a recording has more than 20
    ``hidden``          128, 256 or 512 neurons, where there is one dense group
    ``shift``           0 pixels to a tenth of the sensor's smaller side, where events of a sheet of pixels are at hand
    ``rotate``          0 or 10 degrees, there
    ``zoom``            0 or 0.1, there
    ``drop_pixels``     0 or 0.3, where events are at hand
    =================== =============================================================================================

    All of them hold the settings' own values besides.

    Args:
        recordings: to learn from.
        own: the settings as they are.
        given: names of those that somebody has given, which stay.

    Raises:
        InputError: nothing is left to search.
    """
    library()
    from optuna.distributions import CategoricalDistribution as Options
    from optuna.distributions import FloatDistribution, IntDistribution

    values = specs.flat(own)
    longest = max(LEAST_MEMORY, recordings.longest)

    def whole(name: str, low: int, high: int, *, log: bool = True) -> IntDistribution:
        return IntDistribution(min(low, values[name]), max(high, values[name]), log=log)

    def options(name: str, *of: Any) -> Options:
        own_value = values[name][0] if name == "hidden" else values[name]
        return Options(list(dict.fromkeys([*of, own_value])))

    found: dict[str, BaseDistribution] = {
        "lr": FloatDistribution(values["lr"] / 4, values["lr"] * 4, log=True),
        "epochs": whole("epochs", max(1, values["epochs"] // 2), 2 * values["epochs"]),
        "warm_up": options("warm_up", 0.0, 0.25, 0.5, 0.75),
        "memory": whole("memory", LEAST_MEMORY, longest),
        "basis_count": options("basis_count", 4, 8),
    }
    if own.network.basis == "raised-cosine":
        found["basis_offset"] = options("basis_offset", *OFFSETS)
    if own.network.graph is None:
        if longest // 2 > LEAST_MEMORY:
            found["readout_memory"] = options("readout_memory", None, LEAST_MEMORY)
        if len(own.network.hidden) == 1 and isinstance(own.network.hidden[0], int):
            found["hidden"] = options("hidden", 128, 256, 512)
    if recordings.source is not None and recordings.reading is not None:
        found["drop_pixels"] = options("drop_pixels", 0.0, 0.3)
        side = min(recordings.reading.sensor)
        if side // 10:
            found["shift"] = whole("shift", 0, side // 10, log=False)
        if side > 1:
            found |= {"rotate": options("rotate", 0.0, 10.0), "zoom": options("zoom", 0.0, 0.1)}
    left = {name: each for name, each in found.items() if name not in given}
    if not left:
        raise InputError(
            f"there is nothing to search: {', '.join(found)} are all given; leave out those that are to be searched "
            "(the file of a run names every setting)"
        )
    return left


def search(
    recordings: SpikeSet,
    validation: PresentationSequence,
    own: Settings,
    given: Collection[str],
    minutes: float,
    *,
    trials: Sequence[Trial] = (),
    tell: Callable[[Trial], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Tuned:
    """Try settings until the time is over.

    The first trial always comes to its end; what it takes is of the time that the others have. The same recordings,
    settings and seed give the same trials, as far as the time reaches.

    Args:
        recordings: to learn from.
        validation: to be answered.
        own: the settings as they are.
        given: names of those that somebody has given, which stay.
        minutes: of the whole search, trials of before included.
        trials: those of before, of a search that was stopped.
        tell: takes each trial when it ends.
        stop: asked after every batch; true ends the search.
        progress: shows how far the reading of events is.

    Raises:
        InputError: nothing is left to search, optuna is not installed, or settings do not fit the recordings. Of those
            that let the weights grow beyond all bounds only the first are refused.
    """
    checks.number(minutes, Minutes, "the minutes of a search")
    if recordings.targets is not None:
        raise InputError(
            "settings are searched by the answers to the validation part, and spike trains give no answers; leave "
            "--tune out"
        )
    if not len(validation):
        raise InputError(
            "settings are searched by the answers to the validation part, which is empty; give some"
        )
    where, done = space(recordings, own, given), list(trials)
    while True:
        left = 60 * minutes - sum(trial.seconds for trial in done)
        if (done and (left <= 0 or done[-1].state == "out of time")) or stop():
            break
        trial = _tried(recordings, validation, own, where, done, left, stop, progress)
        if trial is None:
            break
        done.append(trial)
        tell(trial)
    return Tuned(chosen(done) if done else {}, tuple(done), ended=not stop())


def with_settings(own: Settings, values: Mapping[str, Any]) -> Settings:
    """Settings with others in their place."""
    return specs.filled(Settings, {**specs.flat(own), **values})


def _tried(
    recordings: SpikeSet,
    validation: PresentationSequence,
    own: Settings,
    where: Mapping[str, BaseDistribution],
    before: Sequence[Trial],
    left: float,
    stop: Callable[[], bool],
    progress: Progress | None,
) -> Trial | None:
    """The next trial; ``None`` if it was stopped from outside."""
    began, first = time.perf_counter(), not before
    values = _own_values(own, where) if first else _asked(own, where, before)
    settings = with_settings(own, values)
    course: list[float] = []
    least = math.inf
    state: State = "whole"

    def record(line: dict[str, Any]) -> None:
        nonlocal least
        if line["kind"] == "epoch":
            least = min(least, line["nll"])
            course.extend([least] * (PARTS * line["epoch"] // settings.train.epochs - len(course)))

    def ends() -> bool:
        nonlocal state
        if not first and time.perf_counter() - began > left:
            state = "out of time"
        elif not first and _is_behind(course, before):
            state = "given up"
        return state != "whole" or stop()

    losses: Tensor = torch.zeros(0, dtype=torch.float64)
    try:
        taught = teach(
            settings, recordings, validation, watcher=Watcher(record=record, stop=ends), progress=progress
        )
    except DivergedError:
        if first:
            raise
        state = "diverged"
    else:
        if not taught.finished and state == "whole":
            return None
        if state == "whole":
            losses = judging.losses(
                taught.network, taught.state.answering.params, validation,
                kernel=taught.kernel, seed=rng.derive(settings.train.seed, "tune"), decoder=taught.decoder,
            )  # fmt: skip
    spent = round(time.perf_counter() - began, 3)
    return Trial(values, state, tuple(course), tuple(losses.tolist()), spent)


def _own_values(own: Settings, where: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    values = specs.flat(own)
    return {name: values[name] for name in where}


def _is_behind(course: Sequence[float], before: Sequence[Trial]) -> bool:
    """Whether a trial is worse than the median of those that came as far."""
    if len(course) < EARLIEST:
        return False
    others = sorted(trial.course[len(course) - 1] for trial in before if len(trial.course) >= len(course))
    return len(others) > 1 and course[-1] > others[len(others) // 2]


def _asked(own: Settings, where: Mapping[str, BaseDistribution], before: Sequence[Trial]) -> dict[str, Any]:
    """What optuna would try next, given what was tried before: of the seed and these trials, and nothing else."""
    optuna = library()
    seed = rng.derive(own.train.seed, "tune", len(before)) % 2**32
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM)
    study = optuna.create_study(sampler=sampler)
    study.add_trials([_frozen(optuna, trial, where) for trial in before])
    params = study.ask(dict(where)).params
    return {name: (value,) if name == "hidden" else value for name, value in params.items()}


def _frozen(optuna: ModuleType, trial: Trial, where: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """A trial as optuna has it; of one that did not end, the least NLL on its way is what it is judged by."""
    states, whole = optuna.trial.TrialState, trial.state == "whole"
    state = states.COMPLETE if whole else states.PRUNED if trial.course else states.FAIL
    params = {name: value[0] if name == "hidden" else value for name, value in trial.settings.items()}
    return optuna.trial.create_trial(
        state=state,
        value=trial.nll,
        params=params,
        distributions=dict(where),
        intermediate_values=dict(enumerate(trial.course, 1)),
    )
