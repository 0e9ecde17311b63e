"""Exported graphs: written, read by the library nir, and run without our kernels, they spike as these do."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from cases import make_network, make_presentation
from graphs import GRAPHS, make_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import command
from scipy import stats

import gemsnn
from gemsnn import rng
from gemsnn.bridges import executor, noise
from gemsnn.bridges import nir as bridge
from gemsnn.commands.cli import main
from gemsnn.errors import InputError
from gemsnn.kernels import reference
from gemsnn.model import network as networks
from gemsnn.model.graph import INPUTS, Graph, Population, Projection
from gemsnn.model.neurons import BERNOULLI, CIRCUIT, Bernoulli
from gemsnn.model.projections import Convolutional, Pooling, Sheet

pytestmark = pytest.mark.usefixtures("undrawn")

K, SEED = 3, 5


def spikes_of(network, params, path, lengths=(7, 5), *, run=reference):
    """What a graph does that has been a file, and what a kernel does, both ``[B, K, T, N]``."""
    shown = [
        make_presentation(steps, network.spec.inputs, network.spec.visible, index=at)
        for at, steps in enumerate(lengths)
    ]
    batch = networks.batch(network, shown)
    bridge.save(path, bridge.graph_of(network, params, 1500))
    fed = noise.feed(network, params, batch, K, kernel=run, seed=SEED)
    out = executor.execute(nir.read(path), fed)
    each = [
        torch.from_numpy(out[population.name]).flatten(3).permute(1, 2, 0, 3)
        for population in network.graph.populations
    ]
    found = torch.cat(each, -1) * batch.alive[:, None, :, None]
    return found.to(torch.uint8), run.rollout(network, params, batch, K, seed=SEED, clamp=False).spikes


def check(network, params, path, **more):
    found, wanted = spikes_of(network, params, path, **more)
    assert torch.equal(found, wanted)
    assert 0 < wanted.sum() < wanted.numel()


# -- the same spikes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["independent", "winner-take-all"])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"hidden": (3, 4)},
        {"hidden": ()},
        {"topology": "full"},
        {"topology": "sparse", "hidden": (5,)},
        {"topology": "feedforward", "hidden": (4, 3), "feedback": "none"},
    ],
    ids=str,
)
def test_dense_networks(how, output, tmp_path):
    check(*make_network(inputs=5, visible=3, output=output, **how), tmp_path / "x.nir")


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_networks_of_every_kind(name, independent, tmp_path):
    """Convolutions, pooling, masks, several readouts, circuits, two bases; what cannot be a picture is a matrix."""
    graph = GRAPHS[name]
    if independent:
        populations = tuple(dataclasses.replace(each, neuron=BERNOULLI) for each in graph.populations)
        graph = dataclasses.replace(graph, populations=populations)
    check(*make_graph(graph), tmp_path / "x.nir")


def test_each_projection_has_the_nodes_of_its_kind():
    kinds = {
        name: {
            type(node).__name__ for node in bridge.graph_of(*make_graph(GRAPHS[name]), 1000).nodes.values()
        }
        for name in ("convolution", "pooling", "masked")
    }
    usual = {"Input", "Output", "Delay", "Threshold", "Scale"}
    assert kinds == {
        "convolution": usual | {"Conv2d", "Flatten", "Linear"},
        "pooling": usual | {"SumPool2d"},
        "masked": usual | {"Linear"},
    }


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    hidden=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    topology=st.sampled_from(["layered", "full", "feedforward", "sparse"]),
    output=st.sampled_from(["independent", "winner-take-all"]),
    feedback=st.sampled_from(["all", "hidden", "none"]),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 1000),
)
def test_small_networks(tmp_path_factory, hidden, topology, output, feedback, shape, seed):
    inputs, visible, taps = shape
    network, params = make_network(
        inputs, hidden, visible, topology=topology, output=output, feedback=feedback, taps=taps,
        count=min(2, taps), seed=seed,
    )  # fmt: skip
    found, wanted = spikes_of(network, params, tmp_path_factory.getbasetemp() / "small.nir", (6, 2))
    assert torch.equal(found, wanted)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    sheet=st.tuples(st.integers(1, 2), st.integers(2, 5), st.integers(2, 5)),
    channels=st.integers(1, 3),
    first=st.builds(Convolutional, st.integers(1, 3), st.integers(1, 2), st.none() | st.integers(0, 2)),
    second=st.builds(Convolutional, st.sampled_from([1, 3]))
    | st.builds(Pooling, st.just(1), st.floats(-2, 2))
    | st.none(),
    feedback=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_small_convolutions(tmp_path_factory, sheet, channels, first, second, feedback, seed):
    """Those whose kernels fit; two layers, or one and a convolution onto itself."""
    try:
        shape = first.result(Sheet(*sheet, of_inputs=True), channels)
    except InputError:
        return
    graph = Graph(
        sheet,
        (
            Population("one", shape, feedback=feedback),
            *([] if second is None else [Population("two", shape)]),
            Population("output", (2,), visible=True),
        ),
        (
            Projection(INPUTS, "one", first),
            *(
                [Projection("one", "one", Convolutional(3))]
                if second is None
                else [Projection("one", "two", second)]
            ),
            Projection("one" if second is None else "two", "output"),
        ),
    )
    network, params = make_graph(graph, seed=seed)
    found, wanted = spikes_of(network, params, tmp_path_factory.getbasetemp() / "convolution.nir", (6, 2))
    assert torch.equal(found, wanted)


# -- the noise ---------------------------------------------------------------------------------------------


def test_noise_says_the_same_as_numbers_below_a_sigmoid():
    potential = torch.linspace(-20, 20, 4001, dtype=torch.float64)[:, None]
    uniform = rng.uniforms(0, 0, range(1), 1, 500).flatten().double()
    uniform = torch.cat([uniform, torch.tensor([0.5, 2.0**-24, 1 - 2.0**-24], dtype=torch.float64)])
    assert torch.equal(potential + noise.logistic(uniform) > 0, uniform < torch.sigmoid(potential))


def test_noise_of_circuits_is_that_of_gumbel_numbers():
    """Given the choice it is drawn so that it makes it; by itself it depends on no potential. Fails once in 10^4."""
    runs, size = 20_000, 3
    draw = torch.Generator().manual_seed(0)
    potential = 3 * torch.randn(runs, size, generator=draw, dtype=torch.float64)
    uniform = torch.rand(runs, size + 2, generator=draw, dtype=torch.float64).clamp(2.0**-24, 1 - 2.0**-24)
    spikes = CIRCUIT.sample(uniform[:, -1:], potential)
    found = noise.of_circuit(uniform[:, :-1], spikes, potential)
    total = torch.cat([torch.zeros(runs, 1, dtype=torch.float64), potential + found], 1)
    assert torch.equal(
        total.argmax(1), torch.cat([spikes.sum(1, keepdim=True) == 0, spikes > 0], 1).int().argmax(1)
    )
    for some in (
        *found.T,
        found[:, 0] - found[:, 1],
        found[:, 2] - found[:, 1],
    ):  # differences of Gumbel numbers
        assert stats.kstest(some.numpy(), stats.logistic.cdf).pvalue > 1e-5
    for one in found.T:
        for other in potential.T:
            assert stats.spearmanr(one, other).pvalue > 1e-5
    assert stats.spearmanr(found[:, 0], found[:, 1]).statistic == pytest.approx(
        0.5, abs=0.05
    )  # they share G[0]


@pytest.mark.parametrize("output", ["independent", "winner-take-all"])
def test_with_any_noise_of_its_kind_the_graph_has_the_network_s_probabilities(output):
    """Of neurons that hear nothing: their biases say all. Fails once in 10^5."""
    network, params = make_network(1, (), 3, output=output)
    params = params._replace(bias=torch.tensor([0.3, -1.2, 0.9], dtype=torch.float64))
    runs, draw = 40_000, np.random.default_rng(1)
    drawn = (
        draw.gumbel(size=(1, runs, 4)) if output == "winner-take-all" else draw.logistic(size=(1, runs, 3))
    )
    fed = drawn[..., 1:] - drawn[..., :1] if output == "winner-take-all" else drawn
    graph = bridge.graph_of(network, params, 1000)
    out = executor.execute(graph, {INPUTS: np.zeros((1, 1, 1)), "output-noise": fed})["output-spikes"]
    wanted = network.graph.populations[0].neuron.probability(params.bias).numpy()
    error = np.sqrt(wanted * (1 - wanted) / runs)
    assert np.all(np.abs(out.mean((0, 1)) - wanted) < 5 * error)


# -- models ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recordings():
    draw = np.random.default_rng(0)
    spikes = [draw.random((steps, 2, 5, 4)) < 0.2 for steps in (12, 12, 9, 12, 7, 12)]
    return gemsnn.Recordings.from_arrays(spikes, ["calm", "lively"] * 3, bin_us=2500)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "how", [{"hidden": [6]}, {"hidden": ["3x3s2", 4], "topology": "conv", "rule": "gem", "kernel": "block"}]
)
def test_a_model_says_what_its_graph_says(how, dtype, recordings, tmp_path):
    """In single precision too: the numbers U lie 2^-23 apart, so that rounding seldom matters."""
    compartments = 4 if "rule" in how else 1
    model = gemsnn.fit(recordings, epochs=2, dtype=dtype, compartments=compartments, **how)
    nir.write(tmp_path / "x.nir", model.to_nir())
    graph = nir.read(tmp_path / "x.nir")
    assert graph.metadata["dt"] == 0.0025
    assert graph.metadata["classes"] == '["calm", "lively"]'
    fed = model.nir_feed(recordings, 6)
    assert fed[INPUTS].shape == (12, 6, 1, 2, 5, 4)
    np.testing.assert_array_equal(fed[INPUTS][:9, 2, 0], draws(recordings, 2))
    out = executor.execute(graph, fed)["output-spikes"].transpose(1, 2, 0, 3)
    wanted = model.generate(recordings, 6)
    alive = np.arange(12) < wanted.length.numpy()[:, None]
    np.testing.assert_array_equal(out * alive[:, None, :, None], wanted.spikes.numpy())
    assert (model.nir_feed(recordings, 6, seed=9)["output-noise"] != fed["output-noise"]).any()


def draws(recordings, position):
    """A recording as it was given, ``[T, C, H, W]``."""
    layout = recordings.layout
    flat = recordings.bins(position).reshape(-1, layout.width, layout.height, layout.channels)
    return flat.transpose(0, 3, 2, 1)


def test_the_command(recordings, tmp_path, capsys):
    gemsnn.fit(recordings, epochs=1, hidden=[3]).save(tmp_path / "model")
    assert main(["export", str(tmp_path / "model"), str(tmp_path / "x.nir")]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{tmp_path / 'x.nir'}: ")
    assert "inputs (2, 5, 4), hidden-noise (3,), output-noise (2,), output-spikes (2,)" in told
    read, made = nir.read(tmp_path / "x.nir"), gemsnn.load(tmp_path / "model").to_nir()
    assert read.edges == made.edges
    for name, node in made.nodes.items():
        for field, value in vars(node).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(getattr(read.nodes[name], field), value)
    assert main(["export", str(tmp_path / "model"), str(tmp_path / "none" / "x.nir")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_run_is_exported(nmnist_root, tmp_path, capsys):
    assert main(command(nmnist_root, tmp_path / "run", "--epochs", "1", "--hidden", "3")) == 0
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "x.nir")]) == 0
    assert "hidden-noise (3,)" in capsys.readouterr().out
    assert nir.read(tmp_path / "x.nir").metadata["dt"] == 0.005


# -- refusals ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Shy(Bernoulli):
    name = "shy"

    def sample(self, uniform, potential):
        return super().sample(uniform, potential - 1)


def test_what_cannot_be_exported_is_told(monkeypatch):
    graph = GRAPHS["masked"]
    shy = dataclasses.replace(graph.populations[0], neuron=Shy())
    network, params = make_graph(dataclasses.replace(graph, populations=(shy, *graph.populations[1:])))
    with pytest.raises(InputError, match="the neurons of population 'a' are of the kind shy, for which"):
        bridge.graph_of(network, params, 1000)
    monkeypatch.setattr(bridge, "LARGEST", 40)
    with pytest.raises(InputError, match="more than 40 numbers"):
        bridge.graph_of(*make_graph(GRAPHS["masked"]), 1000)
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(InputError, match=r"pip install 'gemsnn\[nir\]'"):
        bridge.graph_of(*make_graph(GRAPHS["masked"]), 1000)


# -- the executor ------------------------------------------------------------------------------------------


def line(*nodes, **more):
    """A graph of nodes one after the other."""
    return nir.NIRGraph.from_list(*nodes, **more)


def test_nodes_do_what_nir_says():
    draw = np.random.default_rng(0)
    x = draw.standard_normal((6, 3, 2, 5, 4))
    one = {"input": np.array([2, 5, 4])}
    weight, bias = draw.standard_normal((4, 1, 3, 2)), draw.standard_normal(4)
    conv = nir.Conv2d((5, 4), weight, (2, 1), (1, 1), 1, 2, bias)
    graph = line(nir.Input(one), conv, type_check=False)
    wanted = torch.nn.functional.conv2d(
        torch.from_numpy(x).flatten(0, 1),
        torch.from_numpy(weight),
        torch.from_numpy(bias),
        (2, 1),
        (1, 1),
        groups=2,
    ).unflatten(0, (6, 3))
    out = executor.execute(graph, {"input": x}, dt=1)
    np.testing.assert_allclose(out["output"], wanted)
    pooled = line(nir.Input(one), nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])))
    wanted = x[..., :4, :].reshape(6, 3, 2, 2, 2, 2, 2).sum((-1, -3))
    np.testing.assert_allclose(executor.execute(pooled, {"input": x}, dt=1)["output"], wanted)
    flat = line(
        nir.Input(one), nir.Flatten(one, 0, -1), nir.Affine(draw.standard_normal((3, 40)), np.arange(3.0)),
        nir.Delay(np.full(3, 0.02)), nir.Scale(np.array([1.0, 2, 3])), nir.Threshold(np.ones(3)),
    )  # fmt: skip
    made = x.reshape(6, 3, 40) @ flat.nodes["affine"].weight.T + np.arange(3)
    wanted = np.concatenate([np.zeros((2, 3, 3)), made[:-2] * [1, 2, 3]]) > 1
    np.testing.assert_array_equal(executor.execute(flat, {"input": x}, dt=0.01)["output"], wanted)


def test_what_cannot_be_run_is_told():
    one = nir.Input(np.array([2]))
    fed = {"input": np.zeros((3, 2))}
    nodes = {"input": one, "a": nir.Threshold(np.zeros(2)), "b": nir.Scale(np.ones(2))}
    loop = nir.NIRGraph(nodes, [("input", "a"), ("a", "b"), ("b", "a")], type_check=False)
    unknown = line(one, nir.IF(np.ones(2), np.ones(2)))
    late = line(one, nir.Delay(np.array([0.01, 0.02])))
    for graph, dt, said in (
        (loop, 1, "a loop of the graph has no delay: "),
        (unknown, 1, "the node 'if' is a IF, which this executor does not know"),
        (late, 0.01, "must delay everything by one whole number of steps"),
        (line(one, nir.Delay(np.full(2, 0.015))), 0.01, "not by 1.5"),
        (line(one, nir.Scale(np.ones(2))), None, "does not say how long a step is"),
    ):
        with pytest.raises(InputError, match=said):
            executor.execute(graph, fed, dt=dt)
    scale = line(one, nir.Scale(np.ones(2)))
    for wrong, said in (
        ({}, "the graph's inputs are input, not none"),
        ({"input": np.zeros((3, 3))}, "must have the shape"),
        ({"input": np.zeros(2)}, "must have the shape|as many"),
    ):
        with pytest.raises(InputError, match=said):
            executor.execute(scale, wrong, dt=1)


# -- the document ------------------------------------------------------------------------------------------


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    """What docs/bridges.md says, in its order."""
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "bridges.md").read_text()
    blocks, scope = re.findall(r"```python\n(.*?)```", page, re.DOTALL), {}
    assert len(blocks) == 4
    for block in blocks:
        exec(block, scope)
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["True", "(12, 2)"]
    assert [line.count("torch.Size") for line in said[2:4]] == [2, 2]
    assert said[4:] == ["8"]
