import dataclasses

import pytest
import torch
from cases import make_network, make_presentation

from gemsnn import kernels
from gemsnn.errors import InputError
from gemsnn.kernels import KERNELS, Learning
from gemsnn.learn import state as states
from gemsnn.learn import train
from gemsnn.learn.train import TrainSpec, Watcher
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees
from gemsnn.types import Presentation

KERNEL = kernels.choose("auto", make_network()[0])[1]
SPEC = TrainSpec(compartments=3, epochs=3, batch=4, evaluate_every=2, seed=7)
LEARNING = Learning(RuleSpec(), OptimiserSpec(lr=0.05), 3)


def easy(count: int) -> list[Presentation]:
    """Two classes that differ in which input is busy."""
    rows = []
    for i in range(count):
        label = i % 2
        busy = make_presentation(8, 1, 1, index=i, rate=0.9).spikes
        quiet = torch.zeros_like(busy)
        target = torch.zeros(8, 2, dtype=torch.uint8)
        target[:, label] = 1
        rows.append(Presentation(torch.cat([busy, quiet] if label else [quiet, busy], 1), target, label, i))
    return rows


def start(learning=LEARNING):
    network, params = make_network(inputs=2, hidden=(3,), visible=2, feedback="hidden", scale=0.5)
    return network, train.start(params, learning)


def test_learning_learns_and_is_reported():
    network, learner = start()
    spec = dataclasses.replace(SPEC, epochs=25)
    records, shown = [], []
    watcher = Watcher(record=records.append, show=lambda update, scores: shown.append((update, scores)))
    _, finished = train.fit(
        network, learner, easy(22), easy(10), spec, LEARNING, kernel=KERNEL, watcher=watcher
    )
    assert finished
    assert len(shown) == 25 * 6
    losses = [row["loss"] for row in records if row["kind"] == "train"]
    assert losses[-1] < 0.5 * losses[0]
    assert all(row["bound"] >= -row["loss"] - 1e-9 for row in records if row["kind"] == "train")
    assert all(1 <= row["ess"] <= 3 for row in records if row["kind"] == "train")
    evaluations = [row for row in records if row["kind"] == "evaluation"]
    assert [row["epoch"] for row in evaluations] == [*range(2, 25, 2), 25]
    assert evaluations[-1]["accuracy"] == 1
    last = shown[-1][0]
    assert (last.epoch, last.ends_epoch, last.presentations) == (25, True, 25 * 22)


def test_training_goes_on_from_anywhere():
    network, learner = start()
    whole = list(train.updates(network, learner, easy(10), SPEC, LEARNING, kernel=KERNEL))
    assert [update.presentations for update in whole] == [4, 8, 10, 14, 18, 20, 24, 28, 30]
    rest = list(train.updates(network, whole[3].learner, easy(10), SPEC, LEARNING, kernel=KERNEL))
    assert len(rest) == 5
    for a, b in zip(
        trees.leaves(whole[-1].learner.params), trees.leaves(rest[-1].learner.params), strict=True
    ):
        assert torch.equal(a, b)


def test_a_learner_survives_its_tensors():
    network, learner = start()
    update = next(train.updates(network, learner, easy(10), SPEC, LEARNING, kernel=KERNEL))
    tensors = states.learner_tensors(network, update.learner)
    again = states.learner_from(network, tensors, batches=1, updates=update.learner.optimiser.updates)
    assert all(torch.equal(tensors[name], states.learner_tensors(network, again)[name]) for name in tensors)
    assert len(tensors) == 3 * (
        4 + 2 + 2
    )  # projections, feedback and biases; the parameters and adam's moments
    plain = states.learner_from(
        network, {k: v for k, v in tensors.items() if "params" in k}, batches=1, updates=3
    )
    assert plain.optimiser == optimisers.OptimiserState(3, None, None)
    with pytest.raises(InputError, match="lacks"):
        states.learner_from(network, {"params.bias": torch.zeros(1)}, batches=0, updates=0)


def test_a_stop_leaves_a_checkpoint():
    network, learner = start()
    saved, seen = [], []
    watcher = Watcher(
        show=lambda update, _: seen.append(update), checkpoint=saved.append, stop=lambda: len(seen) == 4
    )
    stopped, finished = train.fit(
        network, learner, easy(10), easy(4), SPEC, LEARNING, kernel=KERNEL, watcher=watcher
    )
    assert not finished
    assert stopped.learner.batches == 5
    assert [state.learner.batches for state in saved] == [3, 5]


def test_a_training_goes_on_as_if_it_had_never_stopped():
    """Stopped after every possible batch, through the tensors of a checkpoint: the same weights and records."""
    network, learner = start()
    spec = dataclasses.replace(SPEC, checkpoint_every=1)
    fit = (easy(10), easy(4), spec, LEARNING)

    def plain(records):
        return [{name: value for name, value in row.items() if name != "seconds"} for row in records]

    whole, saved = [], []
    wanted, finished = train.fit(
        network, learner, *fit, kernel=KERNEL, watcher=Watcher(record=whole.append, checkpoint=saved.append)
    )
    assert finished
    assert len(saved) == wanted.learner.batches == 9
    for kept in saved:
        before = []
        for row in whole:  # what a checkpoint knows to be in the file
            if row["update"] <= kept.learner.optimiser.updates:
                before.append(row)
        tensors = {
            name: leaf.clone()
            for name, leaf in states.learner_tensors(network, kept.learner, kept.best).items()
        }
        again = states.state_from(network, tensors, states.facts_of(kept))
        records = list(before)
        found, _ = train.fit(
            network,
            again._replace(seconds=5.0),
            *fit,
            kernel=KERNEL,
            watcher=Watcher(record=records.append),
        )
        assert plain(records) == plain(whole)
        ends = [states.learner_tensors(network, end.learner, end.best) for end in (wanted, found)]
        assert ends[0].keys() == ends[1].keys()
        assert all(torch.equal(leaf, ends[1][name]) for name, leaf in ends[0].items())


def test_weights_that_are_none_stop_the_training():
    network, learner = start()
    learning = dataclasses.replace(LEARNING, optimiser=OptimiserSpec("sgd", lr=1e308))
    learner = train.start(learner.params, learning)
    with pytest.raises(
        InputError, match=r"no longer finite after batch \d+ .*last good checkpoint is that of batch 0"
    ):
        train.fit(network, learner, easy(10), easy(4), SPEC, learning, kernel=KERNEL)


def test_seeds_decide_everything():
    network, learner = start()

    def losses(seed: int) -> list[float]:
        spec = dataclasses.replace(SPEC, seed=seed)
        return [u.loss for u in train.updates(network, learner, easy(10), spec, LEARNING, kernel=KERNEL)]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


@pytest.mark.parametrize("every", [1, 3, "presentation"])
def test_every_update_interval_runs_on_every_kernel(every):
    spec = dataclasses.replace(SPEC, update_every=every, epochs=1)
    learning = Learning(RuleSpec(), OptimiserSpec("sgd", lr=0.01), 3, spec.update_steps)
    ends = []
    for kernel in KERNELS.values():
        network, learner = start(learning)
        ends.append(list(train.updates(network, learner, easy(6), spec, learning, kernel=kernel))[-1].learner)
    torch.testing.assert_close(ends[0].params.weights["joint"], ends[1].params.weights["joint"])
    assert ends[0].optimiser.updates == 2 * {1: 8, 3: 3, "presentation": 1}[every]


def test_schedules():
    assert [train.rate_factor("constant", done) for done in (0.0, 0.9)] == [1, 1]
    assert train.rate_factor("cosine", 0.0) == 1
    assert train.rate_factor("cosine", 0.5) == pytest.approx(0.5)
    assert train.rate_factor("cosine", 1.0) == pytest.approx(0, abs=1e-12)


def test_nothing_to_train_on():
    network, learner = start()
    with pytest.raises(InputError, match="training part is empty"):
        train.fit(network, learner, [], [], SPEC, LEARNING, kernel=KERNEL)


@pytest.mark.parametrize("numbers", [{"epochs": 0}, {"batch": 0}, {"update_every": 0}, {"seed": -1}])
def test_bad_settings_are_refused(numbers):
    with pytest.raises(InputError):
        TrainSpec(**numbers)
