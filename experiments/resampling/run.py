"""What resampling of compartments buys: a tighter estimate of the evidence, and a training with it and without.

    python experiments/resampling/run.py [--quick] [--out DIR]

Emulated digits, recipe paper with ten compartments; all that is reported is of the validation part.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gemsnn
from gemsnn.kernels import Learned, Learning
from gemsnn.kernels.block import kernel as block
from gemsnn.model import network as networks
from gemsnn.model.logspace import log_mean_exp
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec

K, MANY, SEEDS = 10, 1000, 3
THRESHOLDS = (0.0, 0.5, 1.0)
RECORDINGS, REPEATS = 20, 20
"""Of the estimates: recordings that are estimated, and how often, each time with other noise."""

TAUGHT = 400
"""Recordings of the trainings that are compared."""

OFTEN: dict[str, Any] = {"update_every": 16, "epochs": 1}
BATCH: dict[str, Any] = {
    "kappa": 1.0, "gamma": 1.0, "readout": "last-step", "update_every": "presentation", "batch": 16,
    "optimiser": "adam", "lr": 0.003, "epochs": 4,
}  # fmt: skip
TRAININGS = {"every 16 steps, kappa = gamma = 0.9": OFTEN, "once a presentation, kappa = gamma = 1": BATCH}


def learned(
    model: gemsnn.Model, rows: gemsnn.Recordings, compartments: int, resample: float, seed: int
) -> Learned:
    """What a learning that learns nothing tells of recordings, of each by itself."""
    rule = RuleSpec("gem", kappa=1.0, gamma=0.0, resample=resample)  # nothing of an eligibility need be held
    spec = OptimiserSpec("sgd")
    return block.learn(
        model.network,
        model.params,
        optimisers.init(spec, model.params),
        Learning(rule, spec, compartments),
        networks.batch(model.network, rows),
        seed=seed,
        lr=0.0,
    )


def estimates(seed: int, train: gemsnn.Recordings, rows: gemsnn.Recordings, repeats: int) -> list[dict]:
    """How far ten compartments' estimates of ``log p(x)`` lie below that of a thousand, and how they scatter."""
    model = gemsnn.fit(train, recipe="paper", compartments=K, seed=seed)
    alone = [rows.select(slice(i, i + 1)) for i in range(len(rows))]
    many = torch.cat([learned(model, row, MANY, 0.5, 7).bound for row in alone]).double()
    found = []
    for resample in THRESHOLDS:
        runs = [learned(model, rows, K, resample, 100 + repeat) for repeat in range(repeats)]
        bounds = torch.stack([run.bound for run in runs]).double()  # [repeats, n]
        found.append(
            {
                "seed": seed,
                "resample": resample,
                "bound": float(bounds.mean()),
                "below": float((many - bounds.mean(0)).mean()),
                "pooled_below": float((many - log_mean_exp(bounds, 0)).mean()),
                "spread": float(bounds.std(0).mean()),
                "ess": float(torch.stack([effective(run.log_weights) for run in runs]).mean()),
            }
        )
        print(found[-1], flush=True)
    return found


def effective(log_weights: Tensor) -> Tensor:
    """``1 / sum q^2`` at the presentations' ends, ``[B]``."""
    return torch.softmax(log_weights, 1).square().sum(1).reciprocal()


def trainings(
    seed: int, train: gemsnn.Recordings, rows: gemsnn.Recordings, how: str, resample: float
) -> dict[str, Any]:
    """Train with this threshold, and score without any resampling."""
    began = time.perf_counter()
    model = gemsnn.fit(train, recipe="paper", compartments=K, seed=seed, resample=resample, **TRAININGS[how])
    seconds = time.perf_counter() - began
    scores = gemsnn.score(model, rows, compartments=K)
    kept = {name: getattr(scores, name) for name in ("log_likelihood", "nll", "accuracy", "ece")}
    row = {"seed": seed, "how": how, "resample": resample, **kept, "seconds": seconds}
    print(row, flush=True)
    return row


def cell(values: list[float], digits: int) -> str:
    """Mean and standard error over seeds."""
    error = f" ± {np.std(values, ddof=1) / len(values) ** 0.5:.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{error}"


def table(rows: list[dict], names: dict[str, int], by: tuple[str, ...]) -> str:
    """A line for each setting; ``names`` have the decimals of each column."""
    lines = ["| " + " | ".join((*by, *names)) + " |", "|---" * (len(by) + len(names)) + "|"]
    for key in dict.fromkeys(tuple(row[name] for name in by) for row in rows):
        same = [row for row in rows if tuple(row[name] for name in by) == key]
        cells = [cell([row[name] for row in same], digits) for name, digits in names.items()]
        lines.append("| " + " | ".join([*map(str, key), *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument(
        "--quick", action="store_true", help="few recordings and one seed, to see that it works"
    )
    arguments = parser.parse_args()
    data = gemsnn.dataset("digits")
    train, validation = data.train, data.validation
    seeds, recordings, repeats = SEEDS, RECORDINGS, REPEATS
    if arguments.quick:
        train, validation = train.select(slice(0, 40)), validation.select(slice(0, 20))
        seeds, recordings, repeats = 1, 2, 2
    estimated: list[dict] = []
    for seed in range(seeds):
        estimated += estimates(seed, train, validation.select(slice(0, recordings)), repeats)
    trained = [
        trainings(seed, train.select(slice(0, TAUGHT)), validation, how, resample)
        for how in TRAININGS
        for seed in range(seeds)
        for resample in THRESHOLDS[:2]
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    told = json.dumps({"estimates": estimated, "trainings": trained})
    (arguments.out / "results.json").write_text(told + "\n")
    columns = {"bound": 2, "below": 2, "pooled_below": 2, "spread": 2, "ess": 2}
    print("\n" + table(estimated, columns, ("resample",)))
    scores = {"log_likelihood": 2, "nll": 3, "accuracy": 3, "ece": 3, "seconds": 0}
    print("\n" + table(trained, scores, ("how", "resample")))


if __name__ == "__main__":
    main()
