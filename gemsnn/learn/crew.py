"""A training that several workers share: who learns which runs of a batch, and how their parts become one.

Every worker holds the same parameters and learns a share of every batch: some of its presentations, some of its
compartments, or both. The compartments of a presentation are heard by all who learn it (K numbers a step), directions
are added up (a number a synapse), and each worker makes the same update. Noise is addressed by presentation and
compartment, so that a share is, to the rounding of sums, what one process would have learned of these runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.kernels.contract import Kernel, Learned, Learning
from gemsnn.learn.state import Learner
from gemsnn.machine.group import Group
from gemsnn.model import network as networks
from gemsnn.model.network import Network
from gemsnn.rows import SpikeRows
from gemsnn.rules import optimisers
from gemsnn.rules.contract import Rule, Signal
from gemsnn.rules.optimisers import OptimiserSpec, OptimiserState, Tree
from gemsnn.store import trees
from gemsnn.types import Presentation, PresentationSequence

Split = Literal["presentations", "compartments", "both"]
Item = TypeVar("Item")

SLOW = 1.5
"""How many times as long as the others, in the middle, a worker takes that is called slow."""


class Division(NamedTuple):
    """Workers as a table: one row for every share of the presentations, one column for every share of compartments."""

    presentations: int
    compartments: int


def divided(split: Split, workers: int, learning: Learning) -> Division:
    """How so many workers divide a batch; ``both`` comes as near to a square as their number allows.

    Raises:
        InputError: the compartments cannot be divided like this.
    """
    columns = {"presentations": 1, "compartments": workers}.get(split)
    if columns is None:
        columns = max(n for n in range(1, math.isqrt(workers) + 1) if workers % n == 0)
    if columns > learning.compartments:
        raise InputError(
            f"{learning.compartments} compartments cannot be divided over {columns} workers; give --split "
            "presentations, or more --compartments"
        )
    if columns > 1 and learning.resamples:
        raise InputError(
            "compartments that replace others (resample above 0) must be together; give --split presentations"
        )
    if columns > 1 and "synapse" in learning.rule.value.needs:
        raise InputError(
            f"the rule {learning.rule.name} keeps state of its own for every synapse, and its compartments must be "
            "together; give --split presentations"
        )
    return Division(workers // columns, columns)


def share(items: Sequence[Item], part: int, parts: int) -> Sequence[Item]:
    """The ``part``-th of as many consecutive parts, whose sizes differ by one at most."""
    return items[len(items) * part // parts : len(items) * (part + 1) // parts]


class Some:
    """Some of many presentations."""

    def __init__(self, items: PresentationSequence, places: Sequence[int]) -> None:
        self._items, self._places = items, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, position: int) -> Presentation:
        return self._items[self._places[position]]


class Crew:
    """The team of one worker; see :class:`gemsnn.kernels.team.Team`.

    Args:
        group: all workers.
        split: what they divide.
        learning: how a batch is learned, with all compartments.
        say: takes a line that is to be told.
    """

    alone = False

    def __init__(
        self, group: Group, split: Split, learning: Learning, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.division = divided(split, group.size, learning)
        self._group, self._say = group, say
        self._row, self._column = divmod(group.rank, self.division.compartments)
        rows = [
            [row * self.division.compartments + column for column in range(self.division.compartments)]
            for row in range(self.division.presentations)
        ]
        self._beside = [group.team(ranks) for ranks in rows][self._row]
        self._spans = [
            share(range(learning.compartments), column, self.division.compartments)
            for column in range(self.division.compartments)
        ]
        self._own = self._spans[self._column]
        self.first = self._own[0]
        self._learning = replace(learning, compartments=len(self._own))
        self._whole, self._weight, self._busy = learning, 1.0, [0.0] * group.size

    @property
    def leads(self) -> bool:
        """Whether this worker is the one that writes and speaks."""
        return self._group.rank == 0

    def own(self, items: Sequence[Item]) -> Sequence[Item]:
        """The share of a batch's presentations that this worker learns."""
        return share(items, self._row, self.division.presentations)

    def shared(
        self, work: Callable[[PresentationSequence], tuple[Tensor, ...]], items: PresentationSequence
    ) -> tuple[Tensor, ...]:
        """What ``work`` makes of presentations, with a first dimension for them: every worker does it for some."""
        places = share(range(len(items)), self._group.rank, self._group.size)
        found = work(Some(items, places)) if len(places) else None
        all_found = [each for each in self._group.all(found) if each is not None]
        return tuple(torch.cat(leaves) for leaves in zip(*all_found, strict=True))

    def any(self, flag: bool) -> bool:
        """Whether it is true for any of the workers."""
        return any(self._group.all(flag))

    def learn(
        self, kernel: Kernel, network: Network, learner: Learner, rows: Iterable[Presentation], of: int, *,
        seed: int, lr: float,
    ) -> Learned:  # fmt: skip
        """Learn a batch of so many presentations, of which ``rows`` are this worker's own; what all have learned."""
        began, waited = time.perf_counter(), self._group.waited
        own = list(rows)
        self._weight = len(own) / of
        count = len(own)
        if not own:  # it takes part in all that is exchanged, with a silence that counts nothing
            spec = network.spec
            silence = SpikeRows.of(np.zeros((1, spec.inputs), np.uint8))
            target = torch.zeros(1, network.graph.classes, dtype=torch.uint8)
            own = [Presentation(silence, target, 0, 0)]
        steps = 0
        if self._learning.update_every is not None:  # all must make as many updates
            steps = max(self._group.all(max(len(row.given) for row in own)))
        learned = kernel.learn(
            network, learner.params, learner.optimiser, self._learning, networks.batch(network, own, steps=steps),
            seed=seed, lr=lr, team=self,
        )  # fmt: skip
        parts = [
            leaf if leaf is None else leaf[:count].cpu()
            for leaf in (
                learned.log_likelihood,
                learned.log_weights,
                learned.hidden_rate,
                learned.log_estimates,
            )
        ]
        seconds = time.perf_counter() - began - (self._group.waited - waited)
        told = self._group.all((parts, seconds))
        self._busy = [before + each for before, (_, each) in zip(self._busy, told, strict=True)]
        return learned._replace(**self._joined([found for found, _ in told]))

    def _joined(self, found: list[list[Any]]) -> dict[str, Tensor | None]:
        """The numbers of all runs, from those of every worker."""
        columns = self.division.compartments
        rows = [found[start : start + columns] for start in range(0, len(found), columns)]

        def table(at: int) -> Tensor | None:
            if rows[0][0][at] is None:
                return None
            return torch.cat([torch.cat([each[at] for each in row], 1) for row in rows])

        shares = [len(span) / self._whole.compartments for span in self._spans]
        rates = [
            torch.stack([part * each[2] for part, each in zip(shares, row, strict=True)]).sum(0)
            for row in rows
        ]
        return {
            "log_likelihood": table(0),
            "log_weights": table(1),
            "hidden_rate": torch.cat(rates),
            "log_estimates": table(3),
        }

    def widest(self, compartments: int) -> int:
        """See :meth:`gemsnn.kernels.team.Team.widest`."""
        return max(map(len, self._spans))

    def signal(self, rule: Rule) -> Callable[[Tensor], Signal]:
        """See :meth:`gemsnn.kernels.team.Team.signal`."""
        if self.division.compartments == 1:
            return rule.signal

        def heard(log_weights: Tensor) -> Signal:
            short = self.widest(len(self._own)) - len(self._own)
            own = torch.nn.functional.pad(log_weights, (0, short))
            found = self._group.gathered(own, self._beside)
            whole = torch.cat(
                [leaf[..., : len(span)] for leaf, span in zip(found, self._spans, strict=True)], -1
            )
            mine = slice(self.first, self.first + len(self._own))
            return Signal(*(leaf[..., mine].contiguous() for leaf in rule.signal(whole)))

        return heard

    def update(
        self, spec: OptimiserSpec, state: OptimiserState, params: Tree, direction: Tree, *, lr: float
    ) -> tuple[OptimiserState, Tree]:
        """See :meth:`gemsnn.kernels.team.Team.update`."""
        return optimisers.update(spec, state, params, self._summed(direction), lr=lr)

    def _summed(self, direction: Tree) -> Tree:
        """The direction of all workers, averaged over the presentations of all, in the memory order of this one's."""
        leaves = [_dense(leaf) for leaf in trees.leaves(direction)]
        flat = torch.cat([leaf.as_strided((leaf.numel(),), (1,)) for leaf in leaves])
        total = self._group.summed(flat.mul_(self._weight)[None], [1] * self._group.size)
        each = iter(
            piece.as_strided(leaf.shape, leaf.stride(), piece.storage_offset())
            for piece, leaf in zip(total.split([leaf.numel() for leaf in leaves]), leaves, strict=True)
        )
        return trees.map(lambda _: next(each), direction)

    def name_slow(self) -> None:
        """At the end of an epoch: say which workers held the others up, if any."""
        busy, self._busy = self._busy, [0.0] * self._group.size
        middle = sorted(busy)[(len(busy) - 1) // 2]
        slow = [n for n, seconds in enumerate(busy) if seconds > SLOW * middle + 1]
        if slow:
            names = ", ".join(f"{n} ({busy[n]:.0f} s)" for n in slow)
            self._say(f"note: the others waited for worker {names}; they worked for {middle:.0f} s each")


def _dense(leaf: Tensor) -> Tensor:
    """The same numbers without gaps in memory, in the order that they have there."""
    like = torch.empty_like(leaf)
    return leaf if like.stride() == leaf.stride() else torch.empty_like(leaf).copy_(leaf)
