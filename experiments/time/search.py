"""How far back neurons should hear, and when answers should begin: recordings of several durations, recipe best.

    python experiments/time/search.py --out FOLDER --root SETS [--sets touch braille ..] [--only NAME ..] [--seeds 2]

SETS is the folder of ``gemsnn reproduce real``. One change at a time; scores are of the validation part by the decoder
that it chooses, at the temperature fitted there. Every finished run is one line of FOLDER/results.jsonl, and a run that
stands there is not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, cast

import numpy as np

from gemsnn.reproduce.real import sets
from gemsnn.reproduce.real.sets import SetName
from gemsnn.runs.fitting import fit

PLAIN: dict[str, Any] = {"shift": 0, "epochs": 10}
CHANGES: dict[str, dict[str, Any]] = {
    "memory 10": {},
    "memory 1/4": {"memory": 0.25},
    "memory 1/2": {"memory": 0.5},
    "memory 1": {"memory": 1.0},
    "memory 1/2, 8 filters": {"memory": 0.5, "basis_count": 8},
    "memory 1, 8 filters": {"memory": 1.0, "basis_count": 8},
    "memory 1/2, 8 filters, warm-up 1/4": {"memory": 0.5, "basis_count": 8, "warm_up": 0.25},
    "memory 1/2, 8 filters, warm-up 1/10": {"memory": 0.5, "basis_count": 8, "warm_up": 0.1},
    "memory 1/2, 8 filters, warm-up 3/4": {"memory": 0.5, "basis_count": 8, "warm_up": 0.75},
    "memory 1/2, 8 filters, 30 epochs": {"memory": 0.5, "basis_count": 8, "epochs": 30},
    "memory 1/2, 8 filters, lr 0.003": {"memory": 0.5, "basis_count": 8, "lr": 0.003},
    "memory 1/2, 8 filters, 10 compartments": {"memory": 0.5, "basis_count": 8, "compartments": 10},
    "memory 10, 10 compartments": {"compartments": 10},
    "memory 1/2, 8 filters, 512 hidden": {"memory": 0.5, "basis_count": 8, "hidden": [512]},
}
"""Settings by name; a memory below 2 is a share of the recordings' bins."""


def one(
    name: SetName, change: dict[str, Any], root: Path | None, seed: int, *, quick: bool
) -> dict[str, Any]:
    splits = sets.load(name, root, quick=quick)
    given = PLAIN | change
    if given.get("memory", 10) < 2:
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
    columns = ("accuracy", "nll", "nll at T", "ece at T", "seconds")
    lines = ["| data | change | runs | " + " | ".join(columns) + " |", "|---" * (3 + len(columns)) + "|"]
    for key in dict.fromkeys((row["set"], row["change"]) for row in rows):
        mine = [row for row in rows if (row["set"], row["change"]) == key]
        cells = []
        for column in columns:
            values = np.array([row[column] for row in mine])
            error = f" ± {values.std(ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.3f}{error}")
        lines.append(f"| {key[0]} | {key[1]} | {len(mine)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--sets", nargs="*", default=["touch", "braille", "neurons", "nmnist"])
    parser.add_argument("--only", nargs="*", default=list(CHANGES))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="digits, two changes, to see that it works")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sets, arguments.only, arguments.seeds = ["digits"], ["memory 10", "memory 1/2"], 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "results.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for seed in range(arguments.seeds):
        for name in arguments.sets:
            for change in arguments.only:
                key = {"set": name, "change": change, "seed": seed}
                if any(row.items() >= key.items() for row in rows):
                    continue
                found = one(cast(SetName, name), CHANGES[change], arguments.root, seed, quick=arguments.quick)
                rows.append({**key, **found})
                with path.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                print(rows[-1], flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
