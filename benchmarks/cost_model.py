"""What a training over W workers costs, on paper: the formulas of docs/scaling.md, and its figure.

    python benchmarks/cost_model.py --speed SPEED.json --hosts HOSTS.json [--out FIGURE.png]

Every worker has one line to a switch. Numbers are float32. What this machine's kernels take comes from
``benchmarks/workers.py speed --json``, what messages take from ``benchmarks/hosts.py --json``; the formulas are held
against both, and drawn on to a thousand workers.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

BYTES = 4
HANDLING = 2
"""Delays of a step of gloo's: the receiver tells that it is ready, and the sender sends."""


class Line(NamedTuple):
    """A host's line.

    Attributes:
        rate: bytes a second, each way.
        delay: seconds from host to host.
        handling: seconds of the programs at both ends, a step.
    """

    rate: float
    delay: float
    handling: float = 0.0

    def seconds(self, size: float) -> float:
        """How long so many bytes occupy it."""
        return size / self.rate

    def step(self, size: float) -> float:
        """How long a step of so many bytes takes."""
        return HANDLING * self.delay + self.handling + self.seconds(size)


class Load(NamedTuple):
    """What a network's learning takes of one core.

    Attributes:
        weights: P, how many numbers a direction has.
        steps: T, bins of a presentation.
        batch: seconds a batch whatever is in it, the update above all.
        presentation: seconds a presentation, for what its compartments share.
        run: seconds a compartment of a presentation.
    """

    weights: int
    steps: int
    batch: float
    presentation: float
    run: float


class Division(NamedTuple):
    """Workers as a table: shares of the presentations, shares of the compartments."""

    presentations: int
    compartments: int = 1


def _ring(size: float, workers: int, line: Line) -> float:
    """Every worker's ``size`` bytes to all others, from neighbour to neighbour, as gloo does it."""
    return (workers - 1) * line.step(size)


def message(what: str, numbers: float, workers: int, line: Line) -> float:
    """Seconds of one of the three kinds of messages between W workers, with s = 2 delay + handling.

    - ``directions``: P numbers are added up. Each worker sends every other one its stretch of P / W numbers, all at
      once, and then the sums go round the ring: ``W s + 2 (W - 1) / W 4 P / rate``.
    - ``signals``: the log-weights of T steps, B presentations and K compartments, of which every worker has 1 / W:
      ``(W - 1) (s + 4 B T K / W / rate)``.
    - ``told``: before and after a batch all tell each other how it went, twice two rounds of a few bytes: ``4 (W - 1)
      s``.
    """
    if workers == 1:
        return 0.0
    share = BYTES * numbers / workers
    if what == "directions":
        return line.step((workers - 1) * share) + _ring(share, workers, line)
    if what == "signals":
        return _ring(share, workers, line)
    return 4 * _ring(0, workers, line)


def batch_seconds(load: Load, presentations: int, compartments: int, division: Division, line: Line) -> float:
    """A batch of B presentations with K compartments: the longest worker's computation, and the messages."""
    rows = math.ceil(presentations / division.presentations)
    runs = rows * math.ceil(compartments / division.compartments)
    workers = division.presentations * division.compartments
    computed = load.batch + rows * load.presentation + runs * load.run
    heard = message("signals", rows * load.steps * compartments, division.compartments, line)
    told = message("told", 0, workers, line)
    return computed + message("directions", load.weights, workers, line) + heard + told


def bytes_sent(load: Load, presentations: int, compartments: int, division: Division) -> dict[str, float]:
    """What each worker sends in a batch: of directions, and of log-weights."""
    workers = division.presentations * division.compartments
    rows = math.ceil(presentations / division.presentations)
    heard = BYTES * rows * load.steps * compartments * (1 - 1 / division.compartments)
    return {"directions": 2 * (workers - 1) / workers * BYTES * load.weights, "signals": heard}


def load_of(rows: list[dict[str, Any]]) -> Load:
    """Fitted to seconds of batches learned by one worker alone, of at least three shapes, by least squares."""
    shapes = np.array([[1, row["batch"], row["batch"] * row["compartments"]] for row in rows], float)
    seconds = np.array([row["seconds_alone"] for row in rows])
    found, *_ = np.linalg.lstsq(shapes / seconds[:, None], np.ones(len(rows)), rcond=None)  # relative errors
    return Load(rows[0]["weights"], rows[0]["steps"], *(max(0.0, float(each)) for each in found))


def handling(rows: list[dict[str, Any]]) -> float:
    """Fitted to measured messages: the seconds a step that delay and rate do not explain, in the middle."""
    left = []
    for row in rows:
        line = Line(row["mbit"] * 1e6 / 8, row["delay_ms"] / 1000)
        steps = {"directions": row["hosts"], "signals": row["hosts"] - 1, "told": 4 * (row["hosts"] - 1)}
        known = message(row["what"], row["numbers"], row["hosts"], line)
        left.append((row["seconds"] - known) / steps[row["what"]])
    return float(np.median(left))


LINES = {
    "10 Gbit/s, 0.05 ms (a rack)": (10_000, 0.05),
    "1 Gbit/s, 0.2 ms (an office)": (1000, 0.2),
    "100 Mbit/s, 5 ms (wireless)": (100, 5.0),
}
"""Mbit/s and ms of the lines that the figure draws on to a thousand workers."""

BATCH, COMPARTMENTS = 1024, 10
"""Of the figure; a batch of 16 cannot be divided over more than 16 workers by presentations."""


def gains(load: Load, line: Line, workers: list[int]) -> list[float]:
    """Presentations a second over those of one worker, presentations divided."""
    alone = batch_seconds(load, BATCH, COMPARTMENTS, Division(1), line)
    return [alone / batch_seconds(load, BATCH, COMPARTMENTS, Division(w), line) for w in workers]


def _figure(load: Load, rows: list[dict[str, Any]], step: float, out: Path) -> dict[str, tuple[int, float]]:
    """Draw messages, measured and expected, and the extrapolation; the most that each line gains, and with how many."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, NullFormatter

    from gemsnn import plots

    with plots.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
        for what in ("directions", "signals", "told"):
            mine = [row for row in rows if row["what"] == what]
            left.plot(
                [row["expected"] for row in mine],
                [row["seconds"] for row in mine],
                ".",
                label=what,
                alpha=0.8,
            )
        ends = [min(row["expected"] for row in rows), max(row["expected"] for row in rows)]
        left.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
        left.set(xscale="log", yscale="log", xlabel="expected, s", ylabel="measured, s")
        left.set_title("Messages between simulated hosts")
        left.legend(frameon=False)
        most = {}
        workers = sorted({round(2 ** (n / 4)) for n in range(41)} - {0})
        workers = [w for w in workers if w < 1000] + [1000]
        for name, (mbit, delay) in LINES.items():
            found = gains(load, Line(mbit * 1e6 / 8, delay / 1000, step), workers)
            right.plot(workers, found, label=name)
            best = int(np.argmax(found))
            most[name] = (workers[best], found[best])
        right.plot(workers, workers, color="0.6", linewidth=1, zorder=0)
        right.set(
            xscale="log", yscale="log", xlabel="workers", ylabel="times the speed of one", ylim=(0.5, 1000)
        )
        right.set_title(f"Batches of {BATCH} presentations, K = {COMPARTMENTS}")
        right.legend(frameon=False)
        for axis in (left.xaxis, left.yaxis, right.xaxis, right.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
            axis.set_minor_formatter(NullFormatter())
        plots.save(figure, out)
    return most


def main() -> None:
    """Hold the formulas against what was measured, and draw them on."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speed", type=Path, required=True)
    parser.add_argument("--hosts", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("scaling.png"))
    arguments = parser.parse_args()
    speed, hosts = json.loads(arguments.speed.read_text()), json.loads(arguments.hosts.read_text())
    step = handling(hosts)
    for row in hosts:
        line = Line(row["mbit"] * 1e6 / 8, row["delay_ms"] / 1000, step)
        row["expected"] = message(row["what"], row["numbers"], row["hosts"], line)
    off = np.array([row["seconds"] / row["expected"] for row in hosts])
    low, middle, high = np.quantile(off, [0.05, 0.5, 0.95])
    print(f"messages: {step * 1e3:.2f} ms a step beside delay and rate; measured / expected {middle:.2f}, 90 % in "
          f"{low:.2f} .. {high:.2f} ({len(off)} of them)")  # fmt: skip
    dense = [row for row in speed if row["fitted"]]
    load = load_of(dense)
    fewest = min(row["hosts"] for row in hosts)  # whose programs do not share a core with many others
    few = handling([row for row in hosts if row["hosts"] == fewest])
    print(f"with {fewest} hosts {few * 1e3:.2f} ms a step, which is drawn on")
    print(f"one core: {load.batch * 1e3:.1f} ms a batch, {load.presentation * 1e3:.2f} ms a presentation, "
          f"{load.run * 1e3:.2f} ms a compartment of it; P = {load.weights:,}, T = {load.steps}")  # fmt: skip
    for row in speed:
        expected = ""
        if row["fitted"]:
            divided = batch_seconds(
                load, row["batch"], row["compartments"], Division(row["workers"]), Line(math.inf, 0.0)
            )
            expected = f", expected without messages {divided:.4f} s"
        sent = sum(
            bytes_sent(
                load._replace(weights=row["weights"]),
                row["batch"],
                row["compartments"],
                Division(row["workers"]),
            ).values()
        )
        expected += f"; each worker sends {sent / 1e6:.1f} MB"
        print(f"{row['case']}: W = {row['workers']}: {row['seconds']:.4f} s{expected}")
    for name, (workers, gain) in _figure(load, hosts, few, arguments.out).items():
        print(f"{name}: at most {gain:.0f} times the speed of one, with {workers} workers")


if __name__ == "__main__":
    main()
