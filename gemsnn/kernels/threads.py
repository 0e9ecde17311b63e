"""The cpu kernel's threads: a pool, since parallel regions inside compiled loops collapse on a busy machine.

Waking numba's or BLAS's threads at every step means waiting for the slowest of them at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from queue import SimpleQueue

import numpy as np
import threadpoolctl
import torch

WORKERS = torch.get_num_threads()
_POOL = ThreadPoolExecutor(WORKERS, thread_name_prefix="gemsnn")


def ranges(total: int, parts: int = WORKERS) -> list[tuple[int, int]]:
    """``0 .. total`` in at most this many ranges."""
    edges = np.linspace(0, total, parts + 1).astype(int).tolist()
    return [(low, high) for low, high in pairwise(edges) if high > low]


def each(work: Callable[..., None], arguments: list[tuple]) -> None:
    """Call ``work`` with each of these, side by side, and wait: the last of them in this very thread.

    Not to be called from within.
    """
    others = [_POOL.submit(work, *each) for each in arguments[:-1]]
    for last in arguments[-1:]:
        work(*last)
    for other in others:
        other.result()


class Partner:
    """A thread that does half of many short pieces of work: handing one over costs less than with the pool."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[..., None], tuple] | None] = SimpleQueue()
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()

    def __enter__(self) -> Partner:
        """Begin to wait for work, on one of the pool's threads."""
        self._running = _POOL.submit(self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._work.put(None)
        self._running.result()

    def _serve(self) -> None:
        while (piece := self._work.get()) is not None:
            try:
                piece[0](*piece[1])
            except BaseException as error:
                self._done.put(error)
            else:
                self._done.put(None)

    def share(self, work: Callable[..., None], theirs: tuple, mine: tuple) -> None:
        """Call ``work`` with both, side by side, and wait."""
        self._work.put((work, theirs))
        work(*mine)
        error = self._done.get()
        if error is not None:
            raise error


@cache
def blas() -> threadpoolctl.ThreadpoolController:
    """BLAS's own threads, to be limited where its products are too small for them."""
    return threadpoolctl.ThreadpoolController()
