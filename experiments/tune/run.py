"""What a search of ten minutes finds where nothing is known of the data: recipe best as it is, and the best trial.

    python experiments/tune/run.py --root FOLDER --out OUT [--sets touch braille neurons] [--minutes 10] [--seeds 1]

FOLDER is that of ``gemsnn reproduce real``. The recipe is taken without what it has for these very sets, as for data of
one's own. Every finished part is one line of OUT/results.jsonl, and a part that stands there is not done again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import gemsnn
from gemsnn.data.spikeset import SpikeSet
from gemsnn.reproduce.real import sets
from gemsnn.runs import tuning
from gemsnn.scoring.scores import Scores


def unknown(part: SpikeSet) -> SpikeSet:
    """Recordings of which it is not told what data set they are of."""
    return dataclasses.replace(part, source=None)


def numbers(scores: Scores) -> dict[str, float]:
    """As the other experiments have them."""
    assert scores.tempered is not None
    return {
        "accuracy": scores.accuracy, "nll": scores.nll, "ece": scores.ece,
        "nll at T": scores.tempered.nll, "ece at T": scores.tempered.ece,
    }  # fmt: skip


def one(name: sets.SetName, minutes: float, seed: int, root: Path | None, *, quick: bool) -> dict[str, Any]:
    """Scores of the test part before and after a search."""
    splits = sets.load(name, root, quick=quick)
    train, held, test = map(unknown, (splits.train, splits.validation, splits.test))
    small: dict[str, Any] = {"hidden": [8], "epochs": 1} if quick else {}

    def scored(settings: dict[str, Any]) -> dict[str, Any]:
        began = time.perf_counter()
        model = gemsnn.fit(train, validation=held, seed=seed, **settings)
        seconds = time.perf_counter() - began
        return {**numbers(model.score(test)), "seconds": round(seconds, 1)}

    before = scored(small)
    found = gemsnn.tune(train, validation=held, minutes=minutes, seed=seed, **small)
    states = [trial.state for trial in found.trials]
    best = tuning.best_of(found.trials)
    assert best is not None, "the first trial is whole"
    own = best is found.trials[0]
    return {
        "before": before,
        "best": before if own else scored({**small, **best.settings}),
        "taken": bool(found.settings),
        "settings": {} if own else best.settings,
        "trials": {state: states.count(state) for state in dict.fromkeys(states)},
        "validation": {
            "before": found.trials[0].nll,
            "best": getattr(tuning.best_of(found.trials), "nll", None),
        },
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="*", default=["touch", "braille", "neurons"])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="40 digits, to see that it works")
    given = parser.parse_args()
    if given.quick:
        given.sets, given.minutes, given.seeds = ["digits"], 0.1, 1
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "results.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for seed in range(given.seeds):
        for name in given.sets:
            key = {"set": name, "seed": seed, "minutes": given.minutes}
            if any(row.items() >= key.items() for row in rows):
                continue
            row = key | one(name, given.minutes, seed, given.root, quick=given.quick)
            rows.append(row)
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
    columns = ("accuracy", "nll", "ece", "nll at T", "ece at T", "seconds")
    print("| data | seed | settings | taken | " + " | ".join(columns) + " |\n" + "|---" * 10 + "|")
    for row in rows:
        tried = tuning.in_words(row["settings"]) or "the same"
        for what, settings in (("before", "as they are"), ("best", tried)):
            cells = " | ".join(f"{row[what][column]:.3f}" for column in columns)
            taken = ("yes" if row["taken"] else "no") if what == "best" else ""
            print(f"| {row['set']} | {row['seed']} | {settings} | {taken} | {cells} |")


if __name__ == "__main__":
    main()
