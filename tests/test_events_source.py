"""Recordings of one's own: classes, parts, windows, bins and pixels, and what cannot be used."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from event_files import HEADER, aedat2, nmnist, random_events, raw_aedat2
from hypothesis import given, settings
from hypothesis import strategies as st
from object_files import (
    BINS,
    CLASSES,
    FEW,
    RECORDINGS,
    SIDE,
    folder_of,
    plain,
    said,
    scene,
    scores,
    train,
)
from shared_data import shared

from gemsnn.commands.cli import main
from gemsnn.data.binning import BinSpec
from gemsnn.data.datasets import OPEN, DataSpec, load
from gemsnn.data.events import make_events
from gemsnn.data.readers import read_recording
from gemsnn.data.sets import events as source
from gemsnn.data.sets import survey
from gemsnn.errors import InputError
from gemsnn.runs import loading

pytestmark = pytest.mark.usefixtures("undrawn", "own_cache")


# -- classes and parts -------------------------------------------------------------------------------------


def found_in(root: Path, bins: BinSpec = OPEN, **how: Any) -> source.Found:
    return source.find(root, bins, **how)


def items_of(found: source.Found) -> dict[str, list[tuple[str, str]]]:
    """Of each part the names of recordings and of their classes."""
    listing = found.listing
    parts = {"train": listing.train, "validation": listing.validation or (), "test": listing.test}
    return {part: [(item.name, listing.names[item.label]) for item in items] for part, items in parts.items()}


def test_the_last_of_each_class_test(tmp_path):
    found = found_in(folder_of(tmp_path, count=12))
    parts = items_of(found)
    assert parts["validation"] == []
    for name in CLASSES:  # 10 and 11 come after 9
        assert [each for each, of in parts["test"] if of == name] == [f"{name}/10.bin", f"{name}/11.bin"]
        assert [each for each, of in parts["train"] if of == name] == [f"{name}/{n}.bin" for n in range(10)]
    index = [item.index for part in (found.listing.train, found.listing.test) for item in part]
    assert sorted(index) == list(range(36))
    assert any("the last 20 % of each class (6 recordings)" in note for note in found.listing.notes)


def test_parts_of_folders_are_kept(tmp_path):
    for part in ("train", "val", "test"):
        folder_of(tmp_path / part, count=2)
    parts = items_of(found_in(tmp_path))
    for rows in parts.values():
        assert Counter(of for _, of in rows) == Counter(CLASSES * 2)
    assert all(name.startswith("val/") for name, _ in parts["validation"])
    data = load(DataSpec("events", tmp_path))
    assert [len(part) for part in data.parts.values()] == [6, 6, 6]


def test_classes_in_names(tmp_path):
    folder_of(tmp_path / "deep")
    for path in [*tmp_path.rglob("*.bin")]:
        path.rename(tmp_path / f"{path.parent.name}_{path.name}")
    found = found_in(tmp_path, class_from="^([a-z]+)_")
    assert found.listing.names == CLASSES
    assert {of for _, of in items_of(found)["train"]} == set(CLASSES)
    assert found.chosen.startswith(
        "18 recordings of 3 classes, which are in the files' names; 34 x 34 pixels;"
    )


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_stretches_of_a_labels_file_hold_what_lies_in_them(tmp_path_factory, data):
    """In the parts that the file tells, from their beginning up to their end, counted from their beginning."""
    root = tmp_path_factory.mktemp("labels")
    events = {
        name: random_events(np.random.default_rng(seed), 200, SIDE, 400_000) for seed, name in enumerate("ab")
    }
    for name, each in events.items():
        (root / name).write_bytes(nmnist(each))
    rows, wanted = ["label,end,file,begin,split"], {}
    moments = st.integers(0, 40)
    for split in ("train", "validation", "test"):
        for label in ("x", "y"):
            name, low = data.draw(st.sampled_from("ab")), data.draw(moments)
            high = data.draw(st.one_of(st.none(), st.integers(low + 1, 41)))
            key = (name, low, high)
            if key in {each[:3] for each in wanted.values()}:
                return
            wanted[split, label] = (*key, label)
            rows.append(f"{label},{'' if high is None else high / 100},{name},{low / 100},{split}")
    (root / "labels.csv").write_text("\n".join(rows))
    found = found_in(root, BinSpec(10_000, 50), bin_us=10_000, pool=1, sensor=(SIDE, SIDE))
    listing = found.listing
    for part, items in (("train", listing.train), ("validation", listing.validation), ("test", listing.test)):
        for item, recording in zip(items, listing.read(items), strict=True):
            name, low, high, _ = wanted[part, listing.names[item.label]]
            until = 10**9 if high is None else 10_000 * high
            those = [row for row in events[name].tolist() if 10_000 * low <= row[0] < until]
            assert recording.events.tolist() == [(t - 10_000 * low, x, y, on) for t, x, y, on in those]
            assert (recording.width, recording.height) == (SIDE, SIDE)


def test_windows_of_a_file_are_split_by_time(tmp_path):
    """No moment is on two sides: training windows end before those that validate begin, and those before the tests."""
    lengths = {"a": 4, "b": 10, "c": 27}
    for name, count in lengths.items():
        t = np.arange(0, 10_000 * count, 500)
        (tmp_path / f"{name}.dat").write_bytes(aedat2(make_events(t, t % 128, t // 500 % 128, t % 3 == 0)))
    found = found_in(tmp_path, window_ms=9.95)
    listing = found.listing
    assert listing.names == ("a", "b", "c")
    stretches: dict[str, list[tuple[str, int, int]]] = {name: [] for name in lengths}
    for part, items in (
        ("train", listing.train),
        ("validation", listing.validation or ()),
        ("test", listing.test),
    ):
        for item in items:
            assert item.source.path.stem == listing.names[item.label]
            stretches[item.source.path.stem].append((part, item.source.begin_us, item.source.end_us))
    for name, count in lengths.items():
        rows = stretches[name]
        assert rows == sorted(rows, key=lambda row: row[1])  # train, then validation, then test
        assert [row[1:] for row in rows] == [(9950 * k, 9950 * (k + 1)) for k in range(len(rows))]
        last = 10_000 * count - 500
        assert rows[-1][2] <= last + 1 < rows[-1][2] + 9950
        parts = Counter(row[0] for row in rows)
        assert parts["test"] == max(1, round(0.2 * len(rows)))
        assert parts["validation"] == max(1, round(0.1 * len(rows)))
    recordings = dict(zip([item.name for item in listing.test], listing.read(listing.test), strict=True))
    some = recordings["c.dat from 0.24875 s"].events["t"]
    assert some.tolist() == [t - 248_750 for t in range(249_000, 258_700, 500)]
    index = [item.index for part in (listing.train, listing.validation or (), listing.test) for item in part]
    assert sorted(index) == list(range(len(index)))
    assert (
        found.bins.bin_us * (found.bins.steps or 0)
        >= 9950
        > found.bins.bin_us * ((found.bins.steps or 0) - 1)
    )


def test_windows_interleaved_by_a_limit_read_no_file_again(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / name).write_bytes(aedat2(random_events(np.random.default_rng(0), 900, 128, 2_000_000)))
    read: list[str] = []
    monkeypatch.setattr(
        source, "read_recording", lambda path, **how: read.append(path.name) or read_recording(path, **how)
    )
    data = load(DataSpec("events", tmp_path, window_ms=100, limit=30))
    assert len(data.train) + len(data.validation) == 30
    assert len(read) == 9  # in each part, each file


# -- what is chosen ----------------------------------------------------------------------------------------


def test_bins_follow_from_the_recordings(tmp_path):
    """About sixty for the median one, as many as 95 % of them need, of a round width."""
    for number in range(20):
        for label in ("a", "b"):
            (tmp_path / label).mkdir(exist_ok=True)
            t = np.array([0, 100_000 + 1000 * number]) if number < 19 else np.array([0, 5_000_000])
            (tmp_path / label / str(number)).write_bytes(aedat2(make_events(t, t % 100, t % 90, t > 0)))
    bins = found_in(tmp_path).bins
    assert bins.bin_us == 2000  # 109.5 ms / 60 = 1.8 ms
    assert bins.steps == 118_000 // 2000 + 1  # the longest but two of 40
    own = found_in(tmp_path, BinSpec(7, 9), bin_us=300, pool=5).bins
    assert (own.bin_us, own.steps, own.pool) == (300, 9, 5)
    assert found_in(tmp_path, bin_us=10).bins.steps == survey.MOST_BINS


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-3, 1e9))
def test_widths_are_round_and_near(width):
    found = survey._rounded(width)  # pyright: ignore[reportPrivateUsage]
    digits = f"{found:e}".rstrip("0e+-").split("e")[0].rstrip("0.")
    assert digits in ("1", "2", "2.5", "5") or found in (2, 3)  # 2.5 is no whole number
    if width >= 4:
        assert width / 1.6 <= found <= width * 1.6


def test_the_window_and_the_squares_follow_from_the_pixels(tmp_path):
    def having(place: Path, *corners: tuple[int, int]) -> source.Found:
        for label in ("a", "b"):
            (place / label).mkdir(parents=True)
            for number in range(5):
                x, y = np.array(corners).T
                t = 100 * np.arange(len(x)) + number
                (place / label / str(number)).write_bytes(aedat2(make_events(t - t[0], x, y, t > 0)))
        return found_in(place)

    all_of_it = having(tmp_path / "all", (0, 0), (127, 127))
    assert (all_of_it.bins.crop, all_of_it.bins.pool) == (None, 4)  # 64 x 64 squares are more than 2500
    assert "128 x 128 pixels, pooled to 32 x 32" in all_of_it.chosen
    half = having(tmp_path / "half", (3, 0), (93, 90))
    assert (half.bins.crop, half.bins.pool) == (None, 4)  # 91 x 91 are more than half
    part = having(tmp_path / "part", (3, 7), (92, 96))
    assert (part.bins.crop, part.bins.pool) == ((3, 7, 90, 90), 2)
    assert "128 x 128 pixels, of which 90 x 90 from (3, 7), pooled to 45 x 45" in part.chosen
    whole = {"crop": "0,0,128x128", "pool": 1}
    assert load(DataSpec("events", tmp_path / "part", **whole)).train.layout[:3] == (2, 128, 128)
    assert load(DataSpec("events", tmp_path / "part", to="9x6")).train.layout[:3] == (2, 6, 9)
    assert load(DataSpec("events", tmp_path / "part", pool=1)).train.layout[:3] == (2, 90, 90)


def test_steps_for_the_longest(tmp_path):
    """Of other data sets, too: as many as the longest recording has, to which others are filled up, or not."""
    for part in ("Train", "Test"):
        for digit in range(10):
            (tmp_path / part / str(digit)).mkdir(parents=True)
            for number in range(3):
                t = np.array([0, 10_000 * (digit + 1) + number])
                (tmp_path / part / str(digit) / f"{number}.bin").write_bytes(
                    nmnist(make_events(t, t % 9, t % 9, t > 0))
                )
    padded, bare = (load(DataSpec("nmnist", tmp_path, steps="auto", pad=pad)) for pad in (True, False))
    for data, lengths in ((padded, {21}), (bare, {2 * digit + 3 for digit in range(10)})):
        assert data.reading is not None
        assert data.reading.steps == 21
        assert data.reading.pad == (data is padded)
        found = np.concatenate([np.diff(part.starts) for part in data.parts.values()])
        assert set(found.tolist()) == lengths
        data.reading.check(data.train)
    for position in range(len(bare.train)):
        bins = bare.train.bins(position)
        assert np.array_equal(padded.train.bins(position)[: len(bins)], bins)
        assert not padded.train.bins(position)[len(bins) :].any()


# -- what cannot be used -----------------------------------------------------------------------------------


def spoil(root: Path, *names: str) -> None:
    for name in names:
        (root / name).write_bytes(b"#!AER-DAT3.1\r\n" + bytes(64))


def test_damaged_files_are_named_and_left_out_only_if_one_asks(tmp_path, capsys):
    root = folder_of(tmp_path / "data")
    spoil(root, "left/2.bin", "right/0.bin")
    out = tmp_path / "run"
    assert train(root, out, *BINS) == 2
    _, error = said(capsys)
    assert error.startswith(f"gemsnn: {root}/left/2.bin: ")
    assert "(2 of 18 files are damaged)" in error
    assert "leave it out with skip_damaged (--skip-damaged)" in error
    assert not out.exists()
    assert train(root, out, *BINS, "--skip-damaged") == 0
    notes = json.loads((out / "manifest.json").read_text())["notes"]
    (told,) = [note for note in notes if "amaged" in note]
    assert told.startswith(f"Damaged files were left out: 2 of 18 ({root}/left/2.bin: ")
    assert sum(json.loads((out / "manifest.json").read_text())["presentations"].values()) == 16
    spoil(root, *[str(path.relative_to(root)) for path in root.rglob("*.bin")])
    with pytest.raises(InputError, match="all 18 files are damaged, the first: "):
        load(DataSpec("events", root, skip_damaged=True))


def test_repairs_are_counted_once_a_file(tmp_path):
    """However many windows it is cut into."""
    for name in ("a", "b"):
        t = np.concatenate([np.arange(0, 60_000, 100), np.arange(0, 60_000, 100)])
        (tmp_path / name).write_bytes(raw_aedat2(t % 2**15, t, HEADER))
    notes = load(DataSpec("events", tmp_path, window_ms=10)).notes
    assert [note for note in notes if "mended" in note] == [
        "Recordings were mended while they were read: 2 timestamp resets."
    ]


def of_one_class(root: Path) -> Path:
    (root / "labels.csv").write_text(
        "file,label\n" + "".join(f"left/{n}.bin,all\n" for n in range(RECORDINGS))
    )
    return root


def with_another_sensor(root: Path) -> Path:
    (root / "left" / "7.aedat").write_bytes(aedat2(scene(0, 7)))
    return root


def beyond(root: Path) -> Path:
    np.save(
        root / "left" / "7.npy",
        plain(make_events(np.arange(0, 30_000, 100), *[np.full(300, 99)] * 2, np.ones(300, bool))),
    )
    return root


def without_files(root: Path) -> Path:
    shutil.rmtree(root)
    (root / "left").mkdir(parents=True)
    (root / "left" / "notes.txt").write_text("nothing\n")
    return root


BAD = {
    "a wrong expression": (None, ["--class-from", "(["], "class_from '([' is no regular expression"),
    "no class in a name": (None, ["--class-from", "^[a-z]+"], "finds no class in this name; widen it"),
    "an empty folder": (without_files, [], "no event file is in this folder or below"),
    "one class": (of_one_class, [], "all recordings are of one class, all, so there is nothing to tell apart"),
    "a sensor too small": (None, ["--sensor", "20x34"], "lies outside the sensor of 20 x 34 pixels that was given"),
    "no size": (None, ["--sensor", "34"], "sensor must be a width and a height such as 346x260, not '34'"),
    "a crop outside": (None, ["--crop", "30,0,5x5"], "the crop (30, 0, 5, 5) does not fit a sensor of 34 x 34 pixels"),
    "no crop": (None, ["--crop", "5x5"], "crop must be a corner and a size such as 48,48,26x26, not '5x5'"),
    "more cells than pixels": (None, ["--to", "35x3"], "35 x 3 cells are more than the 34 x 34 pixels of the window"),
    "more cells than a crop": (None, ["--crop", "0,0,5x5", "--to", "6x5"], "6 x 5 cells are more than the 5 x 5"),
    "two ways to pool": (None, ["--pool", "2", "--to", "5x5"], "--pool and --to both say how pixels become inputs"),
    "no labels file": (None, ["--labels", "/nowhere/x.csv"], "/nowhere/x.csv: there is no such file"),
    "two sensors": (with_another_sensor, [], "or, if their pixels mean the same, sensor 128x128 (--sensor)"),
    "events beyond": (beyond, [], "at (99, 99) lies outside the sensor of 34 x 34 pixels that other files tell"),
    "windows of folders": (None, ["--window-ms", "10"], "window_ms cuts files that are classes, and here classes are"),
    "a unit that is known": (None, ["--time-unit", "ms"], "N-MNIST files count microseconds, not ms"),
    "no folder": (lambda root: root / "left" / "0.bin", [], "this is a file, not a folder"),
    "nothing there": (lambda root: root / "nowhere", [], "there is no such folder"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_used_is_told_in_a_sentence(what, tmp_path, capsys):
    """Nothing is left behind, and nothing of what is there changes."""
    change, words, told = BAD[what]
    root, out = folder_of(tmp_path / "data"), tmp_path / "run"
    where = root if change is None else change(root)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert train(where, out, *words) == 2
    output, error = said(capsys)
    assert error.startswith("gemsnn: ")
    assert told in error
    assert output == ""
    assert not out.exists()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("ms", [40, 0.0001])
def test_windows_that_are_no_windows(ms, tmp_path):
    for label, name in enumerate(CLASSES):
        (tmp_path / name).write_bytes(nmnist(scene(label, 0)))
    told = "makes 0 windows of 40 ms; three are needed" if ms == 40 else "window_ms must be at least 0.001"
    with pytest.raises(InputError, match=told):
        load(DataSpec("events", tmp_path, window_ms=ms))
    assert len(load(DataSpec("events", tmp_path, window_ms=9.8)).train) == 3


def test_two_sensors_that_mean_the_same(tmp_path):
    root = with_another_sensor(folder_of(tmp_path))
    data = load(DataSpec("events", root, sensor="128x128", crop="0,0,34x34"))
    assert sum(map(len, data.parts.values())) == 3 * RECORDINGS + 1


# -- real recordings ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_pips_by_their_names(tmp_path, capsys):
    out = tmp_path / "run"
    assert (
        train(
            shared("poker-dvs"),
            out,
            "--class-from",
            "^[a-z]+",
            "--hidden",
            "32",
            "--epochs",
            "12",
            "--shift",
            "2",
            "--votes",
            "5",
        )
        == 0
    )
    model = loading.load(out)
    assert model.names == ("cl", "di", "he", "sp")
    assert model.reading.window[0] <= 40  # they fill a small part of the sensor
    assert model.reading.window[1] <= 40
    assert 100 <= model.reading.layout.bin_us <= 1000
    # 13 of 20 where 5 are to be expected: by chance with a probability of 2e-4
    assert scores(out, capsys)["accuracy"] >= 0.65


@pytest.mark.slow
def test_real_objects_in_windows(tmp_path, capsys):
    root = shared("dvs128-objects", "session1")
    data = load(DataSpec("events", root, limit=70))
    assert data.train.names == ("Caixa", "Caneca", "Celular", "Estilete", "Lapiseira", "Mouse", "Tesoura")
    assert len(data.train) + len(data.validation) == 70
    assert data.train.layout.inputs <= 2 * survey.MOST_CELLS
    whole = load(DataSpec("events", root))
    assert any("cut into windows of 500 ms" in note for note in whole.notes)
    before = data.train.digest()
    assert load(DataSpec("events", root, limit=70)).train.digest() == before


@pytest.mark.slow
def test_real_digits_as_folders_are_those_of_the_data_set(tmp_path):
    """N-MNIST as a plain folder a class has the same recordings as under its name."""
    root = shared("nmnist")
    named = load(DataSpec("nmnist", root))
    own = load(DataSpec("events", root, bin_us=5000, steps=60, pad=True))
    assert own.train.names == tuple("0123456789")

    def contents(data) -> Counter:
        return Counter(
            (part.recording(i).digest(), int(part.labels[i]))
            for part in data.parts.values()
            for i in range(len(part))
        )

    assert contents(own) == contents(named)
    assert named.reading is not None
    assert own.reading == named.reading


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "place", "classes"),
    [("touch", "touch-objects", 36), ("braille", "braille", 27), ("neurons", "neurons-7-objects", 7)],
)
def test_real_rows_of_channels(name, place, classes, tmp_path, capsys):
    out, root = tmp_path / "run", shared(place)
    words = ["--data", name, "--root", str(root), "--limit", "60", "--out", str(out)]
    assert main(["train", *words, *(word for pair in FEW.items() for word in pair)]) == 0
    model = loading.load(out)
    assert len(model.names) == classes
    assert model.reading.sensor[1] == 1
    found = scores(out, capsys)
    assert found["classes"] == classes
    assert ("names" in found) == (name != "touch")
