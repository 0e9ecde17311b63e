"""What a graph's runs carry from block to block: ``e = gamma e + r phi^T`` of every weight, in the weights' layout.

Where a rule remembers far more steps than lie between two updates, this costs less than to go through all that it
remembers at every update. Without it, eligibilities are sums over the histories.
"""

from __future__ import annotations

from numpy.typing import NDArray

from gemsnn.kernels.contract import Learning
from gemsnn.kernels.cpu import firing, layers, layout, stretches
from gemsnn.kernels.cpu.histories import History
from gemsnn.kernels.cpu.layers import Learned
from gemsnn.kernels.cpu.layout import Blame, Plan, Weights
from gemsnn.kernels.cpu.memory import Scratch
from gemsnn.rules import base as rules
from gemsnn.rules import importance

SHARE = 0.05
"""Of the senders that spike in a step, about; it decides what is done, never what comes out."""

MOST_BYTES = 2**28
"""That eligibilities may take."""


def carried(
    plan: Plan, weights: Weights, learning: Learning, presentations: int, steps: int | None
) -> Blame | None:
    """Eligibilities of so many presentations' runs, of zeros, where it pays to carry them.

    Args:
        plan: the network.
        weights: its parameters.
        learning: how they learn.
        presentations: B.
        steps: how many there will be; ``None`` without an end.
    """
    runs, every = presentations * learning.compartments, learning.update_every or steps
    if every is None or (steps is not None and every >= steps) or learning.rule.gamma == 0:
        return None
    kept = [
        population.visible or learning.rule.value.signal is not importance.one_hop
        for population in plan.populations
    ]
    reach = rules.memory_of(learning.rule, plan.network.taps.dtype)
    window = reach if steps is None else min(reach, steps)
    searched = carrying = size = 0.0
    for wire, rows in zip(plan.wires, weights.rows, strict=True):
        if not (wire.learns and kept[wire.target]):
            continue
        met = SHARE * len(wire.patch.sender) * wire.channels * rows.shape[2]
        searched += met * window * rows.shape[1] * (1 if wire.source < 0 else learning.compartments)
        carrying += (2 * rows.size + met * every * min(every, rows.shape[1])) * learning.compartments
        size += rows.nbytes * runs
    if carrying >= searched or size > MOST_BYTES:
        return None
    found = layout.no_blame(plan, weights, runs)
    return Blame(
        tuple(
            leaf if kept[wire.target] else leaf[:0] for leaf, wire in zip(found.rows, plan.wires, strict=True)
        ),
        tuple(leaf if each else leaf[:0] for leaf, each in zip(found.bias, kept, strict=True)),
        tuple(leaf if each else leaf[:0] for leaf, each in zip(found.feedback, kept, strict=True)),
    )


def advance(
    plan: Plan, history: History, run: tuple[int, int], end: int, learned: Learned, scratch: Scratch, kept: Blame,
    blame: Blame,
) -> None:  # fmt: skip
    """Add to ``blame`` what is read of a run's eligibilities in a block, and let these go on to the block's end.

    Args:
        plan: the network.
        history: of these runs.
        run: presentation and run.
        end: one past the block's last row.
        learned: the coefficients.
        scratch: memory.
        kept: the eligibilities, ``[P, ..]`` each.
        blame: to be added to.
    """
    (b, p), pad, steps = run, plan.silence, len(learned.fading) - 1
    own = Blame(*(tuple(leaf[p] if len(leaf) else leaf for leaf in leaves) for leaves in kept))
    for n, population in enumerate(plan.populations):
        if not len(kept.bias[n]):
            continue
        pairs = [(own.bias[n], blame.bias[n]), (own.feedback[n], blame.feedback[n])]
        pairs += [(own.rows[w], blame.rows[w]) for w in plan.heard[n] if plan.wires[w].learns]
        kind = int(population.visible)
        for mine, into in pairs:
            _read(mine, learned.before[kind, p], into)
            mine *= learned.fading[0]
        factor = scratch.get(("eligibility", n), plan.size(n)[0], steps + 2 * pad, plan.size(n)[1])
        firing.weigh(history.error[n][p], end - steps, learned.fading[1:], pad, factor)
        layers.blame_neurons(plan, history, p, n, end, factor, own)
        layers.blame_inputs(plan, history, b, n, end, factor, own)
        for mine, into in pairs:
            _read(mine, learned.after[kind, p], into)


def _read(eligibility: NDArray, share: float, blame: NDArray) -> None:
    if share != 0:
        stretches.read(eligibility.reshape(-1), share, blame.reshape(-1))
