"""HDF5 files of many recordings of a row of channels, as SHD's, in place of a folder of recordings."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from gemsnn.commands.cli import main
from gemsnn.data.datasets import DataSpec, load
from gemsnn.errors import InputError
from gemsnn.runs import loading

pytestmark = pytest.mark.usefixtures("undrawn")

NAMES = ("null", "eins", "zwei")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("gemsnn.machine.places.cache_folder", lambda: folder)


def written(
    path: Path, count: int, seed: int, *, names=NAMES, width: int = 70
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Recordings of 0.7 s; the channels of class ``c`` are ``20 c .. 20 c + 29``."""
    draw, kept = np.random.default_rng(seed), []
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.dtype("f4")))
        units = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.dtype("u2")))
        for i in range(count):
            t = np.sort(0.7 * draw.random(150)).astype("f4")
            unit = (20 * (i % 3) + draw.integers(0, 30, 150)).astype("u2")
            unit[0] = width - 1
            times[i], units[i] = t, unit
            kept.append((t, unit))
        file["labels"] = np.arange(count) % 3
        if names:
            file["extra/keys"] = [name.encode() for name in names]
    return kept


def test_parts_by_the_names_of_files(tmp_path):
    train, test = (written(tmp_path / f"words_{part}.h5", n, n) for part, n in (("train", 30), ("test", 9)))
    data = load(DataSpec("events", tmp_path))
    assert [len(part) for part in data.parts.values()] == [27, 3, 9]
    assert data.train.names == NAMES
    assert (data.train.layout.width, data.train.layout.height, data.train.layout.channels) == (70, 1, 1)
    reading = data.train.reading
    assert reading is not None
    assert not reading.pad
    bin_us = data.train.layout.bin_us
    for part, kept in ((data.test, test), (data.train, train)):
        for position in range(len(part)):
            number = int(part.address[position]) - (0 if part is data.train else 30)
            t, unit = kept[number]
            wanted = np.zeros((len(part.recording(position)), 70), np.uint8)
            at = np.floor(t.astype(np.float64) * 1e6 / bin_us + 1e-9).astype(int)
            near = (
                np.abs(t.astype(np.float64) * 1e6 / bin_us - np.round(t.astype(np.float64) * 1e6 / bin_us))
                < 1e-3
            )
            inside = (at < len(wanted)) & ~near  # microseconds are rounded
            found = part.recording(position).dense()
            wanted[at[inside], unit[inside]] = 1
            assert (found >= wanted).all()
            assert found.sum() - wanted.sum() <= near.sum()
            assert int(part.labels[position]) == number % 3


def test_one_file_is_learned_and_its_classes_are_named(tmp_path, capsys):
    written(tmp_path / "shd.h5", 60, 0)
    out = tmp_path / "run"
    few = ["--epochs", "6", "--hidden", "16", "--votes", "3", "--lr", "0.01"]
    assert (
        main(["train", "--data", "events", "--root", str(tmp_path / "shd.h5"), "--out", str(out), *few]) == 0
    )
    assert (
        "60 recordings of 3 classes, which are the files' labels; 70 channels in a row"
        in capsys.readouterr().err
    )
    assert loading.load(out).names == NAMES
    # 9 of 12 where 4 are to be expected: by chance with a probability of 4e-3
    assert json.loads((out / "metrics.json").read_text())["accuracy"] >= 0.75
    assert main(["evaluate", str(out), "--votes", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["names"] == list(NAMES)


def test_info_tells_of_each_file(tmp_path, capsys):
    for part in ("train", "test"):
        written(tmp_path / f"words_{part}.h5", 6, 1)
    assert main(["info", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(told) == ["words_test.h5", "words_train.h5"]
    assert all(each["recordings"] == 6 and each["names"] == list(NAMES) for each in told.values())


def test_other_files_and_settings_are_refused(tmp_path):
    written(tmp_path / "a" / "x_train.h5", 9, 0)
    written(tmp_path / "a" / "x_test.h5", 9, 0, names=("one", "two", "three"))
    with pytest.raises(InputError, match="other names than those of"):
        load(DataSpec("events", tmp_path / "a"))
    written(tmp_path / "b.h5", 9, 0)
    with pytest.raises(InputError, match="70 channels in a row"):
        load(DataSpec("events", tmp_path / "b.h5", sensor="60x1"))
    with pytest.raises(InputError, match="class_from has no effect"):
        load(DataSpec("events", tmp_path / "b.h5", class_from="^[a-z]+"))
    assert load(DataSpec("events", tmp_path / "b.h5", sensor="700x1")).train.layout.width == 700
    written(tmp_path / "c.h5", 2, 0, names=())
    with pytest.raises(InputError, match="no class has a second recording"):
        load(DataSpec("events", tmp_path / "c.h5"))
    assert load(DataSpec("events", tmp_path / "b.h5", bin_us=10_000, steps=70)).train.layout.bin_us == 10_000
