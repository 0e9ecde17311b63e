"""Eligibilities ``e = gamma e + r phi^T`` of a graph's weights, in their layout, carried from block to block.

They are sums over histories, and mostly made so, for what is read alone. But where a rule remembers far more steps than
lie between two updates, and weights are shared by many synapses, it costs less to carry them.
"""

from __future__ import annotations

from collections.abc import Iterable

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
    """Eligibilities of so many presentations' runs, of zeros, ``[P, ..]`` each, where it pays to carry them.

    Of no runs in populations that never learn by them.

    Args:
        plan: the network.
        weights: its parameters.
        learning: how they learn.
        presentations: B.
        steps: how many there will be; ``None`` without an end.
    """
    by_credit = learning.rule.value.signal is importance.one_hop
    kept = [population.visible or not by_credit for population in plan.populations]
    if not pays(plan, weights, learning, presentations, steps, kept):
        return None

    def some(leaves: tuple[NDArray, ...], targets: Iterable[int]) -> tuple[NDArray, ...]:
        return tuple(leaf[: len(leaf) * kept[n]] for leaf, n in zip(leaves, targets, strict=True))

    found, numbers = layout.no_blame(plan, weights, presentations * learning.compartments), range(len(kept))
    rows = some(found.rows, [wire.target for wire in plan.wires])
    return Blame(rows, some(found.bias, numbers), some(found.feedback, numbers))


def pays(
    plan: Plan, weights: Weights, learning: Learning, presentations: int, steps: int | None, kept: list[bool]
) -> bool:
    """Whether it costs less to carry eligibilities than to go through all that is remembered at every update."""
    every, compartments = learning.update_every or steps, learning.compartments
    if every is None or (steps is not None and every >= steps) or learning.rule.gamma == 0:
        return False
    window = rules.memory_of(learning.rule, plan.network.taps.dtype)
    window = window if steps is None else min(window, steps)
    searching = carrying = size = 0.0
    for wire, rows in zip(plan.wires, weights.rows, strict=True):
        if wire.learns and kept[wire.target]:
            memory = rows.shape[1]
            met = (
                SHARE * len(wire.patch.sender) * wire.channels * rows.shape[2]
            )  # numbers that a step's spikes meet
            searching += met * window * memory * (1 if wire.source < 0 else compartments)
            carrying += (2 * rows.size + met * every * min(every, memory)) * compartments
            size += rows.nbytes * presentations * compartments
    return carrying < searching and size <= MOST_BYTES


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
