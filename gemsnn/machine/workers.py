"""Work whose parts do not depend on one another, shared by processes: the results are those of one, in their order.

Python's own pools run the user's program again in each process, up to where it says that it must not; these do not.
"""

from __future__ import annotations

import base64
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from subprocess import Popen
from typing import IO, Any, TypeVar

from gemsnn.errors import InputError
from gemsnn.machine import children
from gemsnn.machine.children import Children

Given = TypeVar("Given")
Result = TypeVar("Result")

MOST = 8
"""Processes at most."""

_SIZE = 8
"""Bytes that tell how long an answer is."""


def number(parts: int) -> int:
    """How many processes would share so many parts of work."""
    return min(MOST, os.cpu_count() or 1, parts)


def mapped(
    work: Callable[[Given], Result], given: Sequence[Given], workers: int | None = None, *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Result]:  # fmt: skip
    """``work(each)`` for each of ``given``, in their order.

    Results wait where they were made until it is their turn, so that few of them are in memory.

    Args:
        work: a function of a module of this package, or one that can be pickled with what it is bound to.
        given: what it is given; can be pickled.
        workers: processes; by default as many as suit.
        environment: of the processes, beside this one's.

    Raises:
        InputError: a process has ended before its work was done; and whatever ``work`` raises, of the first that does.
    """
    workers = number(len(given)) if workers is None else min(workers, len(given))
    with Children() as running:
        started: list[Popen[bytes]] = []
        try:
            for first in range(workers):
                job = base64.b64encode(pickle.dumps((work, given[first::workers])))
                process = running.begin(children.module(__name__), job, output=True, environment=environment)
                assert process is not None, "nobody has stopped them yet"
                started.append(process)
            for position in range(len(given)):
                yield _answer(started[position % workers])
        finally:
            running.stop()
            for process in started:
                running.end(process)


def _answer(process: Popen[bytes]) -> Any:
    assert process.stdout is not None
    head = process.stdout.read(_SIZE)
    said = process.stdout.read(int.from_bytes(head, "little"))
    if len(head) < _SIZE or len(said) < int.from_bytes(head, "little"):
        raise InputError(
            f"a process that shared the work ended before it was done (code {process.wait()}), as happens where there "
            "is too little memory; end other programs and try again"
        )
    failed, result = pickle.loads(said)
    if failed:
        raise result
    return result


def _serve(out: IO[bytes]) -> None:
    """In a process: do what the parent has given, up to the first error."""
    work, given = pickle.loads(base64.b64decode(children.job()))
    for each in given:
        try:
            said = pickle.dumps((False, work(each)))
        except Exception as error:
            said = pickle.dumps((True, error))
        out.write(len(said).to_bytes(_SIZE, "little") + said)
        out.flush()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    _serve(answers)
