import dataclasses
import math

import pytest
import torch
from cases import make_network, make_presentation
from hypothesis import given
from hypothesis import strategies as st
from oracles import potential

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.model import glm
from gemsnn.model import network as networks
from gemsnn.model import step as stepping
from gemsnn.model.batches import collate
from gemsnn.model.network import NetworkSpec
from gemsnn.scoring import evaluate
from gemsnn.store import trees


def run(network, params, batch, compartments, clamp=True):
    """Step through a batch; potentials and spikes, ``[B, K, T, N]``, and the steps."""
    state = stepping.initial_state(network, len(batch.label), compartments)
    steps = []
    for t in range(batch.shape[1]):
        uniform = rng.uniforms(9, batch.address, range(t, t + 1), compartments, network.spec.neurons)[:, 0]
        state, now = stepping.step(
            network, params, state, batch.dense()[:, t], uniform.double(),
            clamp=batch.target[:, t], observed=batch.observed[:, t] & clamp, alive=batch.alive[:, t],
        )  # fmt: skip
        steps.append(now)
    return torch.stack([s.potential for s in steps], 2), torch.stack([s.spikes for s in steps], 2), steps


@pytest.mark.parametrize("topology", ["layered", "full", "feedforward", "sparse"])
@pytest.mark.parametrize("clamp", [True, False])
def test_potentials_equal_plain_loops(topology, clamp):
    network, params = make_network(hidden=(2, 1), topology=topology)
    batch = collate([make_presentation(6, 3, 2, index=i) for i in range(2)])
    found, spikes, _ = run(network, params, batch, 3, clamp)
    for b in range(2):
        for k in range(3):
            for t in range(6):
                want = potential(network, params, batch.dense()[b].double(), spikes[b, k], t)
                torch.testing.assert_close(found[b, k, t], want)


def test_spikes_follow_their_probability():
    potential = torch.tensor([-2.0, 0.0, 1.5])
    uniform = rng.uniforms(0, 0, range(20_000), 1, 3)[0, :, 0]
    rate = glm.spike(uniform, potential.expand(20_000, 3)).mean(0)
    p = torch.sigmoid(potential)
    # five standard errors each: fails for fewer than one seed in 500,000
    assert ((rate - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt()).all()


def test_log_prob_is_finite_and_right():
    u = torch.tensor([-1e30, -100.0, 0.0, 3.0, 1e30], dtype=torch.float64)
    for s in (0.0, 1.0):
        assert torch.isfinite(glm.log_prob(torch.full_like(u, s), u)).all()
    assert glm.log_prob(torch.tensor(1.0), torch.tensor(0.0)) == pytest.approx(-0.6931472)
    torch.testing.assert_close(
        glm.log_prob(torch.zeros(3), torch.tensor([-1.0, 0, 2])).exp(),
        1 - torch.sigmoid(torch.tensor([-1.0, 0, 2])),
    )


@pytest.mark.parametrize("topology", ["layered", "full"])
def test_local_scores_equal_autograd(topology):
    network, params = make_network(hidden=(2, 1), topology=topology)
    batch = collate([make_presentation(5, 3, 2)])
    _, spikes, steps = run(network, params, batch, 2)
    inputs = batch.dense()[0].double()
    for k in range(2):
        for t in range(5):
            leaves = trees.map(lambda leaf: leaf.clone().requires_grad_(), params)
            u = potential(network, leaves, inputs, spikes[0, k], t)
            s = spikes[0, k, t]
            torch.log(torch.where(s > 0, torch.sigmoid(u), 1 - torch.sigmoid(u))).sum().backward()
            found = stepping.local_gradient(network, steps[t], batch.observed[:, t])
            for leaf, score in zip(trees.leaves(leaves), trees.leaves(found), strict=True):
                want = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
                torch.testing.assert_close(score[0, k], want)


def test_nothing_happens_in_the_padding():
    network, params = make_network(topology="full")
    rows = [make_presentation(4, 3, 2, index=0), make_presentation(7, 3, 2, index=1)]
    together, spikes, _ = run(network, params, collate(rows), 3)
    alone, alone_spikes, _ = run(network, params, collate(rows[:1]), 3)
    torch.testing.assert_close(together[0, :, :4], alone[0])
    assert torch.equal(spikes[0, :, :4], alone_spikes[0])
    assert not spikes[0, :, 4:].any()


def test_feedback_of_the_chosen_neurons_only():
    for feedback, count in (("hidden", 2), ("all", 4), ("none", 0)):
        network, _ = make_network(feedback=feedback)
        assert int(network.own.sum()) == count
    assert NetworkSpec(inputs=1, visible=1).feedback == "hidden"


def test_initial_rates():
    network, params = make_network()
    silent = params._replace(weights={"joint": torch.zeros_like(params.weights["joint"])})
    batch = collate([make_presentation(1, 3, 2)])
    found, _, _ = run(network, silent, batch, 1)
    torch.testing.assert_close(
        torch.sigmoid(found[0, 0, 0]), torch.tensor([0.4, 0.4, 0.5, 0.5], dtype=torch.float64)
    )


def test_initial_weights():
    network, params = make_network(inputs=300, hidden=(40,), visible=5, topology="layered", scale=2.0)
    synapses = network.mask.sum(1) * 2
    spread = (params.weights["joint"] ** 2).sum((1, 2)) / synapses
    torch.testing.assert_close(spread * synapses, torch.full_like(spread, 4.0), rtol=0.3, atol=0)
    assert not params.weights["joint"][~network.mask].any()


@pytest.mark.parametrize(
    "numbers",
    [{"inputs": 0}, {"hidden": (3, 0)}, {"density": 0.0}, {"hidden_rate": 1.0}, {"weight_scale": -1.0}],
)
def test_bad_specs_are_refused(numbers):
    with pytest.raises(InputError):
        NetworkSpec(**({"inputs": 3, "visible": 2} | numbers))


def test_a_mask_of_the_wrong_size_is_refused():
    with pytest.raises(InputError, match="mask has the shape"):
        networks.build(NetworkSpec(inputs=2, visible=2, hidden=()), mask=torch.ones(3, 5, dtype=torch.bool))


@given(st.floats(0, 1, exclude_max=True), st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_a_network_is_given_what_comes_after_its_warm_up(share, lengths):
    """Its batches are observed from step ``floor(warm_up T)`` of each recording on, whoever makes the recordings."""
    network = make_network()[0]
    network = network._replace(spec=dataclasses.replace(network.spec, warm_up=share))
    rows = [make_presentation(steps, 3, 2, index=i) for i, steps in enumerate(lengths)]
    batch = networks.batch(network, rows)
    assert batch.begin.tolist() == [math.floor(share * steps) for steps in lengths]
    assert batch.observed.sum(1).tolist() == [
        steps - first for steps, first in zip(lengths, batch.begin.tolist(), strict=True)
    ]
    for some in evaluate.shown(network, rows, 2, 1):
        assert some.begin.tolist() == batch.begin[torch.isin(batch.address, some.address)].tolist()


def test_a_warm_up_is_a_share():
    for share in (-0.1, 1.0, math.nan):
        with pytest.raises(InputError, match="warm_up must be"):
            NetworkSpec(inputs=1, visible=1, warm_up=share)
