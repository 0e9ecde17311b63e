"""One run beside another: the answers that each keeps, and the other's scores in the folder of the one.

Both were asked about the same recordings, so what differs between them is judged by errors of paired differences.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.model import logspace
from gemsnn.report.reading import BESIDE
from gemsnn.runs import config
from gemsnn.runs.models import Scored
from gemsnn.scoring import measure
from gemsnn.scoring.answers import Answers
from gemsnn.scoring.scores import Scores, plain
from gemsnn.store.records import RunFolder
from gemsnn.types import AnyPath

NAME = "answers.safetensors"

SCORES = (
    "presentations", "compartments", "classes", "decoder", "accuracy", "ece", "nll", "log_likelihood", "errors",
    "by_compartments", "alone", "reliability",
)  # fmt: skip
"""What is kept of the other run's scores."""


def save_answers(run: RunFolder, test: SpikeSet, found: Scored) -> None:
    """Keep the answers of all compartments to the test part: ``probabilities`` and ``logs`` ``[n, C]``, ``labels``.

    With them come the log-likelihoods of the targets, ``likelihood [n]``, and the recordings' own numbers, ``address``.
    """
    tensors = found.poll.answers._asdict() | {
        "labels": found.poll.labels,
        "address": torch.from_numpy(test.address),
        "likelihood": logspace.log_mean_exp(found.log_weights, 1).double(),
    }
    run.save_tensors(NAME, tensors, {"decoder": found.poll.decoder})


def keep(run: AnyPath, other: AnyPath) -> None:
    """Keep the scores of ``other`` in the folder of ``run``, in place of what was kept before.

    Raises:
        InputError: one of them is no run folder or has no final evaluation, or they were not asked about the same
            recordings in the same way, so that their numbers do not compare.
    """
    ours, theirs = RunFolder.open(run), RunFolder.open(other)
    mine, its = _scores(ours), _scores(theirs)
    for what in ("split", "compartments", "decoder", "classes"):
        have, found = getattr(mine, what), getattr(its, what)
        if have != found:
            raise InputError(
                f"{other} cannot stand beside {run}: its {what} is {found!r}, not {have!r}; give a run that answers "
                "the same recordings alike"
            )
    said, asked = _answers(ours), _answers(theirs)
    if any(not torch.equal(said[name], asked[name]) for name in ("address", "labels")):
        raise InputError(f"{other} cannot stand beside {run}: they were asked about other recordings")
    before, after = (Answers(each["probabilities"], each["logs"]) for each in (asked, said))
    change = plain(measure.change_errors(before, after, said["labels"]))
    differing = said["likelihood"] - asked["likelihood"]
    if len(differing) > 1:
        change["log_likelihood"] = float(differing.std() / math.sqrt(len(differing)))
    scores = its.to_json()
    kept: dict[str, Any] = {
        "name": theirs.path.resolve().name,
        "compartments": config.load_run(theirs.path / "config.toml").train.compartments,
        "scores": {key: scores[key] for key in SCORES if key in scores},
        "change": change,
    }
    ours.write_json(BESIDE, kept)


def _scores(run: RunFolder) -> Scores:
    if not (run.path / "metrics.json").is_file() or not (run.path / NAME).is_file():
        raise InputError(f"{run.path} keeps no final answers to compare; train it anew, to its end")
    return Scores.from_json(run.read_json("metrics.json"), str(run.path / "metrics.json"))


def _answers(run: RunFolder) -> dict[str, Tensor]:
    found = run.load_tensors(NAME)
    shape = found.get("probabilities", torch.empty(0)).shape
    wanted = {
        "probabilities": shape,
        "logs": shape,
        "labels": shape[:1],
        "address": shape[:1],
        "likelihood": shape[:1],
    }
    if len(shape) != 2 or any(
        name not in found or found[name].shape != size for name, size in wanted.items()
    ):
        raise InputError(f"{run.path / NAME} holds no answers; train again")
    return found
