"""Networks of any graph against enumeration and autograd: potentials, gradients and rules."""

from __future__ import annotations

import pytest
import torch
from cases import make_presentation
from expectations import expected_step, flat
from graphs import GRAPHS, TINY, make_graph
from oracles import (
    expected_bound,
    expected_gem,
    expected_reward,
    gradient,
    hidden_paths,
    log_likelihood,
    log_prob,
    path_log_probs,
    potential,
    spans,
)
from test_network import run

from gemsnn import rng
from gemsnn.kernels import KERNELS
from gemsnn.model import network as networks
from gemsnn.model import step as stepping
from gemsnn.rules.base import RuleSpec
from gemsnn.store import trees

STEPS = 3
"""At the least for a hidden weight to matter."""

each_graph = pytest.mark.parametrize("name", GRAPHS)
each_tiny = pytest.mark.parametrize("name", TINY)


def made(name, steps=STEPS, *, rate=0.7, index=0):
    """A network of :data:`GRAPHS`, and a presentation with at most one visible spike a step, as circuits want it."""
    network, params = make_graph(GRAPHS[name])
    spec = network.spec
    presentation = make_presentation(steps, spec.inputs, spec.visible, rate=rate, index=index)
    target = presentation.target
    return network, params, presentation._replace(target=target * (target.cumsum(1) <= 1))


# -- steps -------------------------------------------------------------------------------------------------


@each_graph
@pytest.mark.parametrize("clamp", [True, False])
def test_potentials_equal_plain_loops(name, clamp):
    network, params, presentation = made(name, 7)
    batch = networks.batch(network, [presentation, made(name, 5, index=1)[2]])
    found, spikes, _ = run(network, params, batch, 2, clamp)
    assert spikes.any()
    for b, steps in enumerate((7, 5)):
        for k in range(2):
            for t in range(steps):
                want = potential(network, params, batch.dense()[b].double(), spikes[b, k], t)
                torch.testing.assert_close(found[b, k, t], want)


@each_graph
def test_local_gradients_equal_autograd(name):
    network, params, presentation = made(name, 6)
    batch = networks.batch(network, [presentation])
    _, spikes, steps = run(network, params, batch, 2)
    inputs, where = batch.dense()[0].double(), spans(network)
    for k in range(2):
        for t in range(6):

            def scores(leaves, k=k, t=t):
                u, s = potential(network, leaves, inputs, spikes[0, k], t), spikes[0, k, t]
                parts = [(each, where[each.name]) for each in network.graph.populations]
                return sum(log_prob(each, s[span], u[span]) for each, span in parts)

            want = gradient(scores, params)
            found = stepping.local_gradient(network, steps[t], batch.observed[:, t])
            torch.testing.assert_close(flat(trees.map(lambda leaf, k=k: leaf[0, k], found)), flat(want))


# -- rules -------------------------------------------------------------------------------------------------


@each_tiny
@pytest.mark.parametrize("kernel", ["reference", "block"])  # those whose random numbers can be given
def test_the_log_likelihood_is_that_of_all_hidden_paths(monkeypatch, name, kernel):
    """Every path is a compartment: the chance of each, the evidence of each, and the sum."""
    network, params, presentation = made(name)
    paths, hidden = hidden_paths(network, STEPS), network.spec.hidden_neurons
    silent = torch.nn.functional.pad(1 - paths, (0, network.spec.visible_neurons)).transpose(0, 1)[None]
    monkeypatch.setattr(
        rng, "uniforms", lambda seed, address, steps, *_, **more: silent[:, steps.start : steps.stop]
    )
    assert KERNELS[kernel].refuses(network, None) is None
    batch = networks.batch(network, [presentation])
    ran = KERNELS[kernel].rollout(network, params, batch, len(paths), seed=0, clamp=True)
    assert torch.equal(ran.spikes[0, :, :, :hidden].double(), paths)
    u = ran.potential[0, ..., :hidden]
    priors = -torch.nn.functional.softplus((1 - 2 * paths) * u).sum((1, 2))
    likelihoods = stepping.evidence(network, ran.spikes[0].double(), ran.potential[0]).sum(1)
    wanted = path_log_probs(network, params, presentation)
    for got, want in zip((priors, likelihoods), wanted, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        torch.logsumexp(priors + likelihoods, 0), log_likelihood(network, params, presentation)
    )


def batch_form(rule, **numbers):
    return RuleSpec(rule, kappa=1.0, gamma=1.0, readout="last-step", **numbers)


def assert_learned(network, got, want):
    """Equal, and every projection and population has something to learn."""
    torch.testing.assert_close(flat(got), flat(want), rtol=1e-9, atol=1e-10)
    for name, leaf in networks.named(network, want).items():
        if not name.startswith("feedback"):
            assert leaf.abs().max() > 1e-5, name


@each_tiny
@pytest.mark.parametrize(("rule", "compartments"), [("gem", 1), ("gem", 2), ("gem-cv", 2)])
def test_the_expected_direction_of_gem(name, rule, compartments):
    network, params, presentation = made(name)
    got = expected_step(network, params, presentation, batch_form(rule), compartments)
    want = expected_gem(network, params, presentation, compartments)
    torch.testing.assert_close(flat(got), flat(want), rtol=1e-9, atol=1e-10)
    if compartments > 1:  # the score of a hidden neuron of a single one has no mean
        assert_learned(network, got, want)


@each_tiny
def test_more_compartments_bring_gem_nearer_to_the_gradient(name):
    network, params, presentation = made(name)
    exact = flat(gradient(lambda at: log_likelihood(network, at, presentation), params))
    errors = [
        float((flat(expected_gem(network, params, presentation, compartments)) - exact).norm())
        for compartments in (1, 2, 3)
    ]
    assert errors[0] > errors[1] > errors[2]


@each_tiny
@pytest.mark.parametrize("rule", ["iw", "iw-ovis"])
def test_importance_weighted_rules_climb_the_bound(name, rule):
    network, params, presentation = made(name)
    want = gradient(lambda at: expected_bound(network, at, presentation, 2), params)
    assert_learned(network, expected_step(network, params, presentation, batch_form(rule), 2), want)


@each_tiny
@pytest.mark.parametrize(
    "rule",
    [batch_form("mb"), batch_form("ml", baseline_decay=0.5, sparsity=0.7, sparsity_rate=0.2)],
    ids=["mb", "ml"],
)
def test_single_sample_rules_climb_their_objective(name, rule):
    network, params, presentation = made(name)
    want = gradient(
        lambda at: expected_reward(network, at, presentation, rule.sparsity, rule.sparsity_rate), params
    )
    assert_learned(network, expected_step(network, params, presentation, rule, 2), want)


@each_tiny
def test_the_one_hop_control_variate_changes_no_expectation(name):
    network, params, presentation = made(name)
    numbers = {"kappa": 0.8, "gamma": 0.6}
    want = expected_step(network, params, presentation, RuleSpec("gem-cv", **numbers), 2)
    got = expected_step(network, params, presentation, RuleSpec("one-hop-cv", **numbers), 2)
    torch.testing.assert_close(flat(got), flat(want), rtol=1e-9, atol=1e-11)
