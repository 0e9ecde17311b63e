"""Processes that work on one thing together, over torch.distributed: who they are, and what they tell one another.

They are started by ``torchrun``, or by :mod:`gemsnn.machine.launching`, which starts the same thing. Each process is a
worker with a rank from 0 on; messages go over gloo, which every CPU has.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NoReturn

import torch
from torch import Tensor

from gemsnn.errors import REFUSED, InputError, LostError

WAIT_MINUTES = 10
"""After which a worker that is alive but says nothing is given up. One that dies is missed at once."""

_PREPARING = timedelta(days=30)
"""How long the first worker may prepare the others' work: data to be built, a search to be made."""

_REFUSED = "refused"
"""What is in the launcher's store after bad input."""


def size() -> int:
    """How many workers the launcher has started; 1 where there is none."""
    return int(os.environ.get("WORLD_SIZE", "1")) if is_launched() else 1


def is_launched() -> bool:
    """Whether a launcher has started this process as one of several."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ and "MASTER_ADDR" in os.environ


def rank() -> int:
    """The number of this worker; 0 where there is no other."""
    return int(os.environ["RANK"]) if is_launched() else 0


def restarts() -> int:
    """How many times the launcher has started all workers anew."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


class Group:
    """All workers, from within one of them.

    Attributes:
        rank: the number of this one.
        size: how many there are, W.
        waited: seconds that this one has waited for others and for messages.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size, self.waited = rank, size, 0.0
        self._among = _new(list(range(size)))
        self._teams: dict[tuple[int, ...], Any] = {}

    def team(self, ranks: list[int]) -> Any:
        """Some workers, among whom :meth:`gathered` can gather; all workers must name all teams in one order."""
        return self._teams.setdefault(tuple(ranks), _new(ranks))

    def told(self, what: Any = None) -> Any:
        """What the first worker says, on all of them; for as long as it takes that one to come to say it."""
        import torch.distributed as dist

        said = [what]
        with self._waiting():
            dist.broadcast_object_list(said, src=0)
        return said[0]

    def all(self, what: Any) -> list[Any]:
        """What every worker says, in the order of ranks."""
        import torch.distributed as dist

        said: list[Any] = [None] * self.size
        with self._waiting():
            dist.all_gather_object(said, what, group=self._among)
        return said

    def gathered(self, leaf: Tensor, team: Any) -> list[Tensor]:
        """A tensor of one shape from every worker of a team, in the order of ranks."""
        import torch.distributed as dist

        found = [torch.empty_like(leaf) for _ in range(dist.get_world_size(team))]
        with self._waiting():
            dist.all_gather(found, leaf.contiguous(), group=team)
        return found

    def summed(self, rows: Tensor, counts: Sequence[int]) -> Tensor:
        """The sum of all workers' rows, each ``[r, n]``, every number added up in the order of ranks and rows: ``[n]``.

        Every worker adds up one stretch of them, so that each sends and receives ``(W - 1) / W`` of its rows and as
        much of the sum, whatever W is.

        Args:
            rows: this worker's.
            counts: how many each worker has.
        """
        import torch.distributed as dist

        width, most = rows.shape[1], max(counts)
        stretch = -(-width // self.size)
        # what is of the right shape already is not copied: directions are large
        if stretch * self.size > width or len(rows) < most:
            rows = torch.nn.functional.pad(rows, (0, stretch * self.size - width, 0, most - len(rows)))
        given = rows.view(most, self.size, stretch).transpose(0, 1).contiguous()
        pieces, whole = torch.empty_like(given), rows.new_empty(self.size * stretch)
        with self._waiting():
            dist.all_to_all_single(pieces, given, group=self._among)
        found = pieces.view(-1, stretch)
        if min(counts) < most:
            found = torch.cat([piece[:count] for piece, count in zip(pieces, counts, strict=True)])
        with self._waiting():
            dist.all_gather(list(whole.split(stretch)), added(found), group=self._among)
        return whole[:width]

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Count the time of a message.

        Raises:
            LostError: another worker is gone.
        """
        began = time.perf_counter()
        try:
            yield
        except RuntimeError as error:
            raise LostError(
                f"worker {self.rank} of {self.size} has lost another one, which ended or said nothing for "
                f"{WAIT_MINUTES} minutes ({str(error).splitlines()[0]}); what was saved before is whole"
            ) from error
        finally:
            self.waited += time.perf_counter() - began


def added(rows: Tensor) -> Tensor:
    """The sum of rows ``[r, n]``, one after the other: else the order of the sum would be torch's."""
    total = rows[0].clone()
    for row in rows[1:]:
        total += row
    return total


def _new(ranks: list[int]) -> Any:
    import torch.distributed as dist

    return dist.new_group(ranks, timeout=timedelta(minutes=WAIT_MINUTES), backend="gloo")


@contextmanager
def joined() -> Iterator[Group]:
    """Meet the other workers that the launcher has started; inside, they are a group.

    A worker ends with the process that has started it.

    Raises:
        InputError: they cannot be reached.
        SystemExit: they were started anew after bad input, which has been told and would be told again.
    """
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    threading.Thread(target=_end_with, args=(os.getppid(), lambda: os._exit(1)), daemon=True).start()
    try:
        store, rank, size = next(rendezvous("env://", timeout=_PREPARING))
        if restarts() and store.check([_REFUSED]):
            sys.exit(REFUSED)
        # the launcher keeps one store over restarts, where the addresses of workers that are gone would be met
        own = PrefixStore(f"restart {restarts()}", store)
        dist.init_process_group("gloo", store=own, rank=rank, world_size=size, timeout=_PREPARING)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"the other workers cannot be reached ({str(error).splitlines()[0]}); start them by gemsnn train --workers "
            "or by torchrun"
        ) from error
    try:
        yield Group(rank, size)
    except LostError:
        raise
    except InputError:
        store.set(_REFUSED, "")
        raise
    finally:
        dist.destroy_process_group()


def _end_with(parent: int, end: Callable[[], NoReturn]) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    end()
