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


TRAIN, HELD = recordings(0, 6), recordings(100, 100)


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
    losses = {
        epoch: judging.losses(network, params, HELD, kernel=KERNEL, seed=seed)
        for epoch, params in by_epoch.items()
    }
    worth = {epoch: float(found.mean()) for epoch, found in losses.items()}
    best = min(worth, key=lambda epoch: worth[epoch])
    assert finished
    assert [row["nll"] for row in epochs] == list(worth.values())
    assert [row["epoch"] for row in epochs] == list(range(1, 13))
    assert reached.best is not None
    assert reached.best.epoch == best
    assert torch.equal(reached.best.losses, losses[best])
    differences = losses[12] - losses[best]
    error = float(differences.std()) / len(HELD) ** 0.5
    assert float(differences.mean()) > error  # what it learned by heart has made it worse
    assert reached.ahead
    assert same(reached.answering.params, by_epoch[best])
    assert same(reached.learner.params, by_epoch[12])
    for row in epochs:
        so_far = min(range(1, row["epoch"] + 1), key=lambda epoch: worth[epoch])
        ahead = judging.is_ahead(losses[so_far], losses[row["epoch"]])
        assert row["kept"] == (so_far if ahead else row["epoch"])


def test_what_chance_makes_is_no_lead():
    """One standard error of the mean difference decides; so does nobody of a single recording."""
    last = torch.tensor([1.0, 3.0, 2.0, 2.0], dtype=torch.float64)
    assert judging.is_ahead(last - torch.tensor([0.1, 0.1, 0.1, 0.2]), last)
    assert not judging.is_ahead(last - torch.tensor([0.3, -0.3, 0.3, -0.2]), last)
    assert not judging.is_ahead(last, last)
    assert not judging.is_ahead(last[:1] - 1, last[:1])


def test_what_is_kept_moves_nothing_of_the_learning():
    _, kept, _ = trained()
    _, last, _ = trained(dataclasses.replace(SPEC, keep="last"))
    assert last.best is None
    assert same(kept.learner.params, last.learner.params)
    assert same(last.answering.params, last.learner.params)


def test_without_a_validation_part_the_last_is_kept():
    _, reached, _ = trained(held=[])
    assert reached.best is None


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_ends_a_training(patience):
    records = []
    _, reached, finished = trained(
        dataclasses.replace(SPEC, epochs=40, patience=patience), record=records.append
    )
    assert finished
    assert reached.best is not None
    done = reached.learner.batches // 2
    assert done == reached.best.epoch + patience
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
    assert more.best is not None
    assert whole.best is not None
    assert (more.best.epoch, more.ahead) == (whole.best.epoch, whole.ahead)


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
        name: leaf.clone() for name, leaf in state.learner_tensors(network, kept.learner, kept.best).items()
    }
    ends_epoch = kept.learner.batches % 2 == 0
    assert any(name.startswith("best.") for name in tensors) == (
        kept.best is not None and not (ends_epoch and kept.best.epoch == kept.learner.batches // 2)
    )
    _, again, _ = trained(begin=state.state_from(network, tensors, state.facts_of(kept)))
    _, whole, _ = trained()
    assert again.best is not None
    assert whole.best is not None
    assert (again.best.epoch, again.ahead) == (whole.best.epoch, whole.ahead)
    assert torch.equal(again.best.losses, whole.best.losses)
    assert same(again.best.params, whole.best.params)
    assert same(again.learner.params, whole.learner.params)
