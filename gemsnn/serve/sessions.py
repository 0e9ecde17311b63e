"""Networks of one's own: each session has its weights, its lessons and its way back, and knows of no other."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable

from gemsnn.errors import InputError
from gemsnn.serve.served import Weights

MOST = 16
"""Sessions that are alive at a time."""

IDLE_S = 15 * 60.0
"""Idle for so many seconds, a session is forgotten."""

CROWDED_S = 60.0
"""The same where there is no room for another."""

LESSONS = 10
"""That can be taken back."""


class Session:
    """A network of one's own.

    Attributes:
        id: which nobody can guess.
        weights: by now.
        turn: counts what it was asked to show; an earlier showing stops when a later one has come.
        lock: held while something is shown or changed.
        used: when, by the clock of the sessions.
    """

    def __init__(self, weights: Weights, now: float) -> None:
        self.id, self.weights, self.turn, self.used = secrets.token_urlsafe(16), weights, 0, now
        self.lock = asyncio.Lock()
        self._before: deque[Weights] = deque(maxlen=LESSONS)

    @property
    def undoable(self) -> int:
        """How many lessons can be taken back."""
        return len(self._before)

    def learn(self, weights: Weights) -> None:
        """Take over what a lesson has left."""
        self._before.append(self.weights)
        self.weights = weights

    def undo(self) -> bool:
        """Take the last lesson back: the weights are what they were, to the bit. False where there is none to undo."""
        if not self._before:
            return False
        self.weights = self._before.pop()
        return True


class Full(InputError):
    """There is no room for another session."""


class Sessions:
    """All sessions of a server.

    Args:
        weights: with which each begins.
        most: that are alive at a time.
        idle_s: after which one is forgotten.
        now: a clock in seconds that never goes back.
    """

    def __init__(
        self, weights: Weights, *, most: int = MOST, idle_s: float = IDLE_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._weights, self._most, self.idle_s, self._now = weights, most, idle_s, now
        self._alive: dict[str, Session] = {}

    def __len__(self) -> int:
        self._forget()
        return len(self._alive)

    def make(self) -> Session:
        """A new one.

        Raises:
            Full: there are as many as may be, all of them used within the last minute.
        """
        self._forget()
        if len(self._alive) >= self._most:
            oldest = min(self._resting(), key=lambda each: each.used, default=None)
            if oldest is None or self._now() - oldest.used < CROWDED_S:
                raise Full(
                    f"{self._most} sessions are alive, which is as many as there may be; try again in a minute"
                )
            del self._alive[oldest.id]
        session = Session(self._weights, self._now())
        self._alive[session.id] = session
        return session

    def get(self, id: str) -> Session | None:
        """The session of this name, which is thereby used."""
        self._forget()
        session = self._alive.get(id)
        if session is not None:
            session.used = self._now()
        return session

    def drop(self, session: Session) -> None:
        """Forget a session; what it shows stops."""
        session.turn += 1
        self._alive.pop(session.id, None)

    def idle(self, session: Session) -> float:
        """For how many seconds it has not been used."""
        return self._now() - session.used

    def _resting(self) -> list[Session]:
        return [each for each in self._alive.values() if not each.lock.locked()]

    def _forget(self) -> None:
        for session in self._resting():
            if self.idle(session) > self.idle_s:
                del self._alive[session.id]
