import itertools
import math

import pytest
import torch
from cases import make_network, make_presentation
from hypothesis import given
from hypothesis import strategies as st
from oracles import (
    expected_bound,
    expected_reward,
    gradient,
    hidden_paths,
    log_likelihood,
    path_log_probs,
)
from scipy import stats

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.kernels import Learning, reference
from gemsnn.kernels.block import kernel as block
from gemsnn.model import logspace
from gemsnn.model.batches import collate
from gemsnn.rules import advance as advancing
from gemsnn.rules import base as rules
from gemsnn.rules import ml, optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.contract import Signal
from gemsnn.rules.named import NAMED, NAMES
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees

RULES = {name: rule.signal for name, rule in NAMED.items() if "signal" in rule.needs}
OUTPUTS = ["independent", "winner-take-all"]
PLAIN = OptimiserSpec("sgd", lr=1.0)
# hidden neurons, steps, compartments: at most 512 tuples of hidden paths; a hidden weight needs 3 steps to matter
TINY = [(1, 4, 1), (2, 3, 1), (1, 3, 2), (1, 3, 3)]


def batch(rule="gem-cv", **numbers):
    """No forgetting and one reading at the end: the exact batch rule."""
    return RuleSpec(rule, kappa=1.0, gamma=1.0, readout="last-step", **numbers)


def direction(
    network, params, presentation, rule, compartments, *, seed=0, kernel=reference, index=0, every=None
):
    """What one presentation adds to the parameters at lr = 1."""
    learned = kernel.learn(
        network,
        params,
        optimisers.init(PLAIN, params),
        Learning(rule, PLAIN, compartments, every),
        collate([presentation._replace(address=index)]),
        seed=seed,
        lr=1.0,
    )
    return trees.map(torch.sub, learned.params, params), learned


@pytest.mark.parametrize("rule", ["gem", "gem-cv"])
@pytest.mark.parametrize(
    ("topology", "output"), [("layered", "independent"), ("full", "independent"), ("full", "winner-take-all")]
)
def test_expected_step_is_the_exact_gradient(rule, topology, output):
    """Batch GEM at K = 4000, 30 times, against enumeration.

    All parameters' deviations in standard errors must stay under a bound that a right rule exceeds for one
    seed in 100,000 (Bonferroni over parameters, Student's t with 29 degrees of freedom). The bias of the
    self-normalised estimate, of order 1/K, is far below a standard error of order 1/sqrt(30 K).
    """
    network, params = make_network(
        inputs=2, hidden=(1,), visible=2, topology=topology, scale=2.0, output=output
    )
    presentation = one_at_a_time(make_presentation(4, 2, 2, rate=0.6))
    exact = gradient(lambda at: log_likelihood(network, at, presentation), params)
    runs = [direction(network, params, presentation, batch(rule), 4000, index=i)[0] for i in range(30)]
    found = torch.stack([torch.cat([leaf.flatten() for leaf in trees.leaves(run)]) for run in runs])
    want = torch.cat([leaf.flatten() for leaf in trees.leaves(exact)])
    learned = found.std(0) > 0
    assert learned.sum() >= 8
    assert not want[~learned].any()
    error = found.std(0)[learned] / 30**0.5
    z = (found.mean(0)[learned] - want[learned]) / error
    assert z.abs().max() < stats.t.isf(1e-5 / 2 / len(z), df=29)
    # the test would see a gradient that is wrong by a tenth of its size
    assert (error / want[learned].abs().clamp(min=1e-3)).median() < 0.1


def one_at_a_time(presentation):
    """The presentation with no two visible spikes in a step, as a circuit wants it."""
    target = presentation.target.clone()
    target[:, 1:][target[:, :1].expand_as(target[:, 1:]) > 0] = 0
    return presentation._replace(target=target)


def expected_step(monkeypatch, network, params, presentation, rule, compartments):
    """The exact mean of a presentation's step: the kernel, forced through every K-tuple of hidden paths."""
    paths = hidden_paths(network, len(presentation.spikes))
    priors, _ = path_log_probs(network, params, presentation)
    total = trees.map(lambda leaf: torch.zeros_like(leaf), params)
    for chosen in itertools.product(range(len(paths)), repeat=compartments):
        silent = torch.nn.functional.pad(1 - paths[list(chosen)], (0, network.spec.visible)).transpose(0, 1)

        def forced(seed, address, steps, *shape, silent=silent):
            """A uniform number of 0 makes a neuron spike, one of 1 keeps it silent."""
            return silent[None, steps.start : steps.stop]

        monkeypatch.setattr(rng, "uniforms", forced)
        step, _ = direction(network, params, presentation, rule, compartments)
        chance = priors[list(chosen)].sum().exp()
        total = trees.map(lambda sum_, leaf, chance=chance: sum_ + chance * leaf, total, step)
    return total


def assert_equal(got, want):
    for a, b in zip(trees.leaves(got), trees.leaves(want), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert all(leaf[0].abs().max() > 1e-3 for leaf in trees.leaves(want)), (
        "a hidden neuron must have something to learn"
    )


@pytest.mark.parametrize(("hidden", "steps", "compartments"), TINY)
@pytest.mark.parametrize("rule", ["iw", "iw-ovis"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_importance_weighted_rules_climb_the_bound(monkeypatch, output, rule, hidden, steps, compartments):
    network, params = make_network(
        inputs=1, hidden=(hidden,), visible=2, topology="full", scale=2.0, output=output
    )
    presentation = one_at_a_time(make_presentation(steps, 1, 2, rate=0.9))
    want = gradient(lambda at: expected_bound(network, at, presentation, compartments), params)
    got = expected_step(monkeypatch, network, params, presentation, batch(rule), compartments)
    assert_equal(got, want)


@pytest.mark.parametrize(("hidden", "steps", "compartments"), TINY)
@pytest.mark.parametrize(
    "rule",
    [
        batch("mb"),
        batch("ml", baseline_decay=0.5),
        batch("ml", baseline_decay=1.0, sparsity=0.7, sparsity_rate=0.2),
    ],
    ids=["mb", "ml", "ml-sparse"],
)
@pytest.mark.parametrize("output", OUTPUTS)
def test_single_sample_rules_climb_their_objective(monkeypatch, output, rule, hidden, steps, compartments):
    network, params = make_network(
        inputs=1, hidden=(hidden,), visible=2, topology="full", scale=2.0, output=output
    )
    presentation = one_at_a_time(make_presentation(steps, 1, 2, rate=0.9))
    want = gradient(
        lambda at: expected_reward(network, at, presentation, rule.sparsity, rule.sparsity_rate), params
    )
    got = expected_step(monkeypatch, network, params, presentation, rule, compartments)
    assert_equal(got, want)


@pytest.mark.parametrize(("hidden", "steps", "compartments"), [*TINY, (1, 4, 2), (2, 2, 2)])
@pytest.mark.parametrize(
    "numbers",
    [
        {"kappa": 1.0, "gamma": 1.0, "readout": "last-step"},
        {"kappa": 0.8, "gamma": 0.6},
        {"kappa": 0.8, "gamma": 0.6, "average": True},
    ],
    ids=["batch", "online", "average"],
)
@pytest.mark.parametrize("output", OUTPUTS)
def test_the_one_hop_control_variate_changes_no_expectation(
    monkeypatch, numbers, output, hidden, steps, compartments
):
    network, params = make_network(
        inputs=1, hidden=(hidden,), visible=1, topology="full", scale=2.0, output=output
    )
    presentation = make_presentation(steps, 1, 1, rate=0.9)
    given = (monkeypatch, network, params, presentation)
    want = expected_step(*given, RuleSpec("gem-cv", **numbers), compartments)
    got = expected_step(*given, RuleSpec("one-hop-cv", **numbers), compartments)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_the_one_hop_control_variate_takes_variance_away():
    """A hidden spike's effect is one synapse long here, so the surrogate foresees most of the evidence.

    100 directions of both rules from the same noise: the summed variance falls to about 0.3 of what it was (0.3 to 0.5
    over three networks). The noise is fixed, so this cannot fail by chance.
    """
    network, params = make_network(inputs=3, hidden=(4,), visible=2, topology="feedforward", scale=2.0)
    presentation = make_presentation(12, 3, 2, rate=0.5)
    spread = {}
    for name in ("gem-cv", "one-hop-cv"):
        rule = RuleSpec(name, kappa=0.8, gamma=0.6)
        steps = [direction(network, params, presentation, rule, 5, index=index)[0] for index in range(100)]
        hidden = torch.stack([step.weights["joint"][:4].flatten() for step in steps])
        spread[name] = float(hidden.var(0).sum())
    assert spread["one-hop-cv"] < 0.6 * spread["gem-cv"], spread


def test_the_bound_rises_with_compartments_to_the_log_likelihood():
    network, params = make_network(inputs=2, hidden=(1,), visible=1, topology="full")
    presentation = make_presentation(3, 2, 1, rate=0.6)
    bounds = [float(expected_bound(network, params, presentation, k)) for k in (1, 2, 3, 4)]
    exact = float(log_likelihood(network, params, presentation))
    assert all(low < high for low, high in zip(bounds, [*bounds[1:], exact], strict=True))


@pytest.mark.parametrize("compartments", [1, 2, 4])
def test_the_sampled_bound_has_the_exact_expectation(compartments):
    network, params = make_network(inputs=2, hidden=(1,), visible=1, topology="full")
    presentation = make_presentation(3, 2, 1, rate=0.6)
    runs = collate([presentation._replace(address=i) for i in range(4000)])
    learned = block.learn(
        network,
        params,
        optimisers.init(PLAIN, params),
        Learning(batch(), PLAIN, compartments),
        runs,
        seed=3,
        lr=0.0,
    )
    bound = logspace.log_mean_exp(learned.log_likelihood, 1)
    exact = float(expected_bound(network, params, presentation, compartments))
    # 4.9 standard errors: fails for one seed in a million
    assert abs(float(bound.mean()) - exact) < 4.9 * float(bound.std()) / 4000**0.5


def test_one_compartment_teaches_visible_neurons_only_under_the_control_variate():
    network, params = make_network()
    presentation = make_presentation(6, 3, 2)
    moved, _ = direction(network, params, presentation, batch("gem-cv"), 1)
    assert not moved.weights["joint"][:2].any()
    assert not moved.bias[:2].any()
    assert moved.weights["joint"][2:].any()
    plain, _ = direction(network, params, presentation, batch("gem"), 1)
    torch.testing.assert_close(plain.weights["joint"][2:], moved.weights["joint"][2:])
    assert plain.weights["joint"][:2].any()


def log_weights(least=1, size=20.0):
    return st.lists(st.floats(-size, size), min_size=least, max_size=6).map(
        lambda values: torch.tensor(values, dtype=torch.float64)
    )


@given(log_weights(2))
def test_how_signals_sum(v):
    one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    signals = {name: Signal(*(part.sum() for part in rule(v))) for name, rule in RULES.items()}
    for name, signal in signals.items():
        torch.testing.assert_close(signal.visible, one, msg=name)
    torch.testing.assert_close(signals["gem"].hidden, one)
    for name in ("gem-cv", "mb"):
        torch.testing.assert_close(signals[name].hidden, zero, atol=1e-12, rtol=0)


@given(log_weights(2), st.floats(-1e3, 1e3))
def test_signals_see_differences_of_log_weights_only(v, constant):
    for rule in RULES.values():
        for a, b in zip(rule(v), rule(v + constant), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@given(log_weights(), st.randoms())
def test_signals_follow_permuted_compartments(v, random):
    order = random.sample(range(len(v)), len(v))
    for rule in RULES.values():
        for a, b in zip(rule(v), rule(v[order]), strict=True):
            torch.testing.assert_close(a[order], b, rtol=1e-9, atol=1e-9)


@given(log_weights(2), st.integers(0, 5), st.floats(-20, 20))
def test_what_is_subtracted_does_not_know_its_own_compartment(v, k, other):
    """Hence no bias: the score of compartment k has zero mean given the other compartments."""
    k %= len(v)
    changed = v.clone()
    changed[k] = other
    baselines = {
        "iw": lambda v: torch.logsumexp(v, 0) - RULES["iw"](v).hidden[k],
        "iw-ovis": lambda v: torch.logsumexp(v, 0) - RULES["iw-ovis"](v).hidden[k],
        "mb": lambda v: v[k] - len(v) * RULES["mb"](v).hidden[k],
    }
    for name, baseline in baselines.items():
        torch.testing.assert_close(baseline(v), baseline(changed), rtol=1e-9, atol=1e-9, msg=name)


@given(log_weights(size=1e4))
def test_signals_stay_finite(v):
    for rule in RULES.values():
        for dtype in (torch.float64, torch.float32):
            assert all(part.isfinite().all() for part in rule(v.to(dtype)))


def test_signals_by_hand():
    v = [0.3, -2.0, 1.5]
    share = torch.softmax(torch.tensor(v), 0)

    def bound(values):
        return math.log(sum(map(math.exp, values)) / len(values))

    want = {
        "gem": share.tolist(),
        "gem-cv": [q - 1 / 3 for q in share.tolist()],
        "iw": [],
        "iw-ovis": [],
        "mb": [],
        "one-hop": [0.0] * 3,
        "one-hop-gem": [q - 1 / 3 for q in share.tolist()],
        "one-hop-cv": [q - 1 / 3 for q in share.tolist()],
    }
    for k in range(3):
        others = v[:k] + v[k + 1 :]
        want["iw"].append(bound(v) - bound([*others, sum(others) / 2]))
        want["iw-ovis"].append(math.log((1 - 1 / 3) / (1 - float(share[k]))))
        want["mb"].append((v[k] - sum(others) / 2) / 3)
    assert want.keys() == RULES.keys()
    for name, hidden in want.items():
        visible = torch.full((3,), 1 / 3) if name == "mb" else share
        torch.testing.assert_close(RULES[name](torch.tensor(v)), Signal(visible, torch.tensor(hidden)))


def test_one_compartment_has_no_others():
    v = torch.tensor([-7.0])
    hidden = {"gem": 1.0, "gem-cv": 0.0, "iw": -7.0, "iw-ovis": -7.0, "mb": -7.0} | dict.fromkeys(
        ("one-hop", "one-hop-gem", "one-hop-cv"), 0.0
    )
    for name, rule in RULES.items():
        torch.testing.assert_close(rule(v), Signal(torch.ones(1), torch.tensor([hidden[name]])))


def test_what_rules_need():
    """And that a rule says its greatest need to a kernel that does not serve it."""
    assert tuple(NAMED) == NAMES
    assert all(rule.name == name for name, rule in NAMED.items())
    needs = {name: rule.needs for name, rule in NAMED.items()}
    one_hop = {"one-hop", "one-hop-gem", "one-hop-cv"}
    assert {name for name in needs if "signal" in needs[name]} == set(NAMES) - {"ml"}
    assert {name for name in needs if "credit" in needs[name]} == one_hop
    assert {name for name in needs if "synapse" in needs[name]} == {"ml", "one-hop-cv"}
    assert NAMED["gem"].unserved({"signal"}) is None
    assert "a credit for each hidden neuron" in NAMED["one-hop"].unserved({"signal"})
    assert "state of its own for every synapse" in NAMED["one-hop-cv"].unserved({"signal"})


@pytest.mark.parametrize("rule", NAMES)
def test_permuting_compartments_changes_nothing(rule):
    network, params = make_network()
    spec = RuleSpec(rule, kappa=0.8, gamma=0.7, readout="every-step")
    update = ml.update if rule == "ml" else advancing.update
    draw = torch.Generator().manual_seed(0)
    order = torch.tensor([2, 0, 3, 1])
    here, there = (advancing.init(spec, network, params, 1, 4) for _ in range(2))
    alive = read = torch.tensor([True])
    for _ in range(3):
        evidence = torch.randn(1, 4, generator=draw, dtype=torch.float64)
        score = trees.map(
            lambda leaf: torch.randn(1, 4, *leaf.shape, generator=draw, dtype=torch.float64), params
        )
        here, one = update(spec, network, here, evidence, score, alive=alive, read=read)
        permuted = trees.map(lambda leaf: leaf[:, order], score)
        there, two = update(spec, network, there, evidence[:, order], permuted, alive=alive, read=read)
        for a, b in zip(trees.leaves(one), trees.leaves(two), strict=True):
            torch.testing.assert_close(a, b)
    torch.testing.assert_close(here.log_weights[:, order], there.log_weights)


def test_the_running_sums_of_the_paper():
    network, params = make_network()
    alive = read = torch.tensor([True])
    for average in (False, True):
        spec = RuleSpec("gem", kappa=0.5, gamma=0.25, readout="every-step", average=average)
        state = advancing.init(spec, network, params, 1, 2)
        evidences = [torch.tensor([[1.0, -1.0]]).double(), torch.tensor([[0.5, 2.0]]).double()]
        for step, evidence in enumerate(evidences):
            score = trees.map(
                lambda leaf, step=step: torch.full((1, 2, *leaf.shape), step + 1.0).double(), params
            )
            state, _ = advancing.update(spec, network, state, evidence, score, alive=alive, read=read)
        new_v, new_e = (0.5, 0.75) if average else (1.0, 1.0)
        torch.testing.assert_close(state.log_weights, new_v * (0.5 * evidences[0] + evidences[1]))
        torch.testing.assert_close(
            state.eligibility.bias, torch.full_like(state.eligibility.bias, new_e * 2.25)
        )


def test_the_baseline_of_ml():
    """Three steps of one hidden neuron's bias by plain arithmetic, the last in padding."""
    network, params = make_network(inputs=1, hidden=(1,), visible=1)
    spec = RuleSpec("ml", kappa=0.5, gamma=0.25, baseline_decay=0.75)
    state = advancing.init(spec, network, params, 1, 1)
    v = e = g = signal = weight = 0.0
    for evidence, score, alive in (
        (-1.0, 0.5, True),
        (-3.0, -0.25, True),
        (2.0, 0.5, True),
        (9.0, 9.0, False),
    ):
        if alive:
            baseline = signal / weight if weight else 0.0
            v, e, g = 0.5 * v + evidence, 0.25 * e + score, 0.25 * g + baseline * score
            signal, weight = 0.75 * signal + v * e**2, 0.75 * weight + e**2
        scores = trees.map(lambda leaf, score=score: torch.full((1, 1, *leaf.shape), score).double(), params)
        living = torch.tensor([alive])
        state, step = ml.update(
            spec, network, state, torch.tensor([[evidence]]).double(), scores, alive=living, read=living
        )
        torch.testing.assert_close(step.bias, torch.tensor([v * e - g, e]).double() * alive)
    assert baseline
    torch.testing.assert_close(state.eligibility.bias, torch.full((1, 1, 2), e).double())
    kept = [float(part.bias) for part in state.baseline]
    assert kept == pytest.approx([signal, weight, g])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_memory_is_the_age_at_which_a_term_is_below_resolution(dtype):
    for gamma in (0.01, 0.5, 0.9, 0.999):
        memory = rules.memory_of(RuleSpec(gamma=gamma), dtype)
        assert gamma**memory <= torch.finfo(dtype).eps * (1 + 1e-9)
        assert gamma ** (memory - 1) > torch.finfo(dtype).eps
    assert rules.memory_of(RuleSpec(gamma=0.0), dtype) == 0
    assert rules.memory_of(RuleSpec(gamma=1.0), dtype) == 2**31 - 1


def test_reading_steps():
    alive = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    every = rules.read_steps(RuleSpec(readout="every-step"), alive, 2)
    assert torch.equal(every, alive)
    last = rules.read_steps(batch(), alive, None)
    assert [row.nonzero().flatten().tolist() for row in last] == [[5], [3]]
    fours = rules.read_steps(batch(), alive, 4)
    assert [row.nonzero().flatten().tolist() for row in fours] == [[3, 5], [3]]


@pytest.mark.parametrize(("kernel", "name"), [(reference, "gem-cv"), (block, "gem-cv"), (reference, "ml")])
@pytest.mark.parametrize("every", [None, 1, 3])
@pytest.mark.parametrize("readout", ["every-step", "last-step"])
def test_a_batch_averages_what_its_presentations_would_do_alone(kernel, name, every, readout):
    """With a frozen start (lr tiny) the batch's step is the mean of the single steps, padding or not."""
    network, params = make_network(topology="full")
    rows = [make_presentation(4, 3, 2, index=0), make_presentation(7, 3, 2, index=1)]
    rule = RuleSpec(name, kappa=0.9, gamma=0.8, readout=readout)
    tiny = 1e-7

    def moved(presentations):
        learned = kernel.learn(
            network,
            params,
            optimisers.init(PLAIN, params),
            Learning(rule, PLAIN, 3, every),
            collate(presentations),
            seed=5,
            lr=tiny,
        )
        return [
            (new - old) / tiny
            for new, old in zip(trees.leaves(learned.params), trees.leaves(params), strict=True)
        ]

    for both, one, two in zip(moved(rows), moved(rows[:1]), moved(rows[1:]), strict=True):
        torch.testing.assert_close(both, (one + two) / 2, rtol=1e-4, atol=1e-4)


def test_the_likelihood_rises_when_the_rule_is_followed():
    network, params = make_network(inputs=2, hidden=(1,), visible=1, scale=1.0)
    presentation = make_presentation(4, 2, 1, rate=0.6)
    start = float(log_likelihood(network, params, presentation))
    for number in range(40):
        step, _ = direction(network, params, presentation, batch("gem-cv"), 50, index=number)
        params = trees.map(lambda leaf, slope: leaf + 0.2 * slope, params, step)
    assert float(log_likelihood(network, params, presentation)) > start + 0.5


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"rule": "gemm"}, "rule must be one of .*, not 'gemm'; the nearest is 'gem'"),
        ({"rule": "one_hop_cv"}, "the nearest is 'one-hop-cv'"),
        ({"rule": 3}, "rule must be a name, a function from log-weights .*, not 3"),
        ({"rule": "one-hop", "readout": "last-step"}, "the rule one-hop needs readout every-step"),
        ({"kappa": 1.1}, "kappa must be at least 0 and at most 1, not 1.1"),
        ({"gamma": -0.1}, "gamma must be at least 0"),
        ({"average": True, "kappa": 1.0}, "with average, kappa"),
        ({"rule": "ml", "baseline_decay": 1.5}, "baseline_decay must be at least 0 and at most 1"),
        ({"rule": "ml", "sparsity": -1.0}, "sparsity must be at least 0"),
        ({"rule": "ml", "sparsity": math.nan}, "sparsity must be a finite number"),
        ({"rule": "ml", "sparsity_rate": 1.0}, "sparsity_rate must be above 0 and below 1"),
        ({"rule": "gem-cv", "sparsity": 0.5}, "belongs to the rule ml alone; with gem-cv"),
    ],
)
def test_bad_rules_are_refused(numbers, words):
    with pytest.raises(InputError, match=words):
        RuleSpec(**numbers)
