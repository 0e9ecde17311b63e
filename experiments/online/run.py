"""A stream that learns on the spot: digits one after the other, never reset, each predicted before its label is told.

    python experiments/online/run.py [--seeds 3] [--quick] [--out results.json]

The labels come in the second half of every digit. An answer is the class of most votes at the digit's last bin; it
rests on the spikes that the visible neurons would have fired, so the label does not help it
(:mod:`gemsnn.learn.online`).
After one pass over the training part the network is frozen and streams through the test part, again without resets.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from gemsnn.data import datasets
from gemsnn.data.spikeset import SpikeSet
from gemsnn.kernels import Learning
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.learn.online import OnlineLearner
from gemsnn.model import network as networks
from gemsnn.runs import recipes

WINDOW, COMPARTMENTS, PORTION = 40, 10, 200


def stream(online: OnlineLearner, part: SpikeSet, *, teach: bool) -> list:
    """The answers at the digits' ends."""
    answers = []
    for i in range(len(part)):
        digit = part[i]
        half = len(digit.spikes) // 2
        online.step(digit.spikes[:half])
        answers.append(online.step(digit.spikes[half:], digit.label if teach else None)[-1])
    return answers


def one(seed: int, limit: int | None) -> dict:
    settings = recipes.load("best")
    splits = datasets.load(replace(settings.data, limit=limit))
    network = networks.build(settings.network_spec(splits.train.layout), seed=seed)
    spec = OnlineSpec(COMPARTMENTS, WINDOW, WINDOW, seed)
    learning = Learning(settings.rule, settings.optimiser, COMPARTMENTS, WINDOW)
    taught = OnlineLearner(network, networks.init(network, seed), spec, learning=learning)
    answers = stream(taught, splits.train, teach=True)
    right = [
        answer.label == label for answer, label in zip(answers, splits.train.labels.tolist(), strict=True)
    ]
    tested = stream(OnlineLearner(network, taught.params, spec), splits.test, teach=False)
    found = [answer.label == label for answer, label in zip(tested, splits.test.labels.tolist(), strict=True)]
    sure = [answer.entropy == 0 for answer in tested]
    return {
        "seed": seed,
        "while learning": [float(np.mean(right[at : at + PORTION])) for at in range(0, len(right), PORTION)],
        "test": float(np.mean(found)),
        "unanimous": float(np.mean(sure)),
        "test, unanimous": float(np.mean([f for f, s in zip(found, sure, strict=True) if s])),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for seed in range(1 if arguments.quick else arguments.seeds):
        rows.append(one(seed, 40 if arguments.quick else None))
        print(json.dumps(rows[-1]), flush=True)
    for name in ("test", "unanimous", "test, unanimous"):
        print(name, *mean_and_error([row[name] for row in rows]))
    print(
        "while learning",
        [mean_and_error(column) for column in zip(*(row["while learning"] for row in rows), strict=True)],
    )
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def mean_and_error(values: list[float] | tuple[float, ...]) -> tuple[float, float]:
    """Mean and standard error."""
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return round(float(np.mean(values)), 4), round(float(error), 4)


if __name__ == "__main__":
    sys.exit(main())
