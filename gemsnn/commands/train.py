"""``gemsnn train``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from gemsnn import running
from gemsnn.commands.settings import settings_of
from gemsnn.config import Settings
from gemsnn.errors import InputError
from gemsnn.recipes import RecipeName


def make(words: Sequence[str]) -> Callable[..., int]:
    """The command; a recipe or a TOML file among the words gives its defaults."""
    defaults = settings_of(words)

    def train(
        settings: Settings = defaults,
        out: Path | None = None,
        config: Path | None = None,
        recipe: RecipeName | None = None,
        resume: Path | None = None,
    ) -> int:
        """Train a network, score it on the test part and write a report.

        Args:
            settings: every setting; a recipe or a TOML file gives them, flags override it.
            out: the run folder to make; by default runs/ and the time.
            config: a TOML file of settings.
            recipe: settings that have been measured, by name.
            resume: a run folder whose training was stopped: go on to its end, with its settings.
        """
        if resume is not None:
            if len(words) > 2 or out is not None:
                raise InputError("--resume takes all settings from the run; leave out the other flags")
            return running.resume(resume)
        return running.start_training(
            settings, out or Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S")
        )

    return train
