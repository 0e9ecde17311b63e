"""``gemsnn train``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from gemsnn.commands import flags
from gemsnn.commands.settings import AllSettings
from gemsnn.commands.together import Restarts, Workers, begun, bound, check_group, launch
from gemsnn.errors import InputError
from gemsnn.learn.crew import Split, divided
from gemsnn.machine import group
from gemsnn.runs import assisting
from gemsnn.runs import training as running
from gemsnn.runs.assisting import Together
from gemsnn.runs.layers import Layered
from gemsnn.runs.recipes import RecipeName
from gemsnn.runs.tuning import Minutes
from gemsnn.specs import checks

BASIC = (
    "data", "root", "out", "recipe", "config", "resume", "tune",
    "hidden", "rule", "compartments", "epochs", "lr", "votes", "seed",
)  # fmt: skip
"""What most trainings say, if anything."""


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return bound(words, flags.bind("train", train, words, BASIC), _launch)


def _launch(
    words: Sequence[str], *, settings: Layered, workers: int, max_restarts: int, split: Split,
    out: Path | None = None, resume: Path | None = None, **_: Any,
) -> int:  # fmt: skip
    checks.number(workers, Workers, "workers")
    divided(split, workers, settings.settings.learning)
    return launch("train", words, workers, max_restarts, out, resume)


def train(
    settings: AllSettings = Layered(),  # noqa: B008
    out: Path | None = None,
    config: Path | None = None,
    recipe: RecipeName | None = None,
    resume: Path | None = None,
    from_run: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    tune: Minutes | None = None,
    tensorboard: bool = False,
    workers: Workers | None = None,
    split: Split = "presentations",
    max_restarts: Restarts = 0,
) -> int:
    """Train a network, score it on the test part and write a report.

    Settings come in layers, each of which overrides the ones before it: the defaults, a recipe, a TOML file, the flags.

    Args:
        settings: every setting.
        out: the run folder to make; by default runs/ and the time.
        config: a TOML file of settings.
        recipe: settings that have been measured, by name.
        resume: a run folder: go on with its training, with its settings, to its end or to more epochs.
        from_run: a run folder: begin a new run with its weights and, but for other flags, its settings.
        tune: first search the settings that neither flags nor the file give, for so many minutes.
        tensorboard: write the numbers of the training for TensorBoard, too, into the run's folder tensorboard.
        workers: processes of this machine that learn each batch together, as torchrun starts them too.
        split: what workers divide: the presentations of a batch, the compartments, or both.
        max_restarts: how many times the workers may be started anew, from the last checkpoint, where one is lost.
    """
    if not group.is_launched():
        if split != "presentations" or max_restarts:
            raise InputError(
                "--split and --max-restarts are for several workers; give --workers, or leave them out"
            )
        return _train(None, settings, out, config, recipe, resume, from_run, tune, tensorboard)
    check_group(workers)
    run = begun(out)
    if run is not None:
        return assisting.work(partial(_again, run, tensorboard), split)
    return assisting.work(
        lambda together: _train(together, settings, out, config, recipe, resume, from_run, tune, tensorboard),
        split,
    )


def _again(run: Path, tensorboard: bool, together: Together) -> int:
    return running.resume(run, tensorboard=tensorboard, together=together)


def _train(
    together: Together | None, settings: Layered, out: Path | None, config: Path | None,
    recipe: RecipeName | None, resume: Path | None, from_run: Path | None, tune: float | None, tensorboard: bool,
) -> int:  # fmt: skip
    if resume is None:
        if tune is not None and from_run is not None:
            raise InputError(
                "--tune searches settings of a network that begins anew, and --from begins with another's weights; "
                "leave one of them out"
            )
        return running.start_training(
            settings, out, from_run=from_run, tune=tune, tensorboard=tensorboard, together=together
        )
    if any(other is not None for other in (out, from_run, config, recipe, tune)):
        raise InputError(
            "--resume goes on in the run's folder with its settings; leave out --out, --from, --config, --recipe and "
            "--tune"
        )
    return running.resume(resume, settings, tensorboard=tensorboard, together=together)
