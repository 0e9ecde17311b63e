"""A network's settings: a topology by name with its sizes, or a graph of one's own, and how it begins."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from gemsnn.errors import InputError
from gemsnn.model import links, topology
from gemsnn.model.basis import BasisSpec
from gemsnn.model.graph import Graph
from gemsnn.model.topology import Readouts, TopologyName
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, NotNegative, Probability, Range

FeedbackOf = Literal["hidden", "all", "none"]
Output = Literal["independent", "winner-take-all"]
LARGEST_WEIGHTS = 2**30
"""A network of more is refused: with the moments of its optimiser it would not fit a common machine's memory."""


@dataclass(frozen=True)
class NetworkSpec:
    """A network's architecture and initialisation.

    Attributes:
        inputs: exogenous inputs M.
        visible: visible neurons of a readout, one for every class.
        hidden: sizes of the hidden groups, or convolutions such as ``"16x5s2"`` (see :mod:`gemsnn.model.topology`).
        topology: see :mod:`gemsnn.model.topology`.
        density: share of synapses of the topology ``sparse``.
        synapse: the basis of the synapses.
        readout: the basis of the synapses onto visible neurons; ``None`` for that of all synapses.
        self_filter: the basis of a neuron's feedback from its own spikes.
        feedback: which neurons have that feedback. Visible neurons are clamped while they learn, so with
            ``"all"`` they see their own answer and learn to repeat it; hence the default ``"hidden"``.
        weight_scale: initial synaptic weights are normal with standard deviation ``weight_scale /
            sqrt(number of synapses of the neuron)``.
        hidden_rate: initial spike probability of a hidden neuron without input, set by its bias.
        visible_rate: the same of a visible neuron; ``None`` means ``1 / V``, or ``1 / (V + 1)`` in a circuit.
        output: whether visible neurons spike independently or in one winner-take-all circuit; see
            :mod:`gemsnn.model.glm`.
        warm_up: share of each recording before which the visible neurons are free and their target is no evidence,
            in learning as in testing; see :func:`gemsnn.types.first_observed`.
        sheet: how the inputs lie, ``(channels, height, width)``; ``None`` if it does not matter.
        readouts: ``each-layer`` gives every hidden group visible neurons of its own.
        custom: a graph in place of a topology; of the other settings, those that shape the graph then mean nothing.
    """

    inputs: Count
    visible: Count
    hidden: Annotated[tuple[int | str, ...], Range(1, checks.MOST)] = (64,)
    topology: TopologyName = "layered"
    density: Annotated[float, Range(above=0, high=1)] = 0.1
    synapse: BasisSpec = field(default_factory=BasisSpec)
    self_filter: BasisSpec = field(default_factory=lambda: BasisSpec(count=2))
    feedback: FeedbackOf = "hidden"
    weight_scale: NotNegative = 1.0
    hidden_rate: Probability = 0.1
    visible_rate: Probability | None = None
    output: Output = "independent"
    warm_up: Annotated[float, Range(0, below=1)] = 0.0
    sheet: tuple[Count, Count, Count] | None = None
    readouts: Readouts = "last"
    readout: BasisSpec | None = None
    custom: Graph | None = None

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        if self.sheet is not None and math.prod(self.sheet) != self.inputs:
            raise InputError(
                f"the sheet {self.sheet} has not as many places as there are inputs, {self.inputs}"
            )
        if self.output == "winner-take-all" and (self.visible_rate or 0) * self.visible >= 1:
            raise InputError(
                f"visible_rate must be below 1 / {self.visible}, since the visible neurons of a circuit spike one "
                f"at a time, not {self.visible_rate}"
            )
        if self.custom is not None and (math.prod(self.custom.inputs), self.custom.classes) != (
            self.inputs,
            self.visible,
        ):
            raise InputError(
                f"the graph is one of {math.prod(self.custom.inputs)} inputs and {self.custom.classes} "
                "classes, and the data "
                f"has {self.inputs} and {self.visible}"
            )
        if self.weights > LARGEST_WEIGHTS:
            raise InputError(
                f"a network of {self.inputs} inputs and {self.neurons} neurons would have {self.weights} "
                "weights, more than "
                f"{LARGEST_WEIGHTS}; make it smaller"
            )

    @functools.cached_property
    def graph(self) -> Graph:
        """The populations and projections."""
        if self.custom is not None:
            return self.custom
        return topology.graph(
            self.topology, self.sheet or (self.inputs, 1, 1), self.hidden, self.visible, density=self.density,
            readouts=self.readouts, output=self.output, feedback=self.feedback, hidden_rate=self.hidden_rate,
            visible_rate=self.visible_rate, readout=self.readout,
        )  # fmt: skip

    @functools.cached_property
    def is_joint(self) -> bool:
        """Whether one link holds all synapses; see :mod:`gemsnn.model.links`."""
        return links.is_joint(self.graph, self.banks[1])

    @property
    def weights(self) -> int:
        """How many numbers the weights are; where all projections are dense, of every neuron from all others."""
        graph = self.graph
        if self.is_joint:
            return self.neurons * (self.inputs + self.neurons) * self.banks[0][0].count
        shapes = [
            (each, each.kind.shape(graph.sheet(each.source), graph.sheet(each.target)))
            for each in graph.projections
        ]
        return sum(
            math.prod(shape) * (each.basis or self.synapse).count
            for each, shape in shapes
            if shape is not None
        )

    @functools.cached_property
    def banks(self) -> tuple[list[BasisSpec], dict[str, int]]:
        """The different bases, and for every projection's name the number of its own."""
        found = list(dict.fromkeys(each.basis or self.synapse for each in self.graph.projections)) or [
            self.synapse
        ]
        return found, {each.name: found.index(each.basis or self.synapse) for each in self.graph.projections}

    @functools.cached_property
    def hidden_neurons(self) -> int:
        """H."""
        return sum(population.sheet.size for population in self.graph.hidden)

    @property
    def visible_neurons(self) -> int:
        """V: those of all readouts."""
        return self.visible * len(self.graph.visible)

    @property
    def neurons(self) -> int:
        """N = H + V."""
        return self.hidden_neurons + self.visible_neurons

    @property
    def answer(self) -> slice:
        """The neurons of the last readout, which answers."""
        return slice(self.neurons - self.visible, self.neurons)
