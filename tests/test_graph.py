"""Graphs of populations and projections: topologies by name, and what is refused."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch
from graphs import GRAPHS, output, spec_of
from hypothesis import given
from hypothesis import strategies as st

from gemsnn.errors import InputError
from gemsnn.model import network as networks
from gemsnn.model import topology
from gemsnn.model.graph import INPUTS, Graph, Population, Projection
from gemsnn.model.network import NetworkSpec
from gemsnn.model.neurons import CIRCUIT
from gemsnn.model.projections import DENSE, Convolutional, Masked, Pooling


def graph_of(name, hidden=(3, 2), **more):
    return NetworkSpec(4, 2, hidden, name, **more).graph


LAYERED = {
    "inputs->hidden1", "inputs->hidden2", "inputs->output", "hidden1->hidden1", "hidden1->hidden2",
    "hidden1->output", "hidden2->hidden2", "hidden2->output",
}  # fmt: skip
FULL = {f"{a}->{b}" for a in ("inputs", "hidden", "output") for b in ("hidden", "output")}
CHAIN = {"inputs->hidden1", "hidden1->hidden2", "hidden2->output"}
EACH = {"readouts": "each-layer"}


@pytest.mark.parametrize(
    ("name", "hidden", "more", "expected"),
    [
        ("layered", (3, 2), {}, LAYERED),
        ("sparse", (3, 2), {}, LAYERED),
        ("layered", (3,), {}, {"inputs->hidden", "inputs->output", "hidden->hidden", "hidden->output"}),
        ("layered", (), {}, {"inputs->output"}),
        ("full", (3,), {}, FULL),
        ("feedforward", (3, 2), {}, CHAIN),
        ("feedforward", (), {}, {"inputs->output"}),
        ("feedforward", (3, 2), EACH, CHAIN | {"hidden1->readout1"}),
        ("feedforward", (3,), EACH, {"inputs->hidden", "hidden->output"}),
        ("feedforward", (), EACH, {"inputs->output"}),
        ("conv", ("2x1", 3), {}, CHAIN),
        ("conv", ("2x1", 3), EACH, CHAIN | {"hidden1->readout1"}),
    ],
)
def test_who_hears_whom(name, hidden, more, expected):
    graph = graph_of(name, hidden, **more)
    assert {each.name for each in graph.projections} == expected
    assert graph.populations[-1].name == "output"
    assert graph.classes == 2
    assert [each.visible for each in graph.populations] == sorted(each.visible for each in graph.populations)
    usual = Masked(0.1) if name == "sparse" else DENSE
    for each in graph.projections:
        convolved = name == "conv" and each.source == INPUTS
        assert each.kind == (Convolutional(1) if convolved else usual)


def test_what_populations_are_like():
    spec = NetworkSpec(
        4, 2, (3, 2), feedback="all", hidden_rate=0.3, visible_rate=0.2, output="winner-take-all"
    )
    populations = spec.graph.populations
    assert [each.shape for each in populations] == [(3,), (2,), (2,)]
    assert [each.rate for each in populations] == [0.3, 0.3, 0.2]
    assert [each.neuron == CIRCUIT for each in populations] == [False, False, True]
    assert all(each.feedback for each in populations)
    hidden, last = NetworkSpec(4, 2, (3,)).graph.populations
    assert (hidden.feedback, last.feedback, last.rate) == (True, False, None)
    assert not any(each.feedback for each in NetworkSpec(4, 2, (3,), feedback="none").graph.populations)


@pytest.mark.parametrize(
    ("hidden", "shapes"),
    [
        (("8x5s2",), [(8, 13, 13)]),
        (("8x5s2", "16x3s2", 20), [(8, 13, 13), (16, 7, 7), (20,)]),
        (("8x5p0", "4x22p0"), [(8, 22, 22), (4, 1, 1)]),
        ((" 3x2 ",), [(3, 27, 27)]),
        ((30, "2x1"), [(30,), (2, 1, 1)]),
    ],
)
def test_convolutions_by_their_words(hidden, shapes):
    graph = NetworkSpec(1352, 10, hidden, "conv", sheet=(2, 26, 26)).graph
    assert [each.shape for each in graph.hidden] == shapes
    for each in graph.hidden:
        assert graph.sheet(each.name).size == math.prod(each.shape) == each.sheet.size


@given(st.integers(1, 30), st.integers(1, 7), st.integers(1, 4), st.none() | st.integers(0, 4))
def test_a_patch_lies_at_every_place_where_it_fits(side, kernel, stride, padding):
    border = kernel // 2 if padding is None else padding
    fitting = [at for at in range(-border, side + border, stride) if at + kernel <= side + border]
    assert max(0, Convolutional(kernel, stride, padding).places(side)) == len(fitting)


@pytest.mark.parametrize(
    "words", ["", "x3", "16", "16x", "16x3s", "16x3p1s2", "-1x3", "16x3s2p1q", "1.5x3", "16*3"]
)
def test_words_that_are_no_convolution(words):
    with pytest.raises(InputError, match="such as 16x5s2") as told:
        topology.convolution(words)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "hidden", "more", "expected"),
    [
        ("layered", (3, 2), {}, ()),
        ("full", (3, 2), {}, ()),
        ("feedforward", (3,), {}, ()),
        ("feedforward", (3, 2, 4), {}, ("hidden1", "hidden2")),
        ("feedforward", (3, 2, 4), EACH, ()),
        ("conv", ("2x1", 3), {}, ("hidden1",)),
    ],
)
def test_whom_no_visible_error_reaches(name, hidden, more, expected):
    assert graph_of(name, hidden, **more).untaught() == expected


# -- what is refused ---------------------------------------------------------------------------------------

A, B, OUT = Population("a", (2,)), Population("b", (3,)), output()
HEARD = (Projection(INPUTS, "a"), Projection("a", "output"))


def of(*populations, wires=HEARD, inputs=(4, 1, 1)):
    return Graph(inputs, populations, tuple(wires))


def masked(name, mask):
    return networks.build(spec_of(GRAPHS[name]), masks=mask)


class Half:
    """Neurons without most of what is asked of them."""

    name: ClassVar[str] = "half"
    elementwise: ClassVar[bool] = True

    def probability(self, potential):
        return potential


REFUSED = {
    "a topology": (lambda: NetworkSpec(4, 2, topology="layred"), "the nearest is 'layered'"),
    "readouts": (lambda: graph_of("conv", readouts="every"), "readouts must be one of"),
    "readouts of layers that everybody hears": (
        lambda: graph_of("layered", **EACH),
        "readouts each-layer need the topology feedforward or conv, not layered",
    ),
    "a convolution elsewhere": (lambda: graph_of("full", ("4x3",)), "take topology conv for hidden '4x3'"),
    "a sheet of another size": (lambda: NetworkSpec(12, 2, sheet=(2, 2, 2)), "not as many places"),
    "a kernel": (
        lambda: NetworkSpec(12, 2, ("3x5p0",), "conv", sheet=(1, 3, 4)),
        "does not fit into 3 x 4 places",
    ),
    "a source": (lambda: of(A, OUT, wires=[Projection("c", "a")]), "ends at 'c', which is no population"),
    "a target": (
        lambda: of(A, OUT, wires=[*HEARD, Projection("a", "c")]),
        "the projection a->c ends at 'c', which is no population; there are a, output",
    ),
    "inputs that hear": (lambda: of(A, OUT, wires=[Projection("a", INPUTS)]), "ends at 'inputs'"),
    "inputs that hear themselves": (
        lambda: of(A, OUT, wires=[Projection(INPUTS, INPUTS)]),
        "ends at 'inputs', which is no population",
    ),
    "two of one name": (
        lambda: of(A, OUT, wires=[*HEARD, Projection("a", "output", Masked(0.5))]),
        "there are two projections a->output",
    ),
    "two populations of one name": (lambda: of(A, A, OUT), "need different names, not a, a, output"),
    "visible before hidden": (lambda: of(OUT, A), "hidden populations come first"),
    "nobody visible": (lambda: of(A, B, wires=HEARD[:1]), "needs a visible population"),
    "readouts of several sizes": (
        lambda: of(A, output("other", 3), OUT),
        "visible populations need the same size, a neuron for every class, not [2, 3]",
    ),
    "a shape": (lambda: Population("a", (2, 3)), "must be (n,) or (channels, height, width), not (2, 3)"),
    "no neurons": (lambda: Population("a", (0,)), "must be at least 1"),
    "no name": (lambda: Population("", (2,)), "needs a name of its own"),
    "the inputs' name": (lambda: Population(INPUTS, (2,)), "needs a name of its own"),
    "an arrow in a name": (lambda: Population("a->b", (2,)), "needs a name of its own"),
    "a dot in a name": (lambda: Population("a.b", (2,)), "needs a name of its own"),
    "a rate": (lambda: Population("a", (2,), rate=1.0), "rate must be"),
    "a rate of a circuit": (lambda: Population("a", (4,), CIRCUIT, rate=0.25), "must be below 1 / 4"),
    "neurons that lack": (
        lambda: Population("a", (2,), Half()),
        "that of population 'a' has no sample, log_prob, error, slope, initial_odds",
    ),
    "a pooling into another shape": (
        lambda: of(A, OUT, wires=[Projection(INPUTS, "a", Pooling(2))], inputs=(1, 4, 4)),
        "gives 1 x 2 x 2, not 2 x 1 x 1",
    ),
    "inputs of another number": (
        lambda: NetworkSpec(5, 2, custom=of(A, OUT)),
        "the graph is one of 4 inputs and 2 classes, and the data has 5 and 2",
    ),
    "other classes": (
        lambda: NetworkSpec(4, 3, custom=of(A, OUT)),
        "the graph is one of 4 inputs and 2 classes, and the data has 4 and 3",
    ),
    "a giant": (
        lambda: NetworkSpec(10**6, 2, ("1000x99",), "conv", sheet=(1000, 10, 100)),
        "make it smaller",
    ),
    "a mask of another shape": (
        lambda: masked("two bases", {"a->b": torch.ones(2, 2, dtype=torch.bool)}),
        "the mask has the shape [2, 2] where the network needs [1, 1]",
    ),
    "a mask of a patch": (
        lambda: masked("convolution", {"inputs->edges": torch.ones(1, 1, 2, 2, dtype=torch.bool)}),
        "a mask for inputs->edges, which has none",
    ),
    "a mask of all neurons": (
        lambda: masked("two bases", {"joint": torch.ones(4, 6, dtype=torch.bool)}),
        "a mask for joint, which has none",
    ),
    "a mask of numbers": (
        lambda: masked("two bases", {"a->b": torch.ones(1, 1)}),
        "a mask must be bool, not torch.float32",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_told_in_a_sentence(name):
    make, said = REFUSED[name]
    with pytest.raises(InputError) as told:
        make()
    assert said in str(told.value)
    assert "\n" not in str(told.value)
