"""The recordings that a command asks a trained network about: a part of the run's own data, or those of another set.

What the run has learned from is kept out of them: of its own data, wherever that lies now, a part is taken. Of another
set, nothing of which it has learned from, a part is taken where it comes in parts, and else all recordings.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal, NamedTuple

from gemsnn.data import datasets
from gemsnn.data.datasets import DataSpec
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.runs import console, scored
from gemsnn.runs.models import Model
from gemsnn.store.records import RunFolder
from gemsnn.types import AnyPath

Part = Literal["test", "validation", "train", "all"]


class Chosen(NamedTuple):
    """What is asked about.

    Attributes:
        splits: the data set, its part as far as it was limited.
        part: that part.
        name: the part's.
        other: whether it is another set than the run's own, or lies elsewhere.
        title: in words.
    """

    splits: Splits
    part: SpikeSet
    name: Part
    other: bool
    title: str


def choose(
    model: Model,
    run: AnyPath,
    split: Part | None,
    *,
    usual: Part = "test",
    data: str | None = None,
    root: AnyPath | None = None,
    limit: int | None = None,
) -> Chosen:
    """Load a part of the run's data, or of another set read alike.

    Args:
        model: the run's.
        run: its folder, or a model file, which has no data of its own.
        split: the part; by default the usual one, and of another set that does not come in parts all.
        usual: see there.
        data: another data set.
        root: where that lies; without a data set, another place of one like the run's.
        limit: only so many recordings of the part, of every class as many.

    Raises:
        InputError: there is no such data, or it was read otherwise than the run's; or all of the run's own data is
            wanted, of which it has learned from some.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1 recording, not {limit}")
    other, spec = data is not None or root is not None, model.settings.data
    if not other and not Path(run).is_dir():
        raise InputError(f"{run} is a model without data; give --data and --root")
    if split == "all" and not other:
        raise InputError(
            f"{run} has learned from some of its own data, so a score on all of it would flatter; leave out --split, "
            "or give other data (--data, --root)"
        )
    if other:
        spec = datasets.read_alike(model.reading, spec, data, None if root is None else Path(root))
    splits = datasets.load(spec, like=model.reading, progress=console.bar)
    for note in splits.notes if other else ():
        console.say(f"note: {note}")
    name = split or ("all" if other and not splits.divided and _is_new(model, run, spec, splits) else usual)
    part = splits.whole if name == "all" else scored.part_of(splits, name)
    assert splits.reading is not None, "a data set by its name tells how it was read"
    model.reading.check(dataclasses.replace(part, names=splits.reading.names))
    if limit is not None:
        part = part.first(limit)
        if name != "all":
            splits = dataclasses.replace(splits, **{name: part})
    total = sum(map(len, splits.parts.values()))
    title = f"{len(part)} recordings of the {name} part of {spec.data}"
    if other and name == "all":
        title = (
            f"{len(part)} of {total} recordings of {spec.data}"
            if limit
            else f"all {total} recordings of {spec.data}"
        )
    elif other:
        title += f", which has {total} in all"
    return Chosen(splits, part, name, other, title)


def _is_new(model: Model, run: AnyPath, spec: DataSpec, splits: Splits) -> bool:
    """Whether a set at another place is known to be another one than that which the run has learned from.

    It is the same one where it lies at the same place, or its training part, limited as the run's was, is the run's.
    Of a file that somebody has sent nobody knows what it has learned from.
    """
    own = model.settings.data
    if not Path(run).is_dir():
        return False
    if own.root is not None and spec.root is not None and own.root.resolve() == spec.root.resolve():
        return False
    if own.limit is not None:
        splits = datasets.load(dataclasses.replace(spec, limit=own.limit), like=model.reading)
    learned = RunFolder.open(run).read_json("manifest.json").get("data_sha256")
    return isinstance(learned, str) and not splits.train.is_of(learned)
