"""A run's numbers for TensorBoard, read back by its own reader, against ``metrics.jsonl`` and ``metrics.json``."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import numpy as np
import pytest
from runs import command

import gemsnn
from gemsnn.commands.cli import main
from gemsnn.runs import curves
from gemsnn.store.records import METRICS, RunFolder

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
pytestmark = pytest.mark.usefixtures("undrawn")


def read(run):
    """Every curve: tag to steps, times, values."""
    found = accumulator.EventAccumulator(str(run / curves.FOLDER), size_guidance={"scalars": 0})
    found.Reload()
    rows = {tag: found.Scalars(tag) for tag in found.Tags()["scalars"]}
    return {tag: [(row.step, row.wall_time, row.value) for row in some] for tag, some in rows.items()}


def wanted(run):
    """The same from the lines of the run."""
    began = datetime.fromisoformat(gemsnn.Run(run).manifest["started"]).timestamp()
    found, last = {}, None
    for row in gemsnn.Run(run).history:
        last = row["presentations"], began + row["seconds"]
        for name, value in row.items():
            if name not in ("kind", "split", "update", "presentations"):
                found.setdefault(f"{row['kind']}/{name}", []).append((*last, float(np.float32(value))))

    def flat(tag, table):
        for name, value in table.items():
            if isinstance(value, dict):
                flat(f"{tag}/{name}", value)
            elif isinstance(value, (int, float)):
                found[f"{tag}/{name}"] = [(*last, float(np.float32(value)))]

    scores = json.loads((run / "metrics.json").read_text())
    flat("test", {name: value for name, value in scores.items() if name not in ("schema", "status")})
    return found


def test_curves_are_the_lines_of_the_run(nmnist_root, tmp_path):
    assert main(command(nmnist_root, tmp_path / "run", "--tensorboard")) == 0
    found = read(tmp_path / "run")
    assert found == wanted(tmp_path / "run")
    each = {"train/loss", "train/bound", "train/hidden_rate", "train/ess", "train/seconds", "epoch/nll"}
    each |= {f"evaluation/{name}" for name in ("accuracy", "nll", "ece", "log_likelihood")}
    each |= {"test/accuracy", "test/tempered/ece", "test/neurobench/footprint"}
    each |= {"test/costs/spikes_per_neuron_step/hidden"}
    assert each <= set(found)
    assert [step for step, *_ in found["evaluation/accuracy"]] == [21, 42]


def test_a_run_that_goes_on_has_no_step_twice(nmnist_root, tmp_path):
    """Also where it was killed behind its checkpoint, with lines that it will make once more."""
    run = tmp_path / "run"
    assert main(command(nmnist_root, run, "--tensorboard", "--epochs", "1")) == 0
    with curves.drawn(RunFolder(run), gemsnn.Run(run).manifest["started"]) as beyond:
        lost = gemsnn.Run(run).history[0] | {"presentations": 41, "loss": 99.0}
        beyond.line(lost)
    with (run / METRICS).open("a") as file:
        file.write(json.dumps(lost) + "\n")
    assert 99.0 in [value for *_, value in read(run)["train/loss"]]
    assert main(["train", "--resume", str(run), "--epochs", "2"]) == 0  # curves that a run has go on
    found = read(run)
    assert found == wanted(run)
    steps = [step for step, *_ in found["train/loss"]]
    assert steps == sorted(set(steps))
    assert (41 in steps, steps[-1]) == (False, 42)
    assert len(list((run / curves.FOLDER).iterdir())) == 1


def test_a_run_without_curves_gets_all_of_them(nmnist_root, tmp_path):
    run = tmp_path / "run"
    assert main(command(nmnist_root, run, "--epochs", "1")) == 0
    assert not curves.kept(RunFolder(run))
    assert main(["train", "--resume", str(run), "--epochs", "2", "--tensorboard"]) == 0
    assert read(run) == wanted(run)


def test_without_the_library_nothing_is_trained(nmnist_root, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(command(nmnist_root, tmp_path / "run", "--tensorboard")) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install 'gemsnn[tensorboard]'" in said
    assert not (tmp_path / "run").exists()
