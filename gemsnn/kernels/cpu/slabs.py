"""A group's next steps: its runs go forwards side by side, some at a time.

Where there will be more steps under the same weights, their potentials are kept (:mod:`gemsnn.kernels.cpu.coming`);
otherwise they are made of the histories.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.kernels import threads
from gemsnn.kernels.contract import Rollout
from gemsnn.kernels.cpu import firing, layers
from gemsnn.kernels.cpu.coming import heard_of
from gemsnn.kernels.cpu.groups import Group
from gemsnn.kernels.cpu.histories import note_inputs
from gemsnn.kernels.cpu.layers import Block, Span
from gemsnn.kernels.cpu.layout import Plan, Weights
from gemsnn.kernels.cpu.memory import Pool

SLAB_BYTES = 2**21
"""What the potentials of runs may take that go forwards together: many steps of one run, or a few of many."""


class Shown(NamedTuple):
    """Where to write what a group's runs do in a block.

    Attributes:
        all: of all groups, ``[P, T, N]``.
        run: the group's first.
        step: the block's first.
    """

    all: Rollout
    run: int
    step: int


def advance(
    plan: Plan, weights: Weights, group: Group, block: Block, shown: Shown | None, pool: Pool, *, goes_on: bool
) -> NDArray:  # fmt: skip
    """Run a group for a block of steps.

    Args:
        plan: the network.
        weights: its parameters.
        group: the group.
        block: what comes.
        shown: where to write what it does.
        pool: memory.
        goes_on: whether there will be more steps under these parameters, whose potentials are to be kept.

    Returns:
        The evidence of each run at each step, ``[B, K, C]``.
    """
    (presentations, steps), coming = block.alive.shape, group.coming
    kept = coming is not None and (coming.known or goes_on)
    group.make_room(steps)
    span = Span(plan.silence + group.index, steps)
    if coming is not None and kept:
        coming.make_room(steps, weights.biases)
        span = span._replace(at=coming.at if coming.known else 0, known=coming.known)
    heard = _hear_inputs(plan, weights, group, block, span, kept=kept)
    evidence, inside = np.zeros((group.runs, steps), group.log_weights.dtype), slice(span.at, span.at + steps)

    def work(low: int, high: int) -> None:
        some, scratch = slice(low, high), pool.take()
        presentation, compartment = np.divmod(np.arange(low, high), group.compartments)
        potential = []
        for n, bias in enumerate(weights.biases):
            if coming is not None and kept:
                own = coming.own[n][some]
            else:
                own = scratch.get(("potential", n), high - low, plan.size(n)[0], steps, plan.size(n)[1])
            if n not in heard:  # runs are presentations here, or it does not hear them
                if not span.known:
                    own[:] = bias
                layers.hear_inputs(plan, weights, group.history, n, some, span, own)
            elif kept:
                if not span.known:
                    own[:] = 0
                for r, b in enumerate(presentation):
                    own[r, :, inside] += heard[n][b, :, inside]
            else:
                for r, b in enumerate(presentation):
                    own[r] = heard[n][b]
            potential.append(own)
        given = layers.given_of(plan, block, group.clock + group.index, presentation, compartment, scratch)
        layers.forward(
            plan, weights, group.history, some, span, given, potential, evidence[some], group.fired[some]
        )
        if shown is not None:
            _show(plan, group, some, span, potential, shown)
        pool.give(scratch)

    size = group.runs * plan.network.spec.neurons * (steps + plan.silence) * evidence.itemsize
    threads.each(work, list(threads.ranges(group.runs, max(-(-size // SLAB_BYTES), threads.workers()))))
    group.index += steps
    if coming is not None:
        coming.at, coming.known = inside.stop, goes_on
    return evidence.reshape(presentations, group.compartments, steps)


def _hear_inputs(
    plan: Plan, weights: Weights, group: Group, block: Block, span: Span, *, kept: bool
) -> dict[int, NDArray]:
    """Take note of inputs, and of what they send to all compartments, see :func:`.coming.heard_of`."""
    presentations = len(block.inputs)
    if kept and group.coming is not None:
        heard = group.coming.heard
    else:
        heard = heard_of(plan, presentations, group.compartments, span.steps)

    def hear(b: int) -> None:
        one = slice(b, b + 1)
        note_inputs(group.history, b, block.inputs[b], span.row)
        for n, out in heard.items():
            if not span.known:
                out[one] = weights.biases[n]
            layers.hear_inputs(plan, weights, group.history, n, one, span, out[one])

    threads.each(hear, [(b,) for b in range(presentations)])
    return heard


def _show(
    plan: Plan, group: Group, runs: slice, span: Span, potential: list[NDArray], shown: Shown
) -> None:  # fmt: skip
    """Copy what some runs did, in the order of neurons."""
    spikes, potentials = (leaf.numpy() for leaf in shown.all)
    for n, population in enumerate(plan.populations):
        neuron, found = plan.network.graph.span(population.name).start, group.history.spikes[n][runs]
        firing.show(
            found, span.row, potential[n], span.at, spikes, potentials, shown.run + runs.start, shown.step, neuron,
            span.steps,
        )  # fmt: skip
