"""Which settings learn: one change at a time from a common start, scored on the validation part of `digits`.

    python experiments/defaults/search.py --out FOLDER [--seeds 3] [--epochs 10] [--only NAME ...] [--quick]

Every finished run is one line of FOLDER/results.jsonl, and a run that stands there is not repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch

from gemsnn import kernels, rng, train
from gemsnn import network as networks
from gemsnn.config import Settings
from gemsnn.data import datasets

# name: changes, as "part.key"; the first is the common start
START = {
    "train.epochs": 10,
    "train.batch": 16,
    "train.schedule": "cosine",
    "rule.rule": "gem-cv",
    "rule.kappa": 1.0,
    "rule.gamma": 1.0,
    "rule.readout": "last-step",
    "optimiser.lr": 1e-3,
    "network.memory": 10,
    "network.hidden": (64,),
}
CHANGES: dict[str, dict] = {
    "start": {},
    "merged polarity": {"data.polarity": "merged"},
    "no hidden neurons": {"network.hidden": ()},
    "hidden 128": {"network.hidden": (128,)},
    "rule gem": {"rule.rule": "gem"},
    "every step, 0.9": {"rule.kappa": 0.9, "rule.gamma": 0.9, "rule.readout": "every-step"},
    "every step, 0.98": {"rule.kappa": 0.98, "rule.gamma": 0.98, "rule.readout": "every-step"},
    "kappa 0.9, last step": {"rule.kappa": 0.9},
    "lr 0.0003": {"optimiser.lr": 3e-4},
    "lr 0.003": {"optimiser.lr": 3e-3},
    "sgd lr 0.02": {"optimiser.optimiser": "sgd", "optimiser.lr": 2e-2},
    "batch 8": {"train.batch": 8},
    "batch 32": {"train.batch": 32},
    "memory 20": {"network.memory": 20},
    "memory 40": {"network.memory": 40},
    "memory 40, 6 filters": {"network.memory": 40, "network.basis_count": 6},
    "2 filters": {"network.basis_count": 2},
    "8 filters": {"network.basis_count": 8},
    "exponential": {"network.basis": "exponential"},
    "weight scale 0.3": {"network.weight_scale": 0.3},
    "weight scale 3": {"network.weight_scale": 3.0},
    "hidden rate 0.02": {"network.hidden_rate": 0.02},
    "hidden rate 0.3": {"network.hidden_rate": 0.3},
    "constant step size": {"train.schedule": "constant"},
    "memory 20, lr 0.0005": {"network.memory": 20, "optimiser.lr": 5e-4},
    "memory 40, lr 0.0003": {"network.memory": 40, "optimiser.lr": 3e-4},
}
# what helped, together
BETTER = {"optimiser.lr": 3e-3, "network.memory": 40}
RECENT = {"rule.kappa": 0.9, "rule.gamma": 0.9, "rule.readout": "every-step"}
CHOSEN = BETTER | RECENT | {"network.memory": 20}
CHANGES |= {
    "better": BETTER,
    "better, every step 0.9": BETTER | RECENT,
    "better, every step 0.98": BETTER | RECENT | {"rule.kappa": 0.98, "rule.gamma": 0.98},
    "better, every step 0.9, no hidden": BETTER | RECENT | {"network.hidden": ()},
    "better, every step 0.9, lr 0.001": BETTER | RECENT | {"optimiser.lr": 1e-3},
    "better, every step 0.9, lr 0.006": BETTER | RECENT | {"optimiser.lr": 6e-3},
    "better, every step 0.9, hidden 128": BETTER | RECENT | {"network.hidden": (128,)},
    "better, every step 0.9, merged": BETTER | RECENT | {"data.polarity": "merged"},
    "better, every step 0.9, memory 60": BETTER | RECENT | {"network.memory": 60},
    "better, every step 0.9, rule gem": BETTER | RECENT | {"rule.rule": "gem"},
    "chosen": CHOSEN,
    "chosen, rule gem": CHOSEN | {"rule.rule": "gem"},
    "chosen, no hidden neurons": CHOSEN | {"network.hidden": ()},
    "chosen, batch GEM": CHOSEN | {"rule.kappa": 1.0, "rule.gamma": 1.0, "rule.readout": "last-step"},
    "chosen, one compartment": CHOSEN | {"train.compartments": 1},
    "better, every step 0.7": BETTER | RECENT | {"rule.kappa": 0.7, "rule.gamma": 0.7},
}


def settings(changes: dict, seed: int) -> Settings:
    parts = {field.name: getattr(Settings(), field.name) for field in dataclasses.fields(Settings)}
    for key, value in {**START, **changes, "train.seed": seed}.items():
        part, name = key.split(".")
        parts[part] = dataclasses.replace(parts[part], **{name: value})
    return Settings(**parts)


def run(chosen: Settings) -> dict:
    splits = datasets.load(chosen.data)
    network = networks.build(chosen.network.spec(splits.train.layout), seed=chosen.train.seed)
    _, kernel = kernels.choose("auto", network, chosen.learning)
    began = time.perf_counter()
    spec = dataclasses.replace(chosen.train, evaluate_every=chosen.train.epochs)
    learner, _ = train.fit(
        network,
        train.start(networks.init(network, spec.seed), chosen.learning),
        splits.train,
        splits.validation.select(slice(0, 0)),
        spec,
        chosen.learning,
        kernel,
    )
    seconds = time.perf_counter() - began
    seed = rng.derive(spec.seed, "validation")
    scores = train.validate(kernel, network, learner.params, splits.validation, 10, seed)
    return {**scores, "seconds": round(seconds, 1)}


def table(results: list[dict]) -> str:
    lines = [
        "| change | runs | accuracy | ECE | NLL | log-likelihood | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["name"] for row in results):
        rows = [row for row in results if row["name"] == name]

        def cell(key: str, digits: int, rows: list[dict] = rows) -> str:
            values = np.array([row[key] for row in rows])
            error = f" ± {values.std(ddof=1) / len(values) ** 0.5:.{digits}f}" if len(values) > 1 else ""
            return f"{values.mean():.{digits}f}{error}"

        scores = f"{cell('accuracy', 3)} | {cell('ece', 3)} | {cell('nll', 2)} | {cell('log_likelihood', 1)}"
        lines.append(f"| {name} | {len(rows)} | {scores} | {cell('seconds', 0)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--part", default="0/1", help="run only every n-th of the runs, e.g. 0/2 and 1/2")
    parser.add_argument(
        "--quick", action="store_true", help="two runs on 64 recordings, to see that it works"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    START["train.epochs"] = arguments.epochs
    if arguments.quick:
        START.update({"train.epochs": 1, "data.limit": 64})
        arguments.only = ["start", "merged polarity"]
    part, parts = map(int, arguments.part.split("/"))
    torch.set_num_threads(max(1, torch.get_num_threads() // parts))
    path = arguments.out / "results.jsonl"

    def read() -> list[dict]:
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    jobs = [(name, seed) for seed in range(arguments.seeds) for name in arguments.only or CHANGES]
    for name, seed in jobs[part::parts]:
        key = {"name": name, "seed": seed, "epochs": START["train.epochs"]}
        if any(all(row[k] == v for k, v in key.items()) for row in read()):
            continue
        row = {**key, **run(settings(CHANGES[name], seed))}
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)
    print(table([row for row in read() if row["epochs"] == START["train.epochs"]]))


if __name__ == "__main__":
    main()
