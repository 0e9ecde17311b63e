"""What a rule of one's own costs on the kernel cpu, against a rule of the package that needs the same.

    python benchmarks/own_rule.py [--pairs 5] [--limit 200] [--epochs 2]

``gem-cv`` and the function ``sharp`` (docs/extending.md) take turns, and take turns in going first.

*Commands*: ``gemsnn train`` on emulated digits with the default network, one update a presentation. Printed are the
medians of seconds by the clock and of seconds of a processor (on a busy machine the clock tells of its neighbours), of
the whole command, and of the training alone by the clock.

*Batches*: the kernel alone, one thread, 16 such digits a batch or one at a time, time of a processor a presentation,
for several intervals between updates; and what one asking for signals takes by itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from gemsnn.data import datasets
from gemsnn.kernels import Learning, cpu
from gemsnn.model import network as networks
from gemsnn.rules import loading, optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.runs.config import Settings

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
RULES = ("gem-cv", "mine.py:sharp")


def command(rule: str, words: list[str], folder: Path) -> tuple[float, float, float]:
    """Seconds of the whole command by the clock and of a processor, and of its training by the clock."""
    out = Path(tempfile.mkdtemp(dir=folder)) / "run"
    line = [
        sys.executable,
        "-m",
        "gemsnn",
        "train",
        "--rule",
        rule,
        "--kernel",
        "cpu",
        "--out",
        str(out),
        *words,
    ]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(line, cwd=folder, check=True, capture_output=True)
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return clock, spent, json.loads((out / "manifest.json").read_text())["seconds"]["train"]


def commands(pairs: int, words: list[str], folder: Path) -> None:
    """A line for each of the three kinds of seconds."""
    for rule in RULES:  # what is compiled and emulated is, then
        command(rule, words, folder)
    found: dict[str, list[tuple[float, ...]]] = {rule: [] for rule in RULES}
    for pair in range(pairs):
        for rule in RULES if pair % 2 else RULES[::-1]:
            found[rule].append(command(rule, words, folder))
    for kind, what in enumerate(("command, clock", "command, processor", "training, clock")):
        tell(what, *([each[kind] for each in found[rule]] for rule in RULES), unit="s")


def batches(pairs: int, folder: Path) -> None:
    """A line for each size of a batch and interval between updates."""
    torch.set_num_threads(1)
    usual = Settings()
    data = datasets.load(dataclasses.replace(usual.data, limit=64)).train
    network = networks.build(usual.network_spec(data.layout))
    params = networks.init(network, 0)
    own = loading.load(f"{folder}/mine.py:sharp")
    for size in (16, 1):
        batch = networks.batch(network, [data[index] for index in range(size)])
        for every in (None, 8, 1):
            spec = OptimiserSpec("adam" if every is None else "sgd", lr=1e-4)
            seconds: tuple[list[float], list[float]] = ([], [])
            for pair in range(-1, 2 * pairs):
                for which in (0, 1) if pair % 2 else (1, 0):
                    learning = Learning(
                        RuleSpec(("gem-cv", own)[which]), spec, usual.train.compartments, every
                    )
                    state, began = optimisers.init(spec, params), time.process_time()
                    cpu.learn(network, params, state, learning, batch, seed=pair + 1, lr=1e-4)
                    if pair >= 0:
                        seconds[which].append(1e3 * (time.process_time() - began) / size)
            tell(f"{size} presentations, update every {every or 'presentation'}", *seconds, unit="ms")
        log_weights, began = torch.randn(1, size, usual.train.compartments), time.process_time()
        for _ in range(1000):
            own.rule.signal(log_weights)
        print(f"asked for one step of {size} presentations: {1e3 * (time.process_time() - began):.0f} us")


def tell(what: str, theirs: list[float], own: list[float], unit: str) -> None:
    """Medians, and the ratio of the medians with the range of the pairs' ratios."""
    ratios = sorted(b / a for a, b in zip(theirs, own, strict=True))
    a, b = statistics.median(theirs), statistics.median(own)
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    print(
        f"{what}: gem-cv {a:.2f} {unit}, own {b:.2f} {unit}, ratio {b / a:.2f} (pairs {spread})", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--limit", default="200")
    parser.add_argument("--epochs", default="2")
    arguments = parser.parse_args()
    words = [
        "--limit",
        arguments.limit,
        "--epochs",
        arguments.epochs,
        "--evaluate-every",
        "1000",
        "--votes",
        "2",
    ]
    (code, *_) = re.findall(r"```python title=mine.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mine.py").write_text(code)
        batches(arguments.pairs, folder)
        commands(arguments.pairs, words, folder)


if __name__ == "__main__":
    main()
