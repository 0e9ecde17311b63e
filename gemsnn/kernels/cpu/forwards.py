"""A group's next steps: its runs go forwards side by side."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gemsnn.kernels import threads
from gemsnn.kernels.contract import Rollout
from gemsnn.kernels.cpu import layers
from gemsnn.kernels.cpu.groups import Group
from gemsnn.kernels.cpu.histories import note_inputs
from gemsnn.kernels.cpu.layers import Block
from gemsnn.kernels.cpu.layout import Plan, Weights
from gemsnn.kernels.cpu.memory import Pool, aligned

PARTS = 8
"""Into how many parts runs are split that work side by side: a constant, so that sums are the same on every machine."""


def advance(
    plan: Plan, weights: Weights, group: Group, block: Block, seen: Rollout | None, pool: Pool
) -> NDArray:
    """Run a group for a block of steps.

    Args:
        plan: the network.
        weights: its parameters.
        group: the group.
        block: what comes.
        seen: where to write what the runs do.
        pool: memory.

    Returns:
        The evidence of each run at each step, ``[B, K, C]``.
    """
    (presentations, compartments), steps = group.fired.shape, block.alive.shape[1]
    group.make_room(steps)
    row, coming, drive = group.row, group.coming, [{} for _ in range(presentations)]
    evidence = np.zeros((presentations, compartments, steps), group.log_weights.dtype)
    sizes = [plan.size(n) for n in range(len(plan.populations))]
    of_all = [] if coming is None else [aligned((group.runs, a, steps, c), evidence.dtype) for a, c in sizes]

    def hear(b: int) -> None:
        """What the inputs of a presentation do, once for all compartments."""
        if coming is not None:
            coming.hear(weights, b, block.inputs[b], row)
        else:
            drive[b] = _heard(plan, weights, group, b, row, steps)

    def run(low: int, high: int) -> None:
        scratch = pool.take()
        for p in range(low, high):
            b, k = divmod(p, compartments)
            potential = [
                scratch.get(("potential", n), places, steps, width) if coming is None else of_all[n][p]
                for n, (places, width) in enumerate(sizes)
            ]
            given = layers.given_of(plan, block, b, group.clock + group.index, k, scratch)
            if coming is not None:
                fired = coming.forward(weights, group.history, (b, p), row, given, potential, evidence[b, k])
            else:
                for n, own in enumerate(potential):
                    if n in drive[b]:
                        own[:] = drive[b][n]
                    else:
                        layers.hear_inputs(plan, weights, group.history, b, row, row + steps, n, own)
                fired = layers.forward(plan, weights, group.history, p, row, given, potential, evidence[b, k])
            group.fired[b, k] += fired
            if seen is not None and coming is None:
                _show(plan, group, slice(p, p + 1), row, [own[None] for own in potential], seen)
        pool.give(scratch)

    with threads.one_for_blas():
        if coming is not None:
            coming.make_room(steps, weights, group.history, row)
        for b in range(presentations):
            note_inputs(group.history, b, block.inputs[b], row)
        if coming is not None or compartments > 1:
            threads.each(hear, [(b,) for b in range(presentations)])
        threads.each(run, list(threads.ranges(group.runs, PARTS)))
    if coming is not None:
        coming.at += steps
        if seen is not None:  # at once, for steps are few
            _show(plan, group, slice(0, group.runs), row, of_all, seen)
    return evidence


def _heard(plan: Plan, weights: Weights, group: Group, b: int, row: int, steps: int) -> dict[int, NDArray]:
    """By population, of those that hear inputs, biases and what a presentation's inputs do, ``[places, C, c]``."""
    found = {}
    for n in range(len(plan.populations)):
        if plan.hears_inputs(n):
            places, width = plan.size(n)
            found[n] = aligned((places, steps, width), group.log_weights.dtype)
            layers.hear_inputs(plan, weights, group.history, b, row, row + steps, n, found[n])
    return found


def _show(plan: Plan, group: Group, runs: slice, row: int, potential: list[NDArray], seen: Rollout) -> None:
    """Copy what some runs did, ``potential [R, places, C, c]``, into ``[B, K, C, N]``, in the order of neurons."""
    to_spikes, to_potential = (leaf.view(-1, *leaf.shape[2:])[runs] for leaf in seen)
    for n, population in enumerate(plan.populations):
        span, (places, width) = plan.network.graph.span(population.name), plan.size(n)
        steps = potential[n].shape[2]
        for to, found in (
            (to_spikes, group.history.spikes[n][runs, :, row : row + steps]),
            (to_potential, potential[n]),
        ):
            here = to[:, :, span].view(len(to), steps, width, places)
            here.copy_(torch.from_numpy(found).permute(0, 2, 3, 1))
