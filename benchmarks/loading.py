"""What recordings take on the way to the kernel: bytes each, seconds to open, and a training's time beside the kernel.

python benchmarks/loading.py nmnist --root FOLDER                (the folder that holds Train)
python benchmarks/loading.py nmnist --root FOLDER --copies 60    (each recording so often, its events a little later)
python benchmarks/loading.py random                              (500 recordings of noise on 346 x 260 pixels, as files)

Opened twice: as new, and from the cache. One line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from gemsnn import kernels
from gemsnn.data import datasets, raw
from gemsnn.data.datasets import DataSpec
from gemsnn.data.readers.nmnist import read_nmnist
from gemsnn.data.splits import Splits
from gemsnn.learn import train
from gemsnn.model import network as networks
from gemsnn.runs.config import Settings


class Timed:
    """A kernel, and the seconds that it has learned for."""

    def __init__(self, kernel) -> None:
        self.kernel, self.seconds = kernel, 0.0

    def __getattr__(self, name):
        return getattr(self.kernel, name)  # what is not timed

    def learn(self, *given, **named):
        began = time.perf_counter()
        learned = self.kernel.learn(*given, **named)
        self.seconds += time.perf_counter() - began
        return learned


def beside_the_kernel(splits: Splits, settings: Settings) -> dict[str, float]:
    """Milliseconds a presentation of the second of two epochs: in all, and what is not the kernel."""
    network = networks.build(settings.network_spec(splits.train.layout), seed=0)
    _, kernel = kernels.choose("auto", network, settings.learning)
    timed, began = Timed(kernel), 0.0
    learner = train.start(networks.init(network, 0), settings.learning)
    shown = raw.learned(splits.train, settings.augment, 0)
    for update in train.updates(network, learner, shown, settings.train, settings.learning, kernel=timed):  # type: ignore
        if update.epoch == 1 and update.ends_epoch:
            timed.seconds, began = 0.0, time.perf_counter()
    total = time.perf_counter() - began
    each = 1000 / len(splits.train)
    return {"ms": total * each, "rest_ms": (total - timed.seconds) * each, "rest": 1 - timed.seconds / total}


def noise(folder: Path, count: int, events: int) -> None:
    """Recordings of half a second, as NumPy files, of two classes in folders."""
    kind = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "?")])
    for number in range(count):
        draw = np.random.default_rng(number)
        place = folder / ("left", "right")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        recorded = np.empty(events, kind)
        recorded["t"] = np.sort(draw.integers(0, 500_000, events))
        recorded["x"], recorded["y"] = draw.integers(0, 346, events), draw.integers(0, 260, events)
        recorded["p"] = draw.integers(0, 2, events)
        np.save(place / f"{number}.npy", recorded)


def copies(root: Path, folder: Path, count: int) -> None:
    """Each recording of N-MNIST so often, all a little different: one of its events comes some microseconds later."""
    for path in sorted(root.glob("Train/*/*.bin")):
        content = bytearray(path.read_bytes())
        place = folder / "Train" / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        last = int(read_nmnist(bytes(content), str(path)).events["t"][-1])
        for copy in range(count):
            t = last + copy
            content[-3:] = bytes([content[-3] & 0x80 | t >> 16, t >> 8 & 255, t & 255])
            (place / f"{int(path.stem) * count + copy}.bin").write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("nmnist", "random"))
    parser.add_argument("--root", type=Path)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--no-training", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GEMSNN_CACHE"] = os.environ.get("GEMSNN_CACHE", str(Path(folder) / "cache"))
        root = arguments.root or Path(folder) / "recordings"
        if arguments.what == "random":
            noise(root, arguments.count, arguments.events)
        elif arguments.copies > 1:
            copies(root, Path(folder) / "recordings", arguments.copies)
            root = Path(folder) / "recordings"
        name = "nmnist" if arguments.what == "nmnist" else "events"
        spec, seconds = DataSpec(data=name, root=root, warm_up=0.5), []
        splits = None
        for _ in range(2):
            began = time.perf_counter()
            splits = datasets.load(spec)
            seconds.append(round(time.perf_counter() - began, 3))
        assert splits is not None
        told = {
            "what": arguments.what,
            "recordings": sum(len(part) for part in splits.parts.values()),
            "bytes": round(splits.train.rows.nbytes / max(len(splits.train), 1)),
            "seconds_new": seconds[0],
            "seconds_cached": seconds[1],
        }
        if not arguments.no_training:
            usual = Settings()
            told |= beside_the_kernel(splits, replace(usual, train=replace(usual.train, epochs=2)))
        told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(json.dumps(told))


if __name__ == "__main__":
    main()
