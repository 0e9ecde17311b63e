"""What a network says of scribbles, beside what it says of test recordings; kept for the report.

It is asked where a scribble can be shown to the camera that its own recordings come from: of emulated images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gemsnn.data.scribbles import emulated_scribbles
from gemsnn.rng import derive
from gemsnn.runs import console
from gemsnn.runs.models import Model
from gemsnn.scoring import unknown
from gemsnn.scoring.evaluate import Poll
from gemsnn.store.records import RunFolder
from gemsnn.types import Progress

NAME = "unknown.safetensors"
DRAWN_BY_US = ("digits", "images")
"""The data sets whose recordings are emulated."""

MOST = 200
"""Scribbles, and test recordings beside them."""

PICTURES = 6
"""Scribbles that are kept as pictures."""


def save_scribbles(run: RunFolder, model: Model, test: Poll, progress: Progress | None = console.bar) -> None:
    """Ask about as many scribbles as there are test recordings, at most :data:`MOST`, and keep the confidences.

    Confidence is the highest class probability as the network answers, without a temperature. Kept are, float64: those
    of the test recordings ``known [n]`` and of the scribbles ``unknown [m]`` by all compartments, and by the first one
    alone; and of some scribbles, from the most to the least confident, the events ``pictures [p, M]``, answers (-1
    where it gave none) and confidences. Of recordings that are not emulated nothing is kept, and what was goes away.
    """
    data = model.settings.data
    if data.data not in DRAWN_BY_US:
        (run.path / NAME).unlink(missing_ok=True)
        return
    count, votes = min(len(test.labels), MOST), test.votes.shape[1]
    drawn = emulated_scribbles(count, data.bins, model.reading.layout.classes, progress=progress)
    seed = derive(model.facts.seed, "scribbles")  # their numbers are those of digits, their noise is not
    asked = model.poll(drawn, votes, seed=seed, progress=progress)
    ours, theirs = confidences(test)[:, :count], confidences(asked)
    order = theirs[-1].argsort(descending=True, stable=True)
    shown = order[torch.linspace(0, count - 1, min(PICTURES, count)).round().long()]
    pictures = torch.stack([torch.from_numpy(drawn.bins(i)).long().sum(0) for i in shown.tolist()])
    tensors = {
        "known": ours[-1],
        "unknown": theirs[-1],
        "known_alone": ours[0],
        "unknown_alone": theirs[0],
        "pictures": pictures.clamp(max=2**16 - 1).to(torch.uint16),
        "answers": asked.answers.probabilities.argmax(1).masked_fill(asked.silent, -1)[shown],
        "confidence": theirs[-1][shown],
    }
    areas = {"together": unknown.auroc(ours[-1], theirs[-1]), "alone": unknown.auroc(ours[0], theirs[0])}
    facts = {
        f"{name}_{part}": str(value) for name, area in areas.items() for part, value in area._asdict().items()
    }
    run.save_tensors(
        NAME, tensors, {"compartments": str(votes), "silent": str(int(asked.silent.sum())), **facts}
    )


def confidences(poll: Poll) -> Tensor:
    """The highest class probability by the first 1, 2, .. K compartments, float64 ``[K, n]``."""
    return poll.by_compartments.probabilities.amax(-1)
