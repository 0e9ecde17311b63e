"""Where a stream's events come from: a file, standard input, or a UDP socket on this computer.

A source is polled. What arrives on its own is taken in by a thread and waits in a queue of bounded length: a pipe waits
when the queue is full, of datagrams the oldest are dropped.
"""

from __future__ import annotations

import collections
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from gemsnn.data import wire
from gemsnn.data.access import first_bytes
from gemsnn.data.arrivals import CHUNK
from gemsnn.data.events import Events
from gemsnn.data.readers import read_recording
from gemsnn.data.readers.faery_files import SUFFIXES, read_chunks
from gemsnn.data.wire import Label, Message
from gemsnn.errors import InputError

DATAGRAMS = 1024
"""Datagrams that may wait."""

PORTIONS = 16
"""Portions of lines that may wait."""

PORTION = 2**16
"""Bytes that are read from a pipe at a time."""

LARGEST_DATAGRAM = 2**16

PORTION_US = 1_000_000
"""Of a file, at most so many microseconds of events at a time."""


class Arrival(NamedTuple):
    """What has arrived, when, by the computer's monotonic clock in seconds."""

    message: Message
    at: float


class Trouble(NamedTuple):
    """What a source could not use: damaged datagrams or lines, and messages dropped since nobody fetched them."""

    damaged: int = 0
    dropped: int = 0
    first: str | None = None


class Source(Protocol):
    """Something that events come from.

    Attributes:
        live: whether events come when they happen, so that what has not been fetched is gone; a file can be read again.
        sensor: width and height in pixels; ``None`` where events do not tell.
        repairs: what was mended while it was read, counted by kind.
    """

    live: bool
    sensor: tuple[int, int] | None
    repairs: dict[str, int]

    def poll(self, timeout: float) -> Arrival | None:
        """What comes next, or ``None`` if nothing does within so many seconds.

        Raises:
            EOFError: nothing will come any more.
            InputError: what has come cannot be used at all.
        """
        ...

    @property
    def trouble(self) -> Trouble:
        """What could not be used by now."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def open_source(given: str) -> Source:
    """A source by what a user writes: ``-`` for standard input, ``udp://HOST:PORT``, or a file.

    Raises:
        InputError: it cannot be opened.
    """
    if given == "-":
        return Pipe(0)
    if given.startswith("udp://"):
        return Socket(given)
    return File(Path(given))


class File:
    """A file of events, replayed."""

    live = False
    sensor: tuple[int, int] | None

    def __init__(self, path: Path) -> None:
        self.repairs: dict[str, int] = {}
        if path.suffix.lower() in SUFFIXES and first_bytes(path):
            self.sensor, chunks = read_chunks(path)
        else:
            recording = read_recording(path)
            self.repairs = recording.repairs
            self.sensor, chunks = (recording.width, recording.height), iter([recording.events])
        self._portions = (portion for chunk in chunks for portion in _portions(chunk))

    def poll(self, timeout: float) -> Arrival:
        """See :class:`Source`."""
        for events in self._portions:
            return Arrival(Message(events), time.monotonic())
        raise EOFError

    @property
    def trouble(self) -> Trouble:
        """See :class:`Source`."""
        return Trouble()

    def close(self) -> None:
        """See :class:`Source`."""


def _portions(events: Events) -> Iterator[Events]:
    """Not too many events at a time, nor of too long a time, for in between a stream can be stopped and saved."""
    start = 0
    while start < len(events):
        t = events["t"][start : start + CHUNK]
        stop = start + max(1, int((t - t[0] < PORTION_US).argmin()) or len(t))
        yield events[start:stop]
        start = stop


class _Queue:
    """A thread that reads, and what it has read."""

    live = True
    sensor: tuple[int, int] | None = None
    most = DATAGRAMS

    def __init__(self) -> None:
        self.repairs: dict[str, int] = {}
        self._waiting: collections.deque[Arrival] = collections.deque()
        self._changed = threading.Condition()
        self._trouble, self._ended, self._closed = Trouble(), False, False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def poll(self, timeout: float) -> Arrival | None:
        """See :class:`Source`."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, timeout)
            if self._waiting:
                self._changed.notify_all()
                return self._waiting.popleft()
            if self._ended:
                raise EOFError
            return None

    @property
    def trouble(self) -> Trouble:
        """See :class:`Source`."""
        return self._trouble

    def _run(self) -> None:
        try:
            self._read()
        except OSError as error:
            self._note(f"reading failed: {error}", damaged=1)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read(self) -> None:
        raise NotImplementedError

    def _put(self, message: Message, *, wait: bool) -> None:
        arrival = Arrival(message, time.monotonic())
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: len(self._waiting) < self.most or self._closed)
            elif len(self._waiting) >= self.most:
                self._waiting.popleft()
                self._note("messages came faster than they could be used", dropped=1)
            self._waiting.append(arrival)
            self._changed.notify_all()

    def _note(self, what: str, *, damaged: int = 0, dropped: int = 0) -> None:
        before = self._trouble
        self._trouble = Trouble(before.damaged + damaged, before.dropped + dropped, before.first or what)


class Pipe(_Queue):
    """Lines of text from a file descriptor, see :mod:`gemsnn.data.wire`."""

    most = PORTIONS

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._thread.start()

    def _read(self) -> None:
        rest, line = b"", 0
        while not self._closed:
            data = os.read(self._descriptor, PORTION)
            lines = (rest + data).split(b"\n")
            # of a line without end, only the beginning is kept: it is damaged in any case
            rest = lines.pop()[: 2 * wire.LONGEST_LINE] if data else b""
            if len(lines) + bool(rest):
                line = self._take(lines, line)
            if not data:
                return

    def _take(self, lines: list[bytes], number: int) -> int:
        """Parse lines and put their content in line; how many there have been by now."""
        rows: list[tuple[int, int, int, int]] = []
        labels: list[Label] = []
        for line in lines:
            number += 1
            heading = (
                number == 1 and len(line) <= wire.LONGEST_LINE and not any(48 <= byte <= 57 for byte in line)
            )
            if heading or not line.strip():
                continue
            try:
                if line.startswith(wire.LABEL):
                    labels.append(wire.read_label(line))
                else:
                    rows.append(wire.read_event(line))
            except InputError as error:
                self._note(f"line {number}: {error}", damaged=1)
        if rows or labels:
            self._put(Message(wire.events_of(rows), tuple(labels)), wait=True)
        return number

    def close(self) -> None:
        """See :class:`Source`. The thread may still wait for its next line; it is a daemon."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Socket(_Queue):
    """Datagrams on a port of this computer, see :mod:`gemsnn.data.wire`."""

    def __init__(self, address: str) -> None:
        super().__init__()
        host, _, port = address.removeprefix("udp://").rpartition(":")
        host = "127.0.0.1" if host in ("", "localhost") else host.strip("[]")
        if not port.isdigit() or not 0 <= int(port) < 2**16:
            raise InputError(f"{address} has no port; write udp://127.0.0.1:PORT")
        try:
            here = ipaddress.ip_address(host)
        except ValueError:
            raise InputError(f"{address}: {host} is no address; write udp://127.0.0.1:PORT") from None
        if not here.is_loopback:
            raise InputError(
                f"{address} would let in anyone who can reach this computer; listen on udp://127.0.0.1:{port} and "
                "forward to it what you trust"
            )
        family = socket.AF_INET if here.version == 4 else socket.AF_INET6
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, int(port)))
        except OSError as error:
            self._socket.close()
            raise InputError(
                f"{address} cannot be listened on ({error.strerror}); choose another port"
            ) from None
        self._socket.settimeout(0.1)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._socket.getsockname()[1])

    def _read(self) -> None:
        while not self._closed:
            try:
                data = self._socket.recv(LARGEST_DATAGRAM)
            except TimeoutError:
                continue
            try:
                self._put(wire.read_datagram(data), wait=False)
            except InputError as error:
                self._note(str(error), damaged=1)

    def close(self) -> None:
        """See :class:`Source`."""
        self._closed = True
        self._thread.join()
        self._socket.close()
