"""What a user gets wrong ends in one sentence and exit code 2, and loses nothing."""

import pytest
from event_files import dvs_folder, nmnist_folder
from runs import command

from gemsnn.commands.cli import main


def bad_inputs(tmp_path, nmnist_root, trained_run):
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
    void = tmp_path / "void"
    void.mkdir()
    out = tmp_path / "out"
    return {
        "missing path": (command(tmp_path / "nowhere", out), "nowhere"),
        "truncated file": (command(truncated, out), "00001.bin"),
        "empty file": (command(empty, out), "00001.bin"),
        "labels out of range": (command(labels, out), "11"),
        "wrong version": (["train", "--data", "mnist-dvs", "--root", str(version), "--out", str(out)], "3.1"),
        "existing run": (command(nmnist_root, trained_run), "exists already"),
        "no root": (["train", "--data", "nmnist", "--out", str(out)], "needs --root"),
        "unknown key": (command(nmnist_root, out, "--config", str(toml)), "'epochs'"),
        "missing config": (command(nmnist_root, out, "--config", str(tmp_path / "no.toml")), "no.toml"),
        "bad number": (command(nmnist_root, out, "--kappa", "3"), "kappa must be at least 0 and at most 1"),
        "info on nothing": (["info", str(tmp_path / "nothing.bin")], "nothing.bin"),
        "info on an empty folder": (["info", str(void)], "no event file is in this folder"),
        "evaluate nothing": (["evaluate", str(tmp_path / "nothing")], "nothing"),
        "no compartments": (["evaluate", str(trained_run), "--votes", "0"], "at least 1"),
        "report on nothing": (["report", str(tmp_path / "nothing")], "nothing"),
    }


CASES = [
    "missing path", "truncated file", "empty file", "labels out of range", "wrong version", "existing run", "no root",
    "unknown key", "missing config", "bad number", "info on nothing", "info on an empty folder", "evaluate nothing",
    "no compartments", "report on nothing",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence_and_exit_code_2(case, tmp_path, nmnist_root, trained_run, capsys):
    before = sorted(trained_run.rglob("*"))
    words, part = bad_inputs(tmp_path, nmnist_root, trained_run)[case]
    assert main(words) == 2
    message = capsys.readouterr().err.strip()
    assert part in message
    assert message.startswith("gemsnn: ")
    assert "Traceback" not in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert sorted(trained_run.rglob("*")) == before


def test_a_decoder_that_cannot_serve_the_network(nmnist_root, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(command(nmnist_root, out, "--decoder", "likelihood", "--topology", "full")) == 2
    assert "gemsnn: the decoder likelihood needs" in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


@pytest.mark.parametrize("words", [["train", "--epoch", "3"], ["train", "--hidden", "x"], ["learn"], []])
def test_unknown_words_end_with_2(words, capsys):
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("gemsnn: ")
    assert told.err.count("\n") == 1
