"""The cpu kernel for graphs against the reference: every kind of projection, every rule it serves, every interval."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_block_graph import GRAPHS as LAYERED
from test_block_graph import RULES, Case, check_learning, check_rollout, make

from gemsnn import rng
from gemsnn.kernels import Learning, reference
from gemsnn.kernels.cpu import graph
from gemsnn.kernels.cpu import kernel as cpu
from gemsnn.rows import SpikeRows
from gemsnn.rules import optimisers
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.types import Batch

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


@pytest.mark.parametrize("every", [1, 3, None])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@every_case
def test_learning_equals_the_reference(case, rule, every):
    check_learning(cpu, case, rule, "adam" if rule.average else "sgd", every)


@pytest.mark.parametrize("clamp", [True, False])
@every_case
def test_rollouts_equal_the_reference(case, clamp):
    check_rollout(cpu, case, clamp=clamp)


def test_groups_take_turns_in_one_history(monkeypatch):
    """As many presentations at a time as there is memory for; a single update comes after all of them."""
    case = Case("recurrent", steps=(19, 8, 11, 5, 19, 3, 12))
    network, _, batch = make(case)
    monkeypatch.setattr(graph, "GROUP_BYTES", 3 * 3 * network.spec.neurons * (19 + 6) * 9)
    assert [len(piece.label) for piece in graph.groups_of(network, batch, 3, whole=False)] == [3, 3, 1]
    for rule in ("gem", "one-hop-gem"):
        check_learning(cpu, case, RULES[rule], "sgd", None)
    test_rollouts_equal_the_reference(case, False)


@pytest.mark.parametrize("compartments", [1, 3])
def test_inputs_may_be_counts(compartments):
    network, params, batch = make(Case("recurrent"))
    counts = rng.generator(0, "counts").integers(1, 256, batch.rows.dense().shape).astype(np.uint8)
    batch = batch._replace(rows=SpikeRows.of(batch.rows.dense() * counts))
    got, want = (
        kernel.rollout(network, params, batch, compartments, seed=5, clamp=True)
        for kernel in (cpu, reference)
    )
    assert torch.equal(got.spikes, want.spikes)
    torch.testing.assert_close(got.potential, want.potential, rtol=1e-10, atol=1e-10)


def test_inputs_are_never_made_dense(monkeypatch):
    """A batch of a large sensor would take gigabytes."""

    def refuse(_):
        raise AssertionError

    network, params, batch = make(Case())
    spec = OptimiserSpec("sgd")
    state, learning = optimisers.init(spec, params), Learning(RULES["gem"], spec, 2, 3)
    for owner in (Batch, SpikeRows):
        monkeypatch.setattr(owner, "dense", refuse)
    cpu.learn(network, params, state, learning, batch, seed=5, lr=0.05)
    cpu.rollout(network, params, batch, 2, seed=5, clamp=False)
