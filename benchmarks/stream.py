"""Streams: which sizes keep up with their bins on one core, and whether memory stays flat.

    python benchmarks/stream.py keep-up [--quick]                  # about three minutes, on a quiet machine
    python benchmarks/stream.py endless [--steps 10000000] [--figure FILE.png] [--json FILE.json]

**keep-up**: an OnlineLearner is given one bin of emulated digits (26 x 26, two polarities) at a time, as if bins
arrived at their pace: an answer begins when its bin has arrived and the one before is done, and its lag is the time
from the bin's arrival to the answer. A size keeps up if 99 of 100 answers come before the next bin does, and the lag
does not grow.

**endless**: resident memory while a small network that learns at every step, and a large one that only answers, make
millions of steps.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from gemsnn.data import datasets
from gemsnn.kernels import Learning
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.learn.online import OnlineLearner
from gemsnn.model import network as networks
from gemsnn.model.basis import BasisSpec
from gemsnn.model.network import NetworkSpec
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec

MEMORY = 10
"""Taps of a synapse."""

CASES = [
    # hidden neurons, compartments, milliseconds of a bin, rule, optimiser, bins between updates
    (256, 10, 5, None, "", 0),
    (512, 10, 5, None, "", 0),
    (1024, 10, 5, None, "", 0),
    (2048, 10, 5, None, "", 0),
    (256, 50, 5, None, "", 0),
    (512, 50, 5, None, "", 0),
    (256, 10, 25, "gem-cv", "sgd", 1),
    (512, 10, 25, "gem-cv", "sgd", 1),
    (1024, 10, 25, "gem-cv", "sgd", 1),
    (256, 20, 25, "gem-cv", "sgd", 1),
    (256, 50, 25, "gem-cv", "sgd", 1),
    (256, 10, 25, "one-hop", "adam", 1),
    (256, 10, 25, "one-hop", "adam", 20),
    (256, 10, 5, "gem-cv", "sgd", 1),
]


def learner(
    inputs: int, visible: int, hidden: int, compartments: int, rule: str | None, optimiser: str, every: int
) -> OnlineLearner:
    spec = NetworkSpec(inputs, visible, (hidden,), synapse=BasisSpec(count=4, taps=MEMORY))
    network, learning = networks.build(spec), None
    if rule is not None:
        learning = Learning(
            RuleSpec(rule, kappa=0.9, gamma=0.9), OptimiserSpec(optimiser, lr=1e-4), compartments, every
        )
    return OnlineLearner(
        network, networks.init(network, 0), OnlineSpec(compartments=compartments), learning=learning
    )


def keep_up(quick: bool) -> None:
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    part = datasets.load(datasets.DataSpec()).train
    bins = torch.from_numpy(np.concatenate([part.bins(i) for i in range(2 if quick else 12)]))
    print(
        "hidden   K  bin (ms)  learns                   ms a bin: median    99 %     max   lag (ms): 99 %    last"
    )
    for hidden, compartments, width, rule, optimiser, every in CASES[:: 6 if quick else 1]:
        online = learner(bins.shape[1], 10, hidden, compartments, rule, optimiser, every)
        for row in bins[:150]:  # compiles, and fills the histories
            online.step(row[None], 3)
        took, lags, done = [], [], 0.0
        for number, row in enumerate(bins):
            begun = time.perf_counter()
            online.step(row[None], number // 80 % 10)
            took.append(1e3 * (time.perf_counter() - begun))
            done = max(done, number * width) + took[-1]
            lags.append(done - number * width)
        late = np.quantile(lags, 0.99)
        keeps = "keeps up" if late <= width and lags[-1] <= 2 * width else "does not keep up"
        what = f"{rule}, {optimiser}, every {every}" if rule else "no"
        times = f"{np.median(took):16.2f} {np.quantile(took, 0.99):7.2f} {max(took):7.2f}"
        print(
            f"{hidden:6d} {compartments:3d} {width:9d}  {what:24s} {times} {late:16.2f} {lags[-1]:7.2f}  {keeps}",
            flush=True,
        )


def resident_mb() -> float:
    """Resident memory now, in 10^6 bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def endless(steps: int, figure: Path | None, results: Path | None) -> None:
    found = []
    for name, inputs, visible, hidden, compartments, rule in (
        ("learns at every step, H 8, K 2", 8, 2, 8, 2, "gem-cv"),
        ("answers, H 256, K 10, 26 x 26", 1352, 10, 256, 10, None),
    ):
        online = learner(inputs, visible, hidden, compartments, rule, "sgd", 1)
        draw = np.random.default_rng(0)
        portions = [torch.from_numpy((draw.random((100, inputs)) < 0.03).astype(np.uint8)) for _ in range(50)]
        rows, every, began = [], max(100, steps // 200), time.perf_counter()
        while online.passed.steps < steps:
            target = online.passed.steps // 800 % visible
            answers = online.step(portions[online.passed.steps // 100 % 50], target)
            assert len(answers) == 100
            if online.passed.steps % every == 0:
                rows.append((online.passed.steps, resident_mb()))
        seconds, start = time.perf_counter() - began, len(rows) // 10
        after, last = rows[start][1], rows[-1][1]
        print(
            f"{name}: {online.passed.steps:,} steps in {seconds:.0f} s, {after:.1f} MB after {rows[start][0]:,} steps, "
            f"{last:.1f} MB at the end ({last - after:+.1f})",
            flush=True,
        )
        found.append({"name": name, "seconds": round(seconds), "steps": rows})
    if results is not None:
        results.write_text(json.dumps(found) + "\n")
    if figure is not None:
        draw_memory(found, figure)


def draw_memory(found: list[dict], path: Path) -> None:
    mpl.use("agg")
    from matplotlib import pyplot as plt

    plot, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    for row in found:
        x, y = np.array(row["steps"]).T
        axes.plot(x / 1e6, y, label=row["name"])
    axes.set(
        xlabel="steps (millions)",
        ylabel="resident memory (MB)",
        ylim=(0, 1.1 * max(y for row in found for _, y in row["steps"])),
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    plot.savefig(path, dpi=150)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["keep-up", "endless"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--steps", type=int, default=10_000_000)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "keep-up":
        keep_up(arguments.quick)
    else:
        endless(10_000 if arguments.quick else arguments.steps, arguments.figure, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
