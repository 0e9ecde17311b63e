"""Every kernel against the reference, which composes the mathematics and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from cases import make_network, make_presentation

from gemsnn import kernels
from gemsnn.errors import InputError
from gemsnn.kernels import KERNELS, Learning, reference, threads
from gemsnn.kernels.cpu import course, runs
from gemsnn.model.batches import collate
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.named import NAMES
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees

OTHERS = [name for name in KERNELS if name != "reference"]


@dataclass(frozen=True)
class Case:
    """A network and a batch of awkward sizes."""

    steps: tuple[int, ...] = (11, 8, 4)
    inputs: int = 7
    hidden: tuple[int, ...] = (4, 2)
    visible: int = 3
    compartments: int = 3
    rate: float = 0.3
    topology: str = "layered"
    every: int | None = None
    begin: int = 0
    output: str = "independent"

    def __str__(self) -> str:
        changed = [f"{k}={v}" for k, v in vars(self).items() if v != getattr(Case(), k)]
        return ",".join(changed).replace(" ", "") or "plain"


CASES = [
    Case(),
    Case(every=1),
    Case(every=3, topology="full"),
    Case(topology="sparse", every=5),
    Case(topology="feedforward", every=4),
    Case(compartments=1, topology="full"),
    Case(inputs=1, every=2),
    Case(rate=0.0),
    Case(hidden=(), every=1),
    Case(steps=(63,), hidden=(250,), visible=7, every=7),
    Case(steps=(1, 1), every=1),
    Case(steps=(2,), topology="full"),
    Case(begin=3, topology="full", every=1),
    Case(begin=5, every=2),
    Case(output="winner-take-all", topology="full", every=1),
    Case(output="winner-take-all", begin=2),
    Case(output="winner-take-all", visible=1, hidden=()),
]
RULES = [
    RuleSpec("gem-cv", kappa=1.0, gamma=1.0, readout="last-step"),
    RuleSpec("gem", kappa=0.9, gamma=0.8, readout="every-step"),
    RuleSpec("gem-cv", kappa=0.5, gamma=0.0, readout="last-step"),
    RuleSpec("gem-cv", kappa=0.9, gamma=0.5, readout="every-step", average=True),
]
OTHER_RULES = [name for name in NAMES if name not in ("gem", "gem-cv")]


def make(case: Case, dtype=torch.float64):
    network, params = make_network(
        case.inputs, case.hidden, case.visible, topology=case.topology, taps=5, count=3, dtype=dtype,
        output=case.output,
    )  # fmt: skip
    rows = [
        make_presentation(steps, case.inputs, case.visible, index=3 * i + 1, rate=case.rate)
        for i, steps in enumerate(case.steps)
    ]
    batch = collate(rows)
    return network, params, batch._replace(begin=torch.full_like(batch.begin, case.begin))


def skip_if_refused(name, network, learning):
    """A kernel need not serve everything, but what it does not serve it names, and only that."""
    refusal = KERNELS[name].refuses(network, learning)
    if refusal is not None:
        assert network.spec.topology == "sparse"
        pytest.skip(refusal)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.rule}-{r.kappa}-{r.gamma}-{r.readout}")
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_learning_equals_the_reference(name, rule, optimiser, case):
    network, params, batch = make(case)
    spec = OptimiserSpec(optimiser, lr=0.05)
    learning = Learning(rule, spec, case.compartments, case.every)
    skip_if_refused(name, network, learning)
    got, want = (
        kernel.learn(network, params, optimisers.init(spec, params), learning, batch, seed=5, lr=0.05)
        for kernel in (KERNELS[name], reference)
    )
    assert torch.equal(got.hidden_rate, want.hidden_rate)
    for a, b in zip(trees.leaves(got.params), trees.leaves(want.params), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got.log_likelihood, want.log_likelihood, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got.log_weights, want.log_weights, rtol=1e-10, atol=1e-10)
    assert got.optimiser.updates == want.optimiser.updates == -(-batch.shape[1] // (case.every or 10**9))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("rule", OTHER_RULES)
@pytest.mark.parametrize(
    "case", [Case(every=1), Case(every=2, compartments=1), Case(topology="full")], ids=str
)
def test_every_rule_equals_the_reference(name, rule, case):
    learning = Learning(RuleSpec(rule), OptimiserSpec("sgd"), case.compartments, case.every)
    if KERNELS[name].refuses(make(case)[0], learning):
        assert learning.rule.value.needs != {"signal"}
        assert name == "block" or rule in ("ml", "one-hop-cv")
        why = "a credit" if rule in ("one-hop", "one-hop-gem") else "state of its own for every synapse"
        with pytest.raises(InputError, match=f"the rule {rule} .*{why}"):
            kernels.choose(name, make(case)[0], learning)
        return
    test_learning_equals_the_reference(name, learning.rule, "sgd", case)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.rule}-{r.kappa}-{r.gamma}-{r.readout}")
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("segment", [1, 4])
def test_terms_outlive_their_segment(monkeypatch, rule, every, segment):
    """The cpu kernel folds pending terms into the weights now and then; when it does must not matter."""
    monkeypatch.setattr(course, "SEGMENT", segment)
    test_learning_equals_the_reference("cpu", rule, "sgd", Case(every=every, topology="full"))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("clamp", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_rollouts_equal_the_reference(name, clamp, case):
    network, params, batch = make(case)
    skip_if_refused(name, network, None)
    got, want = (
        kernel.rollout(network, params, batch, case.compartments, seed=5, clamp=clamp)
        for kernel in (KERNELS[name], reference)
    )
    assert torch.equal(got.spikes, want.spikes)
    torch.testing.assert_close(got.potential, want.potential)
    assert not got.spikes[~batch.alive[:, None].expand(-1, case.compartments, -1)].any()


@pytest.mark.parametrize("rule", [RULES[1], RuleSpec("one-hop")], ids=lambda rule: rule.rule)
@pytest.mark.parametrize(
    "case", [Case((9,), every=1), Case((9,), topology="full", every=4), Case((7,))], ids=str
)
@pytest.mark.parametrize("workers", [1, 2])
def test_two_threads_share_a_step(monkeypatch, rule, case, workers):
    """The cpu kernel shares the steps of a batch that it may not split; who did what must not matter."""
    monkeypatch.setattr(runs, "SHARED", 2)
    monkeypatch.setattr(threads, "workers", lambda: workers)
    test_learning_equals_the_reference("cpu", rule, "sgd", case)
    test_learning_equals_the_reference("cpu", rule, "adam", case)
    test_rollouts_equal_the_reference("cpu", False, case)


@pytest.fixture
def poisoned(monkeypatch):
    """Memory that a kernel has not written yet holds NaN, or in whole numbers the largest."""

    def spoil(array):
        array.fill(np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max)
        return array

    def init(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        kept = ("fade", "direction", "diagonal")
        for name, array in self.scratch._asdict().items():
            if name not in kept:
                spoil(array)
        for array in (self.pending.products, self.pending.gram, self.pending.weighted, self.pending.errors):
            spoil(array)

    def empty(*size, **kwargs):
        return torch.full(size if isinstance(size[0], int) else size[0], torch.nan, **kwargs)

    begin = runs.Runs.__init__
    monkeypatch.setattr(runs.Runs, "__init__", init)
    monkeypatch.setattr(runs.np, "empty", lambda *args, **kwargs: spoil(np.zeros(*args, **kwargs)))
    monkeypatch.setattr(torch, "empty", empty)
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda self, *size: self.new_full(size, torch.nan))


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("case", [Case(every=1), Case(every=3, topology="full"), Case()], ids=str)
def test_nothing_is_read_before_it_is_written(name, optimiser, case):
    test_learning_equals_the_reference(name, RULES[1], optimiser, case)
    test_rollouts_equal_the_reference(name, False, case)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("every", [1, 7, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_forced_spikes_leave_only_rounding(name, every, dtype):
    """All 257 neurons clamped: no spike can flip, so single precision must agree with the reference in double."""
    case = Case(steps=(63, 40), inputs=11, hidden=(), visible=257, topology="full", compartments=2)
    tolerance = {torch.float32: 2e-4, torch.float64: 1e-10}[dtype]
    results = []
    for kernel, precision in ((KERNELS[name], dtype), (reference, torch.float64)):
        network, params, batch = make(case, precision)
        spec = OptimiserSpec("sgd", lr=1e-3)
        learning = Learning(RULES[1], spec, case.compartments, every)
        state = optimisers.init(spec, params)
        learned = kernel.learn(network, params, state, learning, batch, seed=5, lr=1e-3)
        after = kernel.rollout(network, learned.params, batch, 2, seed=5, clamp=True)
        results.append((*trees.leaves(learned.params), learned.log_weights, after.potential))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got.double(), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", list(KERNELS))
def test_compartments_and_batches_do_not_disturb_each_other(name):
    network, params, batch = make(Case(topology="full"))
    kernel = KERNELS[name]
    few = kernel.rollout(network, params, batch, 2, seed=5, clamp=False)
    many = kernel.rollout(network, params, batch, 5, seed=5, clamp=False)
    assert torch.equal(few.spikes, many.spikes[:, :2])
    alone = kernel.rollout(
        network, params, collate([make_presentation(8, 7, 3, index=4, rate=0.3)]), 2, seed=5, clamp=False
    )
    assert torch.equal(alone.spikes[0], few.spikes[1, :, :8])


@pytest.mark.parametrize("clamp", [True, False])
@pytest.mark.parametrize("topology", ["full", "feedforward"])
@pytest.mark.parametrize("name", list(KERNELS))
def test_a_run_may_begin_at_any_compartment(name, topology, clamp):
    """Its compartments are those of a run of more, to the bit, whichever recordings are beside them."""
    network, params, batch = make(Case(topology=topology))
    kernel = KERNELS[name]
    many = kernel.rollout(network, params, batch, 7, seed=5, clamp=clamp)
    for first, stop in ((0, 2), (2, 3), (3, 7)):
        some = kernel.rollout(network, params, batch, stop - first, seed=5, clamp=clamp, first=first)
        assert torch.equal(some.spikes, many.spikes[:, first:stop])
        torch.testing.assert_close(some.potential, many.potential[:, first:stop], rtol=1e-12, atol=1e-12)
    alone = kernel.rollout(network, params, batch.some(slice(1, 2)), 2, seed=5, clamp=clamp, first=4)
    assert torch.equal(alone.spikes[0], many.spikes[1, 4:6])


@pytest.mark.parametrize("name", OTHERS)
def test_float32_agrees_in_the_mean(name):
    """Float32 rounding may flip a spike and all that follows, so the claim is about means over 2000 runs."""
    rates = []
    for dtype, kernel in ((torch.float32, KERNELS[name]), (torch.float64, reference)):
        network, params, _ = make(Case(topology="full"), dtype)
        batch = collate([make_presentation(8, 7, 3, rate=0.3)._replace(address=i) for i in range(200)])
        run = kernel.rollout(network, params, batch, 10, seed=int(dtype == torch.float32), clamp=False)
        rates.append(run.spikes.double().mean(2).flatten(0, 1))
    gap = rates[0].mean(0) - rates[1].mean(0)
    error = ((rates[0].var(0) + rates[1].var(0)) / len(rates[0])).sqrt()
    # nine neurons at 5.3 standard errors each: fails for one pair of seeds in a million
    assert (gap.abs() < 5.3 * error).all()


def test_choosing_a_kernel(monkeypatch):
    network, _, _ = make(Case())
    assert kernels.choose("auto", network)[0] == "cpu"
    assert kernels.choose("reference", network)[0] == "reference"
    with pytest.raises(InputError, match=r"kernel must be one of .*, not 'fast'"):
        kernels.choose("fast", network)
    monkeypatch.setattr(KERNELS["cpu"], "refuses", lambda *_: "it is Tuesday.")
    assert kernels.choose("auto", network)[0] == "block"
    with pytest.raises(InputError, match="cannot serve this case: it is Tuesday"):
        kernels.choose("cpu", network)


def test_learning_settings_are_checked():
    for numbers in ({"compartments": 0}, {"compartments": 2, "update_every": 0}):
        with pytest.raises(InputError):
            Learning(RuleSpec(), OptimiserSpec(), **numbers)
