"""Parts of an experiment, each a process and a file of its own; and means over their seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from gemsnn.errors import InputError
from gemsnn.machine import children
from gemsnn.machine.children import Children
from gemsnn.types import AnyPath

Mean = dict[str, float | None]
"""``mean`` and ``error``, one standard error over seeds; ``None`` with one seed."""


class Job(Protocol):
    """A part's work."""

    @property
    def path(self) -> str:
        """Where the part goes."""
        ...


J = TypeVar("J", bound=Job)


def make_folder(out: AnyPath, what: str) -> None:
    """Make the folder of a new experiment and of its parts; ``what`` is what a sentence calls it.

    Raises:
        InputError: there is something else, or it cannot be made.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists already and is no {what}; choose another --out")
    try:
        (out / "parts").mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{out} cannot be made ({error.strerror}); choose another --out") from error


def missing(jobs: Sequence[J], read: Callable[[J], object], say: Callable[[str], None]) -> list[J]:
    """The jobs whose parts are not there, or not whole; how many are is said."""
    found = [job for job in jobs if not _is_done(job, read)]
    if len(found) < len(jobs):
        say(f"{len(jobs) - len(found)} of {len(jobs)} parts are there already")
    return found


def _is_done(job: J, read: Callable[[J], object]) -> bool:
    try:
        read(job)
    except InputError:
        return False
    return True


def run_all(
    module: str,
    jobs: Sequence[J],
    at_once: int,
    *,
    name: Callable[[J], str],
    told: Callable[[J], str],
    say: Callable[[str], None],
    beside: AnyPath | None = None,
) -> None:
    """Run jobs side by side, each a process with one thread; none outlives a stop.

    Args:
        module: what runs in a process, given a job as JSON.
        jobs: in the order in which they begin.
        at_once: how many at a time.
        name: what a sentence calls a job.
        told: what is said of the part of a job that is done.
        say: takes a line for each.
        beside: the folder in which the module lies, where it is none of this package.

    Raises:
        InputError: a part failed.
    """
    command = children.module(module, beside)
    alone = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with Children() as running, ThreadPoolExecutor(at_once) as pool:
        waiting = {
            pool.submit(running.run, command, msgspec.json.encode(job), environment=alone): job
            for job in jobs
        }
        try:
            for number, future in enumerate(as_completed(waiting), 1):
                job, (code, _) = waiting[future], future.result()
                if code:
                    raise InputError(
                        f"the part {name(job)} failed (code {code}); run the same command again to go on"
                    )
                say(f"{number}/{len(jobs)}  {name(job)}: {told(job)}")
        except BaseException:
            for future in waiting:
                future.cancel()
            running.stop()
            raise


def mean(values: Sequence[float]) -> Mean:
    """Mean and standard error over seeds."""
    error = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "error": error}


def cell(value: Mean, digits: int) -> str:
    """A mean with its error as a table has it."""
    error = "" if value["error"] is None else f" ± {value['error']:.{digits}f}"
    return f"{value['mean']:.{digits}f}{error}"
