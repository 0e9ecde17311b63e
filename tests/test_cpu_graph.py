"""The cpu kernel for graphs against the reference: every kind of projection, every rule it serves, every interval."""

from __future__ import annotations

import pytest
import torch
from test_block_graph import GRAPHS as LAYERED
from test_block_graph import RULES, Case, make

from gemsnn import rng
from gemsnn.kernels import Learning, reference
from gemsnn.kernels.cpu import eligibility, graph, layout, slabs
from gemsnn.kernels.cpu import kernel as cpu
from gemsnn.model import network as networks
from gemsnn.model.basis import BasisSpec
from gemsnn.model.network import NetworkSpec
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees

SERVED = [name for name in LAYERED if not make(Case(name))[0].is_joint and name not in ("own", "no hidden")]
"""The others have one link, or kinds that are not compiled."""
CASES = [
    *(Case(name) for name in SERVED),
    Case(compartments=1),
    Case("recurrent", compartments=1, begin=4),
    Case(steps=(1, 1)),
    Case("readouts", steps=(1,), compartments=1),
    Case(rate=0.0),
    Case("readouts", begin=5),
    Case("recurrent", steps=(70, 3), rate=0.1),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def test_what_is_served_is_not_joint():
    assert SERVED == ["conv", "pooling", "readouts", "recurrent"]
    assert graph.refuses(make(Case("own"))[0]) is not None


def check_learning(case: Case, rule: RuleSpec, optimiser: str, every: int | None) -> None:
    network, params, batch = make(case)
    # adam divides by the size of directions: where that is next to nothing, by a rounding
    spec = OptimiserSpec(optimiser, lr=0.05, epsilon=1e-4)
    learning = Learning(rule, spec, case.compartments, every)
    assert cpu.refuses(network, learning) is None
    before = [leaf.clone() for leaf in (*trees.leaves(params), *batch)]
    got, want = (
        kernel.learn(network, params, optimisers.init(spec, params), learning, batch, seed=5, lr=0.05)
        for kernel in (cpu, reference)
    )
    assert all(torch.equal(a, b) for a, b in zip(before, (*trees.leaves(params), *batch), strict=True))
    assert torch.equal(got.hidden_rate, want.hidden_rate)
    assert got.params.weights.keys() == want.params.weights.keys()
    assert got.optimiser.updates == want.optimiser.updates
    for a, b in zip(trees.leaves(got.params), trees.leaves(want.params), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got.log_likelihood, want.log_likelihood, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got.log_weights, want.log_weights, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("every", [1, 3, None])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@every_case
def test_learning_equals_the_reference(monkeypatch, case, rule, every):
    """With eligibilities that are summed over what is remembered."""
    monkeypatch.setattr(eligibility, "pays", lambda *_: False)
    check_learning(case, rule, "adam" if rule.average else "sgd", every)


@pytest.mark.parametrize("every", [1, 8])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("case", CASES[1:6], ids=str)
def test_eligibilities_may_be_carried(monkeypatch, case, rule, every):
    monkeypatch.setattr(eligibility, "pays", lambda *_: True)
    check_learning(case, rule, "sgd", every)


def test_groups_take_turns_in_one_history(monkeypatch):
    """As many presentations at a time as there is memory for; a single update comes after all of them."""
    case = Case("recurrent", steps=(19, 8, 11, 5, 19, 3, 12))
    network, _, batch = make(case)
    monkeypatch.setattr(graph, "GROUP_BYTES", 3 * 3 * network.spec.neurons * (19 + 6) * 9)
    assert [len(piece.label) for piece in graph.groups_of(network, batch, 3, whole=False)] == [3, 3, 1]
    for rule in ("gem", "one-hop-gem"):
        check_learning(case, RULES[rule], "sgd", None)
    test_rollouts_equal_the_reference(case, False)


@pytest.mark.parametrize("size", [1, 20_000])
def test_slabs_do_not_matter(monkeypatch, size):
    """However many runs go forwards together."""
    monkeypatch.setattr(slabs, "SLAB_BYTES", size)
    case = Case("recurrent", steps=(19, 8, 11, 5))
    check_learning(case, RULES["gem"], "sgd", 7)
    test_rollouts_equal_the_reference(case, True)


@pytest.mark.parametrize("compartments", [1, 3])
def test_inputs_may_be_counts(compartments):
    network, params, batch = make(Case("recurrent"))
    counts = torch.from_numpy(rng.generator(0, "counts").integers(1, 256, batch.spikes.shape))
    batch = batch._replace(spikes=(batch.spikes * counts).to(torch.uint8))
    got, want = (
        kernel.rollout(network, params, batch, compartments, seed=5, clamp=True)
        for kernel in (cpu, reference)
    )
    assert torch.equal(got.spikes, want.spikes)
    torch.testing.assert_close(got.potential, want.potential, rtol=1e-10, atol=1e-10)


CONV = NetworkSpec(
    2312,
    10,
    ("8x5s2", "16x5s2"),
    "conv",
    sheet=(2, 34, 34),
    synapse=BasisSpec(count=4, taps=10),
    readouts="each-layer",
)


@pytest.mark.parametrize(
    ("rule", "every", "compartments", "carries"),
    [
        (RuleSpec("gem", gamma=0.9), 1, 10, True),  # 152 steps are remembered in single precision
        (RuleSpec("gem", gamma=0.9), 140, 10, False),
        (RuleSpec("gem", gamma=0.0), 1, 10, False),
        (RuleSpec("gem", gamma=0.9), 1, 5000, False),  # too much memory
        (RuleSpec("gem", gamma=0.9), None, 10, False),
        (RuleSpec("one-hop", gamma=0.9), 1, 10, True),
    ],
)
def test_eligibilities_are_carried_where_that_costs_less(rule, every, compartments, carries):
    network = networks.build(CONV)
    plan = layout.plan_of(network)
    weights = layout.laid_out(plan, networks.init(network, 0))
    learning = Learning(rule, OptimiserSpec(), compartments, every)
    if carries:
        kept = eligibility.carried(plan, weights, learning, 1, None)
        assert kept is not None
        hidden = 0 if rule.rule == "one-hop" else compartments
        assert [len(leaf) for leaf in kept.bias] == [hidden, hidden, compartments, compartments]
    else:
        assert eligibility.carried(plan, weights, learning, 1, 100 if every is None else None) is None


@pytest.mark.parametrize("clamp", [True, False])
@every_case
def test_rollouts_equal_the_reference(case, clamp):
    network, params, batch = make(case)
    got, want = (
        kernel.rollout(network, params, batch, case.compartments, seed=5, clamp=clamp)
        for kernel in (cpu, reference)
    )
    assert torch.equal(got.spikes, want.spikes)
    torch.testing.assert_close(got.potential, want.potential)
    assert want.spikes.any()
