"""How accurate, calibrated and fast other methods are on the bins and the split that ``gemsnn train`` uses.

python benchmarks/accuracy.py                                    (emulated digits)
python benchmarks/accuracy.py --data images --root IMAGES.npz    (also nmnist, mnist-dvs)
python benchmarks/accuracy.py --quick                            (to see that it works, in less than a minute)

Logistic regression on event counts (:mod:`gemsnn.scoring.baseline`), and snnTorch's LIF network with 256 hidden
neurons, trained by backpropagation through time (``accuracy_child.py``, in the environment of ``peers.py``), stopped at
its best epoch: one row for the epoch with the lowest NLL on the validation part, one for that with the highest
accuracy there. All scores are of the test part, by :mod:`gemsnn.scoring.metrics`; temperatures are fitted on
validation.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import environment
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_info
from torch import Tensor

from gemsnn.data.datasets import DataSpec, load
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.machine import places
from gemsnn.machine.children import Children
from gemsnn.scoring import baseline, measure, metrics
from gemsnn.scoring.answers import Answers
from gemsnn.scoring.scores import plain

CHILD = Path(__file__).with_name("accuracy_child.py")
PARTS = ("train", "validation", "test")
CRITERIA = {"nll": "lowest validation NLL", "accuracy": "highest validation accuracy"}
COLUMNS = (
    ("accuracy", "accuracy", 1, 4),
    ("ece", "ECE", 1, 4),
    ("nll", "NLL", 1, 3),
    ("brier", "Brier", 1, 3),
    ("temperature", "T", 1, 2),
    ("ece_tempered", "ECE at T", 1, 4),
    ("nll_tempered", "NLL at T", 1, 3),
    ("brier_tempered", "Brier at T", 1, 3),
    ("training_seconds", "training, ms", 1000, 3),
    ("inference_seconds", "inference, ms", 1000, 3),
    ("best_epoch", "epoch", 1, 1),
)
"""Key, heading, factor and decimals."""

Numbers = dict[str, float]


def scored(validation: Tensor, test: Tensor, splits: Splits) -> Numbers:
    """Scores of log-probabilities ``[n, C]`` on the test part, as they are and at the validation part's temperature."""
    held, labels = (torch.from_numpy(part.labels) for part in (splits.validation, splits.test))
    answers = Answers(test.exp(), test)
    warm = measure.tempered_scores(answers, labels, metrics.fitted_temperature(validation, held))
    found = plain(warm)
    return {
        **plain(measure.answer_scores(answers, labels)),
        "temperature": found.pop("temperature"),
        **{f"{name}_tempered": value for name, value in found.items()},
    }


def logistic_regression(splits: Splits) -> Numbers:
    train, validation, test = (
        baseline.Counts(part.counts_per_input(), part.labels)
        for part in (splits.train, splits.validation, splits.test)
    )
    began = time.perf_counter()
    model = baseline.fit(train, validation, splits.train.layout.classes)
    fitted = time.perf_counter()
    found = baseline.predict(model, test.counts)
    ended = time.perf_counter()
    return {
        **scored(baseline.predict(model, validation.counts).log(), found.log(), splits),
        "training_seconds": (fitted - began) / len(train.labels),
        "inference_seconds": (ended - fitted) / len(test.labels),
    }


def write_bins(path: Path, splits: Splits) -> None:
    """The three parts as packed bits ``[n, T, ceil(M / 8)]`` with labels."""
    arrays: dict[str, Any] = {"inputs": np.array(splits.train.layout.inputs)}
    for name in PARTS:
        part: SpikeSet = getattr(splits, name)
        arrays[f"{name}_spikes"] = np.stack([np.packbits(part.bins(i), axis=1) for i in range(len(part))])
        arrays[f"{name}_labels"] = part.labels
    np.savez(path, **arrays)


def snntorch(python: Path, job: dict, splits: Splits, folder: Path) -> tuple[dict, dict[str, Numbers]]:
    """What the child tells of one seed, and the numbers at the best epoch of each criterion."""
    (folder / "job.json").write_text(json.dumps(job))
    out = folder / "out.npz"
    words = [str(python), str(CHILD), str(folder / "job.json"), str(folder / "bins.npz"), str(out)]
    with Children() as running:
        code, output = running.run(words, output=True)
    if code:
        sys.exit(f"{CHILD.name} failed with code {code}")
    told = json.loads(output.splitlines()[-1])
    with np.load(out) as held:
        logs = {name: torch.from_numpy(held[name]) for name in held.files}
    return told, {
        name: {
            **scored(logs[f"{name}_validation"], logs[f"{name}_test"], splits),
            "training_seconds": told["training_seconds"],
            "inference_seconds": told["inference_seconds"],
            "best_epoch": told["best_epoch"][name],
        }
        for name in CRITERIA
    }


def row(model: str, threads: int, runs: Sequence[Numbers]) -> dict:
    """Mean and standard error over runs; without a standard error where there is one run."""
    summary = {}
    for name in runs[0]:
        values = np.array([run[name] for run in runs])
        error = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
        summary[name] = {
            "mean": float(values.mean()),
            "standard_error": error,
            "values": values.tolist(),
        }
    return {"model": model, "runs": len(runs), "threads": threads, **summary}


def rows(splits: Splits, arguments: argparse.Namespace) -> Iterator[dict]:
    threads = max(pool["num_threads"] for pool in threadpool_info())
    yield row(baseline.NAME, threads, [logistic_regression(splits)])
    python = environment(arguments.environment)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bins(folder / "bins.npz", splits)
        runs = []
        for seed in range(arguments.seeds):
            job = {key: getattr(arguments, key) for key in ("batch", "lr", "epochs", "patience")}
            runs.append(snntorch(python, {"seed": seed, **job}, splits, folder))
    told = runs[0][0]
    network = f"{told['library']}, {splits.train.layout.inputs}-{told['hidden']}-10 LIF"
    for criterion, words in CRITERIA.items():
        yield row(f"{network}, epoch of {words}", told["threads"], [found[criterion] for _, found in runs])


def print_table(found: Sequence[dict], splits: Splits) -> None:
    table = Table(box=None, header_style="bold")
    table.add_column("model")
    for _, heading, _, _ in COLUMNS:
        table.add_column(heading, justify="right")
    for line in found:
        cells = []
        for key, _, factor, decimals in COLUMNS:
            value = line.get(key)
            mean = f"{factor * value['mean']:.{decimals}f}" if value else ""
            error = value["standard_error"] if value else None
            cells.append(mean + ("" if error is None else f"\n± {factor * error:.{decimals}f}"))
        counts = ((line["runs"], "run"), (line["threads"], "thread"))
        ran = ", ".join(f"{count} {what}{'s' * (count > 1)}" for count, what in counts)
        table.add_row(f"{line['model']} ({ran})", *cells)
    console = Console(highlight=False)
    if console.width < 150:
        console = Console(highlight=False, width=150)
    console.print(table)
    sizes = ", ".join(f"{len(getattr(splits, name))} {name}" for name in PARTS)
    console.print(
        f"presentations: {sizes}; test scores, mean and standard error over seeds; T fitted on the validation part; "
        "milliseconds a presentation (for snnTorch of one epoch, for logistic regression of all of its fits)",
        style="dim",
        soft_wrap=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digits", choices=("digits", "images", "nmnist", "mnist-dvs"))
    parser.add_argument("--root", type=Path, help="folder or file of the data set, as for gemsnn train")
    parser.add_argument("--train", type=int, help="use only the first N presentations of the training part")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, .. of the network")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3, help="Adam's step size")
    parser.add_argument("--epochs", type=int, default=50, help="at most so many")
    parser.add_argument(
        "--patience", type=int, default=15, help="epochs without a better one, after which training ends"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="two seeds, two epochs, 256 presentations")
    parser.add_argument("--environment", type=Path, default=places.cache_folder() / "peers-venv")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.epochs, arguments.train = 2, 2, 256
    try:
        splits = load(DataSpec(arguments.data, arguments.root))
    except InputError as error:
        print(f"accuracy.py: {error}", file=sys.stderr)
        return 2
    if arguments.train:
        train = splits.train.select(slice(arguments.train))
        splits = Splits(train, splits.validation, splits.test, splits.notes)
    found = list(rows(splits, arguments))
    if arguments.json:
        facts = {
            "data": arguments.data,
            "presentations": {name: len(getattr(splits, name)) for name in PARTS},
        }
        print(
            json.dumps(
                {**facts, "batch": arguments.batch, "lr": arguments.lr, "rows": found}, allow_nan=False
            )
        )
    else:
        print_table(found, splits)
    return 0


if __name__ == "__main__":
    sys.exit(main())
