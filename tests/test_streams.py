"""Streams: state kept between calls, against the reference and against whole batches."""

from __future__ import annotations

import pytest
import torch
from cases import make_network, make_presentation

from gemsnn import optimisers
from gemsnn.kernels import Learning, cpu, reference
from gemsnn.kernels.contract import Stream
from gemsnn.optimisers import OptimiserSpec
from gemsnn.rules import RuleSpec
from gemsnn.types import InputError, collate

CHUNKS = ((1, True), (7, False), (3, True), (1, False), (20, True), (2, True), (9, True))
"""Steps of a call, and whether there is a target."""


def spikes_and_targets(steps, presentations=2):
    rows = [make_presentation(steps, 5, 3, index=i, rate=0.3) for i in range(presentations)]
    return torch.stack([row.spikes for row in rows]), torch.stack([row.target for row in rows])


def run(stream: Stream, chunks=CHUNKS):
    """Everything the stream did, chunk by chunk."""
    spikes, target = spikes_and_targets(sum(steps for steps, _ in chunks))
    done, seen = 0, []
    for steps, taught in chunks:
        inside = slice(done, done + steps)
        seen.append(stream.advance(spikes[:, inside], target[:, inside] if taught else None))
        done += steps
    return seen


@pytest.mark.parametrize("segment", [1, 6, 128])
@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize(
    "rule",
    [
        RuleSpec("gem-cv", kappa=0.9, gamma=0.0, readout="every-step"),
        RuleSpec("gem-cv", kappa=0.8, gamma=0.1, readout="last-step"),
        RuleSpec("gem", kappa=1.0, gamma=0.5, readout="every-step", average=False),
    ],
    ids=lambda rule: f"{rule.rule}-{rule.gamma}-{rule.readout}",
)
@pytest.mark.parametrize("topology", ["full", "feedforward"])
def test_a_stream_equals_the_reference(monkeypatch, segment, every, optimiser, rule, topology):
    """Whatever the calls, and wherever terms are folded into weights and histories shortened."""
    monkeypatch.setattr(cpu, "SEGMENT", segment)
    network, params = make_network(5, (4,), 3, topology=topology, taps=4, count=2)
    spec = OptimiserSpec(optimiser, lr=0.05)
    learning = Learning(rule, spec, 3, every)
    state = optimisers.init(spec, params)
    settings = {
        "address": torch.tensor([4, 9]),
        "seed": 3,
        "learning": learning,
        "optimiser": state,
        "lr": 0.05,
    }
    got, want = (
        cpu.CpuStream(network, params, 3, **settings),
        reference.ReferenceStream(network, params, **settings),
    )
    for mine, theirs in zip(run(got), run(want), strict=True):
        assert torch.equal(mine.spikes, theirs.spikes)
        torch.testing.assert_close(mine.potential, theirs.potential, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(got.params, want.params, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_a_stream_without_learning_is_a_free_rollout():
    network, params = make_network(5, (4,), 3, topology="full", taps=4, count=2)
    spikes, _ = spikes_and_targets(300)
    batch = collate(
        [make_presentation(300, 5, 3, index=i, rate=0.3)._replace(address=9 - i) for i in range(2)]
    )
    stream = cpu.CpuStream(network, params, 3, address=torch.tensor([9, 8]), seed=3)
    pieces = [stream.advance(piece) for piece in spikes.split(7, 1)]
    whole = reference.rollout(network, params, batch, 3, seed=3, clamp=False)
    assert torch.equal(torch.cat([piece.spikes for piece in pieces], 2), whole.spikes)


def test_reading_the_parameters_disturbs_nothing():
    network, params = make_network(5, (4,), 3, topology="full", taps=4, count=2)
    spec = OptimiserSpec("sgd", lr=0.05)
    settings = {
        "address": torch.tensor([4, 9]),
        "seed": 3,
        "learning": Learning(RuleSpec(gamma=0.5), spec, 3, 1),
        "optimiser": optimisers.init(spec, params),
        "lr": 0.05,
    }
    quiet, watched = (cpu.CpuStream(network, params, 3, **settings) for _ in range(2))
    spikes, target = spikes_and_targets(40)
    for t in range(40):
        a, b = (s.advance(spikes[:, t : t + 1], target[:, t : t + 1]) for s in (quiet, watched))
        assert torch.equal(a.spikes, b.spikes)
        assert torch.isfinite(watched.params.weight).all()
    torch.testing.assert_close(quiet.params.weight, watched.params.weight, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("every", "gamma", "says"), [(None, 0.9, "set update_every"), (1, 1.0, "never fade")]
)
def test_what_needs_an_end_is_refused(every, gamma, says):
    network, params = make_network()
    learning = Learning(RuleSpec(gamma=gamma), OptimiserSpec("sgd"), 2, every)
    state = optimisers.init(learning.optimiser, params)
    with pytest.raises(InputError, match=says):
        cpu.CpuStream(
            network, params, 2, address=torch.tensor([0]), seed=0, learning=learning, optimiser=state
        )
