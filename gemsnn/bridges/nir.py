"""A network as a graph of the Neuromorphic Intermediate Representation.

NIR (J. E. Pedersen et al., "Neuromorphic intermediate representation", Nature Communications 15, 2024,
https://neuroir.org) describes a network as nodes of a few kinds and edges, several of which into one node add up. With
``k_d = sum_l w_l f_l(d)`` for what a synapse does at lag d, the potential of :mod:`gemsnn.model.step` is

``u[n, t] = bias[n] + sum_d sum_m k_d[n, m] s[m, t - d] + sum_d g_d[n] s[n, t - d]``.

So each lag is a ``Delay``; behind it there is, for the synapses of a projection, a ``Linear``, a ``Conv2d``, or after a
``SumPool2d`` a ``Scale``, and a ``Scale`` for the feedback of neurons. Every loop goes through a delay of a step or
more, and means the same everywhere.

A neuron spikes where ``u`` with logistic noise is above 0, which has the probability ``sigmoid(u)``:
``Threshold(-bias)``. A circuit adds noise of another kind and compares all with all: ``Affine`` for the differences,
``Threshold(0)``, and a ``Linear`` that counts with a ``Threshold`` below the full count. The noise of each population
has an ``Input`` of its own, and :mod:`gemsnn.bridges.noise` makes that with which the graph does what our kernels do,
spike by spike.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.model import network as networks
from gemsnn.model import step as stepping
from gemsnn.model.graph import INPUTS, Graph, Population, Projection
from gemsnn.model.network import Network, Params
from gemsnn.model.neurons import Bernoulli, Circuit
from gemsnn.model.projections import Convolutional, Dense, Kind, Pooling, Sheet
from gemsnn.store.files import atomic_write
from gemsnn.types import AnyPath

if TYPE_CHECKING:
    from nir import NIRGraph

LARGEST = 2**28
"""A graph of more numbers is refused: it would be a file of gigabytes."""

LOGISTIC = "logistic with mean 0 and scale 1, at every step and for every neuron its own"
GUMBEL = "G[i] - G[0] of standard Gumbel numbers G[0], .., G[n], at every step its own"
"""What the graph's metadata say of the noise of independent neurons, and of a circuit of n."""


def noise_name(population: str) -> str:
    """The name of the ``Input`` that a population's noise goes into."""
    return f"{population}-noise"


def spikes_name(population: str) -> str:
    """The name of the ``Output`` that a visible population's spikes come out of."""
    return f"{population}-spikes"


def graph_of(network: Network, params: Params, bin_us: int, names: Sequence[str] = ()) -> NIRGraph:
    """The network as a graph of NIR, exactly.

    Its nodes are in float64, their delays in seconds. ``inputs`` is the ``Input`` of the spikes (of numbers of events,
    where bins count), ``hidden-noise`` and so on are those of the noise, each population is a
    ``Threshold`` of its name, and ``output-spikes`` is the ``Output``. Where inputs or neurons have places, their shape
    is ``(channels, height, width)``. The metadata has the width of a step in seconds, ``dt``, and the classes' names.

    Args:
        network: the network.
        params: its parameters.
        bin_us: the width of a step in microseconds.
        names: of the classes.

    Raises:
        InputError: the library nir is missing, a population has neurons of a kind of one's own, or the graph would be
            too large.
    """
    made = _Made(network, params, bin_us / 1e6)
    made.add_input(INPUTS)
    for population in network.graph.populations:
        made.add_population(population)
    for projection in network.graph.projections:
        made.add_projection(projection)
    return made.graph(names)


def save(path: AnyPath, graph: NIRGraph) -> None:
    """Write a graph to a file that ``nir.read`` reads; an existing one is replaced as a whole.

    Raises:
        InputError: it cannot be written.
    """
    content = io.BytesIO()
    _library().write(content, graph)
    try:
        atomic_write(path, content.getvalue())
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another place") from None


def _library() -> Any:
    try:
        import nir
    except ImportError:
        raise InputError(
            "an export to NIR needs the library nir; install it with pip install 'gemsnn[nir]'"
        ) from None
    return nir


def shapes_of(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The shapes that inputs and populations have in NIR: ``(channels, height, width)`` or ``(n,)``.

    The former have inputs with places, and independent neurons that hear nothing but such pictures, by convolution or
    pooling; for NIR can flatten a picture, but not make one of a row of neurons.
    """
    sheet = graph.sheet(INPUTS)
    heard = {
        each.name: [other for other in graph.projections if other.target == each.name]
        for each in graph.populations
    }
    drawn = {
        each.name
        for each in graph.populations
        if heard[each.name]
        and type(each.neuron) is Bernoulli
        and all(_is_spatial(one) for one in heard[each.name])
    }
    seen = any(_is_spatial(each) for each in graph.projections if each.source == INPUTS)
    if seen or sheet.height > 1 or min(sheet.channels, sheet.width) > 1:
        drawn.add(INPUTS)
    while wrong := {name for name in drawn - {INPUTS} if any(one.source not in drawn for one in heard[name])}:
        drawn -= wrong
    sheets = {name: graph.sheet(name) for name in (INPUTS, *heard)}
    return {name: tuple(each[:3]) if name in drawn else (each.size,) for name, each in sheets.items()}


def _is_spatial(projection: Projection) -> bool:
    return type(projection.kind) in (Convolutional, Pooling)


class _Made:
    """Nodes and edges so far."""

    def __init__(self, network: Network, params: Params, dt: float) -> None:
        self.network, self.params, self.dt = network, params, dt
        self.nir = _library()
        self.weights = networks.named(network, params)
        self.shapes = shapes_of(network.graph)
        self.potentials: dict[str, str] = {}
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.noise: dict[str, str] = {}
        self.numbers = 0

    def graph(self, names: Sequence[str]) -> NIRGraph:
        """All of them."""
        told = {"dt": self.dt, "classes": json.dumps(list(names)), "noise": json.dumps(self.noise)}
        return self.nir.NIRGraph(self.nodes, self.edges, metadata=told)

    def add(self, name: str, node: Any, *before: str) -> str:
        """A node with edges from those before it."""
        assert name not in self.nodes
        self.numbers += sum(value.size for value in vars(node).values() if isinstance(value, np.ndarray))
        self.check_size(0)
        self.nodes[name] = node
        self.edges += [(each, name) for each in before]
        return name

    def check_size(self, more: int) -> None:
        """Refuse a graph of so many more numbers, before they are made, if that is too large."""
        if self.numbers + more > LARGEST:
            raise InputError(
                f"the graph would have more than {LARGEST} numbers, for there each lag of a synapse has a weight of "
                "its own, and so has each pair of a circuit's neurons; export a smaller network, or one with a shorter "
                "memory"
            )

    def add_input(self, name: str, of: str = INPUTS) -> str:
        """What comes in, with the shape of the inputs or of a population."""
        return self.add(name, self.nir.Input(np.array(self.shapes[of])))

    def add_population(self, population: Population) -> None:
        """Neurons with their noise and their feedback; where they are visible, their spikes come out."""
        name, span = population.name, self.network.graph.span(population.name)
        shape = self.shapes[name]
        noise = self.add_input(noise_name(name), name)
        bias = stepping.spread(self.network, self.params.bias)[span].double()
        if type(population.neuron) is Bernoulli:
            self.noise[noise] = LOGISTIC
            self.potentials[name] = self.add(name, self.nir.Threshold(_array(-bias).reshape(shape)), noise)
        elif type(population.neuron) is Circuit:
            self.noise[noise] = GUMBEL
            self.potentials[name] = self.add_circuit(name, noise, bias)
        else:
            raise InputError(
                f"the neurons of population {name!r} are of the kind {population.neuron.name}, for which an export has "
                "no nodes of NIR; export a network whose neurons are independent or winner-take-all"
            )
        if population.visible:
            self.add(spikes_name(name), self.nir.Output(np.array(shape)), name)
        if population.feedback:
            weight = stepping.spread(self.network, self.params.feedback)[span]
            kernel = weight.double() @ self.network.own_taps.double()
            self.scale(f"{name}-feedback", name, kernel.reshape(*shape, -1), name)

    def add_circuit(self, name: str, noise: str, bias: Tensor) -> str:
        """Neurons each of which spikes where it is ahead of silence, whose potential is 0, and of all others."""
        self.check_size(len(bias) ** 3)
        alone = torch.eye(len(bias), dtype=torch.float64, device=bias.device)
        ahead = alone[:, None] - alone
        ahead[range(len(bias)), range(len(bias))] = alone  # of silence, in place of itself
        ahead = ahead.flatten(0, 1)
        first = self.add(f"{name}-lead", self.nir.Affine(_array(ahead), _array(ahead @ bias)), noise)
        leads = self.add(f"{name}-leads", self.nir.Threshold(np.zeros(len(ahead))), first)
        count = self.nir.Linear(_array(alone.repeat_interleave(len(bias), 1)))
        all_of_them = self.nir.Threshold(np.full(len(bias), len(bias) - 0.5))
        self.add(name, all_of_them, self.add(f"{name}-count", count, leads))
        return first

    def add_projection(self, projection: Projection) -> None:
        """The synapses of a projection, lag by lag."""
        graph, kind = self.network.graph, projection.kind
        source, target = projection.source, projection.target
        taps = self.network.banks[self.network.spec.banks[1][projection.name]].double()
        weight = self.weights.get(f"weights.{projection.name}")
        senders, receivers, name = graph.sheet(source), graph.sheet(target), f"{source}-to-{target}"
        if len(self.shapes[target]) == 1:
            self.check_size(receivers.size * senders.size * taps.shape[1])
            matrix = _matrix(kind, weight, senders, receivers, len(taps)) @ taps
            self.linear(name, self.flat(source), senders.picture(matrix).permute(0, 1, 3, 4, 2), target)
        elif isinstance(kind, Pooling):
            side, shape = np.array([kind.window] * 2), self.shapes[target]
            pooled = self.add(f"{name}-pool", self.nir.SumPool2d(side, side, np.zeros(2, np.int64)), source)
            self.shapes[pooled] = shape
            self.scale(name, pooled, (kind.gain * taps.sum(0)).expand(*shape, -1), target)
        else:
            assert isinstance(kind, Convolutional)
            assert weight is not None
            self.convolution(name, source, kind, weight.double() @ taps, target)

    def linear(self, name: str, source: str, kernel: Tensor, target: str) -> None:
        """``k_d[n, m]`` of a kernel ``[n, ..., D]`` whose middle dimensions are the senders."""
        for lag, part in _lags(kernel):
            node = self.nir.Linear(_array(part).reshape(len(part), -1))
            self.lag(name, lag, source, node, target)

    def scale(self, name: str, source: str, kernel: Tensor, target: str) -> None:
        """``k_d[n]`` of a kernel ``[*shape, D]``, of each neuron from one sender."""
        for lag, part in _lags(kernel):
            self.lag(name, lag, source, self.nir.Scale(_array(part)), target)

    def convolution(self, name: str, source: str, kind: Convolutional, kernel: Tensor, target: str) -> None:
        """The patches of a kernel ``[C, c, k, k, D]``."""
        _, height, width = self.shapes[source]
        for lag, part in _lags(kernel):
            none = np.zeros(len(part))
            node = self.nir.Conv2d((height, width), _array(part), kind.stride, kind.border, 1, 1, none)
            self.lag(name, lag, source, node, target)

    def lag(self, name: str, lag: int, source: str, node: Any, target: str) -> None:
        """What a source's spikes of so many steps ago add to a target's potentials."""
        late = f"{source}-{lag}-ago"
        if late not in self.nodes:
            self.add(late, self.nir.Delay(np.full(self.shapes[source], lag * self.dt)), source)
        self.edges.append((self.add(f"{name}-{lag}", node, late), self.potentials[target]))

    def flat(self, source: str) -> str:
        """The source, or what flattens it."""
        shape, name = self.shapes[source], f"{source}-flat"
        if len(shape) == 1:
            return source
        if name not in self.nodes:
            self.add(name, self.nir.Flatten({"input": np.array(shape)}, 0, -1), source)
            self.shapes[name] = (math.prod(shape),)
        return name


def _matrix(kind: Kind, weight: Tensor | None, senders: Sheet, receivers: Sheet, basis: int) -> Tensor:
    """The weight of every synapse, ``[n, m, L]`` in float64, 0 where there is none."""
    double = None if weight is None else weight.double()
    if isinstance(kind, Dense):
        assert double is not None
        return double
    alone = torch.eye(receivers.size, dtype=torch.float64, device=None if double is None else double.device)
    return kind.credit(double, alone, senders, receivers, basis)


def _lags(kernel: Tensor) -> list[tuple[int, Tensor]]:
    """The lags from 1 on at which a kernel ``[.., D]`` does something, and what it does."""
    return [(lag, part) for lag, part in enumerate(kernel.unbind(-1), 1) if bool(part.any())]


def _array(values: Tensor) -> NDArray[np.float64]:
    return np.ascontiguousarray(values.double().cpu().numpy())
