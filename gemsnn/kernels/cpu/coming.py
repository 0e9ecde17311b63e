"""The potentials of a graph's next steps: a spike is added at once to those of all steps that it reaches.

They hold as long as the weights do.
"""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import NDArray

from gemsnn.kernels.cpu.layout import Plan
from gemsnn.kernels.cpu.memory import aligned

AHEAD = 16
"""Steps that may be worked through at once where potentials are kept from one block to the next."""


def potentials(plan: Plan, n: int, count: int, steps: int) -> NDArray:
    """Memory for those of a population, ``[count, places, steps, c]``."""
    places, width = plan.size(n)
    return aligned((count, places, steps, width), plan.network.taps.numpy().dtype)


def heard_of(plan: Plan, presentations: int, compartments: int, steps: int) -> dict[int, NDArray]:
    """Memory for what inputs send, once for all compartments where there are several.

    ``[B, places, steps, c]`` by population, of those that hear inputs.
    """
    numbers = range(len(plan.populations)) if compartments > 1 else ()
    return {n: potentials(plan, n, presentations, steps) for n in numbers if plan.hears_inputs(n)}


class Coming:
    """The potentials of a group's next steps: in each population the sum of two parts, where there are two.

    Attributes:
        own: for each population ``[P, places, .., c]``, what neurons send, and all else where there is one part.
        heard: by population ``[B, places, .., c]``, biases and what inputs send, see :func:`heard_of`.
        at: the row of the very next step in both.
        known: whether all that was sent so far is in them.
    """

    def __init__(self, plan: Plan, presentations: int, compartments: int) -> None:
        self._plan, self._rows = plan, plan.silence + AHEAD
        runs = presentations * compartments
        self.own = tuple(potentials(plan, n, runs, self._rows) for n in range(len(plan.populations)))
        self.heard = heard_of(plan, presentations, compartments, self._rows)
        self.at, self.known = 0, False

    def tails(self) -> tuple[NDArray, ...]:
        """What is known of the next steps, ``[.., places, silence, c]``; nothing where nothing is."""
        inside = slice(self.at, self.at + self._plan.silence)
        return tuple(each[:, :, inside] for each in (*self.own, *self.heard.values()) if self.known)

    def make_room(self, steps: int, biases: Sequence[NDArray]) -> None:
        """Make room for so many new steps, with these biases."""
        if self.known and self.at + steps + self._plan.silence > self._rows:
            self.carry(self.tails(), biases)

    def carry(self, tails: Sequence[NDArray], biases: Sequence[NDArray]) -> None:
        """Let the next steps be these, and those after them have biases alone."""
        silence, zero = self._plan.silence, 0.0
        parts = [(each, zero if n in self.heard else biases[n]) for n, each in enumerate(self.own)]
        parts += [(each, biases[n]) for n, each in self.heard.items()]
        for (each, bias), tail in zip(parts, tails, strict=True):
            each[:, :, :silence] = tail
            each[:, :, silence:] = bias
        self.at, self.known = 0, True
