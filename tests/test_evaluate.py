import numpy as np
import pytest
import torch
from cases import make_network, make_presentation
from oracles import log_likelihood as exact_log_likelihood

from gemsnn import baseline, evaluate, kernels, metrics, rng, sampling
from gemsnn.types import collate


@pytest.fixture(scope="module")
def situation():
    network, params = make_network(hidden=(3,), visible=3, feedback="hidden")
    rows = [make_presentation(steps, 3, 3, index=i) for i, steps in enumerate((6, 9, 4, 9, 7))]
    return kernels.choose("auto", network)[1], network, params, rows


def test_log_likelihood_approaches_the_exact_one():
    network, params = make_network(inputs=2, hidden=(1,), visible=1, topology="full")
    kernel = kernels.choose("auto", network)[1]
    rows = [make_presentation(steps, 2, 1, index=i) for i, steps in enumerate((4, 3))]
    found = evaluate.log_likelihood(kernel, network, params, rows, 20_000, seed=1)
    for row, presentation in zip(found, rows, strict=True):
        # delta method: the standard error of log mean exp; 5 of them fail for one seed in a million
        share = torch.softmax(row, 0) * len(row)
        error = float(share.std()) / len(row) ** 0.5
        exact = float(exact_log_likelihood(network, params, presentation))
        assert abs(float(metrics.log_mean_exp(row, 0)) - exact) < 5 * error


def test_compartments_and_batches_do_not_change_the_numbers(situation):
    few = evaluate.predict(*situation, 2, seed=3, batch=2)
    many = evaluate.predict(*situation, 6, seed=3, batch=5)
    assert torch.equal(few.votes, many.votes[:, :2])
    weights = evaluate.log_likelihood(*situation, 2, seed=3, batch=1)
    torch.testing.assert_close(weights, evaluate.log_likelihood(*situation, 6, seed=3, batch=5)[:, :2])
    assert few.labels.tolist() == [row.label for row in situation[3]]


def test_votes_follow_the_counts_and_stand_after_the_end():
    batch = collate([make_presentation(3, 1, 3, index=0), make_presentation(5, 1, 3, index=1)])
    visible = torch.zeros(2, 1, 5, 3, dtype=torch.uint8)
    visible[0, 0, 0, 2] = visible[0, 0, 1, 1] = visible[0, 0, 2, 1] = 1
    visible[1, 0, 2:, 0] = 1
    votes = sampling.votes(visible, batch, seed=0)
    assert votes[0, 0].tolist()[:1] == [2]
    assert votes[0, 0, 1] in (1, 2)
    assert votes[0, 0, 2:].tolist() == [1, 1, 1]
    assert votes[1, 0, 2:].tolist() == [0, 0, 0]


def test_ties_are_broken_evenly():
    batch = collate([make_presentation(1, 1, 4, index=i) for i in range(400)])
    votes = sampling.votes(torch.zeros(400, 10, 1, 4), batch, seed=0)
    counts = np.bincount(votes.flatten(), minlength=4)
    # chi-squared with 3 degrees of freedom: fails for one seed in a million
    assert ((counts - 1000) ** 2 / 1000).sum() < 30.7


def test_scores_hang_together(situation):
    _, network, _, rows = situation
    found = evaluate.predict(*situation, 6, seed=3)
    scores = evaluate.score(network, found, evaluate.log_likelihood(*situation, 6, seed=3), bin_us=25_000)
    assert scores["presentations"] == len(rows)
    assert [row["compartments"] for row in scores["by_compartments"]] == [1, 2, 3, 4, 5, 6]
    assert scores["by_time"][-1]["ms"] == 9 * 25
    for name in ("accuracy", "nll", "brier", "ece"):
        assert scores[name] == scores["by_compartments"][-1][name] == scores["by_time"][-1][name]
    assert sum(cell["count"] for cell in scores["reliability"]) == len(rows)
    assert np.sum(scores["confusion"]) == pytest.approx(len(rows))
    assert np.trace(scores["confusion"]) / len(rows) == pytest.approx(scores["accuracy"])
    share = found.votes[:, :, -1].eq(found.labels[:, None]).double().mean(1)
    assert scores["nll"] == pytest.approx(-float(torch.log((6 * share + 1 / 3) / 7).mean()))
    assert evaluate.scalars_per_step(network, 6) == {"up": 18, "down": 36}


def test_activity_counts_spikes_and_synapses(situation):
    kernel, network, params, rows = situation
    found = evaluate.predict(*situation, 4, seed=3).activity
    spikes = [
        kernel.rollout(
            network, params, collate([r]), 4, seed=rng.derive(3, "prediction"), clamp=False
        ).spikes[0]
        for r in rows
    ]
    steps = sum(len(r.spikes) for r in rows)
    assert found.inputs == pytest.approx(sum(int(r.spikes.sum()) for r in rows) / steps / 3)
    assert found.hidden == pytest.approx(sum(int(s[..., :3].sum()) for s in spikes) / steps / 4 / 3)
    assert found.visible == pytest.approx(sum(int(s[..., 3:].sum()) for s in spikes) / steps / 4 / 3)
    # an input reaches six neurons; a hidden neuron five others and itself; a visible neuron nobody
    assert found.operations == pytest.approx(3 * found.inputs * 6 + 3 * found.hidden * 6)


def test_the_example_shows_what_was_counted(situation):
    found = evaluate.predict(*situation, 4, seed=3)
    shown = evaluate.example(*situation, 1, 4, seed=3)
    assert torch.equal(shown.votes, found.votes[1, :, -1])
    assert shown.inputs.shape == (9, 3)
    assert shown.hidden.shape == shown.visible.shape == (4, 9, 3)


def counts(labels: list[int], seed: int) -> baseline.Counts:
    draw = np.random.default_rng(seed)
    rates = 1 + 8 * np.eye(4)[labels]
    return baseline.Counts(draw.poisson(rates), np.array(labels))


def test_the_baseline_learns_and_admits_classes_it_never_saw():
    train, validation, test = (
        counts([0, 1, 2] * 30, 0),
        counts([0, 1, 2] * 5, 1),
        counts([0, 1, 2, 3] * 10, 2),
    )
    found = baseline.probabilities(train, validation, test, 4)
    torch.testing.assert_close(found.sum(1), torch.ones(40, dtype=torch.float64))
    assert metrics.accuracy(found[test.labels < 3], torch.from_numpy(test.labels[test.labels < 3])) > 0.9
    assert found.min() > 0
    scores = evaluate.probability_scores(found, torch.from_numpy(test.labels))
    assert np.isfinite(scores["nll"])


def test_the_baseline_of_a_single_class():
    one = counts([2] * 5, 0)
    found = baseline.probabilities(one, one, one, 4)
    assert found[:, 2].tolist() == pytest.approx([(5 + 1 / 4) / 6] * 5)
