"""The decoders that take what output potentials tell, against enumeration, other kinds of neurons, and time."""

from __future__ import annotations

import math

import pytest
import torch
from cases import make_network, make_presentation
from hypothesis import given
from hypothesis import strategies as st
from oracles import hidden_paths, path_log_probs

from gemsnn import kernels
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.learn.online import OnlineLearner
from gemsnn.model import logspace, neurons
from gemsnn.model.batches import collate
from gemsnn.model.neurons import BERNOULLI, CIRCUIT
from gemsnn.scoring import evaluate, mixtures, sampling
from gemsnn.types import class_target

CLASSES = 3
OUTPUTS = ("independent", "winner-take-all")


def labelled(steps: int, *, index: int = 0):
    drawn = make_presentation(steps, 2, CLASSES, index=index)
    return drawn._replace(target=class_target(drawn.label, steps, CLASSES))


def marginals(network, params, row, label):
    """``log sum_h p(h || x) p(x_c[t] | h)`` of every step, by enumeration of all hidden paths so far."""
    found, before = [], {(): 0.0}
    for steps in range(1, len(row.spikes) + 1):
        cut = row._replace(spikes=row.spikes[:steps], target=class_target(label, steps, CLASSES))
        hidden, visible = path_log_probs(network, params, cut)
        keys = [tuple(path.flatten().tolist()) for path in hidden_paths(network, steps)]
        new = torch.stack(
            [each - before[key[:-1]] for key, each in zip(keys, visible, strict=True)]
        )  # of this step alone
        found.append(torch.logsumexp(hidden + new, 0))
        before = dict(zip(keys, visible, strict=True))
    return torch.stack(found)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("decoder", ["mixture", "pooled"])
def test_answers_approach_the_exact_ones(decoder, output):
    network, params = make_network(
        inputs=2, hidden=(1,), visible=CLASSES, feedback="hidden", output=output, taps=3
    )
    kernel = kernels.choose("auto", network)[1]
    rows, many = [labelled(steps, index=i) for i, steps in enumerate((5, 2))], 10_000
    found = evaluate.predict(network, params, rows, many, kernel=kernel, seed=1, decoder=decoder).answers
    for row, got in zip(rows, found.logs, strict=True):
        steps = len(row.spikes)
        exact = torch.stack([marginals(network, params, row, c).sum() for c in range(CLASSES)])
        divisor = min(steps, 3) if decoder == "mixture" else steps
        free = sampling.free(network, params, collate([row]), many, kernel=kernel, seed=sampling.free_seed(1))
        share = torch.softmax(sampling.class_log_probs(network, free.potential), 1) * many
        # delta method: the standard error of each step's log mean exp, added over steps as if they moved together;
        # ten of them fail less often than for one seed in a million
        error = float(share.std(1).sum(1).max()) / many**0.5 / divisor
        torch.testing.assert_close(got, torch.log_softmax(exact / divisor, 0), rtol=0, atol=10 * error)


@pytest.mark.parametrize("neuron", [BERNOULLI, CIRCUIT])
def test_a_spike_alone_is_told_as_any_neuron_tells_it(neuron):
    """The short way of the two known kinds is the long way of every kind."""
    potential = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    alone = torch.eye(6, dtype=torch.float64)
    wanted = torch.stack([neuron.log_prob(each.expand(4, 5, 6), potential) for each in alone], -1)
    torch.testing.assert_close(neurons.log_prob_alone(neuron, potential), wanted)

    class Other:
        """Not one of the two, though it says the same."""

        log_prob = staticmethod(neuron.log_prob)

    torch.testing.assert_close(neurons.log_prob_alone(Other(), potential), wanted)  # type: ignore[arg-type]


@given(steps=st.integers(1, 40), memory=st.integers(3, 30), repeats=st.integers(1, 4))
def test_time_that_tells_nothing_new_changes_nothing_or_is_counted_once(steps, memory, repeats):
    """pooled: the same steps again leave the answer as it was; mixture: they count as one memory's length does."""
    network, _ = make_network(inputs=2, hidden=(1,), visible=CLASSES, feedback="hidden", taps=memory)
    each = torch.randint(-(2**40), 0, (CLASSES,), generator=torch.Generator().manual_seed(steps))
    once, again = (
        [
            mixtures.divided(decoder, network, each * number, torch.tensor(number))
            for decoder in ("pooled", "mixture")
        ]
        for number in (steps, steps * repeats)
    )
    torch.testing.assert_close(once[0], again[0], rtol=1e-12, atol=0)
    lengths = [max(number / memory, 1) for number in (steps, steps * repeats)]
    torch.testing.assert_close(once[1] / lengths[0], again[1] / lengths[1], rtol=1e-12, atol=0)


def test_nothing_observed_tells_nothing():
    network, _ = make_network(inputs=2, hidden=(1,), visible=CLASSES, feedback="hidden")
    for decoder in ("pooled", "mixture"):
        found = mixtures.divided(
            decoder, network, torch.zeros(2, CLASSES, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
        )
        assert found.tolist() == [[0.0] * CLASSES] * 2


@pytest.mark.parametrize("output", OUTPUTS)
def test_units_are_the_logarithms_of_means(output):
    network, params = make_network(inputs=2, hidden=(2,), visible=CLASSES, feedback="hidden", output=output)
    rows = collate([labelled(7, index=i) for i in range(3)])
    run = kernels.choose("auto", network)[1].rollout(network, params, rows, 4, seed=2, clamp=False)
    each = sampling.class_log_probs(network, run.potential)
    found = mixtures.units(network, run.potential)
    assert found.dtype == torch.int64
    for k in range(1, 5):
        wanted = logspace.log_mean_exp(each[:, :k], 1)
        torch.testing.assert_close(found[:, k - 1].double() * mixtures.UNIT, wanted, rtol=0, atol=1e-9)


def test_what_is_beyond_all_measure_stays_finite():
    network, _ = make_network(inputs=2, hidden=(1,), visible=CLASSES, feedback="hidden")
    potential = torch.zeros(1, 2, 4, network.spec.neurons, dtype=torch.float64)
    potential[..., -1], potential[..., -2] = 1e12, -1e12
    found = mixtures.divided(
        "pooled", network, mixtures.units(network, potential)[:, -1].sum(1), torch.tensor([4])
    )
    assert bool(found.isfinite().all())
    assert found.argmax() == CLASSES - 1


@pytest.mark.parametrize("decoder", ["mixture", "pooled"])
@pytest.mark.parametrize("cuts", [(1,) * 30, (30,), (7, 1, 13, 9)])
def test_a_stream_says_the_same_however_it_is_cut_and_where_it_goes_on(decoder, cuts):
    """To the bit: windows are sums of whole numbers."""
    network, params = make_network(
        inputs=2, hidden=(3,), visible=CLASSES, feedback="hidden", dtype=torch.float32
    )
    spec = OnlineSpec(4, window=11, seed=5, decoder=decoder, temperature=1.5)
    spikes = make_presentation(30, 2, CLASSES).spikes
    whole = OnlineLearner(network, params, spec).step(spikes)
    learner, found = OnlineLearner(network, params, spec), []
    for rows in spikes.split(list(cuts)):
        found += learner.step(rows)
        state, learner = learner.state(), OnlineLearner(network, params, spec)
        learner.restore(state)
    assert [each.label for each in found] == [each.label for each in whole]
    assert all(a.probabilities.equal(b.probabilities) for a, b in zip(found, whole, strict=True))
    assert math.isclose(float(whole[-1].probabilities.sum()), 1)
    assert len({each.label for each in whole}) > 1


@pytest.mark.parametrize("decoder", ["mixture", "pooled"])
def test_a_stream_ends_a_presentation_as_evaluation_does(decoder):
    network, params = make_network(
        inputs=2, hidden=(3,), visible=CLASSES, feedback="hidden", dtype=torch.float32
    )
    rows = [labelled(9, index=i) for i in range(4)]
    kernel = kernels.choose("auto", network)[1]
    found = evaluate.predict(network, params, rows, 5, kernel=kernel, seed=3, decoder=decoder)
    for position, row in enumerate(rows):
        spec = OnlineSpec(5, window=9, seed=3, address=row.address, decoder=decoder)
        learner = OnlineLearner(network, params, spec)
        answers = learner.step(row.spikes)
        for step, answer in enumerate(answers):
            assert answer.probabilities.equal(found.by_time.probabilities[step, position])
        assert learner.activity is not None
        assert learner.activity.told is not None
        shares = torch.softmax(learner.activity.told[:, -1], -1)
        torch.testing.assert_close(shares, found.by_compartments.probabilities[:, position])
