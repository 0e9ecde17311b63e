"""Which epoch's weights a training keeps: those that answer the validation part best, by an oracle beside it."""

import dataclasses
import math
from typing import NamedTuple

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
from gemsnn.types import Presentation, class_target

KERNEL = kernels.choose("auto", make_network()[0])[1]
LEARNING = Learning(RuleSpec(), OptimiserSpec(lr=0.3), 2)
SPEC = TrainSpec(compartments=2, epochs=12, batch=4, evaluate_every=12, schedule="constant", seed=5)


def told_by_rate(first: int, count: int) -> list[Presentation]:
    """Two classes that differ in which input is busy."""
    rows = []
    for i in range(first, first + count):
        busy, label = make_presentation(8, 1, 1, index=i, rate=0.9).spikes, i % 2
        both = [torch.zeros_like(busy), busy] if label == 0 else [busy, torch.zeros_like(busy)]
        rows.append(Presentation(torch.cat(both, 1), class_target(label, 8, 2), label, i))
    return rows


class Spoilt(NamedTuple):
    """Recordings whose classes are mixed up from the fourth epoch on: what is learned then is wrong of others."""

    rows: list[Presentation]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> Presentation:
        return self.rows[position]

    def at_epoch(self, epoch: int) -> list[Presentation]:
        labels = [row.label if epoch < 3 else 1 - row.label for row in self.rows]
        return [
            Presentation(row.given, class_target(label, 8, 2), label, row.address)
            for row, label in zip(self.rows, labels, strict=True)
        ]


TRAIN, HELD = Spoilt(told_by_rate(0, 8)), told_by_rate(100, 40)


def trained(spec: TrainSpec = SPEC, begin=None, held=HELD, **watched):
    network, params = make_network(inputs=2, hidden=(6,), visible=2, feedback="hidden", scale=0.5)
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
    assert (
        float(differences.mean()) > (2 * math.log(12)) ** 0.5 * error
    )  # what it learned of late has made it worse
    assert reached.ahead
    assert same(reached.answering.params, by_epoch[best])
    assert same(reached.learner.params, by_epoch[12])
    for row in epochs:
        so_far = min(range(1, row["epoch"] + 1), key=lambda epoch: worth[epoch])
        ahead = judging.is_ahead(losses[so_far], losses[row["epoch"]], row["epoch"])
        assert row["kept"] == (so_far if ahead else row["epoch"])


def test_what_chance_makes_is_no_lead():
    """Twice as many standard errors decide of the best of eight epochs as of two (2.04 and 1.18); nobody of one."""
    last = torch.tensor([1.0, 3.0, 2.0, 2.0], dtype=torch.float64)
    lead = torch.tensor([0.1, 0.3, 0.0, 0.2], dtype=torch.float64)  # of 0.15, with a standard error of 0.065
    assert judging.is_ahead(last - lead, last, 2)
    assert judging.is_ahead(last - lead, last, 8)
    assert not judging.is_ahead(last - lead, last, 20)
    assert not judging.is_ahead(last, last, 8)
    assert not judging.is_ahead(last - lead, last, 1)
    assert not judging.is_ahead(last[:1] - 1, last[:1], 8)


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
