"""Time and memory of one case, in a process of its own.

Time is that of a warm call: the first call, which may compile, is not counted; then the same presentations are
learned (or run) again and again from the same weights, and the best of these repeats counts, since
whatever else a machine does can only add to it. The median is kept beside it.

Memory is the highest resident memory of the process over its whole life, Python, torch and compiled code
included, next to what was resident before the first call (``idle_mb``). Linux tells it as ``VmHWM``, which unlike
``getrusage`` starts from nothing in a process that another one has started; elsewhere it is ``getrusage``'s.

``python -m gemsnn.bench.measure`` reads one job from standard input and writes its outcome to standard output.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, cast

import msgspec
import numpy as np
import torch

from gemsnn.bench import cases
from gemsnn.bench.cases import Case
from gemsnn.kernels import KERNELS, Kernel
from gemsnn.machine import children
from gemsnn.machine.children import Children
from gemsnn.model import network as networks
from gemsnn.rows import SpikeRows
from gemsnn.rules import optimisers
from gemsnn.types import Batch

AT_LEAST = 4
"""Presentations a repeat consists of, since they differ in their number of events."""

SLOW = 1.0
"""Seconds; where the first call takes longer, a repeat is a single call."""


class Job(msgspec.Struct, frozen=True):
    """One process's work.

    Attributes:
        case: what to measure; ``None`` for the machine's own matrix products.
        kernel: with which kernel.
        bins: an .npz of ``spikes`` (uint8 ``[n, T, M]``) and ``labels`` (``[n]``).
        repeat: how many repeats.
        budget: seconds after which no further repeat begins.
        size: rows and columns of the matrices where there is no case.
    """

    case: Case | None
    kernel: str = ""
    bins: str = ""
    repeat: int = 5
    budget: float = 10.0
    size: int = 2048


class Outcome(msgspec.Struct, frozen=True):
    """What a process found.

    Attributes:
        refused: why the kernel cannot serve the case; then all else is empty.
        failed: the exit code of a process that failed (where memory ran out, perhaps); likewise.
        seconds: best time of a presentation, or of a matrix product.
        median: the median of the repeats.
        repeats: how many there were.
        peak_mb: highest resident memory, in 10^6 bytes.
        idle_mb: the same before the first call.
        threads: torch's.
        others: cores that other processes kept busy meanwhile, on average (Linux); where it is not near zero,
            times mean little.
    """

    refused: str | None = None
    failed: int = 0
    seconds: float = 0.0
    median: float = 0.0
    repeats: int = 0
    peak_mb: float = 0.0
    idle_mb: float = 0.0
    threads: int = 0
    others: float | None = None


def _busy() -> float | None:
    """Core seconds that all processes of the machine have used so far (Linux)."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return None
    user, nice, system, _idle, _wait, *more = map(int, stat.read_text().splitlines()[0].split()[1:])
    return (user + nice + system + sum(more[:3])) / os.sysconf("SC_CLK_TCK")


def peak_mb() -> float:
    """The highest resident memory of this process so far, in 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource  # not there on every system

    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest / 1e6 if sys.platform == "darwin" else highest * 1024 / 1e6


def in_child(job: Job) -> Outcome:
    """Do a job in a fresh process; what that process says of a failure goes to standard error."""
    with Children() as running:
        code, told = running.run(
            children.module("gemsnn.bench.measure"), msgspec.json.encode(_plain(job)), output=True
        )
    if code:
        return Outcome(failed=code)
    return msgspec.json.decode(told.splitlines()[-1], type=Outcome)


def work(job: Job) -> Outcome:
    """Do a job here."""
    if job.case is None:
        return _matrix_product(job)
    network = networks.build(job.case.network)
    kernel = cast(Kernel, KERNELS[job.kernel])
    if refused := kernel.refuses(network, job.case.learning):
        return Outcome(refused=refused)
    params = networks.init(network, 0)
    batches = _batches(job.case, Path(job.bins))
    learning = None if job.case is None else job.case.learning
    state = None if learning is None else optimisers.init(learning.optimiser, params)
    idle = peak_mb()

    def once(chosen: list[Batch]) -> float:
        nonlocal params, state  # a training under way, which every repeat carries on
        began = time.perf_counter()
        if learning is not None and state is not None:
            for batch in chosen:
                lr = learning.optimiser.lr
                learned = kernel.learn(network, params, state, learning, batch, seed=0, lr=lr)
                params, state = learned.params, learned.optimiser
        elif job.case is not None:
            for batch in chosen:
                kernel.rollout(network, params, batch, job.case.compartments, seed=0, clamp=False)
        return (time.perf_counter() - began) / sum(len(batch.label) for batch in chosen)

    first = once(batches[:1]) * len(batches[0].label)
    chosen = batches[:1] if first > SLOW else batches
    return _repeat(lambda: once(chosen), job, idle)


def _repeat(once: Callable[[], float], job: Job, idle: float) -> Outcome:
    busy, own, began = _busy(), time.process_time(), time.perf_counter()
    times: list[float] = []
    while len(times) < job.repeat and (not times or time.perf_counter() - began < job.budget):
        times.append(once())
    wall, own, after = time.perf_counter() - began, time.process_time() - own, _busy()
    return Outcome(
        seconds=min(times),
        median=median(times),
        repeats=len(times),
        peak_mb=peak_mb(),
        idle_mb=idle,
        threads=torch.get_num_threads(),
        others=None if busy is None or after is None else max(0.0, (after - busy - own) / wall),
    )


def _matrix_product(job: Job) -> Outcome:
    """Best seconds of a float32 product of two large matrices, with as many threads as torch uses."""
    idle = peak_mb()
    left, right = torch.rand(job.size, job.size), torch.rand(job.size, job.size)
    out = torch.empty(job.size, job.size)

    def once() -> float:
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        return time.perf_counter() - began

    once()
    return _repeat(once, job, idle)


def _batches(case: Case, path: Path) -> list[Batch]:
    """The presentations of a file in batches of B, at least :data:`AT_LEAST` in all where there are so many."""
    with np.load(path) as held:
        spikes = torch.from_numpy(held["spikes"])[:, : case.steps]
        label = torch.from_numpy(held["labels"])
    target = torch.nn.functional.one_hot(label, case.network.visible).to(torch.uint8)
    return [
        Batch(
            rows=SpikeRows.of(spikes[rows].flatten(0, 1).numpy()),
            target=target[rows][:, None].repeat(1, case.steps, len(case.network.graph.visible)),
            length=torch.full((case.batch,), case.steps),
            label=label[rows],
            address=torch.arange(rows.start, rows.stop),
            begin=torch.zeros(case.batch, dtype=torch.int64),
        )
        for rows in (
            slice(start, start + case.batch)
            for start in range(0, max(case.batch, AT_LEAST) - case.batch + 1, case.batch)
        )
    ]


def _plain(job: Job) -> dict[str, Any]:
    """A job as JSON can hold it."""
    return msgspec.structs.asdict(job) | {"case": None if job.case is None else cases.written(job.case)}


if __name__ == "__main__":
    told = msgspec.json.decode(children.job())
    asked = Job(**told | {"case": None if told["case"] is None else cases.read(told["case"])})
    print(msgspec.json.encode(work(asked)).decode())
