"""Graphs under way: groups of runs, and the parameters that they have reached.

Weights rest between two updates. So first all runs (presentations times compartments) go forwards, in one block of
steps or in several; at an update the compartments of each presentation meet in the learning signals, and all runs go
backwards (:mod:`gemsnn.kernels.cpu.layers`): a step is credited with ``C[tau] = c[tau] + gamma C[tau + 1]`` of its
errors, and each spike adds a stretch of errors so weighted to the direction of each of its synapses.

How runs are split follows from the work alone, and what parts have summed is added up in their order, so results do not
depend on the number of threads; nor do they on where steps are cut into blocks.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import rng
from gemsnn.kernels import threads
from gemsnn.kernels.contract import Learning, Rollout
from gemsnn.kernels.cpu import coming, forwards, layers, layout
from gemsnn.kernels.cpu.forwards import PARTS
from gemsnn.kernels.cpu.groups import Group, remembered
from gemsnn.kernels.cpu.histories import History
from gemsnn.kernels.cpu.layers import Block
from gemsnn.kernels.cpu.layout import Blame
from gemsnn.kernels.cpu.memory import Pool
from gemsnn.kernels.team import ALONE, Team
from gemsnn.model.network import Network, Params
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.store import trees
from gemsnn.types import Batch

CHUNK = 128
"""Steps after which runs without an end learn from what they did, also where no update is due."""


class Course:
    """Groups under way, with the parameters they have reached: what batches and streams have in common.

    Args:
        network: the network.
        params: parameters to begin with.
        learning: how they learn; ``None`` if they do not.
        optimiser: its state.
        compartments: K.
        presentations: how many in each group. Where there are several they take turns in one history, block by block.
        steps: how many there will be; ``None`` for a course without an end, of a single group.
        seed: of the noise.
        lr: step size.
        potentials: whether :meth:`advance` tells what the runs did.
        first: the number of the first compartment.
        team: with whom they learn.
    """

    def __init__(
        self, network: Network, params: Params, learning: Learning | None, optimiser: OptimiserState | None,
        compartments: int, presentations: list[int], steps: int | None, *, seed: int, lr: float = 0.0,
        potentials: bool = False, first: int = 0, team: Team = ALONE,
    ) -> None:  # fmt: skip
        self.plan = layout.plan_of(network, endless=steps is None)
        self.learning, self.optimiser, self._params = learning, optimiser, params
        self.compartments, self.seed, self.lr, self._potentials = compartments, seed, lr, potentials
        self._first, self._team = first, team
        self._batch = sum(presentations)
        self._weights = layout.laid_out(self.plan, params)
        rule, ahead = learning and learning.rule, False
        if steps is None:
            every, kept = learning and learning.update_every, remembered(self.plan, rule)
            self._longest, ahead = min(every or CHUNK, CHUNK), every is None or every > coming.FEW
            # as many again, so that a step is moved but a few times until it is forgotten
            capacity = kept + max(CHUNK, kept)
        else:
            self._longest = capacity = steps
        self._most = coming.AHEAD if ahead else self._longest
        history = History(self.plan, presentations[0], compartments, capacity)
        self.groups = [
            Group(self.plan, size, compartments, history, capacity, rule, ahead=ahead)
            for size in presentations
        ]
        parts = 0 if learning is None else min(PARTS, self.groups[0].runs)
        self._blames = [layout.no_blame(self.plan, self._weights) for _ in range(parts)]
        self._pool = Pool(network.taps.numpy().dtype)

    @property
    def params(self) -> Params:
        """A copy of the parameters reached."""
        return trees.map(torch.clone, self._params)

    def finish(self) -> Params:
        """The parameters reached, without a copy. The course ends here."""
        return self._params

    def advance(
        self, pieces: list[Batch], reads: list[Tensor], updates: Tensor, *, clamp: bool
    ) -> Rollout | None:
        """Run all groups for the steps of these batches, and return what they did, if that is wanted.

        Args:
            pieces: a batch for each group.
            reads: bool ``[B, C]`` for each group, whether directions are read.
            updates: bool ``[C]``, whether steps end with an update.
            clamp: whether visible neurons are clamped to the target where observed; else they are free.
        """
        classes, steps = self.plan.network.spec.visible, len(updates)
        whole = [block_of(piece, classes, self.seed, clamp=clamp, first=self._first) for piece in pieces]
        self.groups[0].history.widen(max(piece.rows.largest for piece in pieces))
        seen, done = self._to_show(steps), 0
        while done < steps:
            ends = updates[done:].nonzero().flatten()
            want = int(ends[0]) + 1 if len(ends) else steps - done
            stop = done + min(want, self._longest - self.groups[0].waiting, self._most)
            self._block(whole, reads, slice(done, stop), seen, update=bool(updates[stop - 1]))
            done = stop
        return seen

    def _block(
        self, whole: list[Block], reads: list[Tensor], inside: slice, seen: Rollout | None, *, update: bool
    ) -> None:
        """Run all groups for some of these steps, between which there is no update."""
        full = self.groups[0].waiting + inside.stop - inside.start == self._longest
        sizes = itertools.accumulate((len(group.fired) for group in self.groups), initial=0)
        for at, (group, block, read, first) in enumerate(zip(self.groups, whole, reads, sizes, strict=False)):
            if at:
                group.history.clear()
            some = slice(first, first + len(group.fired))
            shown = seen and Rollout(*(leaf[some, :, inside] for leaf in seen))
            steps = cut(block, inside)
            evidence = forwards.advance(self.plan, self._weights, group, steps, shown, self._pool)
            group.weigh(evidence, steps.alive, read[:, inside].numpy())
            if self.learning is not None and (update or full):
                self._backwards(group)
        if self.learning is not None and (update or full):
            self._add_up()
        if update:
            self._update()

    def _to_show(self, steps: int) -> Rollout | None:
        """Where to write what all runs do, if it is to be told."""
        if not self._potentials:
            return None
        shape = self._batch, self.compartments, steps, self.plan.network.spec.neurons
        dtype = self.plan.network.taps.dtype
        return Rollout(torch.empty(shape, dtype=torch.uint8), torch.empty(shape, dtype=dtype))

    def _backwards(self, group: Group) -> None:
        """Add up what a group learns from the steps that nothing was learned from yet."""
        learned, ranges = group.learned(self._batch, self._team), threads.ranges(group.runs, PARTS)
        with threads.one_for_blas():
            threads.each(
                lambda low, high, blame: self._some_backwards(group, low, high, learned, blame),
                [(*each, blame) for each, blame in zip(ranges, self._blames, strict=False)],
            )

    def _some_backwards(
        self, group: Group, low: int, high: int, learned: layers.Learned, blame: Blame
    ) -> None:
        """The same of some runs."""
        scratch, end = self._pool.take(), group.row
        shared: dict[int, NDArray] | None = None if self.compartments == 1 else {}
        for p in range(low, high):
            b = p // self.compartments
            layers.backward(
                self.plan, self._weights, group.history, (b, p), end, learned, scratch, blame, shared
            )
            if shared is not None and (p + 1 == high or (p + 1) // self.compartments != b):
                for n, factor in shared.items():
                    layers.blame_inputs(self.plan, group.history, b, n, end, factor, blame)
                shared.clear()
        self._pool.give(scratch)

    def _add_up(self) -> None:
        """Add what all parts have learned to the first one's."""
        first, *others = self._blames
        threads.each(_move, list(zip(trees.leaves(first), *map(trees.leaves, others), strict=True)))

    def _update(self) -> None:
        """Let the optimiser move the parameters along what has been added up."""
        assert self.learning is not None
        assert self.optimiser is not None
        blame = self._blames[0]
        self.optimiser, self._params = self._team.update(
            self.learning.optimiser, self.optimiser, self._params, layout.direction_of(self.plan, blame), lr=self.lr
        )  # fmt: skip
        self._weights = layout.laid_out(self.plan, self._params)
        for leaf in trees.leaves(blame):
            leaf[:] = 0
        for group in self.groups:
            if group.coming is not None:
                group.coming.known = False

    @property
    def _kept_blame(self) -> Blame | None:
        """What is added up from one call to the next, where there may be any."""
        every = self.learning and self.learning.update_every
        return self._blames[0] if every and every > self._longest else None

    def state(self) -> dict[str, Tensor]:
        """A copy of all that goes on, of a course without an end."""
        return {
            **trees.flat("params", self._params),
            **trees.flat("optimiser", self.optimiser),
            **trees.flat("blame", self._kept_blame),
            **self.groups[0].state(),
        }

    def restore(self, leaves: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` has returned.

        Raises:
            InputError: it is the state of something else.
        """
        self._params = trees.filled("params", self._params, leaves)
        self.optimiser = trees.filled("optimiser", self.optimiser, leaves)
        self._weights = layout.laid_out(self.plan, self._params)
        trees.filled("blame", self._kept_blame, leaves)
        self.groups[0].restore(leaves, self._weights)


def _move(into: NDArray, *others: NDArray) -> None:
    """Add others to the first, in their order, and leave zeros there."""
    for other in others:
        into += other
        other[:] = 0


def block_of(batch: Batch, classes: int, seed: int, *, clamp: bool, first: int) -> Block:
    """All steps of a batch."""
    count, steps, _ = batch.shape
    inputs = [batch.rows.part(b * steps, (b + 1) * steps) for b in range(count)]
    target, alive, observed = batch.target[:, :, :classes], batch.alive, batch.observed & clamp
    return Block(
        inputs,
        target.numpy(),
        alive.numpy(),
        observed.numpy(),
        rng.index(batch.address),
        rng.key(seed),
        first,
    )


def cut(block: Block, inside: slice) -> Block:
    """Some of its steps."""
    inputs = [rows.part(inside.start, inside.stop) for rows in block.inputs]
    target, alive, observed = (np.ascontiguousarray(leaf[:, inside]) for leaf in block[1:4])
    return Block(inputs, target, alive, observed, block.address, block.key, block.first)
