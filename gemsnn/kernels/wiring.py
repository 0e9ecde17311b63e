"""Topologies made of whole blocks: which neurons have the same senders."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.model.graph import INPUTS
from gemsnn.model.network import Network


class Group(NamedTuple):
    """Neurons with the same senders.

    Attributes:
        start: the first neuron.
        stop: one past the last.
        inputs: whether they listen to the inputs.
        first: the first learnable neuron they listen to.
        last: one past the last one; ``first == last`` if there is none.
    """

    start: int
    stop: int
    inputs: bool
    first: int
    last: int


def groups_of(network: Network) -> list[Group] | None:
    """The groups of a joint network whose projections are dense, from its graph; ``None`` where there are others.

    The neurons that a population hears lie side by side, or this is none either.
    """
    if not network.is_joint or network.links[0].extent != "whole":
        return None
    graph, groups = network.graph, []
    for population in graph.populations:
        span = graph.span(population.name)
        sources = [each.source for each in graph.projections if each.target == population.name]
        heard = sorted((graph.span(name).start, graph.span(name).stop) for name in sources if name != INPUTS)
        if any(a[1] != b[0] for a, b in pairwise(heard)):
            return None
        first, last = (heard[0][0], heard[-1][1]) if heard else (0, 0)
        groups.append(Group(span.start, span.stop, INPUTS in sources, first, last))
    return groups


def merged(ranges: list[tuple[int, ...]], gap: int = 0) -> NDArray:
    """Ranges ``(start, stop, ...)`` as sorted rows; neighbours ``gap`` or less apart that else agree become one."""
    rows: list[tuple[int, ...]] = []
    for start, stop, *rest in sorted(ranges):
        if rows and start - rows[-1][1] <= gap and rows[-1][2:] == tuple(rest):
            start = rows.pop()[0]
        rows.append((start, stop, *rest))
    return np.array(rows, np.int64).reshape(len(rows), -1 if rows else 2)


def columns(ranges: NDArray, neurons: int, low: int, high: int, gap: int = 0) -> NDArray:
    """Ranges of receivers, under the filters ``low .. high``, as stretches of a sender's weights ``(l, n)``."""
    return merged(
        [
            (f * neurons + start, f * neurons + stop, *rest)
            for f in range(low, high)
            for start, stop, *rest in ranges.tolist()
        ],
        gap,
    )
