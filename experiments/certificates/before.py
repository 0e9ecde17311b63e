"""What is said before there is anything to tell: entropy in the course of a recording, on the neurons.

    python experiments/certificates/before.py --root FOLDER --out OUT [--seeds 3] [--figure FILE.png]

Pictures are shown to the neurons in the middle of a recording. A network learns by recipe ``best``, with a warm-up of a
quarter, and so is asked for a quarter of a recording before there is a picture: an honest answer then is the same
probability for each of the 7. Its answers to the test part are scored bin by bin as they are, at the run's temperature,
and at the temperatures by elapsed time of a certificate; both were fitted on the validation part.
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

from gemsnn.reproduce.real import sets
from gemsnn.reproduce.real.sets import SETS
from gemsnn.runs import certificate
from gemsnn.runs.fitting import fit
from gemsnn.scoring.answers import Answers
from gemsnn.scoring.metrics import log_loss
from gemsnn.scoring.promise import Asked, Certificate

WARM_UP, PICTURE = 0.25, 0.5
"""When a network is first asked, and when the picture comes, as shares of a recording."""

WAYS = ("as it is", "at the run's temperature", "at temperatures by elapsed time")


def at_elapsed(promise: Certificate, by_time: Answers) -> Answers:
    """Answers ``[T, n, C]``, each at the temperature of the last checkpoint by then, or of the first."""
    passed = [sum(at <= t + 1 for at in promise.checkpoints) for t in range(len(by_time.logs))]
    warm = [by_time.at(t).tempered(promise.temperatures[max(0, p - 1)]) for t, p in enumerate(passed)]
    return Answers(
        torch.stack([each.probabilities for each in warm]), torch.stack([each.logs for each in warm])
    )


def one(seed: int, root: Path | None, *, quick: bool) -> dict[str, Any]:
    """Entropy and NLL of each way by bin, and the accuracy at the end."""
    name: sets.SetName = "digits" if quick else "neurons"
    splits = sets.load(name, root, quick=quick)
    short = {"epochs": 1, "hidden": [8]} if quick else {}
    model = fit(splits, seed=seed, **{**SETS[name].best, "warm_up": WARM_UP, **short})
    promise = certificate.certified(model, splits.validation, Asked(0.4, checkpoints=60))
    poll, temperature = model.poll(splits.test), model.temperature(20)
    assert temperature is not None
    ways = (poll.by_time, poll.by_time.tempered(temperature), at_elapsed(promise, poll.by_time))
    return {
        "begin": promise.begin,
        "classes": splits.test.layout.classes,
        "accuracy": float((poll.answers.probabilities.argmax(1) == poll.labels).double().mean()),
        "entropy": {
            way: torch.special.entr(found.probabilities).sum(2).mean(1).tolist()
            for way, found in zip(WAYS, ways, strict=True)
        },
        "nll": {
            way: [log_loss(logs, poll.labels) for logs in found.logs]
            for way, found in zip(WAYS, ways, strict=True)
        },
    }  # fmt: skip


def told(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds: of the bins before the picture that count, and of the last bin."""
    steps, begin = len(parts[0]["entropy"][WAYS[0]]), parts[0]["begin"]
    picture, rows = round(PICTURE * steps), {}
    for way in WAYS:
        for score in ("entropy", "nll"):
            before = [float(np.mean(part[score][way][begin:picture])) for part in parts]
            after = [part[score][way][-1] for part in parts]
            rows[f"{way}, {score}"] = {"before": _mean(before), "end": _mean(after)}
    accuracy = [part["accuracy"] for part in parts]
    return {"even": math.log(parts[0]["classes"]), "accuracy": accuracy, "rows": rows}


def _mean(values: list[float]) -> list[float | None]:
    """The mean and its standard error, where there are several."""
    error = float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
    return [float(np.mean(values)), error]


def draw(parts: list[dict[str, Any]], path: Path) -> None:
    """Entropy against elapsed bins, mean over seeds, beside that of knowing nothing."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    steps = len(parts[0]["entropy"][WAYS[0]])
    axes.axhline(math.log(parts[0]["classes"]), color="0.5", linestyle="--", label="knowing nothing")
    axes.axvline(round(PICTURE * steps), color="0.7", linewidth=1)
    axes.annotate(
        "the picture comes", (round(PICTURE * steps), 1.25), xytext=(4, 0), textcoords="offset points"
    )
    for way, colour in zip(WAYS, ("#d55e00", "#0072b2", "#009e73"), strict=True):
        mean = np.mean([part["entropy"][way] for part in parts], 0)[parts[0]["begin"] :]
        axes.plot(np.arange(steps - len(mean), steps) + 1, mean, color=colour, label=way)
    axes.set(xlabel="bins since the recording began", ylabel="mean entropy, nats", ylim=(0, None))
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(path, dpi=120)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="the folder that holds the sets")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--quick", action="store_true", help="few digits, to see that it works")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    parts = []
    for seed in range(1 if given.quick else given.seeds):
        path = given.out / f"before-{seed}.json"
        if not path.exists():
            path.write_text(json.dumps(one(seed, given.root, quick=given.quick)))
        parts.append(json.loads(path.read_text()))
    found = told(parts)
    (given.out / "before.json").write_text(json.dumps(found, indent=1) + "\n")
    if given.figure:
        draw(parts, given.figure)
    print(f"even answers: {found['even']:.3f} nats; accuracy at the end {np.mean(found['accuracy']):.3f}")
    print("| answers | before the picture | at the end |\n|---|---|---|")
    for name, row in found["rows"].items():
        cells = [f"{mean:.3f}" + ("" if error is None else f" ± {error:.3f}") for mean, error in row.values()]
        print(f"| {name} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
