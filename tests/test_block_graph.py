"""The layerwise form of the block kernel against the reference, on graphs of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from cases import make_presentation
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gemsnn import rng
from gemsnn.kernels import Learning, reference
from gemsnn.kernels.block import filters, spikes, wires
from gemsnn.kernels.block import kernel as block
from gemsnn.model import network as networks
from gemsnn.model.basis import BasisSpec
from gemsnn.model.graph import INPUTS, Graph, Population, Projection
from gemsnn.model.network import NetworkSpec
from gemsnn.model.neurons import CIRCUIT, Bernoulli
from gemsnn.model.projections import Convolutional, Dense, Masked, Pooling, Sheet
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees

SLOW = BasisSpec("exponential", count=1, taps=6)
CLASSES = 3


@dataclass(frozen=True)
class Sure(Bernoulli):
    """A user's neuron: twice as sure of itself."""

    name: ClassVar[str] = "sure"

    def probability(self, potential: Tensor) -> Tensor:
        return super().probability(2 * potential)

    def sample(self, uniform: Tensor, potential: Tensor) -> Tensor:
        return super().sample(uniform, 2 * potential)

    def log_prob(self, spikes: Tensor, potential: Tensor) -> Tensor:
        return super().log_prob(spikes, 2 * potential)

    def error(self, spikes: Tensor, potential: Tensor) -> Tensor:
        return 2 * super().error(spikes, 2 * potential)

    def slope(self, potential: Tensor) -> Tensor:
        return 2 * super().slope(2 * potential)


@dataclass(frozen=True)
class Scaled:
    """A user's projection: sender j to receiver j alone, and later filters count less."""

    name: ClassVar[str] = "scaled"

    def shape(self, senders: Sheet, receivers: Sheet) -> tuple[int, ...]:
        return (receivers.size,)

    def synapses(self, senders: Sheet, receivers: Sheet) -> int:
        return 1

    def drive(self, weight: Tensor | None, trace: Tensor, senders: Sheet, receivers: Sheet) -> Tensor:
        assert weight is not None
        return (trace[..., : receivers.size, :] * weight / _order(trace)).sum(-1)

    def gradient(self, error: Tensor, trace: Tensor, senders: Sheet, receivers: Sheet) -> Tensor:
        return (error[..., None] * trace[..., : receivers.size, :] / _order(trace)).sum(1)

    def credit(
        self, weight: Tensor | None, error: Tensor, senders: Sheet, receivers: Sheet, basis: int
    ) -> Tensor:
        assert weight is not None
        found = error.new_zeros(*error.shape[:-1], senders.size, basis)
        found[..., : receivers.size, :] = error[..., None] * weight / _order(weight)
        return found


def _order(like: Tensor) -> Tensor:
    return torch.arange(1, like.shape[-1] + 1).to(like)


def chain(*populations: Population, inputs=(1, 5, 4), kinds=(), extra=()) -> Graph:
    """Populations one after the other, the last hidden one heard by the last visible one."""
    names = [INPUTS, *(each.name for each in populations)]
    kinds = [*kinds, *[Dense()] * (len(populations) - len(kinds))]
    wired = [Projection(a, b, kind) for a, b, kind in zip(names, names[1:], kinds, strict=False)]
    return Graph(inputs, populations, (*wired, *extra))


def output(name="output", **more) -> Population:
    return Population(name, (CLASSES,), visible=True, **more)


GRAPHS = {
    # a stride that does not divide, one channel, a patch wider than the picture, pooling on top
    "conv": chain(
        Population("edges", (2, 3, 2), feedback=True),
        Population("shapes", (1, 2, 1)),
        Population("pooled", (1, 2, 1), feedback=True),
        output(),
        kinds=(Convolutional(3, 2), Convolutional(7, 2), Pooling(1, 0.7)),
    ),
    "pooling": chain(
        Population("edges", (2, 5, 4)),
        Population("pooled", (2, 2, 2), feedback=True),
        output(feedback=True),
        kinds=(Convolutional(3), Pooling(2, 0.5)),
    ),
    # several readouts, all with circuits
    "readouts": Graph(
        (2, 4, 3),
        (
            Population("edges", (2, 4, 3), feedback=True),
            Population("whole", (4,), feedback=True),
            output("readout1", neuron=CIRCUIT),
            output("readout2", neuron=CIRCUIT),
        ),
        (
            Projection(INPUTS, "edges", Convolutional(3)),
            Projection("edges", "whole", basis=SLOW),
            Projection("edges", "readout1"),
            Projection("whole", "readout2"),
        ),
    ),
    # masks, two bases, a dense population that hears itself on top of a convolution, a circle of two
    "recurrent": Graph(
        (1, 5, 4),
        (
            Population("edges", (2, 3, 2), feedback=True),
            Population("memory", (3,), feedback=True),
            Population("there", (2,)),
            Population("back", (2, 1, 1), neuron=CIRCUIT),
            output(),
        ),
        (
            Projection(INPUTS, "edges", Convolutional(3, 2)),
            Projection("edges", "memory", Masked(0.6), SLOW),
            Projection("memory", "memory"),
            Projection("memory", "there"),
            Projection("back", "there", basis=SLOW),
            Projection("there", "back", Masked(0.7)),
            Projection("back", "output"),
            Projection(INPUTS, "output", Masked(0.3)),
            Projection("memory", "output", basis=SLOW),
        ),
    ),
    # neurons and projections that the library does not know, and visible neurons that hear themselves
    "own": chain(
        Population("sure", (6,), neuron=Sure(), feedback=True),
        Population("loop", (2, 2, 1), neuron=Sure()),
        output(neuron=Sure(), feedback=True),
        kinds=(Scaled(), Scaled(), Scaled()),
        extra=(Projection("loop", "loop", Scaled()), Projection("output", "output", Scaled())),
    ),
    "no hidden": chain(output(neuron=CIRCUIT, feedback=True), kinds=(Scaled(),)),
    # joint networks
    "dense": chain(Population("hidden", (4,)), output(neuron=CIRCUIT)),
    "dense with feedback": chain(
        Population("first", (4,), feedback=True), Population("second", (3,), feedback=True), output(feedback=True)
    ),
    "masked": chain(Population("first", (6,)), Population("second", (5,)), output(), kinds=[Masked(0.4)] * 3),
    "full": chain(
        Population("first", (3,), feedback=True), Population("second", (2,)), output(),
        extra=(
            Projection("first", "first"), Projection("second", "first"), Projection("output", "second"),
            Projection("first", "output"),
        ),
    ),
}  # fmt: skip
RULES = {
    name: RuleSpec(name, kappa=kappa, gamma=gamma, **more)
    for name, kappa, gamma, more in (
        ("gem", 0.9, 0.8, {}),
        ("gem-cv", 0.6, 0.5, {"average": True}),
        ("iw", 1.0, 1.0, {"readout": "last-step"}),
        ("mb", 0.5, 0.0, {}),
        ("one-hop", 0.9, 0.8, {}),
        ("one-hop-gem", 0.9, 0.7, {"average": True}),
    )
}


@dataclass(frozen=True)
class Case:
    """What is shown to a network."""

    graph: str = "conv"
    steps: tuple[int, ...] = (19, 8, 11)
    compartments: int = 3
    rate: float = 0.3
    begin: int = 0

    def __str__(self) -> str:
        changed = [f"{k}={v}" for k, v in vars(self).items() if v != getattr(Case(), k)]
        return ",".join(changed).replace(" ", "") or "plain"


CASES = [
    *(Case(graph) for graph in GRAPHS),
    Case(compartments=1),
    Case("recurrent", compartments=1, begin=4),
    Case(steps=(1, 1)),
    Case("readouts", steps=(1,), compartments=1),
    Case(rate=0.0),
    Case("readouts", begin=5),
    Case("dense with feedback", begin=3),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def make(case: Case, dtype=torch.float64, device="cpu"):
    graph = GRAPHS[case.graph]
    inputs = Sheet(*graph.inputs).size
    spec = NetworkSpec(
        inputs, CLASSES, synapse=BasisSpec(count=2, taps=4), self_filter=BasisSpec("exponential", 1, 5),
        weight_scale=3.0, custom=graph,
    )  # fmt: skip
    network = networks.build(spec, seed=3, dtype=dtype, device=device)
    params = networks.init(network, 4)
    own = torch.from_numpy(rng.generator(0, "own").standard_normal(tuple(params.feedback.shape))).to(
        params.feedback
    )
    rows = [
        make_presentation(steps, inputs, CLASSES, index=3 * i + 1, rate=case.rate)
        for i, steps in enumerate(case.steps)
    ]
    batch = networks.batch(network, rows)
    return (
        network,
        params._replace(feedback=_where_felt(network, own)),
        batch._replace(begin=torch.full_like(batch.begin, case.begin)),
    )


def _where_felt(network, feedback):
    """Feedback where there is any."""
    kept, at = torch.zeros_like(feedback), 0
    for population in network.graph.populations:
        some = slice(at, at + population.sheet.channels)
        kept[some] = feedback[some] * population.feedback
        at = some.stop
    return kept


def check_learning(served, case: Case, rule: RuleSpec, optimiser: str, every: int | None) -> None:
    """A kernel learns what the reference learns."""
    network, params, batch = make(case)
    # adam divides by the size of directions: where that is next to nothing, by a rounding
    spec = OptimiserSpec(optimiser, lr=0.05, epsilon=1e-4)
    learning = Learning(rule, spec, case.compartments, every)
    assert served.refuses(network, learning) is None
    before = [leaf.clone() for leaf in (*trees.leaves(params), batch.dense(), *batch[1:])]
    got, want = (
        kernel.learn(network, params, optimisers.init(spec, params), learning, batch, seed=5, lr=0.05)
        for kernel in (served, reference)
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(before, (*trees.leaves(params), batch.dense(), *batch[1:]), strict=True)
    )
    assert torch.equal(got.hidden_rate, want.hidden_rate)
    assert got.params.weights.keys() == want.params.weights.keys()
    assert got.optimiser.updates == want.optimiser.updates
    for a, b in zip(trees.leaves(got.params), trees.leaves(want.params), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got.log_likelihood, want.log_likelihood, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got.log_weights, want.log_weights, rtol=1e-10, atol=1e-10)


def check_rollout(served, case: Case, *, clamp: bool) -> None:
    """A kernel runs as the reference runs, which begins at any compartment."""
    network, params, batch = make(case)
    got, want, later = (
        kernel.rollout(network, params, batch, case.compartments, seed=5, clamp=clamp, first=first)
        for kernel, first in ((served, 0), (reference, 0), (served, 1))
    )
    assert torch.equal(got.spikes, want.spikes)
    torch.testing.assert_close(got.potential, want.potential)
    assert want.spikes.any()
    assert torch.equal(later.spikes[:, :-1], want.spikes[:, 1:])


@pytest.mark.parametrize("every", [1, 3, None])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@every_case
def test_learning_equals_the_reference(case, rule, optimiser, every):
    check_learning(block, case, rule, optimiser, every)


@pytest.mark.parametrize("clamp", [True, False])
@every_case
def test_rollouts_equal_the_reference(case, clamp):
    check_rollout(block, case, clamp=clamp)


@pytest.mark.parametrize(
    ("module", "bound", "value"),
    [
        (filters, "STEPS", 1),
        (filters, "STEPS", 5),
        (wires, "NUMBERS", 1),
        (wires, "NUMBERS", 700),
        (spikes, "FEW", 0.0),
        (spikes, "FEW", 1.0),
    ],
)
@pytest.mark.parametrize("graph", ["recurrent", "readouts", "dense with feedback"])
def test_bounds_do_not_matter(monkeypatch, module, bound, value, graph):
    monkeypatch.setattr(spikes, "NARROW", 0)
    monkeypatch.setattr(module, bound, value)
    check_learning(block, Case(graph), RULES["one-hop-gem"], "sgd", 7)
    test_rollouts_equal_the_reference(Case(graph), False)


@pytest.mark.parametrize("graph", ["conv", "dense with feedback"])
def test_terms_are_dropped_when_they_have_faded(graph):
    """At 0.02 a term lasts ten steps of double precision."""
    check_learning(block, Case(graph, steps=(60, 31)), RuleSpec("gem", kappa=0.5, gamma=0.02), "sgd", 4)


def test_a_given_mask_may_hold_what_the_graph_does_not():
    """A joint network's mask decides who hears whom; the layers follow from it."""
    network, params, batch = make(Case("dense"))
    everybody = torch.ones(network.spec.neurons, network.spec.inputs + network.spec.neurons, dtype=torch.bool)
    network = networks.build(network.spec, mask=everybody, dtype=torch.float64)
    params = networks.init(network, 4)
    assert not wires.plan_of(network).is_forward
    spec = OptimiserSpec("sgd", lr=0.05)
    learning = Learning(RULES["one-hop"], spec, 2, 3)
    got, want = (
        kernel.learn(network, params, optimisers.init(spec, params), learning, batch, seed=5, lr=0.05)
        for kernel in (block, reference)
    )
    torch.testing.assert_close(
        got.params.weights["joint"], want.params.weights["joint"], rtol=1e-10, atol=1e-10
    )


@given(st.integers(1, 7).flatmap(lambda n: st.lists(st.lists(st.integers(0, n - 1)), min_size=n, max_size=n)))
def test_layers_of_any_graph_come_after_what_they_hear(heard):
    names = {str(one): [*map(str, others), "inputs"] for one, others in enumerate(heard)}
    found = wires.components(names)
    assert sorted(name for some in found for name in some) == sorted(names)
    before: set[str] = set()
    for some in found:
        before |= some
        assert all({*names[name]} <= before | {"inputs"} for name in some)
        for name in some:  # every one hears every other, through members alone
            reached, ahead = {name}, [name]
            while ahead:
                new = {other for other in names[ahead.pop()] if other in some} - reached
                reached |= new
                ahead += new
            assert reached == some


def test_layers_come_after_what_they_hear():
    found = wires.components({"d": ["c", "a"], "a": ["inputs"], "b": ["a", "c"], "c": ["b"], "e": ["e"]})
    assert [sorted(some) for some in found] in (
        [["a"], ["e"], ["b", "c"], ["d"]],
        [["a"], ["b", "c"], ["e"], ["d"]],
    )
    plans = {name: wires.plan_of(make(Case(name))[0]) for name in GRAPHS}
    assert [len(layer.members) for layer in plans["recurrent"].layers] == [1, 1, 2, 1]
    assert [layer.recurs for layer in plans["recurrent"].layers] == [True, True, True, False]
    assert [name for name, plan in plans.items() if not plan.is_forward] == ["recurrent", "own", "full"]


def test_state_for_every_synapse_is_refused():
    for name in ("conv", "dense"):
        network, _, _ = make(Case(name))
        for rule in ("ml", "one-hop-cv"):
            learning = Learning(RuleSpec(rule), OptimiserSpec(), 2, None)
            assert "for every synapse and compartment" in (block.refuses(network, learning) or "")
