"""Presentations whose runs are worked through together: what they did, and what they are still to learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.kernels.cpu import coefficients, firing
from gemsnn.kernels.cpu.coming import Coming
from gemsnn.kernels.cpu.histories import History
from gemsnn.kernels.cpu.layers import Learned
from gemsnn.kernels.cpu.layout import Blame, Plan
from gemsnn.rules import base as rules
from gemsnn.rules.base import RuleSpec
from gemsnn.store import trees


def remembered(plan: Plan, rule: RuleSpec | None, *, carried: bool) -> int:
    """How many steps before a block still matter beside the last ones that are heard.

    Those whose errors still count, unless eligibilities are ``carried``; and those whose spikes are credited with the
    errors of a block.
    """
    if rule is None:
        return 0
    window = 0 if carried else rules.memory_of(rule, plan.network.taps.dtype)
    return max(window, plan.silence if "credit" in rule.value.needs else 0)


class Group:
    """Presentations whose runs are worked through together.

    Args:
        plan: the network.
        presentations: B.
        compartments: K.
        history: what they have done, with room for so many runs.
        capacity: the steps that it has room for.
        rule: how they learn; ``None`` if they do not.
        eligibility: see below.
        endless: whether there is always a next block.

    Attributes:
        index: steps that the history holds.
        clock: steps that have been shifted out of it.
        coming: the potentials of its next steps; ``None`` where weights never rest from one block to the next.
        eligibility: of all its runs, ``[P, ..]`` each, where these are carried; else they are sums over the history.
        log_weights: ``[B, K]``.
        log_likelihood: ``[B, K]``.
        fired: int64 ``[P]``, hidden spikes.
    """

    def __init__(
        self, plan: Plan, presentations: int, compartments: int, history: History, capacity: int,
        rule: RuleSpec | None, eligibility: Blame | None, *, endless: bool,
    ) -> None:  # fmt: skip
        self._plan, self.history, self._capacity, self._rule = plan, history, capacity, rule
        self.index = self.clock = 0
        self.coming = Coming(plan, presentations, compartments) if endless else None
        self._dtype = plan.network.taps.numpy().dtype
        self.log_weights = np.zeros((presentations, compartments), self._dtype)
        self.log_likelihood = np.zeros((presentations, compartments), self._dtype)
        self.fired = np.zeros(presentations * compartments, np.int64)
        self._open = [self._steps(0)]
        self.eligibility = eligibility
        self._remembered = remembered(plan, rule, carried=eligibility is not None)

    @property
    def compartments(self) -> int:
        """K."""
        return self.log_weights.shape[1]

    @property
    def runs(self) -> int:
        """P."""
        return len(self.fired)

    @property
    def waiting(self) -> int:
        """Steps that nothing was learned from yet."""
        return sum(len(read) for _, read in self._open)

    def _steps(self, count: int) -> tuple[NDArray, NDArray]:
        """Of so many steps the log-weights ``[C, B, K]``, and whether directions are read, bool ``[C, B]``."""
        presentations, compartments = self.log_weights.shape
        return np.zeros((count, presentations, compartments), self._dtype), np.zeros(
            (count, presentations), bool
        )

    def make_room(self, steps: int) -> None:
        """Forget what no longer matters where there is no room for so many new steps."""
        if self.index + steps > self._capacity:
            gone = self.index - self._kept
            self.history.shift(gone, self._plan.silence + self.index)
            self.index, self.clock = self.index - gone, self.clock + gone

    @property
    def _kept(self) -> int:
        """How many of the last steps still matter."""
        return min(self.index, self._remembered + self.waiting)

    def weigh(self, evidence: NDArray, alive: NDArray, read: NDArray) -> None:
        """Take note of the evidence ``[B, K, C]`` of the last steps, and of which are read, bool ``[B, C]``."""
        self.log_likelihood += evidence.sum(2)
        if self._rule is None:
            return
        kind, log_weights = self._dtype.type, self._steps(evidence.shape[2])[0]
        fresh = kind(1 - self._rule.kappa if self._rule.average else 1.0)
        firing.weigh_runs(self.log_weights, evidence, alive, kind(self._rule.kappa), fresh, log_weights)
        self._open.append((log_weights, read.T))

    def _all_open(self) -> tuple[NDArray, NDArray]:
        log_weights, read = zip(*self._open, strict=True)
        return np.concatenate(log_weights), np.concatenate(read)

    def learned(self, batch: int) -> Learned:
        """What the open steps are to be blamed for, in coefficients; ``batch`` presentations share an update."""
        assert self._rule is not None
        (log_weights, read), self._open = self._all_open(), self._open[:1]
        carried, before = self.eligibility is not None, self.index - len(read)
        return coefficients.learned(self._rule, log_weights, read, batch, before, carried=carried)

    def state(self) -> dict[str, Tensor]:
        """A copy of all that goes on; what no longer matters is left out."""
        kept, silence, coming = self._kept, self._plan.silence, self.coming
        assert coming is not None
        end = silence + self.index
        tree = {
            "past_steps": self.clock + self.index - kept,
            "index": kept,
            "waiting": self.waiting,
            "known": int(coming.known),
            "planes": len(self.history.inputs),
            "log_weights": self.log_weights,
            "open": self._all_open(),
            "coming": coming.tails(),
            "eligibility": self.eligibility,
            **self.history.kept(self.index - kept, end, errors=self._rule is not None),
        }
        return {path: leaf for name, part in tree.items() for path, leaf in trees.flat(name, part).items()}

    def restore(self, leaves: dict[str, Tensor], biases: Sequence[NDArray]) -> None:
        """Go on, with these biases, from what :meth:`state` has returned.

        Raises:
            InputError: it is the state of something else.
        """

        def number(name: str, least: int, most: int) -> int:
            found = trees.filled(name, 0, leaves)
            if not least <= found <= most:
                raise InputError(
                    f"the saved state's {name} is {found}, where {least} to {most} can be; it is damaged, or was "
                    "written by a stream with other settings"
                )
            return found

        clock, index = number("past_steps", 0, 2**63 - 1), number("index", 0, self._capacity)
        waiting, known, planes = number("waiting", 0, index), number("known", 0, 1), number("planes", 1, 8)
        rows, coming = self._plan.silence + index, Coming(self._plan, *self.log_weights.shape)
        coming.known = bool(known)
        like: dict[str, Any] = {
            "log_weights": self.log_weights.copy(),
            "open": self._steps(waiting),
            "coming": coming.tails(),
            "eligibility": trees.map(np.zeros_like, self.eligibility),
            **self.history.blank(rows, planes, errors=self._rule is not None),
        }
        found = {name: trees.filled(name, part, leaves) for name, part in like.items()}
        self.history.take(found, rows)
        self.clock, self.index = clock, index
        self.log_weights, self._open = found["log_weights"], [self._steps(0), found["open"]]
        if known:
            coming.carry(found["coming"], biases)
        self.coming, self.eligibility = coming, found["eligibility"]
