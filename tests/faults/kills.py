"""kill -9 at random moments of a training or of a stream: it goes on, and ends as if it had never been stopped.

    python tests/faults/kills.py train [--kills 200] [--seed 0]
    python tests/faults/kills.py stream [--kills 200] [--seed 0]

Every trial is a process forked from this one, which saves the imports; it runs the command line and is killed after a
random time, as often as it takes until one trial gets through. Then what it leaves behind must be that of a run that
nobody stopped: weights, metrics, samples and scores of a training; of a stream, which learns, all of its state and
every line that it has written.
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
from typing import Protocol

os.environ["OMP_NUM_THREADS"] = "1"  # a forked process has none of its parent's threads

import numpy as np
from safetensors.torch import load_file

from gemsnn.commands import cli
from gemsnn.store.checkpoints import Checkpoints
from gemsnn.store.records import RunFolder

sys.path.insert(0, str(Path(__file__).parents[1]))
from event_files import aedat2, random_events
from runs import FORMER, words_of

SETTINGS = [
    "--limit", "60", "--hidden", "6", "--epochs", "6", "--batch", "4", "--checkpoint-every", "3", "--evaluate-every",
    "2", "--votes", "3", *words_of(FORMER | {"--compartments": "2"}),
]  # fmt: skip


def run(words: list[str], after: float | None, out: Path = Path(os.devnull)) -> int | None:
    """Run a command in a forked process, its lines added to a file; its exit code, or ``None`` if it was killed."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT), 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        code = cli.main(words)
        sys.stdout.flush()
        os._exit(code)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


class Victim(Protocol):
    """What is killed."""

    def trial(self, out: Path, after: float | None) -> int | None:
        """Begin in a folder, or go on there; the exit code, or ``None`` if it was killed."""
        ...

    def outcome(self, out: Path) -> dict[str, str]:
        """What it leaves behind at its end, but for its times."""
        ...


class Training:
    """A training run."""

    def trial(self, out: Path, after: float | None) -> int | None:
        if not (out / "config.toml").exists():
            return run(["train", *SETTINGS, "--out", str(out)], after)
        code = run(["train", "--resume", str(out)], after)
        if code == 2 and json.loads((out / "manifest.json").read_text())["status"] == "finished":
            return 0  # it was killed after its very end
        return code

    def outcome(self, out: Path) -> dict[str, str]:
        metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        for row in metrics:
            del row["seconds"]
        kept = sorted(out.glob("*.safetensors"))
        return {
            "weights": json.dumps(RunFolder(out).load_checkpoint()[1]["sha256"]),
            "metrics": json.dumps(metrics),
            "scores": (out / "metrics.json").read_text(),
            "model": (out / "model.json").read_text(),
            **{path.stem: _numbers(path) for path in kept},
        }


def _numbers(path: Path) -> str:
    return str({name: leaf.tolist() for name, leaf in sorted(load_file(path).items())})


class Stream:
    """A stream that learns from a file of events, with a label that changes."""

    def __init__(self, folder: Path) -> None:
        self.model, self.events, self.labels = folder / "model", folder / "x.aedat", folder / "labels"
        assert run(["train", *SETTINGS, "--out", str(self.model)], None) == 0
        self.events.write_bytes(aedat2(random_events(np.random.default_rng(0), 60_000, 26, 60_000_000)))
        self.labels.write_text("".join(f"label,{2_000_000 * i},{i % 10}\n" for i in range(30)))

    def trial(self, out: Path, after: float | None) -> int | None:
        words = [
            "stream", "--model", str(self.model), "--input", str(self.events), "--speed", "max", "--learn", "--labels",
            str(self.labels), "--x0", "0", "--y0", "0", "--update-every", "7", "--save-every", "100", "--state",
            str(out / "state"),
        ]  # fmt: skip
        out.mkdir(exist_ok=True)
        return run(words, after, out / "lines")

    def outcome(self, out: Path) -> dict[str, str]:
        """Lines since the last saved state come twice; one that the kill has cut short comes again, whole."""
        lines: dict[int, str] = {}
        for text in (out / "lines").read_text().split("\n"):
            for part in text.replace("}{", "}\n{").split("\n"):
                try:
                    row = json.loads(part[part.rfind("{") :])
                except ValueError:
                    continue
                assert lines.setdefault(row["bin"], json.dumps(row)) == json.dumps(row)
        tensors, facts = Checkpoints(out / "state").load()
        return {
            "state": json.dumps({name: leaf.tolist() for name, leaf in sorted(tensors.items())}),
            "lines": json.dumps([lines[bin] for bin in range(facts["bins"])]),
        }


def digests(outcome: dict[str, str]) -> dict[str, str]:
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in outcome.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("victim", choices=["train", "stream"])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw, folder = random.Random(arguments.seed), Path(tempfile.mkdtemp())
    victim: Victim = Training() if arguments.victim == "train" else Stream(folder)
    assert victim.trial(folder / "compiles", None) == 0
    began = time.perf_counter()
    assert victim.trial(folder / "whole", None) == 0
    wanted, length = digests(victim.outcome(folder / "whole")), time.perf_counter() - began
    kills = runs = early = 0
    while kills < arguments.kills:
        out, runs = folder / f"run{runs}", runs + 1
        while True:
            code = victim.trial(out, draw.uniform(0, length) if kills < arguments.kills else None)
            if code == 0:
                break
            if code is not None:
                print(f"run {runs}: exit code {code} after a kill")
                return 1
            kills += 1
            early += not any(out.rglob("checkpoint.json"))
        found = digests(victim.outcome(out))
        if found != wanted:
            print(f"run {runs} differs in {[name for name in wanted if found[name] != wanted[name]]}")
            return 1
        shutil.rmtree(out)
    shutil.rmtree(folder)
    print(
        f"{kills} kills in {runs} runs of {length:.1f} s, {early} before the first checkpoint: every run went on and "
        f"ended with the same {', '.join(wanted)} ({time.perf_counter() - began:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
