"""The recordings that a command asks a trained network about: a part of the run's own data, or of another set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal, NamedTuple

from gemsnn.data import datasets
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.runs import console, scored
from gemsnn.runs.models import Model
from gemsnn.types import AnyPath

Part = Literal["test", "validation", "train"]


class Chosen(NamedTuple):
    """What is asked about.

    Attributes:
        splits: the data set, its part as far as it was limited.
        part: that part.
        other: whether it is another set than the run's own, or lies elsewhere.
        title: in words.
    """

    splits: Splits
    part: SpikeSet
    other: bool
    title: str


def choose(
    model: Model,
    run: AnyPath,
    split: Part,
    *,
    data: str | None = None,
    root: AnyPath | None = None,
    limit: int | None = None,
) -> Chosen:
    """Load a part of the run's data, or of another set read alike.

    Args:
        model: the run's.
        run: its folder, or a model file, which has no data of its own.
        split: the part.
        data: another data set.
        root: where that lies; without a data set, another place of one like the run's.
        limit: only so many recordings of the part, of every class as many.

    Raises:
        InputError: there is no such data, or it was read otherwise than the run's.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1 recording, not {limit}")
    other, spec = data is not None or root is not None, model.settings.data
    if not other and not Path(run).is_dir():
        raise InputError(f"{run} is a model without data; give --data and --root")
    if other:
        spec = datasets.read_alike(model.reading, spec, data, None if root is None else Path(root))
    splits = datasets.load(spec, like=model.reading, progress=console.bar)
    for note in splits.notes if other else ():
        console.say(f"note: {note}")
    part = scored.part_of(splits, split)
    assert splits.reading is not None, "a data set by its name tells how it was read"
    model.reading.check(dataclasses.replace(part, names=splits.reading.names))
    if limit is not None:
        part = part.first(limit)
        splits = dataclasses.replace(splits, **{split: part})
    return Chosen(splits, part, other, f"{len(part)} recordings of the {split} part of {spec.data}")
