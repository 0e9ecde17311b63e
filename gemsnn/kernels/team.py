"""Who learns a batch: one process, or several that hold the same parameters and each a share of the runs.

The runs of a batch, presentations times compartments, depend on one another in two places only, whatever the kernel:
the compartments of a presentation meet in the learning signals, a function of all their log-weights, and all runs meet
in the direction of an update. A kernel that asks its team at these two places learns a share of a batch as it learns a
whole one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from gemsnn.rules import optimisers
from gemsnn.rules.contract import Rule, Signal
from gemsnn.rules.optimisers import OptimiserSpec, OptimiserState, Tree


class Team(Protocol):
    """What a kernel asks while it learns its share of a batch.

    Attributes:
        alone: whether nobody else has a share; then updates need not be exchanged, and may be pending.
        first: the number of the share's first compartment, by which its noise is addressed.
    """

    alone: bool
    first: int

    def widest(self, compartments: int) -> int:
        """How many compartments the largest share has, where this one has so many: all cut their work by that."""
        ...

    def signal(self, rule: Rule) -> Callable[[Tensor], Signal]:
        """The rule's learning signals for the share's own log-weights ``[.., B, K]``: all compartments are heard."""
        ...

    def update(
        self, spec: OptimiserSpec, state: OptimiserState, params: Tree, direction: Tree, *, lr: float
    ) -> tuple[OptimiserState, Tree]:
        """Climb one step along the direction of the whole batch; ``direction`` is that of the share's own runs.

        It is summed over the share's compartments and averaged over its presentations.
        """
        ...


class Alone:
    """One process that learns the whole batch."""

    alone = True
    first = 0

    def widest(self, compartments: int) -> int:
        """See :meth:`Team.widest`."""
        return compartments

    def signal(self, rule: Rule) -> Callable[[Tensor], Signal]:
        """See :meth:`Team.signal`."""
        return rule.signal

    def update(
        self, spec: OptimiserSpec, state: OptimiserState, params: Tree, direction: Tree, *, lr: float
    ) -> tuple[OptimiserState, Tree]:
        """See :meth:`Team.update`."""
        return optimisers.update(spec, state, params, direction, lr=lr)


ALONE = Alone()
