"""Graphs under way: groups of runs, and the parameters that they have reached.

Weights rest between two updates. So first all runs (presentations times compartments) go forwards, in one block of
steps or in several; at an update the compartments of each presentation meet in the learning signals, and all runs go
backwards (:mod:`gemsnn.kernels.cpu.layers`): a step is credited with ``C[tau] = c[tau] + gamma C[tau + 1]`` of its
errors, and each spike adds a stretch of errors so weighted to the direction of each of its synapses.

A spike is added at once to the potentials of all steps that it reaches, also of those that are yet to come: they are
kept for the block that comes next, and made anew from the histories where the weights have moved.

How runs are split follows from the work alone, and what parts have summed is added up in their order, so results do not
depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import rng
from gemsnn.kernels import threads
from gemsnn.kernels.contract import Learning, Rollout
from gemsnn.kernels.cpu import eligibility, layers, layout, slabs
from gemsnn.kernels.cpu.coming import AHEAD
from gemsnn.kernels.cpu.groups import Group, remembered
from gemsnn.kernels.cpu.histories import History
from gemsnn.kernels.cpu.layers import Block
from gemsnn.kernels.cpu.layout import Blame
from gemsnn.kernels.cpu.memory import Pool
from gemsnn.kernels.cpu.slabs import Shown
from gemsnn.model.network import Network, Params
from gemsnn.rules import optimisers
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.store import trees
from gemsnn.types import Batch

PARTS = 8
"""Into how many parts runs are split that learn side by side: a constant, so that sums are the same everywhere."""

CHUNK = 128
"""Steps after which runs without end learn from what they did, also where no update is due."""


class Course:
    """Groups under way, with the parameters they have reached: what batches and streams have in common.

    Args:
        network: the network.
        params: parameters to begin with.
        learning: how they learn; ``None`` if they do not.
        optimiser: its state.
        compartments: K.
        presentations: how many in each group. Where there are several they take turns in one history, block by block.
        steps: how many there will be; ``None`` for a course without an end.
        seed: of the noise.
        lr: step size.
        potentials: whether :meth:`advance` tells what the runs did.
    """

    def __init__(
        self, network: Network, params: Params, learning: Learning | None, optimiser: OptimiserState | None,
        compartments: int, presentations: list[int], steps: int | None, *, seed: int, lr: float = 0.0,
        potentials: bool = False,
    ) -> None:  # fmt: skip
        self.plan = layout.plan_of(network, endless=steps is None)
        self.learning, self.optimiser, self.compartments = learning, optimiser, compartments
        self.seed, self.lr, self._potentials = seed, lr, potentials
        self._params, self._weights = params, layout.laid_out(self.plan, params)
        self._batch, self._endless = sum(presentations), steps is None
        rule, kept = learning and learning.rule, None
        if learning is not None and len(presentations) == 1:
            kept = eligibility.carried(self.plan, self._weights, learning, presentations[0], steps)
        if steps is None:
            self._most = AHEAD
            self._longest = AHEAD if learning is None else min(learning.update_every or CHUNK, CHUNK)
            kept_steps = remembered(self.plan, rule, carried=kept is not None)
            # as many again, so that a step is moved but a few times until it is forgotten
            capacity = kept_steps + max(self._most, self._longest, kept_steps)
        else:
            self._most = self._longest = capacity = steps
        history = History(self.plan, presentations[0], compartments, capacity)
        self.groups = [
            Group(self.plan, size, compartments, history, capacity, rule, kept, endless=self._endless)
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

    def state(self) -> dict[str, Tensor]:
        """A copy of all that goes on, of a course without an end."""
        (group,) = self.groups
        return {
            **trees.flat("params", self._params),
            **trees.flat("optimiser", self.optimiser),
            **trees.flat("blame", self._blames[0] if self._learns_early else None),
            **group.state(),
        }

    def restore(self, leaves: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` has returned.

        Raises:
            InputError: it is the state of something else.
        """
        (group,) = self.groups
        params = trees.filled("params", self._params, leaves)
        optimiser = trees.filled("optimiser", self.optimiser, leaves)
        weights = layout.laid_out(self.plan, params)
        blames = [layout.no_blame(self.plan, weights) for _ in self._blames]
        if self._learns_early:
            trees.filled("blame", blames[0], leaves)
        group.restore(leaves, weights.biases)
        self._params, self.optimiser, self._weights, self._blames = params, optimiser, weights, blames

    @property
    def _learns_early(self) -> bool:
        """Whether runs learn from what they did before an update is due."""
        every = None if self.learning is None else self.learning.update_every
        return self._endless and every is not None and every > self._longest

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
        classes = self.plan.network.spec.visible
        whole = [block_of(piece, classes, self.seed, clamp=clamp) for piece in pieces]
        largest = max(int(block.inputs.max(initial=0)) for block in whole)
        self.groups[0].history.widen(largest.bit_length())
        done, steps = 0, len(updates)
        seen = self._to_show(steps)
        while done < steps:
            ends = updates[done:].nonzero().flatten()
            want = int(ends[0]) + 1 if len(ends) else steps - done
            stop = done + min(want, self._longest - self.groups[0].waiting, self._most)
            self._block(whole, reads, slice(done, stop), bool(updates[stop - 1]), seen)
            done = stop
        return seen and Rollout(*(leaf.unflatten(0, (-1, self.compartments)) for leaf in seen))

    def _block(
        self, whole: list[Block], reads: list[Tensor], inside: slice, update: bool, seen: Rollout | None
    ) -> None:
        """Run all groups for some of these steps, between which there is no update."""
        run = 0
        early = self.groups[0].waiting + inside.stop - inside.start == self._longest
        for at, (group, steps, read) in enumerate(zip(self.groups, whole, reads, strict=True)):
            if at:
                group.history.clear()
            block = cut(steps, inside)
            shown, run = seen and Shown(seen, run, inside.start), run + group.runs
            evidence = slabs.advance(
                self.plan,
                self._weights,
                group,
                block,
                shown,
                self._pool,
                goes_on=self._endless and not update,
            )
            group.weigh(evidence, block.alive, read[:, inside].numpy())
            if self.learning is not None and (update or early):
                self._backward(group)
        if update:
            self._update()
        elif early and self.learning is not None:
            self._add_up()

    def _to_show(self, steps: int) -> Rollout | None:
        """Where to write what all runs do, ``[P, C, N]``, if it is to be told."""
        if not self._potentials:
            return None
        shape = self._batch * self.compartments, steps, self.plan.network.spec.neurons
        return Rollout(
            torch.empty(shape, dtype=torch.uint8), torch.empty(shape, dtype=self.plan.network.taps.dtype)
        )

    def _backward(self, group: Group) -> None:
        """Add up what a group learns from its open steps."""
        learned, ranges = group.learned(self._batch), threads.ranges(group.runs, PARTS)
        with threads.one_for_blas():
            threads.each(
                lambda low, high, blame: self._part(group, low, high, learned, blame),
                [(*each, blame) for each, blame in zip(ranges, self._blames, strict=False)],
            )

    def _part(self, group: Group, low: int, high: int, learned: layers.Learned, blame: Blame) -> None:
        """Add up what some runs learn."""
        scratch, end = self._pool.take(), self.plan.silence + group.index
        shared: dict[int, NDArray] | None = None if self.compartments == 1 else {}
        for p in range(low, high):
            b = p // self.compartments
            layers.backward(
                self.plan, self._weights, group.history, (b, p), end, learned, scratch, blame, shared
            )
            if group.eligibility is not None:
                eligibility.advance(
                    self.plan, group.history, (b, p), end, learned, scratch, group.eligibility, blame
                )
            if shared is not None and (p + 1 == high or (p + 1) // self.compartments != b):
                for n, factor in shared.items():
                    layers.blame_inputs(self.plan, group.history, b, n, end, factor, blame)
                shared.clear()
        self._pool.give(scratch)

    def _add_up(self) -> Blame:
        """Add what all parts have learned to the first one's."""
        first, *others = self._blames
        threads.each(_move, list(zip(trees.leaves(first), *map(trees.leaves, others), strict=True)))
        return first

    def _update(self) -> None:
        """Let the optimiser move the parameters along what has been added up."""
        assert self.learning is not None
        assert self.optimiser is not None
        blame = self._add_up()
        direction = layout.direction_of(self.plan, blame)
        self.optimiser, self._params = optimisers.update(
            self.learning.optimiser, self.optimiser, self._params, direction, lr=self.lr
        )
        self._weights = layout.laid_out(self.plan, self._params)
        for leaf in trees.leaves(blame):
            leaf[:] = 0


def _move(into: NDArray, *others: NDArray) -> None:
    """Add others to the first, in their order, and leave zeros there."""
    for other in others:
        into += other
        other[:] = 0


def block_of(batch: Batch, classes: int, seed: int, *, clamp: bool) -> Block:
    """All steps of a batch."""
    alive = batch.alive
    inputs, target, observed = batch.spikes * alive[:, :, None], batch.target[:, :, :classes], batch.observed
    return Block(
        inputs.numpy(), target.numpy(), alive.numpy(), (observed & clamp).numpy(),
        rng.index(batch.address), rng.key(seed),
    )  # fmt: skip


def cut(block: Block, inside: slice) -> Block:
    """Some of its steps."""
    inputs, target, alive, observed = (np.ascontiguousarray(leaf[:, inside]) for leaf in block[:4])
    return Block(inputs, target, alive, observed, block.address, block.key)
