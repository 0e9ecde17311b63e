"""What neurons look for: the weights with which they hear the sensor, as pictures can show them."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.model.graph import INPUTS, Population
from gemsnn.model.network import Network, Params, named
from gemsnn.model.projections import Convolutional
from gemsnn.specs import checks

Over = Literal["peak", "sum"]
"""What is told of an effect ``k(d)`` over lags: that at the lag at which the sum of ``|k|`` is largest, or its sum."""


class Fields(NamedTuple):
    """Receptive fields of some neurons.

    Attributes:
        kind: ``"hidden"`` or ``"output"`` neurons.
        field: ``[n, M]``, by how much a spike of an input moves the neuron's potential ``lag`` steps later.
        neuron: int64 ``[n]``, their numbers among those of their kind.
        lag: int64 ``[n]``, in steps, from 1; 0 where a field is the sum over all of them.
    """

    kind: str
    field: Tensor
    neuron: Tensor
    lag: Tensor


class Kernels(NamedTuple):
    """The kernels of a convolution.

    Attributes:
        kernels: ``[C, c, y, x]``, by how much a spike of a sender in the patch moves the potential of a channel.
        lag: int64 ``[C]``, of each channel, in steps, from 1; 0 where the kernel is the sum over all of them.
        of_inputs: whether the senders are the inputs.
    """

    kernels: Tensor
    lag: Tensor
    of_inputs: bool


def receptive_fields(network: Network, params: Params, most: int, *, over: Over = "peak") -> Fields:
    """The fields of the ``most`` hidden neurons with the strongest synapses to outputs, or else of the first outputs.

    A synapse acts ``d`` steps later by ``k(d) = sum_l w_l f_l(d)``. A field is ``k`` at the lag at which the sum of
    ``|k|`` over the inputs is largest, or, ``over`` all lags, their sum. The strength of a hidden neuron is the sum of
    ``|k|`` over the outputs, at the lag at which that is largest; of a population that no output hears, over whoever
    hears it. Only populations that hear the inputs are looked at, and of neurons that share their weights that in the
    middle; where there is no such hidden population, or nobody hears it, the outputs' own fields are taken.
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
    checks.choice(over, Over, "over")
    fields, lags = [], []
    for row in rows.tolist():  # one at a time: all lags of all of them would be large
        field, lag = _told(_from_inputs(network, params, row), over)
        fields.append(field)
        lags.append(lag)
    return Fields(kind, torch.stack(fields).float(), chosen, torch.tensor(lags))


def kernels(
    network: Network, params: Params, projection: str | None = None, *, over: Over = "sum"
) -> Kernels:
    """The kernels of a convolution as it acts, ``k(d) = sum_l w_l f_l(d)``, at a lag or over all of them.

    Args:
        network: the network.
        params: its parameters.
        projection: its name, ``source->target``; by default the first convolution of the inputs, else the first of all.
        over: see :data:`Over`; the peak is that of each channel.

    Raises:
        InputError: there is no such convolution.
    """
    checks.choice(over, Over, "over")
    found = [each for each in network.graph.projections if isinstance(each.kind, Convolutional)]
    found.sort(key=lambda each: each.source != INPUTS)
    chosen = [each for each in found if projection in (None, each.name)]
    if not chosen:
        known = ", ".join(each.name for each in found) or "none"
        raise InputError(f"projection must be the name of a convolution of this network: {known}")
    weight = named(network, params)[f"weights.{chosen[0].name}"]
    bank = network.banks[network.spec.banks[1][chosen[0].name]].to(weight)
    told = [_told(kernel, over) for kernel in weight @ bank]
    return Kernels(
        torch.stack([kernel for kernel, _ in told]).float(),
        torch.tensor([lag for _, lag in told]),
        chosen[0].source == INPUTS,
    )


def _told(effect: Tensor, over: Over) -> tuple[Tensor, int]:
    """One of an effect ``[.., D]``, and its lag."""
    if over == "sum":
        return effect.sum(-1), 0
    lag = int(effect.abs().flatten(0, -2).sum(0).argmax())
    return effect[..., lag], lag + 1


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
