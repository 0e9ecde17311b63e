"""How well scores tell the recordings that a network knows from others: AUROC, by kind of recording and by score.

    python experiments/unknown-inputs/areas.py --root FOLDER --out OUT [--sets digits nmnist cards] [--seeds 3]

FOLDER is that of ``gemsnn reproduce real``. A network of the recipe ``best`` learns a set (digits and N-MNIST in ten
epochs, nothing moved), and is shown the test part and other recordings, most of which are made of the test part. The
same is done by one that has not seen the last two digits. The answers are those by rates.

Every finished training is some lines of OUT/areas.jsonl, and one that stands there is not repeated; OUT/areas.json has
means over seeds, and what is flagged at a risk of 0.05.
OUT/<set>, <case>, <seed>.npz holds the scores themselves: their ``names [S]``; of the parts ``validation``, ``test``
and ``shifted``, each ``[S, n]``; and which recordings of the latter two were answered right, ``right_test`` and
``right_shifted``, bool ``[n]``.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from run import as_pixels, changed, changes
from torch import Tensor

from gemsnn import rng
from gemsnn.data.datasets import DataSpec
from gemsnn.data.scribbles import emulated_scribbles
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.model.network import Network
from gemsnn.reproduce import jobs
from gemsnn.reproduce.real import sets
from gemsnn.reproduce.real.sets import SETS, SetName
from gemsnn.runs.fitting import fit
from gemsnn.runs.models import Model
from gemsnn.scoring import conformal, familiar, metrics, strange, unknown
from gemsnn.scoring.evaluate import Poll
from gemsnn.scoring.familiar import Familiar
from gemsnn.types import Layout

SHORT = {"shift": 0, "rotate": 0, "zoom": 0, "lr": 0.001, "epochs": 10}
LEARNED: dict[SetName, dict[str, Any]] = {"digits": SHORT, "nmnist": SHORT, "cards": dict(SETS["cards"].best)}
"""The sets, and what differs from recipe ``best`` on them."""

KNOWN = 8
"""Digits of ten that a network learns which is asked about the others."""

RISK = 0.05
"""How often a recording like those of training may be told to be strange."""


class Case(NamedTuple):
    """Recordings that are asked about, the seed of the noise, and whether their labels still mean something."""

    recordings: SpikeSet
    seed: int
    labelled: bool


def _without(spikes: NDArray[np.uint8], layout: Layout, place: Any) -> NDArray[np.uint8]:
    out = spikes.copy()
    as_pixels(out, layout)[place] = 0
    return out


def cases(name: SetName, test: SpikeSet, seed: int) -> dict[str, Case]:
    """What is shown to a network that has learned all classes of a set."""
    layout, usual = test.layout, changes(test.layout, seed=0)
    middle = layout.width // 2
    made = {
        "shuffled pixels": usual["shuffled pixels"],
        "noise at their rate": usual["noise at the rate of digits"],
        "a dead column": lambda spikes, _: _without(spikes, layout, np.s_[:, middle]),
        "five dead columns": lambda spikes, _: _without(spikes, layout, np.s_[:, middle - 2 : middle + 3]),
        "no ON events": lambda spikes, _: _without(spikes, layout, np.s_[..., 1]),
    }
    alike = {"a dead column", "five dead columns", "no ON events"}
    found = {what: Case(changed(test, made[what]), seed, what in alike) for what in made}
    if name == "cards":  # diamonds stay what they are
        assert test.names is not None
        others = test.select(np.flatnonzero(test.labels != test.names.index("di")))
        turned = changed(others, lambda s, _: as_pixels(s, layout)[:, ::-1, ::-1].reshape(s.shape))
        return {"upside down": Case(turned, seed, labelled=False), **found}
    found = {"upside down": Case(changed(test, usual["upside down"]), seed, labelled=False), **found}
    if name == "digits":
        drawn = emulated_scribbles(len(test), DataSpec(data="digits").bins, layout.classes)
        # their numbers are those of digits, their noise is not
        found = {"scribbles": Case(drawn, rng.derive(seed, "scribbles"), labelled=False), **found}
    return found


def of_classes(part: SpikeSet, *, known: bool) -> SpikeSet:
    """The recordings of the first classes with their labels, or those of the others, whose labels mean nothing."""
    chosen = part.select(np.flatnonzero((part.labels < KNOWN) == known))
    labels = chosen.labels if known else 0 * chosen.labels
    rows = [chosen.recording(i) for i in range(len(chosen))]
    layout = part.layout._replace(classes=KNOWN)
    made = SpikeSet.from_bins(rows, labels.tolist(), layout, counts=part.counts)
    return replace(made, address=chosen.address)


def scores(poll: Poll, part: SpikeSet, network: Network, known: Familiar, usual: float) -> dict[str, Tensor]:
    """Every score, ``[n]``, of a poll of recordings by rates."""
    assert known.hidden is not None
    assert known.inputs is not None
    probabilities = poll.answers.probabilities
    parts = strange.entropy(*strange.alone("rates", poll))
    votes = strange.entropy(*strange.alone("votes", poll))
    return {
        "1 - max": 1 - probabilities.amax(1),
        "entropy": torch.special.entr(probabilities).sum(1),
        "noise": parts.noise,
        "disagreement": parts.disagreement,
        "of votes": votes.disagreement,
        "surprise": known.hidden.surprise(poll.hidden),
        "distance": known.hidden.distance(poll.hidden),
        "inputs": known.surprises(network, part, poll.hidden).inputs,
        "events": strange.unusual_number(poll.came, usual),
    }


class Told(NamedTuple):
    """A poll, its scores, and which of the recordings were answered right, bool ``[n]``."""

    poll: Poll
    scores: dict[str, Tensor]
    right: Tensor


def asked(
    model: Model, splits: Splits, others: dict[str, Case], seed: int, votes: int
) -> dict[str, tuple[Told, Told, Told]]:
    """Validation, test and other recordings, by case."""
    learned = model.poll(splits.train, votes, decoder="rates")
    known = familiar.familiar(model.network, splits.train, learned.hidden, learned.labels)
    usual = strange.usual_number(learned.came)

    def told(part: SpikeSet, of_noise: int = seed) -> Told:
        poll = model.poll(part, votes, decoder="rates", seed=of_noise)
        right = poll.answers.probabilities.argmax(1).eq(poll.labels) & ~poll.silent
        return Told(poll, scores(poll, part, model.network, known, usual), right)

    held, test = told(splits.validation), told(splits.test)
    return {what: (held, test, told(case.recordings, case.seed)) for what, case in others.items()}


def row(test: Told, shifted: Told, labelled: bool) -> dict[str, Any]:
    """The numbers of a case; by score, the area and its error in this draw."""
    found: dict[str, Any] = {
        "test": len(test.right),
        "shifted": len(shifted.right),
        "silent": float(shifted.poll.silent.double().mean()),
        "accuracy": metrics.accuracy(test.poll.answers.probabilities, test.poll.labels),
    }
    if labelled:
        found["accuracy shifted"] = metrics.accuracy(shifted.poll.answers.probabilities, shifted.poll.labels)
    for name, ours in test.scores.items():
        theirs = shifted.scores[name]
        area = unknown.auroc(-ours, -theirs)
        found[name] = {"area": area.area, "error": area.error}
    return found


def keep(file: Path, held: Told, test: Told, shifted: Told) -> None:
    """Write the scores of a case, see the module."""
    every = [torch.stack(list(each.scores.values())).numpy() for each in (held, test, shifted)]
    names = np.array(list(held.scores))
    np.savez_compressed(
        file, names=names, validation=every[0], test=every[1], shifted=every[2],
        right_test=test.right.numpy(), right_shifted=shifted.right.numpy(),
    )  # fmt: skip


def flagged(file: Path) -> dict[str, dict[str, float]]:
    """The shares of test and of other recordings with a p-value of at most :data:`RISK`, by score.

    ``either`` is the smaller p-value of entropy and surprise, doubled, as two chances to be wrong are to be paid for.
    There are none where validation recordings are so few that no p-value is as small.
    """
    with np.load(file) as kept:
        names = kept["names"].tolist()
        held, *asked = (torch.from_numpy(kept[part]) for part in ("validation", "test", "shifted"))
    if RISK * (held.shape[1] + 1) < 1:
        return {}
    found: dict[str, dict[str, float]] = {name: {} for name in (*names, "either")}
    for part, values in zip(("test", "shifted"), asked, strict=True):
        p = {name: conformal.p_values(held[i], values[i]) for i, name in enumerate(names)}
        p["either"] = 2 * torch.minimum(p["entropy"], p["surprise"])
        for name, each in p.items():
            found[name][part] = float((each <= RISK).double().mean())
    return found


def place(out: Path, row: dict[str, Any]) -> Path:
    """Where the scores of a case lie."""
    return out / f"{row['set']}, {row['case']}, {row['seed']}.npz"


def material(
    name: SetName, seed: int, root: Path | None, *, new: bool, quick: bool
) -> tuple[Splits, dict[str, Case]]:
    """What is learned and what is shown; with ``new``, some classes and the others."""
    splits = sets.load(name, root, quick=quick)
    if not new:
        return splits, cases(name, splits.test, seed)
    others = {"new classes": Case(of_classes(splits.test, known=False), seed, labelled=False)}
    train, validation, test = (of_classes(part, known=True) for part in splits.parts.values())
    return Splits(train, validation, test), others


def one(
    name: SetName, seed: int, root: Path | None, out: Path, *, new: bool, quick: bool
) -> list[dict[str, Any]]:
    """One training, asked about every case."""
    splits, shown = material(name, seed, root, new=new, quick=quick)
    settings = {**LEARNED[name], **({"epochs": 1, "hidden": [8]} if quick else {})}
    model = fit(splits, seed=seed, **settings)
    rows = []
    for what, told in asked(model, splits, shown, seed, 5 if quick else 20).items():
        rows.append({"set": name, "case": what, "seed": seed, "decoder": model.facts.decoder})
        keep(place(out, rows[-1]), *told)
        rows[-1].update(row(*told[1:], shown[what].labelled))
    return rows


def mean(values: list[float]) -> jobs.Mean:
    """Mean and standard error, with as many digits as a page may want."""
    return {key: None if value is None else round(value, 4) for key, value in jobs.mean(values).items()}


def summary(rows: list[dict[str, Any]], out: Path) -> list[dict[str, Any]]:
    """Means over seeds of each set and case: areas with the mean of their own errors, and what is flagged."""
    found = []
    for name, what in dict.fromkeys((row["set"], row["case"]) for row in rows):
        mine = [row for row in rows if (row["set"], row["case"]) == (name, what)]
        means: dict[str, Any] = {"set": name, "case": what, "seeds": len(mine)}
        flags = [flagged(place(out, row)) for row in mine]
        means |= {key: mine[0][key] for key in ("test", "shifted")}
        means |= {
            key: mean([row[key] for row in mine])
            for key in ("silent", "accuracy", "accuracy shifted")
            if key in mine[0]
        }
        means["areas"] = {
            key: {
                **mean([row[key]["area"] for row in mine]),
                "of a draw": mean([row[key]["error"] for row in mine])["mean"],
            }
            for key, value in mine[0].items()
            if isinstance(value, dict)
        }
        means["flagged"] = {
            key: {part: mean([flag[key][part] for flag in flags]) for part in ("test", "shifted")}
            for key in flags[0]
        }
        found.append(means)
    return found


def _page(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def tables(found: list[dict[str, Any]]) -> str:
    """For a page: the accuracy of test recordings, and of others whose labels mean something, and areas; flags."""
    areas, flags, scores = [], [], list(found[0]["areas"])
    by = ("1 - max", "entropy", "surprise", "inputs", "events", "either")
    for row in found:
        both = [jobs.cell(row[key], 3) for key in ("accuracy", "accuracy shifted") if key in row]
        own = [f"{row['set']}, {row['case']}"]
        areas.append([*own, ", ".join(both), *(jobs.cell(row["areas"][name], 3) for name in scores)])
        if row["flagged"]:
            cells = (
                [jobs.cell(row["flagged"][name][part], 2) for part in ("test", "shifted")] for name in by
            )
            flags.append([*own, *(", ".join(pair) for pair in cells)])
    return "\n\n".join([_page(["shown", "accuracy", *scores], areas), _page(["shown", *by], flags)])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(LEARNED), choices=list(LEARNED))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    wanted: list[SetName] = ["digits"] if arguments.quick else arguments.sets
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "areas.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    done = {(row["set"], row["seed"], row["case"] == "new classes") for row in rows}
    for seed in range(1 if arguments.quick else arguments.seeds):
        for name in wanted:
            for new in (False, True) if name != "cards" else (False,):
                if (name, seed, new) in done:
                    continue
                found = one(name, seed, arguments.root, arguments.out, new=new, quick=arguments.quick)
                with file.open("a") as lines:
                    lines.writelines(json.dumps(each) + "\n" for each in found)
                rows += found
                print(f"{name}, seed {seed}, {', '.join(each['case'] for each in found)}", flush=True)
    rows.sort(key=lambda row: list(LEARNED).index(row["set"]))
    means = summary(rows, arguments.out)
    (arguments.out / "areas.json").write_text(json.dumps(means) + "\n")
    print(tables(means))
    return 0


if __name__ == "__main__":
    sys.exit(main())
