"""As many compartments as needed beside a fixed number: what answers are worth, and what they cost.

    python experiments/asking/run.py --root FOLDER --out OUT [--sets neurons touch digits] [--seeds 0 1]

FOLDER is that of ``gemsnn reproduce real``. A network learns each set by recipe ``best`` (digits lightly: ten epochs
without augmentation), and fifty compartments are asked about the validation and the test part. As portions ask the
very same compartments, all rows of a table are made of these; that they are the same is looked at on the recordings
that are timed. OUT/<set>-<seed>.gemsnn.safetensors and .npz keep model and votes, so that a second call only makes the
tables and times the kernel; OUT/summary.json has all numbers.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gemsnn
from gemsnn.reproduce.real import sets
from gemsnn.reproduce.real.sets import SETS
from gemsnn.runs.fitting import fit
from gemsnn.runs.models import Model
from gemsnn.scoring import evaluate, measure, metrics, mode, sampling, until
from gemsnn.scoring.answers import Answers
from gemsnn.scoring.until import Polled

LIGHT: dict[str, dict[str, Any]] = {"digits": {"epochs": 10, "shift": 0, "rotate": 0, "zoom": 0, "lr": 0.001}}
"""Where the recipe would learn for long."""

FIXED = (1, 5, 10, 20, 50)
RULES: tuple[tuple[mode.Rule, float], ...] = (("leader", 0.05), ("leader", 0.1), ("ppr", 0.05), ("ppr", 0.1))
MOST = max(FIXED)
OWN = 40
"""Recordings of the validation part from which on a number of compartments has a temperature of its own."""

TIMED, TIMES = 64, 3
"""Recordings of the test part that the kernel is timed on, and how often each way has its turn."""


class Timed:
    """A kernel, and the seconds that its runs took."""

    def __init__(self, kernel: Any) -> None:
        self.kernel, self.seconds = kernel, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernel, name)  # what is not timed

    def rollout(self, *given: Any, **named: Any) -> Any:
        begin = time.perf_counter()
        found = self.kernel.rollout(*given, **named)
        self.seconds += time.perf_counter() - begin
        return found


def model_of(name: sets.SetName, splits: Any, out: Path, seed: int, *, quick: bool) -> Model:
    """The network that learned a set, kept in a file."""
    path = out / f"{name}-{seed}.gemsnn.safetensors"
    if not path.exists():
        settings = {
            **SETS[name].best,
            **LIGHT.get(name, {}),
            **({"epochs": 1, "hidden": [8]} if quick else {}),
        }
        fit(splits, seed=seed, **settings).save(path)
    return gemsnn.load(path)


def ask_all(model: Model, part: Any, compartments: int) -> tuple[Tensor, ...]:
    """Votes ``[n, K]``, output spikes ``[n, K, C]``, labels and silence of a fixed number of compartments."""
    seed, found = sampling.free_seed(model.facts.seed), []
    for rows in evaluate.shown(model.network, part, 32, compartments):
        ended = sampling.ended(
            model.network, model.params, rows, range(compartments), kernel=model.kernel, seed=seed,
            readouts=model.facts.readouts,
        )  # fmt: skip
        silent = (rows.came * rows.observed).sum(1) < model.facts.least_spikes
        found.append((*ended, rows.label, silent))
    return tuple(torch.cat(leaves) for leaves in zip(*found, strict=True))


def kept(model: Model, splits: Any, path: Path) -> dict[str, tuple[Tensor, ...]]:
    """The same of the validation and the test part, kept in a file."""
    if not path.exists():
        found = {part: ask_all(model, getattr(splits, part), MOST) for part in ("validation", "test")}
        leaves = {f"{part}_{n}": leaf.numpy() for part, each in found.items() for n, leaf in enumerate(each)}
        np.savez_compressed(path, **leaves)
    with np.load(path) as held:
        return {
            part: tuple(torch.from_numpy(held[f"{part}_{n}"]) for n in range(4))
            for part in ("validation", "test")
        }


def polled(all_asked: tuple[Tensor, ...], decoder: Any, how: int | tuple[mode.Rule, float]) -> Polled:
    """What a fixed number of compartments says, or as many as a rule and its risk ask for."""
    votes, spikes, labels, silent = all_asked
    classes = spikes.shape[2]
    if isinstance(how, int):
        asked, decided = torch.full_like(labels, how), ~silent
    else:
        looks = [numbers.stop for numbers in until.portions(classes, how[1], MOST, until.PORTION, how[0])]
        asked, decided = mode.stops(votes, classes, how[1], how[0], looks)
        asked, decided = asked.masked_fill(silent, looks[0]), decided & ~silent
    given = torch.arange(MOST) < asked[:, None]
    votes = votes.masked_fill(~given, -1)
    answers = until.answered(decoder, votes, (spikes * given[..., None]).sum(1), asked).silenced(silent)
    return Polled(decoder, answers, asked, decided, votes, labels, silent)


def winner(found: Polled) -> Tensor:
    """The class with most votes."""
    return torch.nn.functional.one_hot(found.votes + 1)[..., 1:].sum(1).argmax(1)


def tempered_by_number(test: Polled, held: Polled, one: float) -> Answers:
    """Answers at a temperature for each number of compartments that :data:`OWN` recordings or more were asked."""
    each = torch.full(test.asked.shape, one, dtype=torch.float64)
    for number in held.asked.unique().tolist():
        rows = held.asked == number
        if rows.sum() >= OWN:
            each[test.asked == number] = metrics.fitted_temperature(
                held.answers.logs[rows], held.labels[rows]
            )
    logs = torch.log_softmax(test.answers.logs / each[:, None], -1)
    return Answers(logs.exp(), logs)


def row_of(
    parts: dict[str, tuple[Tensor, ...]], decoder: str, how: int | tuple[mode.Rule, float]
) -> dict[str, Any]:
    """All numbers of one way to ask; temperatures are of the validation part, asked alike."""
    test, held = (polled(parts[part], decoder, how) for part in ("test", "validation"))
    one = metrics.fitted_temperature(held.answers.logs, held.labels)
    warm, by_number = test.answers.tempered(one), tempered_by_number(test, held, one)
    same = winner(test) == winner(polled(parts["test"], decoder, MOST))
    errors = measure.change_errors(polled(parts["test"], decoder, MOST).answers.tempered(
        metrics.fitted_temperature(polled(parts["validation"], decoder, MOST).answers.logs, held.labels)
    ), warm, test.labels)  # fmt: skip
    told = test.decided
    return {
        "way": f"fixed {how}" if isinstance(how, int) else f"{how[0]} {how[1]}",
        "asked": float(test.asked.double().mean()),
        "undecided": float((~told).double().mean()),
        "accuracy": metrics.accuracy(test.answers.probabilities, test.labels),
        "accuracy_told": metrics.accuracy(test.answers.probabilities[told], test.labels[told]) if told.any() else None,
        "nll": metrics.log_loss(test.answers.logs, test.labels),
        "nll_one": metrics.log_loss(warm.logs, test.labels),
        "nll_by_number": metrics.log_loss(by_number.logs, test.labels),
        "error_beside_most": {"accuracy": errors.accuracy, "nll": errors.nll},
        "same": float(same.double().mean()),
        "same_told": float(same[told].double().mean()) if told.any() else None,
    }  # fmt: skip


def seconds(model: Model, part: Any, all_asked: tuple[Tensor, ...]) -> dict[str, float]:
    """Seconds of the kernel by the way to ask, of some recordings; each way has its turn, the best turn counts."""
    some = part.select(np.arange(min(TIMED, len(part))))
    best: dict[str, float] = {}
    ways: list[int | tuple[mode.Rule, float]] = [*FIXED, *RULES]
    for turn in range(TIMES):
        for how in ways:
            timed = Timed(model.kernel)
            asking = dataclasses.replace(model, kernel=timed)  # type: ignore[arg-type]
            if isinstance(how, int):
                ask_all(asking, some, how)
                name = f"fixed {how}"
            else:
                found = asking.polled(some, how[1], MOST, rule=how[0])
                expected = polled(tuple(leaf[: len(some)] for leaf in all_asked), found.decoder, how)
                assert turn or torch.equal(found.votes, expected.votes)
                assert turn or torch.equal(found.answers.logs, expected.answers.logs)
                name = f"{how[0]} {how[1]}"
            best[name] = min(best.get(name, np.inf), timed.seconds)
    return best


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="*", default=["neurons", "touch", "digits"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--quick", action="store_true", help="few digits, to see that it works")
    given = parser.parse_args()
    if given.quick:
        given.sets, given.seeds = ["digits"], [0]
    given.out.mkdir(parents=True, exist_ok=True)
    summary: list[dict[str, Any]] = []
    for seed in given.seeds:
        for name in given.sets:
            splits = sets.load(name, given.root, quick=given.quick)
            model = model_of(name, splits, given.out, seed, quick=given.quick)
            parts = kept(model, splits, given.out / f"{name}-{seed}.npz")
            took = seconds(model, splits.test, parts["test"])
            for decoder in ("votes", "rates"):
                print(
                    f"\n{name}, seed {seed}, by {decoder} (its own: {model.facts.decoder}): {len(splits.test)} "
                    f"recordings of {splits.test.layout.classes} classes\n"
                    "| way | asked, mean | undecided | accuracy | .. where told | NLL | at T | at T by number "
                    "| winner of 50 | .. where told | seconds |\n|---|---|---|---|---|---|---|---|---|---|---|"
                )
                for how in (*FIXED, *RULES):
                    row = row_of(parts, decoder, how)
                    row |= {"seconds": took[row["way"]], "set": name, "seed": seed, "decoder": decoder}
                    summary.append(row)
                    told, same = (
                        "-" if row[key] is None else f"{row[key]:.3f}"
                        for key in ("accuracy_told", "same_told")
                    )
                    print(
                        f"| {row['way']} | {row['asked']:.1f} | {row['undecided']:.3f} | {row['accuracy']:.3f} "
                        f"| {told} | {row['nll']:.3f} | {row['nll_one']:.3f} | {row['nll_by_number']:.3f} "
                        f"| {row['same']:.3f} | {same} | {row['seconds']:.2f} |"
                    )
    (given.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
