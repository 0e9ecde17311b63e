"""The cpu kernel's threads: a pool, since parallel regions inside compiled loops collapse on a busy machine.

Waking numba's or BLAS's threads at every step means waiting for the slowest of them at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
import threadpoolctl
import torch

WORKERS = torch.get_num_threads()
_POOL = ThreadPoolExecutor(max(1, WORKERS - 1), thread_name_prefix="gemsnn")
"""Beside the calling thread, which works too."""


def ranges(total: int, parts: int = WORKERS) -> list[tuple[int, int]]:
    """``0 .. total`` in at most this many ranges."""
    edges = np.linspace(0, total, parts + 1).astype(int).tolist()
    return [(low, high) for low, high in pairwise(edges) if high > low]


def each(work: Callable[..., None], arguments: list[tuple]) -> None:
    """Call ``work`` with each of these, side by side, this very thread helping, and wait.

    Not to be called from within.
    """
    left = iter(arguments)  # whose next() is one step under the interpreter's lock

    def take() -> None:
        for given in left:
            work(*given)

    helpers = [_POOL.submit(take) for _ in range(min(WORKERS, len(arguments)) - 1)]
    take()
    for helper in helpers:
        helper.result()


@cache
def blas() -> threadpoolctl.ThreadpoolController:
    """BLAS's own threads, to be limited where its products are too small for them."""
    return threadpoolctl.ThreadpoolController()
