"""``gemsnn train``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gemsnn import running
from gemsnn.commands import flags
from gemsnn.commands.settings import AllSettings
from gemsnn.errors import InputError
from gemsnn.layers import Layered
from gemsnn.recipes import RecipeName


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("train", train, words)


def train(
    settings: AllSettings = Layered(),  # noqa: B008
    out: Path | None = None,
    config: Path | None = None,
    recipe: RecipeName | None = None,
    resume: Path | None = None,
) -> int:
    """Train a network, score it on the test part and write a report.

    Settings come in layers, each of which overrides the ones before it: the defaults, a recipe, a TOML file, the flags.

    Args:
        settings: every setting.
        out: the run folder to make; by default runs/ and the time.
        config: a TOML file of settings.
        recipe: settings that have been measured, by name.
        resume: a run folder whose training was stopped: go on to its end, with its settings.
    """
    if resume is not None:
        if recipe or config or out or len(settings.layers) > 1:
            raise InputError("--resume takes all settings from the run; leave out the other flags")
        return running.resume(resume)
    return running.start_training(settings, out)
