"""A grid of changes to recipe best on sets of real recordings, scored on their validation parts.

Scores are those of the decoder that the validation part chooses, without a temperature and at the one fitted there.
Every finished run is one line of OUT/results.jsonl, and a run that stands there is not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import side_by_side

from gemsnn.reproduce import jobs
from gemsnn.reproduce.real import sets
from gemsnn.reproduce.real.sets import SetName
from gemsnn.runs.fitting import fit

Changes = Mapping[str, Mapping[str, Any]]
"""Settings by name; a memory below 2 is a share of the recordings' bins."""

PLAIN: dict[str, Any] = {"shift": 0, "epochs": 10, "memory": 10, "basis_count": 4, "warm_up": 0.5}
"""Recipe best without what it has for some sets."""

COLUMNS = ("accuracy", "nll", "nll at T", "ece at T", "seconds")


def one(
    name: SetName, change: Mapping[str, Any], root: Path | None, seed: int, *, quick: bool
) -> dict[str, Any]:
    splits = sets.load(name, root, quick=quick)
    given = {**PLAIN, **change}
    if given["memory"] < 2:
        given["memory"] = max(10, round(given["memory"] * splits.train.longest))
    if quick:
        given |= {"epochs": 1, "hidden": [8]}
    began = time.perf_counter()
    model = fit(splits, seed=seed, **given)
    seconds = time.perf_counter() - began
    scores = model.score(splits.validation)
    assert scores.tempered is not None
    return {
        "accuracy": scores.accuracy, "nll": scores.nll, "ece": scores.ece, "decoder": scores.decoder,
        "nll at T": scores.tempered.nll, "ece at T": scores.tempered.ece, "seconds": round(seconds, 1),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and standard error over seeds."""
    lines = ["| data | change | runs | " + " | ".join(COLUMNS) + " |", "|---" * (3 + len(COLUMNS)) + "|"]
    for key in sorted({(row["set"], row["change"]) for row in rows}):
        mine = [row for row in rows if (row["set"], row["change"]) == key]
        cells = [jobs.cell(jobs.mean([row[column] for row in mine]), 3) for column in COLUMNS]
        lines.append(f"| {key[0]} | {key[1]} | {len(mine)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(what: str, changes: Changes, usual: list[str], *, quick: list[str]) -> None:
    """The command line of a grid: what it is about, its changes, its usual sets, and the changes of ``--quick``."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="*", default=usual)
    parser.add_argument("--only", nargs="*", default=list(changes))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="40 digits, to see that it works")
    side_by_side.add_flags(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sets, arguments.only, arguments.seeds = ["digits"], quick, 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "results.jsonl"

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    runs = [
        {"set": name, "change": change, "seed": seed}
        for seed in range(arguments.seeds)
        for name in arguments.sets
        for change in arguments.only
    ]
    for key in runs[side_by_side.part(arguments)]:
        if any(row.items() >= key.items() for row in read()):
            continue
        name, change = cast(SetName, key["set"]), changes[key["change"]]
        row = {**key, **one(name, change, arguments.root, key["seed"], quick=arguments.quick)}
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)
    if arguments.part is None:
        print(table(read()))
