"""Networks of every kind of graph that several tests share; the tiny ones are small enough to enumerate."""

from __future__ import annotations

import torch

from gemsnn import rng
from gemsnn.model import network as networks
from gemsnn.model.basis import BasisSpec
from gemsnn.model.graph import INPUTS, Graph, Population, Projection
from gemsnn.model.network import Network, NetworkSpec, Params
from gemsnn.model.neurons import CIRCUIT
from gemsnn.model.projections import Convolutional, Masked, Pooling

BASIS = BasisSpec(count=2, taps=3)
SLOW = BasisSpec("exponential", count=1, taps=5)


def output(name: str = "output", classes: int = 2, **more) -> Population:
    return Population(name, (classes,), visible=True, **more)


TINY = {
    # one channel of two places, which share a patch, a bias and a feedback
    "convolution": Graph(
        (1, 2, 3),
        (Population("edges", (1, 1, 2), feedback=True), output(feedback=True)),
        (Projection(INPUTS, "edges", Convolutional(2, padding=0)), Projection("edges", "output")),
    ),
    # two layers, each with a readout of its own
    "readouts": NetworkSpec(2, 2, (1, 1), "feedforward", readouts="each-layer").graph,
    "convolutional readouts": Graph(
        (1, 1, 2),
        (Population("edges", (1, 1, 1)), Population("whole", (1,), feedback=True),
         output("readout1", neuron=CIRCUIT), output()),
        (Projection(INPUTS, "edges", Convolutional(3, 2)), Projection("edges", "whole"),
         Projection("edges", "readout1"), Projection("whole", "output")),
    ),
    # a graph of one's own whose synapses are drawn, more densely in one projection than in another
    "masked": Graph(
        (3, 1, 1),
        (Population("a", (2,), feedback=True), output()),
        (Projection(INPUTS, "a", Masked(0.7)), Projection("a", "a"), Projection("a", "output", Masked(0.9)),
         Projection(INPUTS, "output", Masked(0.4))),
    ),
    # a longer memory of fewer functions in some of the projections
    "two bases": Graph(
        (2, 1, 1),
        (Population("a", (1,)), Population("b", (1,), feedback=True), output(neuron=CIRCUIT)),
        (Projection(INPUTS, "a"), Projection("a", "b", basis=SLOW), Projection("b", "output", basis=SLOW),
         Projection("a", "output"), Projection("b", "a")),
    ),
    # no weights at all from the inputs, nor to the visible neurons
    "pooling": Graph(
        (2, 2, 2),
        (Population("pooled", (2, 1, 1), feedback=True), output()),
        (Projection(INPUTS, "pooled", Pooling(2, 0.8)), Projection("pooled", "output", Pooling(1, -1.5))),
    ),
}  # fmt: skip
"""With two hidden neurons each."""

RICH = Graph(
    (2, 4, 5),
    (
        Population("edges", (2, 2, 3), feedback=True),
        Population("pooled", (2, 1, 1)),
        Population("mind", (3,), neuron=CIRCUIT, feedback=True),
        output("readout1", 3, neuron=CIRCUIT),
        output(classes=3, feedback=True),
    ),
    (
        Projection(INPUTS, "edges", Convolutional(3, 2)),
        Projection("edges", "edges", Convolutional(3), basis=SLOW),  # beside each other, and back onto itself
        Projection("edges", "pooled", Pooling(2, 0.5)),
        Projection("pooled", "mind"),
        Projection("edges", "mind", Masked(0.5), SLOW),
        Projection("mind", "mind"),
        Projection("mind", "edges"),
        Projection("edges", "readout1"),
        Projection("mind", "output", basis=SLOW),
        Projection("readout1", "output", Masked(0.5)),
        Projection(INPUTS, "output"),
    ),
)
"""All kinds at once, whose potentials are computed without enumeration."""

GRAPHS = TINY | {"rich": RICH}


def spec_of(graph: Graph, *, scale: float = 2.0) -> NetworkSpec:
    """With :data:`BASIS` where the graph says nothing else."""
    return NetworkSpec(
        torch.Size(graph.inputs).numel(), graph.classes, custom=graph, synapse=BASIS,
        self_filter=BasisSpec("exponential", count=1, taps=2), weight_scale=scale,
    )  # fmt: skip


def make_graph(graph: Graph, *, seed: int = 0, scale: float = 2.0) -> tuple[Network, Params]:
    """A network in float64 with every kind of parameter away from zero."""
    network = networks.build(spec_of(graph, scale=scale), seed=seed, dtype=torch.float64)
    params = networks.init(network, seed)
    own = network.own
    if network.site is not None:
        own = torch.zeros(network.sites, dtype=torch.bool)
        own[network.site] = network.own
    drawn = torch.from_numpy(rng.generator(seed, "own").standard_normal(tuple(params.feedback.shape)))
    return network, params._replace(feedback=drawn * own[:, None])
