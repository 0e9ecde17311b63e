"""What a learning rule is: a value that says what it needs, and how it learns with that.

A rule needs some of three things, and a kernel serves it, or refuses it, by these alone:

* ``"signal"``: one number a step and compartment for all visible neurons and one for all hidden ones, a function of the
  log-weights (the third factor of a three-factor rule, sent to every synapse);
* ``"credit"``: beside that, one number for each hidden neuron, which says what its spike did to the visible neurons
  one synapse ahead (:mod:`gemsnn.rules.credit`), weighted by the visible neurons' signal;
* ``"synapse"``: state of its own for every synapse and compartment, which ``init`` begins and ``advance`` moves.

What a rule does with a signal and a credit is the same for all of them: :mod:`gemsnn.rules.advance`. So one of those is
its signal, and nothing else.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

Need = Literal["signal", "credit", "synapse"]
NEEDS: tuple[Need, ...] = typing.get_args(Need)

WHY: dict[Need, str] = {
    "signal": "needs a learning signal for each compartment",
    "credit": "needs a credit for each hidden neuron, what its spikes did to the visible ones",
    "synapse": "keeps state of its own for every synapse and compartment",
}
"""What a kernel that does not serve a need says of a rule with it."""


class Signal(NamedTuple):
    """Learning signals ``[.., K]``, for the visible and for the hidden neurons."""

    visible: Tensor
    hidden: Tensor


def no_signal(log_weights: Tensor) -> Signal:
    """For rules that have none."""
    raise AssertionError("a rule was asked for a signal that it does not need")


@dataclass(frozen=True)
class Rule:
    """A learning rule.

    Attributes:
        name: what it is called in settings and messages.
        needs: what it needs.
        signal: learning signals from log-weights ``[.., K]`` in nats; each row ``[K]`` by itself, whatever stands
            before it. Asked for where ``needs`` has ``"signal"``.
        init: what it remembers before the first step, a named tuple with the field ``log_weights``, ``[B, K]``; called
            as :func:`gemsnn.rules.advance.init`. Where ``needs`` has ``"synapse"``.
        advance: one step, called as :func:`gemsnn.rules.advance.advance`; returns what it remembers, and the direction
            to climb. Where ``needs`` has ``"synapse"``.
    """

    name: str
    needs: frozenset[Need]
    signal: Callable[[Tensor], Signal] = no_signal
    init: Callable[..., Any] | None = None
    advance: Callable[..., Any] | None = None

    @property
    def by_credit_alone(self) -> bool:
        """Whether its signal leaves hidden neurons as they are, so that they learn from their credit or not at all."""
        if self.needs != {"signal", "credit"}:
            return False
        return not bool(self.signal(torch.tensor([[-3.0, -1.0, -2.0], [0.0, -5.0, 1.0]])).hidden.any())

    def unserved(self, served: Collection[Need]) -> str | None:
        """Why a kernel that serves these needs cannot serve this rule, but for what could; ``None`` if it can."""
        # the greatest need first: a rule with state for synapses is not helped by a kernel with credit
        for need in reversed(NEEDS):
            if need in self.needs and need not in served:
                return f"the rule {self.name} {WHY[need]}"
        return None
