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
from gemsnn.kernels.cpu import layers, layout
from gemsnn.kernels.cpu.groups import Group
from gemsnn.kernels.cpu.histories import History, note_inputs
from gemsnn.kernels.cpu.layers import Block, Span
from gemsnn.kernels.cpu.layout import Blame
from gemsnn.kernels.cpu.memory import Scratch
from gemsnn.model.network import Network, Params
from gemsnn.rules import base as rules
from gemsnn.rules import optimisers
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.store import trees
from gemsnn.types import Batch

PARTS = 8
"""Into how many parts runs are split that learn side by side: a constant, so that sums are the same everywhere."""

SLAB_BYTES = 2**20
"""What the potentials of runs may take that go forwards together: many steps of one run, or a few of many."""

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
        self.plan = layout.plan_of(network)
        self.learning, self.optimiser, self.compartments = learning, optimiser, compartments
        self.seed, self.lr, self._potentials = seed, lr, potentials
        self._params, self._weights = params, layout.laid_out(self.plan, params)
        self._batch, self._endless = sum(presentations), steps is None
        rule = None if learning is None else learning.rule
        self._longest = capacity = CHUNK if steps is None else steps
        if steps is None and rule is not None:
            capacity += rules.memory_of(rule, network.taps.dtype)
        history = History(self.plan, presentations[0], compartments, capacity)
        self.groups = [
            Group(self.plan, size, compartments, history, capacity, rule) for size in presentations
        ]
        parts = 0 if learning is None else min(PARTS, self.groups[0].runs)
        self._blames = [layout.no_blame(self.plan, self._weights) for _ in range(parts)]
        self._spare: list[Scratch] = []

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
            **trees.flat("blame", self._early),
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
        trees.filled("blame", self._early, leaves)
        group.restore(leaves)
        self._params, self.optimiser = params, optimiser
        self._weights = layout.laid_out(self.plan, params)

    @property
    def _early(self) -> Blame | None:
        """What was learned since the last update, where runs learn before the next one is due."""
        every = None if self.learning is None else self.learning.update_every
        return self._blames[0] if self._endless and every and every > self._longest else None

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
        for piece in pieces:
            largest = int(piece.spikes.max()) if piece.spikes.numel() else 0
            self.groups[0].history.widen(largest.bit_length())
        done, steps = 0, len(updates)
        seen = self._to_show(steps)
        while done < steps:
            ends = updates[done:].nonzero().flatten()
            want = int(ends[0]) + 1 if len(ends) else steps - done
            stop = done + min(want, self._longest - self.groups[0].waiting)
            self._block(pieces, reads, slice(done, stop), bool(updates[stop - 1]), seen, clamp=clamp)
            done = stop
        return seen and Rollout(*(leaf.unflatten(0, (-1, self.compartments)) for leaf in seen))

    def _block(
        self, pieces: list[Batch], reads: list[Tensor], inside: slice, update: bool, seen: Rollout | None,
        *, clamp: bool,
    ) -> None:  # fmt: skip
        """Run all groups for some of these steps, between which there is no update."""
        first, ahead = 0, self.plan.silence if self._endless and not update else 0
        early = self.groups[0].waiting + inside.stop - inside.start == self._longest
        for at, (group, piece, read) in enumerate(zip(self.groups, pieces, reads, strict=True)):
            if at:
                group.history.clear()
            runs, first = slice(first, first + group.runs), first + group.runs
            block = block_of(piece, inside, self.plan.network.spec.visible, self.seed, clamp=clamp)
            shown = seen and Rollout(*(leaf[runs, inside] for leaf in seen))
            evidence = self._forward(group, block, ahead, shown)
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

    def _forward(self, group: Group, block: Block, ahead: int, seen: Rollout | None) -> NDArray:
        """Run a group for a block of steps; the evidence of each, ``[B, K, C]``."""
        presentations, steps = block.alive.shape
        group.make_room(steps)
        known = self.plan.silence if group.known else 0
        span = Span(self.plan.silence + group.index, steps, ahead, known)
        for b in range(presentations):
            note_inputs(group.history, b, block.inputs[b], span.row)
        drive: dict[int, NDArray] = {}
        if self.compartments > 1:  # what the inputs do, once for all compartments
            hearing = map(self.plan.hears_inputs, range(len(self.plan.populations)))
            room = enumerate(group.potentials(presentations, span.width))
            drive = {n: out for (n, out), hears in zip(room, hearing, strict=True) if hears}
            threads.each(lambda b: self._hear(group, span, b, drive), [(b,) for b in range(presentations)])
        if ahead and not group.coming:
            group.coming = group.potentials(group.runs, ahead)
        evidence = np.zeros((group.runs, steps), group.log_weights.dtype)
        size = group.runs * self.plan.network.spec.neurons * span.width * evidence.itemsize
        threads.each(
            lambda low, high: self._slab(group, block, span, slice(low, high), drive, evidence, seen),
            list(threads.ranges(group.runs, max(-(-size // SLAB_BYTES), threads.workers()))),
        )
        group.index, group.known = group.index + steps, ahead > 0
        return evidence.reshape(presentations, self.compartments, steps)

    def _hear(self, group: Group, span: Span, b: int, drive: dict[int, NDArray]) -> None:
        """What a presentation's inputs do."""
        for n, out in drive.items():
            one = slice(b, b + 1)
            layers.hear_inputs(self.plan, self._weights, group.history, n, one, span, out[one])

    def _slab(
        self, group: Group, block: Block, span: Span, runs: slice, drive: dict[int, NDArray], evidence: NDArray,
        seen: Rollout | None,
    ) -> None:  # fmt: skip
        """Run some runs for a block of steps."""
        scratch = self._take()
        presentation, compartment = np.divmod(np.arange(runs.start, runs.stop), self.compartments)
        potential = []
        for n in range(len(self.plan.populations)):
            places, width = self.plan.size(n)
            own = scratch.get(("potential", n), len(presentation), places, span.width, width)
            if n in drive:
                for r, b in enumerate(presentation):
                    own[r] = drive[n][b]
            else:  # runs are presentations here, or it does not hear them
                layers.hear_inputs(self.plan, self._weights, group.history, n, runs, span, own)
            if span.known:
                own[:, :, : span.known] += group.coming[n][runs, :, : span.width]
            potential.append(own)
        given = layers.given_of(
            self.plan, block, group.clock + group.index, presentation, compartment, scratch
        )
        layers.forward(
            self.plan, self._weights, group.history, runs, span, given, potential, evidence[runs],
            group.fired[runs],
        )  # fmt: skip
        if span.ahead:
            for coming, own in zip(group.coming, potential, strict=True):
                coming[runs] = own[:, :, span.steps :]
        if seen is not None:
            self._show(group, runs, span, potential, seen)
        self._spare.append(scratch)

    def _show(self, group: Group, runs: slice, span: Span, potential: list[NDArray], seen: Rollout) -> None:
        """Copy what some runs did, in the order of neurons."""
        for n, population in enumerate(self.plan.populations):
            of, (places, width) = self.plan.network.graph.span(population.name), self.plan.size(n)
            for to, found in (
                (seen.spikes, group.history.spikes[n][runs, :, span.row : span.last]),
                (seen.potential, potential[n][:, :, : span.steps]),
            ):
                view = to[runs, :, of].unflatten(2, (width, places))
                view.copy_(torch.from_numpy(found).permute(0, 2, 3, 1))

    def _take(self) -> Scratch:
        return self._spare.pop() if self._spare else Scratch(self.plan.network.taps.numpy().dtype)

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
        scratch, end = self._take(), self.plan.silence + group.index
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
        self._spare.append(scratch)

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


def block_of(batch: Batch, steps: slice, classes: int, seed: int, *, clamp: bool) -> Block:
    """Some steps of a batch."""
    alive = batch.alive[:, steps]
    inputs = batch.spikes[:, steps] * alive[:, :, None]
    leaves = inputs, batch.target[:, steps, :classes], alive, batch.observed[:, steps] & clamp
    inputs, target, alive, observed = (leaf.contiguous().numpy() for leaf in leaves)
    return Block(inputs, target, alive, observed, rng.index(batch.address), rng.key(seed))
