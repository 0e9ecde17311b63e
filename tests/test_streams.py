"""Streams: state kept between calls, against the reference and against whole batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import make_network, make_presentation

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.kernels import Learning, reference
from gemsnn.kernels.contract import Stream
from gemsnn.kernels.cpu import course
from gemsnn.kernels.cpu import kernel as cpu
from gemsnn.model import step as stepping
from gemsnn.model.batches import collate
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees

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
        RuleSpec("gem", kappa=0.95, gamma=0.5, readout="every-step", average=False),
    ],
    ids=lambda rule: f"{rule.rule}-{rule.gamma}-{rule.readout}",
)
@pytest.mark.parametrize("topology", ["full", "feedforward"])
def test_a_stream_equals_the_reference(monkeypatch, segment, every, optimiser, rule, topology):
    """Whatever the calls, and wherever terms are folded into weights and histories shortened."""
    monkeypatch.setattr(course, "SEGMENT", segment)
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
        reference.ReferenceStream(network, params, 3, **settings),
    )
    for mine, theirs in zip(run(got), run(want), strict=True):
        assert torch.equal(mine.spikes, theirs.spikes)
        torch.testing.assert_close(mine.potential, theirs.potential, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(trees.leaves(got.params), trees.leaves(want.params), strict=True):
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
        assert torch.isfinite(watched.params.weights["joint"]).all()
    assert torch.equal(quiet.params.weights["joint"], watched.params.weights["joint"])


def poison(tree):
    """Overwrite every array of floats in a nested named tuple with NaN."""
    if isinstance(tree, np.ndarray):
        if tree.dtype.kind == "f":
            tree[...] = np.nan
    elif isinstance(tree, tuple):
        for part in tree:
            poison(part)


STATEFUL = [
    ("gem-cv", "sgd", 1),
    ("gem-cv", "sgd", 4),
    ("gem-cv", "adam", 4),
    ("one-hop", "adam", 3),
    ("iw", "sgd", 2),
    (None, "sgd", 1),
]


@pytest.mark.parametrize("make", [cpu.CpuStream, reference.ReferenceStream])
@pytest.mark.parametrize(("rule", "optimiser", "every"), STATEFUL)
@pytest.mark.parametrize("cut", range(1, len(CHUNKS)))
def test_a_restored_stream_goes_on_to_the_bit(monkeypatch, make, rule, optimiser, every, cut):
    """Saving changes nothing, and all that matters is saved: everything else is NaN before it is restored."""
    monkeypatch.setattr(course, "SEGMENT", 6)
    network, params = make_network(5, (4,), 3, topology="full", taps=4, count=2, dtype=torch.float32)
    spec = OptimiserSpec(optimiser, lr=0.05)
    learning = rule and Learning(RuleSpec(rule, kappa=0.9, gamma=0.5), spec, 3, every)

    def new():
        state = optimisers.init(spec, params) if learning else None
        return make(
            network,
            params,
            3,
            address=torch.tensor([4, 9]),
            seed=3,
            learning=learning,
            optimiser=state,
            lr=0.05,
        )

    spikes, target = (part.split([steps for steps, _ in CHUNKS], 1) for part in spikes_and_targets(43))
    whole, stopped, later = new(), new(), new()
    if make is cpu.CpuStream:
        runs = later._course.parts[0]
        poison(runs.past)
        poison(runs.scratch._replace(fade=None))
        poison(runs.pending._replace(lags=None))
        later._course._weight[:] = np.nan
    for piece, (_, taught) in enumerate(CHUNKS):
        if piece == cut:
            later.restore(stopped.state())
        want = whole.advance(spikes[piece], target[piece] if taught else None)
        got = (stopped if piece < cut else later).advance(spikes[piece], target[piece] if taught else None)
        assert all(torch.equal(a, b) for a, b in zip(want, got, strict=True))
    assert all(
        torch.equal(a, b) for a, b in zip(trees.leaves(whole.params), trees.leaves(later.params), strict=True)
    )
    assert later.state().keys() == whole.state().keys()
    for name, leaf in whole.state().items():
        assert torch.equal(leaf, later.state()[name]), name


@pytest.mark.parametrize("make", [cpu.CpuStream, reference.ReferenceStream])
def test_the_state_of_another_stream_is_refused(make):
    (small, _), (large, params) = make_network(5, (4,), 3), make_network(5, (6,), 3)
    given = {"address": torch.tensor([4]), "seed": 3}
    saved = make(large, params, 3, **given).state()
    with pytest.raises(InputError, match=r"where .* is expected"):
        make(small, make_network(5, (4,), 3)[1], 3, **given).restore(saved)
    with pytest.raises(InputError, match="lacks"):
        make(large, params, 3, **given).restore({})


@pytest.mark.parametrize("make", [cpu.CpuStream, reference.ReferenceStream])
def test_the_noise_goes_on_beyond_32_bits_of_steps(make):
    """A clock that has run for 248 days of 5 ms: nothing overflows, and both kernels draw the same."""
    network, params = make_network(5, (4,), 3)
    spikes, _ = spikes_and_targets(6, 1)
    stream = make(network, params, 3, address=torch.tensor([4]), seed=3)
    state, late = stream.state(), 2**32 - 3
    state["clock" if make is cpu.CpuStream else "steps"] += late
    state["past_steps" if make is cpu.CpuStream else "clock"] += late
    stream.restore(state)
    done = stream.advance(spikes)
    uniform = rng.uniforms(3, 4, range(late, late + 6), 3, 7).transpose(1, 2)
    assert torch.equal(stepping.spike(network, uniform, done.potential).to(torch.uint8), done.spikes)


@pytest.mark.parametrize(
    ("every", "gamma", "kappa", "says"),
    [(None, 0.9, 0.9, "set update_every"), (1, 1.0, 0.9, "never fade"), (1, 0.9, 1.0, "never fade")],
)
def test_what_needs_an_end_is_refused(every, gamma, kappa, says):
    network, params = make_network()
    learning = Learning(RuleSpec(gamma=gamma, kappa=kappa), OptimiserSpec("sgd"), 2, every)
    state = optimisers.init(learning.optimiser, params)
    with pytest.raises(InputError, match=says):
        cpu.CpuStream(
            network, params, 2, address=torch.tensor([0]), seed=0, learning=learning, optimiser=state
        )
