"""Links: what a network computes together, and the weights that it holds together.

A network whose projections are all dense or masked, with one basis, has one link, ``joint``: every neuron may hear
every input and every neuron, and a mask says who does, so that a step is two matrix products however many projections
there are. Any other network has a link for every projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.model.graph import INPUTS, Graph, Projection
from gemsnn.model.projections import Dense, Kind, Masked, Sheet

JOINT = "joint"

Extent = Literal["whole", "part", "beyond"]
"""All synapses of the projections, some of them and no others, or others too."""


@dataclass(frozen=True)
class Link:
    """Synapses from inputs, from neurons, or (``joint``) from both.

    Attributes:
        name: what its weights are called: a projection's name, or ``joint``.
        kind: which synapses there are.
        senders: how the senders lie.
        receivers: how the receivers lie.
        inputs: the inputs among the senders; empty if there are none.
        neurons: the neurons among the senders; likewise.
        listeners: the receivers among all neurons.
        basis: the number of its filters among those of the network.
        taps: these filters, ``[L, D]``.
        mask: bool ``[n, m]``, which synapses there are; ``None`` for all.
        extent: of a joint mask, how many there are of those that the projections allow.
    """

    name: str
    kind: Kind
    senders: Sheet
    receivers: Sheet
    inputs: slice
    neurons: slice
    listeners: slice
    basis: int
    taps: Tensor
    mask: Tensor | None
    extent: Extent = "whole"

    @property
    def is_joint(self) -> bool:
        """Whether its rows are the network's neurons, hidden and visible ones."""
        return self.name == JOINT

    @property
    def ends(self) -> tuple[Sheet, Sheet]:
        """Senders and receivers."""
        return (self.senders, self.receivers)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of its weights, the basis last; ``None`` where it has none."""
        found = self.kind.shape(*self.ends)
        return None if found is None else (*found, len(self.taps))

    @property
    def synapses(self) -> int:
        """How many synapses there are."""
        if self.mask is not None:
            return int(self.mask.sum())
        return self.kind.synapses(self.senders, self.receivers) * self.receivers.size

    def drive(self, weight: Tensor | None, inputs: Tensor, neurons: Tensor) -> Tensor:
        """What traces add to the listeners' potentials.

        Args:
            weight: its weights.
            inputs: ``[B, M, L]``, traces of the inputs.
            neurons: ``[B, K, N, L]``, traces of the neurons.

        Returns:
            ``[B, K, n]``, of the inputs alone ``[B, 1, n]``.
        """
        if self.is_joint:
            assert weight is not None
            m = inputs.shape[-2]
            return self.kind.drive(weight[:, :m], inputs, *self.ends)[:, None] + self.kind.drive(
                weight[:, m:], neurons, *self.ends
            )
        if self.hears_inputs:
            return self.kind.drive(weight, inputs, *self.ends)[:, None]
        return self.kind.drive(weight, neurons[:, :, self.neurons], *self.ends)

    @property
    def hears_inputs(self) -> bool:
        """Whether there are inputs among the senders."""
        return self.inputs.stop > self.inputs.start

    def gradient(self, error: Tensor, inputs: Tensor, neurons: Tensor) -> Tensor:
        """``sum_x error trace^T`` for every run, ``[B, K, *w]``; of a joint link's first n rows.

        Args:
            error: ``[B, K, X, n]`` of the listeners.
            inputs: ``[B, X, M, L]``.
            neurons: ``[B, K, X, N, L]``.
        """
        runs = error.shape[1]
        parts = []
        if self.hears_inputs and isinstance(self.kind, Dense):
            if error.shape[2] == 1:
                parts.append(error[:, :, 0, :, None, None] * inputs[:, :, None])
            else:
                parts.append(
                    torch.einsum("bkxn,bxml->bknml", error, inputs)
                )  # one product for all compartments
        elif self.hears_inputs:
            shared = inputs[:, None].expand(-1, runs, -1, -1, -1).flatten(0, 1)
            parts.append(self._of_runs(error, shared))
        if self.neurons.stop > self.neurons.start:
            heard = neurons[:, :, :, self.neurons].flatten(0, 1)
            parts.append(self._of_runs(error, heard))
        whole = parts[0] if len(parts) == 1 else torch.cat(parts, 3)
        return whole if self.mask is None else whole * self.mask[: error.shape[3], :, None]

    def _of_runs(self, error: Tensor, traces: Tensor) -> Tensor:
        found = self.kind.gradient(error.flatten(0, 1), traces, *self.ends)
        return found.unflatten(0, error.shape[:2])


def links_of(
    graph: Graph, banks: list[Tensor], numbers: dict[str, int], masks: dict[str, Tensor], extent: Extent
) -> tuple[Link, ...]:
    """The links of a graph.

    Args:
        graph: the graph.
        banks: the network's filters ``[L, D]``.
        numbers: for every projection's name, which of them it has.
        masks: by link, which synapses there are, bool ``[n, m]``.
        extent: of a joint link's mask.
    """
    if is_joint(graph, numbers):
        inputs = graph.sheet(INPUTS).size
        neurons = sum(population.sheet.size for population in graph.populations)
        return (
            Link(
                JOINT, Dense(), Sheet(inputs + neurons, 1, 1), Sheet(neurons, 1, 1), slice(0, inputs), slice(0,
                neurons), slice(0, neurons), 0, banks[0], masks[JOINT], extent,
            ),
        )  # fmt: skip
    return tuple(
        _link(graph, each, numbers[each.name], banks, masks.get(each.name)) for each in graph.projections
    )


def _link(graph: Graph, each: Projection, basis: int, banks: list[Tensor], mask: Tensor | None) -> Link:
    nobody, span = slice(0, 0), graph.span(each.source)
    from_inputs = each.source == INPUTS
    return Link(
        each.name, each.kind, graph.sheet(each.source), graph.sheet(each.target), span if from_inputs else nobody,
        nobody if from_inputs else span, graph.span(each.target), basis, banks[basis], mask,
    )  # fmt: skip


def is_joint(graph: Graph, numbers: dict[str, int]) -> bool:
    """Whether one link holds all projections: all dense or masked, with one basis, of populations without places."""
    plain = all(type(each.kind) in (Dense, Masked) for each in graph.projections)
    flat = all(len(population.shape) == 1 for population in graph.populations)
    return plain and flat and len(set(numbers.values())) <= 1


def without_self(allowed: Tensor, inputs: int) -> Tensor:
    """The mask with every synapse from a neuron to itself taken out."""
    neurons = allowed.shape[0]
    if allowed.dtype != torch.bool or allowed.shape != (neurons, inputs + neurons):
        raise InputError(
            f"a mask must be bool of shape [N, M + N] = [{neurons}, {inputs + neurons}], "
            f"not {allowed.dtype} of shape {list(allowed.shape)}"
        )
    allowed = allowed.clone()
    allowed[:, inputs:].fill_diagonal_(False)
    return allowed


def joint_mask(graph: Graph) -> Tensor:
    """Who may hear whom, bool ``[N, M + N]``: whole blocks, but for synapses of neurons with themselves."""
    inputs = graph.sheet(INPUTS).size
    neurons = sum(population.sheet.size for population in graph.populations)
    allowed = torch.zeros(neurons, inputs + neurons, dtype=torch.bool)
    for each in graph.projections:
        heard, shift = graph.span(each.source), 0 if each.source == INPUTS else inputs
        allowed[graph.span(each.target), heard.start + shift : heard.stop + shift] = True
    return allowed


def extent(mask: Tensor, graph: Graph) -> Extent:
    """How a joint network's mask, without synapses from neurons to themselves, compares with its projections."""
    allowed = without_self(joint_mask(graph), graph.sheet(INPUTS).size)
    if torch.equal(mask, allowed):
        return "whole"
    return "beyond" if bool((mask & ~allowed).any()) else "part"
