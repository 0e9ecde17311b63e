"""How far behind its bin's end an answer is, by the computer's clock.

The lag of a line is the time from the end of the last bin that it rests on to the writing of the line. When a bin has
ended is told by the source (:class:`Replayed`, :class:`Heard`). A bin whose answer would come more than a limit behind
is dropped before it is worked on (:class:`Limit`), so that no line is further behind than the limit and the time that
its own step has taken.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

DRIFT = 1e-3
"""Seconds a second by which a sensor's clock may go slower than the computer's."""

FADE = 1 / 64
"""By how much of itself the longest step is forgotten with every step."""

FADE_DROPPED = 1 / 8
"""The same with every bin that is dropped for the length of a step alone, so that one long step stops no stream."""


class Wall(NamedTuple):
    """The computer's clock.

    Attributes:
        now: seconds that never go back.
        sleep: lets so many seconds pass.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


WALL = Wall()


class Ends(Protocol):
    """When bins have ended."""

    def due(self, bin: int) -> float:
        """The time on the computer's clock, in seconds, at which a bin ends. Bins are asked for in order."""
        ...


class Replayed:
    """A recording at the pace of its own times, whose bins from ``first`` on pass from the time ``begun`` on."""

    def __init__(self, bin_us: int, begun: float, first: int) -> None:
        self._bin_us, self._begun, self._first = bin_us, begun, first

    def due(self, bin: int) -> float:
        """See :class:`Ends`."""
        return self._begun + (bin + 1 - self._first) * self._bin_us / 1e6


class Heard:
    """What a sensor sends while it happens: bins end as the events' times are heard of.

    At an arrival at the time ``c`` the stream stands at ``s``: that arrival was under way for no less than 0 s, so
    stream time ``s`` was at ``c`` or before. Of all arrivals the one with the smallest ``c - s`` was the quickest, and
    a bin that ends at ``e`` has ended at ``e + min(c - s)``: what waits longer than the quickest did, in a queue, in a
    pipe or on its way, is behind by so much. The minimum rises by :data:`DRIFT`, for no two clocks go equally fast.
    Where it falls, since events come faster than they have happened, the stream is still taken to have stood where it
    was known to stand: no bin that ends later has ended before. The same holds for ticks, by which time passes in
    silence.

    Args:
        bin_us: the width of a bin.
        at: the time at the beginning, on the computer's clock, in seconds.
        stream_us: the stream's time then.
    """

    def __init__(self, bin_us: int, at: float, stream_us: int) -> None:
        self._bin_us, self._at, self._stream_us = bin_us, at, stream_us
        self._offset = at - stream_us / 1e6
        self._stretches: deque[tuple[int, float, float]] = deque()

    def reached(self, at: float, stream_us: int, *, anew: bool = False) -> None:
        """At the time ``at`` the stream stands here; ``anew``: its clock or the computer's has jumped before."""
        offset, before = at - stream_us / 1e6, self._offset + self._stream_us / 1e6
        self._offset = offset if anew else min(offset, self._offset + DRIFT * max(0.0, at - self._at))
        bins = stream_us // self._bin_us
        if bins > self._stream_us // self._bin_us:
            self._stretches.append((bins, before, self._offset))
        self._at, self._stream_us = at, stream_us

    def due(self, bin: int) -> float:
        """See :class:`Ends`."""
        while self._stretches and self._stretches[0][0] <= bin:
            self._stretches.popleft()
        before, offset = self._stretches[0][1:] if self._stretches else (-float("inf"), self._offset)
        return max(before, offset + (bin + 1) * self._bin_us / 1e6)


class Limit:
    """How far behind an answer may be.

    A bin is dropped if its age and the longest of the last steps together are beyond the limit. The longest step fades
    (:data:`FADE`), so a bin may be worked on whose step turns out longer: its line is behind by no more than the limit
    and that step.
    """

    def __init__(self, limit_ms: float) -> None:
        self._limit, self._longest = limit_ms / 1e3, 0.0

    def drops(self, age: float) -> bool:
        """Whether a bin that ended so many seconds ago must be dropped."""
        if age + self._longest <= self._limit:
            return False
        if age <= self._limit:
            self._longest *= 1 - FADE_DROPPED
        return True

    def took(self, seconds: float) -> None:
        """A step has taken so long."""
        self._longest = max(seconds, (1 - FADE) * self._longest)
