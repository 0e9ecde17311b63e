"""Whether the events of a source that does not tell its sensor's size lie where the network looks."""

from __future__ import annotations

from gemsnn.data.arrivals import ArrivalSpec, Counts
from gemsnn.errors import InputError
from gemsnn.runs import console

FEW_EVENTS = 100
"""As soon as so many have come, it is told that more than half of them lie outside the window."""

FIRST_EVENTS = 1000
"""If so many have come and all of them lie outside the window, the stream ends."""


class Window:
    """Looks at the first events.

    Args:
        arrivals: where the network looks.
        looking: whether there is something to look for: not where the sensor's size is known and was checked.
    """

    def __init__(self, arrivals: ArrivalSpec, looking: bool) -> None:
        self._arrivals, self._looking, self._told = arrivals, looking, False

    def look(self, counts: Counts) -> None:
        """Tell early, and once, that events lie outside.

        Raises:
            InputError: the first thousand all do.
        """
        seen = counts.events - counts.late - counts.damaged
        if not self._looking or seen < FEW_EVENTS:
            return
        if 2 * counts.outside > seen:
            corner, (width, height) = (self._arrivals.x0, self._arrivals.y0), self._arrivals.cells.window
            where = (
                f"outside the window of {width} x {height} pixels from {corner} on that the network "
                "sees; choose --x0 and --y0"
            )
            if counts.outside == seen >= FIRST_EVENTS:
                raise InputError(f"all of the first {seen} events lie {where}")
            if not self._told:
                console.say(f"note: {counts.outside} of the first {seen} events lie {where}")
                self._told = True
        self._looking = counts.outside == seen or (not self._told and seen < FIRST_EVENTS)
