"""Whether promises are kept on real recordings, and how long answers take: 200 divisions of each set's test part.

    python experiments/certificates/run.py --root FOLDER --out OUT [--sets neurons touch ..] [--seed 0]

FOLDER is that of ``gemsnn reproduce real``. A network learns each set by recipe ``best``; its answers to the test part,
which chose nothing, are divided at random, one half to fit limits on and the other to be asked. OUT/<set>.npz keeps the
answers, so that a second call only divides them again; OUT/summary.json has all numbers.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from gemsnn.reproduce.real import sets
from gemsnn.reproduce.real.sets import SETS
from gemsnn.runs.fitting import fit
from gemsnn.scoring import conformal, early
from gemsnn.types import first_observed

EARLIER: dict[str, dict[str, Any]] = {"neurons": {"warm_up": 0.5}}
"""Where the recipe waits longer than somebody would who wants early answers: the picture comes at half a recording."""

RISKS = (0.2, 0.1, 0.05, 0.01)
DIVISIONS = 200
CHECKPOINTS = (4, 10, 20)
AS_SPIKECP = {"risk": 0.2, "calibration": 100, "divisions": 50}
"""The setting of SpikeCP's experiments: 100 recordings to fit on, a risk of 0.2, 50 divisions."""


def answers(name: sets.SetName, root: Path | None, out: Path, seed: int, *, quick: bool) -> dict[str, Any]:
    """Probabilities ``[n, T, C]`` in the course of the test part's recordings, labels, and the first bin heard."""
    path = out / f"{name}.npz"
    if not path.exists():
        splits = sets.load(name, root, quick=quick)
        settings = {
            **SETS[name].best,
            **EARLIER.get(name, {}),
            **({"epochs": 1, "hidden": [8]} if quick else {}),
        }
        model = fit(splits, seed=seed, **settings)
        poll, temperature = model.poll(splits.test), model.temperature(20)
        assert temperature is not None
        shares = poll.by_time.tempered(temperature).probabilities.transpose(0, 1)
        begin = first_observed(model.network.spec.warm_up, splits.test.longest)
        np.savez(
            path, shares=shares.numpy(), labels=poll.labels.numpy(), begin=begin,
            bin_us=splits.test.layout.bin_us,
        )  # fmt: skip
    with np.load(path) as held:
        return {key: held[key] for key in held.files}


def scores_at(
    found: dict[str, Any], checkpoints: int, score: conformal.ScoreName
) -> tuple[Tensor, list[int]]:
    """Scores ``[n, N, C]`` at moments of equal distance from the first bin heard to the end, and these moments."""
    steps, begin = found["shares"].shape[1], int(found["begin"])
    at = np.unique(np.linspace(begin, steps, checkpoints + 1)[1:].round().astype(int))
    shares = torch.from_numpy(found["shares"][:, at - 1])
    drawn = torch.from_numpy(np.random.default_rng(1).random(len(shares)))
    return conformal.scores(score, shares, drawn[:, None].expand(shares.shape[:2])), at.tolist()


def coverage(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Sets at the end, for both scores and all risks: mean and spread over divisions, beside what theory says.

    Where half of the recordings are too few to fit a limit on, the fewest that are enough are taken.
    """
    labels, rows = torch.from_numpy(found["labels"]), []
    for score in ("lac", "aps"):
        scores = scores_at(found, 1, score)[0][:, -1]
        right = scores[torch.arange(len(labels)), labels]
        for risk in RISKS:
            half = max(len(labels) // 2, math.ceil(1 / risk) - 1)
            if half >= len(labels):
                continue
            covered, size = [], []
            for division in range(DIVISIONS):
                order = torch.from_numpy(np.random.default_rng(division).permutation(len(labels)))
                limit = conformal.limit(right[order[:half]], risk)
                inside = scores[order[half:]] <= limit
                covered.append(float((right[order[half:]] <= limit).double().mean()))
                size.append(float(inside.sum(1).double().mean()))
            law = conformal.coverage_law(half, risk, len(labels) - half)
            rows.append(
                {
                    "score": score, "target": 1 - risk, "coverage": float(np.mean(covered)),
                    "spread": float(np.std(covered)), "theory": [law.mean, law.deviation_of_tested],
                    "size": float(np.mean(size)), "fitted": half,
                }
            )  # fmt: skip
    return rows


def whims(right: Tensor, seed: int) -> dict[str, Tensor]:
    """When people stop who follow no rule: at the first moment, at any, and when the right class looks worst."""
    any_time = np.random.default_rng(seed).integers(0, right.shape[1], len(right))
    return {
        "at the first": torch.zeros(len(right), dtype=torch.int64),
        "at any": torch.from_numpy(any_time),
        "at the worst": right.argmax(1),
    }


def waiting(
    found: dict[str, Any], risk: float, calibration: int, divisions: int, checkpoints: int
) -> dict[str, Any]:
    """Misses and the moment of the answer by each rule, in bins, with the errors of both over divisions."""
    scores, at = scores_at(found, checkpoints, "lac")
    labels, bins = torch.from_numpy(found["labels"]), torch.tensor(at, dtype=torch.float64)
    everything = torch.arange(len(labels))
    right = scores[everything, :, labels]
    rows: dict[str, list[tuple[float, float]]] = {}

    def keep(rule: str, missed: Tensor, moment: Tensor) -> None:
        rows.setdefault(rule, []).append((float(missed.double().mean()), float(bins[moment].mean())))

    for division in range(divisions):
        order = torch.from_numpy(np.random.default_rng(division).permutation(len(labels)))
        mine, new = order[:calibration], order[calibration:]
        a, b = mine.tensor_split(2)
        ours, theirs = (early.levels(right[a], scores[part]) for part in (b, new))
        anyone = early.any_limit(ours[torch.arange(len(b)), :, labels[b]], risk)
        bonferroni = early.spikecp_limits(right[mine], risk)
        naive = torch.tensor([conformal.limit(now, risk) for now in right[mine].T.contiguous()])
        for rule, values, limit in (
            ("single", theirs, early.single_limit(ours, labels[b], risk)),
            ("any", theirs, anyone),
            ("spikecp", scores[new], bonferroni),
            ("no correction", scores[new], naive),
        ):
            stopped = early.stops(values, labels[new], limit)
            keep(rule, stopped.misses, stopped.checkpoint)
        mine_right = theirs[torch.arange(len(new)), :, labels[new]]
        for whim, moment in whims(mine_right, division).items():
            keep(f"any, stopped {whim}", mine_right[torch.arange(len(new)), moment] > anyone, moment)
    return {
        rule: {
            "missed": float(np.mean([each[0] for each in values])),
            "bins": float(np.mean([each[1] for each in values])),
            "missed_spread": float(np.std([each[0] for each in values])),
        }
        for rule, values in rows.items()
    }


def draw(summary: dict[str, Any], path: Path) -> None:
    """Coverage over divisions less what was promised, with its spread, beside the spread of theory."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, len(summary), sharey=True, squeeze=False)[0]
    for axes, (name, part) in zip(panels, summary.items(), strict=True):
        axes.axhline(0, color="0.6", linewidth=1)
        for score, shift, colour in (("lac", -0.12, "#0072b2"), ("aps", 0.12, "#d55e00")):
            rows = [row for row in part["coverage"] if row["score"] == score]
            at = np.array([RISKS.index(round(1 - row["target"], 9)) for row in rows])
            mean = np.array([row["coverage"] - row["target"] for row in rows])
            spread = np.array([row["spread"] for row in rows])
            theory = np.array([row["theory"][1] for row in rows])
            axes.bar(at + shift, 2 * theory, 0.2, mean - theory, color=colour, alpha=0.2, edgecolor="none")
            axes.errorbar(at + shift, mean, spread, fmt="o", color=colour, markersize=4, label=score)
        axes.set(title=f"{name}, {part['tested']}", xlabel="promised")
        axes.set_xticks(range(len(RISKS)), [f"{1 - risk:g}" for risk in RISKS])
    panels[0].set(ylabel="covered less promised")
    panels[-1].legend(frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="the folder that holds the sets")
    parser.add_argument("--sets", nargs="*", default=["neurons", "touch", "braille", "nmnist"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path, help="where to draw coverage")
    parser.add_argument("--quick", action="store_true", help="few digits, to see that it works")
    given = parser.parse_args()
    if given.quick:
        given.sets = ["digits"]
    given.out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, Any] = {}
    for name in given.sets:
        found = answers(name, given.root, given.out, given.seed, quick=given.quick)
        count = len(found["labels"])
        few = {"risk": 0.2, "calibration": count // 2, "divisions": 3} if given.quick else AS_SPIKECP
        summary[name] = {
            "tested": count,
            "bins": int(found["shares"].shape[1]),
            "begin": int(found["begin"]),
            "bin_us": int(found["bin_us"]),
            "coverage": coverage(found),
            "waiting": {str(n): waiting(found, checkpoints=n, **few) for n in CHECKPOINTS},
        }
        print(f"\n{name}: {count} recordings of the test part, {found['shares'].shape[1]} bins")
        print(
            "| score | target | coverage | spread | spread in theory | classes in a set |\n|---|---|---|---|---|---|"
        )
        for row in summary[name]["coverage"]:
            print(
                f"| {row['score']} | {row['target']:.2f} | {row['coverage']:.3f} | {row['spread']:.3f} | "
                f"{row['theory'][1]:.3f} | {row['size']:.2f} |"
            )
        print("\n| checkpoints | rule | missed | answered after, bins |\n|---|---|---|---|")
        for n, rules in summary[name]["waiting"].items():
            for rule, row in rules.items():
                print(f"| {n} | {rule} | {row['missed']:.3f} | {row['bins']:.1f} |")
    (given.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    if given.figure:
        draw(summary, given.figure)


if __name__ == "__main__":
    main()
