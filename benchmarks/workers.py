"""Trainings over several workers of this machine: what they gain, and what happens when one of them is killed.

    python benchmarks/workers.py speed [--pairs 5] [--workers 1 2 4] [--cases NAME ..] [--quick] [--json FILE.json]
    python benchmarks/workers.py kills [--times 20] [--seed 0] [--quick] [--json FILE.json]

**speed**: presentations a second of batches learned by W workers of one thread each, in turn with one worker in
pairs, for networks whose weights are many or few; with the seconds that each worker waits for messages, a batch.
Generated spikes stand for recordings: 80 bins of 26 x 26 pixels and two polarities, of which one in ten is set.

**kills**: ``gemsnn train --workers 2`` is begun again and again, with and without ``--max-restarts 1``, a worker chosen
at random is killed at a random moment, and the run must end (where it was not started anew, after ``--resume``) with
the weights of a run that nobody disturbed, to the bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
STEPS = 80
CASES: dict[str, dict[str, Any]] = {
    "best on digits: 256 hidden, K = 1, batch 16": {"rule": "one-hop"},
    "gem-cv, K = 1, batch 16": {"rule": "gem-cv", "fitted": True},
    "gem-cv, K = 1, batch 64": {"rule": "gem-cv", "fitted": True, "batch": 64},
    "gem-cv, K = 1, batch 256": {"rule": "gem-cv", "fitted": True, "batch": 256},
    "gem-cv, K = 10, batch 16": {"rule": "gem-cv", "fitted": True, "compartments": 10},
    "gem-cv, K = 10, batch 64": {"rule": "gem-cv", "fitted": True, "batch": 64, "compartments": 10},
    "convolutions, K = 1, batch 16": {"rule": "one-hop", "hidden": 0},
}
"""The fitted ones are of one network and rule, and give the cost model its seconds."""

USUAL = {"hidden": 256, "compartments": 1, "batch": 16, "fitted": False, "split": "presentations"}
SHOWN = "GEMSNN_WORKERS_CASE"


def _environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def _inside(given: dict[str, Any]) -> None:
    """In a worker: learn batches, and let the first worker print what they took."""
    import torch

    from gemsnn import rng
    from gemsnn.kernels import Learning, choose
    from gemsnn.learn import train
    from gemsnn.learn.crew import Crew
    from gemsnn.learn.train import TrainSpec
    from gemsnn.machine import group as groups
    from gemsnn.model import network as networks
    from gemsnn.model.basis import BasisSpec
    from gemsnn.model.network import NetworkSpec
    from gemsnn.rules.base import RuleSpec
    from gemsnn.rules.optimisers import OptimiserSpec
    from gemsnn.types import Presentation

    torch.set_num_threads(1)
    inputs, classes, steps = 2 * 26 * 26, 10, STEPS
    basis = BasisSpec(count=8, taps=10)
    more: dict[str, Any] = {"hidden": (given["hidden"],), "topology": "feedforward"}
    if not given["hidden"]:
        more = {
            "sheet": (2, 26, 26),
            "hidden": ("16x5s2", "32x3s2"),
            "topology": "conv",
            "readouts": "each-layer",
        }
    spec = NetworkSpec(inputs, classes, synapse=basis, output="winner-take-all", **more)
    network = networks.build(spec)
    learning = Learning(RuleSpec(given["rule"]), OptimiserSpec("adam", lr=1e-3), given["compartments"])
    shown = []
    for n in range(given["batch"]):
        draws = rng.generator(0, "shown", n)
        spikes = torch.from_numpy((draws.random((steps, inputs)) < 0.1).astype("uint8"))
        target = torch.zeros(steps, classes, dtype=torch.uint8)
        target[:, n % classes] = 1
        shown.append(Presentation(spikes, target, n % classes, n))
    epochs = given["batches"] + 1
    how = TrainSpec(
        compartments=given["compartments"], epochs=epochs, batch=given["batch"], update_every="presentation"
    )
    _, kernel = choose("auto", network, learning)
    with groups.joined() as group:
        crew = None if group.size == 1 else Crew(group, given["split"], learning)
        began, waited = 0.0, 0.0
        start = train.start(networks.init(network, 0), learning)
        for number, _ in enumerate(
            train.updates(network, start, shown, how, learning, kernel=kernel, crew=crew)
        ):
            if number == 0:  # which compiles
                group.all(None)
                began, waited = time.perf_counter(), group.waited
        seconds = (time.perf_counter() - began) / given["batches"]
        told = group.all((group.waited - waited) / given["batches"])
        if group.rank == 0:
            print(
                json.dumps(
                    {"seconds": seconds, "waited": told, "weights": sum(p.numel() for p in _leaves(start))}
                )
            )


def _leaves(start: Any) -> Any:
    from gemsnn.store import trees

    return trees.leaves(start.params)


def _measured(given: dict[str, Any], workers: int) -> dict[str, Any]:
    words = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
    ]
    words += [str(workers), str(Path(__file__)), "inside"]
    done = subprocess.run(
        words, env=_environment(**{SHOWN: json.dumps(given)}), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def speed(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Pair by pair, so that what else the machine does meets both."""
    rows = []
    for name, case in CASES.items():
        if not any(part in name for part in arguments.cases):
            continue
        given = {**USUAL, **case, "batches": 2 if arguments.quick else 12}
        pairs: dict[int, list[tuple[dict[str, Any], dict[str, Any]]]] = {
            w: [] for w in arguments.workers if w > 1
        }
        for _ in range(1 if arguments.quick else arguments.pairs):
            for workers, found in pairs.items():
                found.append((_measured(given, 1), _measured(given, workers)))
        for workers, found in pairs.items():
            gains = [one["seconds"] / more["seconds"] for one, more in found]
            rows.append({
                "case": name, "workers": workers, "batch": given["batch"], "compartments": given["compartments"],
                "fitted": given["fitted"], "weights": found[0][0]["weights"], "steps": STEPS, "gains": gains,
                "seconds_alone": median(one["seconds"] for one, _ in found),
                "seconds": median(more["seconds"] for _, more in found),
                "waited": median(max(more["waited"]) for _, more in found),
            })  # fmt: skip
            print(
                f"{name:45} W = {workers}: {median(gains):.2f} x ({', '.join(f'{gain:.2f}' for gain in gains)}), "
                f"a batch {rows[-1]['seconds_alone']:.3f} s alone, {rows[-1]['seconds']:.3f} s, of which messages "
                f"{rows[-1]['waited']:.3f} s",
                flush=True,
            )
    return rows


def _train(out: Path, data: Path, *more: str) -> subprocess.Popen[str]:
    words = [
        sys.executable,
        "-m",
        "gemsnn",
        "train",
        "--data",
        "images",
        "--root",
        str(data),
        "--out",
        str(out),
    ]
    words += [
        "--hidden",
        "8",
        "--dtype",
        "float64",
        "--epochs",
        "12",
        "--checkpoint-every",
        "2",
        "--votes",
        "3",
        *more,
    ]
    return subprocess.Popen(
        words, env=_environment(), text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )


def _workers(pid: int) -> list[int]:
    """The workers of a launcher that have not ended: of those that have, nothing but a number is left."""
    found = Path(f"/proc/{pid}/task/{pid}/children")
    children = found.read_text().split() if found.exists() else []
    return [int(each) for each in children if b"\0RANK=" in Path(f"/proc/{each}/environ").read_bytes()]


def _tensors(out: Path) -> bytes:
    """The weights of the last checkpoint, without what tells the time."""
    from gemsnn.store.records import RunFolder

    found = RunFolder(out).load_checkpoint()[0]
    return b"".join(name.encode() + leaf.numpy().tobytes() for name, leaf in sorted(found.items()))


def kills(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A worker at random, at a moment at random, so many times."""
    import numpy as np

    draws, rows = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "images.npz"
        made = np.random.default_rng(0)
        labels = np.arange(120) % 3
        images = made.integers(0, 100, (120, 8, 8), dtype=np.uint8)
        images[np.arange(120), labels * 2] += 120
        np.savez(data, images=images, labels=labels)
        took = 0.0
        for name in ("compiling", "whole"):  # the second alone tells how long a run takes
            began = time.monotonic()
            whole = _train(Path(folder) / name, data, "--workers", "2")
            _, said = whole.communicate()
            if whole.returncode:
                raise SystemExit(said)
            took = time.monotonic() - began
        want = _tensors(Path(folder) / "whole")
        for number in range(2 if arguments.quick else arguments.times):
            restarts = number % 2  # every second one is to end, and is gone on with by hand
            out = Path(folder) / f"run{number}"
            process = _train(out, data, "--workers", "2", "--max-restarts", str(restarts))
            time.sleep(draws.uniform(0.3, 0.9) * took)
            pids = _workers(process.pid)
            killed = bool(pids)
            if killed:
                os.kill(draws.choice(pids), signal.SIGKILL)
            at = time.monotonic()
            _, said = process.communicate(timeout=600)
            seconds = time.monotonic() - at
            ended = process.returncode
            if ended:
                print(f"     it said: {said.strip().splitlines()[-1]}", flush=True)
            manifest = out / "manifest.json"
            if manifest.is_file() and json.loads(manifest.read_text())["status"] == "finished":
                code = 0  # it was killed after its work was done
            elif ended and (out / "config.toml").is_file():
                again = subprocess.run(
                    [sys.executable, "-m", "gemsnn", "train", "--resume", str(out), "--workers", "2"],
                    env=_environment(), capture_output=True, text=True, check=False,
                )  # fmt: skip
                said, code = said + again.stderr, again.returncode
            elif ended:
                again = _train(out, data, "--workers", "2")
                said, code = said + again.communicate()[1], again.returncode
            else:
                code = 0
            same = code == 0 and _tensors(out) == want
            rows.append(
                {"killed": killed, "restarts": restarts, "code": ended, "seconds": seconds, "same": same}
            )
            print(f"{number + 1:3}: {rows[-1]}", flush=True)
            if not same:
                print(said[-1500:], flush=True)
    hit = sum(row["killed"] for row in rows)
    print(
        f"{hit} of {len(rows)} met a worker; {sum(row['same'] for row in rows)} reached the same weights to the bit"
    )
    return rows


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["speed", "kills", "inside"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--cases", nargs="+", default=[""], help="those alone whose names hold one of these")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of kills")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "inside":
        _inside(json.loads(os.environ[SHOWN]))
        return
    rows = speed(arguments) if arguments.what == "speed" else kills(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
