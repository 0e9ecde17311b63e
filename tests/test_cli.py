import json
import os
import signal
import subprocess
import sys
import time

import pytest
from event_files import dvs_folder, nmnist_folder
from shared_data import SHARED, shared

from gemsnn.cli import main
from gemsnn.records import RunFolder

CHECKED = ("accuracy", "ece", "nll", "brier", "log_likelihood", "presentations", "compartments")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    root = tmp_path_factory.mktemp("nmnist")
    nmnist_folder(root, [(digit, 10 * number + digit) for digit in range(3) for number in range(10)])
    return root


def command(root, out, *more: str) -> list[str]:
    few = ["--epochs", "2", "--evaluate-every", "1", "--hidden", "4,3", "--vote-compartments", "3"]
    return ["train", "--data", "nmnist", "--root", str(root), "--out", str(out), *few, *more]


@pytest.fixture(scope="module")
def trained(recordings, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(command(recordings, out)) == 0
    return out


def test_a_run_folder_holds_everything(trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "config.toml", "manifest.json", "model.json", "metrics.jsonl", "metrics.json", "checkpoint",
        "example.safetensors", ".lock", "report.html",
    }  # fmt: skip
    manifest = json.loads((trained / "manifest.json").read_text())
    assert manifest["kernel"] == "cpu"
    assert manifest["decoder"] == "votes"
    assert manifest["status"] == "finished"
    assert manifest["seconds"].keys() == {"data", "train", "evaluate"}
    assert any("last 20 %" in note or "Test" in note for note in manifest["notes"])
    kinds = [json.loads(line)["kind"] for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert kinds == ["train", "evaluation"] * 2
    scores = json.loads((trained / "metrics.json").read_text())
    assert scores["baseline"]["name"].startswith("logistic regression")
    assert scores["costs"]["scalars_per_step"] == {"up": 50, "down": 85}
    assert "<svg" in (trained / "report.html").read_text()


def test_the_resolved_config_repeats_the_run(trained, tmp_path, capsys):
    out = tmp_path / "again"
    assert main(["train", "--config", str(trained / "config.toml"), "--out", str(out)]) == 0
    first, second = (json.loads((run / "metrics.json").read_text()) for run in (trained, out))
    assert first == second
    first, second = (RunFolder(run).load_checkpoint()[1]["sha256"] for run in (trained, out))
    assert first == second


def test_flags_override_the_config(trained, tmp_path):
    out = tmp_path / "changed"
    words = [
        "train",
        f"--config={trained / 'config.toml'}",
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
    assert main(["evaluate", str(out), "--compartments", "2"]) == 0


def test_evaluate_prints_one_json_object(trained, capsys):
    assert main(["evaluate", str(trained), "--compartments", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    stored = json.loads((trained / "metrics.json").read_text())
    for name in CHECKED:
        assert found[name] == pytest.approx(stored[name])
    assert main(["evaluate", str(trained), "--compartments", "2", "--json", "--split", "validation"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["compartments"], found["split"], len(found["by_compartments"])) == (2, "validation", 2)


def test_decoders_and_temperature(trained, capsys):
    found = {}
    for decoder in ("votes", "likelihood"):
        words = ["evaluate", str(trained), "--compartments", "3", "--decoder", decoder]
        assert main([*words, "--json"]) == 0
        found[decoder] = json.loads(capsys.readouterr().out)
        assert found[decoder]["decoder"] == decoder
        assert found[decoder]["tempered"].keys() >= {"temperature", "ece", "nll", "brier", "reliability"}
        assert all(row["tempered"]["temperature"] > 0 for row in found[decoder]["by_compartments"])
        assert main(words) == 0
        table = capsys.readouterr().out
        assert f"decoder {decoder}" in table
        for number in (found[decoder], found[decoder]["tempered"]):
            assert f"{number['ece']:5.3f}  {number['nll']:5.3f}  {number['brier']:5.3f}" in table
    assert found["votes"]["nll"] != found["likelihood"]["nll"]
    assert found["votes"]["log_likelihood"] == found["likelihood"]["log_likelihood"]
    # the validation part fits the temperature, so on it no NLL is above that without one
    assert main(["evaluate", str(trained), "--split", "validation", "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["tempered"]["nll"] <= held["nll"] + 1e-12


def test_a_decoder_that_cannot_serve_the_network(recordings, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(command(recordings, out, "--decoder", "likelihood", "--topology", "full")) == 2
    assert "gemsnn: the decoder likelihood needs" in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


def test_training_with_the_other_decoder(recordings, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(command(recordings, out, "--decoder", "likelihood", "--epochs", "1")) == 0
    assert json.loads((out / "manifest.json").read_text())["decoder"] == "likelihood"
    stored = json.loads((out / "metrics.json").read_text())
    assert stored["baseline"]["tempered"]["temperature"] > 0
    assert 'decoder = "likelihood"' in (out / "config.toml").read_text()
    assert "Decoder: likelihood" in (out / "report.html").read_text()
    capsys.readouterr()
    assert main(["evaluate", str(out), "--compartments", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["decoder"] == "likelihood"
    for name in ("temperature", "ece", "nll", "brier"):
        assert found["tempered"][name] == pytest.approx(stored["tempered"][name])


def test_report_is_written_anew(trained, capsys):
    page = (trained / "report.html").read_text()
    (trained / "report.html").unlink()
    assert main(["report", str(trained)]) == 0
    assert capsys.readouterr().out.strip() == str(trained / "report.html")
    assert (trained / "report.html").read_text() == page


def test_info(recordings, capsys):
    file = next(recordings.rglob("*.bin"))
    assert main(["info", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() >= {"format", "events", "duration_us", "width", "height", "on_fraction"}
    assert (found["events"], found["width"], found["height"]) == (250, 34, 34)
    assert main(["info", str(file)]) == 0
    assert "events: 250" in capsys.readouterr().out


READ = ("nmnist", "mnist-dvs", "mnist-images", "dvs128-objects", "aedat2-samples", "poker-dvs")
"""Folders of recordings of which every file is read; files of others are read or refused in a sentence."""


def test_info_on_every_real_file(capsys):
    files = [path for path in shared().rglob("*") if path.is_file()]
    assert len(files) > 10
    for file in [
        *files[:: max(1, len(files) // 60)],
        *SHARED.glob("aedat2-samples/*"),
        *SHARED.glob("format-samples/*"),
        *SHARED.glob("*/*.npz"),
    ]:
        code, told = main(["info", str(file), "--json"]), capsys.readouterr()
        if code == 0:
            json.loads(told.out)
            continue
        assert code == 2, file
        assert file.relative_to(SHARED).parts[0] not in READ, file
        assert told.err.startswith("gemsnn: "), file
        assert told.err.count("\n") == 1, file


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
    ]
    assert main([*words, "--vote-compartments", "2", "--out", str(tmp_path / "run")]) == 0
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert scores["presentations"] == {"nmnist": 200, "mnist-dvs": 40}[name]
    assert scores["classes"] == 10
    if name == "mnist-dvs":
        assert scores["accuracy"] > 0.9  # its only class


def bad_inputs(tmp_path, recordings, trained):
    truncated = tmp_path / "cut"
    nmnist_folder(truncated, [(0, 1), (1, 2)])
    file = next(truncated.rglob("00001.bin"))
    file.write_bytes(file.read_bytes()[:-2])
    empty = tmp_path / "empty"
    nmnist_folder(empty, [(0, 1), (1, 2)])
    next(empty.rglob("00001.bin")).write_bytes(b"")
    labels = tmp_path / "labels"
    nmnist_folder(labels, [(0, 1), (11, 2)])
    version = tmp_path / "version"
    dvs_folder(version, [(0, 1), (0, 2)])
    next(version.rglob("*0001.aedat")).write_bytes(b"#!AER-DAT3.1\r\n")
    toml = tmp_path / "bad.toml"
    toml.write_text("[train]\nepoch = 2\n")
    out = tmp_path / "out"
    return {
        "missing path": (command(tmp_path / "nowhere", out), "nowhere"),
        "truncated file": (command(truncated, out), "00001.bin"),
        "empty file": (command(empty, out), "00001.bin"),
        "labels out of range": (command(labels, out), "11"),
        "wrong version": (["train", "--data", "mnist-dvs", "--root", str(version), "--out", str(out)], "3.1"),
        "existing run": (command(recordings, trained), "exists already"),
        "no root": (["train", "--data", "nmnist", "--out", str(out)], "needs --root"),
        "unknown key": (command(recordings, out, "--config", str(toml)), "'epochs'"),
        "missing config": (command(recordings, out, "--config", str(tmp_path / "no.toml")), "no.toml"),
        "bad number": (command(recordings, out, "--kappa", "3"), "kappa must be at least 0 and at most 1"),
        "info on nothing": (["info", str(tmp_path / "nothing.bin")], "nothing.bin"),
        "info on a folder": (["info", str(tmp_path)], str(tmp_path)),
        "evaluate nothing": (["evaluate", str(tmp_path / "nothing")], "nothing"),
        "no compartments": (["evaluate", str(trained), "--compartments", "0"], "at least 1"),
        "report on nothing": (["report", str(tmp_path / "nothing")], "nothing"),
    }


CASES = [
    "missing path", "truncated file", "empty file", "labels out of range", "wrong version", "existing run", "no root",
    "unknown key", "missing config", "bad number", "info on nothing", "info on a folder", "evaluate nothing",
    "no compartments", "report on nothing",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence_and_exit_code_2(case, tmp_path, recordings, trained, capsys):
    before = sorted(trained.rglob("*"))
    words, part = bad_inputs(tmp_path, recordings, trained)[case]
    assert main(words) == 2
    message = capsys.readouterr().err.strip()
    assert part in message
    assert message.startswith("gemsnn: ")
    assert "Traceback" not in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert sorted(trained.rglob("*")) == before


@pytest.mark.parametrize("words", [["train", "--epoch", "3"], ["train", "--hidden", "x"], ["learn"], []])
def test_unknown_words_end_with_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_ctrl_c_leaves_a_usable_run(recordings, tmp_path):
    out = tmp_path / "run"
    words = [sys.executable, "-m", "gemsnn", *command(recordings, out, "--epochs", "100000")]
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
    assert main(["evaluate", str(out), "--compartments", "2", "--json"]) == 0
