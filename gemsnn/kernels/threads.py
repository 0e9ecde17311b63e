"""The cpu kernel's threads: a pool, since parallel regions inside compiled loops collapse on a busy machine.

Waking numba's or BLAS's threads at every step means waiting for the slowest of them at every step.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from itertools import pairwise

import numpy as np
import threadpoolctl
import torch


def workers() -> int:
    """How many threads may work, torch's number: it decides who does what, never how work is split."""
    return torch.get_num_threads()


def ranges(total: int, parts: int) -> list[tuple[int, int]]:
    """``0 .. total`` in at most this many ranges."""
    edges = np.linspace(0, total, parts + 1).astype(int).tolist()
    return [(low, high) for low, high in pairwise(edges) if high > low]


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads beside the calling one, which works too."""
    return ThreadPoolExecutor(max(1, workers() - 1), thread_name_prefix="gemsnn")


def _begin_anew() -> None:
    """A forked child has none of its parent's threads, and OpenMP's, beneath torch, would be waited for without end."""
    _pool.cache_clear()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def each(work: Callable[..., None], arguments: list[tuple]) -> None:
    """Call ``work`` with each of these, side by side, this very thread helping, and wait.

    Not to be called from within.
    """
    left = iter(arguments)  # whose next() is one step under the interpreter's lock

    def take() -> None:
        for given in left:
            work(*given)

    helpers = [_pool().submit(take) for _ in range(min(workers(), len(arguments)) - 1)]
    take()
    for helper in helpers:
        helper.result()


@cache
def _blas() -> threadpoolctl.ThreadpoolController:
    """All libraries whose products the cpu kernel uses.

    A controller knows the libraries that are loaded when it is made. Those of compiled products (``np.dot``) are
    scipy's, which numba loads no sooner than it needs them.
    """
    importlib.import_module("scipy.linalg.cython_blas")
    return threadpoolctl.ThreadpoolController()


def one_for_blas() -> AbstractContextManager:
    """BLAS gets one thread: products are too small here to be worth waking others, and sums follow their number."""
    return _blas().limit(limits=1, user_api="blas")
