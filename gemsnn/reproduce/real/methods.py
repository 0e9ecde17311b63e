"""The methods of the bench: each learns from a set's training and validation parts, and answers its test part."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gemsnn import rng
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.reproduce.real.sets import SETS, SetName
from gemsnn.rows import SpikeRows
from gemsnn.runs import layers
from gemsnn.runs.config import Settings
from gemsnn.runs.fitting import fit
from gemsnn.runs.layers import CALL, Layer
from gemsnn.runs.models import Model
from gemsnn.scoring import baseline, measure
from gemsnn.scoring.scores import Scores, plain
from gemsnn.store import trees

MethodName = Literal["counts", "counts-5", "best", "plain", "shuffled", "paper"]

TITLES: dict[MethodName, str] = {
    "counts": "logistic regression on counts",
    "counts-5": "logistic regression on counts in 5 time bins",
    "best": "recipe best",
    "plain": "recipe best without augmentation, 10 epochs",
    "shuffled": "the same, bins in random order",
    "paper": "recipe paper",
}
SEEDLESS: tuple[MethodName, ...] = ("counts", "counts-5")
"""Those that have no chance in them."""

TIME_BINS = 5
PLAIN = {"shift": 0, "rotate": 0.0, "zoom": 0.0, "drop_pixels": 0.0, "epochs": 10, "lr": 0.001}
"""What ``best`` is without the augmentation that it has on some sets."""

VOTES = 20
QUICK = {"epochs": 1, "hidden": (8,)}
"""What training is in the quick form."""

Row = dict[str, Any]


def methods_of(name: SetName) -> tuple[MethodName, ...]:
    """All methods of a set: ``plain`` only where ``best`` is something else."""
    told = set(SETS[name].best) | set(_of_recipe(name))
    return tuple(method for method in TITLES if method != "plain" or told & set(PLAIN))


def _of_recipe(name: SetName) -> Row:
    """What recipe ``best`` has for the set, of which shuffled recordings no longer tell that they are of it."""
    return {
        key: value
        for layer in layers.of_data("best", SETS[name].data["data"])
        for key, value in layer.values.items()
    }


def recipe_of(name: SetName, *, quick: bool = False) -> Settings:
    """All settings of ``best`` on the set, for what is compared with it."""
    told = layers.of_data("best", SETS[name].data["data"])
    asked = Layer(CALL, {**SETS[name].best, **(QUICK if quick else {})})
    return layers.resolve(Settings(), [*told, asked]).settings


def learn(name: SetName, method: MethodName, splits: Splits, seed: int, *, quick: bool = False) -> Row:
    """Scores of a method on the test part, without and with a temperature of the validation part, and what it cost.

    Returns:
        ``accuracy``, ``nll``, ``ece``, ``brier``; ``tempered``: the same at ``temperature``; ``seconds`` of learning;
        ``parameters``: bytes; of networks also ``by_time``, :data:`TIME_BINS` early answers; ``decoder``; ``spikes`` of
        hidden and output neurons and ``operations`` (spikes that arrive at synapses) of an answer.
    """
    if method in SEEDLESS:
        return _regression(splits, 1 if method == "counts" else TIME_BINS)
    if method == "shuffled":
        splits = shuffled(splits)
    settings = {"best": SETS[name].best, "plain": PLAIN, "shuffled": _of_recipe(name) | PLAIN, "paper": {}}[
        method
    ]
    short = QUICK if quick else {}
    votes = 3 if quick else VOTES
    recipe = "paper" if method == "paper" else "best"
    began = time.perf_counter()
    model = fit(splits, recipe=recipe, seed=seed, votes=votes, **{**settings, **short})
    seconds = time.perf_counter() - began
    return _row(model, splits, votes) | {"seconds": seconds}


def _row(model: Model, splits: Splits, votes: int) -> Row:
    scores = model.score(splits.test, votes)
    steps, spec = splits.test.longest, model.network.spec
    rates = scores.costs.spikes_per_neuron_step
    spikes = rates.hidden * spec.hidden_neurons + rates.visible * spec.visible_neurons
    size = sum(leaf.numel() * leaf.element_size() for leaf in trees.leaves(model.params))
    return {
        **_numbers(scores),
        "decoder": scores.decoder,
        "by_time": [plain(scores.by_time[at]) for at in moments(len(scores.by_time))],
        "parameters": size,
        "spikes": spikes * steps * votes,
        "operations": scores.costs.synaptic_operations_per_step * steps,
    }


def _numbers(scores: Scores) -> Row:
    assert scores.tempered is not None
    return {
        **{name: getattr(scores, name) for name in ("accuracy", "nll", "ece", "brier")},
        "tempered": plain(dataclasses.replace(scores.tempered, reliability=None, selective=None)),
    }


def moments(steps: int) -> list[int]:
    """The ends of so many equal stretches of time."""
    return sorted(
        {round((part + 1) * steps / TIME_BINS) - 1 for part in range(TIME_BINS) if steps >= TIME_BINS}
    )


def counts_in_time(part: SpikeSet, bins: int) -> NDArray[np.int64]:
    """Spikes of each input in equal stretches of each recording, one stretch after the other, ``[n, bins * M]``."""
    found = np.zeros((len(part), bins, part.layout.inputs), np.int64)
    for position in range(len(part)):
        rows = part.recording(position)
        ends = [round(at * len(rows) / bins) for at in range(bins + 1)]
        for at in range(bins):
            found[position, at] = rows.part(ends[at], ends[at + 1]).per_input()
    return found.reshape(len(part), -1)


def _regression(splits: Splits, bins: int) -> Row:
    train, validation, test = (
        baseline.Counts(counts_in_time(part, bins), part.labels)
        for part in (splits.train, splits.validation, splits.test)
    )
    began = time.perf_counter()
    model = baseline.fit(train, validation, splits.train.layout.classes)
    seconds = time.perf_counter() - began
    answers, labels, temperature = measure.baseline_answers(model, validation, test)
    return {
        **plain(measure.answer_scores(answers, labels)),
        "tempered": plain(measure.tempered_scores(answers, labels, temperature)),
        "seconds": seconds,
        "parameters": 8 * splits.train.layout.classes * (train.counts.shape[1] + 1),
    }


def shuffled(splits: Splits) -> Splits:
    """The same bins in random order, one for each recording and the same for every seed."""
    train, validation, test = map(_shuffled, (splits.train, splits.validation, splits.test))
    return Splits(train, validation, test, splits.notes)


def _shuffled(part: SpikeSet) -> SpikeSet:
    def mixed(position: int) -> SpikeRows:
        rows, address = part.recording(position), int(part.address[position])
        dense = rows.dense()
        order = rng.generator(0, "shuffled time", address).permutation(len(dense))
        return SpikeRows.of(dense[order], counts=part.counts)

    rows = SpikeRows.join([mixed(at) for at in range(len(part))], part.layout.inputs, counts=part.counts)
    return dataclasses.replace(part, rows=rows, source=None)


def fewer(splits: Splits, recordings: int) -> Splits:
    """The same with the first so many recordings to learn from, classes in turn; all others stay.

    Raises:
        InputError: there are not so many.
    """
    if recordings > len(splits.train):
        raise InputError(f"there are {len(splits.train)} recordings to learn from, fewer than {recordings}")
    return dataclasses.replace(splits, train=splits.train.first(recordings))
