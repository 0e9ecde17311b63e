"""Answers to many recordings: memory, speed, and what is left after processes were killed at any moment.

python benchmarks/predict_scale.py --root FOLDER                          (N-MNIST: the folder that holds Train)
python benchmarks/predict_scale.py --root FOLDER --counts 1000 5000 --workers 1

Recordings are copies of real ones, each moved, turned, scaled and thinned in its own way, of their first tenth of a
second; beyond ten thousand they are hard links to those, which other noise answers. A small network learns from the
originals. Each count but the last is answered as it is. The last is killed twice, with all its processes, at moments
that are drawn; it goes on each time. Then every recording must have one row, and the rows must be those of an answer to
their first thousand without a kill. One line of JSON for each.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gemsnn.data import augment, folders
from gemsnn.data.augment import AugmentSpec
from gemsnn.data.events import EVENT, Events
from gemsnn.data.readers.files import read_recording

SENSOR, LENGTH_US = (34, 34), 100_000
CHANGED = AugmentSpec(shift=3, rotate=10.0, zoom=0.1, drop_events=0.2)
TRAINING = [
    "--recipe", "paper", "--crop", "8,8,10x10", "--steps", "20", "--warm-up", "0.2", "--epochs", "1", "--votes", "3",
]  # fmt: skip
IN_A_FOLDER = 1000
DISTINCT = 10_000
SAMPLE = 1000
GEMSNN = [sys.executable, "-m", "gemsnn"]


def nmnist(events: Events) -> bytes:
    """Events as N-MNIST has them: x, y, and 24 bits of polarity and time."""
    t, on = events["t"].astype(np.int64), events["on"].astype(np.int64)
    columns = [events["x"], events["y"], on << 7 | t >> 16, t >> 8 & 0xFF, t & 0xFF]
    return np.stack(columns, axis=1).astype(np.uint8).tobytes()


def copies(root: Path, out: Path, count: int, seed: int) -> None:
    """Write so many recordings, each a changed copy of a real one; those that are there already stay."""
    originals = []
    for path in folders.event_files(root)[0]:
        events = read_recording(path).events
        originals.append(events[events["t"] < LENGTH_US].astype(EVENT))
    names = listed(count)
    for number, name in enumerate(names):
        path = out / name
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if number >= DISTINCT:
            path.hardlink_to(out / names[number % DISTINCT])
            continue
        changed = augment.augmented(
            originals[number % len(originals)], CHANGED, width=SENSOR[0], height=SENSOR[1], duration_us=LENGTH_US,
            seed=seed, epoch=0, address=number,
        )  # fmt: skip
        path.write_bytes(nmnist(changed[changed["t"] < LENGTH_US]))


def listed(count: int) -> list[str]:
    """The names of the recordings, in order."""
    return [f"{number // IN_A_FOLDER:03d}/{number}.bin" for number in range(count)]


class Watched:
    """A command with its processes: how long it runs, and the most memory that each of them ever held."""

    def __init__(self, words: list[str]) -> None:
        self.began, self.most = time.perf_counter(), dict[int, float]()
        self.process = subprocess.Popen([*GEMSNN, *words], start_new_session=True)

    def wait(self, killed: Callable[[], bool] = lambda: False) -> int | None:
        """Until it ends, or until it is to be killed, all of it, when ``None`` is returned."""
        while self.process.poll() is None:
            for process in (self.process.pid, *_children(self.process.pid)):
                if (held := _peak(process)) is not None:
                    self.most[process] = max(held, self.most.get(process, 0.0))
            if killed():
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                return None
            time.sleep(0.2)
        return self.process.returncode

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def memory(self) -> dict[str, float]:
        """Peak resident memory in MiB, of the command and of the largest of those that share its work."""
        own = self.most.pop(self.process.pid)
        return {"command_mib": round(own), "worker_mib": round(max(self.most.values(), default=own))}


def _children(parent: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()))
    except OSError:
        return []


def _peak(process: int) -> float | None:
    """VmHWM in MiB."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None


def answers(path: Path) -> dict[str, dict[str, str]]:
    """Rows by recording, each of which must have one."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {row["recording"]: row for row in rows}
    assert len(found) == len(rows), f"{len(rows) - len(found)} rows come twice"
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--votes", type=int, default=3)
    parser.add_argument("--shard", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temporary", type=Path, help="where the recordings lie while they are needed")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="predict-scale-", dir=arguments.temporary))
    try:
        return measured(arguments, folder)
    finally:
        shutil.rmtree(folder)


def measured(arguments: argparse.Namespace, folder: Path) -> int:
    run, draw = folder / "run", random.Random(arguments.seed)
    of_nmnist = ["--data", "nmnist", "--root", str(arguments.root)]
    subprocess.run([*GEMSNN, "train", *of_nmnist, *TRAINING, "--out", str(run)], check=True)
    for count in arguments.counts:
        answer(arguments, run, folder, count, draw)
    return 0


def answer(arguments: argparse.Namespace, run: Path, folder: Path, count: int, draw: random.Random) -> None:
    """So many recordings; the last count with kills."""
    recordings, out = folder / f"recordings-{count}", folder / f"answers-{count}.csv"
    copies(arguments.root, recordings, count, arguments.seed)
    words = [
        "predict", str(run), str(recordings), "--votes", str(arguments.votes), "--workers", str(arguments.workers),
        "--shard", str(arguments.shard), "--out", str(out),
    ]  # fmt: skip
    kills = arguments.kills if count == arguments.counts[-1] else 0
    of_all = count // arguments.shard
    moments = sorted(draw.uniform(0.05, 0.95) * of_all for _ in range(kills))
    seconds, memory, killed = 0.0, [], []
    for moment in [*moments, None]:
        watched = Watched(words)
        code = watched.wait(_when(out, moment, draw) if moment is not None else lambda: False)
        seconds += watched.seconds
        memory.append(watched.memory)
        assert code == (0 if moment is None else None), f"it ended with code {code}"
        if moment is not None:
            killed.append(len(_parts(out)))
            assert not out.exists()
    found = answers(out)
    assert list(found) == listed(count)
    assert not any(row["error"] for row in found.values())
    told = {
        "recordings": count, "workers": arguments.workers, "seconds": round(seconds, 1),
        "per_second": round(count / seconds), "shards": of_all, "killed_after_shards": killed,
        **{name: max(each[name] for each in memory) for name in memory[0]},
    }  # fmt: skip
    print(json.dumps(told), flush=True)
    if kills:
        print(json.dumps({"rows_as_without_a_kill": _same(arguments, run, recordings, found)}), flush=True)
    shutil.rmtree(recordings)


def _parts(out: Path) -> list[Path]:
    return list(out.with_name(f".{out.name}.parts").glob("part-*"))


def _when(out: Path, parts: float, draw: random.Random) -> Callable[[], bool]:
    """Some time after so many parts are there: whether it is now."""
    late, since = draw.uniform(0, 3), list[float]()

    def now() -> bool:
        if not since and len(_parts(out)) >= parts:
            since.append(time.perf_counter())
        return bool(since) and time.perf_counter() - since[0] >= late

    return now


def _same(
    arguments: argparse.Namespace, run: Path, recordings: Path, found: dict[str, dict[str, str]]
) -> int:
    """How many rows of a sample are as an answer to these alone gives them, without a kill and by one process."""
    names = listed(len(found))[:SAMPLE]
    (recordings / "sample").write_text("".join(f"{name}\n" for name in names))
    out = recordings.parent / "sample.csv"
    words = ["predict", str(run), str(recordings / "sample"), "--listed", "--votes", str(arguments.votes)]
    assert Watched([*words, "--out", str(out)]).wait() == 0
    wanted = answers(out)
    assert list(wanted) == names
    assert all(found[name] == wanted[name] for name in names)
    return len(names)


if __name__ == "__main__":
    sys.exit(main())
