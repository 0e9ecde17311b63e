"""The kernels of this checkout beside those of another commit, pair by pair.

    python benchmarks/beside.py COMMIT [--tasks paper,batch,infer,digits,peers] [--kernels cpu] [--pairs 40]

The commit is checked out beside this one, in a temporary folder. For every case of ``gemsnn bench`` two processes, one
of each checkout, are asked for a repeat in turn and take turns in going first, so that whatever else the machine does
comes to both. Printed are the best times of a presentation and the median of the pairs' ratios (this checkout to the
other), with an interval that holds the median of many such pairs with a probability of 0.95 (from the order of the
ratios alone). It ends with 1 where that interval lies above ``--limit`` in some case.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from math import comb
from pathlib import Path
from typing import Any

from gemsnn.bench import cases
from gemsnn.bench.suite import Bench
from gemsnn.data import datasets

HERE = Path(__file__).resolve().parents[1]
STARTS = 4
"""How often the two processes of a case are started anew."""


class Side:
    """One checkout at work on one case."""

    def __init__(self, checkout: Path, cache: Path, job: dict[str, Any]) -> None:
        env = os.environ | {"PYTHONPATH": str(checkout), "GEMSNN_CACHE": str(cache)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(HERE / "benchmarks" / "beside_child.py")],
            cwd=checkout, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._tell(json.dumps(job))

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """The next line, once it has come."""
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise SystemExit("a process of this benchmark failed; it has said why above")
        return line.strip()

    def once(self) -> float:
        """Seconds of a presentation in one repeat."""
        self._tell("again")
        return float(self.answer())

    def end(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def interval(values: list[float]) -> tuple[float, float]:
    """Order statistics between which the median of the values' distribution lies with a probability of 0.95."""
    values, n = sorted(values), len(values)
    below, cut = 0.0, 0
    while cut < n // 2 and below + comb(n, cut) / 2**n <= 0.025:
        below += comb(n, cut) / 2**n
        cut += 1
    low = max(cut - 1, 0)
    return values[low], values[n - 1 - low]


def pairs(job: dict[str, Any], checkouts: list[tuple[Path, Path]], count: int) -> list[tuple[float, float]]:
    """Seconds of the other and of this checkout, pair by pair, from processes that are started several times.

    How memory happens to lie in a process moves its times by some per cent for as long as it lives.
    """
    found = []
    for start in range(STARTS):
        sides = [Side(checkout, cache, job) for checkout, cache in checkouts]
        try:
            for side in sides:
                side.answer()
            for number in range(start, count, STARTS):
                order = (0, 1) if number // STARTS % 2 == 0 else (1, 0)
                times = {at: sides[at].once() for at in order}
                found.append((times[0], times[1]))
        finally:
            for side in sides:
                side.end()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commit")
    parser.add_argument("--tasks", default="paper,batch,infer,digits,peers")
    parser.add_argument("--kernels", default="cpu")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--limit", type=float, default=1.05)
    parser.add_argument("--out", type=Path, help="a file for all pairs, one JSON a line")
    parser.add_argument(
        "--cache", type=Path, help="a folder for compiled code, which the next run can use again"
    )
    args = parser.parse_args()
    slower = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        other = folder / "other"
        subprocess.run(
            ["git", "-C", HERE, "worktree", "add", "--quiet", "--detach", other, args.commit], check=True
        )
        cache = (args.cache or folder).resolve()
        checkouts = [(other, cache / f"cache-{args.commit}"), (HERE, cache / "cache")]
        try:
            bench = Bench(datasets.load(datasets.DataSpec()).train, [], repeat=1, quick=False, folder=folder)
            for task in args.tasks.split(","):
                for index, case in enumerate(cases.cases(task)):
                    for kernel in args.kernels.split(","):
                        job = {"task": task, "index": index, "kernel": kernel, "bins": str(bench.bins(case))}
                        found = pairs(job, checkouts, args.pairs)
                        ratios = [this / that for that, this in found]
                        low, high = interval(ratios)
                        best = [1e3 * min(times) for times in zip(*found, strict=True)]
                        name = f"{task} K={case.compartments} B={case.batch} {kernel}"
                        if low > args.limit:
                            slower.append(name)
                        print(
                            f"{name:28} {best[0]:8.3f} -> {best[1]:8.3f} ms  "
                            f"{statistics.median(ratios):5.3f} ({low:.3f} to {high:.3f})", flush=True,
                        )  # fmt: skip
                        if args.out is not None:
                            with args.out.open("a") as file:
                                file.write(json.dumps({"case": name, "pairs": found}) + "\n")
        finally:
            subprocess.run(["git", "-C", HERE, "worktree", "remove", "--force", other], check=True)
    if slower:
        sys.exit(f"slower than {args.limit} times: {', '.join(slower)}")


if __name__ == "__main__":
    main()
