"""gemsnn info."""

import json

import h5py
import numpy as np
from event_files import aedat2, nmnist_folder, random_events
from shared_data import SHARED, shared

from gemsnn.commands.cli import main


def test_info(nmnist_root, capsys):
    file = next(nmnist_root.rglob("*.bin"))
    assert main(["info", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() >= {"format", "events", "duration_us", "width", "height", "on_fraction"}
    assert (found["events"], found["width"], found["height"]) == (250, 34, 34)
    assert main(["info", str(file)]) == 0
    assert "events: 250" in capsys.readouterr().out


def told(capsys, *words: str) -> dict:
    assert main(["info", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *words: str) -> str:
    assert main(["info", *words]) == 2
    found = capsys.readouterr()
    assert found.err.count("\n") == 1
    assert not found.out
    return found.err


def test_info_of_a_file_says_what_was_assumed(tmp_path, capsys):
    rows = [(n * 1000, n % 20, n % 7, n % 2) for n in range(3000)]
    np.savetxt(tmp_path / "x", rows, fmt="%d", delimiter=";", header="t;x;y;p", comments="")
    found = told(capsys, str(tmp_path / "x"))
    notes = found.pop("notes")
    assert found == {
        "format": "text",
        "events": 3000,
        "duration_us": 2_999_000,
        "seconds": 2.999,
        "events_per_second": 3000 / 2_999_000 * 1e6,
        "width": 20,
        "height": 7,
        "sensor_inferred": True,
        "on_fraction": 0.5,
    }
    assert [note.split(",")[0] for note in notes] == [
        "Times are taken as microseconds",
        "The file does not tell the sensor's size: the extent of its events is taken for it.",
    ]
    assert told(capsys, str(tmp_path / "x"), "--time-unit", "ns")["seconds"] == 0.002999
    assert main(["info", str(tmp_path / "x")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:4] == ["format: text", "events: 3000", "duration_us: 2999000", "seconds: 2.999"]
    assert shown[-1].startswith("note: The file does not tell")
    assert "leave class_from and labels out" in refused(capsys, str(tmp_path / "x"), "--class-from", "x")
    np.savetxt(tmp_path / "x", [(n, 1, 2, 1) for n in range(3000)], fmt="%d", header="t x y p")
    assert "give time_unit (--time-unit, where a command has it)" in refused(capsys, str(tmp_path / "x"))
    assert told(capsys, str(tmp_path / "x"), "--time-unit", "ms")["seconds"] == 2.999


def test_info_of_a_folder(tmp_path, capsys):
    nmnist_folder(tmp_path, [(d, n) for d in (0, 2, 10) for n in (1, 2)])
    nmnist_folder(tmp_path, [(0, 3)], "test")
    (tmp_path / "Train" / "2" / "x").write_bytes(
        aedat2(random_events(np.random.default_rng(0), 50, 128, 900_000))
    )
    (tmp_path / "Train" / "2" / "y.bin").write_bytes(b"\xff" * 12)
    (tmp_path / "Train" / "2" / "notes.md").write_text("what I saw")
    found = told(capsys, str(tmp_path))
    assert found["classes"] == {"0": 3, "2": 4, "10": 2}
    assert found["classes_from"] == "folders"
    assert found["splits"] == {"train": 8, "test": 1}
    assert found["formats"] == {"N-MNIST": 7, "AEDAT 2.0": 1}
    assert (found["recordings"], found["events"], found["damaged"]) == (9, 7 * 250 + 50, 1)
    assert "y.bin: an N-MNIST file has 5 bytes an event, and 12 bytes leave 2 over" in found["refusals"][0]
    assert found["seconds"]["max"] > 0.8 > 0.31 > found["seconds"]["median"] > found["seconds"]["min"]
    assert (found["width"], found["height"], found["sensor_inferred"]) == (128, 128, False)
    assert found["notes"] == [
        "Files that are no event files by their content were left out: Train/2/notes.md."
    ]
    assert main(["info", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "classes: 0 3, 2 4, 10 2\n" in shown
    assert "\nrefusal: " in shown
    assert "no such file" in refused(capsys, str(tmp_path / "nothing"))
    (tmp_path / "labels.csv").write_text("file,label\nTrain/2/x,it\ntest/0/00003.bin,other\n")
    found = told(capsys, str(tmp_path))
    assert (found["classes"], found["classes_from"]) == ({"it": 1, "other": 1}, "a labels file")
    assert "leave class_from out" in refused(capsys, str(tmp_path), "--class-from", "x")


def test_info_of_a_folder_of_which_nothing_can_be_read(tmp_path, capsys):
    (tmp_path / "x.bin").write_bytes(b"\xff" * 12)
    found = told(capsys, str(tmp_path))
    assert (found["damaged"], found["events"], found["seconds"], found["width"]) == (1, 0, None, None)


def test_info_of_spoken_words(tmp_path, capsys):
    with h5py.File(tmp_path / "x", "w") as file:
        for name, kind in (("times", "f2"), ("units", "u2")):
            rows = file.create_dataset(f"spikes/{name}", (3,), h5py.vlen_dtype(np.dtype(kind)))
            for i in range(3):
                rows[i] = np.arange(i + 2) / (4 if name == "times" else 0.25)
        file["labels"] = [0, 1, 1]
    assert told(capsys, str(tmp_path / "x")) == {
        "format": "HDF5 spikes",
        "events": 9,
        "duration_us": None,
        "width": 13,
        "height": 1,
        "on_fraction": 1.0,
        "recordings": 3,
        "labels": {"0": 1, "1": 2},
    }


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
