"""Runs of a graph side by side: forwards layer by layer, then backwards, what every weight is to be blamed for.

Where nothing recurs, time is not a loop: all steps of a block are worked through for one population before the next, so
that its weights stay in a cache. Populations that hear each other, or themselves, go step by step together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.kernels.cpu import firing, stretches
from gemsnn.kernels.cpu.firing import Given
from gemsnn.kernels.cpu.histories import History
from gemsnn.kernels.cpu.layout import Blame, Plan, Weights
from gemsnn.kernels.cpu.memory import Scratch
from gemsnn.rows import SpikeRows

NOISE_STEPS = 8
"""Steps for which random numbers are made at a time, in another order than they are used in."""


class Block(NamedTuple):
    """What comes next, C steps of it.

    Attributes:
        inputs: those of each presentation, C rows; none in padding.
        target: uint8 ``[B, C, classes]`` of one readout.
        alive: bool ``[B, C]``.
        observed: bool ``[B, C]``, whether visible neurons are clamped to the target.
        address: uint64 ``[B]``.
        key: the seed's.
        first: the number of the first compartment.
    """

    inputs: list[SpikeRows]
    target: NDArray
    alive: NDArray
    observed: NDArray
    address: NDArray
    key: NDArray
    first: int


def hear_inputs(
    plan: Plan, weights: Weights, history: History, b: int, row: int, last: int, number: int, out: NDArray
) -> None:
    """A population's potentials ``[places, C, c]`` from ``row`` on: biases, and what inputs sent before ``last``."""
    out[:] = weights.neurons[number].bias
    for w in plan.heard[number]:
        wire, rows = plan.wires[w], weights.rows[w]
        if wire.source < 0:
            for plane, bits in enumerate(history.inputs[:, b]):
                scaled = rows if plane == 0 else rows * rows.dtype.type(2**plane)
                stretches.add_spikes(scaled, wire.patch, wire.channels, bits, 0, last, row, out)


def hear_neurons(
    plan: Plan, weights: Weights, history: History, p: int, row: int, last: int, number: int, wires: Iterable[int],
    out: NDArray,
) -> None:  # fmt: skip
    """What neurons of a run send to a population before the row ``last``, added to its potentials from ``row`` on.

    By way of those of these wires that come from neurons; ``out [places, C, c]``.
    """
    for w in wires:
        wire = plan.wires[w]
        if wire.source >= 0:
            bits = history.bits[wire.source][p]
            stretches.add_spikes(weights.rows[w], wire.patch, wire.channels, bits, 0, last, row, out)


def forward(
    plan: Plan, weights: Weights, history: History, p: int, row: int, given: list[Given], potential: list[NDArray],
    evidence: NDArray,
) -> int:  # fmt: skip
    """A run's next steps, from this row of the histories on; returns how many hidden spikes there were.

    What was sent before them is added up in the order of what is sent within them, so that not a bit depends on where
    steps are cut into blocks.

    Args:
        plan: the network.
        weights: its parameters.
        history: of these runs.
        p: the run.
        row: where the steps begin in the history.
        given: for each population what it meets.
        potential: for each population ``[places, C, c]``, biases and what the inputs add; the rest is added here.
        evidence: ``[C]``, to which the visible neurons' is added.
    """
    steps, fired = potential[0].shape[1], 0

    def fire(n: int, low: int, high: int) -> int:
        count = firing.fire(
            weights.neurons[n], given[n], low, high, potential[n], history.spikes[n][p], history.error[n][p], row,
            history.bits[n][p], evidence,
        )  # fmt: skip
        return 0 if plan.populations[n].visible else count

    def recall(n: int, first: int, last: int) -> None:
        firing.recall(weights.neurons[n], history.spikes[n][p], first, last, row, potential[n])

    def send(w: int, sent: int) -> None:
        wire, spikes = plan.wires[w], history.spikes[plan.wires[w].source][p]
        stretches.send(weights.rows[w], plan.turned[w], spikes, sent, row, potential[wire.target])

    for stage in plan.stages:
        inner = [w for n in stage for w in plan.heard[n] if plan.wires[w].source in stage]
        for n in stage:
            outer = [w for w in plan.heard[n] if w not in inner]
            hear_neurons(plan, weights, history, p, row, row + steps, n, outer, potential[n])
        if not inner:
            for n in stage:
                recall(n, row - plan.silence, row)
                fired += fire(n, 0, steps)
            continue
        for sent in range(row - plan.silence, row):
            for n in stage:
                recall(n, sent, sent + 1)
            for w in inner:
                send(w, sent)
        for t in range(steps):
            fired += sum(fire(n, t, t + 1) for n in stage)
            for w in inner:
                send(w, row + t)
    return fired


class Learned(NamedTuple):
    """What a block's steps are to be blamed for, in coefficients.

    Attributes:
        hidden: ``[rows, P]``, of the hidden errors of so many rows up to the block's end; of none where none counts.
        visible: likewise.
        reach: ``[C, P]``, the visible errors' of the block's steps in the one-hop signal; of no rows without it.
    """

    hidden: NDArray
    visible: NDArray
    reach: NDArray


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
        firing.add_small(factor, pad, history.bits[n][p], first, blame.bias[n], blame.feedback[n])
        for w in plan.heard[n]:
            wire = plan.wires[w]
            if wire.source >= 0 and wire.learns:
                bits = history.bits[wire.source][p]
                stretches.add_blame(factor, pad, first, wire.patch, wire.channels, bits, blame.rows[w])
        if not plan.hears_inputs(n):
            continue
        if shared is None:
            blame_inputs(plan, history, b, n, end, factor, blame)
        elif n in shared:
            shared[n] += factor
        else:
            shared[n] = scratch.get(("shared", n), *factor.shape)
            shared[n][:] = factor


def blame_inputs(
    plan: Plan, history: History, b: int, n: int, end: int, factor: NDArray, blame: Blame
) -> None:
    """Add what the synapses from a presentation's inputs are to be blamed for."""
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


def given_of(plan: Plan, block: Block, b: int, clock: int, k: int, scratch: Scratch) -> list[Given]:
    """What each population meets in a run's block, whose first step has this number."""
    found, steps, first, neurons = [], block.alive.shape[1], 0, plan.network.spec.neurons
    sizes = [plan.size(n) for n in range(len(plan.populations))]
    noise = scratch.get("noise", neurons * steps, dtype=np.float32)
    buffer = scratch.get("rows", min(steps, NOISE_STEPS), neurons, dtype=np.float32)
    firing.make_noise(block.address[b], clock, block.first + k, block.key, np.array(sizes), buffer, noise)
    for places, width in sizes:
        last = first + places * width
        own = noise[first * steps : last * steps].reshape(places, steps, width)
        found.append(Given(own, block.target[b], block.alive[b], block.observed[b]))
        first = last
    return found
