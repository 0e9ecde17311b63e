"""``gemsnn evaluate``."""

from __future__ import annotations

import dataclasses
import json as json_module
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import tyro

from gemsnn.commands import flags
from gemsnn.errors import InputError
from gemsnn.runs import certificate, choosing, console, loading, scored
from gemsnn.runs.facts import no_temperature
from gemsnn.scoring.answers import Decoder, check_decoder

HOW_MUCH = "; --split all scores all of them, also those that the network may have learned from"


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("evaluate", evaluate_run, words)


def evaluate_run(
    run: tyro.conf.Positional[Path],
    votes: int | None = None,
    split: Literal["test", "validation", "train", "all"] | None = None,
    decoder: Decoder | None = None,
    seed: int | None = None,
    json: bool = False,
    data: str | None = None,
    root: Path | None = None,
    limit: int | None = None,
    certified: bool = False,
) -> int:
    """Score a trained network.

    Args:
        run: the run folder, or a model file with --data and --root.
        votes: how many compartments answer, K_I; by default as many as at the end of the training.
        split: the part of the data; by default test, and of other data that does not come in parts all recordings.
        decoder: how they answer, votes, rates, mixture, pooled or likelihood; by default as the run does.
        seed: the seed of the noise; by default the run's.
        json: print one JSON object with all numbers, also of costs under NeuroBench's names.
        data: another data set, read as the run read its own and scored at the run's temperatures.
        root: where that lies; without a data set, another place of one like the run's.
        limit: score only so many recordings of the part, of every class as many.
        certified: say as well how the promises of the run's certificate (gemsnn certify) are kept.
    """
    if votes is not None and votes < 1:
        raise InputError(f"votes must be at least 1, not {votes}")
    model = loading.load(run)
    model.check_answers()
    votes = votes or model.votes
    kept = certificate.of_run(run) if certified else None
    decoder = decoder or model.facts.decoder
    check_decoder(decoder, model.network)
    chosen = choosing.choose(model, run, split, data=data, root=root, limit=limit)
    splits, part, name, other = chosen.splits, chosen.part, chosen.name, chosen.other
    seed = model.facts.seed if seed is None else seed
    if other and model.temperature(votes, decoder) is None:
        raise InputError(no_temperature(model.facts, votes, decoder))
    scored.prepare(model)
    if other:
        console.say(f"note: scored are {chosen.title}{HOW_MUCH if chosen.name != 'all' else ''}")
        asked = model.scored(part, votes, decoder=decoder, seed=seed, progress=console.bar)
        found = dataclasses.replace(asked.scores, split=name)
    else:
        asked = scored.asked(model, splits, name, votes, decoder, seed)
        found = asked.scores
    promised = None if kept is None else certificate.scores(model, kept, part, asked.poll, seed)
    if json:
        front = {"split": name, "kernel": model.kernel_name}
        more = (
            {}
            if promised is None
            else {"certified": msgspec.to_builtins(promised) | {"told": promised.told()}}
        )
        print(json_module.dumps(front | found.to_json() | more, allow_nan=False))
    else:
        scored.print_scores(found)
        if promised is not None:
            print(promised.told())
    return 0
