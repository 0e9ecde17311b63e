"""One live source for several who listen: what has come cannot be read again, so all of them are told of it."""

from __future__ import annotations

import queue
import threading

from gemsnn.data.sources import DATAGRAMS, Arrival, Source, Trouble


class Shared:
    """A live source that several listen to, each from when it has come.

    A thread fetches what comes, whether or not anybody listens, so that nobody hears what is long past.

    Args:
        source: that comes when it happens; it is this one's from now on.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._listeners: list[Listener] = []
        self._changing, self._ended, self._closed = threading.Lock(), False, False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> str | None:
        """Begin to take in what comes; what a person should hear of it."""
        heard = self.source.start()
        self._thread.start()
        return heard

    def listen(self) -> Listener:
        """Another who listens, until it is closed."""
        listener = Listener(self)
        with self._changing:
            self._listeners.append(listener)
            if self._ended:
                listener.put(None)
        return listener

    def forget(self, listener: Listener) -> None:
        """Tell it no more."""
        with self._changing:
            self._listeners.remove(listener)

    def close(self) -> None:
        """Let go of the source; for whoever listens it has ended."""
        self._closed = True
        if self._thread.ident is not None:
            self._thread.join()
        self.source.close()

    def _run(self) -> None:
        try:
            while not self._closed:
                arrival = self.source.poll(0.1)
                if arrival is not None:
                    self._tell(arrival)
        except EOFError:
            pass
        finally:
            self._ended = True
            self._tell(None)

    def _tell(self, arrival: Arrival | None) -> None:
        with self._changing:
            for listener in self._listeners:
                listener.put(arrival)


class Listener:
    """One who listens, see :class:`gemsnn.data.sources.Source`; of what waits for too long, the oldest is dropped."""

    live = True
    origin: int | None = None

    def __init__(self, shared: Shared) -> None:
        self._shared, self._dropped = shared, 0
        self._waiting: queue.Queue[Arrival | None] = queue.Queue(DATAGRAMS)
        self.sensor, self.repairs = shared.source.sensor, shared.source.repairs

    def start(self) -> None:
        """See :class:`gemsnn.data.sources.Source`; what is shared has been started."""

    def put(self, arrival: Arrival | None) -> None:
        """Tell it what has arrived; ``None``: nothing more will."""
        if self._waiting.full():
            self._waiting.get()
            self._dropped += 1
        self._waiting.put(arrival)

    def poll(self, timeout: float) -> Arrival | None:
        """See :class:`gemsnn.data.sources.Source`."""
        try:
            arrival = self._waiting.get(timeout=timeout)
        except queue.Empty:
            return None
        if arrival is None:
            self._waiting.put(None)
            raise EOFError
        return arrival

    @property
    def trouble(self) -> Trouble:
        """Of all since the source was started, and what was dropped for this one."""
        found = self._shared.source.trouble
        return found._replace(dropped=found.dropped + self._dropped)

    def close(self) -> None:
        """See :class:`gemsnn.data.sources.Source`."""
        self._shared.forget(self)
