"""What neurons look for: the weights with which they hear the sensor, as pictures can show them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn.model.graph import INPUTS, Population
from gemsnn.model.network import Network, Params, named


class Fields(NamedTuple):
    """Receptive fields of some neurons.

    Attributes:
        kind: ``"hidden"`` or ``"output"`` neurons.
        field: ``[n, M]``, by how much a spike of an input moves the neuron's potential ``lag`` steps later.
        neuron: int64 ``[n]``, their numbers among those of their kind.
        lag: int64 ``[n]``, in steps, from 1.
    """

    kind: str
    field: Tensor
    neuron: Tensor
    lag: Tensor


def receptive_fields(network: Network, params: Params, most: int) -> Fields:
    """The fields of the ``most`` hidden neurons with the strongest synapses to outputs, or else of the first outputs.

    A synapse acts ``d`` steps later by ``k(d) = sum_l w_l f_l(d)``. A field is ``k`` at the lag at which the sum of
    ``|k|`` over the inputs is largest. The strength of a hidden neuron is the sum of ``|k|`` over the outputs, at
    the lag at which that is largest; of a population that no output hears, over whoever hears it. Only populations that
    hear the inputs are looked at, and of neurons that share their weights that in the middle; where there is no such
    hidden population, or nobody hears it, the outputs' own fields are taken.
    """
    graph, hears = network.graph, {each.target for each in network.graph.projections if each.source == INPUTS}
    groups = [population for population in graph.hidden if population.name in hears]
    visible = {population.name for population in graph.visible}
    strength, neuron = _strengths(network, params, groups, visible)
    if not bool(strength.any()):
        strength, neuron = _strengths(network, params, groups, {each.name for each in graph.populations})
    if bool(strength.any()):
        kind, chosen = "hidden", neuron[strength.argsort(descending=True, stable=True)[:most]]
        rows = chosen
    else:
        kind, chosen = "output", torch.arange(min(most, network.spec.visible))
        rows = network.spec.answer.start + chosen
    fields, lags = [], []
    for row in rows.tolist():  # one at a time: all lags of all of them would be large
        kernel = _from_inputs(network, params, row)
        lag = int(kernel.abs().sum(0).argmax())
        fields.append(kernel[:, lag])
        lags.append(lag + 1)
    return Fields(kind, torch.stack(fields).float(), chosen, torch.tensor(lags))


def _strengths(
    network: Network, params: Params, groups: list[Population], heard_by: set[str]
) -> tuple[Tensor, Tensor]:
    """Of every neuron of these groups, or of every channel, its strength and its number."""
    views, numbers = named(network, params), network.spec.banks[1]
    strengths, neurons = [torch.zeros(0)], [torch.zeros(0, dtype=torch.int64)]
    for group in groups:
        sheet, total = group.sheet, torch.zeros(group.sheet.channels, network.memory)
        for each in network.graph.projections:
            weight = views.get(f"weights.{each.name}")
            if each.source != group.name or each.target not in heard_by or weight is None:
                continue
            kernel = (weight @ network.banks[numbers[each.name]].to(weight)).abs()
            kernel = kernel.sum(tuple(at for at in range(kernel.ndim - 1) if at != 1)).float()
            if len(kernel) != sheet.channels:  # a neuron has its own weights wherever it lies
                kernel = kernel.unflatten(0, (sheet.channels, -1)).sum(1)
            total[:, : kernel.shape[1]] += kernel
        places = sheet.height * sheet.width
        start = network.graph.span(group.name).start
        middle = sheet.height // 2 * sheet.width + sheet.width // 2
        strengths.append(total.amax(-1))
        neurons.append(start + middle + places * torch.arange(sheet.channels))
    return torch.cat(strengths), torch.cat(neurons)


def _from_inputs(network: Network, params: Params, neuron: int) -> Tensor:
    """``k(d)`` of all inputs to a neuron, ``[M, D]``: what its error would say of their traces."""
    m = network.spec.inputs
    found = network.taps.new_zeros(m, network.memory)
    for link in network.links:
        if not (link.hears_inputs and link.listeners.start <= neuron < link.listeners.stop):
            continue
        weight = params.weights.get(link.name)
        if link.is_joint:
            assert weight is not None
            kernel = weight[neuron, :m] @ link.taps.to(weight)
        else:
            error = link.taps.new_zeros(link.receivers.size)
            error[neuron - link.listeners.start] = 1
            kernel = link.kind.credit(weight, error, *link.ends, len(link.taps)) @ link.taps
        found[:, : kernel.shape[1]] += kernel
    return found
