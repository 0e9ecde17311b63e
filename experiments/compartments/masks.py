"""Ten compartments that differ in more than spikes, beside one: masks of inputs and hidden neurons, and networks apart.

    python experiments/compartments/masks.py --out FOLDER --root SETS [--sets neurons ..] [--only ARM ..] [--seeds 3]

SETS is the folder of ``gemsnn reproduce real``. The network is that of recipe ``best`` without feedback, in torch: the
rule ``one-hop`` treats a hidden spike as its probability where it passes errors back, so that autograd has the rule's
direction (:mod:`gemsnn.rules.credit`), and a mask is a product. A mask leaves out each input and each hidden neuron
with probability 0.3, anew for every presentation and compartment, and what stays counts 1 / 0.7 times.

Arms differ in who teaches: one compartment; ten by the mean of their log-probabilities, or by that of the stepwise
mixture, ``sum_t log mean_k p(x_t | u[k, t])``; with masks or without; and, as a bound on what compartments with weights
of their own could bring, four networks that are trained apart and answer together. All see equally many presentations.
Twenty compartments answer, at the epoch, by the decoder (mixture or pooled) and with or without masks as the validation
part has the lowest NLL. Every finished run is one line of OUT/results.jsonl, and is not repeated.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gemsnn.data.spikeset import SpikeSet
from gemsnn.model.basis import raised_cosine
from gemsnn.reproduce import jobs
from gemsnn.reproduce.real import sets
from gemsnn.reproduce.real.sets import SetName
from gemsnn.scoring import metrics

sys.path.insert(0, str(Path(__file__).parents[1]))
import real_grid

ANSWER = 20
DROPPED = 0.3
HIDDEN, BATCH, STEP = 256, 16, 0.001
TABLE_COLUMNS = ("accuracy", "nll", "ece", "seconds")


class Arm(NamedTuple):
    """Who teaches."""

    compartments: int = 1
    by: str = "step"
    dropped: float = 0.0
    apart: int = 1


ARMS = {
    "one": Arm(),
    "ten, mean": Arm(10, "mean"),
    "ten, step": Arm(10),
    "one, masks": Arm(1, dropped=DROPPED),
    "ten, masks, mean": Arm(10, "mean", DROPPED),
    "ten, masks, step": Arm(10, dropped=DROPPED),
    "four apart": Arm(apart=4),
}


class How(NamedTuple):
    """What recipe ``best`` has for a set, but for dead inputs; memories in bins."""

    memory: int = 10
    filters: int = 4
    readout_memory: int = 10
    readout_filters: int = 4
    warm_up: float = 0.5
    epochs: int = 10
    offset: float = 1.0


HOW: dict[SetName, How] = {
    "neurons": How(warm_up=0.75),
    "objects": How(),
    "touch": How(50, 10, 10, 4, 0.75, 60, 1e4),
    "braille": How(40, 10, 10, 4, 0.5, 100, 1e4),
    "digits": How(),
}


class Part(NamedTuple):
    """Recordings, dense: spikes uint8 ``[R, T, M]``, labels ``[R]``, and whether a step is observed, ``[R, T]``."""

    spikes: Tensor
    label: Tensor
    observed: Tensor


def dense(recordings: SpikeSet, how: How, longest: int) -> Part:
    rows = [recordings[i] for i in range(len(recordings))]
    spikes = torch.zeros(len(rows), longest, recordings.layout.inputs, dtype=torch.uint8)
    length = torch.tensor([len(row.target) for row in rows])
    for place, row in zip(spikes, rows, strict=True):
        place[: len(row.target)] = row.spikes
    step = torch.arange(longest)
    observed = (step >= how.warm_up * length[:, None]) & (step < length[:, None])
    return Part(spikes, torch.tensor([row.label for row in rows]), observed.float())


class Net:
    """Inputs, one hidden layer of independent neurons, and a winner-take-all readout."""

    def __init__(self, inputs: int, hidden: int, classes: int, steps: int, how: How, seed: int) -> None:
        """Weights as :func:`gemsnn.model.network.init` has them, of another generator."""
        random = torch.Generator().manual_seed(seed)
        self.hear = filters(how.filters, how.memory, steps, how.offset)
        self.read = filters(how.readout_filters, how.readout_memory, steps, how.offset)
        into, out = inputs * how.filters, hidden * how.readout_filters
        self.leaves = [
            torch.randn(into, hidden, generator=random) / into**0.5,
            torch.full((hidden,), math.log(1 / 9)),
            torch.randn(hidden, how.readout_filters * classes, generator=random) / out**0.5,
            torch.zeros(classes),
        ]
        for leaf in self.leaves:
            leaf.requires_grad_()

    def __call__(self, spikes: Tensor, compartments: int, dropped: float, random: torch.Generator) -> Tensor:
        """``log p(x_c | u)`` of each class's target, ``[B, K, T, C]``, from spikes ``[B, T, M]``."""
        weight, bias, readout, odds = self.leaves
        (rows, steps, inputs), hidden = spikes.shape, len(bias)
        traces = torch.einsum("lts,bsm->btml", self.hear, spikes.float())[:, None]
        if dropped:
            traces = traces * mask((rows, compartments, 1, inputs, 1), dropped, random)
        potential = traces.flatten(3) @ weight + bias
        probability = torch.sigmoid(potential).expand(rows, compartments, steps, hidden)
        drawn = (torch.rand(probability.shape, generator=random) < probability).float()
        heard = drawn + probability - probability.detach()
        if dropped:
            heard = heard * mask((rows, compartments, 1, hidden), dropped, random)
        each = (heard @ readout).unflatten(-1, (len(self.read), -1))
        out = torch.einsum("lts,bkslc->bktc", self.read, each) + odds
        silence = torch.zeros_like(out[..., :1])
        return out - torch.logsumexp(torch.cat([out, silence], -1), -1, keepdim=True)


def filters(count: int, memory: int, steps: int, offset: float) -> Tensor:
    """``f_l(t - s)``, ``[L, T, T]``."""
    taps = raised_cosine(count, memory, offset).float()
    found = torch.zeros(count, steps, steps)
    for lag in range(1, min(memory, steps - 1) + 1):
        found[:, range(lag, steps), range(steps - lag)] = taps[:, lag - 1 : lag]
    return found


def mask(shape: tuple[int, ...], dropped: float, random: torch.Generator) -> Tensor:
    return (torch.rand(shape, generator=random) >= dropped).float() / (1 - dropped)


def log_mixture(log_probs: Tensor) -> Tensor:
    """``log (1/K) sum_k exp l^k`` of ``[B, K, ..]``."""
    return torch.logsumexp(log_probs, 1) - math.log(log_probs.shape[1])


def bound(log_probs: Tensor, part: Part, by: str) -> Tensor:
    """What is climbed, of each presentation, ``[B]`` nats."""
    own = part.label[:, None, None, None].expand(*log_probs.shape[:-1], 1)
    said = log_probs.gather(-1, own)[..., 0]
    return ((said.mean(1) if by == "mean" else log_mixture(said)) * part.observed).sum(1)


def evidence(nets: list[Net], part: Part, arm: Arm, random: torch.Generator, *, masked: bool) -> Tensor:
    """The mixture's evidence for each class over the observed steps, ``[R, C]`` nats."""
    found, share = [], ANSWER // len(nets)
    for first in range(0, len(part.label), BATCH):
        rows = Part(*(leaf[first : first + BATCH] for leaf in part))
        with torch.no_grad():
            each = [net(rows.spikes, share, arm.dropped * masked, random) for net in nets]
        found.append((log_mixture(torch.cat(each, 1)) * rows.observed[..., None]).sum(1))
    return torch.cat(found)


def scores(told: Tensor, part: Part, most: int | None) -> dict[str, float]:
    """Of answers by evidence, where at most so many steps count each for itself."""
    log_probs = torch.log_softmax(told / part.observed.sum(1).clamp(1, most)[:, None], -1)
    nll = -log_probs.gather(1, part.label[:, None]).mean()
    right = (log_probs.argmax(1) == part.label).double().mean()
    ece = metrics.expected_calibration_error(log_probs.exp().double(), part.label)
    return {"accuracy": float(right), "nll": float(nll), "ece": ece}


class Known(NamedTuple):
    """The best epoch so far of a training: its validation scores, how it answers, and its weights."""

    validation: dict[str, float]
    decoder: str
    masked: bool
    epoch: int
    leaves: list[list[Tensor]]


def one(parts: list[Part], arm: Arm, seed: int, how: How, *, hidden: int) -> dict[str, Any]:
    """One training, or several apart, and the scores of its best epoch."""
    learned, validation, test = parts
    steps, inputs = learned.spikes.shape[1:]
    classes = int(learned.label.max()) + 1
    nets = [
        Net(inputs, hidden, classes, steps, how, seed * arm.apart + number) for number in range(arm.apart)
    ]
    random, answers = (torch.Generator().manual_seed(seed + use * 2**20) for use in (1, 2))
    optimisers = [torch.optim.Adam(net.leaves, STEP) for net in nets]
    decoders = {"mixture": max(how.memory, how.readout_memory), "pooled": None}
    per_epoch, best, seconds = -(-len(learned.label) // BATCH), None, 0.0
    for epoch in range(how.epochs):
        began = time.perf_counter()
        order = torch.randperm(len(learned.label), generator=random)
        for number, chosen in enumerate(order.split(BATCH)):
            done = (epoch * per_epoch + number) / (how.epochs * per_epoch)
            rows = Part(*(leaf[chosen] for leaf in learned))
            for net, optimiser in zip(nets, optimisers, strict=True):
                optimiser.param_groups[0]["lr"] = STEP * (1 + math.cos(math.pi * done)) / 2
                optimiser.zero_grad()
                said = net(rows.spikes, arm.compartments, arm.dropped, random)
                (-bound(said, rows, arm.by).mean()).backward()
                optimiser.step()
        seconds += time.perf_counter() - began
        for masked in (False, True) if arm.dropped else (False,):
            told = evidence(nets, validation, arm, answers, masked=masked)
            for decoder, most in decoders.items():
                now = scores(told, validation, most)
                if best is None or now["nll"] < best.validation["nll"]:
                    kept = [[leaf.detach().clone() for leaf in net.leaves] for net in nets]
                    best = Known(now, decoder, masked, epoch + 1, kept)
    assert best is not None
    for net, kept in zip(nets, best.leaves, strict=True):
        net.leaves = kept
    held = evidence(nets, test, arm, answers, masked=best.masked)
    return {
        **scores(held, test, decoders[best.decoder]),
        "validation": best.validation, "decoder": best.decoder, "masked": best.masked, "epoch": best.epoch,
        "seconds": round(seconds, 1),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and standard error over seeds, of the test part, and how much the NLL is above that of one, in pairs."""
    lines = [
        "| data | who teaches | runs | " + " | ".join(TABLE_COLUMNS) + " | NLL above one |",
        "|---" * (4 + len(TABLE_COLUMNS)) + "|",
    ]
    for name in dict.fromkeys(row["set"] for row in rows):
        alone = {row["seed"]: row["nll"] for row in rows if (row["set"], row["arm"]) == (name, "one")}
        for arm in ARMS:
            mine = [row for row in rows if (row["set"], row["arm"]) == (name, arm)]
            pairs = [row["nll"] - alone[row["seed"]] for row in mine if row["seed"] in alone]
            if mine:
                cells = [jobs.cell(jobs.mean([row[column] for row in mine]), 3) for column in TABLE_COLUMNS]
                above = jobs.cell(jobs.mean(pairs), 3) if pairs and arm != "one" else ""
                lines.append(f"| {name} | {arm} | {len(mine)} | " + " | ".join(cells) + f" | {above} |")
    return "\n".join(lines)


def run(name: SetName, arm: str, seed: int, root: Path | None, *, quick: bool) -> dict[str, Any]:
    """The set, dense, and one training on it."""
    how = HOW[name]._replace(**({"epochs": 1} if quick else {}))
    splits = sets.load(name, root, quick=quick)
    longest = max(part.longest for part in (splits.train, splits.validation, splits.test))
    parts = [dense(part, how, longest) for part in (splits.train, splits.validation, splits.test)]
    return one(parts, ARMS[arm], seed, how, hidden=8 if quick else HIDDEN)


if __name__ == "__main__":
    usual = ["neurons", "objects", "touch"]
    found = real_grid.finished(__doc__ or "", "arm", list(ARMS), usual, run, quick=list(ARMS), seeds=3)
    if found is not None:
        print(table(found.rows))
