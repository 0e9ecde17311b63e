"""One peer on one set from one seed, as a child of ``real_peers.py``: its settings are chosen, or it learns.

A peer is shown what recipe ``best`` is: the same recordings in the same order, batch by batch, moved alike where the
recipe has them moved, over as many epochs, with the same schedule of the step size, and as many hidden neurons.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.data import raw
from gemsnn.data.raw import Augmented
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.learn import train
from gemsnn.machine import children
from gemsnn.machine.children import Children
from gemsnn.reproduce.real import methods, sets
from gemsnn.reproduce.real.sets import SetName
from gemsnn.rows import SpikeRows
from gemsnn.runs.config import Settings as Recipe
from gemsnn.scoring import measure, metrics
from gemsnn.scoring.answers import Answers
from gemsnn.scoring.scores import plain
from gemsnn.store.files import atomic_write
from gemsnn.types import Presentation, first_observed
from peer_learners import remote
from peer_learners.online import Online
from peer_learners.remote import Remote
from peer_learners.shown import Batch, Learner, Settings, Shape

PeerName = Literal["snntorch", "snntorch-conv", "e-prop", "ottt", "decolle", "s-tllr"]

TITLES: dict[PeerName, str] = {
    "snntorch": "snnTorch, backpropagation through time",
    "snntorch-conv": "snnTorch, two convolutions",
    "e-prop": "e-prop",
    "ottt": "OTTT",
    "decolle": "DECOLLE",
    "s-tllr": "S-TLLR",
}
STEP_SIZES = (0.0005, 0.002, 0.008)
DECAYS = (0.8, 0.95)
"""What a peer's settings are chosen from, each with each: by the NLL at temperature on the validation part."""

SEARCH = 5_000
"""Presentations, rounded up to whole epochs, after which settings are compared, where the training has more."""

ANSWERED = 64
"""Recordings that are answered at a time."""


class PeerJob(msgspec.Struct, frozen=True):
    """One part's work.

    Attributes:
        name: the set.
        peer: what learns it.
        seed: of all chance.
        root: below which the sets lie.
        quick: whether only to see that it works.
        path: where the part goes.
        chosen: the peer's settings; ``None`` to choose them.
        python: of the environment in which the peer runs; ``None`` for this one.
    """

    name: SetName
    peer: PeerName
    seed: int
    root: str | None
    quick: bool
    path: str
    chosen: Settings | None = None
    python: str | None = None


class Course(NamedTuple):
    """What is shown to a peer, and for how long.

    Attributes:
        shown: to learn from.
        recipe: the settings of ``best`` on the set.
        seed: of orders and of what is moved.
        epochs: so many, of which the schedule knows.
    """

    shown: SpikeSet | Augmented
    recipe: Recipe
    seed: int
    epochs: int

    def batches(self) -> Iterator[tuple[Batch, float]]:
        """What ``best`` learns from, in its order, and what the schedule makes of the step size."""
        spec, done = self.recipe.train, 0
        per_epoch = -(-len(self.shown) // spec.batch)
        for epoch in range(self.epochs):
            order = rng.generator(self.seed, "order", epoch).permutation(len(self.shown))
            now = self.shown.at_epoch(epoch) if isinstance(self.shown, Augmented) else self.shown
            for chosen in np.split(order, range(spec.batch, len(order), spec.batch)):
                factor = train.rate_factor(spec.schedule, done / (self.epochs * per_epoch))
                yield batch_of([now[int(at)] for at in chosen], self.recipe.data.warm_up), factor
                done += 1


def batch_of(presentations: Sequence[Presentation], warm_up: float) -> Batch:
    """Recordings side by side."""
    rows = [each.rows for each in presentations]
    lengths = np.array([len(each) for each in rows])
    longest = int(lengths.max())
    joined = SpikeRows.join([each.padded(longest) for each in rows])
    begin = np.array([first_observed(warm_up, int(length)) for length in lengths])
    step = np.arange(longest)
    return Batch(
        joined.dense().reshape(len(rows), longest, joined.inputs),
        (step >= begin[:, None]) & (step < lengths[:, None]),
        np.array([each.label for each in presentations], np.int64),
    )


class Asked(NamedTuple):
    """Answers to a part: after each step ``[n, T, C]``, at the ends ``[n, C]``, and costs of one, on average."""

    course: Answers
    spikes: float
    operations: float

    @property
    def end(self) -> Answers:
        """The answers at the recordings' ends."""
        return Answers(self.course.probabilities[:, -1], self.course.logs[:, -1])


def ask(learner: Learner, part: SpikeSet, warm_up: float) -> Asked:
    """A part's recordings, answered; a recording that has ended keeps its answer."""
    courses, spikes, operations = [], [], []
    for low in range(0, len(part), ANSWERED):
        found = learner.answer(
            batch_of([part[at] for at in range(low, min(low + ANSWERED, len(part)))], warm_up)
        )
        steps = np.minimum(np.arange(part.longest), found.logits.shape[1] - 1)
        courses.append(torch.log_softmax(torch.from_numpy(found.logits[:, steps]).double(), 2))
        spikes.append(found.spikes)
        operations.append(found.operations)
    logs = torch.cat(courses)
    return Asked(
        Answers(logs.exp(), logs), *(float(np.concatenate(each).mean()) for each in (spikes, operations))
    )


@contextmanager
def learner_of(job: PeerJob, shape: Shape, settings: Settings) -> Iterator[Learner]:
    """The peer, here or in its own environment."""
    if job.python is None:
        yield Online(job.peer, shape, settings, job.seed)
        return
    of = {"kind": job.peer, "shape": shape, "settings": settings, "seed": job.seed}
    with Children() as running:
        process = running.begin(
            [job.python, str(Path(remote.__file__))], json.dumps(of).encode(), output=True
        )
        if process is None or process.stdin is None or process.stdout is None:
            raise InputError(f"{job.peer} cannot be started")
        try:
            yield Remote(process.stdin, process.stdout)
        except (EOFError, BrokenPipeError):
            raise InputError(f"{job.peer} ended before it had answered (code {process.wait()})") from None
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()  # which tells it that nothing more will be asked
            running.end(process)


def choose(job: PeerJob, splits: Splits, recipe: Recipe, shape: Shape) -> dict[str, Any]:
    """The settings that are best on the validation part, and what all are worth there."""
    labels, tried = torch.from_numpy(splits.validation.labels), []
    epochs = min(recipe.train.epochs, -(-SEARCH // len(splits.train)))
    course = Course(raw.learned(splits.train, recipe.augment, job.seed), recipe, job.seed, epochs)
    grid = [Settings(lr, decay) for lr in STEP_SIZES for decay in DECAYS]
    with ExitStack() as stack:
        learners = [stack.enter_context(learner_of(job, shape, settings)) for settings in grid]
        for batch, factor in course.batches():  # made once for all of them
            for settings, learner in zip(grid, learners, strict=True):
                learner.learn(batch, settings.lr * factor)
        for settings, learner in zip(grid, learners, strict=True):
            found = ask(learner, splits.validation, recipe.data.warm_up).end
            temperature = metrics.fitted_temperature(found.logs, labels)
            scores = measure.tempered_scores(found, labels, temperature)
            accuracy = metrics.accuracy(found.probabilities, labels)
            tried.append({**settings._asdict(), "accuracy": accuracy, "nll": scores.nll})
    return {"epochs": epochs, "tried": tried}


def learn(job: PeerJob, splits: Splits, recipe: Recipe, shape: Shape) -> dict[str, Any]:
    """Scores on the test part, and what they cost, as :func:`gemsnn.reproduce.real.methods.learn` has them."""
    assert job.chosen is not None
    began, warm_up = time.perf_counter(), recipe.data.warm_up
    course = Course(
        raw.learned(splits.train, recipe.augment, job.seed), recipe, job.seed, recipe.train.epochs
    )
    with learner_of(job, shape, job.chosen) as learner:
        for batch, factor in course.batches():
            learner.learn(batch, job.chosen.lr * factor)
        seconds = time.perf_counter() - began
        held, found = (ask(learner, part, warm_up) for part in (splits.validation, splits.test))
        size = learner.bytes
        peak = max(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, getattr(learner, "peak", 0))
    labels = torch.from_numpy(splits.test.labels)
    temperature = metrics.fitted_temperature(held.end.logs, torch.from_numpy(splits.validation.labels))
    steps = splits.test.longest
    return {
        **plain(measure.answer_scores(found.end, labels)),
        "tempered": plain(measure.tempered_scores(found.end, labels, temperature)),
        "by_time": [_moment(found, at, labels, splits) for at in methods.moments(steps)],
        "seconds": seconds,
        "parameters": size,
        "spikes": found.spikes,
        "operations": found.operations,
        "peak": peak,
    }


def _moment(found: Asked, step: int, labels: Tensor, splits: Splits) -> dict[str, Any]:
    answers = Answers(found.course.probabilities[:, step], found.course.logs[:, step])
    ms = (step + 1) * splits.test.layout.bin_us / 1000
    return {"step": step + 1, "ms": ms, **plain(measure.answer_scores(answers, labels))}


def work(job: PeerJob) -> dict[str, Any]:
    """What the job asks for, with the set."""
    torch.set_num_threads(1)
    splits = sets.load(job.name, job.root, quick=job.quick)
    recipe = methods.recipe_of(job.name, quick=job.quick)
    layout, (hidden,) = splits.train.layout, recipe.network.hidden
    shape = Shape(layout.channels, layout.height, layout.width, hidden, layout.classes)
    same = {"name": job.name, "method": job.peer, "seed": job.seed, "digest": splits.train.digest()}
    if job.chosen is None:
        return same | choose(job, splits, recipe, shape)
    return {
        **same,
        "title": TITLES[job.peer],
        "recordings": len(splits.train),
        "tested": len(splits.test),
        "settings": job.chosen._asdict(),
        **learn(job, splits, recipe, shape),
    }


if __name__ == "__main__":
    given = msgspec.json.decode(children.job(), type=PeerJob)
    atomic_write(Path(given.path), json.dumps(work(given), allow_nan=False) + "\n")
