"""Ten compartments that each see a presentation in a version of their own, beside one that sees one: recipe best.

    python experiments/views/search.py --out OUT --root FOLDER [--sets cards nmnist ..] [--seeds 3] [--views 1 10]

FOLDER is that of ``gemsnn reproduce real``. Versions differ in how the scene is moved, where there is a camera, and
in which inputs are dead, where there is none: a mask of inputs, drawn for each presentation and compartment. All learn
from equally many presentations, with what the recipe has for a set; of N-MNIST and digits, a tenth and a fifth of its
epochs.

Every finished run is one line of OUT/results.jsonl, and a run that stands there is not repeated; OUT/summary.json has
means, and the paired differences between ten versions and one.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from gemsnn.reproduce import jobs
from gemsnn.reproduce.real import sets
from gemsnn.reproduce.real.sets import SETS, SetName
from gemsnn.runs.fitting import fit
from gemsnn.scoring.scores import Scores

CHANGED: dict[SetName, dict[str, Any]] = {
    "cards": {},
    "objects": {"shift": 4},
    "nmnist": {"epochs": 10},
    "neurons": {"drop_pixels": 0.3},
    "braille": {"drop_pixels": 0.3},
    "touch": {"drop_pixels": 0.3},
    "digits": {"epochs": 10},
}
"""What differs from recipe ``best`` as the bench has it for the set."""

COLUMNS = ("accuracy", "nll", "ece", "nll at T", "ece at T")


def _numbers(scores: Scores) -> dict[str, float]:
    assert scores.tempered is not None
    plain = (scores.accuracy, scores.nll, scores.ece, scores.tempered.nll, scores.tempered.ece)
    return dict(zip(COLUMNS, plain, strict=True))


def one(name: SetName, views: int, seed: int, root: Path | None, *, quick: bool) -> dict[str, Any]:
    """One training, with its scores on both parts that it did not learn from."""
    splits = sets.load(name, root, quick=quick)
    settings = {**SETS[name].best, **CHANGED[name], **({"epochs": 1, "hidden": [8]} if quick else {})}
    began = time.perf_counter()
    model = fit(splits, seed=seed, views=views, **settings)
    seconds = time.perf_counter() - began
    parts = {"validation": splits.validation, "test": splits.test}
    return {"seconds": round(seconds, 1), **{part: _numbers(model.score(of)) for part, of in parts.items()}}


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds of each set, part and number of versions; ``lead``, what one version has more than so many."""
    found = []
    for name in dict.fromkeys(row["set"] for row in rows):
        one_view = {row["seed"]: row for row in rows if row["set"] == name and row["views"] == 1}
        for views in sorted({row["views"] for row in rows if row["set"] == name}):
            mine = [row for row in rows if row["set"] == name and row["views"] == views]
            for part in ("validation", "test"):
                means: dict[str, Any] = {key: jobs.mean([row[part][key] for row in mine]) for key in COLUMNS}
                means["seconds"] = jobs.mean([row["seconds"] for row in mine])
                pairs = [row for row in mine if row["seed"] in one_view and views > 1]
                if pairs:
                    means["lead"] = {
                        key: jobs.mean([one_view[row["seed"]][part][key] - row[part][key] for row in pairs])
                        for key in COLUMNS
                    }
                found.append({"set": name, "views": views, "part": part, "runs": len(mine), **means})
    return found


def table(found: list[dict[str, Any]]) -> str:
    """For a page; the last column is what ten versions take off the NLL of one."""
    columns = (*COLUMNS, "seconds")
    lines = ["| data | part | views | " + " | ".join([*columns, "NLL less by"]) + " |", "|---" * 10 + "|"]
    for row in found:
        cells = [jobs.cell(row[key], 0 if key == "seconds" else 3) for key in columns]
        lead = jobs.cell(row["lead"]["nll"], 3) if "lead" in row else ""
        lines.append(
            f"| {row['set']} | {row['part']} | {row['views']} | " + " | ".join([*cells, lead]) + " |"
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="*", default=list(CHANGED), choices=tuple(CHANGED))
    parser.add_argument("--views", nargs="*", type=int, default=[1, 10])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="40 digits, to see that it works")
    given = parser.parse_args()
    if given.quick:
        given.sets, given.views, given.seeds = ["digits"], [1, 2], 2
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "results.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for name in given.sets:
        for seed in range(given.seeds):
            for views in given.views:
                key = {"set": name, "views": views, "seed": seed}
                if any(row.items() >= key.items() for row in rows):
                    continue
                row = key | one(name, views, seed, given.root, quick=given.quick)
                rows.append(row)
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    found = summary(rows)
    (given.out / "summary.json").write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
