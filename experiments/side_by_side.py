"""The runs of a grid shared by processes: every one takes each n-th run, with one thread."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys


def add_flags(parser: argparse.ArgumentParser) -> None:
    """``--jobs``, and the part that each of them does."""
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the runs")
    parser.add_argument("--part", help=argparse.SUPPRESS)


def part(arguments: argparse.Namespace) -> slice:
    """The runs that this process does; where there are several jobs, they are done when this returns, and none is left.

    Exits with the code of the first that fails; what is done stays done.
    """
    if arguments.part is not None:
        first, step = map(int, arguments.part.split("/"))
        return slice(first, None, step)
    if arguments.jobs == 1:
        return slice(None)
    started = [
        subprocess.Popen(
            [sys.executable, *sys.argv, "--part", f"{n}/{arguments.jobs}"],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for n in range(arguments.jobs)
    ]
    codes = [process.wait() for process in started]
    if any(codes):
        sys.exit(next(code for code in codes if code))
    return slice(0, 0)
