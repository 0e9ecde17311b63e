"""``gemsnn reproduce``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gemsnn.commands import flags
from gemsnn.commands.settings import AllSettings
from gemsnn.data import datasets
from gemsnn.errors import InputError
from gemsnn.reproduce import k_sweep
from gemsnn.reproduce.k_sweep import SweepSpec
from gemsnn.reproduce.real import bench
from gemsnn.reproduce.real.bench import BenchSpec
from gemsnn.reproduce.real.sets import SetName
from gemsnn.runs import console, layers, scored
from gemsnn.runs import training as running
from gemsnn.runs.config import EvaluateSpec, Numbers, Settings
from gemsnn.runs.layers import FLAGS, Layered
from gemsnn.runs.recipes import RecipeName
from gemsnn.specs.needs import flag, needs, without

USUAL = Layered(Settings(evaluate=EvaluateSpec(votes=SweepSpec.votes)))
QUICK_SWEEP = SweepSpec(compartments=(1, 3), seeds=2, votes=6)
"""A sweep to see that all works."""

NOT_QUICK = needs(without("quick"))
OWN = {
    "compartments": "by --compartments-list",
    "seed": "by --seeds",
    "evaluate_every": "to score at the end",
    "checkpoint_every": "to none",
}
"""Settings that a sweep sets itself."""

OWN_IF_QUICK = dict.fromkeys(("votes", "epochs"), "with --quick")


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags, which are those of its experiment."""
    return flags.bind("reproduce", real if "real" in words[:1] else reproduce, words)


def reproduce(
    experiment: tyro.conf.Positional[Literal["k-sweep"]],
    settings: AllSettings = USUAL,
    compartments_list: Annotated[Numbers, NOT_QUICK] = SweepSpec.compartments,
    seeds: Annotated[int, NOT_QUICK] = SweepSpec.seeds,
    jobs: int = SweepSpec.jobs,
    out: Path = Path("runs") / "k-sweep",
    config: Path | None = None,
    recipe: RecipeName = "paper",
    quick: bool = False,
) -> int:
    """Run an experiment of the paper: train with K compartments, answer with K_I, over several seeds.

    Another experiment, ``gemsnn reproduce real``, has flags of its own: all sets of real recordings, all methods.

    A sweep that was stopped goes on where the same command finds its folder. Settings come in layers, each of which
    overrides the ones before it: the defaults, a recipe, a TOML file, the flags.

    Args:
        experiment: which one.
        settings: every setting; votes is the largest K_I. Compartments and seed are the sweep's.
        compartments_list: the K of training, with commas between them.
        seeds: how many seeds, from 0 on.
        jobs: networks trained at a time, each with one thread.
        out: the folder of parts, results.json and figures.
        config: a TOML file of settings.
        recipe: settings that have been measured, by name.
        quick: two K, two seeds, few presentations, to see that it works; the numbers then show nothing.
    """
    for layer in settings.layers:
        for name, how in (OWN | (OWN_IF_QUICK if quick else {})).items():
            if layer.source == FLAGS and name in layer.values:
                raise InputError(f"{flag(name)} has no effect: the sweep sets it {how}; leave it out")
    spec = SweepSpec(compartments_list, seeds, settings.settings.evaluate.votes, jobs)
    layers.writable(out, "--out")
    return sweep(settings.settings, spec, out, quick)


def real(
    experiment: tyro.conf.Positional[Literal["real"]],
    root: Path | None = None,
    sets: tuple[SetName, ...] = BenchSpec.sets,
    seeds: Annotated[int, NOT_QUICK] = BenchSpec.seeds,
    jobs: int = BenchSpec.jobs,
    out: Path = Path("runs") / "real",
    quick: bool = False,
) -> int:
    """Learn every set of real recordings by every method, on the same bins and splits, and make one table of all.

    A bench that was stopped goes on where the same command finds its folder.

    Args:
        experiment: which one.
        root: the folder that holds the sets, each in a folder of its own: nmnist, touch-objects, braille,
            neurons-7-objects, poker-dvs, dvs128-objects, mnist-images.
        sets: which sets.
        seeds: how many seeds, from 0 on.
        jobs: networks trained at a time, each with one thread.
        out: the folder of parts and results.json.
        quick: few recordings, small networks, two seeds, to see that it works; the numbers then show nothing.
    """
    spec = BenchSpec(sets, 2 if quick else seeds, jobs)
    layers.writable(out, "--out")
    bench.claim(spec, root, out, quick=quick)
    with console.status("running; a line for every part that is done"):
        results = bench.run(spec, root, out, quick=quick, say=console.say)
    print(bench.table(results))
    print(f"numbers: {out / 'results.json'}")
    return 0


def sweep(settings: Settings, spec: SweepSpec, out: Path, quick: bool) -> int:
    """Run a sweep and print what it found."""
    if quick:
        spec = dataclasses.replace(QUICK_SWEEP, jobs=spec.jobs)
        settings = dataclasses.replace(
            settings,
            data=dataclasses.replace(settings.data, limit=settings.data.limit or 64),
            train=dataclasses.replace(settings.train, epochs=1),
        )
    running.check(settings)
    k_sweep.claim(settings, out)
    splits = datasets.load(settings.data, progress=console.bar)  # made here once, then read by every part
    for part in ("train", "validation", "test"):
        scored.part_of(splits, part)
    with console.status("running; a line for every part that is done"):
        results = k_sweep.run(settings, spec, out, say=console.say, quick=quick)
    print(k_sweep.table(results))
    from gemsnn.reproduce import figures  # matplotlib takes a second

    for path in figures.draw(results, out):
        print(f"figure: {path}")
    print(f"numbers: {out / 'results.json'}")
    return 0
