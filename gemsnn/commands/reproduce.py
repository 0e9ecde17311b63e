"""``gemsnn reproduce``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import tyro

from gemsnn import console, running
from gemsnn.commands.settings import settings_of
from gemsnn.config import Groups, Settings
from gemsnn.data import datasets
from gemsnn.recipes import RecipeName
from gemsnn.reproduce import figures, k_sweep
from gemsnn.reproduce.k_sweep import SweepSpec

QUICK_SWEEP = SweepSpec(compartments=(1, 3), seeds=2, votes=6)
"""A sweep to see that all works."""


def make(words: Sequence[str]) -> Callable[..., int]:
    """The command; a recipe or a TOML file among the words gives its defaults."""
    defaults = settings_of(words, "paper")

    def reproduce(
        experiment: tyro.conf.Positional[Literal["k-sweep"]],
        settings: Settings = defaults,
        compartments_list: Groups = SweepSpec.compartments,
        seeds: int = SweepSpec.seeds,
        votes: int = SweepSpec.votes,
        jobs: int = SweepSpec.jobs,
        out: Path = Path("runs") / "k-sweep",
        config: Path | None = None,
        recipe: RecipeName = "paper",
        quick: bool = False,
    ) -> int:
        """Run an experiment of the paper: train with K compartments, answer with K_I, over several seeds.

        A sweep that was stopped goes on where the same command finds its folder.

        Args:
            experiment: which one.
            settings: every setting; a recipe or a TOML file gives them, flags override it. Compartments and seed are
                the sweep's.
            compartments_list: the K of training, with commas between them.
            seeds: how many seeds, from 0 on.
            votes: the largest K_I.
            jobs: networks trained at a time, each with one thread.
            out: the folder of parts, results.json and figures.
            config: a TOML file of settings.
            recipe: settings that have been measured, by name.
            quick: two K, two seeds, few presentations, to see that it works.
        """
        return sweep(settings, SweepSpec(compartments_list, seeds, votes, jobs), out, quick)

    return reproduce


def sweep(settings: Settings, spec: SweepSpec, out: Path, quick: bool) -> int:
    """Run a sweep and print what it found."""
    if quick:
        spec = dataclasses.replace(QUICK_SWEEP, jobs=spec.jobs)
        settings = dataclasses.replace(
            settings,
            data=dataclasses.replace(settings.data, limit=settings.data.limit or 64),
            train=dataclasses.replace(settings.train, epochs=1),
        )
    splits = datasets.load(settings.data, progress=console.bar)  # made here once, then read by every part
    for part in ("train", "validation", "test"):
        running.part_of(splits, part)
    with console.status("compiling and running; a line for every part that is done"):
        results = k_sweep.run(settings, spec, out, say=console.say)
    print(k_sweep.table(results))
    for path in figures.draw(results, out):
        print(f"figure: {path}")
    print(f"numbers: {out / 'results.json'}")
    return 0
