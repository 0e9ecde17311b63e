"""Many cases, measured in one run and compared: with the step-by-step reference and with the machine's peak."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import gemsnn
from gemsnn.bench import cases, measure
from gemsnn.bench.cases import TASKS, Case, TaskName
from gemsnn.bench.measure import AT_LEAST, Job, Outcome
from gemsnn.errors import InputError
from gemsnn.kernels import KERNELS
from gemsnn.machine.children import Children
from gemsnn.runs.console import say
from gemsnn.types import AnyPath, PresentationSequence

Row = dict[str, Any]
"""One measured case of one kernel, as it is written in JSON."""

REFERENCE = "reference"
REFERENCE_STEPS = 4
"""Steps the reference learns: it costs the same at every step, and seconds each at the paper's size."""

REFERENCE_MEMORY = 256_000_000
"""Bytes the reference's eligibility may take where several presentations are measured in parallel."""

PEAK_REPEATS = 8
WITH_PEERS: tuple[TaskName, ...] = ("peers", "conv")
"""Tasks that other libraries' networks of the same shape are measured on."""

TABLE_WIDTH = 132
DISTURBED = 0.2
"""Cores busy with other processes from which on a row is marked."""


def kernel_names(words: str | None) -> list[str]:
    """The kernels of a list like ``cpu,block``; all of them if left out.

    Raises:
        InputError: there is none of this name.
    """
    names = list(KERNELS) if words is None else [word.strip() for word in words.split(",") if word.strip()]
    for name in names:
        if name not in KERNELS:
            raise InputError(f"there is no kernel {name!r}; choose from {', '.join(KERNELS)}")
    if not names:
        raise InputError(f"there is no kernel to measure; choose from {', '.join(KERNELS)}")
    return sorted(names, key=lambda name: name != REFERENCE)


def task_names(task: str) -> list[TaskName]:
    """The tasks of a name, which may be ``all``.

    Raises:
        InputError: there is none of this name.
    """
    chosen: list[TaskName] = [name for name in TASKS if task in ("all", name)]
    if not chosen:
        raise InputError(f"there is no task {task!r}; choose one of {', '.join(TASKS)}, all")
    return chosen


class Bench:
    """A run of measurements. What two tasks have in common is measured once.

    Args:
        presentations: recorded events of the whole sensor, both polarities.
        kernels: names, see :func:`kernel_names`.
        repeat: repeats of which the best counts.
        quick: tiny sizes, to see that all works.
        folder: where bins lie for the processes that measure.
    """

    def __init__(
        self, presentations: PresentationSequence, kernels: Sequence[str], *, repeat: int, quick: bool,
        folder: AnyPath,
    ) -> None:  # fmt: skip
        folder = Path(folder)
        self._presentations = presentations
        self._kernels = kernels
        self._repeat = repeat
        self._quick = quick
        self._folder = folder
        self._known: dict[tuple[str, Case], tuple[Case, Outcome]] = {}
        self.peak = 0.0

    @property
    def failures(self) -> int:
        """How many measurements failed."""
        return sum(outcome.failed != 0 for _, outcome in self._known.values())

    def task(self, name: TaskName) -> list[Row]:
        """Measure a task; the peak is measured before and after it, and the best of the run so far counts."""
        chosen = cases.cases(name, quick=self._quick)
        self._compile(name)
        self._measure_peak()
        found = [self._compare(case) for case in chosen]
        self._measure_peak()
        return [
            row for case, outcomes in zip(chosen, found, strict=True) for row in self._rows(case, outcomes)
        ]

    def bins(self, case: Case) -> Path:
        """A file with the bins of a case, enough for one batch and for one repeat."""
        count = max(case.batch, AT_LEAST)
        path = self._folder / f"{case.network.inputs}-{case.steps}-{count}-{case.merged}.npz"
        if not path.exists():
            total = len(self._presentations)
            labels = [self._presentations[number % total].label for number in range(count)]
            np.savez(path, spikes=cases.bins(self._presentations, case, count).numpy(), labels=labels)
        return path

    def _compile(self, name: TaskName) -> None:
        """Fill the caches of compiled code with tiny cases, so that compilers take no part in peak memory."""
        if self._quick:
            return
        kinds = {
            (
                case.network.topology,
                case.learning and replace(case.learning, compartments=1),
                case.batch == 1,
            ): case
            for case in cases.cases(name, quick=True)
        }
        for kernel in self._kernels:
            if kernel != REFERENCE:
                for case in kinds.values():
                    measure.in_child(Job(case, kernel, str(self.bins(case)), repeat=1))

    def _measure_peak(self) -> None:
        size = 256 if self._quick else 2048
        seconds = measure.in_child(Job(None, repeat=PEAK_REPEATS, size=size)).seconds
        if not seconds:
            raise InputError("the machine's matrix product could not be measured; see the error above")
        self.peak = max(self.peak, 2e-9 * size**3 / seconds)

    def _compare(self, case: Case) -> list[tuple[str, Case, Outcome]]:
        """Each kernel's outcome, with the case that was measured in place of this one."""
        found = []
        for kernel in self._kernels:
            key = kernel, replace(case, task="")
            if key not in self._known:
                done = case
                if kernel == REFERENCE and case.learning is not None:
                    done = cases.shortened(case, steps=REFERENCE_STEPS, memory=REFERENCE_MEMORY)
                outcome = measure.in_child(Job(done, kernel, str(self.bins(case)), self._repeat))
                self._known[key] = done, outcome
                _tell(case, kernel, done, outcome)
            found.append((kernel, *self._known[key]))
        return found

    def _rows(self, case: Case, outcomes: list[tuple[str, Case, Outcome]]) -> Iterator[Row]:
        arithmetic = cases.gflop(case)
        reference = None
        for kernel, done, outcome in outcomes:
            if outcome.refused is not None or outcome.failed:
                continue
            seconds = _whole(case, done, outcome.seconds)
            if kernel == REFERENCE:
                reference = seconds
            yield {
                "kernel": kernel,
                "task": case.task,
                "K": case.compartments,
                "B": case.batch,
                "update_every": case.learning and (case.learning.update_every or "presentation"),
                "seconds_per_presentation": seconds,
                "speedup_over_reference": reference and reference / seconds,
                "fraction_of_gemm_peak": arithmetic / seconds / self.peak,
                "gflop": arithmetic,
                "peak_mb": outcome.peak_mb if done.batch == case.batch else None,
                "threads": outcome.threads,
                **dict(cases.size(case)),
                "topology": case.network.topology,
                "median_seconds": _whole(case, done, outcome.median),
                "repeats": outcome.repeats,
                "idle_mb": outcome.idle_mb,
                "others_cores": outcome.others,
                "gemm_peak_gflops": self.peak,
                "note": _note(case, done),
            }


def _whole(case: Case, done: Case, seconds: float) -> float:
    """Seconds of a whole presentation, from those of a shortened one."""
    return seconds * case.steps / done.steps


def _note(case: Case, done: Case) -> str | None:
    if (done.steps, done.batch) == (case.steps, case.batch):
        return None
    few = f"extrapolated from {done.steps} of {case.steps} steps"
    return few if done.batch == case.batch else f"{few} and {done.batch} of {case.batch} presentations"


def _tell(case: Case, kernel: str, done: Case, outcome: Outcome) -> None:
    what = f"{case.task}: K {case.compartments}, B {case.batch}, {kernel}"
    if outcome.refused is not None:
        say(f"{what}: not served, {outcome.refused}")
    elif outcome.failed:
        say(f"{what}: failed with code {outcome.failed}")
    else:
        say(f"{what}: {1e3 * _whole(case, done, outcome.seconds):.4g} ms a presentation")


def peers(task: TaskName, bins: AnyPath, *, repeat: int, quick: bool) -> list[Row]:
    """Other libraries' networks of the shape of a task's on its bins, measured by ``benchmarks/peers.py``.

    Raises:
        InputError: this is no checkout of the project, or the measuring failed.
    """
    bins = Path(bins)
    script = Path(gemsnn.__file__).parents[1] / "benchmarks" / "peers.py"
    if not script.is_file():
        raise InputError(f"--with-peers needs a checkout of the project: there is no {script}")
    words = [sys.executable, str(script), task, "--bins", str(bins), "--repeat", str(repeat)]
    words += ["--quick"] * quick
    with Children() as running:
        code, told = running.run(words, output=True)
    if code:
        raise InputError(f"{script} failed with code {code}; leave out --with-peers")
    return [json.loads(line) for line in told.splitlines() if line.startswith(b"{")]


def check(
    task: str, kernels: str | None, *, repeat: int, with_peers: bool
) -> tuple[list[TaskName], list[str]]:
    """The names of tasks and kernels that :func:`run` would measure.

    Raises:
        InputError: a name is unknown, or there is nothing to repeat.
    """
    names, chosen = task_names(task), kernel_names(kernels)
    if repeat < 1:
        raise InputError(f"repeat must be at least 1, not {repeat}")
    if with_peers and not set(names) & set(WITH_PEERS):
        raise InputError(f"--with-peers belongs to the tasks {', '.join(WITH_PEERS)} and all, not to {task}")
    return names, chosen


def run(
    presentations: PresentationSequence,
    task: str = "paper",
    kernels: str | None = None,
    *,
    repeat: int = 5,
    quick: bool = False,
    with_peers: bool = False,
) -> Iterator[Row]:
    """Measure a task, or ``all``, and yield what was found, task by task.

    Args:
        presentations: recorded events of the whole sensor, both polarities.
        task: its name.
        kernels: names with commas between them; all if left out.
        repeat: repeats of which the best counts.
        quick: tiny sizes, to see that all works.
        with_peers: measure other libraries too where the task is one of :data:`WITH_PEERS`.

    Raises:
        InputError: a name is unknown, there is nothing to repeat, or (at the end) measurements failed.
    """
    names, chosen = check(task, kernels, repeat=repeat, with_peers=with_peers)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(presentations, chosen, repeat=repeat, quick=quick, folder=Path(folder))
        for name in names:
            yield from bench.task(name)
            if name in WITH_PEERS and with_peers:
                case = cases.cases(name, quick=quick)[0]
                yield from peers(name, bench.bins(case), repeat=repeat, quick=quick)
        if bench.failures:
            raise InputError(f"{bench.failures} measurements failed and are left out; see the errors above")


def write_json(row: Row) -> str:
    """A row as one line, numbers to five significant digits."""
    short = {key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in row.items()}
    return json.dumps(short, allow_nan=False)


def print_table(rows: Sequence[Row]) -> None:
    """Rows for a person, on standard output; what a column means is said below the table."""
    console = Console(highlight=False)
    if console.width < TABLE_WIDTH:
        console = Console(highlight=False, width=TABLE_WIDTH)
    table = Table(box=None, header_style="bold")
    for name in ("task", "kernel"):
        table.add_column(name, no_wrap=True)
    for name in ("K", "B", "M", "H", "T", "ms", "x reference", "% of sgemm", "GFLOP", "peak MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("update", no_wrap=True)
    for row in rows:
        table.add_row(
            row["task"],
            row["kernel"] + (" *" if row.get("note") else "") + (" !" if _disturbed(row) else ""),
            *(str(row.get(letter, "")) for letter in "KBMHT"),
            f"{1e3 * row['seconds_per_presentation']:.4g}",
            _cell(row.get("speedup_over_reference"), 1, ".4g"),
            _cell(row.get("fraction_of_gemm_peak"), 100, ".3g"),
            _cell(row.get("gflop"), 1, ".3g"),
            _cell(row.get("peak_mb"), 1, ".0f"),
            str(row.get("update_every") or ""),
        )
    console.print(table)
    peak = max((row.get("gemm_peak_gflops", 0) for row in rows), default=0)
    console.print(
        "ms a presentation, best of the repeats of a warm call; GFLOP: dense arithmetic a presentation; sgemm: "
        f"the machine's own float32 matrix products, {peak:.0f} GFLOP/s; MB: highest resident memory of a process "
        "that does nothing else",
        style="dim",
        soft_wrap=True,
    )
    for note in dict.fromkeys(row["note"] for row in rows if row.get("note")):
        console.print(f"* {note}", style="dim", soft_wrap=True)
    if any(map(_disturbed, rows)):
        console.print(
            f"! meanwhile other processes kept more than {DISTURBED} cores busy: measure again",
            style="dim",
            soft_wrap=True,
        )


def _disturbed(row: Row) -> bool:
    return (row.get("others_cores") or 0) > DISTURBED


def _cell(value: float | None, factor: float, form: str) -> str:
    return "" if value is None else format(factor * value, form)
