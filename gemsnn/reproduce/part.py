"""One network of a sweep: trained with K compartments from one seed, scored with up to K_I of them.

As a child (:mod:`gemsnn.machine.children`) it is given a job and writes its part to the file that this names.
"""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from gemsnn import kernels
from gemsnn.data import datasets
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.learn import train
from gemsnn.learn.train import Watcher
from gemsnn.machine import children
from gemsnn.model import network as networks
from gemsnn.report import schema
from gemsnn.rules import loading
from gemsnn.runs import config
from gemsnn.runs.config import Settings
from gemsnn.scoring import evaluate, measure, metrics
from gemsnn.scoring.answers import check_decoder, provisional
from gemsnn.scoring.scores import plain
from gemsnn.store import parsing
from gemsnn.store.files import atomic_write


class Job(msgspec.Struct, frozen=True):
    """One part's work.

    Attributes:
        settings: TOML of all settings but those below.
        compartments: K, in training.
        seed: of the weights, the order and all noise.
        votes: the largest K_I.
        path: where the part goes.
    """

    settings: str
    compartments: int
    seed: int
    votes: int
    path: str


COURSE = ("presentations", "bound", "hidden_rate", "ess")
"""What is recorded along the training."""


class Scored(schema.Numbers, total=False):
    """The scores of some K_I, as far as a summary needs them."""

    tempered: schema.Tempered
    reliability: list[schema.Cell]


class Row(TypedDict):
    """A record of the course."""

    presentations: schema.Count
    bound: schema.Real
    hidden_rate: schema.Real
    ess: schema.Real


class Done(TypedDict):
    """A part, as far as a summary needs it."""

    compartments: schema.Count
    seed: int
    presentations: dict[str, int]
    by_compartments: list[Scored]
    course: list[Row]
    seconds: dict[str, schema.Positive]


def read(job: Job) -> dict[str, Any]:
    """The part that this job has written.

    Raises:
        InputError: it is missing, damaged, or another job's.
    """
    path = Path(job.path)
    part = parsing.conform(parsing.parse_json(parsing.read_text(path), job.path), Done, job.path)
    scored = part["by_compartments"]
    if (part["compartments"], part["seed"]) != (job.compartments, job.seed) or len(scored) < job.votes:
        raise InputError(f"{path} is the part of another sweep; remove it and run the same command again")
    for scores in scored:
        numbers = [scores.get(name) for name in NEEDED] + [(scores.get("tempered") or {}).get("ece")]
        if None in numbers:
            raise InputError(f"{path} lacks scores; remove it and run the same command again")
    if not scored[job.compartments - 1].get("reliability"):
        raise InputError(f"{path} lacks a reliability diagram; remove it and run the same command again")
    return dict(part)


NEEDED = ("log_likelihood", "accuracy", "ece", "nll")
"""The scores that a summary compares."""


def settings_of(job: Job) -> Settings:
    """All settings of a part."""
    given = config.parse(job.settings, "the sweep's settings")
    # the sweep has imported its rule, and sends the place
    given = dataclasses.replace(
        given, rule=dataclasses.replace(given.rule, rule=loading.given(given.rule.name))
    )
    spec = dataclasses.replace(given.train, compartments=job.compartments, seed=job.seed)
    spec = dataclasses.replace(spec, evaluate_every=spec.epochs)
    return dataclasses.replace(given, train=spec)


def work(job: Job) -> dict[str, Any]:
    """Train and score one network on the test part.

    Returns:
        ``compartments``, ``seed``; ``by_compartments``: the scores of K_I = 1, 2, .. answers, each with its
        ``reliability`` rows where K_I is 1 or K; ``course``: the K-sample bound of presentations that were yet to
        be learned, along the training; ``seconds`` of training and of scoring.
    """
    settings = settings_of(job)
    splits = datasets.load(settings.data)
    dtype = networks.DTYPES[settings.network.dtype]
    spec, learning = settings.train, settings.learning
    network = networks.build(
        settings.network_spec(splits.train.layout),
        seed=spec.seed,
        dtype=dtype,
        device=settings.network.device,
    )
    decoder = provisional(settings.evaluate.decoder)
    check_decoder(decoder, network)
    name, kernel = kernels.choose(settings.network.kernel, network, learning)
    course: list[dict[str, Any]] = []
    began = time.perf_counter()
    reached, _ = train.fit(
        network,
        train.start(networks.init(network, spec.seed), learning),
        splits.train,
        splits.validation.select([]),
        spec,
        learning,
        kernel=kernel,
        watcher=Watcher(record=course.append),
    )
    trained = time.perf_counter()
    given = (network, reached.learner.params)

    def answers(part: SpikeSet) -> evaluate.Poll:
        return evaluate.predict(*given, part, job.votes, kernel=kernel, seed=spec.seed, decoder=decoder)

    found = answers(splits.test)
    weights = evaluate.log_likelihood(*given, splits.test, job.votes, kernel=kernel, seed=spec.seed)
    scores = measure.score(
        network,
        found,
        weights,
        bin_us=splits.test.layout.bin_us,
        temperatures=measure.fitted_temperatures(answers(splits.validation)),
    )
    by_compartments = plain(scores.by_compartments)
    for votes in {1, job.compartments}:
        answers_then = found.by_compartments.at(votes - 1).probabilities
        by_compartments[votes - 1]["reliability"] = plain(
            metrics.reliability(answers_then, found.labels).cells()
        )
    return {
        "compartments": job.compartments,
        "seed": job.seed,
        "kernel": name,
        "presentations": _sizes(splits),
        "by_compartments": by_compartments,
        "course": [{name: row[name] for name in COURSE} for row in course],
        "costs": plain(
            dataclasses.replace(scores.costs, scalars_per_step=measure.messages(network, job.compartments))
        ),
        "seconds": {
            "train": round(trained - began, 1),
            "evaluate": round(time.perf_counter() - trained, 1),
        },
    }


def _sizes(splits: Splits) -> dict[str, int]:
    return {name: len(getattr(splits, name)) for name in ("train", "validation", "test")}


if __name__ == "__main__":
    given_job = msgspec.json.decode(children.job(), type=Job)
    atomic_write(Path(given_job.path), json.dumps(work(given_job), allow_nan=False) + "\n")
