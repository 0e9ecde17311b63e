"""One method on one set from one seed, as a child (:mod:`gemsnn.machine.children`) that writes what it found."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from gemsnn.errors import InputError
from gemsnn.machine import children
from gemsnn.report import schema
from gemsnn.reproduce.real import methods, sets
from gemsnn.reproduce.real.methods import MethodName
from gemsnn.reproduce.real.sets import SetName
from gemsnn.store import parsing
from gemsnn.store.files import atomic_write


class Job(msgspec.Struct, frozen=True):
    """One part's work.

    Attributes:
        name: the set.
        method: what learns it.
        seed: of all chance.
        root: below which the sets lie.
        quick: whether only to see that it works.
        recordings: how many to learn from; ``None`` for all.
        path: where the part goes.
    """

    name: SetName
    method: MethodName
    seed: int
    root: str | None
    quick: bool
    path: str
    recordings: int | None = None


class Tempered(TypedDict):
    """Scores at a temperature."""

    temperature: schema.Positive
    nll: schema.Real
    ece: schema.Real


class Done(TypedDict):
    """A part, as far as a summary needs it."""

    name: str
    method: str
    seed: int
    recordings: schema.Count
    digest: str
    accuracy: schema.Real
    nll: schema.Real
    ece: schema.Real
    tempered: Tempered
    seconds: schema.Real
    parameters: schema.Count
    peak: schema.Count


class EarlyAnswer(TypedDict):
    """The scores of an early answer."""

    ms: schema.Positive
    accuracy: schema.Real
    nll: schema.Real
    ece: schema.Real


class More(TypedDict, total=False):
    """What a part of a method that is none of ours may say besides; ``settings`` are those that were chosen for it."""

    brier: schema.Real
    spikes: schema.Real
    operations: schema.Real
    by_time: list[EarlyAnswer]
    settings: dict[str, schema.Real]


class Guest(Done, More):
    """A part of a method that is none of ours; ``title`` is what a table calls the method."""

    title: str
    tested: schema.Count


def read(job: Job) -> dict[str, Any]:
    """The part that this job has written.

    Raises:
        InputError: it is missing, damaged, or another job's.
    """
    part = parsing.conform(parsing.parse_json(parsing.read_text(Path(job.path)), job.path), Done, job.path)
    same = (part["name"], part["method"], part["seed"]) == (job.name, job.method, job.seed)
    if not same or (job.recordings is not None and part["recordings"] != job.recordings):
        raise InputError(f"{job.path} is the part of another bench; remove it and run the same command again")
    return dict(part)


def work(job: Job) -> dict[str, Any]:
    """Learn and answer: what :func:`gemsnn.reproduce.real.methods.learn` finds, with the set and the peak of memory."""
    splits = sets.load(job.name, job.root, quick=job.quick)
    digest = splits.train.digest()
    if job.recordings is not None:
        splits = methods.fewer(splits, job.recordings)
    found = methods.learn(job.name, job.method, splits, job.seed, quick=job.quick)
    return {
        "name": job.name,
        "method": job.method,
        "seed": job.seed,
        "recordings": len(splits.train),
        "tested": len(splits.test),
        "digest": digest,
        **found,
        "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


if __name__ == "__main__":
    given_job = msgspec.json.decode(children.job(), type=Job)
    atomic_write(Path(given_job.path), json.dumps(work(given_job), allow_nan=False) + "\n")
