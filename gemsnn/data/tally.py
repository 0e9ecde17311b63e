"""What became of events on their way into bins: kept, or dropped and why; and what a user should know of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.errors import InputError

FEW = 0.2
"""A recording is named if it keeps less than this part of the share of its events that the median recording keeps. Of
200 real recordings of MNIST-DVS the worst keeps 0.84 of the median's share, of 1,000 of N-MNIST 0.99."""

HALF = 0.5
"""A set that keeps a smaller share of its events is told of. MNIST-DVS keeps 0.76 in its usual bins, N-MNIST 0.998."""

NAMED = 3
"""So many recordings are named in a note, and the others counted."""


MOST_NAMED = 20
"""So many classes are named in a note, and the others counted."""


class Tally(NamedTuple):
    """What became of events: of one recording's, or of many recordings'.

    Attributes:
        kept: fell into a bin; bins that do not count hold many events as one.
        outside: outside the window of pixels.
        before: before the first bin.
        beyond: after the last bin.
        capped: above the 255 that a bin of counts can hold.
        moved: moved off the sensor by the de-flicker and stabilisation step.
    """

    kept: int = 0
    outside: int = 0
    before: int = 0
    beyond: int = 0
    capped: int = 0
    moved: int = 0

    @property
    def events(self) -> int:
        """All of them."""
        return sum(self)

    @property
    def dropped(self) -> dict[str, int]:
        """The events that were dropped, by the reason in words; reasons that did not occur are left out."""
        found = zip(_REASONS, self[1:], strict=True)
        return {reason: count for reason, count in found if count}


_REASONS = (
    "outside the pixels that are used",
    "before the first bin",
    "after the last bin",
    "above 255 in a bin",
    "moved off the sensor by de-flickering",
)


def total(tallies: NDArray[np.int64]) -> Tally:
    """The sum of tallies of recordings, int64 ``[n, 6]``."""
    return Tally(*(int(count) for count in tallies.sum(axis=0)))


def check_spikes(parts: Mapping[str, NDArray[np.int64]], where: object, seen: str = "") -> None:
    """Refuse a data set of which some part has recordings, but no spikes.

    Args:
        parts: tallies of the recordings, int64 ``[n, 6]``, by the part's name.
        where: the data set, for the message.
        seen: what else was noticed of the events.

    Raises:
        InputError: a part has no spikes; the message tells what became of the events.
    """
    for name, tallies in parts.items():
        tally = total(tallies)
        if len(tallies) and not tally.kept:
            became = "".join(f", {count} {reason}" for reason, count in tally.dropped.items())
            raise InputError(
                f"{where}: the {name} part has no spikes: {tally.events} events in all{became}{seen}; give the kind of "
                "data that was named, or take other bins or another crop"
            )


def notes(tallies: NDArray[np.int64], name: Callable[[int], str]) -> tuple[str, ...]:
    """Sentences about recordings that keep few of their events or none, and about a set that keeps less than half.

    Args:
        tallies: of all recordings of a set, int64 ``[n, 6]``.
        name: the name of a recording by its position.
    """
    found: list[str] = []
    tally, events = total(tallies), np.maximum(tallies.sum(axis=1), 1)
    if tally.kept < HALF * tally.events:
        became = ", ".join(
            f"{count / tally.events:.1%} are {reason}" for reason, count in tally.dropped.items()
        )
        found.append(f"Of {tally.events} events {tally.kept / tally.events:.1%} are used: {became}.")
    share = tallies[:, 0] / events
    usual = float(np.median(share)) if len(share) else 0.0
    poor = np.flatnonzero((share < FEW * usual) | (tallies[:, 0] == 0))
    if len(poor):
        named = [f"{name(int(i))} ({_became(Tally(*tallies[i].tolist()))})" for i in poor[:NAMED]]
        found.append(
            f"There are recordings that keep none of their events, or less than a fifth of the share that is usual "
            f"here ({usual:.1%}): {len(poor)} of {len(tallies)}: {listed(named, len(poor))}."
        )
    return tuple(found)


def listed(named: Sequence[str], count: int) -> str:
    """The first few of ``count`` names, and how many more there are."""
    return ", ".join(named) + (f" and {count - len(named)} more" if count > len(named) else "")


def _became(tally: Tally) -> str:
    dropped = "".join(f", {count} {reason}" for reason, count in tally.dropped.items())
    return f"{tally.kept} of {tally.events} events{dropped}"
