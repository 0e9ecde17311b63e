"""Runs of a graph side by side: forwards layer by layer, then backwards, what every weight is to be blamed for.

Where nothing recurs, time is not a loop: all steps of a block are worked through for one population before the next, so
that its weights stay in a cache. Populations that hear each other, or themselves, go step by step together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gemsnn.kernels.cpu import firing, stretches
from gemsnn.kernels.cpu.firing import Given, Neurons
from gemsnn.kernels.cpu.patches import Patch, Wire, stages_of, turned, wires_of
from gemsnn.model.graph import Population
from gemsnn.model.network import Network, Params
from gemsnn.model.neurons import CIRCUIT
from gemsnn.rows import SpikeRows

NOISE_STEPS = 8
"""Steps for which random numbers are made at a time, in another order than they are used in."""


class Plan(NamedTuple):
    """A network, laid out.

    Attributes:
        network: the network.
        populations: its populations.
        wires: its projections.
        heard: for each population the wires to it.
        stages: populations by number, each group after all that it hears.
        turned: for the wires within a group that hears itself, the patch by sender.
        silence: how many steps back anything is heard.
    """

    network: Network
    populations: tuple[Population, ...]
    wires: list[Wire]
    heard: list[list[int]]
    stages: list[list[int]]
    turned: dict[int, Patch]
    silence: int

    def size(self, number: int) -> tuple[int, int]:
        """A population's ``(places, channels)``."""
        sheet = self.populations[number].sheet
        return sheet.height * sheet.width, sheet.channels

    def hears_inputs(self, number: int) -> bool:
        """Whether a population hears the inputs."""
        return any(self.wires[w].source < 0 for w in self.heard[number])


def plan_of(network: Network) -> Plan:
    """Lay out a network."""
    populations, wires = network.graph.populations, wires_of(network)
    heard = [[w for w, wire in enumerate(wires) if wire.target == n] for n in range(len(populations))]
    stages = stages_of(wires, len(populations))
    within = {
        w: turned(wire.patch, wire.places)
        for w, wire in enumerate(wires)
        for stage in stages
        if wire.target in stage and wire.source in stage
    }
    silence = max(network.memory, network.own_taps.shape[1])
    return Plan(network, populations, wires, heard, stages, within, silence)


class Weights(NamedTuple):
    """Parameters, laid out.

    Attributes:
        rows: for each wire ``[rows, D, C]``.
        neurons: for each population its own.
    """

    rows: list[NDArray]
    neurons: list[Neurons]


def laid_out(plan: Plan, params: Params) -> Weights:
    """Parameters as the compiled steps want them."""
    found, site = [], 0
    by_lag = (params.feedback @ plan.network.own_taps).contiguous()
    for population in plan.populations:
        sites = slice(site, site + population.sheet.channels)
        lags = by_lag[sites].T if population.feedback else by_lag[:0].T[:0]
        own = lags.reshape(-1, population.sheet.channels).contiguous().numpy()
        bias = params.bias[sites].clone().numpy()
        found.append(Neurons(population.neuron == CIRCUIT, population.visible, bias, own))
        site = sites.stop
    return Weights([wire.rows(params.weights.get(wire.link.name)) for wire in plan.wires], found)


class Blame(NamedTuple):
    """What is added up in the parameters' layout.

    Attributes:
        rows: for each wire ``[rows, D, C]``; nothing of wires that do not learn.
        bias: for each population ``[C]``.
        feedback: for each population ``[Df, C]``.
    """

    rows: list[NDArray]
    bias: list[NDArray]
    feedback: list[NDArray]


def no_blame(plan: Plan, weights: Weights) -> Blame:
    """Zeros."""
    return Blame(
        [zeros(rows.shape if wire.learns else (0, 0, 0), rows.dtype) for rows, wire in zip(weights.rows, plan.wires,
        strict=True)], [np.zeros_like(each.bias) for each in weights.neurons],
        [np.zeros_like(each.feedback) for each in weights.neurons],
    )  # fmt: skip


def direction_of(plan: Plan, blame: Blame) -> Params:
    """The direction in the parameters' natural shapes."""
    weights = {
        wire.link.name: wire.natural(rows)
        for wire, rows in zip(plan.wires, blame.rows, strict=True)
        if wire.learns
    }
    own = plan.network.own_taps
    feedback = [
        torch.from_numpy(lags).T @ own.T if len(lags) else own.new_zeros(lags.shape[1], len(own))
        for lags in blame.feedback
    ]
    return Params(weights, torch.cat(feedback), torch.cat([torch.from_numpy(bias) for bias in blame.bias]))


class Block(NamedTuple):
    """What comes next, C steps of it.

    Attributes:
        inputs: those of each presentation, C rows; none in padding.
        target: uint8 ``[B, C, classes]`` of one readout.
        alive: bool ``[B, C]``.
        observed: bool ``[B, C]``, whether visible neurons are clamped to the target.
        address: uint64 ``[B]``.
        key: the seed's.
    """

    inputs: list[SpikeRows]
    target: NDArray
    alive: NDArray
    observed: NDArray
    address: NDArray
    key: NDArray


def aligned(shape: tuple[int, ...], dtype: type | np.dtype) -> NDArray:
    """Memory that begins with a cache line, so that vectors do not lie across two."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return torch.empty(size, dtype=torch.uint8).numpy().view(dtype).reshape(shape)


def zeros(shape: tuple[int, ...], dtype: type | np.dtype) -> NDArray:
    """The same, filled with zeros."""
    found = aligned(shape, dtype)
    found.fill(0)
    return found


class Scratch:
    """Memory that one thread uses at a time, by name: fresh memory costs more than arithmetic."""

    def __init__(self, dtype: np.dtype) -> None:
        self._held: dict[object, NDArray] = {}
        self._dtype = dtype

    def get(self, name: object, *shape: int, dtype: type | np.dtype | None = None) -> NDArray:
        """An array of this shape with anything in it."""
        held = self._held.get(name)
        if held is None or held.shape != shape:
            held = self._held[name] = aligned(shape, dtype or self._dtype)
        return held


class History:
    """What runs have done: row r is step ``r - silence``.

    Attributes:
        inputs: uint64 ``[planes, B, words, M]``, the inputs' bits, one plane for each binary digit of theirs.
        spikes: for each population uint8 ``[P, places, rows, C]``.
        error: likewise.
        bits: for each population uint64 ``[P, words, n]``, the same spikes.
    """

    def __init__(self, plan: Plan, presentations: int, compartments: int, steps: int, planes: int) -> None:
        rows, runs = plan.silence + steps, presentations * compartments
        words, dtype = -(-rows // 64), plan.network.taps.numpy().dtype
        sizes = [plan.size(n) for n in range(len(plan.populations))]
        self.inputs = np.zeros((planes, presentations, words, plan.network.spec.inputs), np.uint64)
        self.spikes = [np.zeros((runs, places, rows, width), np.uint8) for places, width in sizes]
        self.error = [np.zeros((runs, places, rows, width), dtype) for places, width in sizes]
        self.bits = [np.zeros((runs, words, places * width), np.uint64) for places, width in sizes]

    def clear(self) -> None:
        """Forget; rows are written before they are read."""
        self.inputs[:] = 0
        for bits in self.bits:
            bits[:] = 0

    def shift(self, rows: int, used: int) -> None:
        """Forget the first rows after the silence of those used."""
        for kept in (*self.spikes, *self.error):
            kept[:, :, : used - rows] = kept[:, :, rows:used].copy()
        for bits in (self.inputs, *self.bits):
            words, rest = rows // 64, np.uint64(rows % 64)
            moved = np.zeros_like(bits)
            moved[..., : bits.shape[-2] - words, :] = bits[..., words:, :] >> rest
            if rest:
                moved[..., : bits.shape[-2] - words - 1, :] |= bits[..., words + 1 :, :] << (
                    np.uint64(64) - rest
                )
            bits[:] = moved


def note_inputs(history: History, b: int, inputs: SpikeRows, row: int) -> None:
    """Keep a presentation's inputs, from this row on."""
    indices, begin = inputs.held.astype(np.int64), inputs.indptr - inputs.indptr[0]
    for plane, bits in enumerate(history.inputs[:, b]):
        stretches.mark(indices, (inputs.sizes >> plane) & 1, begin, row, bits)


def hear_inputs(
    plan: Plan, weights: Weights, history: History, b: int, row: int, number: int, out: NDArray
) -> None:
    """A population's biases, and what a presentation's inputs add to its potentials, into ``out [places, C, c]``."""
    out[:] = weights.neurons[number].bias
    for w in plan.heard[number]:
        wire, rows = plan.wires[w], weights.rows[w]
        if wire.source < 0:
            for plane, bits in enumerate(history.inputs[:, b]):
                scaled = rows if plane == 0 else rows * rows.dtype.type(2**plane)
                stretches.add_spikes(scaled, wire.patch, wire.channels, bits, 0, row + out.shape[1], row, out)


def forward(
    plan: Plan, weights: Weights, history: History, p: int, row: int, given: list[Given], potential: list[NDArray],
    evidence: NDArray,
) -> int:  # fmt: skip
    """A run's next steps, from this row of the histories on; returns how many hidden spikes there were.

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

    for stage in plan.stages:
        inner = [w for w in plan.turned if plan.wires[w].target in stage]
        for n in stage:
            firing.recall(weights.neurons[n], history.spikes[n][p], row, potential[n])
            for w in plan.heard[n]:
                wire = plan.wires[w]
                if wire.source >= 0:
                    stretches.add_spikes(
                        weights.rows[w], wire.patch, wire.channels, history.bits[wire.source][p], 0,
                        row if w in inner else row + steps, row, potential[n],
                    )  # fmt: skip
        if not inner:
            fired += sum(fire(n, 0, steps) for n in stage)
            continue
        for t in range(steps):
            fired += sum(fire(n, t, t + 1) for n in stage)
            for w in inner:
                wire = plan.wires[w]
                spikes = history.spikes[wire.source][p]
                stretches.send(weights.rows[w], plan.turned[w], spikes, row + t, row, potential[wire.target])
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


def given_of(plan: Plan, block: Block, b: int, clock: int, compartment: int, scratch: Scratch) -> list[Given]:
    """What each population meets in a run's block, whose first step has this number."""
    found, steps, first, neurons = [], block.alive.shape[1], 0, plan.network.spec.neurons
    sizes = [plan.size(n) for n in range(len(plan.populations))]
    noise = scratch.get("noise", neurons * steps, dtype=np.float32)
    buffer = scratch.get("rows", min(steps, NOISE_STEPS), neurons, dtype=np.float32)
    firing.make_noise(block.address[b], clock, compartment, block.key, np.array(sizes), buffer, noise)
    for places, width in sizes:
        last = first + places * width
        own = noise[first * steps : last * steps].reshape(places, steps, width)
        found.append(Given(own, block.target[b], block.alive[b], block.observed[b]))
        first = last
    return found
