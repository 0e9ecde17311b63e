"""What benchmarks/accuracy.py makes of a network's answers; a child without the other library stands in for it."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.scoring import metrics
from gemsnn.types import Layout

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
LAYOUT = Layout(2, 3, 2, 10, 1000)
CHILD = """
import json, sys
import numpy as np
job = json.loads(open(sys.argv[1]).read())
bins = np.load(sys.argv[2])
counts = np.unpackbits(bins["test_spikes"], axis=2, count=int(bins["inputs"])).sum((1, 2))
assert counts.tolist() == job["lr"], "bins"
draw = np.random.default_rng(job["seed"])
out = {}
for part in ("validation", "test"):
    labels = bins[part + "_labels"]
    for criterion in ("nll", "accuracy"):
        p = draw.dirichlet(np.ones(10), len(labels))
        p[np.arange(len(labels)), labels] += 0.3
        out[criterion + "_" + part] = np.log(p / p.sum(1, keepdims=True))
np.savez(sys.argv[3], **out)
np.savez(sys.argv[1] + str(job["seed"]), **out)
print("a line before")
print(json.dumps({"library": "none", "hidden": 1, "epochs": 4, "best_epoch": {"nll": 2, "accuracy": 3 + job["seed"]},
                  "training_seconds": 0.5, "inference_seconds": 0.25, "threads": 1}))
"""


def part(count: int, seed: int) -> SpikeSet:
    draw = np.random.default_rng(seed)
    bins = [(draw.random((4, 12)) < 0.4).astype(np.uint8) for _ in range(count)]
    return SpikeSet.from_bins(bins, draw.integers(10, size=count).tolist(), LAYOUT, counts=False)


@pytest.fixture
def accuracy(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("accuracy")
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    monkeypatch.setattr(module, "CHILD", child)
    return module


@pytest.fixture
def splits():
    return Splits(part(60, 0), part(30, 1), part(40, 2))


def test_the_child_gets_the_bins_and_its_answers_are_scored(accuracy, splits, tmp_path):
    accuracy.write_bins(tmp_path / "bins.npz", splits)
    job = {"seed": 1, "lr": [int(splits.test.bins(i).sum()) for i in range(40)]}
    told, found = accuracy.snntorch(Path(sys.executable), job, splits, tmp_path)
    assert told["library"] == "none"
    assert {name: row["best_epoch"] for name, row in found.items()} == {"nll": 2, "accuracy": 4}
    labels, held = torch.from_numpy(splits.test.labels), torch.from_numpy(splits.validation.labels)
    with np.load(f"{tmp_path / 'job.json'}1.npz") as kept:
        logs = {name: torch.from_numpy(kept[name]) for name in kept.files}
    for name, row in found.items():
        test = logs[f"{name}_test"]
        assert row["ece"] == metrics.expected_calibration_error(test.exp(), labels)
        assert row["nll"] == pytest.approx(metrics.negative_log_likelihood(test.exp(), labels))
        temperature = metrics.fitted_temperature(logs[f"{name}_validation"], held)
        assert row["temperature"] == temperature
        warm = metrics.tempered(test, temperature)
        assert row["ece_tempered"] == metrics.expected_calibration_error(warm.exp(), labels)
        assert row["accuracy"] == metrics.accuracy(warm.exp(), labels)


def test_logistic_regression_is_scored_alike(accuracy, splits):
    found = accuracy.logistic_regression(splits)
    assert {"accuracy", "ece", "nll_tempered", "temperature"} <= found.keys()
    assert found["training_seconds"] > 0


def test_rows_tell_mean_and_standard_error(accuracy, splits, capsys):
    line = accuracy.row("some", 2, [{"accuracy": value, "nll": 1.0} for value in (0.5, 0.6, 0.7)])
    assert line["accuracy"]["mean"] == pytest.approx(0.6)
    assert line["accuracy"]["standard_error"] == pytest.approx(0.1 / 3**0.5)
    assert accuracy.row("one", 1, [{"nll": 1.0}])["nll"]["standard_error"] is None
    json.dumps(line, allow_nan=False)
    accuracy.print_table([line], splits)
    shown = capsys.readouterr().out
    assert "0.6000" in shown
    assert "± 0.0577" in shown
    assert "60 train, 30 validation, 40 test" in shown
