"""Several workers started on this machine, by the launcher that ``torchrun`` is."""

from __future__ import annotations

import logging
import os
import signal
import uuid
from collections.abc import Sequence

from gemsnn.errors import INTERRUPTED, LOST, REFUSED, InputError
from gemsnn.machine import children


def launch(words: Sequence[str], workers: int, restarts: int, lost: str) -> int:
    """Run ``python -m gemsnn`` with these words in so many workers, and wait for all; the exit code.

    When one of them ends before its work is done, all are stopped, within a minute and for the most part within
    seconds, and started anew as often as ``restarts`` says. Cores are divided among them.

    Raises:
        InputError: a worker was lost; ``lost`` says what to do.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # what it says is said here in a sentence
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=workers, max_restarts=restarts, run_id=uuid.uuid4().hex,
        rdzv_backend="c10d", rdzv_endpoint="127.0.0.1:0", monitor_interval=0.1,
    )  # fmt: skip
    executable, *before = children.module("gemsnn", tied=False)
    try:
        elastic_launch(config, executable)(*before, *words)
    except SignalException as stopped:
        return INTERRUPTED if stopped.sigval == signal.SIGINT else 128 + stopped.sigval
    except ChildFailedError as failed:
        codes = {rank: failure.exitcode for rank, failure in failed.failures.items()}
        if INTERRUPTED in codes.values():
            return INTERRUPTED
        # the others are told to end when one is lost, or have seen that it is gone
        first = [rank for rank, code in codes.items() if code not in (REFUSED, LOST, -signal.SIGTERM)]
        if not first:
            return REFUSED  # which has been said
        rank, code = first[0], codes[first[0]]
        if code < 0:
            why = f"was ended by {signal.Signals(-code).name}, as happens where there is too little memory"
        else:
            why = f"ended with code {code}"
        again = f" (all were started anew {restarts} times)" if restarts else ""
        raise InputError(f"worker {rank} of {workers} {why}{again}; {lost}") from None
    return 0
