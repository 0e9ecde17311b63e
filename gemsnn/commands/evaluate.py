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
from gemsnn.errors import InputError
from gemsnn.runs import console, models, scored
from gemsnn.runs.facts import no_temperature
from gemsnn.scoring.answers import Decoder, check_decoder


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
    data: str | None = None,
    root: Path | None = None,
    limit: int | None = None,
) -> int:
    """Score a trained network.

    Args:
        run: the run folder, or a model file with --data and --root.
        votes: how many compartments answer, K_I.
        split: the part of the data.
        decoder: how they answer, votes, rates or likelihood; by default as the run does.
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
    model = models.load(run)
    model.check_answers()
    decoder = decoder or model.facts.decoder
    check_decoder(decoder, model.network)
    other, spec = data is not None or root is not None, model.settings.data
    if not other and not run.is_dir():
        raise InputError(f"{run} is a model without data; give --data and --root")
    if other:
        spec = datasets.read_alike(model.reading, spec, data, root)
    splits = datasets.load(spec, like=model.reading, progress=console.bar)
    for note in splits.notes if other else ():
        console.say(f"note: {note}")
    part = scored.part_of(splits, split)
    assert splits.reading is not None, "a data set by its name tells how it was read"
    model.reading.check(dataclasses.replace(part, names=splits.reading.names))
    if limit is not None:
        part = part.first(limit)
        splits = dataclasses.replace(splits, **{split: part})
    seed = model.facts.seed if seed is None else seed
    if other and model.temperature(votes, decoder) is None:
        raise InputError(no_temperature(model.facts, votes, decoder))
    scored.prepare(model)
    if other:
        found = model.score(part, votes, decoder=decoder, seed=seed, progress=console.bar)
        found = dataclasses.replace(found, split=split)
    else:
        found = scored.scores_of(model, splits, split, votes, decoder, seed)
    if json:
        front = {"split": split, "kernel": model.kernel_name}
        print(json_module.dumps(front | found.to_json(), allow_nan=False))
    else:
        scored.print_scores(found)
    return 0
