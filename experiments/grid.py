"""A written grid of settings: one change at a time from a common start, scored on the validation part.

Every finished run is one line of OUT/results.jsonl, and a run that stands there is not repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import side_by_side

from gemsnn import kernels, rng
from gemsnn.data import datasets, raw
from gemsnn.learn import judging, train
from gemsnn.model import network as networks
from gemsnn.runs.config import FORMER, Settings

Changes = dict[str, object]
"""Values by ``part.key`` of the settings."""


def settings(changes: Changes, seed: int) -> Settings:
    """The settings that were the defaults until 0.1, with these changes."""
    parts = {field.name: getattr(FORMER, field.name) for field in dataclasses.fields(Settings)}
    wanted: dict[str, dict[str, object]] = {}
    for key, value in {**changes, "train.seed": seed}.items():
        part, name = key.split(".")
        wanted.setdefault(part, {})[name] = value
    for part, values in wanted.items():
        parts[part] = dataclasses.replace(parts[part], **values)
    return Settings(**parts)


def run(chosen: Settings) -> dict:
    """Train, and score on the validation part with twenty compartments."""
    splits = datasets.load(chosen.data)
    network = networks.build(chosen.network_spec(splits.train.layout), seed=chosen.train.seed)
    _, kernel = kernels.choose("auto", network, chosen.learning)
    began = time.perf_counter()
    spec = dataclasses.replace(chosen.train, evaluate_every=chosen.train.epochs)
    reached, _ = train.fit(
        network,
        train.start(networks.init(network, spec.seed), chosen.learning),
        raw.learned(splits.train, chosen.augment, spec.seed),
        splits.validation.select(slice(0, 0)),
        spec,
        chosen.learning,
        kernel=kernel,
    )
    seconds = time.perf_counter() - began
    seed = rng.derive(spec.seed, "validation")
    scores = judging.validate(
        network, reached.learner.params, splits.validation, 20, kernel=kernel, seed=seed
    )
    return {**scores.to_json(), "seconds": round(seconds, 1)}


def table(results: list[dict]) -> str:
    """Mean and standard error over seeds, one row for each name."""
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


def main(what: str, start: Changes, grid: dict[str, Changes], *, quick: list[str]) -> None:
    """The command line of a grid: what it is about, its common start, the changes by name, and two for ``--quick``."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="where the data set lies, if it is not built in")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--limit", type=int, help="only the first presentations of the training and validation parts"
    )
    side_by_side.add_flags(parser)
    parser.add_argument(
        "--quick", action="store_true", help="two runs on 64 recordings, to see that it works"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    start = start | {"train.epochs": arguments.epochs}
    if arguments.limit is not None:
        start |= {"data.limit": arguments.limit}
    if arguments.root is not None:
        start |= {"data.root": arguments.root}
    if arguments.quick:
        start |= {"train.epochs": 1, "data.limit": 64}
        arguments.only = quick
    path = arguments.out / "results.jsonl"

    def read() -> list[dict]:
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    jobs = [(name, seed) for seed in range(arguments.seeds) for name in arguments.only or grid]
    for name, seed in jobs[side_by_side.part(arguments)]:
        key = {"name": name, "seed": seed, "epochs": start["train.epochs"], "limit": start.get("data.limit")}
        if any(all(row.get(k) == v for k, v in key.items()) for row in read()):
            continue
        row = {**key, **run(settings(start | grid[name], seed))}
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)
    if arguments.part is not None:
        return
    same = {"epochs": start["train.epochs"], "limit": start.get("data.limit")}
    print(table([row for row in read() if all(row.get(k) == v for k, v in same.items())]))
