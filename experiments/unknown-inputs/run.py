"""What a network that knows digits says of inputs that are none.

    python experiments/unknown-inputs/run.py --root FOLDER [--seeds 3] [--quick] [--out results.json]

Trains the recipe `best` on N-MNIST and shows it the recordings of the test part as they are, and five inputs made of
each of them: noise (as many spikes at random places and times), the pixels shuffled (one permutation for all), upside
down, a few stray spikes, and nothing; the last two also as they would be answered if silence were no reason not to.
Without --root, the built-in digits stand in for N-MNIST.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import kernels, rng
from gemsnn.data import datasets
from gemsnn.data.spikeset import SpikeSet
from gemsnn.learn import train
from gemsnn.model import network as networks
from gemsnn.runs import recipes
from gemsnn.scoring import evaluate, measure, metrics
from gemsnn.scoring.evaluate import Poll
from gemsnn.types import Layout

Change = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
"""Makes another recording ``[T, M]`` of one, given its position."""

STRAY = 3
"""Spikes of a recording that is all but silent."""


def as_pixels(spikes: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    """A view ``[T, width, height, channels]`` of spikes ``[T, M]``."""
    return spikes.reshape(len(spikes), layout.width, layout.height, layout.channels)


def changes(layout: Layout, seed: int) -> dict[str, Change]:
    """The inputs, by name."""
    pixels = rng.generator(seed, "shuffled pixels").permutation(layout.width * layout.height)

    def scattered(spikes: NDArray[np.uint8], position: int, count: int) -> NDArray[np.uint8]:
        out = np.zeros(spikes.size, np.uint8)
        out[rng.generator(seed, "noise", position).choice(spikes.size, count, replace=False)] = 1
        return out.reshape(spikes.shape)

    def shuffled(spikes: NDArray[np.uint8], _: int) -> NDArray[np.uint8]:
        return spikes.reshape(len(spikes), -1, layout.channels)[:, pixels].reshape(spikes.shape)

    return {
        "digits": lambda spikes, _: spikes,
        "upside down": lambda spikes, _: as_pixels(spikes, layout)[:, :, ::-1].reshape(spikes.shape),
        "shuffled pixels": shuffled,
        "noise at the rate of digits": lambda spikes, i: scattered(spikes, i, int(spikes.sum())),
        f"{STRAY} stray spikes": lambda spikes, i: scattered(spikes, i, STRAY),
        "silence": lambda spikes, _: np.zeros_like(spikes),
    }


def changed(part: SpikeSet, change: Change) -> SpikeSet:
    """Each recording of the part made into another; labels and addresses stay."""
    bins = (np.ascontiguousarray(change(part.bins(i), i)) for i in range(len(part)))
    made = SpikeSet.from_bins(bins, part.labels.tolist(), part.layout, counts=False)
    return replace(made, address=part.address)


def said(probabilities: Tensor, answered: Tensor) -> dict[str, float]:
    """What answers ``[n, C]`` claim; ``answered`` is bool ``[n]``.

    Returns:
        The mean entropy in nats and the mean top share of all; and of those that were answered the share that is
        certain (entropy 0), the most frequent class, and its share.
    """
    entropy = -torch.xlogy(probabilities, probabilities).sum(1)
    given = probabilities[answered]
    frequent = metrics.top_label(given).mean(0) if len(given) else torch.zeros(probabilities.shape[1])
    return {
        "entropy": float(entropy.mean().clamp(min=0)),
        "top share": float(probabilities.amax(1).mean()),
        "unanimous": float((given.amax(1) > 1 - 1e-9).double().mean()) if len(given) else 0.0,
        "most frequent class": int(frequent.argmax()) if len(given) else -1,
        "its share": float(frequent.max()),
    }


def row(found: Poll, temperature: float) -> dict[str, Any]:
    """What the votes say of a part, and what they say at a temperature."""
    answered = ~found.silent
    warm = found.answers.tempered(temperature).silenced(found.silent)
    return {
        "answered": float(answered.double().mean()),
        "accuracy": metrics.accuracy(found.answers.probabilities, found.labels),
        **said(found.answers.probabilities, answered),
        "at temperature": said(warm.probabilities, answered),
    }


def one(seed: int, root: Path | None, quick: bool) -> dict[str, Any]:
    settings = recipes.load("best")
    data = replace(settings.data, data="nmnist" if root else "digits", root=root, limit=60 if quick else None)
    spec = replace(settings.train, seed=seed, epochs=1 if quick else settings.train.epochs)
    votes = 5 if quick else settings.evaluate.votes
    splits = datasets.load(data)
    network = networks.build(replace(settings, data=data).network_spec(splits.train.layout), seed=seed)
    learner = train.start(networks.init(network, seed), settings.learning)
    _, kernel = kernels.choose("auto", network, settings.learning)
    reached, _ = train.fit(
        network, learner, splits.train, splits.validation.select([]), spec, settings.learning, kernel=kernel
    )
    least = evaluate.least_spikes_of(network, splits.train)

    def answers(part: SpikeSet, least_spikes: int = least) -> Poll:
        given = (network, reached.learner.params, part, votes)
        return evaluate.predict(*given, kernel=kernel, seed=seed, least_spikes=least_spikes)

    temperature = measure.fitted_temperatures(answers(splits.validation))[-1]
    test = splits.test.select(slice(30)) if quick else splits.test
    made = changes(test.layout, seed=0)
    rows = {name: row(answers(changed(test, change)), temperature) for name, change in made.items()}
    for name in list(made)[-2:]:
        rows[f"{name}, were it asked"] = row(answers(changed(test, made[name]), 0), temperature)
    return {
        "seed": seed,
        "data": data.data,
        "train": len(splits.train),
        "test": len(test),
        "votes": votes,
        "least spikes": least,
        "temperature": temperature,
        "log C": math.log(test.layout.classes),
        "inputs": rows,
    }


def mean_and_error(values: list[float]) -> str:
    """Mean and standard error, rounded."""
    mean = f"{np.mean(values):.3f}"
    return f"{mean} ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 else mean


def table(runs: list[dict[str, Any]]) -> str:
    """Means and standard errors over seeds, in Markdown."""
    head = (
        "input",
        "answered",
        "entropy, nats",
        "unanimous",
        "top share",
        "most frequent class (share) by seed",
    )
    head += ("entropy at T", "top share at T")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in runs[0]["inputs"]:
        rows = [run["inputs"][name] for run in runs]
        warm = [row["at temperature"] for row in rows]
        answered = any(row["answered"] for row in rows)
        frequent = ", ".join(f"{row['most frequent class']} ({row['its share']:.2f})" for row in rows)
        cells = [
            name,
            mean_and_error([row["answered"] for row in rows]),
            mean_and_error([row["entropy"] for row in rows]),
            mean_and_error([row["unanimous"] for row in rows]) if answered else "none",
            mean_and_error([row["top share"] for row in rows]),
            frequent if answered else "none",
            mean_and_error([row["entropy"] for row in warm]),
            mean_and_error([row["top share"] for row in warm]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    runs = []
    for seed in range(1 if arguments.quick else arguments.seeds):
        runs.append(one(seed, arguments.root, arguments.quick))
        print(json.dumps(runs[-1]), flush=True)
    print(table(runs))
    print(f"log C = {runs[0]['log C']:.3f} nats")
    if arguments.out:
        arguments.out.write_text(json.dumps(runs, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
