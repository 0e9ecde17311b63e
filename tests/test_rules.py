import pytest
import torch
from cases import make_network, make_presentation
from oracles import expected_bound, gradient, log_likelihood
from scipy import stats

from gemsnn import metrics, optimisers, rules
from gemsnn.kernels import Learning, block, reference
from gemsnn.network import Params
from gemsnn.optimisers import OptimiserSpec
from gemsnn.rules import RULES, RuleSpec
from gemsnn.types import InputError, collate

PLAIN = OptimiserSpec("sgd", lr=1.0)


def batch_gem(rule="gem-cv"):
    """No forgetting and one reading at the end: the exact batch rule."""
    return RuleSpec(rule, kappa=1.0, gamma=1.0, readout="last-step")


def direction(
    network, params, presentation, rule, compartments, *, seed=0, kernel=reference, index=0, every=None
):
    """What one presentation adds to the parameters at lr = 1."""
    batch = collate([presentation._replace(address=index)])
    learned = kernel.learn(
        network,
        params,
        optimisers.init(PLAIN, params),
        Learning(rule, PLAIN, compartments, every),
        batch,
        seed=seed,
        lr=1.0,
    )
    return Params(*(new - old for new, old in zip(learned.params, params, strict=True))), learned


@pytest.mark.parametrize("rule", ["gem", "gem-cv"])
@pytest.mark.parametrize("topology", ["layered", "full"])
def test_expected_step_is_the_exact_gradient(rule, topology):
    """Batch GEM at K = 4000, 30 times, against enumeration.

    All parameters' deviations in standard errors must stay under a bound that a right rule exceeds for one
    seed in 100,000 (Bonferroni over parameters, Student's t with 29 degrees of freedom). The bias of the
    self-normalised estimate, of order 1/K, is far below a standard error of order 1/sqrt(30 K).
    """
    network, params = make_network(inputs=2, hidden=(1,), visible=1, topology=topology, scale=2.0)
    presentation = make_presentation(4, 2, 1, rate=0.6)
    exact = gradient(network, params, presentation)
    runs = [direction(network, params, presentation, batch_gem(rule), 4000, index=i)[0] for i in range(30)]
    found = torch.stack([torch.cat([leaf.flatten() for leaf in run]) for run in runs])
    want = torch.cat([leaf.flatten() for leaf in exact])
    learned = found.std(0) > 0
    assert learned.sum() >= 8
    assert not want[~learned].any()
    error = found.std(0)[learned] / 30**0.5
    z = (found.mean(0)[learned] - want[learned]) / error
    assert z.abs().max() < stats.t.isf(1e-5 / 2 / len(z), df=29)
    # the test would see a gradient that is wrong by a tenth of its size
    assert (error / want[learned].abs().clamp(min=1e-3)).median() < 0.1


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
    batch = collate([presentation._replace(address=i) for i in range(4000)])
    learned = block.learn(
        network,
        params,
        optimisers.init(PLAIN, params),
        Learning(batch_gem(), PLAIN, compartments),
        batch,
        seed=3,
        lr=0.0,
    )
    bound = metrics.log_mean_exp(learned.log_likelihood, 1)
    exact = float(expected_bound(network, params, presentation, compartments))
    # 4.9 standard errors: fails for one seed in a million
    assert abs(float(bound.mean()) - exact) < 4.9 * float(bound.std()) / 4000**0.5


def test_one_compartment_teaches_visible_neurons_only_under_the_control_variate():
    network, params = make_network()
    presentation = make_presentation(6, 3, 2)
    moved, _ = direction(network, params, presentation, batch_gem("gem-cv"), 1)
    assert not moved.weight[:2].any()
    assert not moved.bias[:2].any()
    assert moved.weight[2:].any()
    plain, _ = direction(network, params, presentation, batch_gem("gem"), 1)
    torch.testing.assert_close(plain.weight[2:], moved.weight[2:])
    assert plain.weight[:2].any()


def test_hidden_signals_of_the_control_variate_sum_to_zero():
    signal = RULES["gem-cv"](torch.tensor([[0.3, -2.0, 5.0]]))
    torch.testing.assert_close(signal.hidden.sum(1), torch.zeros(1), atol=1e-7, rtol=0)
    torch.testing.assert_close(signal.visible, torch.softmax(torch.tensor([[0.3, -2.0, 5.0]]), 1))


@pytest.mark.parametrize("rule", ["gem", "gem-cv"])
def test_permuting_compartments_changes_nothing(rule):
    network, params = make_network()
    spec = RuleSpec(rule, kappa=0.8, gamma=0.7, readout="every-step")
    draw = torch.Generator().manual_seed(0)
    order = torch.tensor([2, 0, 3, 1])
    here, there = (rules.init(network, params, 1, 4) for _ in range(2))
    alive = read = torch.tensor([True])
    for _ in range(3):
        evidence = torch.randn(1, 4, generator=draw, dtype=torch.float64)
        score = Params(
            *(torch.randn(1, 4, *leaf.shape, generator=draw, dtype=torch.float64) for leaf in params)
        )
        here, one = rules.update(spec, network, here, evidence, score, alive=alive, read=read)
        permuted = Params(*(leaf[:, order] for leaf in score))
        there, two = rules.update(spec, network, there, evidence[:, order], permuted, alive=alive, read=read)
        for a, b in zip(one, two, strict=True):
            torch.testing.assert_close(a, b)
    torch.testing.assert_close(here.log_weights[:, order], there.log_weights)


def test_the_running_sums_of_the_paper():
    network, params = make_network()
    alive = read = torch.tensor([True])
    for average in (False, True):
        spec = RuleSpec("gem", kappa=0.5, gamma=0.25, readout="every-step", average=average)
        state = rules.init(network, params, 1, 2)
        evidences = [torch.tensor([[1.0, -1.0]]).double(), torch.tensor([[0.5, 2.0]]).double()]
        for step, evidence in enumerate(evidences):
            score = Params(*(torch.full((1, 2, *leaf.shape), step + 1.0).double() for leaf in params))
            state, _ = rules.update(spec, network, state, evidence, score, alive=alive, read=read)
        new_v, new_e = (0.5, 0.75) if average else (1.0, 1.0)
        torch.testing.assert_close(state.log_weights, new_v * (0.5 * evidences[0] + evidences[1]))
        torch.testing.assert_close(
            state.eligibility.bias, torch.full_like(state.eligibility.bias, new_e * 2.25)
        )


def test_reading_steps():
    alive = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    every = rules.read_steps(RuleSpec(readout="every-step"), alive, 2)
    assert torch.equal(every, alive)
    last = rules.read_steps(batch_gem(), alive, None)
    assert [row.nonzero().flatten().tolist() for row in last] == [[5], [3]]
    fours = rules.read_steps(batch_gem(), alive, 4)
    assert [row.nonzero().flatten().tolist() for row in fours] == [[3, 5], [3]]


@pytest.mark.parametrize("kernel", [reference, block])
@pytest.mark.parametrize("every", [None, 1, 3])
@pytest.mark.parametrize("readout", ["every-step", "last-step"])
def test_a_batch_averages_what_its_presentations_would_do_alone(kernel, every, readout):
    """With a frozen start (lr tiny) the batch's step is the mean of the single steps, padding or not."""
    network, params = make_network(topology="full")
    rows = [make_presentation(4, 3, 2, index=0), make_presentation(7, 3, 2, index=1)]
    rule = RuleSpec("gem-cv", kappa=0.9, gamma=0.8, readout=readout)
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
        return [(new - old) / tiny for new, old in zip(learned.params, params, strict=True)]

    for both, one, two in zip(moved(rows), moved(rows[:1]), moved(rows[1:]), strict=True):
        torch.testing.assert_close(both, (one + two) / 2, rtol=1e-4, atol=1e-4)


def test_the_likelihood_rises_when_the_rule_is_followed():
    network, params = make_network(inputs=2, hidden=(1,), visible=1, scale=1.0)
    presentation = make_presentation(4, 2, 1, rate=0.6)
    start = float(log_likelihood(network, params, presentation))
    for number in range(40):
        step, _ = direction(network, params, presentation, batch_gem("gem-cv"), 50, index=number)
        params = Params(*(leaf + 0.2 * slope for leaf, slope in zip(params, step, strict=True)))
    assert float(log_likelihood(network, params, presentation)) > start + 0.5


@pytest.mark.parametrize("numbers", [{"kappa": 1.1}, {"gamma": -0.1}, {"average": True, "kappa": 1.0}])
def test_bad_rules_are_refused(numbers):
    with pytest.raises(InputError):
        RuleSpec(**numbers)
