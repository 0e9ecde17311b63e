"""Streams of graphs on the cpu kernel: convolutions, poolings, masks, readouts and loops, against the reference."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import torch
from cases import make_presentation
from graphs import GRAPHS, make_graph, spec_of
from hypothesis import given, settings
from hypothesis import strategies as st

from gemsnn import kernels, rng
from gemsnn.errors import InputError
from gemsnn.kernels import Learning, reference
from gemsnn.kernels.contract import Stream
from gemsnn.kernels.cpu import coming, graph_course
from gemsnn.kernels.cpu import kernel as cpu
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.learn.online import OnlineLearner
from gemsnn.model import network as networks
from gemsnn.model import step as stepping
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees

SERVED = [name for name in GRAPHS if not make_graph(GRAPHS[name])[0].is_joint]
TAUGHT = ((1, True), (7, False), (3, True), (1, False), (20, True), (2, True), (9, True))
"""How many steps with a target or without one follow each other."""
STEPS = sum(steps for steps, _ in TAUGHT)
COMPARTMENTS = 3
RULES = {
    "gem-cv": RuleSpec("gem-cv", kappa=0.9, gamma=0.0),
    "gem": RuleSpec("gem", kappa=0.95, gamma=0.5, average=True),
    "iw": RuleSpec("iw", kappa=0.6, gamma=0.02, readout="last-step"),  # which fades within the stream
    "mb": RuleSpec("mb", kappa=0.8, gamma=0.1),
    "one-hop": RuleSpec("one-hop", kappa=0.9, gamma=0.8),
    "one-hop-gem": RuleSpec("one-hop-gem", kappa=0.9, gamma=0.3, average=True),
}


@pytest.fixture
def short(monkeypatch):
    """Histories are shortened every few steps, learned from before an update is due, and potentials moved."""
    monkeypatch.setattr(graph_course, "CHUNK", 6)
    monkeypatch.setattr(coming, "AHEAD", 4)


def shown(network, presentations=2, steps=STEPS, most=1):
    """Inputs, counts of events up to ``most``, and targets with at most one spike a step, as circuits want them."""
    size, classes = network.spec.inputs, network.spec.visible
    rows = [make_presentation(steps, size, classes, index=i, rate=0.3) for i in range(presentations)]
    rows = [row._replace(target=row.target * (row.target.cumsum(1) <= 1)) for row in rows]
    batch = networks.batch(network, rows)
    spikes = batch.dense()
    counts = torch.from_numpy(rng.generator(0, "counts").integers(1, most + 1, spikes.shape))
    return spikes * counts.to(torch.uint8), batch.target


def make(
    kind, network, params, rule, optimiser="sgd", every=1, *, address=(4, 9), compartments=COMPARTMENTS
) -> Stream:
    spec = OptimiserSpec(optimiser, lr=0.05, epsilon=1e-4)
    learning = None if rule is None else Learning(rule, spec, compartments, every)
    state = None if rule is None else optimisers.init(spec, params)
    return kind(
        network, params, compartments, address=torch.tensor(address), seed=3, learning=learning, optimiser=state,
        lr=0.05,
    )  # fmt: skip


def feed(stream: Stream, spikes, target, cuts=()):
    """Everything the stream did; it is given steps in portions that end at these cuts, and where teaching does."""
    ends = np.cumsum([steps for steps, _ in TAUGHT])
    taught = np.repeat([with_target for _, with_target in TAUGHT], [steps for steps, _ in TAUGHT])
    edges = sorted({0, *ends.tolist(), *cuts})
    seen = []
    for low, high in itertools.pairwise(edges):
        clamp = target[:, low:high] if taught[low] else None
        seen.append(stream.advance(spikes[:, low:high], clamp))
    return torch.cat([piece.spikes for piece in seen], 2), torch.cat([piece.potential for piece in seen], 2)


@functools.cache
def wanted(name, rule, optimiser, every, compartments, most):
    """What the reference does, and where it ends."""
    network, params = make_graph(GRAPHS[name])
    stream = make(
        reference.ReferenceStream, network, params, RULES[rule], optimiser, every, compartments=compartments
    )
    return feed(stream, *shown(network, most=most)), stream.params


def check(name, rule, optimiser, every, *, cuts=(), compartments=COMPARTMENTS, most=1):
    network, params = make_graph(GRAPHS[name])
    stream = make(cpu.CpuStream, network, params, RULES[rule], optimiser, every, compartments=compartments)
    spikes, potential = feed(stream, *shown(network, most=most), cuts)
    (want_spikes, want_potential), reached = wanted(name, rule, optimiser, every, compartments, most)
    assert torch.equal(spikes, want_spikes)
    torch.testing.assert_close(potential, want_potential, rtol=1e-10, atol=1e-10)
    for mine, theirs in zip(trees.leaves(stream.params), trees.leaves(reached), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)
    assert not all(
        torch.equal(a, b) for a, b in zip(trees.leaves(params), trees.leaves(reached), strict=True)
    )


def test_graphs_of_every_kind_are_served():
    assert SERVED == ["convolution", "convolutional readouts", "two bases", "pooling", "rich"]


@pytest.mark.parametrize("every", [1, 4, 40])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", SERVED)
def test_a_stream_equals_the_reference(short, name, rule, every):
    """With an update after every step, after every few, and later than they are learned from."""
    check(name, rule, "adam" if RULES[rule].average else "sgd", every)


@pytest.mark.parametrize("rule", ["gem", "one-hop"])
@pytest.mark.parametrize("every", [1, 5])
def test_a_stream_with_room_equals_the_reference(rule, every):
    check("rich", rule, "sgd", every)


@pytest.mark.parametrize("name", ["convolution", "rich"])
@pytest.mark.parametrize("every", [1, 4])
def test_a_single_compartment_hears_the_inputs_itself(short, name, every):
    check(name, "one-hop", "sgd", every, compartments=1)


@functools.cache
def in_one_portion(rule, every):
    """What a stream in single precision does, and where it ends."""
    network = networks.build(spec_of(GRAPHS["rich"]), dtype=torch.float32)
    params = trees.map(lambda leaf: leaf.float(), make_graph(GRAPHS["rich"])[1])
    stream = make(cpu.CpuStream, network, params, rule and RULES[rule], "sgd", every)
    return network, params, feed(stream, *shown(network)), stream.params


@given(cuts=st.sets(st.integers(1, STEPS - 1)), every=st.sampled_from([1, 3, 7, 40]))
@settings(deadline=None, max_examples=15)
def test_portions_change_not_a_bit(cuts, every):
    for rule in ("gem", "one-hop-gem", None):
        network, params, want, reached = in_one_portion(rule, every)
        stream = make(cpu.CpuStream, network, params, rule and RULES[rule], "sgd", every)
        found = feed(stream, *shown(network), sorted(cuts))
        for a, b in zip((*found, *trees.leaves(stream.params)), (*want, *trees.leaves(reached)), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("compartments", [1, 3])
def test_bins_may_hold_counts(short, compartments):
    """More and more of them: the first bins need fewer binary digits than the last."""
    check("rich", "one-hop-gem", "sgd", 4, compartments=compartments, most=200)


@pytest.mark.parametrize("portion", [1, 7, 300])
@pytest.mark.parametrize("name", SERVED)
def test_a_stream_without_learning_is_a_free_rollout(name, portion):
    network, params = make_graph(GRAPHS[name])
    spikes, _ = shown(network, steps=300, most=3)
    batch = networks.batch(
        network,
        [
            make_presentation(300, network.spec.inputs, network.spec.visible)._replace(
                spikes=row, address=9 - i
            )
            for i, row in enumerate(spikes)
        ],
    )
    stream = make(cpu.CpuStream, network, params, None, address=(9, 8))
    pieces = [stream.advance(piece) for piece in spikes.split(portion, 1)]
    whole = reference.rollout(network, params, batch, COMPARTMENTS, seed=3, clamp=False)
    assert torch.equal(torch.cat([piece.spikes for piece in pieces], 2), whole.spikes)
    potential = torch.cat([piece.potential for piece in pieces], 2)
    torch.testing.assert_close(potential, whole.potential, rtol=1e-10, atol=1e-10)


def test_reading_the_parameters_disturbs_nothing():
    network, params = make_graph(GRAPHS["rich"])
    quiet, watched = (make(cpu.CpuStream, network, params, RULES["one-hop-gem"], "sgd", 3) for _ in range(2))
    spikes, target = shown(network)
    for t in range(STEPS):
        a, b = (s.advance(spikes[:, t : t + 1], target[:, t : t + 1]) for s in (quiet, watched))
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        for leaf in trees.leaves(watched.params):
            leaf += 1.0  # a copy's
    for x, y in zip(trees.leaves(quiet.params), trees.leaves(watched.params), strict=True):
        assert torch.equal(x, y)


# -- state -------------------------------------------------------------------------------------------------


def poison(stream):
    """Make everything NaN, or all ones, that a restored stream must not have kept."""
    course = stream._course
    (group,) = course.groups
    leaves = [*group.history.error, group.log_weights, *course._weights.rows]
    leaves += [*trees.leaves(course._kept_blame)]
    leaves += [] if group.coming is None else [*group.coming.own, *group.coming.heard]
    for leaf in leaves:
        leaf[...] = np.nan
    for leaf in (group.history.inputs, *group.history.bits, *group.history.spikes):
        leaf[...] = np.iinfo(leaf.dtype).max


STATEFUL = [
    ("gem", "sgd", 1),
    ("gem-cv", "adam", 4),
    ("one-hop", "adam", 3),
    ("one-hop-gem", "sgd", 40),
    ("iw", "sgd", 2),
    (None, "sgd", 1),
]


@pytest.mark.parametrize("name", ["convolutional readouts", "rich"])
@pytest.mark.parametrize(("rule", "optimiser", "every"), STATEFUL)
@pytest.mark.parametrize("cut", range(1, len(TAUGHT)))
def test_a_restored_stream_goes_on_to_the_bit(short, name, rule, optimiser, every, cut):
    """Saving changes nothing, and all that matters is saved."""
    network = networks.build(spec_of(GRAPHS[name]), dtype=torch.float32)
    params = trees.map(lambda leaf: leaf.float(), make_graph(GRAPHS[name])[1])
    whole, stopped, later = (
        make(cpu.CpuStream, network, params, rule and RULES[rule], optimiser, every) for _ in range(3)
    )
    poison(later)
    spikes, target = (part.split([steps for steps, _ in TAUGHT], 1) for part in shown(network, most=3))
    for piece, (_, taught) in enumerate(TAUGHT):
        if piece == cut:
            later.restore(stopped.state())
        want = whole.advance(spikes[piece], target[piece] if taught else None)
        got = (stopped if piece < cut else later).advance(spikes[piece], target[piece] if taught else None)
        assert all(torch.equal(a, b) for a, b in zip(want, got, strict=True))
    assert later.state().keys() == whole.state().keys()
    for leaf, value in whole.state().items():
        assert torch.equal(value, later.state()[leaf]), leaf
    assert all(
        torch.equal(a, b) for a, b in zip(trees.leaves(whole.params), trees.leaves(later.params), strict=True)
    )


@pytest.mark.parametrize(
    ("rule", "every"), [(None, 1), ("gem", 1), ("gem", 7), ("one-hop", 140), ("gem-cv", 7)]
)
def test_what_is_held_does_not_grow(rule, every):
    network, params = make_graph(GRAPHS["rich"])
    stream = make(cpu.CpuStream, network, params, rule and RULES[rule], "sgd", every)
    spikes, target = shown(network, steps=840)

    def held():
        (group,) = stream._course.groups
        past = group.history
        arrays = [past.inputs, *past.bits, *past.spikes, *past.error]
        arrays += [] if group.coming is None else [*group.coming.own, *group.coming.heard]
        return sum(array.nbytes for array in arrays)

    at_first, sizes = held(), {}
    for low in range(0, 840, 70):
        stream.advance(spikes[:, low : low + 70], target[:, low : low + 70])
        assert held() == at_first
        sizes[low + 70] = sum(leaf.nbytes for leaf in stream.state().values())
    assert len({sizes[steps] for steps in (280, 560, 840)}) == 1  # at which every interval ends


def test_a_state_holds_what_still_matters_and_no_more():
    """Without memory in the rule, and right after an update, that is the last spikes."""
    network, params = make_graph(GRAPHS["rich"])
    stream = make(cpu.CpuStream, network, params, RULES["gem-cv"], "sgd", 10)
    spikes, target = shown(network)
    stream.advance(spikes[:, :40], target[:, :40])
    leaves, silence = stream.state(), 5  # the longest filter
    shapes = {name: tuple(leaf.shape) for name, leaf in leaves.items()}
    edges, runs = GRAPHS["rich"].populations[0].sheet, 2 * COMPARTMENTS
    assert shapes["history.bits.0"] == (runs, 1, edges.size)  # words of 64 steps
    assert shapes["history.error.0"] == (runs, edges.height * edges.width, silence, edges.channels)
    assert shapes["open.0"] == (0, 2, COMPARTMENTS)
    assert not any(name.startswith(("blame", "coming")) for name in shapes)


def test_the_state_of_another_stream_is_refused():
    (small, of_small), (large, of_large) = (
        make_graph(GRAPHS[name]) for name in ("convolution", "convolutional readouts")
    )
    saved = make(cpu.CpuStream, large, of_large, None).state()
    with pytest.raises(InputError, match=r"lacks params|where .* is expected"):
        make(cpu.CpuStream, small, of_small, None).restore(saved)
    with pytest.raises(InputError, match="lacks"):
        make(cpu.CpuStream, large, of_large, None).restore({})
    with pytest.raises(InputError, match=r"where .* is expected"):
        make(cpu.CpuStream, large, of_large, None, compartments=2).restore(saved)


@pytest.mark.parametrize(
    ("leaf", "value"),
    [("past_steps", -1), ("index", 10**6), ("index", -1), ("waiting", 7), ("known", 2), ("planes", 0)],
)
def test_numbers_of_a_damaged_state_are_refused(leaf, value):
    network, params = make_graph(GRAPHS["rich"])
    spikes, target = shown(network)
    stream = make(cpu.CpuStream, network, params, RULES["gem"], "sgd", 4)
    stream.advance(spikes[:, :6], target[:, :6])
    saved = stream.state()
    saved[leaf] = torch.tensor(value)
    with pytest.raises(InputError, match=f"the saved state's {leaf} is {value}, where"):
        stream.restore(saved)


def test_the_noise_goes_on_beyond_32_bits_of_steps():
    network, params = make_graph(GRAPHS["rich"])
    spikes, _ = shown(network, 1, 6)
    stream = make(cpu.CpuStream, network, params, None, address=(4,))
    state, late = stream.state(), 2**32 - 3
    state["clock"] += late
    state["past_steps"] += late
    stream.restore(state)
    done = stream.advance(spikes)
    uniform = rng.uniforms(3, 4, range(late, late + 6), COMPARTMENTS, network.spec.neurons).transpose(1, 2)
    assert torch.equal(stepping.spike(network, uniform, done.potential).to(torch.uint8), done.spikes)


# -- choice ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("rule", [None, *RULES])
def test_graphs_are_streamed_by_the_cpu_kernel(name, rule):
    network, _ = make_graph(GRAPHS[name])
    if rule == "one-hop" and network.graph.untaught():
        pytest.skip("a rule that cannot teach this graph")
    for every, kernel in ((40, "auto"), (1, "cpu")):
        learning = rule and Learning(RULES[rule], OptimiserSpec(), 2, every)
        assert kernels.choose_stream(kernel, network, learning) == ("cpu", cpu.CpuStream)


def test_where_the_reference_costs_less_it_is_taken():
    """Of a rule that remembers far more steps than lie between two updates, or too many to hold."""
    network, _ = make_graph(GRAPHS["rich"])
    chosen = {
        (gamma, every): kernels.choose_stream("auto", network, Learning(rule, OptimiserSpec(), 2, every))[0]
        for gamma, every in ((0.0, 1), (0.9, 1), (0.9, 40), (1 - 1e-6, 10**9))
        for rule in [RuleSpec("gem", gamma=gamma)]
    }
    assert list(chosen.values()) == ["cpu", "reference", "cpu", "reference"]


def test_an_online_learner_answers_and_learns_with_either_kernel():
    network, params = make_graph(GRAPHS["convolutional readouts"])
    spikes, _ = shown(network, 1)
    learning = Learning(RULES["one-hop"], OptimiserSpec("sgd", lr=0.05), COMPARTMENTS, 4)
    learners = [
        OnlineLearner(
            network, params, OnlineSpec(compartments=COMPARTMENTS, window=5), learning=learning, kernel=kernel
        )
        for kernel in ("cpu", "reference")
    ]
    for t, row in enumerate(spikes[0]):
        ours, theirs = (learner.step(row, t // 9 % 2) for learner in learners)
        for a, b in zip(ours, theirs, strict=True):
            assert (a.label, a.entropy, a.hidden_rate) == (b.label, b.entropy, b.hidden_rate)
            assert torch.equal(a.votes, b.votes)
    moved = 0.0
    for a, b, before in zip(
        *map(trees.leaves, (learners[0].params, learners[1].params, params)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
        moved += float((a - before).abs().sum())
    assert moved > 0.1
