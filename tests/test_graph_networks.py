"""Networks that are built of graphs: links, names, masks, synapses and how they begin."""

from __future__ import annotations

import pytest
import torch
from cases import make_presentation
from graphs import BASIS, GRAPHS, SLOW, make_graph, output
from hypothesis import given
from hypothesis import strategies as st
from oracles import spans, synapses

from gemsnn.errors import InputError
from gemsnn.model import basis
from gemsnn.model import network as networks
from gemsnn.model.graph import INPUTS, Graph, Population, Projection
from gemsnn.model.neurons import CIRCUIT
from gemsnn.model.projections import Convolutional, Masked, Pooling, Sheet
from gemsnn.store import trees

each_graph = pytest.mark.parametrize("name", GRAPHS)


@each_graph
def test_one_link_or_one_for_each_projection(name):
    network, params = make_graph(GRAPHS[name])
    joint = name in ("readouts", "masked")
    assert network.is_joint == network.spec.is_joint == joint
    weighted = [each.name for each in network.graph.projections if each.kind.name != "pooling"]
    assert list(params.weights) == (["joint"] if joint else weighted)
    assert network.spec.weights == sum(leaf.numel() for leaf in params.weights.values())
    links = [link for link in network.links if link.shape is not None]
    assert [leaf.shape for leaf in params.weights.values()] == [link.shape for link in links]
    networks.check_params(network, params)


def test_a_basis_for_all_projections_makes_one_link():
    graph = Graph(
        (4, 1, 1),
        (Population("a", (2,)), output()),
        (Projection(INPUTS, "a", basis=SLOW), Projection("a", "output", basis=SLOW)),
    )
    network, params = make_graph(graph)
    assert network.is_joint
    assert torch.equal(network.taps, basis.bank(SLOW))
    assert network.spec.weights == params.weights["joint"].numel() == 4 * 8 * SLOW.count


@each_graph
@given(seed=st.integers(0, 20))
def test_parameters_by_name_and_back(name, seed):
    network, params = make_graph(GRAPHS[name], seed=seed)
    leaves = networks.named(network, params)
    assert set(leaves) == (
        {f"weights.{each.name}" for each in network.graph.projections if each.kind.name != "pooling"}
        | {f"{leaf}.{each.name}" for leaf in ("feedback", "bias") for each in network.graph.populations}
    )
    again = networks.from_named(network, {leaf: value.clone() for leaf, value in leaves.items()})
    assert again is not None
    assert all(torch.equal(a, b) for a, b in zip(trees.leaves(again), trees.leaves(params), strict=True))


@each_graph
def test_a_name_that_is_missing_or_is_something_else(name):
    network, params = make_graph(GRAPHS[name])
    leaves = networks.named(network, params)
    for leaf in leaves:
        assert (
            networks.from_named(network, {other: x for other, x in leaves.items() if other != leaf}) is None
        )
        for wrong in (leaves[leaf][:, None], leaves[leaf].float()):
            with pytest.raises(InputError, match=f"the parameter {leaf} is torch.float"):
                networks.from_named(network, leaves | {leaf: wrong})


@each_graph
def test_names_are_views_of_all_parameters(name):
    """What is written by name is written to the parameters, and nothing is named twice."""
    network, params = make_graph(GRAPHS[name])
    params = trees.map(torch.zeros_like, params)
    for leaf in networks.named(network, params).values():
        leaf += 1
    whole = trees.leaves(params._replace(weights={}) if network.is_joint else params)
    assert all(leaf.min() == leaf.max() == 1 for leaf in whole)
    if network.is_joint:  # where it has more places than there are synapses
        assert torch.equal(params.weights["joint"].bool().all(-1) & network.mask, network.mask)
        assert params.weights["joint"].max() == 1


def test_joint_parameters_of_older_checkpoints_are_taken_whole():
    network, params = make_graph(GRAPHS["masked"])
    old = {"weights.joint": params.weights["joint"], "feedback": params.feedback, "bias": params.bias}
    again = networks.from_named(network, old)
    assert again is not None
    assert all(torch.equal(a, b) for a, b in zip(trees.leaves(again), trees.leaves(params), strict=True))
    assert networks.from_named(make_graph(GRAPHS["two bases"])[0], old) is None


def unrolled(network, params):
    """Every synapse as a weight of its own, ``[N, M + N]``: how many numbers, or constants, stand there."""
    graph, where, m = network.graph, spans(network), network.spec.inputs
    leaves, found = (
        networks.named(network, params),
        torch.zeros(network.spec.neurons, m + network.spec.neurons),
    )
    for each in graph.projections:
        start = 0 if each.source == INPUTS else m + where[each.source].start
        for n, sender, place, _ in synapses(each.kind, graph.sheet(each.source), graph.sheet(each.target)):
            there = place is None or leaves[f"weights.{each.name}"][place].any()
            found[where[each.target].start + n, start + sender] += float(there)
    return found


@each_graph
def test_fan_out_counts_the_synapses_of_the_unrolled_network(name):
    network, params = make_graph(GRAPHS[name])
    found = unrolled(network, params)
    assert found.max() == 1
    own = torch.tensor([each.feedback for each in network.graph.populations for _ in range(each.sheet.size)])
    want = found.sum(0).double()
    want[network.spec.inputs :] += own
    assert torch.equal(network.fan_out(), want)
    if all(each.kind.name in ("dense", "masked") for each in network.graph.projections):
        assert sum(link.synapses for link in network.links) == int(found.sum())


@each_graph
def test_masks_come_back_from_a_checkpoint(name):
    network, params = make_graph(GRAPHS[name])
    kept = networks.masks(network)
    assert all(leaf.dtype == torch.uint8 for leaf in kept.values())
    assert ("mask" in kept) == network.is_joint
    again = networks.build(network.spec, masks=networks.masks_in(kept), seed=99, dtype=torch.float64)
    for link, other in zip(network.links, again.links, strict=True):
        assert (link.mask is None) == (other.mask is None)
        assert link.mask is None or torch.equal(link.mask, other.mask)
    weights = networks.init(again, 0).weights
    assert all(torch.equal(params.weights[link], leaf) for link, leaf in weights.items())


@pytest.mark.parametrize(
    "extra", [(), (Projection("output", "a", basis=SLOW),)], ids=["one link", "many links"]
)
def test_each_masked_projection_has_its_own_density(extra):
    """Shares of synapses within five standard errors: fails for one seed in a million."""
    drawn = (Projection(INPUTS, "a", Masked(0.2)), Projection("a", "a", Masked(0.7)))
    graph = Graph(
        (50, 1, 1),
        (Population("a", (60,)), output(classes=40)),
        (*drawn, Projection("a", "output"), *extra),
    )
    network, params = make_graph(graph)
    assert network.is_joint == (not extra)
    leaves = networks.named(network, params)
    for wire, density, count in (("inputs->a", 0.2, 3000), ("a->a", 0.7, 3540)):
        there = leaves[f"weights.{wire}"].any(-1)
        assert abs(int(there.sum()) / count - density) < 5 * (density * (1 - density) / count) ** 0.5
    assert not leaves["weights.a->a"].any(-1).diagonal().any()
    assert leaves["weights.a->output"].any(-1).all()
    once, again, other = (networks.masks(networks.build(network.spec, seed=seed)) for seed in (0, 0, 1))
    assert all(torch.equal(leaf, again[key]) for key, leaf in once.items())
    assert any(not torch.equal(leaf, other[key]) for key, leaf in once.items())


WIDE = Graph(
    (4, 12, 12),
    (
        Population("edges", (40, 6, 6)),
        Population("pooled", (40, 3, 3)),
        Population("mixed", (300,)),
        output(classes=50),
    ),
    (
        Projection(INPUTS, "edges", Convolutional(5, 2)),
        Projection("edges", "edges", Convolutional(3), basis=SLOW),
        Projection("edges", "pooled", Pooling(2)),
        Projection("pooled", "mixed"),
        Projection(INPUTS, "mixed", Masked(0.5), SLOW),
        Projection("mixed", "output"),
    ),
)


def test_initial_weights_have_the_scale_of_what_a_neuron_hears():
    """Standard deviation ``scale / sqrt(weights of the neuron)`` within five standard errors each."""
    network, params = make_graph(WIDE, scale=3.0)
    drawn = next(link.mask for link in network.links if link.name == "inputs->mixed")
    assert drawn is not None
    of_edges = torch.tensor(4 * 25 * BASIS.count + 40 * 9 * SLOW.count)
    of_mixed = 40 * 9 * BASIS.count + drawn.sum(1) * SLOW.count
    heard = {
        "inputs->edges": of_edges, "edges->edges": of_edges, "pooled->mixed": of_mixed, "inputs->mixed": of_mixed,
        "mixed->output": torch.tensor(300 * BASIS.count),
    }  # fmt: skip
    assert params.weights.keys() == heard.keys()
    for link, weight in params.weights.items():
        rows = weight.flatten(1) * heard[link].double().sqrt().reshape(-1, 1) / 3
        normal = rows[rows != 0]
        # the mean of n squared normal numbers has the standard error sqrt(2 / n)
        assert abs(float(normal.square().mean()) - 1) < 5 * (2 / len(normal)) ** 0.5, link
        assert abs(float(normal.mean())) < 5 / len(normal) ** 0.5, link


def test_initial_biases_give_the_wanted_rates():
    graph = Graph(
        (2, 1, 1),
        (
            Population("a", (3,), rate=0.3),
            Population("b", (4,), CIRCUIT, rate=0.2),
            Population("c", (2, 1, 1), rate=0.05),
            Population("d", (4,), CIRCUIT),
            output("readout1", 5),
            output(classes=5, neuron=CIRCUIT),
        ),
        (Projection(INPUTS, "a"),),
    )
    network, params = make_graph(graph)
    leaves = networks.named(network, params)
    for population, rate in zip(graph.populations, (0.3, 0.2, 0.05, 1 / 5, 1 / 5, 1 / 6), strict=True):
        found = population.neuron.probability(leaves[f"bias.{population.name}"].expand(population.sheet.size))
        torch.testing.assert_close(found, torch.full_like(found, rate), rtol=1e-6, atol=0)


def test_neurons_of_a_channel_share_their_bias():
    network, params = make_graph(GRAPHS["rich"])
    assert network.sites == 2 + 2 + 3 + 3 + 3 == len(params.bias) == len(params.feedback)
    assert network.hidden_sites == 7
    assert network.site is not None
    assert network.site.tolist() == [0] * 6 + [1] * 6 + [2, 3, *range(4, 13)]
    flat, _ = make_graph(GRAPHS["two bases"])
    assert flat.site is None
    assert (flat.sites, flat.hidden_sites) == (4, 2)
    no_hidden, _ = make_graph(Graph((1, 2, 2), (output(),), (Projection(INPUTS, "output"),)))
    assert (no_hidden.sites, no_hidden.hidden_sites) == (2, 0)


def test_spans_and_sheets():
    graph = GRAPHS["rich"]
    assert {each.name: graph.span(each.name) for each in graph.populations} == spans(make_graph(graph)[0])
    assert graph.span(INPUTS) == slice(0, 40)
    assert graph.sheet(INPUTS) == Sheet(2, 4, 5, of_inputs=True)
    assert graph.sheet("edges") == Sheet(2, 2, 3)
    assert graph.sheet("mind") == Sheet(3, 1, 1)
    with pytest.raises(InputError, match="no population 'nobody'"):
        graph.span("nobody")


def test_every_readout_has_the_target():
    network, _ = make_graph(GRAPHS["readouts"])
    presentation = make_presentation(5, 2, 2)
    batch = networks.batch(network, [presentation])
    assert torch.equal(batch.target[0], torch.cat([presentation.target] * 2, 1))
    assert (network.spec.visible_neurons, network.spec.answer) == (4, slice(4, 6))


def test_a_memory_is_as_long_as_the_longest():
    network, _ = make_graph(GRAPHS["two bases"])
    assert [tuple(taps.shape) for taps in network.banks] == [(2, 3), (1, 5)]
    assert network.memory == 5
    assert [link.basis for link in network.links] == [0, 1, 1, 0, 0]
    assert [len(link.taps) for link in network.links] == [2, 1, 1, 2, 2]
