"""kill -9 at random moments of a training run: it resumes, and ends as if it had never been stopped.

    python tests/faults/kills.py [--kills 200] [--seed 0]

Every trial is a process forked from this one, which saves the imports; it runs the command line and is killed after a
random time, as often as it takes until one trial gets through. Then weights, metrics, samples and scores must be those
of a run that nobody stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a forked process has none of its parent's threads

from safetensors.torch import load_file

from gemsnn import cli
from gemsnn.records import RunFolder

SETTINGS = [
    "--limit", "60", "--hidden", "6", "--epochs", "6", "--batch", "4", "--checkpoint-every", "3", "--evaluate-every",
    "2", "--vote-compartments", "3", "--compartments", "2",
]  # fmt: skip


def run(words: list[str], after: float | None) -> int | None:
    """Run a command in a forked process; its exit code, or ``None`` if it was killed."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os._exit(cli.main(words))
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def outcome(out: Path) -> dict[str, str]:
    """Digests of all that a run leaves behind, but for its times."""
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for row in metrics:
        del row["seconds"]
    parts = {
        "weights": json.dumps(RunFolder(out).load_checkpoint()[1]["sha256"]),
        "metrics": json.dumps(metrics),
        "scores": (out / "metrics.json").read_text(),
        "samples": str(
            {name: leaf.tolist() for name, leaf in sorted(load_file(out / "example.safetensors").items())}
        ),
    }
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in parts.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw, folder = random.Random(arguments.seed), Path(tempfile.mkdtemp())
    whole, began = folder / "whole", time.perf_counter()
    assert run(["train", *SETTINGS, "--out", str(whole)], None) == 0
    wanted, length = outcome(whole), time.perf_counter() - began
    kills = runs = early = 0
    while kills < arguments.kills:
        out, runs = folder / f"run{runs}", runs + 1
        while True:
            begun = (out / "manifest.json").exists()
            words = ["train", "--resume", str(out)] if begun else ["train", *SETTINGS, "--out", str(out)]
            code = run(words, draw.uniform(0, length) if kills < arguments.kills else None)
            if code is None:
                kills += 1
                early += not (out / "checkpoint").is_dir()
                continue
            finished = (out / "manifest.json").exists() and json.loads((out / "manifest.json").read_text())[
                "status"
            ]
            if code == 0 or (code == 2 and finished == "finished"):
                break
            print(f"run {runs}: exit code {code} after a kill")
            return 1
        found = outcome(out)
        if found != wanted:
            print(f"run {runs} differs in {[name for name in wanted if found[name] != wanted[name]]}")
            return 1
        shutil.rmtree(out)
    shutil.rmtree(folder)
    print(
        f"{kills} kills in {runs} runs of {length:.1f} s, {early} before the first checkpoint: every run resumed and "
        f"ended with the same weights, metrics, samples and scores ({time.perf_counter() - began:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
