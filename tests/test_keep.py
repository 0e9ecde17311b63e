"""Which epoch's weights a training keeps: those that answer the validation part best, by an oracle beside it."""

import dataclasses

import pytest
import torch
from cases import make_network, make_presentation

from gemsnn import kernels, rng
from gemsnn.kernels import Learning
from gemsnn.learn import judging, state, train
from gemsnn.learn.train import TrainSpec, Watcher
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees

KERNEL = kernels.choose("auto", make_network()[0])[1]
LEARNING = Learning(RuleSpec(), OptimiserSpec(lr=0.3), 2)
SPEC = TrainSpec(compartments=2, epochs=12, batch=4, evaluate_every=12, schedule="constant", seed=5)


def recordings(seed: int, count: int):
    """Spikes that say nothing of the classes: all that is learned of some is wrong for others."""
    return [make_presentation(8, 4, 2, index=seed + i, rate=0.5) for i in range(count)]


TRAIN, HELD = recordings(0, 6), recordings(100, 12)


def trained(spec: TrainSpec = SPEC, begin=None, held=HELD, **watched):
    network, params = make_network(inputs=4, hidden=(6,), visible=2, feedback="hidden", scale=0.5)
    begin = begin or train.start(params, LEARNING)
    return network, *train.fit(
        network, begin, TRAIN, held, spec, LEARNING, kernel=KERNEL, watcher=Watcher(**watched)
    )


def same(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(trees.leaves(a), trees.leaves(b), strict=True))


def test_the_best_epoch_is_kept_and_the_last_was_worse():
    records, by_epoch = [], {}

    def show(update, _):
        if update.ends_epoch:
            by_epoch[update.epoch] = trees.map(torch.clone, update.learner.params)

    network, reached, finished = trained(record=records.append, show=show)
    epochs = [row for row in records if row["kind"] == "epoch"]
    seed = rng.derive(SPEC.seed, "keep")
    worth = {
        epoch: judging.worth(network, params, HELD, kernel=KERNEL, seed=seed)
        for epoch, params in by_epoch.items()
    }
    best = min(worth, key=lambda epoch: worth[epoch])
    assert finished
    assert [row["nll"] for row in epochs] == list(worth.values())
    assert [row["epoch"] for row in epochs] == list(range(1, 13))
    assert reached.kept is not None
    assert (reached.kept.epoch, reached.kept.nll) == (best, worth[best])
    assert best < 12  # what it learned by heart has made it worse
    assert worth[best] < worth[12]
    assert same(reached.answering.params, by_epoch[best])
    assert same(reached.learner.params, by_epoch[12])
    assert epochs[-1]["kept"] == best


def test_what_is_kept_moves_nothing_of_the_learning():
    _, kept, _ = trained()
    _, last, _ = trained(dataclasses.replace(SPEC, keep="last"))
    assert last.kept is None
    assert same(kept.learner.params, last.learner.params)
    assert same(last.answering.params, last.learner.params)


def test_without_a_validation_part_the_last_is_kept():
    _, reached, _ = trained(held=[])
    assert reached.kept is None


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_ends_a_training(patience):
    records = []
    _, reached, finished = trained(
        dataclasses.replace(SPEC, epochs=40, patience=patience), record=records.append
    )
    assert finished
    assert reached.kept is not None
    done = reached.learner.batches // 2
    assert done == reached.kept.epoch + patience
    assert [row["epoch"] for row in records if row["kind"] == "epoch"][-1] == done


def test_a_training_that_lost_patience_stays_at_its_end():
    spec = dataclasses.replace(SPEC, epochs=40, patience=2)
    _, reached, _ = trained(spec)
    records = []
    _, again, finished = trained(spec, reached, record=records.append)
    assert finished
    assert records == []
    assert again.learner.batches == reached.learner.batches


def test_more_epochs_go_on_from_the_last_and_keep_the_best_of_all():
    _, half, _ = trained(dataclasses.replace(SPEC, epochs=6))
    _, more, _ = trained(SPEC, half)
    _, whole, _ = trained(SPEC)
    assert same(more.learner.params, whole.learner.params)
    assert more.kept is not None
    assert whole.kept is not None
    assert more.kept.epoch == whole.kept.epoch


@pytest.mark.parametrize("stop", range(1, 24, 3))
def test_a_training_that_is_stopped_keeps_the_same(stop):
    """Through a checkpoint's tensors and facts, after any batch; the kept weights lie there if they are others."""
    saved, seen = [], []
    network, _, finished = trained(
        show=lambda update, _: seen.append(update),
        stop=lambda: len(seen) == stop - 1,
        checkpoint=saved.append,
    )
    assert not finished
    kept = saved[-1]
    tensors = {
        name: leaf.clone() for name, leaf in state.learner_tensors(network, kept.learner, kept.kept).items()
    }
    ends_epoch = kept.learner.batches % 2 == 0
    assert any(name.startswith("kept.") for name in tensors) == (
        kept.kept is not None and not (ends_epoch and kept.kept.epoch == kept.learner.batches // 2)
    )
    _, again, _ = trained(begin=state.state_from(network, tensors, state.facts_of(kept)))
    _, whole, _ = trained()
    assert again.kept is not None
    assert whole.kept is not None
    assert (again.kept.epoch, again.kept.nll) == (whole.kept.epoch, whole.kept.nll)
    assert same(again.kept.params, whole.kept.params)
    assert same(again.learner.params, whole.learner.params)
