"""Ten compartments that each hear a presentation in a version of their own, beside one that hears one: recipe best.

    python experiments/views/search.py --out OUT --root FOLDER [--sets cards nmnist ..] [--only NAME ..] [--seeds 3]

FOLDER is that of ``gemsnn reproduce real``. Versions differ in how the scene is moved, where there is a camera, and in
which events are lost, where there is none. Arms are one compartment and ten (``--views 10``) with equally many
presentations and an update after 16 of them or fewer, and one compartment with ten times as many presentations: the
same work as that of ten.

Every finished run is one line of OUT/results.jsonl, and a run that stands there is not repeated; OUT/summary.json has
means, and how far each arm's NLL is above that of the first, in pairs of the same seed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from gemsnn.reproduce import jobs
from gemsnn.reproduce.real import sets
from gemsnn.reproduce.real.sets import SETS, SetName
from gemsnn.runs.fitting import fit
from gemsnn.scoring.scores import Scores

sys.path.insert(0, str(Path(__file__).parents[1]))
import real_grid

CHANGED: dict[SetName, dict[str, Any]] = {
    "cards": {"epochs": 5},
    "objects": {"shift": 4, "epochs": 5},
    "nmnist": {"epochs": 10},
    "digits": {"epochs": 5},
    "images": {"epochs": 1},
    "neurons": {"drop_events": 0.3, "epochs": 5},
}
"""What differs from recipe ``best`` as the bench has it for the set: fewer epochs, so that presentations are scarce."""

FIRST, TEN = "one, batch 16", "ten, batch 16"
ARMS: dict[str, dict[str, int]] = {
    FIRST: {"views": 1, "batch": 16},
    "one, batch 4": {"views": 1, "batch": 4},
    TEN: {"views": 10, "batch": 16},
    "ten, batch 2": {"views": 10, "batch": 2},
    "one, ten times as long": {"views": 1, "batch": 16, "longer": 10},
}

COLUMNS = ("accuracy", "nll", "ece", "nll at T", "ece at T")


def _numbers(scores: Scores) -> dict[str, float]:
    assert scores.tempered is not None
    plain = (scores.accuracy, scores.nll, scores.ece, scores.tempered.nll, scores.tempered.ece)
    return dict(zip(COLUMNS, plain, strict=True))


def one(name: SetName, arm: str, seed: int, root: Path | None, *, quick: bool) -> dict[str, Any]:
    """One training, with its scores on both parts that it did not learn from."""
    splits = sets.load(name, root, quick=quick)
    settings: dict[str, Any] = {**SETS[name].best, **CHANGED[name], **ARMS[arm]}
    settings["epochs"] *= settings.pop("longer", 1)
    if quick:
        settings |= {"epochs": 1, "hidden": [8]}
    began = time.perf_counter()
    model = fit(splits, seed=seed, **settings)
    seconds = time.perf_counter() - began
    parts = {"validation": splits.validation, "test": splits.test}
    return {"seconds": round(seconds, 1), **{part: _numbers(model.score(of)) for part, of in parts.items()}}


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds of each set, arm and part; ``above``, how far above the first's the NLL is, in pairs."""
    found = []
    for name in dict.fromkeys(row["set"] for row in rows):
        first = {row["seed"]: row for row in rows if row["set"] == name and row["arm"] == FIRST}
        for arm in ARMS:
            mine = [row for row in rows if row["set"] == name and row["arm"] == arm]
            for part in ("validation", "test") if mine else ():
                means: dict[str, Any] = {key: jobs.mean([row[part][key] for row in mine]) for key in COLUMNS}
                means["seconds"] = jobs.mean([row["seconds"] for row in mine])
                pairs = [
                    row[part]["nll"] - first[row["seed"]][part]["nll"] for row in mine if row["seed"] in first
                ]
                if pairs and arm != FIRST:
                    means["above"] = jobs.mean(pairs)
                found.append({"set": name, "arm": arm, "part": part, "runs": len(mine), **means})
    return found


def table(found: list[dict[str, Any]]) -> str:
    """For a page."""
    columns = (*COLUMNS, "seconds")
    lines = [
        "| data | part | compartments | " + " | ".join([*columns, "NLL above one"]) + " |",
        "|---" * 10 + "|",
    ]
    for row in found:
        cells = [jobs.cell(row[key], 0 if key == "seconds" else 3) for key in columns]
        above = jobs.cell(row["above"], 3) if "above" in row else ""
        lines.append(f"| {row['set']} | {row['part']} | {row['arm']} | " + " | ".join([*cells, above]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    done = real_grid.finished(
        __doc__ or "", "arm", list(ARMS), list(CHANGED), one, quick=[FIRST, TEN], seeds=3
    )
    if done is not None:
        found = summary(done.rows)
        (done.out / "summary.json").write_text(json.dumps(found, indent=1) + "\n")
        print(table(found))
