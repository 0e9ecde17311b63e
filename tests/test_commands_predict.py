"""gemsnn predict: answers to files that have no labels."""

import csv
import io
import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
import torch
from event_files import nmnist, random_events

import gemsnn
from gemsnn.commands.cli import main
from gemsnn.data import folders
from gemsnn.data.listing import listed
from gemsnn.data.readers.files import read_recording
from gemsnn.runs import answering, certificate, choosing
from gemsnn.scoring.promise import Asked


class Files(NamedTuple):
    files: list[Path]
    root: Path


@pytest.fixture(scope="module")
def files(nmnist_root):
    found, _ = folders.event_files(nmnist_root / "Train")
    assert len(found) == 30
    return Files(found, nmnist_root / "Train")


@pytest.fixture(scope="module")
def run(trained_run, tmp_path_factory):
    """A copy of the training with a certificate, of the few recordings there are."""
    copy = tmp_path_factory.mktemp("predicted") / "run"
    shutil.copytree(trained_run, copy)
    model = gemsnn.load(copy)
    train = choosing.choose(model, copy, "train").part
    familiar = certificate.learned(model, train, 3)
    made = certificate.certified(model, train, Asked(0.4, checkpoints=3), 3, familiar=familiar)
    certificate.save(copy, made, familiar)
    return copy


def recorded():
    """A file of N-MNIST."""
    return nmnist(random_events(np.random.default_rng(3), 800, 34, 300_000))


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_answers_are_those_of_predict(trained_run, files, tmp_path, capsys):
    """In two portions, the noise addressed by the place in the folder; once printed, once in a file."""
    answering_root = files.root
    words = ["predict", str(trained_run), str(answering_root), "--votes", "3"]
    assert main(words) == 0
    found = rows_of(capsys.readouterr().out)
    model = gemsnn.load(trained_run)
    wanted = gemsnn.predict(model, [read_recording(path) for path in files.files], 3)
    assert [row["recording"] for row in found] == [str(p.relative_to(answering_root)) for p in files.files]
    assert [row["answer"] for row in found] == [label or "" for label in wanted.labels]
    shares = torch.tensor([[float(row[f"p_{name}"]) for name in model.names] for row in found])
    torch.testing.assert_close(shares.double(), wanted.probabilities, atol=1e-6, rtol=0)
    assert [float(row["entropy"]) for row in found] == wanted.entropy.tolist()
    out = tmp_path / "answers.csv"
    assert main([*words, "--out", str(out)]) == 0
    assert rows_of(out.read_text()) == found
    assert "30 recordings answered" in capsys.readouterr().err
    assert main([*words, "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert rows_of(out.read_text()) == found


def test_portions_are_as_all_at_once(trained_run, files, tmp_path, monkeypatch):
    model = gemsnn.load(trained_run)
    found = listed(files.root, tmp_path / "lines", 30)

    def portions():
        return list(answering.answered(model, found, found.stretches[0], answering.How(3)))

    whole = [row for rows in portions() for row in rows]
    monkeypatch.setattr(answering, "PORTION", 7)
    assert [len(rows) for rows in portions()] == [7, 7, 7, 7, 2]
    assert [row for rows in portions() for row in rows] == whole


def test_as_many_compartments_as_needed(trained_run, files, capsys):
    words = ["predict", str(trained_run), str(files.root), "--until", "0.2", "--votes", "20"]
    assert main(words) == 0
    found = rows_of(capsys.readouterr().out)
    events = [read_recording(path) for path in files.files]
    wanted = gemsnn.ask(gemsnn.load(trained_run), events, 0.2, 20)
    assert [int(row["asked"]) for row in found] == wanted.asked.tolist()
    assert [row["answer"] for row in found] == [label or "" for label in wanted.labels]


def test_a_certificate_tells_sets_and_strangeness(run, files, capsys):
    assert main(["predict", str(run), str(files.root), "--certified"]) == 0
    found = rows_of(capsys.readouterr().out)
    wanted = gemsnn.Run(run).promised([read_recording(path) for path in files.files])
    for n, row in enumerate(found):
        assert tuple(filter(None, row["set"].split("|"))) == wanted.sets[n]
        assert row["early_answer"] == (wanted.answers[n] or "")
        assert float(row["answered_after_s"]) == float(wanted.seconds[n])
        assert float(row["strange_inputs"]) == float(wanted.strange_inputs[n])
    assert len({row["set"] for row in found}) > 1
    assert main(["predict", str(run), str(files.root), "--certified", "--votes", "3"]) == 2
    assert "leave out until, votes" in capsys.readouterr().err


def test_a_certificate_of_other_weights_is_refused(run, files, capsys, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    made = certificate.of_run(copy)
    certificate.save(
        copy, msgspec.structs.replace(made, weights="0" * 64), certificate.familiar_of(copy, made)
    )
    assert main(["predict", str(copy), str(files.root), "--certified"]) == 2
    assert "other weights" in capsys.readouterr().err


def test_a_damaged_file_is_a_row_with_its_reason(trained_run, tmp_path, capsys):
    """And what is said of others is as if it could be read."""
    whole = recorded()
    for name, content in (("1.bin", whole), ("2.bin", whole), ("3.bin", whole)):
        (tmp_path / name).write_bytes(content)
    words = ["predict", str(trained_run), str(tmp_path), "--votes", "3"]
    assert main(words) == 0
    before = rows_of(capsys.readouterr().out)
    assert [row["error"] for row in before] == ["", "", ""]
    (tmp_path / "2.bin").write_bytes(b"")
    assert main(words) == 0
    told = capsys.readouterr()
    found = rows_of(told.out)
    assert [found[0], found[2]] == [before[0], before[2]]
    assert found[1]["recording"] == "2.bin"
    assert "the file is empty" in found[1]["error"]
    assert {value for key, value in found[1].items() if key not in ("recording", "error")} == {""}
    assert "1 of 3 recordings could not be answered" in told.err
    assert main([*words[:2], str(tmp_path / "1.bin"), "--votes", "3"]) == 0
    assert [row["recording"] for row in rows_of(capsys.readouterr().out)] == ["1.bin"]
    assert main([*words[:2], str(tmp_path / "2.bin"), "--votes", "3"]) == 2
    assert "none of 1 recordings could be answered" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["nowhere"], "there is no such file or folder"),
        (["."], "no event file"),
        ([".", "--votes", "0"], "votes must be at least 1"),
        ([".", "--until", "2"], "risk"),
        ([".", "--certified"], "has no certificate"),
    ],
)
def test_what_cannot_be_answered_is_refused(trained_run, tmp_path, monkeypatch, capsys, more, message):
    monkeypatch.chdir(tmp_path)
    if "--until" in more:
        (tmp_path / "1.bin").write_bytes(recorded())
    assert main(["predict", str(trained_run), *more]) == 2
    assert message in capsys.readouterr().err
