"""Recordings read and binned one after the other, by several processes where there are many bytes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gemsnn.data import cache
from gemsnn.data.binning import BinSpec, bin_and_tally
from gemsnn.data.events import Recording
from gemsnn.data.tally import Tally
from gemsnn.errors import InputError
from gemsnn.machine import workers
from gemsnn.rows import SpikeRows

PARALLEL_BYTES = 100_000_000
"""Bytes of files from which on processes of their own read them: starting those takes seconds."""

AT_A_TIME = 32
"""Recordings that a process takes at a time."""


@dataclass(frozen=True)
class Item:
    """A recording to be read.

    Attributes:
        label: its class.
        index: its presentation index, which addresses its noise.
        source: where it is, as the listing's reader understands it.
        name: for messages.
        path: the file that holds it, where one does.
    """

    label: int
    index: int
    source: Any
    name: str
    path: Path | None = None


Read = Callable[[Iterable[Item]], Iterator[Recording]]
Prepare = Callable[[Item, Recording], Recording]


class Binned(NamedTuple):
    """What became of one recording.

    Attributes:
        rows: its bins.
        tally: what became of its events.
        content: the digest of its events; ``None`` where there are none.
        repairs: what was mended, counted by kind.
    """

    rows: SpikeRows
    tally: Tally
    content: str | None
    repairs: dict[str, int]


class Damaged(NamedTuple):
    """A recording that could not be read, and why."""

    item: Item
    why: str


class Job(NamedTuple):
    """How recordings are read and binned; can be sent to another process.

    Attributes:
        read: the recordings of items, one by one.
        prepare: what is done to a recording before it is binned; ``None`` for nothing.
        spec: the bins.
        skip: whether a damaged recording is left out.
    """

    read: Read
    prepare: Prepare | None
    spec: BinSpec
    skip: bool = False


def build(job: Job, items: Sequence[Item], *, size: int = 0) -> Iterator[Binned | Damaged]:
    """All items in their order.

    Args:
        job: how.
        items: which.
        size: bytes of the files that hold them, which decides whether processes share the work; they do what one
            would have done.

    Raises:
        InputError: a recording is damaged, and damaged ones are not to be left out.
    """
    if size < PARALLEL_BYTES or len(items) <= AT_A_TIME:
        yield from _work(job, items)
        return
    for done in workers.mapped(partial(_listed, job), in_portions(items)):
        yield from done


def in_portions(items: Sequence[Any]) -> list[Sequence[Any]]:
    """What processes take at a time."""
    return [items[start : start + AT_A_TIME] for start in range(0, len(items), AT_A_TIME)]


def _listed(job: Job, items: Sequence[Item]) -> list[Binned | Damaged]:
    return list(_work(job, items))


def _work(job: Job, items: Sequence[Item]) -> Iterator[Binned | Damaged]:
    if not job.skip:
        for item, recording in zip(items, job.read(items), strict=True):
            yield _binned(job, item, recording)
        return
    for item in items:  # each by itself, since a reader that has failed cannot go on
        try:
            (recording,) = job.read([item])
            yield _binned(job, item, recording)
        except InputError as error:
            yield Damaged(item, str(error))


def _binned(job: Job, item: Item, recording: Recording) -> Binned:
    events = len(recording.events)
    content = cache.digest(recording.events) if events else None
    if job.prepare is not None:
        recording = job.prepare(item, recording)
    rows, tally = bin_and_tally(recording.events, job.spec, width=recording.width, height=recording.height)
    tally = tally._replace(moved=events - len(recording.events))
    return Binned(rows, tally, content, recording.repairs)
