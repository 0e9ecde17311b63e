"""The one-hop credit of any graph against autograd and against its synapses, and who can learn from it."""

from __future__ import annotations

import pytest
import torch
from cases import make_presentation
from graphs import GRAPHS, TINY, make_graph
from oracles import gradient, log_prob, potential, spans, wired
from test_graph_rules import made

from gemsnn import kernels
from gemsnn.commands.cli import main
from gemsnn.errors import InputError
from gemsnn.kernels import KERNELS, Learning, reference
from gemsnn.model import network as networks
from gemsnn.model.network import NetworkSpec
from gemsnn.rules import credit, optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees

PLAIN = OptimiserSpec("sgd")


def through_one_synapse(network, params, presentation, spikes, begin, only=None):
    """``log p(x || h)`` where visible neurons hear hidden probabilities that have the value of the spikes.

    ``only`` counts the evidence of one visible population.
    """
    inputs, fixed, where = presentation.spikes.double(), spikes.double(), spans(network)
    felt, total = torch.zeros_like(fixed), torch.zeros((), dtype=torch.float64)
    for t in range(len(inputs)):
        heard = felt if felt.requires_grad else None
        u = potential(network, params, inputs, fixed, t, felt=heard)
        row = fixed[t].clone()
        for each in network.graph.populations:
            span = where[each.name]
            if not each.visible:
                p = torch.sigmoid(u[span])
                row[span] = fixed[t, span] + p - p.detach()
            elif t >= begin and only in (None, each.name):
                total = total + log_prob(each, fixed[t, span], u[span])
        felt = torch.cat([felt[:t], row[None], felt[t + 1 :]])
    return total


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("begin", [0, 3])
def test_it_is_the_gradient_through_one_synapse(name, begin):
    """Of each hidden population's parameters, through the visible populations that hear it and no other."""
    network, params, presentation = made(name, 6)
    batch = networks.batch(network, [presentation])._replace(begin=torch.tensor([begin]))
    learning = Learning(RuleSpec("one-hop", kappa=1.0, gamma=1.0), PLAIN, 1)
    start = optimisers.init(PLAIN, params)
    learned = reference.learn(network, params, start, learning, batch, seed=5, lr=1.0)
    moved = networks.named(network, trees.map(torch.sub, learned.params, params))
    spikes = reference.rollout(network, params, batch, 1, seed=5, clamp=True).spikes[0, 0]

    def slopes(only=None):
        given = (presentation, spikes, begin, only)
        return networks.named(network, gradient(lambda at: through_one_synapse(network, at, *given), params))

    whole, alone = slopes(), {readout.name: slopes(readout.name) for readout in network.graph.visible}
    feeling = [each.name for each in network.graph.populations if each.feedback]
    masked = {f"weights.{each.name}" for each in network.graph.projections if each.kind.name == "masked"}
    for population in network.graph.hidden:
        heard_by = {each.target for each in network.graph.projections if each.source == population.name}
        taught = [readout for readout in alone if readout in heard_by]
        assert len(taught) == 1
        for leaf in moved:
            if not leaf.endswith((f".{population.name}", f"->{population.name}")):
                continue
            if leaf.startswith("feedback") and population.name not in feeling:
                assert not moved[leaf].any()
                continue
            there = networks.named(network, params)[leaf] != 0 if leaf in masked else 1
            torch.testing.assert_close(moved[leaf], whole[leaf] * there, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(moved[leaf], alone[taught[0]][leaf] * there, rtol=1e-9, atol=1e-9)
            assert not any(part[leaf].any() for readout, part in alone.items() if readout != taught[0])
        assert moved[f"bias.{population.name}"].abs().min() > 1e-6


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", GRAPHS)
def test_an_effect_is_a_sum_over_the_synapses_of_visible_neurons(name, seed):
    network, params = make_graph(GRAPHS[name], seed=seed)
    hidden, where = network.spec.hidden_neurons, spans(network)
    drawn = torch.Generator().manual_seed(seed)
    error = torch.randn(1, 2, network.spec.visible_neurons, dtype=torch.float64, generator=drawn)
    want = torch.zeros(1, 2, network.memory, hidden, dtype=torch.float64)
    for source, to_visible, taps, each in wired(network, params):
        if to_visible and source != "inputs" and where[source].start < hidden:
            for i, sender, weight in each:
                at = where[source].start + sender
                want[:, :, : taps.shape[1], at] += error[:, :, i - hidden, None] * (weight @ taps)
    torch.testing.assert_close(credit.effect(network, params, error), want)


# -- readouts ----------------------------------------------------------------------------------------------

DEEP = NetworkSpec(4, 3, (5, 4), "feedforward")


@pytest.mark.parametrize("kernel", ["auto", *KERNELS])
@pytest.mark.parametrize("hidden", [(5, 4), (3, 4, 2)])
def test_a_rule_that_cannot_teach_the_first_layers_is_refused(kernel, hidden):
    network = networks.build(NetworkSpec(4, 3, hidden, "feedforward"))
    learning = Learning(RuleSpec("one-hop"), PLAIN, 1)
    names = "hidden1 has" if len(hidden) == 2 else "hidden1, hidden2 have"
    choices = (
        [kernels.choose]
        if kernel not in ("auto", *kernels.STREAMS)
        else [kernels.choose, kernels.choose_stream]
    )
    for choose in choices:
        with pytest.raises(InputError) as told:
            choose(kernel, network, learning)
        assert f"visible ones, and {names} none; give every group a readout" in str(told.value)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("rule", ["one-hop-gem", "one-hop-cv", "gem-cv"])
def test_a_rule_that_teaches_them_by_a_signal_too_is_served(rule):
    name, _ = kernels.choose("auto", networks.build(DEEP), Learning(RuleSpec(rule), PLAIN, 2))
    assert name in KERNELS


def test_the_command_says_so_with_exit_code_2(tmp_path, capsys):
    words = "train --topology feedforward --hidden 5,4 --rule one-hop --readouts last --out"
    assert main([*words.split(), str(tmp_path / "run")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gemsnn: ")]
    assert "hidden1 has none; give every group a readout (--readouts each-layer)" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kernel", list(KERNELS))
@pytest.mark.parametrize("every", [1, None])
def test_with_a_readout_for_each_all_layers_learn(kernel, every):
    spec = NetworkSpec(4, 3, (5, 4), "feedforward", readouts="each-layer")
    network = networks.build(spec, dtype=torch.float64)
    learning = Learning(RuleSpec("one-hop"), PLAIN, 1, every)
    if (refusal := KERNELS[kernel].refuses(network, learning)) is not None:
        pytest.skip(refusal)
    params = networks.init(network, 0)
    batch = networks.batch(network, [make_presentation(12, 4, 3, index=i) for i in range(3)])
    start = optimisers.init(PLAIN, params)
    learned = KERNELS[kernel].learn(network, params, start, learning, batch, seed=1, lr=0.1)
    moved = networks.named(network, trees.map(torch.sub, learned.params, params))
    for leaf in ("weights.inputs->hidden1", "weights.hidden1->hidden2", "bias.hidden1", "bias.hidden2"):
        assert moved[leaf].abs().max() > 1e-4
