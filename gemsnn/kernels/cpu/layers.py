"""Runs of a graph side by side: forwards layer by layer, then backwards, what every weight is to be blamed for.

Where nothing recurs, time is not a loop: all steps of a block are worked through for one population before the next, so
that its weights stay in a cache. Populations that hear each other, or themselves, go step by step together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.kernels.cpu import firing, stretches
from gemsnn.kernels.cpu.firing import Given
from gemsnn.kernels.cpu.histories import History
from gemsnn.kernels.cpu.layout import Blame, Plan, Weights
from gemsnn.kernels.cpu.memory import Scratch

NOISE_STEPS = 8
"""Steps for which random numbers are made at a time, in another order than they are used in."""

FEW = 4
"""Steps up to which spikes are sent step by step, sender by sender; those of more are gathered place by place."""


class Block(NamedTuple):
    """What comes next, C steps of it.

    Attributes:
        inputs: uint8 ``[B, C, M]``, zero in padding.
        target: uint8 ``[B, C, classes]`` of one readout.
        alive: bool ``[B, C]``.
        observed: bool ``[B, C]``, whether visible neurons are clamped to the target.
        address: uint64 ``[B]``.
        key: the seed's.
    """

    inputs: NDArray
    target: NDArray
    alive: NDArray
    observed: NDArray
    address: NDArray
    key: NDArray


class Span(NamedTuple):
    """Where a block lies.

    Attributes:
        row: the row of its first step in the history.
        steps: C.
        at: the row of its first step in the potentials.
        known: whether these have all that was sent before the block; else it is looked for in the history.
    """

    row: int
    steps: int
    at: int = 0
    known: bool = False

    @property
    def last(self) -> int:
        """One past the block's last row in the history."""
        return self.row + self.steps


def hear_inputs(
    plan: Plan, weights: Weights, history: History, number: int, presentations: slice, span: Span, out: NDArray
) -> None:  # fmt: skip
    """Add what presentations' inputs send to a population's potentials ``[B, places, .., c]``."""
    for w in plan.heard[number]:
        if plan.wires[w].source < 0:
            for plane, bits in enumerate(history.inputs[:, presentations]):
                rows = weights.rows[w]
                scaled = rows if plane == 0 else rows * rows.dtype.type(2**plane)
                _hear(plan, w, scaled, bits, span, span.last, out)


def _hear(plan: Plan, w: int, rows: NDArray, bits: NDArray, span: Span, last: int, out: NDArray) -> None:
    """Add what a wire's senders send until a row of the history."""
    wire, start = plan.wires[w], span.row - span.at
    if not span.known:
        stretches.add_spikes(rows, wire.patch, wire.channels, bits, 0, last, start, out)
    elif span.steps > FEW:
        stretches.add_spikes(rows, wire.patch, wire.channels, bits, span.row, last, start, out)
    else:
        for row in range(span.row, last):
            stretches.send(rows, plan.turned[w], wire.channels, bits, row, start, out)


def forward(
    plan: Plan, weights: Weights, history: History, runs: slice, span: Span, given: list[Given],
    potential: list[NDArray], evidence: NDArray, fired: NDArray,
) -> None:  # fmt: skip
    """Some runs' next steps.

    Args:
        plan: the network.
        weights: its parameters.
        history: of all runs.
        runs: which.
        span: the steps.
        given: for each population what the runs meet.
        potential: for each population ``[R, places, .., c]``, with biases and what the inputs send; what neurons send
            is added here, as far as there are rows.
        evidence: ``[R, steps]``, to which the visible neurons' is added.
        fired: int64 ``[R]``, to which the number of hidden spikes is added.
    """
    row = span.row

    def fire(n: int, low: int, high: int) -> None:
        spikes, error, bits = history.spikes[n][runs], history.error[n][runs], history.bits[n][runs]
        firing.fire(
            weights.neurons[n], given[n], low, high, potential[n], span.at, spikes, error, row, bits, evidence,
            fired,
        )  # fmt: skip

    for stage in plan.stages:
        inner = [w for n in stage for w in plan.heard[n] if plan.wires[w].source in stage]
        for n in stage:
            if not span.known:
                firing.recall(weights.neurons[n], history.spikes[n][runs], row, potential[n])
            for w in plan.heard[n]:
                source = plan.wires[w].source
                if source >= 0:
                    last = row if w in inner else span.last
                    _hear(plan, w, weights.rows[w], history.bits[source][runs], span, last, potential[n])
        if not inner:
            for n in stage:
                fire(n, 0, span.steps)
            continue
        for t in range(span.steps):
            for n in stage:
                fire(n, t, t + 1)
            for w in inner:
                wire, bits = plan.wires[w], history.bits[plan.wires[w].source][runs]
                stretches.send(
                    weights.rows[w], plan.turned[w], wire.channels, bits, row + t, row - span.at,
                    potential[wire.target],
                )  # fmt: skip


class Learned(NamedTuple):
    """What a block's steps are to be blamed for, in coefficients.

    Attributes:
        hidden: ``[rows, P]``, of the hidden errors of so many rows up to the block's end; of none where none counts.
        visible: likewise.
        reach: ``[C, P]``, the visible errors' of the block's steps in the one-hop signal; of no rows without it.
        before: ``[2, P]``, how much is read of hidden and of visible eligibilities as they were before the block.
        after: likewise, as they are after it.
        fading: ``[1 + C]``, what is left of these, and of the errors of the block's steps, at its end.
    """

    hidden: NDArray
    visible: NDArray
    reach: NDArray
    before: NDArray
    after: NDArray
    fading: NDArray


def backward(
    plan: Plan, weights: Weights, history: History, run: tuple[int, int], end: int, learned: Learned, scratch: Scratch,
    blame: Blame, shared: dict[int, NDArray] | None,
) -> None:  # fmt: skip
    """Add to ``blame`` what a run has learned.

    Args:
        plan: the network.
        weights: its parameters.
        history: of these runs.
        run: presentation and run.
        end: one past the block's last row.
        learned: the coefficients.
        scratch: memory.
        blame: to be added to.
        shared: for populations that hear inputs the factors that are added up for all compartments of a
            presentation, to be multiplied with the inputs at once; ``None`` to do so here.
    """
    (b, p), pad = run, plan.silence
    errors: dict[int, NDArray] = {}
    for n in reversed(range(len(plan.populations))):  # visible ones first
        population, (places, width) = plan.populations[n], plan.size(n)
        coefficient = learned.visible if population.visible else learned.hidden
        credits = _credits(plan, n) if len(learned.reach) and not population.visible else []
        first = end - len(coefficient)
        if credits:
            first = min(first, end - len(learned.reach) - max(plan.wires[w].taps.shape[1] for w in credits))
        if first == end:
            continue
        weight = scratch.get("coefficient", end - first)
        weight[:] = 0
        weight[end - first - len(coefficient) :] = coefficient[:, p]
        factor = scratch.get(("factor", n), places, end - first + 2 * pad, width)
        firing.weigh(history.error[n][p], first, weight, pad, factor)
        for w in credits:
            wire, steps = plan.wires[w], len(learned.reach)
            if wire.target not in errors:
                far, some = plan.size(wire.target)
                errors[wire.target] = scratch.get(("error", wire.target), far, steps + 2 * pad, some)
                firing.weigh(
                    history.error[wire.target][p], end - steps, np.ascontiguousarray(learned.reach[:, p]), pad,
                    errors[wire.target],
                )  # fmt: skip
            row = end - steps - wire.taps.shape[1]
            stretches.add_credit(
                weights.rows[w], wire.patch, errors[wire.target], pad, history.spikes[n][p], history.error[n][p], row,
                pad + row - first, factor,
            )  # fmt: skip
        blame_neurons(plan, history, p, n, end, factor, blame)
        if not plan.hears_inputs(n):
            continue
        if shared is None:
            blame_inputs(plan, history, b, n, end, factor, blame)
        elif n in shared:
            shared[n] += factor
        else:
            shared[n] = scratch.get(("shared", n), *factor.shape)
            shared[n][:] = factor


def blame_neurons(
    plan: Plan, history: History, p: int, n: int, end: int, factor: NDArray, blame: Blame
) -> None:
    """Add what a population, and the synapses to it from neurons, are to be blamed for, of a run's steps until ``end``.

    The ``factor [places, pad + steps + pad, c]`` is what their errors count.
    """
    pad = plan.silence
    first = end - (factor.shape[1] - 2 * pad)
    firing.add_small(factor, pad, history.bits[n][p], first, blame.bias[n], blame.feedback[n])
    for w in plan.heard[n]:
        wire = plan.wires[w]
        if wire.source >= 0 and wire.learns:
            bits = history.bits[wire.source][p]
            stretches.add_blame(factor, pad, first, wire.patch, wire.channels, bits, blame.rows[w])


def blame_inputs(
    plan: Plan, history: History, b: int, n: int, end: int, factor: NDArray, blame: Blame
) -> None:
    """The same of the synapses from a presentation's inputs."""
    pad = plan.silence
    first = end - (factor.shape[1] - 2 * pad)
    for w in plan.heard[n]:
        wire = plan.wires[w]
        if wire.source < 0 and wire.learns:
            for plane, bits in enumerate(history.inputs[:, b]):
                scaled = factor if plane == 0 else factor * factor.dtype.type(2**plane)
                stretches.add_blame(scaled, pad, first, wire.patch, wire.channels, bits, blame.rows[w])


def _credits(plan: Plan, n: int) -> list[int]:
    """The wires from a hidden population to visible ones."""
    return [
        w for w, wire in enumerate(plan.wires) if wire.source == n and plan.populations[wire.target].visible
    ]


def given_of(
    plan: Plan, block: Block, clock: int, presentation: NDArray, compartment: NDArray, scratch: Scratch
) -> list[Given]:
    """What each population meets in some runs' block, whose first step has this number.

    Args:
        plan: the network.
        block: the block.
        clock: the number of its first step.
        presentation: int64 ``[R]``, which each run belongs to.
        compartment: int64 ``[R]``.
        scratch: memory.
    """
    found, first, neurons = [], 0, plan.network.spec.neurons
    runs, steps = len(presentation), block.alive.shape[1]
    sizes = [plan.size(n) for n in range(len(plan.populations))]
    noise = scratch.get("noise", neurons * runs * steps, dtype=np.float32)
    buffer = scratch.get("rows", min(steps, NOISE_STEPS), neurons, dtype=np.float32)
    firing.make_noise(
        block.address, presentation, compartment, clock, block.key, np.array(sizes), buffer, noise
    )
    for places, width in sizes:
        last = first + places * width
        own = noise[first * runs * steps : last * runs * steps].reshape(runs, places, steps, width)
        found.append(Given(own, presentation, block.target, block.alive, block.observed))
        first = last
    return found
