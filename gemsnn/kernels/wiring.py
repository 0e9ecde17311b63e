"""Topologies made of whole blocks: which neurons have the same senders."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    """The groups of a mask that is made of whole blocks (but for self-synapses); ``None`` if it is not."""
    mask = network.mask.cpu().numpy()
    m, n = network.spec.inputs, network.spec.neurons
    edges = np.cumsum([0, *network.spec.hidden, network.spec.visible])
    groups = []
    for start, stop in pairwise(edges.tolist()):
        heard_inputs = mask[start:stop, :m]
        heard = mask[start:stop, m:].copy()
        own = np.arange(start, stop)
        if stop - start > 1:
            heard[own - start, own] = heard[(own - start + 1) % (stop - start), own]
        inside = np.flatnonzero(heard[0])
        first, last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
        if stop - start == 1 and first <= start < last:
            heard[0, start] = True
        whole = np.zeros(n, bool)
        whole[first:last] = True
        if (heard != whole).any() or heard_inputs.any() != heard_inputs.all():
            return None
        groups.append(Group(int(start), int(stop), bool(heard_inputs.all()), first, last))
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
