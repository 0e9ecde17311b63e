"""How the cpu kernel lays out a graph: neurons place by place, and for every place the patch of senders it hears.

Neurons of a population lie place by place, a place's channels side by side: neuron ``(c, y, x)`` is at ``(y * width +
x) * channels + c``. Inputs lie so already. A population without geometry has one place.

Every kind of projection is then the same: receivers at a place hear the channels of some of the senders' places, each
through a row of weights ``[D, C]``, lag by lag (``sum_l w[.., l] f_l(d)``) and receiver by receiver. A spike at step s
adds that row to the potentials ``[steps, C]`` of the place from step ``s + 1`` on: one stretch of memory to another. A
convolution's places share their rows; a dense projection has one place, or rows of its own for each; a pooling is a
convolution with weights that do not learn.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn.kernels.cpu import stretches
from gemsnn.model.links import Link
from gemsnn.model.network import Network
from gemsnn.model.projections import Convolutional, Dense, Kind, Masked, Pooling, Sheet

KINDS = (Dense, Masked, Convolutional, Pooling)
"""The kinds of projections that are compiled."""


class Patch(NamedTuple):
    """Which of the senders' places every place of the receivers hears.

    Attributes:
        begin: int64 ``[places + 1]``, where each place's senders begin in the next two.
        sender: int64, the senders' place.
        row: int64, the weights' row of its first channel; the others follow.
    """

    begin: NDArray
    sender: NDArray
    row: NDArray


class Wire(NamedTuple):
    """A projection, laid out.

    Attributes:
        link: the network's link.
        source: the senders' population by number; -1 for the inputs.
        target: the receivers'.
        channels: the senders' channels.
        patch: who hears whom.
        places: how many places the senders have.
        taps: the filters ``[L, D]``.
    """

    link: Link
    source: int
    target: int
    channels: int
    patch: Patch
    places: int
    taps: Tensor

    @property
    def learns(self) -> bool:
        """Whether it has weights."""
        return self.link.shape is not None

    @property
    def shape(self) -> tuple[int, int, int]:
        """That of the weights by row: ``[rows, D, C]``."""
        senders, receivers = self.link.ends
        if isinstance(self.link.kind, Dense):
            rows, width = receivers.height * receivers.width * senders.size, receivers.channels
        else:
            rows, width = _side(self.link.kind) ** 2 * senders.channels, receivers.channels
        return (rows, self.taps.shape[1], width)

    def rows(self, weight: Tensor | None) -> NDArray:
        """Weights in the shape natural to them as rows ``[rows, D, C]``."""
        taps = self.taps.numpy()
        if weight is None:
            assert isinstance(self.link.kind, Pooling)
            gain = (
                self.link.kind.gain * taps.sum(0)[:, None] * np.eye(self.channels, dtype=taps.dtype)[:, None]
            )
            return np.tile(gain, (_side(self.link.kind) ** 2, 1, 1))
        out = torch.empty(self.shape, dtype=weight.dtype).numpy()
        for values, some in zip(self._by_place(weight), self._order, strict=True):
            stretches.to_rows(values, taps, some, out)
        return out

    def natural(self, rows: NDArray) -> Tensor:
        """The transpose of :meth:`rows`: a direction by row in the weights' shape."""
        out = torch.empty(self.link.shape or (), dtype=self.taps.dtype)
        for values, some in zip(self._by_place(out), self._order, strict=True):
            stretches.from_rows(rows, self.taps.numpy(), some, values)
        return out if self.link.mask is None else out.mul_(self.link.mask[..., None])

    def _by_place(self, weight: Tensor) -> list[NDArray]:
        """Views ``[C, m, L]``: one, or where places have rows of their own one for each."""
        receivers = self.link.receivers
        if isinstance(self.link.kind, Dense):
            apart = weight.numpy().reshape(receivers.channels, -1, *weight.shape[1:])
            return [apart[:, place] for place in range(apart.shape[1])]
        return [weight.numpy().reshape(len(weight), -1, weight.shape[-1])]

    @property
    def _order(self) -> NDArray:
        """The row of each of the senders' weights, in their natural order, for each such view: ``[.., m]``."""
        if isinstance(self.link.kind, Dense):
            receiving = self.link.receivers.height * self.link.receivers.width
            own = np.arange(self.channels * self.places).reshape(self.places, self.channels).T.ravel()
            return np.arange(receiving)[:, None] * len(own) + own
        side = _side(self.link.kind)
        return np.arange(side * side * self.channels).reshape(side * side, self.channels).T.reshape(1, -1)


def _inner(senders: Sheet) -> tuple[int, int]:
    """A dense projection's senders as ``(channels, places)``; inputs have one place, where they lie as they are."""
    return (senders.size, 1) if senders.of_inputs else (senders.channels, senders.height * senders.width)


def _side(kind: Kind) -> int:
    assert isinstance(kind, (Convolutional, Pooling))
    return kind.kernel if isinstance(kind, Convolutional) else kind.window


def wires_of(network: Network) -> list[Wire]:
    """All projections of a network, laid out."""
    numbers = {population.name: at for at, population in enumerate(network.graph.populations)}
    found = []
    for each, link in zip(network.graph.projections, network.links, strict=True):
        if isinstance(link.kind, Dense):
            channels, places = _inner(link.senders)
            patch = _whole(channels, places, link.receivers.height * link.receivers.width)
        else:
            channels, places = link.senders.channels, link.senders.height * link.senders.width
            assert isinstance(link.kind, (Convolutional, Pooling))
            patch = _patches(link.kind, *link.ends)
        wire = Wire(
            link, numbers.get(each.source, -1), numbers[each.target], channels, patch, places, link.taps
        )
        found.append(wire)
    return found


@cache
def _whole(channels: int, places: int, receiving: int) -> Patch:
    """Every place hears every place, through rows of its own."""
    return Patch(
        np.arange(receiving + 1) * places,
        np.tile(np.arange(places), receiving),
        np.arange(receiving * places) * channels,
    )


@cache
def _patches(kind: Convolutional | Pooling, senders: Sheet, receivers: Sheet) -> Patch:
    """The places under the kernel at every place."""
    side = _side(kind)
    stride, border = (kind.stride, kind.border) if isinstance(kind, Convolutional) else (side, 0)
    top, left, y, x = np.indices((receivers.height, receivers.width, side, side))
    a, b = top * stride - border + y, left * stride - border + x
    there = (a >= 0) & (a < senders.height) & (b >= 0) & (b < senders.width)
    sender = b * senders.height + a if senders.of_inputs else a * senders.width + b
    count = there.sum((2, 3)).ravel()
    return Patch(np.append(0, np.cumsum(count)), sender[there], ((y * side + x) * senders.channels)[there])


def turned(patch: Patch, places: int) -> Patch:
    """The same by sender: for each of the senders' places the receivers' that hear it."""
    receiver = np.repeat(np.arange(len(patch.begin) - 1), np.diff(patch.begin))
    order = np.argsort(patch.sender, kind="stable")
    begin = np.searchsorted(patch.sender[order], np.arange(places + 1))
    return Patch(begin, receiver[order], patch.row[order])


def stages_of(wires: list[Wire], populations: int) -> list[list[int]]:
    """Populations by number in groups, each after all that it hears; those of a group hear each other or themselves."""
    heard = np.zeros((populations, populations), bool)
    for wire in wires:
        if wire.source >= 0:
            heard[wire.target, wire.source] = True
    for middle in range(populations):  # now through any number of projections
        heard |= heard[:, middle, None] & heard[None, middle]
    left, stages = list(range(populations)), []
    while left:
        first = next(n for n in left if all(heard[m, n] for m in left if heard[n, m]))
        stage = [n for n in left if n == first or (heard[n, first] and heard[first, n])]
        stages.append(stage)
        left = [n for n in left if n not in stage]
    return stages
