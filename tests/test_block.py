"""The block kernel: the bounds that must not matter, and the device it must not wait for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import test_kernels
import torch
from cases import make_network
from test_kernels import RULES, Case, make

from gemsnn.bench import cases as benches
from gemsnn.kernels import Learning, reference
from gemsnn.kernels.block import kernel as block
from gemsnn.kernels.block import spikes, steps, terms
from gemsnn.kernels.wiring import groups_of
from gemsnn.model import network as networks
from gemsnn.rows import SpikeRows
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.rule}-{r.kappa}-{r.gamma}-{r.readout}")
AWKWARD = [
    Case(every=1, topology="full"),
    Case(every=2, topology="full"),
    Case(every=3),
    Case(every=1, compartments=1),
    Case(every=1, inputs=1),
    Case(every=2, rate=0.0),
    Case(every=1, hidden=()),
    Case(every=1, hidden=(), topology="full"),
    Case(every=2, hidden=(1,), visible=1, topology="full"),
    Case(every=1, hidden=(3, 2), topology="feedforward"),
    Case(every=5, hidden=(3, 2, 4), steps=(7, 12)),
    Case(every=4, steps=(5, 1, 9)),
    Case(every=1, begin=3),
    Case(every=3, begin=4, topology="full"),
    Case(every=1, output="winner-take-all", topology="full"),
    Case(every=2, output="winner-take-all", begin=2),
]


@pytest.fixture(autouse=True)
def poison(monkeypatch):
    """Memory that is not initialised is full of NaN."""
    empty = torch.Tensor.new_empty
    monkeypatch.setattr(
        torch.Tensor, "new_empty", lambda *given, **more: empty(*given, **more).fill_(math.nan)
    )


@pytest.fixture
def always_pending(monkeypatch):
    """Terms are pending wherever they can be, even where the network is so small that it does not pay."""
    monkeypatch.setattr(block, "_pays", lambda *_: True)


@every_rule
@pytest.mark.parametrize("case", AWKWARD, ids=str)
def test_pending_terms_equal_the_reference(always_pending, rule, case):
    test_kernels.test_learning_equals_the_reference("block", rule, "sgd", case)


@every_rule
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("segment", [1, 4])
def test_terms_outlive_their_segment(always_pending, monkeypatch, rule, every, segment):
    monkeypatch.setattr(block, "SEGMENT", segment)
    for topology in ("full", "feedforward"):
        test_kernels.test_learning_equals_the_reference(
            "block", rule, "sgd", Case(every=every, topology=topology)
        )


@pytest.mark.parametrize(
    ("module", "bound", "value"),
    [
        (terms, "ROWS", 1),
        (terms, "ROWS", 10),
        (block, "SMALL", 0),
        (terms, "PAIRS", 1),
        (steps, "FILTERED", 3),
        (spikes, "FEW", 0.0),
        (spikes, "FEW", 1.0),
    ],
)
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_bounds_do_not_matter(always_pending, monkeypatch, module, bound, value, optimiser):
    monkeypatch.setattr(module, bound, value)
    for case in (Case(every=1, topology="full", steps=(40, 31)), Case(every=4), Case(rate=0.0)):
        test_kernels.test_learning_equals_the_reference("block", RULES[1], optimiser, case)
    test_kernels.test_rollouts_equal_the_reference("block", True, Case())


@pytest.mark.parametrize("gamma", [0.0, 0.02, 1.0])
def test_terms_are_dropped_when_they_have_faded(always_pending, monkeypatch, gamma):
    """At 0.02 a term lasts ten steps of double precision."""
    monkeypatch.setattr(block, "SEGMENT", 16)
    case = Case(every=1, topology="full", steps=(150, 40), inputs=3, hidden=(3,), visible=2, rate=0.05)
    test_kernels.test_learning_equals_the_reference(
        "block", RuleSpec("gem", kappa=0.5, gamma=gamma), "sgd", case
    )


@every_rule
@pytest.mark.parametrize("every", [1, 3])
def test_sparse_masks_keep_the_weights_at_rest(always_pending, rule, every):
    case = Case(every=every, topology="sparse")
    assert groups_of(make(case)[0]) is None
    test_kernels.test_learning_equals_the_reference("block", rule, "sgd", case)


def test_counts_of_events_and_long_feedback(always_pending):
    """Inputs may count events, and the feedback may remember longer than the synapses."""
    network, params = make_network(4, (3,), 2, topology="full", taps=3, feedback="hidden")
    network = network._replace(own_taps=torch.linspace(1, 0.1, 7).double()[None])
    batch = make(Case(inputs=4, visible=2))[2]
    batch = batch._replace(rows=SpikeRows.of(3 * batch.rows.dense()))
    spec = OptimiserSpec("sgd", lr=0.05)
    learning = Learning(RULES[1], spec, 3, 1)
    got, want = (
        kernel.learn(network, params, optimisers.init(spec, params), learning, batch, seed=5, lr=0.05)
        for kernel in (block, reference)
    )
    for a, b in zip(trees.leaves(got.params), trees.leaves(want.params), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_arguments_are_not_changed(always_pending):
    network, params, batch = make(Case(topology="full"))
    spec = OptimiserSpec("sgd", lr=0.05)
    for _ in range(2):  # the second time, weights lie as the kernel likes them
        before = [leaf.clone() for leaf in (*trees.leaves(params), batch.dense(), *batch[1:])]
        learned = block.learn(
            network, params, optimisers.init(spec, params), Learning(RuleSpec(), spec, 2, 1), batch, seed=5, lr=0.05
        )  # fmt: skip
        assert all(
            torch.equal(a, b)
            for a, b in zip(before, (*trees.leaves(params), batch.dense(), *batch[1:]), strict=True)
        )
        assert not torch.equal(learned.params.weights["joint"], params.weights["joint"])
        params = learned.params


def test_pending_terms_where_they_pay():
    """At the paper's size for any K; with one update a few dozen steps, many runs had better not feel each other."""
    (paper,) = [case for case in benches.cases("paper") if case.compartments == 50]
    network = networks.build(paper.network)
    assert paper.learning is not None
    assert block._pays(network, paper.learning, 1, 80)
    assert not block._pays(network, replace(paper.learning, update_every=40), 32, 80)
    assert not block._pays(network, paper.learning, 32, 80)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("topology", ["full", "layered", "sparse"])
def test_it_never_waits_for_its_device(always_pending, monkeypatch, optimiser, topology):
    """Tensors on the device ``meta`` have no values, so reading one back fails, as does mixing devices."""
    network, params, batch = make(Case(topology=topology))
    groups = groups_of(network)
    monkeypatch.setattr(block, "groups_of", lambda _: groups)
    network, params = to_device(network, "meta"), to_device(params, "meta")
    spec = OptimiserSpec(optimiser)
    for every in (1, 3, None):
        learning = Learning(RuleSpec(), spec, 3, every)
        learned = block.learn(network, params, optimisers.init(spec, params), learning, batch, seed=1, lr=0.1)
        assert all(leaf.is_meta for leaf in (*trees.leaves(learned.params), *trees.leaves(learned[2:])))
    assert all(leaf.is_meta for leaf in block.rollout(network, params, batch, 2, seed=1, clamp=False))


def to_device(leaves, device):
    if isinstance(leaves, networks.Network):
        return networks.build(leaves.spec, mask=leaves.mask, dtype=leaves.taps.dtype, device=device)
    return trees.map(lambda leaf: leaf.to(device), leaves)


@needs_cuda
@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("case", [*AWKWARD, Case(), Case(every=3, topology="sparse")], ids=str)
def test_learning_on_cuda_equals_the_reference(monkeypatch, pending, case):
    monkeypatch.setattr(block, "_pays", lambda *_: pending)
    network, params, batch = make(case)
    spec = OptimiserSpec("sgd", lr=0.05)
    learning = Learning(RULES[1], spec, case.compartments, case.every)
    want = reference.learn(network, params, optimisers.init(spec, params), learning, batch, seed=5, lr=0.05)
    network, params = to_device(network, "cuda"), to_device(params, "cuda")
    for there in (batch, to_device(batch, "cuda")):
        got = block.learn(network, params, optimisers.init(spec, params), learning, there, seed=5, lr=0.05)
        assert torch.equal(got.hidden_rate.cpu(), want.hidden_rate)
        for a, b in zip(
            (*trees.leaves(got.params), *got[2:4]), (*trees.leaves(want.params), *want[2:4]), strict=True
        ):
            torch.testing.assert_close(a.cpu(), b, rtol=1e-9, atol=1e-9)


@needs_cuda
@pytest.mark.parametrize("clamp", [True, False])
@pytest.mark.parametrize("case", [*AWKWARD, Case(), Case(topology="sparse")], ids=str)
def test_rollouts_on_cuda_equal_the_reference(clamp, case):
    network, params, batch = make(case)
    want = reference.rollout(network, params, batch, case.compartments, seed=5, clamp=clamp)
    got = block.rollout(
        to_device(network, "cuda"), to_device(params, "cuda"), batch, case.compartments, seed=5, clamp=clamp
    )
    assert torch.equal(got.spikes.cpu(), want.spikes)
    torch.testing.assert_close(got.potential.cpu(), want.potential)
