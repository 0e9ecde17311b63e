"""The online learner: against whole presentations, its votes against a slow count, its state to the bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import make_network

from gemsnn import kernels, rng
from gemsnn.data.arrivals import ArrivalSpec
from gemsnn.data.events import make_events
from gemsnn.errors import InputError
from gemsnn.kernels import Learning
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.learn.online import OnlineLearner
from gemsnn.model import network as networks
from gemsnn.model.batches import collate
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.scoring import sampling
from gemsnn.store import trees
from gemsnn.types import Layout, Presentation, class_target

LAYOUT = Layout(2, 1, 3, 3, 100)  # 6 inputs
K = 4


def spikes(steps, seed=0):
    draw = rng.generator(seed, "spikes")
    return torch.from_numpy((draw.random((steps, 6)) < 0.3).astype("uint8"))


def learner(topology="layered", learn=False, *, network=None, output="independent", **spec):
    made, params = network or make_network(6, (5,), 3, topology=topology, feedback="hidden", output=output)
    learning = (
        Learning(RuleSpec(kappa=0.9, gamma=0.8), OptimiserSpec("sgd", lr=0.05), K, 1) if learn else None
    )
    return OnlineLearner(
        made,
        params,
        OnlineSpec(**{"compartments": K, "window": 7, **spec}),
        arrivals=ArrivalSpec(LAYOUT),
        learning=learning,
    )


def same(a, b):
    leaves = zip(trees.leaves(tuple(a)), trees.leaves(tuple(b)), strict=True)
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in leaves)


def whole_run(network, params, given, online):
    """The spikes of the same presentation, run at once."""
    silent = torch.zeros(len(given), 3, dtype=torch.uint8)
    batch = collate([Presentation(given, silent, 0, online.spec.address)])
    _, kernel = kernels.choose("reference", network)
    return kernel.rollout(network, params, batch, K, seed=sampling.free_seed(online.spec.seed), clamp=False)


@pytest.mark.parametrize("portions", [[40], [1] * 40, [3, 17, 20]])
def test_votes_are_those_of_the_windows_spikes(portions):
    network = make_network(6, (5,), 3, topology="layered", feedback="hidden")
    online = learner(network=network, seed=5, address=2)
    given = spikes(40)
    decisions = [each for part in given.split(portions) for each in online.step(part)]
    assert [decision.bin for decision in decisions] == list(range(40))
    fired = whole_run(*network, given, online).spikes[0]
    visible = fired[..., 5:].numpy()
    for t, decision in enumerate(decisions):
        counts = visible[:, max(0, t - 6) : t + 1].sum(1, dtype=int)
        chosen = counts[np.arange(K), decision.votes.numpy()]
        assert (chosen == counts.max(1)).all()  # ties are broken at random
        shares = np.bincount(decision.votes.numpy(), minlength=3) / K
        np.testing.assert_allclose(decision.probabilities.numpy(), shares)
        assert decision.label is not None
        assert shares[decision.label] == shares.max()
        expected = -sum(p * math.log(p) for p in shares if p)
        assert decision.entropy == pytest.approx(expected, abs=1e-12)
        assert decision.hidden_rate == pytest.approx(fired[:, t, :5].double().mean().item())


def test_answers_come_every_so_many_bins():
    often, seldom = learner(every=1), learner(every=5)
    given = spikes(23)
    all_of_them = often.step(given)
    some = [each for part in given.split(4) for each in seldom.step(part)]
    assert [decision.bin for decision in some] == [4, 9, 14, 19]
    for decision in some:
        same_bin = all_of_them[decision.bin]
        assert torch.equal(decision.votes, same_bin.votes)
        inside = [each.hidden_rate for each in all_of_them[decision.bin - 4 : decision.bin + 1]]
        assert decision.hidden_rate == pytest.approx(sum(inside) / 5)


@pytest.mark.parametrize("output", ["independent", "winner-take-all"])
def test_where_nobody_hears_the_visible_neurons_a_teacher_does_not_change_the_answer(output):
    """With a step size of 0, answers while learning are those of a free run."""
    made, params = make_network(6, (5,), 3, topology="layered", feedback="hidden", output=output)
    learning = Learning(RuleSpec(kappa=0.9, gamma=0.8), OptimiserSpec("sgd", lr=0.0), K, 1)
    spec = OnlineSpec(compartments=K, window=7)
    taught, free = OnlineLearner(made, params, spec, learning=learning), OnlineLearner(made, params, spec)
    given = spikes(40)
    for part in given.split(7):
        for mine, theirs in zip(taught.step(part, target=1), free.step(part), strict=True):
            assert same(mine._replace(target=None), theirs)


def test_it_learns_as_the_kernel_does():
    """A presentation learned online gives the weights of the reference's learning of that presentation."""
    made, params = make_network(6, (5,), 3, topology="full", feedback="all")
    learning = Learning(RuleSpec(kappa=0.9, gamma=0.8), OptimiserSpec("sgd", lr=0.05), K, 1)
    online = OnlineLearner(made, params, OnlineSpec(compartments=K, window=7, seed=3), learning=learning)
    given = spikes(30)
    for part in given.split(4):
        online.step(part, target=2)
    _, kernel = kernels.choose("reference", made, learning)
    batch = collate([Presentation(given, class_target(2, 30, 3), 2, 0)])
    want = kernel.learn(
        made, params, optimisers.init(learning.optimiser, params), learning, batch,
        seed=sampling.free_seed(3), lr=0.05,
    )  # fmt: skip
    for mine, theirs in zip(trees.leaves(online.params), trees.leaves(want.params), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_without_a_target_or_without_learning_nothing_is_learned():
    taught = learner(learn=True)
    before = taught.params
    taught.step(spikes(10))
    assert same(before, taught.params)
    taught.step(spikes(10), target=0)
    assert not same(before, taught.params)
    deaf = learner(learn=False)
    before = deaf.params
    assert deaf.step(spikes(10), target=0)[0].target == 0
    assert same(before, deaf.params)


@pytest.mark.parametrize("cut", [1, 20, 33])
def test_a_restored_learner_goes_on_to_the_bit(cut):
    t = np.sort(np.random.default_rng(0).integers(0, 4000, 300))
    all_events = make_events(t, np.arange(300) % 3, np.zeros(300, int), np.arange(300) % 2 == 0)
    parts = np.array_split(all_events, 40)
    whole, stopped, later = (learner(learn=True, every=3) for _ in range(3))
    for at, part in enumerate(parts):
        if at == cut:
            later.restore(stopped.state())
        target = None if at % 4 == 0 else at % 3
        want = whole.step(part, target)
        got = (stopped if at < cut else later).step(part, target)
        assert len(want) == len(got)
        assert all(same(a, b) for a, b in zip(want, got, strict=True))
    state = later.state()
    assert all(torch.equal(leaf, state[name]) for name, leaf in whole.state().items())


def test_events_and_silence_and_skipped_bins():
    online = learner()
    some = make_events(np.array([0, 250, 420]), np.array([0, 1, 2]), np.zeros(3, int), np.ones(3, bool))
    assert [each.bin for each in online.step(some)] == [0, 1, 2]
    assert online.step(make_events(*np.zeros((4, 0)))) == []
    assert [each.bin for each in online.tick(300)] == [3, 4, 5]
    online.skip(2)
    assert (online.passed.bins, online.passed.steps, online.passed.skipped) == (8, 6, 2)
    assert [each.bin for each in online.tick(500)] == [8, 9]


@pytest.mark.parametrize("portions", [[60], [1] * 60, [17, 3, 40]])
@pytest.mark.parametrize("learn", [True, False])
def test_silence_gets_no_answer_as_soon_as_the_window_has_emptied(portions, learn):
    """Also of a network that was taught one class with certainty, and whose own noise goes on."""
    made, params = make_network(6, (5,), 3, topology="layered", feedback="hidden")
    bias = torch.cat([params.bias[:5], torch.tensor([-9.0, 9.0, -9.0]).to(params.bias)])
    online = learner(network=(made, params._replace(bias=bias)), learn=learn)
    given = torch.cat([spikes(20), torch.zeros(20, 6, dtype=torch.uint8), spikes(20)])
    given[0] = given[19] = given[40] = 1
    answers = [each for part in given.split(portions) for each in online.step(part, 1)]
    for t, answer in enumerate(answers):
        if given[max(0, t - 6) : t + 1].any():
            assert (answer.label, answer.reason, answer.entropy) == (1, None, 0)
        else:
            assert (answer.label, answer.reason) == (None, "silence")
            assert answer.probabilities.tolist() == [1 / 3] * 3
            assert answer.entropy == pytest.approx(math.log(3))
            assert answer.votes.tolist() == [1] * K
    assert [answer.bin for answer in answers if answer.label is None] == list(range(26, 40))


def test_almost_no_spikes_are_silence_too():
    """Bins that count have as many spikes as events, as in :mod:`gemsnn.scoring.evaluate`."""
    online, given = learner(least_spikes=3, window=4), torch.zeros(12, 6, dtype=torch.uint8)
    given[1, :2] = 1
    given[2, 1] = 2
    given[4, 5] = 1
    given[8] = 1
    labels = [answer.label for answer in online.step(given)]
    assert [t for t, label in enumerate(labels) if label is not None] == [2, 3, 4, 5, 8, 9, 10, 11]
    assert all(answer.label is not None for answer in learner(least_spikes=0).step(given * 0))


def test_bins_that_are_skipped_are_no_silence():
    """The network stands still meanwhile: its window holds what it held."""
    online, whole = learner(), learner()
    given = spikes(10)
    given[9] = 1
    whole.step(given)
    online.step(given)
    online.skip(1000)
    silent = torch.zeros(7, 6, dtype=torch.uint8)
    answers, others = online.step(silent), whole.step(silent)
    assert [answer.reason for answer in answers] == [None] * 6 + ["silence"]
    assert [answer.bin for answer in answers] == list(range(1010, 1017))
    assert all(same(a._replace(bin=0), b._replace(bin=0)) for a, b in zip(answers, others, strict=True))


def test_a_state_without_what_was_heard_is_refused():
    online = learner()
    state = online.state()
    del state["heard"]
    with pytest.raises(InputError, match=r"lacks heard.*another version of gemsnn"):
        online.restore(state)


def test_hidden_rates_find_the_quiet_and_the_saturated():
    made, params = make_network(6, (5,), 3, topology="layered", feedback="none")
    bias = torch.tensor([-30.0, 30.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    online = learner(
        network=(
            made,
            params._replace(weights={"joint": params.weights["joint"] * 0}, bias=bias.to(params.bias)),
        )
    )
    for part in spikes(4000).split(500):
        assert online.hidden_rates() is None or online.passed.steps >= 1000
        online.step(part)
    rates = online.hidden_rates()
    assert rates is not None
    assert rates[0] == 0
    assert rates[1] == pytest.approx(1)
    # 1000 bins of 4 compartments: a standard error of 0.5 / sqrt(8000); 6 of them fail once in 5e8 draws
    assert rates[2:].sub(0.5).abs().max() < 6 * 0.5 / math.sqrt(8000)


def test_weights_that_are_no_numbers_stop_it():
    made, params = make_network(6, (5,), 3, dtype=torch.float32)
    learning = Learning(RuleSpec(kappa=0.9, gamma=0.8), OptimiserSpec("sgd", lr=3e38), K, 1)
    online = OnlineLearner(made, params, OnlineSpec(compartments=K), learning=learning)
    with pytest.raises(InputError, match=r"no longer finite at step \d+ \(rule .*, sgd with lr 3e\+38\)"):
        online.step(spikes(60), target=1)


@pytest.mark.parametrize(
    ("given", "target", "says"),
    [
        (torch.zeros(3, 5, dtype=torch.uint8), None, r"\[C, 6\]"),
        (torch.zeros(3, 6), None, "uint8"),
        (torch.zeros(3, 6, dtype=torch.uint8), 3, "out of range"),
        (torch.zeros(3, 6, dtype=torch.uint8), 1.5, "out of range"),
        (np.zeros(3), None, "events must be"),
    ],
)
def test_wrong_input_is_refused(given, target, says):
    with pytest.raises(InputError, match=says):
        learner().step(given, target)


def test_settings_that_do_not_fit_are_refused():
    made, params = make_network(6, (5,), 3)
    learning = Learning(RuleSpec(), OptimiserSpec("sgd"), 3, 1)
    with pytest.raises(InputError, match="answer with 4 compartments and learn with 3"):
        OnlineLearner(made, params, OnlineSpec(compartments=4), learning=learning)
    with pytest.raises(InputError, match="4 inputs and the network 6"):
        OnlineLearner(made, params, arrivals=ArrivalSpec(Layout(2, 1, 2, 3, 100)))
    with pytest.raises(InputError, match="make it with arrivals"):
        OnlineLearner(made, params).step(make_events(*np.zeros((4, 0))))
    with pytest.raises(InputError, match="window must be"):
        OnlineSpec(window=0)
    with pytest.raises(InputError, match="least_spikes must be at least 0"):
        OnlineSpec(least_spikes=-1)


def test_sparse_topologies_run_on_the_reference():
    spec = networks.NetworkSpec(inputs=6, visible=3, hidden=(5,), topology="sparse", density=0.5)
    network = networks.build(spec)
    online = OnlineLearner(network, networks.init(network, 0), OnlineSpec(compartments=K))
    assert online.kernel == "reference"
    assert len(online.step(spikes(5))) == 5
