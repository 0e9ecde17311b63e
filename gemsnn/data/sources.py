"""Where a stream's events come from: a file, standard input, or a UDP socket on this computer.

A source is started, and then polled. What arrives on its own is taken in by a thread and waits in a queue of bounded
length: a pipe waits when the queue is full, of datagrams the oldest are dropped.
"""

from __future__ import annotations

import collections
import contextlib
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from gemsnn.data import wire
from gemsnn.data.arrivals import CHUNK
from gemsnn.data.events import Events
from gemsnn.data.readers import read_recording
from gemsnn.data.readers.files import IN_ANY_UNIT, IN_PIECES, open_decoded
from gemsnn.data.readers.recognise import kind_of
from gemsnn.data.readers.units import TimeUnit
from gemsnn.data.wire import Message
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

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
        origin: what the events' clock shows when the stream begins; ``None`` where the first event tells it.
    """

    live: bool
    sensor: tuple[int, int] | None
    repairs: dict[str, int]
    origin: int | None

    def start(self) -> str | None:
        """Begin to take in what comes; what a person should hear of it."""
        ...

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


def open_source(
    given: str, now: Callable[[], float] = time.monotonic, *, time_unit: TimeUnit | None = None
) -> Source:
    """A source by what a user writes: ``-`` for standard input, ``udp://HOST:PORT``, or a file.

    Args:
        given: what the user writes.
        now: the clock of arrivals, in seconds.
        time_unit: of the times of files whose format does not define it.

    Raises:
        InputError: it cannot be opened.
    """
    if given == "-":
        return Pipe(0, now)
    if given.startswith("udp://"):
        return Socket(given, now)
    return File(Path(given), now, time_unit=time_unit)


class File:
    """A file of events, replayed.

    Files that are recordings have a clock that begins with the recording (:class:`gemsnn.data.events.Recording`), and
    are read by the same readers as data sets. Others come in pieces, by a clock of which nothing is known.
    """

    live = False
    sensor: tuple[int, int] | None
    origin: int | None = None

    def __init__(
        self,
        path: AnyPath,
        now: Callable[[], float] = time.monotonic,
        *,
        time_unit: TimeUnit | None = None,
    ) -> None:
        path, self._now, self.repairs = Path(path), now, dict[str, int]()
        if (kind := kind_of(path)) is not None and kind in IN_PIECES:
            decoded = open_decoded(path, kind)
            self.sensor, chunks, self.repairs = decoded.sensor, decoded.chunks, decoded.repairs
        else:
            recording = read_recording(path, time_unit=time_unit if kind in IN_ANY_UNIT else None)
            self.repairs = recording.repairs
            self.sensor = None if recording.sensor_inferred else (recording.width, recording.height)
            chunks = iter([recording.events])
            self.origin = 0
        self._portions = (portion for chunk in chunks for portion in _portions(chunk))

    def start(self) -> None:
        """See :class:`Source`."""

    def poll(self, timeout: float) -> Arrival:
        """See :class:`Source`."""
        for events in self._portions:
            return Arrival(Message(events), self._now())
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
    origin: int | None = None
    most = DATAGRAMS

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self.repairs = now, dict[str, int]()
        self._waiting: collections.deque[Arrival] = collections.deque()
        self._changed = threading.Condition()
        self._trouble, self._ended, self._closed = Trouble(), False, False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> str | None:
        """See :class:`Source`."""
        self._thread.start()

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
        arrival = Arrival(message, self._now())
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: len(self._waiting) < self.most or self._closed)
            elif len(self._waiting) >= self.most:
                self._waiting.popleft()
                self._note("messages came faster than they could be used", dropped=1)
            self._waiting.append(arrival)
            self._changed.notify_all()

    def _take(self, lines: list[bytes], *, wait: bool, first: int | None = None) -> None:
        """Put the content of lines in line; where they are numbered, the number of the first one is told."""
        message = wire.read_lines(lines)
        for at, what in message.damaged:
            self._note(what if first is None else f"line {first + at}: {what}", damaged=1)
        if len(message.events) or message.labels or message.begins:
            self._put(message, wait=wait)

    def _note(self, what: str, *, damaged: int = 0, dropped: int = 0) -> None:
        before = self._trouble
        self._trouble = Trouble(before.damaged + damaged, before.dropped + dropped, before.first or what)


class Pipe(_Queue):
    """Lines of text from a file descriptor, see :mod:`gemsnn.data.wire`."""

    most = PORTIONS

    def __init__(self, descriptor: int, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(now)
        self._descriptor = descriptor

    def _read(self) -> None:
        rest, number = b"", 1
        while not self._closed:
            data = os.read(self._descriptor, PORTION)
            lines = (rest + data).split(b"\n")
            # of a line without end, only the beginning is kept: it is damaged in any case
            rest = lines.pop()[: 2 * wire.LONGEST_LINE] if data else b""
            heading = number == 1 and bool(lines) and wire.is_heading(lines[0])
            self._take(lines[heading:], wait=True, first=number + heading)
            number += len(lines)
            if not data:
                return

    def close(self) -> None:
        """See :class:`Source`. The thread may still wait for its next line; it is a daemon."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Socket(_Queue):
    """Datagrams on a port of this computer, see :mod:`gemsnn.data.wire`."""

    def __init__(self, address: str, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(now)
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

    def start(self) -> str:
        """See :class:`Source`. What was sent before is not heard: it would be taken as sent now."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(64 * DATAGRAMS):
                self._socket.recv(LARGEST_DATAGRAM)
        self._socket.settimeout(0.1)
        self._thread.start()
        host = self._socket.getsockname()[0]
        return f"listening on udp://{f'[{host}]' if ':' in host else host}:{self.port}"

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
            if wire.is_text(data):
                self._take(data.split(b"\n"), wait=False)
                continue
            try:
                self._put(wire.read_datagram(data), wait=False)
            except InputError as error:
                self._note(str(error), damaged=1)

    def close(self) -> None:
        """See :class:`Source`."""
        self._closed = True
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()
