"""Recordings of one's own from end to end: a run of them in every format, and others that it is asked about."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from event_files import aedat2, nmnist
from object_files import (
    BINS,
    CLASSES,
    FORMATS,
    RECORDINGS,
    SIDE,
    folder_of,
    said,
    scene,
    scores,
    train,
)

from gemsnn.commands.cli import main
from gemsnn.data.datasets import DataSpec, load
from gemsnn.data.grid import Grid
from gemsnn.runs import loading

pytestmark = pytest.mark.usefixtures("undrawn", "own_cache")


@pytest.fixture
def trained(objects_run):
    return objects_run


# -- from end to end ---------------------------------------------------------------------------------------


def test_the_report_calls_classes_by_their_names(trained):
    report = (trained[1] / "report.html").read_text()
    assert all(f">{name}</text>" in report for name in CLASSES)
    assert any(f"class {name}" in report for name in CLASSES)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_from_end_to_end(kind, trained, tmp_path, capsys):
    """The same events in any format are the same data; classes are called by their names wherever there are answers."""
    root, out = folder_of(tmp_path / "data", kind), tmp_path / "run"
    assert (
        train(root, out, *BINS, *FORMATS[kind][1], *(["--crop", "0,0,34x34"] if kind == "aedat" else [])) == 0
    )
    manifest, wanted = (json.loads((each / "manifest.json").read_text()) for each in (out, trained[1]))
    assert manifest["data_sha256"] == wanted["data_sha256"]
    assert manifest["presentations"] == {"train": 12, "validation": 3, "test": 3}
    model = loading.load(out)
    assert model.names == CLASSES
    assert model.reading.sensor == (SIDE, SIDE)
    told = "ms" if kind == "csv" else None  # the only one of them whose unit nothing else tells
    assert model.reading == replace(loading.load(trained[1]).reading, time_unit=told)
    found = scores(out, capsys)
    assert found == scores(trained[1], capsys)
    assert found["names"] == list(CLASSES)
    assert json.loads((out / "metrics.json").read_text())["names"] == list(CLASSES)
    capsys.readouterr()
    recording = root / "middle" / f"0.{kind}"
    assert (
        main(
            [
                "stream",
                "--model",
                str(out),
                "--input",
                str(recording),
                "--speed",
                "max",
                "--compartments",
                "2",
                *(["--x0", "0", "--y0", "0"] if kind == "aedat" else []),
            ]
        )
        == 0
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines
    for line in lines:
        assert line["name"] == (None if line["class"] is None else CLASSES[line["class"]])
    assert {line["name"] for line in lines} - {None}
    assert lines[-1]["outside_events"] == lines[-1]["late_events"] == 0


def test_a_stream_answers_as_evaluate_does(trained, capsys):
    """Of a recording of the test part, at its last bin, with its number in the data set."""
    root, out = trained
    model = loading.load(out)
    data = load(model.settings.data, like=model.reading)
    for position in range(len(data.test)):
        label, address = int(data.test.labels[position]), int(data.test.address[position])
        votes = model.poll(data.test.select([position]), 2).votes[0, :, -1].tolist()
        path = root / CLASSES[label] / f"{RECORDINGS - 1}.bin"
        words = ["stream", "--model", str(out), "--input", str(path), "--speed", "max", "--compartments", "2"]
        assert main([*words, "--address", str(address)]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert lines[29]["bin"] == 29
        assert lines[29]["votes"] == votes


def test_a_stopped_training_of_events_goes_on(tmp_path):
    """With all that was chosen of them, chosen again."""
    root = folder_of(tmp_path / "data", "npy")
    constant = ["--schedule", "constant"]
    assert train(root, tmp_path / "whole", *constant, "--epochs", "2") == 0
    assert train(root, tmp_path / "one", *constant) == 0
    assert main(["train", "--resume", str(tmp_path / "one"), "--epochs", "2"]) == 0
    for name in ("metrics.json", "model.json", "config.toml"):
        assert (tmp_path / "one" / name).read_text() == (tmp_path / "whole" / name).read_text()


# -- other recordings --------------------------------------------------------------------------------------


def test_other_recordings_are_read_as_the_runs_own(tmp_path, capsys):
    """With its bins, window and squares, even where others would suit them better."""
    for label, name in enumerate(CLASSES):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(RECORDINGS):
            events = scene(label, number)
            events["x"] += 41
            events["y"] += 20
            (tmp_path / "own" / name / f"{number}.x").write_bytes(aedat2(events))
    out = tmp_path / "run"
    assert train(tmp_path / "own", out, "--pool", "3") == 0
    reading = loading.load(out).reading
    assert reading.corner == (41, 20)  # more than half of the sensor is empty
    assert reading.window == (34, 34)
    assert reading.grid == Grid.pooled(34, 34, 3)  # whose last cells are cut
    own = scores(out, capsys)
    assert own == scores(out, capsys, "--root", str(tmp_path / "own"))
    few = tmp_path / "few"
    for name in CLASSES:
        (few / "test" / name).mkdir(parents=True)
        shutil.copy(tmp_path / "own" / name / f"{RECORDINGS - 1}.x", few / "test" / name / "one")
    longer = np.concatenate([scene(0, 9), scene(1, 9)])  # twice as long, and elsewhere
    longer["t"][120:] += 30_000
    longer["x"][:] = longer["x"] * 3
    (few / "test" / "left" / "two").write_bytes(aedat2(longer))
    other = scores(out, capsys, "--data", "events", "--root", str(few))
    assert other["presentations"] == 4
    (few / "test" / "left" / "two").unlink()
    other = scores(out, capsys, "--root", str(few))
    for name in ("accuracy", "nll", "ece", "brier", "confusion", "log_likelihood"):
        # but for the noise, which the number of a recording addresses
        assert np.shape(other[name]) == np.shape(own[name])
    model = loading.load(out)
    data = load(DataSpec("events", few), like=model.reading)
    assert data.reading == model.reading
    assert data.test.rows.digest() == load(model.settings.data).test.rows.digest()


def test_other_recordings_may_lack_classes_but_have_no_others(trained, tmp_path, capsys):
    _, out = trained
    some = folder_of(tmp_path / "some", classes=("left", "right"), count=5)
    shutil.move(some / "right", some / "right-of-it")
    (some / "right-of-it").rename(some / "middle")
    found = scores(out, capsys, "--data", "events", "--root", str(some))
    assert [sum(row) for row in found["confusion"]] == [5, 5, 0]
    (some / "middle").rename(some / "between")
    assert main(["evaluate", str(out), "--votes", "2", "--root", str(some)]) == 2
    _, error = said(capsys)
    assert (
        "the network knows no class between, but left, middle, right; name classes as in its training"
        in error
    )


def test_a_labels_file_at_another_place_tells_of_its_own_recordings(tmp_path, capsys):
    """That of the training, and what finds classes in names, are not asked there."""
    one, two = tmp_path / "one", tmp_path / "two"
    for root, name in ((one, "{c}-{n}"), (two, "{n}")):
        root.mkdir()
        for label, c in enumerate(CLASSES):
            for n in range(4):
                (root / name.format(c=c, n=10 * label + n)).write_bytes(nmnist(scene(label, n)))
    (two / "labels.csv").write_text(
        "file,label,split\n"
        + "".join(f"{10 * k + n},{c},test\n" for k, c in enumerate(CLASSES) for n in range(4))
    )
    assert train(one, tmp_path / "run", *BINS, "--class-from", "^[a-z]+") == 0
    found = scores(tmp_path / "run", capsys, "--root", str(two))
    assert found["presentations"] == 12
    assert train(two, tmp_path / "none", *BINS) == 2
    assert "the train part of the data is empty" in said(capsys)[1]
    assert not (tmp_path / "none").exists()


def test_a_run_of_windows_is_asked_of_whole_recordings(tmp_path, capsys):
    """How its own files were cut means nothing there."""
    (tmp_path / "own").mkdir()
    for label, name in enumerate(CLASSES):
        parts = [scene(label, n) for n in range(4)]
        for n, each in enumerate(parts):
            each["t"] += 30_000 * n
        (tmp_path / "own" / f"{name}.x").write_bytes(nmnist(np.concatenate(parts)))
    out = tmp_path / "run"
    assert train(tmp_path / "own", out, "--window-ms", "30", "--steps", "30", "--bin-us", "1000") == 0
    whole = folder_of(tmp_path / "whole")
    assert scores(out, capsys, "--root", str(whole))["presentations"] == len(CLASSES) * RECORDINGS
    again = scores(out, capsys, "--root", str(tmp_path / "own"))
    assert again == scores(out, capsys)


def test_other_data_sets_fit_by_their_names_too(trained, tmp_path, capsys):
    """N-MNIST's digits are no objects, though as many inputs."""
    _, out = trained
    for digit in range(10):
        for part in ("Train", "Test"):
            (tmp_path / part / str(digit)).mkdir(parents=True)
            for number in range(2):
                (tmp_path / part / str(digit) / f"{number}.bin").write_bytes(nmnist(scene(digit % 3, number)))
    assert main(["evaluate", str(out), "--votes", "2", "--data", "nmnist", "--root", str(tmp_path)]) == 2
    assert "classes 10 where the network was trained on 3" in said(capsys)[1]
    assert train(tmp_path, tmp_path / "run", *BINS) == 0  # the same folder, as recordings of one's own
    found = scores(tmp_path / "run", capsys, "--data", "nmnist", "--root", str(tmp_path))
    assert "names" not in found
    own = scores(tmp_path / "run", capsys)
    # all but the noise, which is addressed by a recording's number in its data set
    assert found.keys() == own.keys()

    for row, other in zip(found["confusion"], own["confusion"], strict=True):
        assert sum(row) == pytest.approx(sum(other))


def test_others_that_come_in_no_parts_are_scored_as_a_whole(trained, tmp_path, capsys):
    """A part of them that is asked for alone says of how many it is; the answers to it are the same."""
    _, out = trained
    other = tmp_path / "other"
    for label, name in enumerate(CLASSES):
        (other / name).mkdir(parents=True)
        for number in range(10, 15):
            (other / name / f"{number}.bin").write_bytes(nmnist(scene(label, number)))
    capsys.readouterr()
    assert main(["evaluate", str(out), "--votes", "2", "--json", "--root", str(other)]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert "scored are all 15 recordings of events\n" in told.err
    assert (found["split"], found["presentations"]) == ("all", 15)
    assert found == scores(out, capsys, "--root", str(other), "--split", "all")
    correct = 0.0
    for split, count in (("train", 11), ("validation", 1), ("test", 3)):
        assert main(["evaluate", str(out), "--votes", "2", "--root", str(other), "--split", split]) == 0
        assert (
            f"{count} recordings of the {split} part of events, which has 15 in all"
            in capsys.readouterr().err
        )
        part = scores(out, capsys, "--root", str(other), "--split", split)
        assert part["presentations"] == count
        correct += part["accuracy"] * count
    assert correct == pytest.approx(found["accuracy"] * 15)
    limited = scores(out, capsys, "--root", str(other), "--limit", "4")
    assert limited["presentations"] == 4


def test_what_was_learned_from_is_never_scored_unasked(tmp_path, capsys):
    """At its own place or moved, whole or limited, in a run or in a file that was sent."""
    root, out = folder_of(tmp_path / "data"), tmp_path / "run"
    assert train(root, out, *BINS, "--limit", "9") == 0
    shutil.copytree(root, tmp_path / "moved")
    loading.load(out).save(tmp_path / "sent.safetensors")
    for model, place in ((out, "data"), (out, "moved"), (tmp_path / "sent.safetensors", "moved")):
        words = ["--data", "events", "--root", str(tmp_path / place)]
        found = scores(model, capsys, *words)
        assert (found["split"], found["presentations"]) == ("test", 3), (model, place)
        assert scores(model, capsys, *words, "--split", "all")["presentations"] == 18
    assert main(["evaluate", str(out), "--votes", "2", "--split", "all"]) == 2
    assert "has learned from some of its own data" in said(capsys)[1]


@pytest.mark.parametrize("part", ["test", "validation"])
def test_parts_that_others_come_in_are_kept(part, trained, tmp_path, capsys):
    """Those that their folders tell are scored as they are."""
    _, out = trained
    for where, count in (("train", 2), ("validation", 3), ("test", 4)):
        (tmp_path / where).mkdir()
        shutil.copytree(folder_of(tmp_path / f"{where}s", count=count), tmp_path / where, dirs_exist_ok=True)
        shutil.rmtree(tmp_path / f"{where}s")
    found = scores(out, capsys, "--root", str(tmp_path), *(() if part == "test" else ("--split", part)))
    assert (found["split"], found["presentations"]) == (part, 9 if part == "validation" else 12)
