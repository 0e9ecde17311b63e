"""Presentations whose runs are worked through together: what they did, and what they are still to learn from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.kernels.cpu import firing
from gemsnn.kernels.cpu.coming import Coming
from gemsnn.kernels.cpu.histories import History
from gemsnn.kernels.cpu.layers import Learned
from gemsnn.kernels.cpu.layout import Plan, Weights
from gemsnn.kernels.team import Team
from gemsnn.rules import base as rules
from gemsnn.rules.base import RuleSpec
from gemsnn.store import trees


def remembered(plan: Plan, rule: RuleSpec | None) -> int:
    """How many steps before those that are still to be learned from matter, beside the last ones that are heard.

    Those whose errors still count, and those whose spikes are credited with the errors after them.
    """
    if rule is None:
        return 0
    window = rules.memory_of(rule, plan.network.taps.dtype)
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
        ahead: whether the potentials of the next steps are kept from one block to the next.

    Attributes:
        index: steps that the history holds.
        clock: steps that have been shifted out of it.
        coming: these potentials, or ``None``.
        log_weights: ``[B, K]``.
        log_likelihood: ``[B, K]``.
        fired: int64 ``[B, K]``, hidden spikes.
    """

    def __init__(
        self, plan: Plan, presentations: int, compartments: int, history: History, capacity: int, rule: RuleSpec | None,
        *, ahead: bool,
    ) -> None:  # fmt: skip
        self._plan, self.history, self._capacity, self._rule = plan, history, capacity, rule
        self.index = self.clock = 0
        self.coming = Coming(plan, presentations, compartments) if ahead else None
        self._dtype = plan.network.taps.numpy().dtype
        self.log_weights = np.zeros((presentations, compartments), self._dtype)
        self.log_likelihood = np.zeros((presentations, compartments), self._dtype)
        self.fired = np.zeros((presentations, compartments), np.int64)
        self._open = [self._steps(0)]

    @property
    def runs(self) -> int:
        """P."""
        return self.fired.size

    @property
    def row(self) -> int:
        """The history's row of the step to come."""
        return self._plan.silence + self.index

    @property
    def waiting(self) -> int:
        """Steps that nothing was learned from yet."""
        return sum(len(read) for _, read in self._open)

    def _steps(self, count: int) -> tuple[NDArray, NDArray]:
        """Of so many steps the log-weights ``[C, B, K]``, and whether directions are read, bool ``[C, B]``."""
        shape = count, *self.log_weights.shape
        return np.zeros(shape, self._dtype), np.zeros(shape[:2], bool)

    def make_room(self, steps: int) -> None:
        """Forget what no longer matters where there is no room for so many new steps."""
        if self.index + steps > self._capacity:
            self._forget()

    def _forget(self) -> None:
        """Forget what no longer matters."""
        gone = self.index - min(self.index, remembered(self._plan, self._rule) + self.waiting)
        self.history.shift(gone, self.row)
        self.index, self.clock = self.index - gone, self.clock + gone

    def weigh(self, evidence: NDArray, alive: NDArray, read: NDArray) -> None:
        """The last steps are over: their evidence ``[B, K, C]``, and which of them are read, bool ``[B, C]``."""
        steps = evidence.shape[2]
        self.index += steps
        self.log_likelihood += evidence.sum(2)
        if self._rule is None:
            return
        kind, log_weights = self._dtype.type, self._steps(steps)[0]
        fresh = kind(1 - self._rule.kappa if self._rule.average else 1.0)
        firing.weigh_runs(self.log_weights, evidence, alive, kind(self._rule.kappa), fresh, log_weights)
        self._open.append((log_weights, read.T))

    def _all_open(self) -> tuple[NDArray, NDArray]:
        """The same as :meth:`_steps` of those that nothing was learned from yet."""
        log_weights, read = zip(*self._open, strict=True)
        return np.concatenate(log_weights), np.concatenate(read)

    def learned(self, batch: int, team: Team) -> Learned:
        """What is to be learned from these, in coefficients ``C[tau] = c[tau] + gamma C[tau + 1]`` of all errors.

        Of ``batch`` presentations that share an update, in a team.
        """
        assert self._rule is not None
        (log_weights, read), self._open = self._all_open(), self._open[:1]
        rule, steps, kind = self._rule, len(read), self._dtype
        signal = team.signal(rule.value)(torch.from_numpy(log_weights))
        weight = (read[:, :, None] / batch).astype(kind)
        hidden, visible = (
            (leaf.numpy() * weight).reshape(steps, -1) for leaf in (signal.hidden, signal.visible)
        )
        window = min(rules.memory_of(rule, self._plan.network.taps.dtype), self.index - steps)
        found = []
        for each in (hidden, visible):
            credit, out = np.zeros_like(each[0]), np.zeros((window + steps, each.shape[1]), kind)
            for t in reversed(range(steps)):
                credit = out[window + t] = each[t] + kind.type(rule.gamma) * credit
            age = np.arange(window, 0, -1)[:, None]
            out[:window] = (rule.gamma**age).astype(kind) * credit
            counts = out.any(1)
            first = int(counts.argmax()) if counts.any() else len(out)
            found.append(out[first:] * kind.type(1 - rule.gamma if rule.average else 1.0))
        of_hidden, of_visible = found
        return Learned(of_hidden, of_visible, visible if "credit" in rule.value.needs else visible[:0])

    def _going_on(self) -> dict[str, Any]:
        """What goes on, beside numbers and steps that nothing was learned from yet; arrays are the group's own."""
        past = self.history.first(self.row, errors=self._rule is not None)
        tails = self.coming.tails if self.coming is not None and self.coming.known else ()
        return {"log_weights": self.log_weights, "history": past, "coming": tails}

    def state(self) -> dict[str, Tensor]:
        """A copy of all that goes on; what no longer matters is left out."""
        self._forget()
        numbers = {"past_steps": self.clock, "index": self.index, "waiting": self.waiting}
        numbers["known"] = int(self.coming is not None and self.coming.known)
        tree = numbers | {"planes": len(self.history.inputs), "open": self._all_open()} | self._going_on()
        return {path: leaf for name, part in tree.items() for path, leaf in trees.flat(name, part).items()}

    def restore(self, leaves: dict[str, Tensor], weights: Weights) -> None:
        """Go on, with these weights, from what :meth:`state` has returned.

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

        clock, index = number("past_steps", 0, 2**62), number("index", 0, self._capacity)
        waiting, planes = number("waiting", 0, index), number("planes", 1, 8)
        known = number("known", 0, int(self.coming is not None))
        self.clock, self.index = clock, index
        self._open = [self._steps(0), trees.filled("open", self._steps(waiting), leaves)]
        self.history.clear()
        self.history.widen(2**planes - 1)
        if self.coming is not None:
            self.coming.at, self.coming.known = 0, bool(known)
            self.coming.blank_beyond(weights)
        for name, part in self._going_on().items():
            trees.filled(name, part, leaves)
        self.history.spell_out(self.row)
