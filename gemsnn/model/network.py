"""A network on one device: its graph with filters and masks, and what it learns (params).

``u[i, t] = sum_j sum_l w[i, j, l] a[j, l, t] + sum_l wf[i, l] b[i, l, t] + bias[i]``; one step of it is in
:mod:`gemsnn.model.step`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.machine import devices
from gemsnn.model import basis, links
from gemsnn.model.batches import collate
from gemsnn.model.graph import INPUTS, Graph, Population
from gemsnn.model.links import JOINT, Link
from gemsnn.model.neurons import Neuron
from gemsnn.model.projections import Masked
from gemsnn.model.spec import NetworkSpec
from gemsnn.store import trees
from gemsnn.types import Batch, Presentation

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""What networks compute in, by the names that settings have for it."""


class Params(NamedTuple):
    """What is learned.

    Attributes:
        weights: for every link with weights, ``[.., L]`` in the shape natural to it, zero where there is no synapse;
            see :mod:`gemsnn.model.links`.
        feedback: ``[S, Lf]``, zero where a neuron has no feedback; neurons share them where they share a place.
        bias: ``[S]``; S is N but where the neurons of a channel share.
    """

    weights: dict[str, Tensor]
    feedback: Tensor
    bias: Tensor


class Stretch(NamedTuple):
    """Consecutive neurons that are asked together: a population, or several whose neurons mind themselves alone.

    Attributes:
        span: the neurons.
        neuron: their kind.
    """

    span: slice
    neuron: Neuron


class Network(NamedTuple):
    """A spec with what follows from it, on one device and in one dtype.

    Attributes:
        spec: the architecture.
        links: what is computed together; see :mod:`gemsnn.model.links`.
        banks: the bases' filters, each ``[L, D]``.
        own: bool ``[N]``, which neurons have feedback.
        own_taps: ``[Lf, Df]``, the feedback's basis.
        site: int64 ``[N]``, whose bias and feedback a neuron has among those of :class:`Params`; ``None`` where each
            has its own.
    """

    spec: NetworkSpec
    links: tuple[Link, ...]
    banks: tuple[Tensor, ...]
    own: Tensor
    own_taps: Tensor
    site: Tensor | None

    @property
    def graph(self) -> Graph:
        """The populations and projections."""
        return self.spec.graph

    @property
    def is_joint(self) -> bool:
        """Whether one link holds all synapses."""
        return len(self.links) == 1 and self.links[0].is_joint

    @property
    def mask(self) -> Tensor:
        """Of a joint network: bool ``[N, J]``, who listens to whom."""
        (link,) = self.links
        assert link.is_joint
        assert link.mask is not None
        return link.mask

    @property
    def taps(self) -> Tensor:
        """Of a network with one basis: its filters ``[L, D]``; of others the first, for its type and device."""
        return self.banks[0]

    @property
    def memory(self) -> int:
        """D: steps after which no synapse hears a spike."""
        return max(taps.shape[1] for taps in self.banks)

    @property
    def sites(self) -> int:
        """S: how many biases there are."""
        return sum(population.sheet.channels for population in self.graph.populations)

    @property
    def hidden_sites(self) -> int:
        """How many of them are hidden neurons'."""
        return sum(population.sheet.channels for population in self.graph.hidden)

    @property
    def stretches(self) -> list[Stretch]:
        """All neurons, in as few pieces as can be asked for spikes and errors."""
        return _stretches(self.graph.populations, 0)

    @property
    def visible_stretches(self) -> list[Stretch]:
        """The visible neurons, population by population."""
        start, found = self.spec.hidden_neurons, []
        for population in self.graph.visible:
            stop = start + population.sheet.size
            found.append(Stretch(slice(start, stop), population.neuron))
            start = stop
        return found

    def fan_out(self, *, lags: bool = False) -> Tensor:
        """How many synapses a spike arrives at, of every input and neuron, feedback included: float64 ``[M + N]``.

        With ``lags`` each counts as often as it has lags at which a spike acts.
        """
        m = self.spec.inputs
        found = torch.zeros(m + len(self.own), dtype=torch.float64, device=self.own.device)
        for link in self.links:
            many = link.taps.shape[1] if lags else 1
            if link.is_joint:
                found += many * self.mask.sum(0).double()
                continue
            span = link.inputs if link.hears_inputs else slice(m + link.neurons.start, m + link.neurons.stop)
            found[span] += many * _heard_by(link, found)
        found[m:] += self.own * (self.own_taps.shape[1] if lags else 1)
        return found


def _heard_by(link: Link, like: Tensor) -> Tensor:
    """By how many receivers of the link each of its senders is heard, ``[m]``."""
    if link.shape is not None:
        ones = like.new_ones(*link.shape[:-1], 1)
        if link.mask is not None:
            ones *= link.mask[..., None]
        return link.kind.credit(ones, like.new_ones(link.receivers.size), *link.ends, 1)[:, 0]
    found = like.new_zeros(link.senders.size)
    for some in torch.arange(link.receivers.size, device=like.device).split(256):
        alone = one_hot(some, link.receivers.size).to(like)  # each receiver by itself
        found += (link.kind.credit(None, alone, *link.ends, 1)[..., 0] != 0).sum(0)
    return found


def _stretches(populations: tuple[Population, ...], start: int) -> list[Stretch]:
    found: list[Stretch] = []
    for population in populations:
        stop = start + population.sheet.size
        last = found[-1] if found else None
        if last and population.neuron.elementwise and last.neuron == population.neuron:
            found[-1] = Stretch(slice(last.span.start, stop), last.neuron)
        else:
            found.append(Stretch(slice(start, stop), population.neuron))
        start = stop
    return found


def build(
    spec: NetworkSpec,
    *,
    masks: Mapping[str, Tensor] | None = None,
    mask: Tensor | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Network:
    """Make the network of a spec.

    Args:
        spec: the architecture.
        masks: which synapses there are, bool ``[n, m]`` by link, in place of those drawn.
        mask: the same of a joint link, ``[N, J]``, in place of the topology's.
        seed: of the masks that are drawn.
        dtype: floating point type.
        device: where all tensors lie.

    Raises:
        InputError: a mask has the wrong shape or type, or the device is not here.
    """
    devices.check_here(str(device))
    graph, (bases, numbers) = spec.graph, spec.banks
    given = dict(masks or {}) | ({} if mask is None else {JOINT: mask})
    drawn = _masks(spec, graph, given, seed)
    # looked at here once, for kernels ask at every batch, and on a device nobody can look without waiting
    extent = links.extent(drawn[JOINT], graph) if spec.is_joint else "whole"
    found = {name: masked.to(device) for name, masked in drawn.items()}
    banks = [basis.bank(each).to(device, dtype) for each in bases]
    own = torch.cat(
        [torch.full((population.sheet.size,), population.feedback) for population in graph.populations]
    )
    site = None
    if any(len(population.shape) == 3 for population in graph.populations):
        site = _sites(graph).to(device)
    return Network(
        spec, links.links_of(graph, banks, numbers, found, extent), tuple(banks), own.to(device),
        basis.bank(spec.self_filter).to(device, dtype), site,
    )  # fmt: skip


def _sites(graph: Graph) -> Tensor:
    """For every neuron the number of its bias: in a population with places, one for each channel."""
    found, start = [], 0
    for population in graph.populations:
        sheet = population.sheet
        found.append(start + torch.arange(sheet.channels).repeat_interleave(sheet.height * sheet.width))
        start += sheet.channels
    return torch.cat(found)


def _masks(spec: NetworkSpec, graph: Graph, given: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    shapes = _mask_shapes(spec, graph)
    if strange := [name for name in given if name not in shapes]:
        raise InputError(
            f"there is a mask for {strange[0]}, which has none; give the settings and the checkpoint of one run"
        )
    if spec.is_joint:
        allowed = given.get(JOINT)
        if allowed is None:
            allowed = links.joint_mask(graph)
            sparse = {each.kind.density for each in graph.projections if isinstance(each.kind, Masked)}
            if len(sparse) == 1 and spec.custom is None:
                draws = rng.generator(seed, "topology").random(tuple(allowed.shape))
                allowed &= torch.from_numpy(draws < sparse.pop())
            elif sparse:
                _thin(graph, allowed, seed)
        _check_mask(allowed, shapes[JOINT])
        return {JOINT: links.without_self(allowed, spec.inputs)}
    found = {}
    for each in graph.projections:
        if each.name not in shapes:
            continue
        if each.name in given:
            found[each.name] = given[each.name]
            _check_mask(given[each.name], shapes[each.name])
        elif isinstance(each.kind, Masked):
            found[each.name] = _drawn(each.kind, each.name, shapes[each.name], seed)
        if each.source == each.target:
            allowed = found.get(each.name, torch.ones(shapes[each.name], dtype=torch.bool)).clone()
            found[each.name] = allowed.fill_diagonal_(False)
    return found


def _mask_shapes(spec: NetworkSpec, graph: Graph) -> dict[str, tuple[int, ...]]:
    """Of the links that can have a mask, those with a weight for every receiver and sender: ``(n, m)``."""
    if spec.is_joint:
        return {JOINT: (spec.neurons, spec.inputs + spec.neurons)}
    shapes = {
        each.name: each.kind.shape(graph.sheet(each.source), graph.sheet(each.target))
        for each in graph.projections
    }
    return {name: shape for name, shape in shapes.items() if shape is not None and len(shape) == 2}


def _drawn(kind: Masked, name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.from_numpy(rng.generator(seed, "mask", name).random(shape) < kind.density)


def _thin(graph: Graph, allowed: Tensor, seed: int) -> None:
    """Draw the synapses of each masked projection of a graph of one's own."""
    for each in graph.projections:
        if isinstance(each.kind, Masked):
            inputs, heard = graph.sheet(INPUTS).size, graph.span(each.source)
            shift = 0 if each.source == INPUTS else inputs
            block = allowed[graph.span(each.target), heard.start + shift : heard.stop + shift]
            block &= _drawn(each.kind, each.name, tuple(block.shape), seed)


def _check_mask(mask: Tensor, shape: tuple[int, ...]) -> None:
    if mask.shape != shape:
        raise InputError(
            f"the mask has the shape {list(mask.shape)} where the network needs {list(shape)}; give the settings and "
            "the checkpoint of one run"
        )
    if mask.dtype != torch.bool:
        raise InputError(f"a mask must be bool, not {mask.dtype}")


def check_params(network: Network, params: Params) -> None:
    """Raise :class:`InputError` unless parameters have the shapes and the type of the network, and finite values."""
    spec = network.spec
    shapes = {f"weights.{link.name}": link.shape for link in network.links if link.shape is not None}
    shapes |= {"feedback": (network.sites, spec.self_filter.count), "bias": (network.sites,)}
    found = {f"weights.{name}": leaf for name, leaf in params.weights.items()}
    found |= {"feedback": params.feedback, "bias": params.bias}
    if found.keys() != shapes.keys():
        raise InputError(
            f"the parameters are {', '.join(found)} where the network needs {', '.join(shapes)}; give the "
            "settings and the "
            "checkpoint of one run"
        )
    for name, leaf in found.items():
        if leaf.shape != shapes[name] or leaf.dtype != network.taps.dtype:
            raise InputError(
                f"the parameter {name} is {leaf.dtype} {list(leaf.shape)} where the network needs "
                f"{network.taps.dtype} {list(shapes[name] or ())}; give the settings and the checkpoint of one run"
            )
        if not leaf.isfinite().all():
            raise InputError(f"the parameter {name} is not finite; train again")


def check_batch(network: Network, batch: Batch) -> None:
    """Raise :class:`InputError` unless a batch has the network's inputs and visible neurons."""
    spec = network.spec
    for name, found, wanted in (
        ("inputs", batch.rows.inputs, spec.inputs),
        ("visible neurons", batch.target.shape[2], spec.visible),
    ):
        if found != wanted:
            raise InputError(
                f"the presentations have {found} {name} and the network {wanted}; give the data it was made for"
            )


def batch(network: Network, presentations: Iterable[Presentation], *, steps: int = 0) -> Batch:
    """Presentations side by side as this network takes them: on its device, observed from the end of its warm-up on.

    Where it has several readouts, each has the same target: ``[B, T, V]`` for all visible neurons. There are ``steps``
    at least.

    Raises:
        InputError: see :func:`gemsnn.model.batches.collate`, or they have other inputs or classes than the network.
    """
    rows = collate(presentations, warm_up=network.spec.warm_up, steps=steps)
    check_batch(network, rows)
    rows = rows._replace(target=targets(network, rows.target))
    return rows.to(network.taps.device)


def targets(network: Network, target: Tensor) -> Tensor:
    """The target ``[B, T, C]`` of every readout, ``[B, T, V]``."""
    readouts = len(network.graph.visible)
    return target if readouts == 1 else target.repeat(1, 1, readouts)


def init(network: Network, seed: int) -> Params:
    """Initial parameters: normal weights, no feedback, biases for the wanted rates."""
    spec, like = network.spec, network.taps
    weights = {link.name: _weights(network, link, seed) for link in network.links if link.shape is not None}
    bias = [
        # in single precision whatever the network's, so that a seed keeps its network
        torch.full((population.sheet.channels,), _odds(population)).log()
        for population in network.graph.populations
    ]
    return Params(weights, like.new_zeros(network.sites, spec.self_filter.count), torch.cat(bias).to(like))


def _odds(population: Population) -> float:
    return population.neuron.initial_odds(population.sheet.size, population.rate)


def _weights(network: Network, link: Link, seed: int) -> Tensor:
    """Normal numbers with the standard deviation ``weight_scale / sqrt(synapses of the neuron)``, filters counted."""
    spec, like, shape = network.spec, network.taps, link.shape
    assert shape is not None
    path = ("weights",) if link.is_joint else ("weights", link.name)
    normal = torch.from_numpy(rng.generator(seed, *path).standard_normal(shape)).to(like)
    if link.mask is not None:
        normal = normal * link.mask[:, :, None]
    if link.is_joint:
        synapses = network.mask.sum(1).clamp(min=1) * len(link.taps)
    else:
        synapses = _synapses(network, link)
    scale = spec.weight_scale / synapses.sqrt().to(like)
    return normal * scale.reshape(-1, *(1,) * (len(shape) - 1))


def _synapses(network: Network, link: Link) -> Tensor:
    """Weights of each of a link's listeners over all links, ``[n]``; of listeners that share weights, ``[1]``."""
    total = torch.zeros(link.receivers.size, device=network.own.device)
    for other in network.links:
        if other.listeners == link.listeners and other.shape is not None:
            count = (
                other.kind.synapses(other.senders, other.receivers)
                if other.mask is None
                else other.mask.sum(1)
            )
            total += count * len(other.taps)
    shared = link.shape is not None and link.shape[0] != len(total)
    return total[:1] if shared else total.clamp(min=1)


def masks(network: Network) -> dict[str, Tensor]:
    """The masks as a checkpoint has them, uint8: ``mask`` of a joint link, ``mask.inputs->hidden`` of a projection."""
    return {
        "mask" if link.is_joint else f"mask.{link.name}": link.mask.to(torch.uint8)
        for link in network.links
        if link.mask is not None
    }


def masks_in(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The masks among a checkpoint's tensors, by link, for :func:`build`."""
    return {
        JOINT if name == "mask" else name.removeprefix("mask."): leaf.bool()
        for name, leaf in tensors.items()
        if name == "mask" or name.startswith("mask.")
    }


def named(network: Network, params: Params) -> dict[str, Tensor]:
    """Views of the parameters by population and projection: ``weights.inputs->hidden``, ``bias.hidden``, and so on."""
    graph, m = network.graph, network.spec.inputs
    found: dict[str, Tensor] = {}
    for each in graph.projections:
        if each.name in params.weights:
            found[f"weights.{each.name}"] = params.weights[each.name]
        elif JOINT in params.weights:
            span, shift = graph.span(each.source), 0 if each.source == INPUTS else m
            senders = slice(span.start + shift, span.stop + shift)
            found[f"weights.{each.name}"] = params.weights[JOINT][graph.span(each.target), senders]
    for leaf in ("feedback", "bias"):
        start = 0
        for population in graph.populations:
            count = population.sheet.channels
            found[f"{leaf}.{population.name}"] = getattr(params, leaf)[start : start + count]
            start += count
    return found


def from_named(network: Network, leaves: Mapping[str, Tensor]) -> Params | None:
    """The parameters that :func:`named` has views of, or those of a joint network's older checkpoints, on its device.

    Returns:
        ``None`` where one is missing.

    Raises:
        InputError: one has another shape or type than the network's.
    """
    old = [leaves.get(name) for name in (f"weights.{JOINT}", "feedback", "bias")]
    if all(leaf is not None for leaf in old) and network.is_joint:
        joint, feedback, bias = (leaf.to(network.taps.device) for leaf in old if leaf is not None)
        return Params({JOINT: joint}, feedback, bias)
    spec, like = network.spec, network.taps
    empty = Params(
        {link.name: like.new_zeros(link.shape) for link in network.links if link.shape is not None},
        like.new_zeros(network.sites, spec.self_filter.count),
        like.new_zeros(network.sites),
    )
    views = named(network, empty)
    if not views.keys() <= leaves.keys():
        return None
    for name, view in views.items():
        leaf = leaves[name]
        if leaf.shape != view.shape or leaf.dtype != view.dtype:
            raise InputError(
                f"the parameter {name} is {leaf.dtype} {list(leaf.shape)} where the network needs {view.dtype} "
                f"{list(view.shape)}; give the settings and the checkpoint of one run"
            )
        view.copy_(leaf)
    return trees.map(lambda leaf: leaf.to(network.taps.device), empty)
