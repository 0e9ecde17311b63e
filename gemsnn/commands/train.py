"""``gemsnn train``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import tyro

from gemsnn import config as config_module
from gemsnn import running
from gemsnn.commands.settings import settings_of, word_after
from gemsnn.config import Settings
from gemsnn.errors import InputError
from gemsnn.recipes import RecipeName


def make(words: Sequence[str]) -> Callable[..., int]:
    """The command; a recipe or a TOML file among the words gives its defaults."""
    origin = {flag: word_after(flag, words) for flag in ("--resume", "--from")}
    named = origin["--resume"] or origin["--from"]
    own = (
        named is not None and word_after("--config", words) is None and word_after("--recipe", words) is None
    )
    defaults = config_module.load(Path(named) / "config.toml") if named and own else settings_of(words)

    def train(
        settings: Settings = defaults,
        out: Path | None = None,
        config: Path | None = None,
        recipe: RecipeName | None = None,
        resume: Path | None = None,
        from_run: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    ) -> int:
        """Train a network, score it on the test part and write a report.

        Args:
            settings: every setting; a recipe or a TOML file gives them, flags override it.
            out: the run folder to make; by default runs/ and the time.
            config: a TOML file of settings.
            recipe: settings that have been measured, by name.
            resume: a run folder: go on with its training, with its settings, to its end or to more epochs.
            from_run: a run folder: begin a new run with its weights and, but for other flags, its settings.
        """
        if resume is not None:
            if out is not None or from_run is not None or not own:
                raise InputError(
                    "--resume goes on in the run's folder with its settings; leave out --out, --from, --config and "
                    "--recipe"
                )
            return running.resume(resume, settings)
        out = out or Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S")
        return running.start_training(settings, out, from_run=from_run)

    return train
