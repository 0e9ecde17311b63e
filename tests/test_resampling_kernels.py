"""Compartments that replace others, in the kernels: all of a compartment is handed on, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from cases import make_network, make_presentation
from expectations import PLAIN
from test_resampling import SERVING, learned

from gemsnn import kernels, rng
from gemsnn.kernels import Learning
from gemsnn.model.batches import collate
from gemsnn.rules import optimisers, resampling
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.resampling import Replaced
from gemsnn.store import trees

SEVERAL = {"gem": RuleSpec("gem", kappa=0.9, gamma=0.7), "one-hop": RuleSpec("one-hop", gamma=0.7)}


def assert_same(got, want):
    """To the bit."""
    for a, b in zip(trees.leaves(got), trees.leaves(want), strict=True):
        assert torch.equal(a, b)


# -- what is handed on -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", SEVERAL.values(), ids=SEVERAL)
def test_the_reference_hands_on_all_that_a_compartment_was(monkeypatch, rule):
    network, params = make_network()
    ancestor = torch.tensor([[2, 2, 0], [0, 1, 2]])
    found = Replaced(ancestor, torch.tensor([True, False]), torch.zeros(2, 3, dtype=torch.float64))
    seen = []

    def handed(_, state):
        before = state
        after = resampling.gathered(found, before.neurons)
        assert not torch.equal(after[0], before.neurons[0])
        assert torch.equal(after[0], before.neurons[0, [2, 2, 0]])
        return of_network(found, state)

    def kept(_, state):
        after = of_rule(found, state)
        assert after.log_weights.tolist() == [[0.0] * 3, state.log_weights[1].tolist()]
        traces = () if state.recent is None else state.recent.traces
        shared = {id(each.inputs) for each in traces}
        pairs = list(zip(trees.leaves(state), trees.leaves(after), strict=True))[1:]
        for old, new in pairs:
            if id(old) in shared:
                assert new is old
                continue
            assert torch.equal(new[0], old[0, [2, 2, 0]])
            assert torch.equal(new[1], old[1])
        seen.append(len(pairs))
        return after

    of_network, of_rule = resampling.of_network, resampling.of_rule
    monkeypatch.setattr(resampling, "replaced", lambda *_, **__: found)
    monkeypatch.setattr(resampling, "of_network", handed)
    monkeypatch.setattr(resampling, "of_rule", kept)
    rows = [make_presentation(6, 3, 2, index=i) for i in range(2)]
    learned(network, params, rows, RuleSpec(rule.rule, resample=1.0))
    assert seen == [8 if rule.rule == "one-hop" else 3] * 6


@pytest.mark.parametrize("kernel", SERVING)
@pytest.mark.parametrize("every", [1, 4, None])
@pytest.mark.parametrize("topology", ["layered", "full", "feedforward"])
@pytest.mark.parametrize("rule", SEVERAL.values(), ids=SEVERAL)
def test_nothing_is_left_behind(monkeypatch, kernel, rule, topology, every):
    """Compartments that change places after step 5, and take their noise along, learn what they would have learned."""
    network, params = make_network(topology=topology)
    order, uniforms = torch.tensor([2, 0, 1]), rng.uniforms
    rows = [make_presentation(12, 3, 2, index=i) for i in range(2)]

    def run(ancestor):
        def found(spec, log_weights, observed, address, step, *, seed):
            every_one = torch.tensor([True, True])
            log_share = torch.log_softmax(log_weights.double(), -1)
            return Replaced(ancestor.expand(2, 3), every_one, log_share) if step == 5 else None

        def noise(seed, address, steps, compartments, neurons, **given):
            drawn = uniforms(seed, address, steps, compartments, neurons, **given)
            moved = torch.tensor([t > 5 for t in steps])[:, None, None]
            return torch.where(moved, drawn[:, :, ancestor], drawn)

        monkeypatch.setattr(resampling, "replaced", found)
        monkeypatch.setattr(rng, "uniforms", noise)
        spec = RuleSpec(rule.rule, kappa=rule.kappa, gamma=rule.gamma, resample=1.0)
        return learned(network, params, rows, spec, kernel=kernel, every=every)

    stayed, moved = run(torch.arange(3)), run(order)
    for a, b in zip(trees.leaves(moved.params), trees.leaves(stayed.params), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(moved.log_weights, stayed.log_weights[:, order])
    torch.testing.assert_close(moved.bound, stayed.bound)
    assert (stayed.params.bias - params.bias).abs().max() > 1e-3


@pytest.mark.parametrize("every", [1, 3, None])
@pytest.mark.parametrize("topology", ["layered", "full", "sparse", "feedforward"])
@pytest.mark.parametrize(
    "rule",
    [
        RuleSpec("gem", kappa=1.0, gamma=1.0, readout="last-step", resample=0.9),
        RuleSpec("gem", kappa=0.9, gamma=0.5, average=True, resample=1.0),
        RuleSpec("one-hop", kappa=1.0, gamma=0.5, resample=0.7),
        RuleSpec(
            "one-hop", kappa=0.9, gamma=0.0, resample=1.0
        ),  # credit reaches further back than eligibility
    ],
    ids=lambda rule: f"{rule.rule}-{rule.kappa}-{rule.gamma}",
)
def test_the_block_kernel_equals_the_reference(rule, topology, every):
    network, params = make_network(hidden=(3, 2), topology=topology, scale=4.0)
    rows = [make_presentation(steps, 3, 2, index=3 * steps) for steps in (21, 9, 4)]
    batch = collate(rows)
    batch = batch._replace(begin=torch.tensor([2, 0, 1]))
    got, want = (learned(network, params, batch, rule, 4, kernel=name, every=every) for name in SERVING)
    for a, b in zip(trees.leaves(got), trees.leaves(want), strict=True):
        if isinstance(a, torch.Tensor):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    without = learned(network, params, batch, RuleSpec(rule.rule), 4, every=every)
    assert (without.bound - want.bound).abs().max() > 1e-3


# -- where nothing is replaced -----------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", SERVING)
@pytest.mark.parametrize("rule", ["gem", "one-hop"])
def test_without_it_nothing_changes(kernel, rule):
    """One compartment is never replaced; of several, none is where the threshold is below one."""
    network, params = make_network(scale=4.0)
    rows = [make_presentation(steps, 3, 2, index=steps) for steps in (9, 5)]
    for compartments, resample in ((1, 1.0), (4, 0.249)):
        plain, other = (
            learned(network, params, rows, RuleSpec(rule, resample=each), compartments, every=2)
            for each in (0.0, resample)
        )
        assert_same(other.params, plain.params)
        assert_same(other[2:5], plain[2:5])
        torch.testing.assert_close(other.bound, plain.bound)
    alone = RuleSpec(rule, resample=1.0)
    assert kernels.choose("auto", network, Learning(alone, PLAIN, 1))[0] == "cpu"
    assert learned(network, params, rows, alone, 1, kernel=kernel).log_estimates is None


@pytest.mark.parametrize("kernel", SERVING)
def test_presentations_do_not_disturb_each_other(kernel):
    network, params = make_network(scale=4.0)
    rows = [make_presentation(steps, 3, 2, index=steps) for steps in (4, 17, 9)]
    rule = RuleSpec("gem", resample=0.8)
    together = learned(network, params, rows, rule, 4, kernel=kernel, lr=0.0)
    for at, row in enumerate(rows):
        alone = learned(network, params, [row], rule, 4, kernel=kernel, lr=0.0)
        for a, b in zip(alone[2:], together[2:], strict=True):
            torch.testing.assert_close(a[0], b[at])


@pytest.mark.parametrize("rule", ["gem", "one-hop"])
@pytest.mark.parametrize("cut", [1, 6, 11])
def test_a_stream_goes_on_to_the_bit(rule, cut):
    network, params = make_network(scale=4.0)
    learning = Learning(RuleSpec(rule, kappa=0.9, gamma=0.5, resample=0.9), PLAIN, 3, 2)
    name, make = kernels.choose_stream("auto", network, learning)
    assert name == "reference"
    rows = [make_presentation(14, 3, 2, index=i) for i in range(2)]
    batch = collate(rows)
    spikes, target = batch.dense(), batch.target

    def new(settings=learning):
        return make(
            network, params, 3, address=torch.tensor([4, 9]), seed=3, learning=settings,
            optimiser=optimisers.init(PLAIN, params), lr=0.05,
        )  # fmt: skip

    whole, first, later = new(), new(), new()
    want = whole.advance(spikes, target)
    got = [first.advance(spikes[:, :cut], target[:, :cut])]
    later.restore(first.state())
    got.append(later.advance(spikes[:, cut:], target[:, cut:]))
    for at in range(2):
        assert torch.equal(torch.cat([each[at] for each in got], 2), want[at])
    assert_same(later.params, whole.params)
    never = new(Learning(RuleSpec(rule, kappa=0.9, gamma=0.5), PLAIN, 3, 2))
    assert not torch.equal(never.advance(spikes, target).spikes, want.spikes)
