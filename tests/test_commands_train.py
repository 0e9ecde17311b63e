"""gemsnn train: run folders, settings, ends."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from runs import command
from shared_data import shared

from gemsnn.commands.cli import main
from gemsnn.store.records import RunFolder


def test_a_run_folder_holds_everything(trained_run):
    names = {path.name for path in trained_run.iterdir()}
    assert names == {
        "config.toml", "manifest.json", "model.json", "metrics.jsonl", "metrics.json", "checkpoint", ".lock",
        "report.html", "example-sure.safetensors", "example-unsure.safetensors", "fields.safetensors",
        "answers.safetensors",
    }  # fmt: skip
    manifest = json.loads((trained_run / "manifest.json").read_text())
    assert manifest["kernel"] == "cpu"
    assert manifest["decoder"] == "votes"
    assert manifest["status"] == "finished"
    assert manifest["seconds"].keys() == {"data", "train", "evaluate"}
    assert any("last 20 %" in note or "Test" in note for note in manifest["notes"])
    kinds = [json.loads(line)["kind"] for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    assert kinds == ["train", "evaluation", "epoch"] * 2
    scores = json.loads((trained_run / "metrics.json").read_text())
    assert scores["baseline"]["name"].startswith("logistic regression")
    assert scores["costs"]["scalars_per_step"] == {"up": 50, "down": 85}
    assert "<svg" in (trained_run / "report.html").read_text()


def test_the_resolved_config_repeats_the_run(trained_run, tmp_path, capsys):
    out = tmp_path / "again"
    assert main(["train", "--config", str(trained_run / "config.toml"), "--out", str(out)]) == 0
    first, second = (json.loads((run / "metrics.json").read_text()) for run in (trained_run, out))
    assert first == second
    first, second = (RunFolder(run).load_checkpoint()[1]["sha256"] for run in (trained_run, out))
    assert first == second


def test_flags_override_the_config(trained_run, tmp_path):
    out = tmp_path / "changed"
    words = [
        "train",
        f"--config={trained_run / 'config.toml'}",
        "--out",
        str(out),
        "--epochs",
        "1",
        "--lr",
        "0.01",
    ]
    more = [
        "--update-every",
        "7",
        "--kernel",
        "reference",
        "--dtype",
        "float64",
        "--rule",
        "gem",
        "--limit",
        "12",
    ]
    assert main(words + more) == 0
    text = (out / "config.toml").read_text()
    for line in (
        "epochs = 1",
        "lr = 0.01",
        "update_every = 7",
        'kernel = "reference"',
        "hidden = [",
        'rule = "gem"',
    ):
        assert line in text
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["kernel"] == "reference"
    assert manifest["presentations"]["train"] + manifest["presentations"]["validation"] == 12
    assert main(["evaluate", str(out), "--votes", "2"]) == 0


def test_training_with_the_other_decoder(nmnist_root, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(command(nmnist_root, out, "--decoder", "likelihood", "--epochs", "1")) == 0
    assert json.loads((out / "manifest.json").read_text())["decoder"] == "likelihood"
    stored = json.loads((out / "metrics.json").read_text())
    assert stored["baseline"]["tempered"]["temperature"] > 0
    assert 'decoder = "likelihood"' in (out / "config.toml").read_text()
    assert "Decoder: likelihood" in (out / "report.html").read_text()
    capsys.readouterr()
    assert main(["evaluate", str(out), "--votes", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["decoder"] == "likelihood"
    for name in ("temperature", "ece", "nll", "brier"):
        assert found["tempered"][name] == pytest.approx(stored["tempered"][name])


@pytest.mark.parametrize("name", ["nmnist", "mnist-dvs"])
def test_training_on_real_recordings(name, tmp_path):
    words = [
        "train",
        "--data",
        name,
        "--root",
        str(shared(name)),
        "--limit",
        "40",
        "--epochs",
        "1",
        "--hidden",
        "8",
        "--lr",
        "0.02",
    ]
    assert main([*words, "--votes", "2", "--out", str(tmp_path / "run")]) == 0
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert scores["presentations"] == 10  # the test part in the proportion of the limit
    assert scores["classes"] == 10
    if name == "mnist-dvs":
        assert scores["accuracy"] > 0.9  # its only class


def test_ctrl_c_leaves_a_usable_run(nmnist_root, tmp_path):
    out = tmp_path / "run"
    words = [sys.executable, "-m", "gemsnn", *command(nmnist_root, out, "--epochs", "100000")]
    process = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 120
    while not (out / "metrics.jsonl").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert json.loads((out / "manifest.json").read_text())["status"] == "interrupted"
    assert json.loads((out / "metrics.json").read_text())["status"] == "interrupted"
    assert "interrupted" in (out / "report.html").read_text()
    assert main(["evaluate", str(out), "--votes", "2", "--json"]) == 0
