"""``gemsnn train``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from gemsnn.commands import flags
from gemsnn.commands.settings import AllSettings
from gemsnn.errors import InputError
from gemsnn.runs import training as running
from gemsnn.runs.layers import Layered
from gemsnn.runs.recipes import RecipeName
from gemsnn.runs.tuning import Minutes

BASIC = (
    "data", "root", "out", "recipe", "config", "resume", "tune",
    "hidden", "rule", "compartments", "epochs", "lr", "votes", "seed",
)  # fmt: skip
"""What most trainings say, if anything."""


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("train", train, words, BASIC)


def train(
    settings: AllSettings = Layered(),  # noqa: B008
    out: Path | None = None,
    config: Path | None = None,
    recipe: RecipeName | None = None,
    resume: Path | None = None,
    from_run: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    tune: Minutes | None = None,
    tensorboard: bool = False,
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
    """
    if resume is None:
        if tune is not None and from_run is not None:
            raise InputError(
                "--tune searches settings of a network that begins anew, and --from begins with another's weights; "
                "leave one of them out"
            )
        return running.start_training(settings, out, from_run=from_run, tune=tune, tensorboard=tensorboard)
    if any(other is not None for other in (out, from_run, config, recipe, tune)):
        raise InputError(
            "--resume goes on in the run's folder with its settings; leave out --out, --from, --config, --recipe and "
            "--tune"
        )
    return running.resume(resume, settings, tensorboard=tensorboard)
