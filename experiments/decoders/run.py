"""What each decoder makes of the same trained networks: as it is, and at the temperature of the validation part.

    python experiments/decoders/run.py --out OUT --root SETS [--sets touch neurons ..] [--seeds 0 1 2]
    python experiments/decoders/run.py --out OUT --quick          (to see that it works)

SETS is the folder of ``gemsnn reproduce real``. Each network is trained once, by recipe ``best`` with what the bench
has for the set, and kept in OUT, so that a run that was stopped goes on; its rows go to OUT/SET-seedN.json, and a table
of all that is there is printed. ``chosen`` is the decoder that ``auto`` takes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, get_args

import torch

import gemsnn
from gemsnn.errors import InputError
from gemsnn.reproduce import jobs
from gemsnn.reproduce.real import methods, sets
from gemsnn.reproduce.real.sets import SETS, SetName
from gemsnn.runs import scored
from gemsnn.runs.fitting import fit
from gemsnn.runs.models import Model
from gemsnn.scoring import answers, evaluate, measure, metrics
from gemsnn.store.files import atomic_write

SCORES = ("accuracy", "nll", "ece")


def rows(model: Model, splits: Any, votes: int) -> list[dict[str, Any]]:
    """The scores of each decoder on the validation and the test part."""
    spec = dataclasses.replace(model.settings.evaluate, decoder="auto", votes=votes)
    model = dataclasses.replace(model, settings=dataclasses.replace(model.settings, evaluate=spec))
    chosen = scored.answering(model, splits.validation).facts.decoder
    decoders = answers.choice("auto", model.network)
    held, test = (
        evaluate.polls(
            model.network, model.params, part, votes, kernel=model.kernel, seed=model.facts.seed,
            decoders=decoders, least_spikes=model.facts.least_spikes,
        )
        for part in (splits.validation, splits.test)
    )  # fmt: skip
    found = []
    for known, asked in zip(held, test, strict=True):
        temperature = metrics.fitted_temperature(known.answers.logs, known.labels)
        row: dict[str, Any] = {"decoder": asked.decoder, "chosen": asked.decoder == chosen}
        for name, poll in (("validation", known), ("test", asked)):
            bare = measure.answer_scores(poll.answers, poll.labels)
            warm = measure.tempered_scores(poll.answers, poll.labels, temperature)
            row[name] = {key: getattr(bare, key) for key in SCORES}
            row[name] |= {f"{key}_tempered": getattr(warm, key) for key in ("nll", "ece")}
        found.append(row | {"temperature": temperature})
    return found


def part(name: SetName, seed: int, root: Path | None, out: Path, *, quick: bool) -> None:
    """Train and score one network, as far as that is not done."""
    path, kept = (out / f"{name}-seed{seed}{end}" for end in (".json", ".safetensors"))
    if path.exists():
        return
    splits, votes = sets.load(name, root, quick=quick), 3 if quick else methods.VOTES
    if kept.exists():
        model = gemsnn.load(kept)
    else:
        short = methods.QUICK if quick else {}
        model = fit(splits, recipe="best", seed=seed, votes=votes, **{**SETS[name].best, **short})
        model.save(kept)
    found = rows(model, splits, votes)
    atomic_write(path, json.dumps({"name": name, "seed": seed, "rows": found}, allow_nan=False) + "\n")
    best = next(row for row in found if row["chosen"])
    print(f"{name}, seed {seed}: {best['decoder']}, NLL {best['test']['nll']:.3f}", flush=True)


def table(out: Path) -> str:
    """Means and standard errors over seeds."""
    parts = [json.loads(path.read_text()) for path in sorted(out.glob("*-seed*.json"))]
    lines = [
        "| data | decoder | chosen | validation NLL | accuracy | NLL | ECE | NLL at T | ECE at T |",
        "|" + "---|" * 9,
    ]
    for name in [each for each in SETS if any(part["name"] == each for part in parts)]:
        mine = [part["rows"] for part in parts if part["name"] == name]
        for alike in zip(*mine, strict=True):
            cells = [name, alike[0]["decoder"], f"{sum(row['chosen'] for row in alike)} of {len(alike)}"]
            cells.append(jobs.cell(jobs.mean([row["validation"]["nll"] for row in alike]), 3))
            for key in (*SCORES, "nll_tempered", "ece_tempered"):
                cells.append(jobs.cell(jobs.mean([row["test"][key] for row in alike]), 3))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Run what the words ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--sets", nargs="+", choices=get_args(SetName), default=["objects", "neurons", "touch"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="few digits, a small network, one seed")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    names: list[SetName] = ["digits"] if given.quick else given.sets
    seeds: list[int] = [0] if given.quick else given.seeds
    try:
        for name in names:
            for seed in seeds:
                part(name, seed, given.root, given.out, quick=given.quick)
    except InputError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2
    print(table(given.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
