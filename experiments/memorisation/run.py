"""Memorising patterns: produce the lower half of a recording's spikes from its upper half.

    python experiments/memorisation/run.py [--quick] [--out DIR]

After the structured-output task of H. Jang and O. Simeone, arXiv 2007.11894, with emulated recordings of ten digits,
one of each class. Every visible neuron is one pixel of the lower half; log-likelihoods and samples against K.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

import gemsnn
from gemsnn.model import logspace

CONFIG = {"epochs": 400, "seeds": 3, "compartments": [1, 2, 5, 10, 20], "likelihood": 50, "hidden": 64}
RULES = ("gem-cv", "one-hop")
SIDE, UPPER = 13, 6  # pixels of the pooled sensor, and rows of its upper half
SHOWN = 5  # compartments whose samples are drawn


def patterns() -> gemsnn.Recordings:
    """The first recording of each digit, merged polarities, pooled 2 x 2: upper rows in, lower rows wanted."""
    digits = gemsnn.dataset("digits").train.merged()
    pairs = []
    for label in range(10):
        spikes = digits[int(np.flatnonzero(digits.labels == label)[0])].spikes
        image = spikes.reshape(-1, SIDE, 2, SIDE, 2).amax((2, 4))  # [T, x, y]
        pairs.append((image[:, :, :UPPER].flatten(1), image[:, :, UPPER:].flatten(1)))
    return gemsnn.Recordings.from_arrays(pairs, bin_us=digits.layout.bin_us)


def wanted_rates(rows: gemsnn.Recordings) -> Tensor:
    """Mean rates of the patterns' lower halves, ``[n, V]``."""
    return torch.stack([row.target.float().mean(0) for row in rows])


def run(rule: str, compartments: int, seed: int, rows: gemsnn.Recordings, config: dict) -> dict[str, Any]:
    """Train a network, and score what it gives to the patterns and what it draws by itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "with one compartment")  # one is what the others are compared with
        model = gemsnn.fit(
            rows, rule=rule, compartments=compartments, epochs=config["epochs"], batch=10, seed=seed, lr=2e-3,
            hidden=[config["hidden"]], topology="layered",
        )  # fmt: skip
    weights = model.log_likelihood(rows, config["likelihood"])
    drawn = model.generate(rows, SHOWN).spikes.float().mean(2)  # [n, K, V], rates over time
    return {
        "rule": rule,
        "K": compartments,
        "seed": seed,
        "log_likelihood": float(logspace.log_mean_exp(weights, 1).mean()),
        "bound_of_one": float(weights.mean()),
        "correlation": _correlation(drawn, wanted_rates(rows)[:, None]),
        "samples": drawn.tolist(),
    }


def _correlation(a: Tensor, b: Tensor) -> float:
    """Of two patterns over pixels, averaged over patterns and compartments."""
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    return float(((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp(min=1e-12)).mean())


def table(found: list[dict], config: dict) -> str:
    """Mean and standard error over seeds."""
    lines = [
        "| rule | K | log-likelihood, nats | one compartment's, nats | correlation of samples |",
        "|---" * 5 + "|",
    ]
    for rule in RULES:
        for k in config["compartments"]:
            rows = [row for row in found if (row["rule"], row["K"]) == (rule, k)]
            cells = []
            for key, digits in (("log_likelihood", 1), ("bound_of_one", 1), ("correlation", 3)):
                values = np.array([row[key] for row in rows])
                error = f" ± {values.std(ddof=1) / len(values) ** 0.5:.{digits}f}" if len(values) > 1 else ""
                cells.append(f"{values.mean():.{digits}f}{error}")
            lines.append(f"| `{rule}` | {k} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(found: list[dict], rows: gemsnn.Recordings, config: dict, path: Path) -> None:
    """Each digit's upper half over its lower half: as wanted, and as five compartments draw it, few K and many."""
    few, many = config["compartments"][0], config["compartments"][-1]
    lines = [("wanted", None)]
    for rule in RULES:
        for k in dict.fromkeys((few, many)):
            row = next(row for row in found if (row["rule"], row["K"], row["seed"]) == (rule, k, 0))
            lines += [(f"{rule}, K = {k}\ncompartment {n + 1}", row["samples"]) for n in range(2)]
    figure = Figure(figsize=(11, 1.15 * len(lines)), layout="constrained")
    FigureCanvasAgg(figure)
    for y, (name, samples) in enumerate(lines):
        for x, row in enumerate(rows):
            axes = figure.add_subplot(len(lines), 10, 10 * y + x + 1)
            upper = row.spikes.float().mean(0).reshape(SIDE, UPPER)
            lower = row.target.float().mean(0) if samples is None else torch.tensor(samples[x][(y - 1) % 2])
            whole = torch.cat([upper, lower.reshape(SIDE, SIDE - UPPER)], 1)
            axes.imshow(whole.T, cmap="Greys", vmin=0, vmax=0.8)
            axes.axhline(UPPER - 0.5, color="C0", linewidth=0.8)
            axes.set(xticks=[], yticks=[])
            if x == 0:
                axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument(
        "--quick", action="store_true", help="two K, one seed, few epochs, to see that it works"
    )
    arguments = parser.parse_args()
    config = CONFIG | ({"epochs": 4, "seeds": 1, "compartments": [1, 3]} if arguments.quick else {})
    rows, began = patterns(), time.perf_counter()
    found = []
    for seed in range(config["seeds"]):
        for rule in RULES:
            for k in config["compartments"]:
                found.append(run(rule, k, seed, rows, config))
                kept = {key: value for key, value in found[-1].items() if key != "samples"}
                print(f"{time.perf_counter() - began:.0f} s", kept, flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(found, rows, config, arguments.out / "samples.png")
    kept = [{key: value for key, value in row.items() if key != "samples"} for row in found]
    (arguments.out / "results.json").write_text(json.dumps({"config": config, "rows": kept}) + "\n")
    print(table(found, config))


if __name__ == "__main__":
    main()
