import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest
import torch
from cases import make_network, make_presentation
from oracles import log_likelihood as exact_log_likelihood

from gemsnn import kernels, rng
from gemsnn.errors import InputError
from gemsnn.kernels import KERNELS, Kernel
from gemsnn.model import logspace
from gemsnn.model import network as networks
from gemsnn.model.batches import collate
from gemsnn.model.network import Network, NetworkSpec, Params
from gemsnn.scoring import baseline, evaluate, measure, metrics, sampling
from gemsnn.scoring.answers import Answers, Decoder, check_decoder, likelihood_answers, rate_answers
from gemsnn.scoring.scores import Extreme, Extremes, Kept, Messages, Mute, plain
from gemsnn.types import Presentation, class_target


def labelled(steps: int, inputs: int, classes: int, *, index: int) -> Presentation:
    """A random presentation whose target is that of its class."""
    drawn = make_presentation(steps, inputs, classes, index=index)
    return drawn._replace(target=class_target(drawn.label, steps, classes))


class Situation(NamedTuple):
    network: Network
    params: Params
    rows: list[Presentation]
    kernel: Kernel


def ask(function: Callable[..., Any], situation: Situation, *more: int, **how: Any) -> Any:
    """A function of :mod:`gemsnn.scoring.evaluate` of this network and these recordings."""
    network, params, rows, kernel = situation
    return function(network, params, rows, *more, kernel=kernel, **how)


@pytest.fixture(scope="module")
def situation() -> Situation:
    network, params = make_network(hidden=(3,), visible=3, feedback="hidden")
    rows = [labelled(steps, 3, 3, index=i) for i, steps in enumerate((6, 9, 4, 9, 7))]
    return Situation(network, params, rows, kernels.choose("auto", network)[1])


def test_log_likelihood_approaches_the_exact_one():
    network, params = make_network(inputs=2, hidden=(1,), visible=1, topology="full")
    kernel = kernels.choose("auto", network)[1]
    rows = [make_presentation(steps, 2, 1, index=i) for i, steps in enumerate((4, 3))]
    found = evaluate.log_likelihood(network, params, rows, 20_000, kernel=kernel, seed=1)
    for row, presentation in zip(found, rows, strict=True):
        # delta method: the standard error of log mean exp; 5 of them fail for one seed in a million
        share = torch.softmax(row, 0) * len(row)
        error = float(share.std()) / len(row) ** 0.5
        exact = float(exact_log_likelihood(network, params, presentation))
        assert abs(float(logspace.log_mean_exp(row, 0)) - exact) < 5 * error


def test_compartments_and_batches_do_not_change_the_numbers(situation: Situation):
    few = ask(evaluate.predict, situation, 2, seed=3, batch=2)
    many = ask(evaluate.predict, situation, 6, seed=3, batch=5)
    assert torch.equal(few.votes, many.votes[:, :2])
    weights = ask(evaluate.log_likelihood, situation, 2, seed=3, batch=1)
    torch.testing.assert_close(weights, ask(evaluate.log_likelihood, situation, 6, seed=3, batch=5)[:, :2])
    assert few.labels.tolist() == [row.label for row in situation.rows]


def test_votes_follow_the_counts_and_stand_after_the_end():
    batch = collate([make_presentation(3, 1, 3, index=0), make_presentation(5, 1, 3, index=1)])
    visible = torch.zeros(2, 1, 5, 3, dtype=torch.uint8)
    visible[0, 0, 0, 2] = visible[0, 0, 1, 1] = visible[0, 0, 2, 1] = 1
    visible[1, 0, 2:, 0] = 1
    votes = sampling.votes(sampling.spike_counts(visible, batch), batch, seed=0)
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


@pytest.mark.parametrize("decoder", ["votes", "rates", "likelihood"])
def test_scores_hang_together(situation: Situation, decoder):
    network, _, rows, _ = situation
    found = ask(evaluate.predict, situation, 6, seed=3, decoder=decoder)
    weights = ask(evaluate.log_likelihood, situation, 6, seed=3)
    temperatures = [1.0, 0.5, 1.0, 1.0, 1.0, 2.0]
    scores = measure.score(network, found, weights, bin_us=25_000, temperatures=temperatures)
    assert scores.decoder == decoder
    assert scores.presentations == len(rows)
    assert [row.compartments for row in scores.by_compartments] == [1, 2, 3, 4, 5, 6]
    assert scores.by_time[-1].ms == 9 * 25
    size = (found.answers.probabilities.sort(descending=True).values.cumsum(1) < 0.95 - 1e-12).sum(1) + 1
    assert scores.by_time[-1].set_size == pytest.approx(float(size.double().mean()))
    for name in ("accuracy", "nll", "brier", "ece"):
        assert getattr(scores, name) == getattr(scores.by_compartments[-1], name)
        last = getattr(scores.by_time[-1], name)
        assert getattr(scores, name) == pytest.approx(last, rel=1e-12)  # sums in another order
    assert sum(cell.count for cell in scores.reliability) == len(rows)
    assert np.sum(scores.confusion) == pytest.approx(len(rows))
    assert np.trace(scores.confusion) / len(rows) == pytest.approx(scores.accuracy)
    assert measure.messages(network, 6) == Messages(up=18, down=36)
    warm = (probabilities := found.answers.logs.exp() ** 0.5) / probabilities.sum(1, keepdim=True)
    assert [row.tempered.temperature for row in scores.by_compartments] == temperatures
    assert plain(scores.tempered).items() >= plain(scores.by_compartments[-1].tempered).items()
    assert sum(cell.count for cell in scores.tempered.reliability) == len(rows)
    assert scores.tempered.selective[-1] == Kept(1.0, scores.accuracy)
    for name, value in plain(measure.answer_scores(Answers(warm, warm.log()), found.labels)).items():
        assert getattr(scores if name == "accuracy" else scores.tempered, name) == pytest.approx(value)


def test_every_number_of_compartments_gets_its_temperature(situation: Situation):
    held = ask(evaluate.predict, situation, 4, seed=3, decoder="likelihood")
    found = measure.fitted_temperatures(held)
    assert len(found) == 4
    few = ask(evaluate.predict, situation, 2, seed=3, decoder="likelihood")
    assert found[1] == pytest.approx(metrics.fitted_temperature(few.answers.logs, few.labels))


def test_the_nll_of_votes_is_that_of_one_more_even_vote(situation: Situation):
    found = ask(evaluate.predict, situation, 6, seed=3)
    share = found.votes[:, :, -1].eq(found.labels[:, None]).double().mean(1)
    expected = -float(torch.log((6 * share + 1 / 3) / 7).mean())
    assert measure.answer_scores(found.answers, found.labels).nll == pytest.approx(expected)


def test_rates_are_the_shares_of_all_output_spikes(situation: Situation):
    """Also of the first compartments and steps; spread evenly where no output neuron has spiked."""
    network, params, rows, kernel = situation
    found = ask(evaluate.predict, situation, 6, seed=3, decoder="rates")
    batch = networks.batch(network, rows)
    free = sampling.free(network, params, batch, 6, kernel=kernel, seed=sampling.free_seed(3))
    counts = (free.spikes[..., -3:] * batch.observed[:, None, :, None]).double().cumsum(2)
    for k in (1, 4, 6):
        n = counts[:, :k, -1].sum(1)
        wanted = torch.where(n.sum(1, keepdim=True) > 0, n / n.sum(1, keepdim=True), 1 / 3)
        torch.testing.assert_close(found.by_compartments.at(k - 1).probabilities, wanted)
        torch.testing.assert_close(
            found.by_compartments.at(k - 1).logs, ((n + 1 / 3) / (n.sum(1, keepdim=True) + 1)).log()
        )
    n = counts[:, :, 4].sum(1)
    torch.testing.assert_close(found.by_time.at(4).probabilities, n / n.sum(1, keepdim=True))
    even = rate_answers(torch.zeros(1, 1, 4, dtype=torch.int64)).at(0)
    torch.testing.assert_close(even.probabilities, torch.full((1, 4), 0.25, dtype=torch.float64))
    torch.testing.assert_close(even.logs.exp(), even.probabilities)


@pytest.mark.parametrize("decoder", ["votes", "rates", "likelihood"])
def test_what_each_compartment_and_hidden_neuron_did_is_counted_in_the_observed_steps(
    situation: Situation, decoder
):
    """By loops over the spikes; recordings of several lengths, a warm-up, and batches of two."""
    network, params, rows, kernel = situation
    network = warmed(network, 0.4)
    found = evaluate.predict(network, params, rows, 5, kernel=kernel, seed=3, decoder=decoder, batch=2)
    assert found.spoken.shape == (len(rows), 5, 3)
    assert found.hidden.shape == (len(rows), network.spec.hidden_neurons)
    for at, row in enumerate(rows):
        one = evaluate.example(network, params, rows, at, 5, kernel=kernel, seed=3)
        first = int(0.4 * len(row.spikes))
        assert torch.equal(found.spoken[at], one.visible[:, first:].long().sum(1))
        torch.testing.assert_close(found.hidden[at], one.hidden[:, first:].double().mean((0, 1)))
        assert found.came[at] == row.spikes[first:].sum()


def silence(row: Presentation, kept: int) -> Presentation:
    """The recording with its first so many input spikes alone."""
    spikes = row.spikes.flatten()
    spikes = torch.where(spikes.cumsum(0) <= kept, spikes, 0)
    return row._replace(spikes=spikes.reshape(row.spikes.shape).to(torch.uint8))


@pytest.mark.parametrize("decoder", ["votes", "rates", "likelihood"])
def test_a_silent_recording_gets_no_answer(situation: Situation, decoder):
    """Exactly uniform, by compartments and by time; the others' answers stay as they were."""
    network, params, rows, kernel = situation
    kept = [0, 1, 2, 3, 7]
    rows = [silence(row, k) for row, k in zip(rows, kept, strict=True)]
    came = [int(row.spikes.sum()) for row in rows]
    assert came == kept
    given = Situation(network, params, rows, kernel)
    heard = ask(evaluate.predict, given, 6, seed=3, decoder=decoder, least_spikes=0)
    assert not heard.silent.any()
    found = ask(evaluate.predict, given, 6, seed=3, decoder=decoder, least_spikes=3, batch=2)
    assert found.silent.tolist() == [True, True, True, False, False]
    for answers, whole in zip(found.by_compartments, heard.by_compartments, strict=True):
        assert torch.equal(answers[:, 3:], whole[:, 3:])
    assert (found.by_compartments.probabilities[:, :3] == 1 / 3).all()
    torch.testing.assert_close(
        found.by_compartments.logs[:, :3].exp(), found.by_compartments.probabilities[:, :3]
    )
    for i, row in enumerate(rows):
        so_far = row.spikes.sum(1).cumsum(0)
        for t in range(9):
            answer = found.by_time.at(t)
            if so_far[min(t, len(so_far) - 1)] < 3:
                assert (answer.probabilities[i] == 1 / 3).all()
                assert (answer.logs[i] == -np.log(3)).all()
            else:
                assert torch.equal(answer.probabilities[i], heard.by_time.at(t).probabilities[i])
    scores = measure.score(
        network, found, ask(evaluate.log_likelihood, given, 6, seed=3), bin_us=1000, temperatures=[1.0] * 6
    )
    assert scores.silent == 3
    answered = metrics.correctness(found.answers.probabilities[3:], found.labels[3:])
    assert scores.accuracy == pytest.approx((3 * 1 / 3 + float(answered.sum())) / 5)
    usual = ask(evaluate.predict, given, 6, seed=3, decoder=decoder)
    assert usual.silent.tolist() == [True, False, False, False, False]


def test_spikes_before_the_observed_window_do_not_count(situation: Situation):
    network, params, rows, kernel = situation
    early = torch.zeros_like(rows[1].spikes)
    early[:4] = 1
    rows = [rows[1]._replace(spikes=early)]
    steps = len(early)
    silent = []
    for begin in (0, 3, 4):
        late = warmed(network, begin / steps)
        found = evaluate.predict(late, params, rows, 2, kernel=kernel, seed=3, least_spikes=3)
        silent += found.silent.tolist()
        assert begin != 3 or (found.by_time.at(2).probabilities[0] == 1 / 3).all()
    assert silent == [False, False, True]  # 12, 3 and 0 spikes


def warmed(network: Network, warm_up: float) -> Network:
    """The same with this warm-up."""
    return network._replace(spec=dataclasses.replace(network.spec, warm_up=warm_up))


def test_how_many_spikes_are_worth_an_answer():
    network, _ = make_network(inputs=10)

    def having(came: int) -> Presentation:
        spikes = torch.zeros(30, 10, dtype=torch.uint8)
        spikes.view(-1)[300 - came :] = 1
        return Presentation(spikes, class_target(0, 30, 2), 0, 0)

    assert evaluate.least_spikes_of(network, [having(0)]) == 1
    assert evaluate.least_spikes_of(network, [having(140)]) == 7
    assert evaluate.least_spikes_of(network, [having(141)]) == 8
    assert evaluate.least_spikes_of(network, [having(7), having(100), having(140), having(300)]) == 6
    # what is learned of the quiet is no silence, and of what holds nothing, nothing is learned
    assert evaluate.least_spikes_of(network, [having(3), having(100), having(140), having(300)]) == 3
    assert evaluate.least_spikes_of(network, [having(0), having(100), having(140), having(300)]) == 6
    assert evaluate.least_spikes_of(warmed(network, 0.5), [having(300)]) == 8  # 150 of them are observed
    with pytest.raises(InputError, match="no presentations"):
        evaluate.least_spikes_of(network, [])


@pytest.mark.parametrize("decoder", get_args(Decoder))
def test_answers_of_the_first_compartments_and_steps(situation: Situation, decoder):
    """Each entry is what fewer compartments, or a shorter recording, would have answered."""
    network, params, rows, kernel = situation
    found = ask(evaluate.predict, situation, 6, seed=3, decoder=decoder, batch=2)
    for k in (1, 4):
        few = ask(evaluate.predict, situation, k, seed=3, decoder=decoder, batch=5).answers
        for ours, theirs in zip(found.by_compartments.at(k - 1), few, strict=True):
            torch.testing.assert_close(ours, theirs)
    cut = [row._replace(spikes=row.spikes[:5], target=row.target[:5]) for row in rows]
    short = evaluate.predict(network, params, cut, 6, kernel=kernel, seed=3, decoder=decoder).answers
    torch.testing.assert_close(found.by_time.at(4).probabilities, short.probabilities)
    for ours, theirs in zip(found.by_time.at(-1), found.answers, strict=True):
        torch.testing.assert_close(ours, theirs)
    total = found.by_time.probabilities.sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_likelihood_answers_approach_the_exact_ones():
    """``p(c)`` proportional to ``sum_h p(h || x) p(x_c || h)``, summed over every hidden path."""
    network, params = make_network(inputs=2, hidden=(1,), visible=3, feedback="hidden")
    kernel = kernels.choose("auto", network)[1]
    rows = [labelled(steps, 2, 3, index=i) for i, steps in enumerate((5, 4))]
    paths = 10_000
    found = evaluate.predict(
        network, params, rows, paths, kernel=kernel, seed=1, decoder="likelihood"
    ).answers
    for row, got in zip(rows, found.logs, strict=True):
        steps = len(row.spikes)
        exact = torch.stack(
            [
                exact_log_likelihood(network, params, row._replace(target=class_target(c, steps, 3)))
                for c in range(3)
            ]
        )
        free = sampling.free(
            network, params, collate([row]), paths, kernel=kernel, seed=rng.derive(1, "prediction")
        )
        evidence = sampling.class_evidence(network, free.potential, collate([row]))[0, :, -1]
        # delta method: the standard error of log mean exp of each class, and so at most twice the largest of log p(c);
        # 5 of them fail for one seed in a million
        error = float((torch.softmax(evidence, 0) * paths).std(0).max()) / paths**0.5
        torch.testing.assert_close(got, torch.log_softmax(exact, 0), rtol=0, atol=10 * error)


@pytest.mark.parametrize("output", ["independent", "winner-take-all"])
@pytest.mark.parametrize("name", KERNELS)
def test_class_evidence_is_what_a_clamped_run_finds(situation: Situation, name, output):
    """With the same noise, for no potential depends on visible spikes."""
    network, params = make_network(hidden=(3,), visible=3, feedback="hidden", output=output)
    rows = situation.rows
    begin = torch.arange(len(rows)) % 3
    kernel, batch = kernels.choose(name, network)[1], collate(rows)._replace(begin=begin)
    free = sampling.free(network, params, batch, 3, kernel=kernel, seed=5)
    evidence = sampling.class_evidence(network, free.potential, batch)
    for c in range(3):
        relabelled = collate([row._replace(target=class_target(c, len(row.spikes), 3)) for row in rows])
        clamped = sampling.clamped(
            network, params, relabelled._replace(begin=begin), 3, kernel=kernel, seed=5
        )
        torch.testing.assert_close(evidence[:, :, -1, c], clamped)


def heard(spec: NetworkSpec, listener: int) -> Network:
    """A layered network in which one neuron hears the last visible one."""
    mask = networks.build(spec).mask.clone()
    mask[listener, -1] = True
    return networks.build(spec, mask=mask)


def test_likelihood_needs_visible_neurons_that_nobody_hears():
    quiet, _ = make_network(hidden=(3,), visible=2, feedback="hidden")
    check_decoder("likelihood", quiet)
    check_decoder("likelihood", make_network(topology="feedforward", feedback="none")[0])
    for network in (
        make_network(topology="full", feedback="hidden")[0],
        make_network(feedback="all")[0],
        heard(quiet.spec, 0),
        heard(quiet.spec, 3),
    ):
        check_decoder("votes", network)
        with pytest.raises(InputError, match="no neuron hears a visible neuron"):
            check_decoder("likelihood", network)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"compartments": 0}, "compartments must be at least 1"),
        ({"compartments": 2.0}, "compartments must be a whole number, not 2.0"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": "1"}, "seed must be a whole number"),
        ({"presentations": []}, "presentations must be one or more"),
        (
            {"decoder": "vote"},
            "decoder must be one of 'votes', 'rates', 'mixture', 'pooled', 'likelihood', not 'vote'; the nearest is "
            "'votes'",
        ),
        ({"least_spikes": -1}, "least_spikes must be at least 0"),
    ],
)
def test_arguments_out_of_range(situation: Situation, changed, said):
    given = {**situation._asdict(), "compartments": 2, "seed": 0}
    given["presentations"] = given.pop("rows")
    with pytest.raises(InputError, match=said):
        evaluate.predict(**(given | changed))
    if not changed.keys() & {"decoder", "least_spikes"}:
        with pytest.raises(InputError, match=said):
            evaluate.log_likelihood(**(given | changed))


def test_what_does_not_fit_the_network(situation: Situation):
    network, params, rows, kernel = situation
    wide, visible = labelled(5, 4, 3, index=0), labelled(5, 3, 2, index=0)
    other = params._replace(bias=params.bias[:-1])
    for run in (evaluate.predict, evaluate.log_likelihood):
        with pytest.raises(InputError, match="the presentations have 4 inputs and the network 3"):
            run(network, params, [wide], 2, kernel=kernel, seed=0)
        with pytest.raises(InputError, match="the presentations have 2 visible neurons and the network 3"):
            run(network, params, [visible], 2, kernel=kernel, seed=0)
        with pytest.raises(InputError, match="the parameter bias is"):
            run(network, other, rows, 2, kernel=kernel, seed=0)
    found = ask(evaluate.predict, situation, 2, seed=0)
    weights = ask(evaluate.log_likelihood, situation, 2, seed=0)
    for given, temperatures, said in (
        (weights[:, :1], [1.0, 1.0], r"log_weights must be \[5, 2\]"),
        (weights, [1.0], "temperatures must be 2, .* not 1"),
    ):
        with pytest.raises(InputError, match=said):
            measure.score(network, found, given, bin_us=1000, temperatures=temperatures)
    with pytest.raises(InputError, match="position must be at least 0 and at most 4, not 5"):
        ask(evaluate.example, situation, 5, 2, seed=0)


def test_likelihood_needs_the_targets_of_classes(situation: Situation):
    network, params, rows, kernel = situation
    odd = [*rows[:-1], rows[-1]._replace(target=1 - rows[-1].target)]
    evaluate.predict(network, params, odd, 2, kernel=kernel, seed=3)
    with pytest.raises(InputError, match="targets are those of their classes"):
        evaluate.predict(network, params, odd, 2, kernel=kernel, seed=3, decoder="likelihood")


def test_certain_answers_stay_finite():
    evidence = torch.tensor([[[0.0, -1e4, -2e4]], [[-1e4, 0.0, -1e4]]], dtype=torch.float64)
    answers = likelihood_answers(evidence).at(0)
    assert answers.probabilities.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert measure.answer_scores(answers, torch.tensor([0, 2])).nll == pytest.approx(5000)
    warm = measure.tempered_scores(answers, torch.tensor([0, 2]), 1e4)
    assert warm.nll == pytest.approx(
        (np.log(1 + np.exp(-1) + np.exp(-2)) + 1 + np.log(1 + 2 * np.exp(-1))) / 2
    )


def test_activity_counts_spikes_and_synapses(situation: Situation):
    network, params, rows, kernel = situation
    found = ask(evaluate.predict, situation, 4, seed=3).activity
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


def test_the_example_shows_what_was_counted(situation: Situation):
    found = ask(evaluate.predict, situation, 4, seed=3)
    shown = ask(evaluate.example, situation, 1, 4, seed=3)
    assert torch.equal(shown.votes, found.votes[1, :, -1])
    assert torch.equal(shown.course, found.votes[1])
    assert shown.inputs.shape == (9, 3)
    assert shown.hidden.shape == shown.visible.shape == (4, 9, 3)


def test_the_presentations_whose_votes_differ_most_and_least():
    votes = torch.tensor([[0, 0, 1, 1], [2, 2, 2, 2], [0, 1, 2, 0], [1, 1, 1, 1]])
    assert measure.extremes(votes, metrics.vote_shares(votes, 3)) == Extremes(
        Extreme(2, 0, pytest.approx(-(0.5 * np.log(0.5) + 0.5 * np.log(0.25)))), Extreme(1, 2, 0.0)
    )


def test_errors_of_scores():
    """Of accuracy and Brier score against their formulas, for 400 answers; a temperature of one changes nothing."""
    draw = torch.Generator().manual_seed(0)
    logs = torch.log_softmax(2 * torch.randn(400, 3, generator=draw, dtype=torch.float64), 1)
    answers, labels = Answers(logs.exp(), logs), torch.randint(3, (400,), generator=draw)
    found = measure.score_errors(answers, labels, 1.0)
    right = metrics.accuracy(answers.probabilities, labels)
    rows = [metrics.brier(logs[i : i + 1].exp(), labels[i : i + 1]) for i in range(400)]
    # the standard deviation of 100 resamples is known to 7 %: four errors of it
    assert found.plain.accuracy == pytest.approx((right * (1 - right) / 400) ** 0.5, rel=0.28)
    assert found.plain.brier == pytest.approx(np.std(rows) / 20, rel=0.28)
    assert plain(found.change) == pytest.approx(dict.fromkeys(plain(found.plain), 0.0), abs=1e-12)
    assert found == measure.score_errors(answers, labels, 1.0)
    changed = measure.score_errors(answers, labels, 2.0)
    assert changed.change.accuracy == 0
    assert changed.change.nll > 0


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
    found = baseline.predict(baseline.fit(train, validation, 4), test.counts)
    torch.testing.assert_close(found.sum(1), torch.ones(40, dtype=torch.float64))
    known = test.labels < 3
    assert metrics.accuracy(found[torch.from_numpy(known)], torch.from_numpy(test.labels[known])) > 0.9
    assert found.min() > 0
    scores = measure.answer_scores(Answers(found, found.log()), torch.from_numpy(test.labels))
    assert np.isfinite(scores.nll)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"labels": np.arange(4)}, r"must hold counts \[n, M\] and labels \[n\]"),
        ({"labels": np.full(9, 4)}, "must hold whole numbers from 0 to 3 as labels"),
        ({"labels": np.full(9, 1.0)}, "must hold whole numbers from 0 to 3 as labels"),
        ({"counts": np.zeros((9, 4))}, "must hold whole numbers >= 0 of 4 inputs, not float64"),
        ({"counts": np.full((9, 4), -1)}, "must hold whole numbers >= 0 of 4 inputs"),
        ({"counts": np.zeros((9, 3), int)}, "must hold whole numbers >= 0 of 4 inputs"),
    ],
)
def test_counts_that_do_not_fit(changed, said):
    good = counts([0, 1, 2] * 3, 0)
    with pytest.raises(InputError, match=f"validation {said}"):
        baseline.fit(good, good._replace(**changed), 4)
    if "counts" in changed:
        with pytest.raises(InputError, match=f"counts {said}"):
            baseline.predict(baseline.fit(good, good, 4), changed["counts"])
    with pytest.raises(InputError, match="train must hold a recording"):
        baseline.fit(baseline.Counts(good.counts[:0], good.labels[:0]), good, 4)


def test_the_baseline_of_a_single_class():
    one = counts([2] * 5, 0)
    found = baseline.predict(baseline.fit(one, one, 4), one.counts)
    assert found[:, 2].tolist() == pytest.approx([(5 + 1 / 4) / 6] * 5)


def test_hidden_neurons_that_tell_nothing_are_counted():
    network, params = make_network(3, (4,), 2, feedback="none")
    bias = torch.tensor([-30.0, 30.0, 30.0, 0.0, 0.0, 0.0], dtype=params.bias.dtype)
    _, kernel = kernels.choose("auto", network)
    rows = [make_presentation(40, 3, 2, index=i) for i in range(5)]
    still = params._replace(weights={"joint": 0 * params.weights["joint"]}, bias=bias)
    found = evaluate.predict(network, still, rows, 3, kernel=kernel, seed=0)
    assert found.activity.mute == Mute(1, 2)
