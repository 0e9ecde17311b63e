"""A grid of changes to recipe best on sets of real recordings, scored on their validation parts or, where nothing is
chosen by it, on their test parts.

Scores are those of the decoder that the validation part chooses, without a temperature and at the one fitted there.
Every finished run is one line of OUT/results.jsonl, and a run that stands there is not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import side_by_side

from gemsnn.reproduce import jobs
from gemsnn.reproduce.real import sets
from gemsnn.reproduce.real.sets import SetName
from gemsnn.runs.fitting import fit

Changes = Mapping[str, Mapping[str, Any]]
"""Settings by name; a memory below 2 is a share of the recordings' bins."""

PLAIN: dict[str, Any] = {
    "shift": 0, "drop_pixels": 0.0, "epochs": 10, "memory": 10, "basis_count": 4, "basis_offset": 1.0, "warm_up": 0.5
}  # fmt: skip
"""Recipe best without what it has for some sets."""

COLUMNS = ("accuracy", "nll", "ece", "nll at T", "ece at T", "seconds")


Part = Literal["validation", "test"]


def one(
    name: SetName, given: dict[str, Any], root: Path | None, seed: int, *, part: Part, quick: bool
) -> dict[str, Any]:
    splits = sets.load(name, root, quick=quick)
    if given.get("memory", 2) < 2:
        given["memory"] = max(10, round(given["memory"] * splits.train.longest))
    if quick:
        given |= {"epochs": 1, "hidden": [8]}
    began = time.perf_counter()
    model = fit(splits, seed=seed, **given)
    seconds = time.perf_counter() - began
    scores = model.score(getattr(splits, part))
    assert scores.tempered is not None
    alone = scores.by_compartments[0]
    return {
        "accuracy": scores.accuracy, "nll": scores.nll, "ece": scores.ece, "decoder": scores.decoder,
        "nll at T": scores.tempered.nll, "ece at T": scores.tempered.ece, "seconds": round(seconds, 1),
        "one asked": {"accuracy": alone.accuracy, "nll": alone.nll, "ece": alone.ece},
    }  # fmt: skip


def table(rows: list[dict[str, Any]], first: str) -> str:
    """Mean and standard error over seeds, and how much the NLL is above that of the first change, in pairs."""
    columns = [*COLUMNS, f"NLL above {first}"]
    lines = ["| data | change | runs | " + " | ".join(columns) + " |", "|---" * (3 + len(columns)) + "|"]
    for key in sorted({(row["set"], row["change"]) for row in rows}):
        mine = [row for row in rows if (row["set"], row["change"]) == key]
        cells = [jobs.cell(jobs.mean([row[column] for row in mine]), 3) for column in COLUMNS]
        start = {row["seed"]: row["nll"] for row in rows if (row["set"], row["change"]) == (key[0], first)}
        above = [row["nll"] - start[row["seed"]] for row in mine if row["seed"] in start]
        cells.append(jobs.cell(jobs.mean(above), 3) if above and key[1] != first else "")
        lines.append(f"| {key[0]} | {key[1]} | {len(mine)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(
    what: str,
    changes: Changes,
    usual: list[str],
    *,
    quick: list[str],
    given: Changes | None = None,
    part: Part = "validation",
) -> None:
    """The command line of a grid.

    Args:
        what: what it is about.
        changes: its changes.
        usual: its usual sets.
        quick: the changes of ``--quick``.
        given: settings of each set, beside those that the recipe has for it; :data:`PLAIN` for all by default.
        part: which recordings are scored.
    """  # fmt: skip

    def scored(name: SetName, change: str, seed: int, root: Path | None, *, quick: bool) -> dict[str, Any]:
        start = PLAIN if given is None else given.get(name, {})
        return one(name, {**start, **changes[change]}, root, seed, part=part, quick=quick)

    found = finished(what, "change", list(changes), usual, scored, quick=quick, seeds=2)
    if found is not None:
        print(table(found.rows, next(iter(changes))))


class Finished(NamedTuple):
    """The rows of all runs so far, and the folder they are in."""

    rows: list[dict[str, Any]]
    out: Path


def finished(
    what: str,
    kind: str,
    names: list[str],
    usual: list[str],
    one: Callable[..., dict[str, Any]],
    *,
    quick: list[str],
    seeds: int,
) -> Finished | None:
    """Read the command line, do the runs that are missing, and keep each as a line of OUT/results.jsonl.

    Args:
        what: what the grid is about.
        kind: the key under which a row has its name.
        names: what is compared.
        usual: its usual sets.
        one: a run: of the set, the name, the seed and the root, and ``quick``.
        quick: the names of ``--quick``.
        seeds: how many, by default.

    Returns:
        ``None`` in a process that did a part of the runs.
    """
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="*", default=usual)
    parser.add_argument("--only", nargs="*", default=names, choices=names)
    parser.add_argument("--seeds", type=int, default=seeds)
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
        {"set": name, kind: which, "seed": seed}
        for seed in range(arguments.seeds)
        for name in arguments.sets
        for which in arguments.only
    ]
    for key in runs[side_by_side.part(arguments)]:
        if any(row.items() >= key.items() for row in read()):
            continue
        row = key | one(key["set"], key[kind], key["seed"], arguments.root, quick=arguments.quick)
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)
    return Finished(read(), arguments.out) if arguments.part is None else None
