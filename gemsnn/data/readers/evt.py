"""Prophesee's encoded formats EVT 2, 2.1 and 3, from words to events, piece by piece.

After https://docs.prophesee.ai/stable/data/encoding_formats: the top four bits of a word are its type.

* EVT 2, 32 bits: an event (types 0 OFF, 1 ON) has the low 6 bits of its time, 11 of x and 11 of y; type 8 has the upper
  28 bits of the time of those that follow.
* EVT 2.1, 64 bits: likewise, and the lower 32 bits say which of the 32 pixels from x on have an event.
* EVT 3, 16 bits: words change what holds for those that follow: type 0 y, 6 and 8 the low and upper 12 bits of the
  time (the low ones are 0 where the upper ones change), 3 the polarity and the first x of groups; 2 is an event with
  its x, 4 and 5 are groups of 12 and 8 pixels. After type 1 they are no events but gray levels.

A decoder takes words, and what holds so far, and gives events, with times in microseconds of the camera's clock; events
that come before the first time or y are left out, and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import Events, make_events

Words = NDArray[np.unsignedinteger]


class Held(NamedTuple):
    """What the words up to here have said.

    Attributes:
        high: the upper part of the time, without its wraps; ``None`` before the first.
        low: of EVT 3, the lower part.
        y: of EVT 3; -1 before the first, and for gray levels.
        x: of EVT 3, where the next group begins.
        on: of EVT 3, the polarity of groups.
        told: of EVT 3, the upper 12 bits of the time as the last word said them.
        left: events left out.
    """

    high: int | None = None
    low: int = 0
    y: int = -1
    x: int = 0
    on: int = 0
    told: int = -1
    left: int = 0


Decoder = Callable[[Words, Held], tuple[Events, Held]]


def decode2(words: Words, held: Held) -> tuple[Events, Held]:
    """Events of EVT 2, words uint32 ``[n]``."""
    word = words.astype(np.int64)
    kind = word >> 28
    high, held = _high(word & 0xFFFFFFF, kind == 8, held, 28)
    at = np.flatnonzero(kind <= 1)
    event = word[at]
    time = high[at] << 6 | event >> 22 & 0x3F
    return _timed(time, high[at], event >> 11 & 0x7FF, event & 0x7FF, kind[at], held)


def decode21(words: Words, held: Held) -> tuple[Events, Held]:
    """Events of EVT 2.1, words uint64 ``[n]``."""
    upper, mask = (words >> np.uint64(32)).astype(np.int64), (words & np.uint64(0xFFFFFFFF)).astype(np.int64)
    kind = upper >> 28
    high, held = _high(upper & 0xFFFFFFF, kind == 8, held, 28)
    word, bit = _bits(np.where(kind <= 1, mask, 0), 32)
    event = upper[word]
    time = high[word] << 6 | event >> 22 & 0x3F
    return _timed(time, high[word], (event >> 11 & 0x7FF) + bit, event & 0x7FF, kind[word], held)


def decode21_swapped(words: Words, held: Held) -> tuple[Events, Held]:
    """Events of EVT 2.1 as older cameras write it, the halves of each word in the other order."""
    half = np.uint64(32)
    return decode21(words << half | words >> half, held)


def decode3(words: Words, held: Held) -> tuple[Events, Held]:
    """Events of EVT 3, words uint16 ``[n]``."""
    return _decode3(words.astype(np.int64), held)


def _decode3(words: NDArray[np.int64], held: Held) -> tuple[Events, Held]:
    kind = words >> 12
    high, held = _high(words & 0xFFF, kind == 8, held, 12)
    told = _latest(words & 0xFFF, kind == 8, held.told)
    changed = np.diff(told, prepend=held.told) != 0
    low = _latest(np.where(changed, 0, words & 0xFFF), (kind == 6) | changed, held.low)
    y = _latest(np.where(kind == 0, words & 0x7FF, -1), kind <= 1, held.y)
    on = _latest(words >> 11 & 1, kind == 3, held.on)
    # a group begins where the one before it ended: as far past the last base as the pixels of groups since then
    pixels = np.where(kind == 4, 12, np.where(kind == 5, 8, 0))
    before = np.cumsum(pixels) - pixels
    x = before + _latest((words & 0x7FF) - before, kind == 3, held.x)
    mask = np.select([kind == 2, kind == 4, kind == 5], [1, words & 0xFFF, words & 0xFF], 0)
    word, bit = _bits(mask, 12)
    alone = kind[word] == 2
    time = high[word] << 12 | low[word]
    columns = np.where(alone, words[word] & 0x7FF, x[word] + bit)
    polarity = np.where(alone, words[word] >> 11 & 1, on[word])
    if len(words):
        held = held._replace(
            low=int(low[-1]), y=int(y[-1]), on=int(on[-1]), x=int(x[-1] + pixels[-1]), told=int(told[-1])
        )
    kept = columns <= np.iinfo(np.int16).max  # groups without a new base would lead out of the numbers, too
    return _timed(time[kept], high[word][kept], columns[kept], y[word][kept], polarity[kept], held)


def _latest(values: NDArray[np.int64], told: NDArray[np.bool_], before: int) -> NDArray[np.int64]:
    """At each word the last value that was told at it or before it."""
    last = (
        np.maximum.accumulate(np.where(told, np.arange(len(values)), -1))
        if len(values)
        else np.empty(0, np.int64)
    )
    return np.where(last >= 0, values[last], before)


def _high(
    values: NDArray[np.int64], told: NDArray[np.bool_], held: Held, bits: int
) -> tuple[NDArray[np.int64], Held]:
    """At each word the upper part of the time, which counts on where its bits wrap around; -1 before the first."""
    at = np.flatnonzero(told)
    if not len(at):
        return np.full(len(values), -1 if held.high is None else held.high), held
    period = 1 << bits
    first = int(values[at[0]]) if held.high is None else held.high
    step = np.diff(values[at], prepend=first % period)
    # the way round that is shorter: a little back, or far ahead of a wrap-around
    step = (step + period // 2) % period - period // 2
    high = np.maximum(first + np.cumsum(step), 0)
    whole = np.zeros(len(values), np.int64)
    whole[at] = high
    return _latest(whole, told, -1 if held.high is None else held.high), held._replace(high=int(high[-1]))


def _bits(mask: NDArray[np.int64], count: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Which words have an event, once for each, and which of the word's pixels it is."""
    at = np.flatnonzero(mask)
    row, bit = np.nonzero(mask[at, None] >> np.arange(count) & 1)
    return at[row], bit


def _timed(
    time: NDArray[np.int64],
    high: NDArray[np.int64],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    on: NDArray[np.int64],
    held: Held,
) -> tuple[Events, Held]:
    timed = (high >= 0) & (y >= 0)
    if not timed.all():
        held = held._replace(left=held.left + int((~timed).sum()))
        time, x, y, on = time[timed], x[timed], y[timed], on[timed]
    return make_events(time, x, y, on == 1), held
