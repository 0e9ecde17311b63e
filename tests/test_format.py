"""The promise: a checkpoint of format 1 stays readable.

``tests/format1`` was written by gemsnn 0.1.0 and is never written again; what it must hold is told here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from gemsnn.errors import InputError
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.learn.online import OnlineLearner
from gemsnn.runs import loading
from gemsnn.store import checkpoints
from gemsnn.store.checkpoints import Checkpoints
from gemsnn.store.records import RunFolder
from gemsnn.types import Layout

OLD = Path(__file__).parent / "format1"


def ramp(*shape):
    """Numbers that float32 holds exactly."""
    count = torch.Size(shape).numel()
    return (torch.arange(count, dtype=torch.float32) - count // 2).reshape(shape) / 64


def test_a_run_of_format_1_is_read():
    trained = loading.load_model(OLD / "run")
    assert trained.reading.layout == Layout(1, 2, 2, 3, 25_000)
    assert (trained.reading.steps, trained.reading.counts, trained.reading.pad) == (80, False, True)
    assert trained.reading.names == ("0", "1", "2")
    assert (trained.facts.warm_up, trained.facts.decoder, trained.facts.seed) == (0.0, "votes", 0)
    assert (trained.facts.window, trained.facts.temperatures, trained.facts.least_spikes) == (80, {}, 1)
    mask = trained.network.mask
    assert mask.shape == (5, 9)
    params = trained.learner.params
    assert torch.equal(params.weights["joint"], ramp(5, 9, 2) * mask[:, :, None])
    assert torch.equal(params.feedback, ramp(5, 2) * trained.network.own[:, None])
    assert torch.equal(params.bias, ramp(5))
    optimiser = trained.learner.optimiser
    assert (trained.learner.batches, optimiser.updates) == (7, 9)
    assert optimiser.first is not None
    assert optimiser.second is not None
    assert torch.equal(optimiser.first.bias, ramp(5) + 1)
    assert torch.equal(optimiser.second.bias, ramp(5) + 2)
    assert (
        len(OnlineLearner(trained.network, params, OnlineSpec(3)).step(torch.ones(4, 4, dtype=torch.uint8)))
        == 4
    )


def test_a_stream_of_format_1_is_read():
    """Its parameters are; the rest of its state is that of one version of one kernel."""
    tensors, facts = Checkpoints(OLD / "stream").load()
    assert (facts["kind"], facts["bins"]) == ("stream", 12)
    assert torch.equal(tensors["params.bias"], ramp(5))
    assert tensors["params.weights.joint"].shape == (5, 9, 2)


def test_a_newer_format_migrates_an_old_checkpoint(tmp_path, monkeypatch):
    shutil.copytree(OLD / "run", tmp_path / "run")
    monkeypatch.setattr(checkpoints, "FORMAT", 3)
    monkeypatch.setitem(
        checkpoints.MIGRATIONS, 1, lambda tensors, facts: (tensors, facts | {"format": 2, "steps": [1]})
    )
    monkeypatch.setitem(
        checkpoints.MIGRATIONS,
        2,
        lambda tensors, facts: (
            tensors | {"new": torch.zeros(1)},
            facts | {"format": 3, "steps": [*facts["steps"], 2]},
        ),
    )
    tensors, facts = RunFolder(tmp_path / "run").load_checkpoint()
    assert (facts["format"], facts["steps"]) == (3, [1, 2])
    assert "new" in tensors
    assert "params.weight" in tensors  # both migrations are those of the test


def test_a_checkpoint_of_the_future_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORMAT", 2)
    Checkpoints(tmp_path / "x").save({"a": torch.zeros(1)}, {})
    monkeypatch.setattr(checkpoints, "FORMAT", 1)
    with pytest.raises(
        InputError, match="checkpoint format 2, this gemsnn reads formats 1 to 1; update gemsnn"
    ):
        Checkpoints(tmp_path / "x").load()
