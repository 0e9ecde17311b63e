"""``gemsnn evaluate``."""

from __future__ import annotations

import dataclasses
import json as json_module
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import tyro

from gemsnn.commands import flags
from gemsnn.data import datasets
from gemsnn.data.datasets import DataName
from gemsnn.errors import InputError
from gemsnn.runs import config, console, models
from gemsnn.runs import training as running
from gemsnn.scoring import evaluate
from gemsnn.scoring.evaluate import Decoder


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("evaluate", evaluate_run, words)


def evaluate_run(
    run: tyro.conf.Positional[Path],
    votes: int = 20,
    split: Literal["test", "validation", "train"] = "test",
    decoder: Decoder | None = None,
    seed: int | None = None,
    json: bool = False,
    data: DataName | None = None,
    root: Path | None = None,
    limit: int | None = None,
) -> int:
    """Score a trained network.

    Args:
        run: the run folder.
        votes: how many compartments answer, K_I.
        split: the part of the data.
        decoder: how they answer, votes or likelihood; by default as the run does.
        seed: the seed of the noise; by default the run's.
        json: print one JSON object with all numbers.
        data: another data set, read as the run read its own and scored at the run's temperatures.
        root: where that lies; without a data set, another place of one like the run's.
        limit: score only so many recordings of the part, of every class as many.
    """
    if votes < 1:
        raise InputError(f"votes must be at least 1, not {votes}")
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1 recording, not {limit}")
    model = models.load_model(run)
    settings = config.load(run / "config.toml")
    decoder = decoder or model.facts.decoder
    evaluate.check_decoder(decoder, model.network)
    other = data is not None or root is not None
    spec = datasets.read_alike(model.reading, settings.data, data, root) if other else settings.data
    splits = datasets.load(spec, progress=console.bar)
    for note in splits.notes if other else ():
        console.say(f"note: {note}")
    part = running.part_of(splits, split)
    model.reading.check(part)
    if limit is not None:
        part = part.first(limit)
        splits = dataclasses.replace(splits, **{split: part})
    running.prepare(model)
    seed = model.facts.seed if seed is None else seed
    if other:
        found = model.scores(part, votes, decoder=decoder, seed=seed, progress=console.bar)
    else:
        found = running.scores_of(model, splits, split, votes, decoder, seed)
    scores = {"split": split, "kernel": model.kernel_name, **found}
    if json:
        print(json_module.dumps(scores, allow_nan=False))
    else:
        running.print_scores(scores)
    return 0
