"""What a training, a stream and an online learner save, and how they go on from it: through the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from gemsnn.commands.cli import main
from gemsnn.data import datasets
from gemsnn.model.links import JOINT
from gemsnn.runs import config
from gemsnn.runs.loading import load_model
from gemsnn.store import migrations
from golden import cases, runner
from golden.cases import Case
from golden.runner import Leaves

FOLDER = Path(__file__).parent / "format1"
DIGITS, EACH, SIDE = 3, 8, 34

COMMON = "--data nmnist --polarity merged --root recordings --basis-count 1 --memory 6 --epochs 2 --batch 4 "
RUNS = {
    "circuit": "--rule one-hop --optimiser adam --output winner-take-all --topology feedforward --feedback none "
    "--hidden 3 --compartments 3 --kernel cpu --lr 0.02 --warm-up 0.2",
    "each-step": "--rule gem --optimiser sgd --topology full --update-every 1 --hidden 3 --compartments 2 "
    "--kernel cpu --lr 0.005 --gamma 0.5",
}
"""Flags of the trainings."""

STOPPED_AFTER = {"circuit": 4, "each-step": 7}
"""Batches after which they were interrupted; an epoch has 4."""

STREAM = "--speed max --learn --labels labels.csv --compartments 2 --window 20 --every 4"
STREAM_MODEL, STREAM_BINS = "each-step", 100
"""The run that the stream began with, and the bins after which it was to end; a file's second passes as a whole."""

ONLINE_CHUNKS = 4
"""Chunks after which online learners were saved."""


def nmnist(count: int, duration_us: int, key: int, label: int) -> bytes:
    """An N-MNIST file: five bytes an event (column, row, polarity and time), more of them in the label's columns."""
    words = np.random.Philox(key=[1905, key]).random_raw(5 * count).reshape(5, count) >> np.uint64(33)
    column, row, on, time, where = words.astype(np.int64)
    x = np.where(where % 2 == 0, column % SIDE, 10 * label + column % 10)
    t = np.sort(time % duration_us)
    columns = [x, row % SIDE, (on % 2) << 7 | t >> 16, t >> 8 & 0xFF, t & 0xFF]
    return np.stack(columns, axis=1).astype(np.uint8).tobytes()


def write_recordings(folder: Path) -> None:
    """``recordings``, a data set; ``stream.bin``, 2.6 seconds of events, and ``labels.csv``, what is told of them."""
    for number in range(EACH):
        for digit in range(DIGITS):
            path = folder / "recordings" / "Train" / str(digit) / f"{number:05d}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(nmnist(250, 300_000, DIGITS * number + digit, digit))
    (folder / "stream.bin").write_bytes(nmnist(2500, 2_600_000, 999, 1))
    (folder / "labels.csv").write_text("label,0,1\nlabel,700000,\nlabel,1300000,2\nlabel,2100000,0\n")


def train(name: str) -> int:
    """Train, in the working directory, which has the recordings; the exit code."""
    return main(["train", *(COMMON + RUNS[name]).split(), "--votes", "3", "--out", name])


def resume(name: str) -> int:
    return main(["train", "--resume", name, "--root", "recordings"])


def stream(*more: str) -> int:
    """A stream from the beginning or on, in the working directory; the exit code."""
    words = ["stream", "--model", STREAM_MODEL, "--input", "stream.bin", *STREAM.split(), "--state", "stream"]
    return main([*words, *more])


def answers_of(folder: Path) -> Leaves:
    """What a run says of its test part; the recordings are in the working directory."""
    model = load_model(folder)
    spec = config.load_run(folder / "config.toml").data
    data = datasets.load(dataclasses.replace(spec, root=Path("recordings")))
    found = model.poll(data.test, 3)
    return {
        "params.weight": model.params.weights[JOINT],  # the types of a result are told by it
        "votes": found.votes,
        "probabilities": found.by_compartments.probabilities,
        "logs": found.by_compartments.logs,
    }


def learned_of(folder: Path) -> Leaves:
    """What a run has learned, and the scores that it ended with."""
    learner = load_model(folder).learner
    scores = json.loads((folder / "metrics.json").read_text())
    final = scores["by_compartments"][-1]
    told = [final[name] for name in ("accuracy", "nll", "brier", "ece")] + [scores["log_likelihood"]]
    return {
        **runner.moved(learner.params, learner.optimiser),
        "batches": torch.tensor(learner.batches),
        "scores": torch.tensor(told, dtype=torch.float64),
    }


def streamed(folder: Path, lines: str) -> Leaves:
    """What a stream has learned, and what it has said."""
    said = [json.loads(line) for line in lines.splitlines()]
    classes = [-1 if line["class"] is None else line["class"] for line in said]
    targets = [-1 if line["target"] is None else line["target"] for line in said]
    return {
        **runner.joint(load_model(folder).params, "params"),
        "bins": torch.tensor([line["bin"] for line in said]),
        "classes": torch.tensor(classes),
        "targets": torch.tensor(targets),
        "votes": torch.tensor([line["votes"] for line in said]),
        "probabilities": torch.tensor([line["probabilities"] for line in said], dtype=torch.float64),
        "hidden_rates": torch.tensor([line["hidden_rate"] for line in said], dtype=torch.float64),
    }


def online_files() -> dict[str, tuple[Case, str]]:
    """Saved online learners: file names, with case and kernel."""
    return {f"{case.name}-{kernel}": (case, kernel) for case in cases.ONLINE for kernel in case.kernels}


def gone_on(case: Case, kernel: str, saved: Leaves) -> Leaves:
    """What an online learner makes of the chunks after those that a saved one has heard."""
    learner = runner.online_learner(case, kernel)
    learner.restore(migrations.links(saved, {})[0])
    return runner.heard_online(case, learner, range(ONLINE_CHUNKS, len(case.chunks)))
