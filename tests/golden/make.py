"""Makes ``goldens.safetensors``: ``cd tests && python -m golden.make``. They were made once; to make them anew is to say
that what the library computes has changed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import gemsnn
from golden import runner
from golden.keeping import Goldens

PATH = Path(__file__).parent / "goldens.safetensors"


def made() -> dict[str, runner.Leaves]:
    results = {}
    for name, run, arguments in runner.results():
        assert name not in results
        results[name] = run(*arguments)
        for leaf, value in results[name].items():
            assert value.isfinite().all(), f"{name}/{leaf} is not finite"
    return results


if __name__ == "__main__":
    torch.set_num_threads(runner.THREADS)
    first, second = made(), made()
    for name, result in first.items():
        assert all(torch.equal(value, second[name][leaf]) for leaf, value in result.items()), name
    note = (
        f"Made by gemsnn {gemsnn.__version__} in its first design, of a network that is one mask over neurons in two "
        "halves, hidden and visible, before it was a graph of populations and projections."
    )
    Goldens.of(first, note).save(PATH)
    print(f"{len(first)} results, {PATH.stat().st_size} bytes", file=sys.stderr)
