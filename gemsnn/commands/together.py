"""What the commands share whose work several workers do: how these are started, and started anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from gemsnn.errors import InputError
from gemsnn.machine import group, launching
from gemsnn.specs.checks import Range
from gemsnn.store import records

Workers = Annotated[int, Range(1, 1024)]
Restarts = Annotated[int, Range(0, 1000)]


def bound(words: Sequence[str], command: partial[int], start: Callable[..., int]) -> Callable[[], int]:
    """A command whose flags are bound, or ``start(words, ..)``, which launches it, where it is to have workers."""
    if command.keywords.get("workers") is None or group.is_launched():
        return command
    return partial(start, words, **command.keywords)


def launch(
    command: str, words: Sequence[str], workers: int, max_restarts: int, out: Path | None, resume: Path | None
) -> int:
    """Start the same command in so many workers, and wait for them; the exit code.

    Raises:
        InputError: a worker was lost.
    """
    where = out or resume
    if where is None:  # so that it can be named where a worker is lost, and found where all are started anew
        where = records.next_free().path
        words = [*words, "--out", str(where)]
    again = f"gemsnn {command} --resume {where} --workers {workers}"
    return launching.launch(
        [command, *words],
        workers,
        max_restarts,
        f"{again} goes on from the last checkpoint, where there is one",
    )


def check_group(workers: int | None) -> None:
    """Raise :class:`InputError` where a launcher has started another number of workers than was asked for."""
    if workers not in (None, group.size()):
        raise InputError(
            f"torchrun has started {group.size()} workers, and --workers says {workers}; leave it out"
        )


def begun(out: Path | None) -> Path | None:
    """The run that these workers began before the launcher started them anew, to go on with; ``None`` for none."""
    return out if group.restarts() and out is not None and (out / "config.toml").is_file() else None
