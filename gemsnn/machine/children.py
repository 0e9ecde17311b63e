"""Processes that this one starts: one way to start them, one way to stop them. None outlives this one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from gemsnn.types import AnyPath

GRACE_SECONDS = 5.0
"""What a child that is told to end may take before it is killed."""

_MODULE = """
import sys
import os
sys.path[:] = [folder for folder in sys.path if folder] + sys.argv.pop(1).split(os.pathsep)
import runpy
"""
_TIED = """
from gemsnn.machine import children
children.end_with_parent()
"""
_RUN = """
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def module(name: str, beside: AnyPath | None = None, *, tied: bool = True) -> list[str]:
    """The command that runs a module as :meth:`Children.run` wants it: of this package, or of a folder ``beside`` it.

    Where it is not ``tied``, it is for another launcher, and gets no first line.

    ``python -m`` would look into the current folder first, where a file ``queue.py`` would be taken for Python's.
    """
    folders = [Path(__file__).parents[2], *([] if beside is None else [Path(beside).absolute()])]
    return [
        sys.executable,
        "-c",
        _MODULE + (_TIED if tied else "") + _RUN,
        os.pathsep.join(map(str, folders)),
        name,
    ]


def end_with_parent() -> None:
    """In a child: end when its parent does, however that ends. Only the parent listens to Ctrl-C.

    The child's standard input stays open as long as the parent lives; its first line is the child's to read
    (:func:`job`).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _JOB.append(sys.stdin.buffer.readline())

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)  # which returns at the end
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


_JOB: list[bytes] = []


def job() -> bytes:
    """In a child: what the parent has given it to do."""
    return _JOB[0]


class Children:
    """Children under way; when the ``with`` block ends, by SIGTERM as well, those that still run are stopped."""

    def __init__(self) -> None:
        self._lock, self._running, self._open = threading.Lock(), set[subprocess.Popen[bytes]](), True
        self._before: Any = None

    def __enter__(self) -> Children:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, _leave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def begin(
        self, words: Sequence[str], given: bytes = b"", *, output: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes] | None:  # fmt: skip
        """Start a command; ``None`` where no more are to be started. The arguments are those of :meth:`run`."""
        with self._lock:
            if not self._open:
                return None
            process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE if output else None,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip
            self._running.add(process)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it may have ended before it was given anything
            process.stdin.write(given + b"\n")
            process.stdin.flush()
        return process

    def run(
        self, words: Sequence[str], given: bytes = b"", *, output: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:  # fmt: skip
        """Run a command and wait for it; several threads may each run one.

        Args:
            words: the command; :func:`module` for one of this package.
            given: what it gets as the first line of its standard input.
            output: whether its standard output is returned instead of shown.
            environment: added to this process's.

        Returns:
            Its exit code, and its output.
        """
        process = self.begin(words, given, output=output, environment=environment)
        if process is None:
            return -signal.SIGTERM, b""
        told = process.stdout.read() if process.stdout else b""
        return self.end(process), told

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end of a child; its exit code."""
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        with self._lock:
            self._running.discard(process)
        return process.returncode

    def stop(self) -> None:
        """Stop all that run, and start no more."""
        with self._lock:
            self._open, running = False, list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _leave(number: int, _: FrameType | None) -> None:
    """Leave as if nothing had been caught, but through all ``finally`` on the way."""
    sys.exit(128 + number)
