"""Costs under NeuroBench's names, against what an exported graph and counted spikes say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from cases import make_network, make_presentation
from graphs import GRAPHS, make_graph
from synthetic_run import write_run

import gemsnn
from gemsnn.bridges import nir as bridge
from gemsnn.commands.cli import main
from gemsnn.kernels import reference
from gemsnn.model import network as networks
from gemsnn.model.graph import INPUTS
from gemsnn.report import write_report
from gemsnn.scoring import evaluate, neurobench, sampling
from gemsnn.store import trees

K, LENGTHS = 3, (9, 6, 7)


def measured(network, params):
    shown = [
        make_presentation(steps, network.spec.inputs, network.spec.visible, index=at)
        for at, steps in enumerate(LENGTHS)
    ]
    poll = evaluate.predict(network, params, shown, K, kernel=reference, seed=4)
    batch = networks.batch(network, shown)
    run = reference.rollout(network, params, batch, K, seed=sampling.free_seed(4), clamp=False)
    found = neurobench.measure(network, params, poll, float(np.mean(LENGTHS)))
    return found, batch.dense().double(), run.spikes.double()


def weights_of(network, params):
    """By sender, how many weights of an exported graph a spike meets: ``[M + N]``, of dense and masked projections."""
    graph, many = bridge.graph_of(network, params, 1000), network.spec.inputs
    found = torch.zeros(many + network.spec.neurons)
    for late, name in graph.edges:
        weight = getattr(graph.nodes[name], "weight", getattr(graph.nodes[name], "scale", None))
        if not late.endswith("-ago"):
            continue
        source = late.split("-")[0]
        span = network.graph.span(source)
        shift = 0 if source == INPUTS else many
        count = torch.from_numpy(np.atleast_2d(weight) != 0).sum(0)
        found[span.start + shift : span.stop + shift] += count
    return found


@pytest.mark.parametrize("name", ["masked", "two bases", "readouts", "layered"])
def test_operations_are_the_weights_that_spikes_meet(name):
    network, params = make_network(topology="layered") if name == "layered" else make_graph(GRAPHS[name])
    found, inputs, spikes = measured(network, params)
    met = weights_of(network, params).double()
    assert torch.equal(network.fan_out(lags=True), met)
    many = network.spec.inputs
    counted = (inputs.sum((0, 1)) * K * met[:many]).sum() + (spikes.sum((0, 1, 2)) * met[many:]).sum()
    assert found.synaptic_operations.effective_acs == pytest.approx(float(counted) / len(LENGTHS))
    assert found.energy_joules == pytest.approx(0.9e-12 * float(counted) / len(LENGTHS))
    assert found.synaptic_operations.effective_macs == 0
    silent = 1 - float(spikes.sum()) / (sum(LENGTHS) * K * network.spec.neurons)
    assert found.activation_sparsity == pytest.approx(silent)


def test_sparsity_and_footprint_by_hand():
    network, params = make_network(4, (3,), 2, topology="feedforward", taps=3, count=2, feedback="none")
    found, *_ = measured(network, params)
    assert found.connection_sparsity == 0
    steps = np.mean(LENGTHS)
    assert found.synaptic_operations.dense == pytest.approx((4 * 3 + 3 * 2) * 3 * K * steps)
    joint = 5 * 9 * 2  # a place for every neuron and sender, whether there is a synapse or not
    numbers = joint + 5 + 5 + 2 * 3 + 1 * 2  # feedback, biases, two banks
    assert found.footprint == 8 * numbers + -(-(4 * 3 + K * 5 * 3) // 8)
    sparse, params = make_network(4, (3,), 2, topology="sparse")
    found, *_ = measured(sparse, params)
    wanted = 1 - int(sparse.mask.sum()) / (4 * (3 + 2) + 3 * (3 + 2))
    assert found.connection_sparsity == pytest.approx(wanted)
    assert 0 < wanted < 1


def test_evaluate_says_it(trained_run, capsys):
    assert main(["evaluate", str(trained_run), "--votes", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    found = said["neurobench"]
    assert set(found) == {
        "footprint", "connection_sparsity", "activation_sparsity", "synaptic_operations", "energy_joules",
        "energy_assumes",
    }  # fmt: skip
    assert found["synaptic_operations"]["effective_acs"] > said["costs"]["synaptic_operations_per_step"]
    assert 0 < found["activation_sparsity"] < 1


def test_a_run_and_its_report_say_it(trained_run, tmp_path):
    """In ``metrics.json`` as typed scores, in words, and on the page with what the estimate rests on."""
    told = json.loads((trained_run / "metrics.json").read_text())["neurobench"]
    found = gemsnn.Run(trained_run).scores.neurobench
    assert found is not None
    assert (
        found.energy_joules
        == told["energy_joules"]
        == pytest.approx(neurobench.JOULES_AN_ADDITION * found.synaptic_operations.effective_acs)
    )
    assert found.footprint > 4 * sum(leaf.numel() for leaf in trees.leaves(gemsnn.load(trained_run).params))
    write_run(tmp_path / "drawn")
    write_report(tmp_path / "drawn")
    page = (tmp_path / "drawn" / "report.html").read_text()
    assert "<td>2.250</td>" in page
    assert "Horowitz, ISSCC 2014" in page
    assert "an estimate, not a measurement" in page
