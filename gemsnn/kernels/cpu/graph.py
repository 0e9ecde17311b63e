"""The cpu kernel for graphs: convolutions, poolings, masks, several readouts, populations that recur.

Weights rest between two updates, so a block of steps ends with one. Of a block first all runs (presentations times
compartments) go forwards, then the compartments of each presentation meet in the learning signals, then all runs go
backwards (:mod:`gemsnn.kernels.cpu.layers`): a step is credited with ``C[tau] = c[tau] + gamma C[tau + 1]`` of its
errors, and each spike adds a stretch of errors so weighted to the direction of each of its synapses.

How runs are split follows from the work alone, and what parts have summed is added up in their order, so results do not
depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gemsnn import rng
from gemsnn.kernels import threads
from gemsnn.kernels.contract import Learned, Learning, Rollout
from gemsnn.kernels.cpu import firing, layers
from gemsnn.kernels.cpu.layers import Blame, Block, History, Plan, Scratch
from gemsnn.kernels.cpu.patches import KINDS
from gemsnn.model.network import Network, Params
from gemsnn.model.neurons import Bernoulli, Circuit
from gemsnn.rules import base as rules
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.store import trees
from gemsnn.types import Batch

PARTS = 8
"""Into how many parts runs are split that work side by side: a constant, so that sums are the same on every machine."""

GROUP_BYTES = 2**25
"""What the histories of runs may take that are worked through together, where nothing needs them afterwards."""

CHUNK = 128
"""Steps for which histories have room beside those that still matter."""


def refuses(network: Network) -> str | None:
    """The graphs that are compiled have the projections and neurons of this package."""
    if any(type(link.kind) not in KINDS for link in network.links):
        return "it has projections of a kind that is not compiled; use block"
    for population in network.graph.populations:
        if type(population.neuron) not in (Bernoulli, Circuit):
            return "its neurons are of kinds that are not compiled; use block"
        if isinstance(population.neuron, Circuit) and population.sheet.height * population.sheet.width > 1:
            return "it has a circuit with places; use block"
    return None


class Group:
    """Presentations whose runs are worked through together.

    Args:
        plan: the network.
        presentations: how many.
        compartments: K.
        history: what they have done, with room for so many runs.
    """

    def __init__(self, plan: Plan, presentations: int, compartments: int, history: History) -> None:
        self.plan, self.history, self.compartments = plan, history, compartments
        dtype = plan.network.taps.numpy().dtype
        self.index = self.clock = 0
        self.log_weights = np.zeros((presentations, compartments), dtype)
        self.log_likelihood = np.zeros((presentations, compartments), dtype)
        self.fired = np.zeros((presentations, compartments), np.int64)

    @property
    def runs(self) -> int:
        """P."""
        return self.log_weights.size

    def make_room(self, steps: int, keep: int, capacity: int) -> None:
        """Forget all but so many of the last steps where there is no room for so many new ones."""
        if self.index + steps > capacity:
            gone = self.index - min(keep, self.index)
            self.history.shift(gone, self.plan.silence + self.index)
            self.index, self.clock = self.index - gone, self.clock + gone


class Course:
    """Groups under way, with the parameters they have reached.

    Args:
        network: the network.
        params: parameters to begin with.
        learning: how they learn; ``None`` if they do not.
        optimiser: its state.
        compartments: K.
        batch: presentations that an update averages over.
        seed: of the noise.
        lr: step size.
    """

    def __init__(
        self, network: Network, params: Params, learning: Learning | None, optimiser: OptimiserState | None,
        compartments: int, batch: int, *, seed: int, lr: float = 0.0,
    ) -> None:  # fmt: skip
        self.plan = layers.plan_of(network)
        self.learning, self.optimiser, self.params = learning, optimiser, params
        self.compartments, self.batch, self.seed, self.lr = compartments, batch, seed, lr
        self.weights = layers.laid_out(self.plan, params)
        self._blames: list[Blame] = []
        self._spare: list[Scratch] = []

    def advance(self, group: Group, block: Block, read: NDArray, seen: Rollout | None) -> None:
        """Run a group for a block of steps, which no update interrupts, and add up what it learns.

        Args:
            group: the group.
            block: what comes.
            read: bool ``[B, C]``, at which steps directions are read.
            seen: where to write what the runs do.
        """
        presentations, steps = block.alive.shape
        row, runs = self.plan.silence + group.index, group.runs
        drive: list[dict[int, NDArray]] = [{} for _ in range(presentations)]
        evidence = np.zeros((presentations, self.compartments, steps), self.weights.neurons[0].bias.dtype)
        ranges = threads.ranges(runs, PARTS)
        with threads.one_for_blas():
            for b in range(presentations):
                layers.note_inputs(group.history, b, block.inputs[b], row)
            if self.compartments > 1:
                threads.each(
                    lambda b: self._hear(group, b, row, steps, drive[b]), [(b,) for b in range(presentations)]
                )
            threads.each(
                lambda low, high: self._forward(group, block, low, high, row, drive, evidence, seen),
                list(ranges),
            )
        log_weights = np.empty((steps, presentations, self.compartments), evidence.dtype)
        rule = None if self.learning is None else self.learning.rule
        group.log_likelihood += evidence.sum(2)
        group.index += steps
        if rule is None:
            return
        kind = evidence.dtype.type
        fresh = kind(1 - rule.kappa if rule.average else 1.0)
        firing.weigh_runs(group.log_weights, evidence, block.alive, kind(rule.kappa), fresh, log_weights)
        learned = self._learned(rule, log_weights, read, group.index)
        while len(self._blames) < len(ranges):
            self._blames.append(layers.no_blame(self.plan, self.weights))
        with threads.one_for_blas():
            threads.each(
                lambda low, high, blame: self._backward(group, low, high, learned, blame),
                [(*each, blame) for each, blame in zip(ranges, self._blames, strict=False)],
            )

    def _hear(self, group: Group, b: int, row: int, steps: int, drive: dict[int, NDArray]) -> None:
        """What the inputs do, once for all compartments."""
        for n in range(len(self.plan.populations)):
            if self.plan.hears_inputs(n):
                places, width = self.plan.size(n)
                drive[n] = layers.aligned((places, steps, width), self.weights.neurons[n].bias.dtype)
                layers.hear_inputs(self.plan, self.weights, group.history, b, row, n, drive[n])

    def _forward(
        self, group: Group, block: Block, low: int, high: int, row: int, drive: list[dict[int, NDArray]],
        evidence: NDArray, seen: Rollout | None,
    ) -> None:  # fmt: skip
        scratch, steps = self._take(), block.alive.shape[1]
        for p in range(low, high):
            b, k = divmod(p, self.compartments)
            potential = []
            for n in range(len(self.plan.populations)):
                places, width = self.plan.size(n)
                potential.append(scratch.get(("potential", n), places, steps, width))
                if n in drive[b]:
                    potential[n][:] = drive[b][n]
                else:
                    layers.hear_inputs(self.plan, self.weights, group.history, b, row, n, potential[n])
            given = layers.given_of(self.plan, block, b, group.clock + group.index, k, scratch)
            group.fired[b, k] += layers.forward(
                self.plan, self.weights, group.history, p, row, given, potential, evidence[b, k]
            )
            if seen is not None:
                self._show(group, p, row, potential, Rollout(seen.spikes[b, k], seen.potential[b, k]))
        self._spare.append(scratch)

    def _show(self, group: Group, p: int, row: int, potential: list[NDArray], seen: Rollout) -> None:
        """Copy what a run did into ``[C, N]``, in the order of neurons."""
        for n, population in enumerate(self.plan.populations):
            span, (places, width) = self.plan.network.graph.span(population.name), self.plan.size(n)
            steps = potential[n].shape[1]
            for to, found in (
                (seen.spikes, group.history.spikes[n][p, :, row : row + steps]),
                (seen.potential, potential[n]),
            ):
                to[:, span].view(steps, width, places).copy_(torch.from_numpy(found).permute(1, 2, 0))

    def _backward(self, group: Group, low: int, high: int, learned: layers.Learned, blame: Blame) -> None:
        scratch, end = self._take(), self.plan.silence + group.index
        shared: dict[int, NDArray] | None = None if self.compartments == 1 else {}
        for p in range(low, high):
            b = p // self.compartments
            layers.backward(
                self.plan, self.weights, group.history, (b, p), end, learned, scratch, blame, shared
            )
            if shared is not None and (p + 1 == high or (p + 1) // self.compartments != b):
                for n, factor in shared.items():
                    layers.blame_inputs(self.plan, group.history, b, n, end, factor, blame)
                shared.clear()
        self._spare.append(scratch)

    def _take(self) -> Scratch:
        return self._spare.pop() if self._spare else Scratch(self.plan.network.taps.numpy().dtype)

    def _learned(self, rule: RuleSpec, log_weights: NDArray, read: NDArray, index: int) -> layers.Learned:
        """The coefficients of all errors, from the log-weights ``[C, B, K]`` after each of the block's steps."""
        steps, kind = len(log_weights), log_weights.dtype
        signal = rule.value.signal(torch.from_numpy(log_weights))
        weight = (read.T[:, :, None] / self.batch).astype(kind)
        hidden, visible = (
            (leaf.numpy() * weight).reshape(steps, -1) for leaf in (signal.hidden, signal.visible)
        )
        window = min(rules.memory_of(rule, self.plan.network.taps.dtype), index - steps)
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
        hidden, shown = found
        return layers.Learned(hidden, shown, visible if "credit" in rule.value.needs else visible[:0])

    def update(self) -> None:
        """Let the optimiser move the parameters along what has been added up."""
        assert self.learning is not None
        assert self.optimiser is not None
        first, *others = self._blames
        pairs = [
            (into, *each)
            for into, *each in zip(
                trees.leaves(_tree(first)), *(trees.leaves(_tree(b)) for b in others), strict=True
            )
        ]
        threads.each(_sum, pairs)
        self.optimiser, self.params = optimisers.update(
            self.learning.optimiser,
            self.optimiser,
            self.params,
            layers.direction_of(self.plan, first),
            lr=self.lr,
        )
        self.weights = layers.laid_out(self.plan, self.params)
        for leaf in trees.leaves(tuple(_tree(blame) for blame in self._blames)):
            leaf[:] = 0


def _tree(blame: Blame) -> tuple:
    return tuple(tuple(leaves) for leaves in blame)


def _sum(into: NDArray, *others: NDArray) -> None:
    """Add others to the first, in their order."""
    for other in others:
        into += other


def block_of(batch: Batch, steps: slice, classes: int, seed: int, *, clamp: bool) -> Block:
    """Some steps of a batch."""
    count, length, _ = batch.shape
    inputs = [batch.rows.part(b * length + steps.start, b * length + steps.stop) for b in range(count)]
    leaves = batch.target[:, steps, :classes], batch.alive[:, steps], batch.observed[:, steps] & clamp
    target, alive, observed = (leaf.contiguous().numpy() for leaf in leaves)
    return Block(inputs, target, alive, observed, rng.index(batch.address), rng.key(seed))


def groups_of(plan: Plan, batch: Batch, compartments: int, *, whole: bool) -> list[slice]:
    """The presentations in groups: all of them, or as many at a time as there is memory for."""
    count, steps = batch.alive.shape
    one = (
        compartments
        * plan.network.spec.neurons
        * (steps + plan.silence)
        * (plan.network.taps.element_size() + 1)
    )
    size = count if whole else max(1, min(count, GROUP_BYTES // one))
    if size > PARTS:
        size -= size % PARTS  # so that all threads have as much to do
    return [slice(low, min(low + size, count)) for low in range(0, count, size)]


def blocks_of(updates: Sequence[int], steps: int) -> list[slice]:
    """All steps, cut after each of these."""
    ends = sorted({*updates, steps})
    return [slice(low, high) for low, high in zip([0, *ends], ends, strict=False)]


@torch.no_grad()
def learn(
    network: Network,
    params: Params,
    optimiser: OptimiserState,
    learning: Learning,
    batch: Batch,
    *,
    seed: int,
    lr: float,
) -> Learned:
    """See :meth:`gemsnn.kernels.contract.Kernel.learn`."""
    presentations, steps = batch.alive.shape
    course = Course(
        network, params, learning, optimiser, learning.compartments, presentations, seed=seed, lr=lr
    )
    read = rules.read_steps(learning.rule, batch.observed, learning.update_every).numpy()
    every = learning.update_every or steps
    blocks = blocks_of(range(every, steps, every), steps)
    groups = _run(course, batch, blocks, read, learning, None)
    chances = batch.length * learning.compartments * max(network.spec.hidden_neurons, 1)
    fired = torch.from_numpy(np.concatenate([group.fired.sum(1) for group in groups]))
    return Learned(
        course.params,
        course.optimiser,  # pyright: ignore[reportArgumentType]
        torch.from_numpy(np.concatenate([group.log_likelihood for group in groups])),
        torch.from_numpy(np.concatenate([group.log_weights for group in groups])),
        fired.to(network.taps) / chances,
    )


@torch.no_grad()
def rollout(
    network: Network, params: Params, batch: Batch, compartments: int, *, seed: int, clamp: bool
) -> Rollout:
    """See :meth:`gemsnn.kernels.contract.Kernel.rollout`."""
    presentations, steps = batch.alive.shape
    course = Course(network, params, None, None, compartments, presentations, seed=seed)
    shape = presentations, compartments, steps, network.spec.neurons
    seen = Rollout(torch.empty(shape, dtype=torch.uint8), torch.empty(shape, dtype=network.taps.dtype))
    _run(course, batch, [slice(0, steps)], np.zeros((presentations, steps), bool), None, seen, clamp=clamp)
    return seen


def _run(
    course: Course, batch: Batch, blocks: list[slice], read: NDArray, learning: Learning | None, seen: Rollout | None,
    *, clamp: bool = True,
) -> list[Group]:  # fmt: skip
    """Run a batch, block by block; those of several blocks keep their histories from one to the next."""
    plan, steps, classes = course.plan, batch.alive.shape[1], course.plan.network.spec.visible
    parts = groups_of(plan, batch, course.compartments, whole=len(blocks) > 1)
    planes = max(1, int(batch.rows.sizes.max(initial=1)).bit_length())
    pieces = [batch.some(part) for part in parts]
    history = History(plan, len(pieces[0].label), course.compartments, steps, planes)
    groups = [Group(plan, len(piece.label), course.compartments, history) for piece in pieces]
    for block in blocks:
        for at, (part, piece, group) in enumerate(zip(parts, pieces, groups, strict=True)):
            if at:
                history.clear()
            shown = None if seen is None else Rollout(*(leaf[part] for leaf in seen))
            given = block_of(piece, block, classes, course.seed, clamp=clamp)
            course.advance(group, given, read[part, block], shown)
        if learning is not None:
            course.update()
    return groups
