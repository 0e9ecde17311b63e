"""Feed damaged inputs to every reader: ``python tests/fuzz/run.py --inputs 1000000 [--target NAME] [--seed S]``.

The engine is a seeded mutation engine of our own rather than a coverage-guided one (atheris, AFL): most formats here
hide behind checksums, digests and compression, which blind coverage search does not pass and mutations that know the
format do; an input is a pure function of target, seed and number, so that any failure can be made again from three
words; and it needs nothing but Python, of any version that gemsnn runs on.

Every target runs in a child process with a limit on memory, so that an allocation from a false size field ends in a
MemoryError, and a limit on the time of each input. A child that dies, in whatever library, names the input it died
of, and another goes on behind it. Only an InputError of one line is an acceptable refusal; every other exception, a
warning among them, is a crash. The exit code is 1 after any crash or hang, and their inputs are kept.
"""

from __future__ import annotations

import argparse
import gc
import mmap
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz import targets
from fuzz.targets import TARGETS

TIME_LIMIT_S = 15.0
"""An input that takes longer is a hang."""

MEMORY_LIMIT = 2**30
"""Bytes that a target may ask for on top of what the loaded libraries hold."""

NEXT, ACCEPTED, REFUSED, CRASHED = range(4)


class Outcome(NamedTuple):
    """What became of a target's inputs."""

    inputs: int
    accepted: int
    refused: int
    crashes: int
    hangs: int
    seconds: float


def run_target(name: str, count: int, seed: int, keep: Path) -> Outcome:
    """Run inputs 0 .. count - 1 of a target in child processes."""
    shared = mmap.mmap(-1, 8 * 4)
    told = np.frombuffer(shared, np.int64)
    began, deaths, hangs = time.perf_counter(), 0, 0
    targets.folder()  # made here, so that all children use the same
    TARGETS[name].seeds()
    while told[NEXT] < count:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _work(name, count, seed, keep, told)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            index, number = int(told[NEXT]), os.WTERMSIG(status)
            hangs += number == signal.SIGALRM
            deaths += number != signal.SIGALRM
            words = "HANG" if number == signal.SIGALRM else f"died of {signal.Signals(number).name}"
            _keep(keep, name, seed, index, words)
            told[NEXT] = index + 1
        elif told[NEXT] < count:
            raise RuntimeError(f"the child of {name} ended at input {told[NEXT]} without a reason")
    return Outcome(
        count,
        int(told[ACCEPTED]),
        int(told[REFUSED]),
        int(told[CRASHED]) + deaths,
        hangs,
        time.perf_counter() - began,
    )


def _work(name: str, count: int, seed: int, keep: Path, told: np.ndarray) -> None:
    """The child: run inputs from where ``told`` stands, telling what became of each; never returns."""
    code = 0
    try:
        _limit_memory()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # death by alarm ends a hang inside a library too
        warnings.simplefilter("error")
        seen: Counter[str] = Counter()
        for index in range(int(told[NEXT]), count):
            told[NEXT] = index
            data = targets.make_input(name, seed, index)
            signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT_S)
            try:
                words = targets.check(name, data)
                told[REFUSED if words is not None else ACCEPTED] += 1
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                told[CRASHED] += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
                _keep_first(keep, name, seed, index, error, seen)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        told[NEXT] = count
    except BaseException:
        traceback.print_exc()
        code = 3
    finally:
        sys.stdout.flush()
        os._exit(code)


def _limit_memory() -> None:
    gc.collect()
    pages = (
        int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
    )
    if pages is not None:
        held = pages * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_LIMIT, held + MEMORY_LIMIT))


def _keep_first(
    keep: Path, name: str, seed: int, index: int, error: BaseException, seen: Counter[str]
) -> None:
    """Keep and print the first input of every kind of crash; later ones of a kind are only counted."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "gemsnn" in frame.filename and "fuzz" not in frame.filename]
    place = "; ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in (*ours[-2:], frames[-1]))
    kind = f"{type(error).__name__} at {place}"
    seen[kind] += 1
    if seen[kind] == 1:
        _keep(keep, name, seed, index, f"{kind}: {str(error)[:300]}")
        text = "".join(traceback.format_exception(error))
        (keep / f"{name}-{seed}-{index}.txt").write_text(text, errors="replace")


def _keep(keep: Path, name: str, seed: int, index: int, words: str) -> None:
    path = keep / f"{name}-{seed}-{index}.bin"
    path.write_bytes(targets.make_input(name, seed, index))
    print(f"{name}: input {index} of seed {seed}: {words}\n  kept as {path}", flush=True)


def shares(inputs: int, names: list[str]) -> dict[str, int]:
    """How many inputs each target gets, at least one."""
    total = sum(TARGETS[name].share for name in names)
    counts = {name: max(1, int(inputs * TARGETS[name].share / total)) for name in names}
    counts[names[0]] += max(0, inputs - sum(counts.values()))
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="inputs over all targets")
    parser.add_argument("--target", choices=list(TARGETS), help="one target alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep", type=Path, help="folder for inputs that crash; by default a new temporary one"
    )
    given = parser.parse_args()
    keep = given.keep or Path(tempfile.mkdtemp(prefix="gemsnn-fuzz-kept-"))
    keep.mkdir(parents=True, exist_ok=True)
    names = [given.target] if given.target else list(TARGETS)
    columns = f"{'target':12}" + "".join(f"{name:>10}" for name in Outcome._fields)
    print(columns, flush=True)
    found = []
    try:
        for name, count in shares(given.inputs, names).items():
            found.append(run_target(name, count, given.seed, keep))
            print(_row(name, found[-1]), flush=True)
    finally:
        targets.clear()
    total = Outcome(*(sum(column) for column in zip(*found, strict=True)))
    print(_row("all", total))
    if total.crashes or total.hangs:
        print(f"inputs that crashed or hung are in {keep}")
        return 1
    shutil.rmtree(keep, ignore_errors=True) if given.keep is None else None
    return 0


def _row(name: str, outcome: Outcome) -> str:
    return f"{name:12}" + "".join(f"{value:>10,}" for value in outcome[:-1]) + f"{outcome.seconds:>10.1f}"


if __name__ == "__main__":
    sys.exit(main())
