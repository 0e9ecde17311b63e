"""A graph as the layerwise form works through it: layers in order, and the wires between them.

A layer is a population, or several that hear each other in a circle (a strongly connected component of the graph), and
comes after all that it hears.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from gemsnn.kernels.block.filters import combined, filtered
from gemsnn.kernels.block.spikes import Spikes
from gemsnn.model.graph import INPUTS, Graph, Population, Projection
from gemsnn.model.links import JOINT, Link
from gemsnn.model.network import Network, Params
from gemsnn.model.projections import Dense, Masked

NUMBERS = 2**22
"""Traces that exist at a time: a bound of scratch memory."""


@dataclass(frozen=True)
class Wire:
    """A projection, where its weights are, and the operations of its kind for many steps at once.

    Time is the second dimension of them all, and the first one, R, counts runs, or presentations where the senders are
    inputs. The spikes that C steps hear are ``[R, D + C - 1, m]``, the first of them D before the first step.

    Attributes:
        link: the projection alone, whatever the network computes together.
        place: of a joint network, the rows and columns of its weights among the joint ones.
    """

    link: Link
    place: tuple[slice, slice] | None = None

    @property
    def memory(self) -> int:
        """D."""
        return self.link.taps.shape[1]

    @property
    def is_plain(self) -> bool:
        """Whether its weights are a matrix; filtering is linear, so spikes meet it before they are filtered."""
        return is_plain(self.link)

    def of(self, tree: Params) -> Tensor | None:
        """Its part of the parameters, or of a tree like them: a view."""
        if self.place is None:
            return tree.weights.get(self.link.name)
        return tree.weights[JOINT][self.place]

    def weight(self, params: Params) -> Tensor | None:
        """Its weights as the operations here want them: a matrix sender by sender, ``[m, L, n]``, or as they are."""
        found = self.of(params)
        return found.permute(1, 2, 0).contiguous() if self.is_plain and found is not None else found

    def drive(self, weight: Tensor | None, spikes: Spikes) -> Tensor:
        """What spikes add to the potentials of C steps, ``[R, C, n]``."""
        taps, values = self.link.taps, spikes.values
        if self.is_plain:
            assert weight is not None
            return combined(spikes.times(weight.flatten(1)).unflatten(2, weight.shape[1:]), taps)
        return torch.cat(
            [
                self.link.kind.drive(weight, filtered(some, taps).transpose(2, 3), *self.link.ends)
                for some in values.split(self._rows(values, values.shape[2]))
            ]
        )

    def now(self, weight: Tensor | None, spikes: Tensor) -> Tensor:
        """The same of a single step, ``[R, n]``, from spikes ``[R, D, m]``."""
        taps = self.link.taps.flip(1).T
        trace = torch.bmm(spikes.transpose(1, 2), taps.expand(len(spikes), -1, -1))
        if self.is_plain:
            assert weight is not None
            return trace.flatten(1) @ weight.flatten(0, 1)
        return self.link.kind.drive(weight, trace, *self.link.ends)

    def gradient(self, factor: Tensor, spikes: Spikes, into: Tensor) -> None:
        """Add ``sum_{r, t} factor[r, t] trace[r, t]^T`` of factors ``[R, C, n]`` to what is like its weights."""
        link, taps = self.link, self.link.taps
        if not self.is_plain:
            rows = self._rows(spikes.values, spikes.values.shape[2])
            for some, sent in zip(factor.split(rows), spikes.values.split(rows), strict=True):
                trace = filtered(sent, taps).transpose(2, 3).flatten(0, 1)
                into += link.kind.gradient(some.flatten(0, 1)[None], trace[None], *link.ends)[0]
            return
        rows = self._rows(spikes.values, factor.shape[2])
        for some, sent in zip(factor.split(rows), spikes.split(rows), strict=True):
            found = sent.outer(self._backwards(some).flatten(2)).unflatten(1, (len(taps), -1))
            into.permute(1, 2, 0).add_(found if link.mask is None else found * link.mask.T[:, None])

    def blame(self, weight: Tensor | None, error: Tensor) -> Tensor:
        """``sum_t sum_l f_l(t - tau) c_l[t]`` of the credit c of errors ``[R, C, n]``: ``[R, D + C - 1, m]``.

        The first tau is D before the first step t, the last one is that before the last t.
        """
        link, taps = self.link, self.link.taps
        if self.is_plain:
            assert weight is not None
            return self._backwards(error).flatten(2) @ weight.flatten(1).T
        ahead, found = self.memory - 1, []
        for some in error.split(self._rows(error, link.senders.size)):
            credit = link.kind.credit(weight, some, *link.ends, len(taps)).transpose(2, 3)
            found.append(combined(pad(credit, (0, 0, 0, 0, ahead, ahead)), taps.flip(1)))
        return torch.cat(found)

    def _backwards(self, factor: Tensor) -> Tensor:
        """``sum_t f_l(t - tau) factor[t]`` at the steps of the spikes, ``[R, D + C - 1, L, n]``."""
        ahead = self.memory - 1
        return filtered(pad(factor, (0, 0, ahead, ahead)), self.link.taps.flip(1))

    def _rows(self, values: Tensor, width: int) -> int:
        """How many of the first dimension fit into scratch memory, as filtered numbers of this many neurons."""
        return max(1, NUMBERS // max(1, values.shape[1] * width * len(self.link.taps)))


def is_plain(link: Link) -> bool:
    """Whether a link's weights are a matrix for each function of the basis, ``[n, m, L]``."""
    return type(link.kind) in (Dense, Masked)


class Member(NamedTuple):
    """A population of a layer.

    Attributes:
        span: its neurons among all of them.
        population: the population.
    """

    span: slice
    population: Population


class Layer(NamedTuple):
    """Populations whose spikes follow from those of the layers before, and of their own past where something recurs.

    Attributes:
        members: the populations.
        before: wires from other populations, all of them in layers before; those from inputs are :attr:`Plan.inputs`.
        within: wires among the members.
    """

    members: tuple[Member, ...]
    before: tuple[Wire, ...]
    within: tuple[Wire, ...]

    @property
    def recurs(self) -> bool:
        """Whether a spike moves later potentials of the layer, so that time is a loop."""
        return bool(self.within) or any(member.population.feedback for member in self.members)


class Plan(NamedTuple):
    """A network's layers in order.

    Attributes:
        inputs: the wires from the inputs.
        layers: each after all those that it hears.
    """

    inputs: tuple[Wire, ...]
    layers: tuple[Layer, ...]

    @property
    def wires(self) -> list[Wire]:
        """All of them."""
        return [*self.inputs, *(wire for layer in self.layers for wire in (*layer.before, *layer.within))]

    @property
    def is_forward(self) -> bool:
        """Whether no population hears itself, or others in a circle, but for feedback of single neurons."""
        return not any(layer.within for layer in self.layers)


def plan_of(network: Network) -> Plan:
    """The layers and wires of any network."""
    graph = network.graph
    beyond = network.is_joint and network.links[0].extent == "beyond"
    edges = _all_edges(graph) if beyond else graph.projections
    wires = [_wire(network, edge) for edge in edges]
    after = {
        population.name: [edge.source for edge in edges if edge.target == population.name]
        for population in graph.populations
    }
    layers = []
    for names in components(after):
        heard = [(edge, wire) for edge, wire in zip(edges, wires, strict=True) if edge.target in names]
        layers.append(
            Layer(
                tuple(
                    Member(graph.span(each.name), each) for each in graph.populations if each.name in names
                ),
                tuple(wire for edge, wire in heard if edge.source not in (*names, INPUTS)),
                tuple(wire for edge, wire in heard if edge.source in names),
            )
        )
    return Plan(tuple(wire for wire in wires if wire.link.hears_inputs), tuple(layers))


def components(heard: dict[str, list[str]]) -> list[set[str]]:
    """Who hears each other in a circle, every set after those that it hears; names that are no key are left out.

    >>> components({"a": ["inputs", "b"], "b": ["a"], "c": ["b"]}) == [{"a", "b"}, {"c"}]
    True
    """

    def all_heard(name: str) -> set[str]:
        found, ahead = {name}, [name]
        while ahead:
            new = {other for other in heard[ahead.pop()] if other in heard} - found
            found |= new
            ahead += new
        return found

    reach = {name: all_heard(name) for name in heard}
    found: list[set[str]] = []
    for name in sorted(heard, key=lambda each: len(reach[each])):  # who hears another hears more than it
        if not any(name in some for some in found):
            found.append({other for other in reach[name] if name in reach[other]})
    return found


def _all_edges(graph: Graph) -> tuple[Projection, ...]:
    names = [population.name for population in graph.populations]
    return tuple(Projection(source, target) for source in (INPUTS, *names) for target in names)


def _wire(network: Network, edge: Projection) -> Wire:
    if not network.is_joint:
        return Wire(next(link for link in network.links if link.name == edge.name))
    graph, (joint,) = network.graph, network.links
    span, from_inputs, nobody = graph.span(edge.source), edge.source == INPUTS, slice(0, 0)
    shift = 0 if from_inputs else network.spec.inputs
    place = (graph.span(edge.target), slice(span.start + shift, span.stop + shift))
    link = Link(
        edge.name, Dense(), graph.sheet(edge.source), graph.sheet(edge.target), span if from_inputs else nobody,
        nobody if from_inputs else span, place[0], joint.basis, joint.taps, _mask(network.mask[place]),
    )  # fmt: skip
    return Wire(link, place)


def _mask(mask: Tensor) -> Tensor | None:
    """The same, where it takes anything out; a look at it is worth while where nobody has to be waited for."""
    return None if mask.device.type == "cpu" and bool(mask.all()) else mask
