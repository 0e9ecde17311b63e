"""``gemsnn evaluate``."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import tyro

from gemsnn import config, console, evaluate, running
from gemsnn.data import datasets
from gemsnn.errors import InputError
from gemsnn.evaluate import Decoder
from gemsnn.records import RunFolder


def make(_: Sequence[str]) -> Callable[..., int]:
    """The command."""
    return evaluate_run


def evaluate_run(
    run: tyro.conf.Positional[Path],
    compartments: int = 20,
    split: Literal["test", "validation", "train"] = "test",
    decoder: Decoder | None = None,
    seed: int | None = None,
    json: bool = False,
) -> int:
    """Score a trained network.

    Args:
        run: the run folder.
        compartments: how many compartments answer.
        split: the part of the data.
        decoder: how they answer, votes or likelihood; by default as the run does.
        seed: the seed of the noise; by default the run's.
        json: print one JSON object with all numbers.
    """
    if compartments < 1:
        raise InputError(f"compartments must be at least 1, not {compartments}")
    folder = RunFolder.open(run)
    settings = config.load(run / "config.toml")
    model = running.load_model(folder, settings)
    decoder = decoder or settings.evaluate.decoder
    evaluate.check_decoder(decoder, model.network)
    splits = datasets.load(settings.data, progress=console.bar)
    layout, spec = splits.train.layout, model.network.spec
    if (layout.inputs, layout.classes) != (spec.inputs, spec.visible):
        raise InputError(
            f"the data has {layout.inputs} inputs and {layout.classes} classes where the network of {run} has "
            f"{spec.inputs} and {spec.visible}; restore the data or the run's config.toml"
        )
    seed = settings.train.seed if seed is None else seed
    scores = {
        "split": split,
        "kernel": model.kernel_name,
        **running.scores_of(model, splits, split, compartments, decoder, seed),
    }
    if json:
        print(json_module.dumps(scores, allow_nan=False))
    else:
        running.print_scores(scores)
    return 0
