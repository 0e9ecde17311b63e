"""Milliseconds an emulated recording takes on one core, and seconds for the whole default data set.

python benchmarks/emulator.py
"""

from __future__ import annotations

import os
import tempfile
import time

import numpy as np

from gemsnn.data.binning import BinSpec, bin_events
from gemsnn.data.camera import MNIST_DVS_SCALE4
from gemsnn.data.emulator import emulate
from gemsnn.data.generated import load_digits_events
from gemsnn.data.images import digits_images, framed

REPEATS = 200


def main() -> None:
    images = framed(digits_images().images[:REPEATS])
    bin_events(
        emulate(images[0], MNIST_DVS_SCALE4, seed=0, index=0), BinSpec(), width=26, height=26
    )  # compiles
    milliseconds = []
    for index, image in enumerate(images):
        begin = time.perf_counter()
        emulate(image, MNIST_DVS_SCALE4, seed=0, index=index)
        milliseconds.append(1e3 * (time.perf_counter() - begin))
    low, median, high = np.quantile(milliseconds, [0.05, 0.5, 0.95])
    print(f"{median:.1f} ms a recording of 26 x 26 pixels and 2 s (5 % .. 95 %: {low:.1f} .. {high:.1f} ms)")

    with tempfile.TemporaryDirectory() as folder:
        os.environ["GEMSNN_CACHE"] = folder
        for what in ("made", "read from the cache"):
            begin = time.perf_counter()
            load_digits_events()
            print(f"{time.perf_counter() - begin:.2f} s for the data set digits, {what}")


if __name__ == "__main__":
    main()
