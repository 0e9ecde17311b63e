"""Recordings of one's own: classes, parts, windows, bins and pixels, and what becomes of them from end to end."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from event_files import HEADER, aedat2, nmnist, random_events, raw_aedat2
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared

from gemsnn.commands.cli import main
from gemsnn.data.binning import BinSpec
from gemsnn.data.datasets import OPEN, DataSpec, load
from gemsnn.data.events import Events, make_events
from gemsnn.data.grid import Grid
from gemsnn.data.readers import read_recording
from gemsnn.data.sets import events as source
from gemsnn.data.sets import survey
from gemsnn.errors import InputError
from gemsnn.runs import loading

pytestmark = pytest.mark.usefixtures("undrawn")

SIDE = 34
CLASSES = ("left", "middle", "right")
RECORDINGS = 6


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Recordings are read in every test; compiled code is where it was."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("gemsnn.machine.places.cache_folder", lambda: folder)


def scene(label: int, number: int) -> Events:
    """Events of 30 ms in the columns of a class, the first at time 0."""
    random = np.random.default_rng([label, number])
    t = np.sort(random.integers(0, 29_500, 120))
    t[0], t[-1] = 0, 29_500
    x = 12 * label + random.integers(0, 10, 120)
    return make_events(t, x, random.integers(0, SIDE, 120), random.integers(0, 2, 120) == 1)


def plain(events: Events) -> np.ndarray:
    """As other programs have them."""
    out = np.zeros(len(events), [("x", "<u2"), ("y", "<u2"), ("t", "<u4"), ("p", "u1")])
    for name, own in zip("xytp", ("x", "y", "t", "on"), strict=True):
        out[name] = events[own]
    return out


def in_memory(write: Callable[[Any], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def hdf5(events: Events) -> bytes:
    def write(file: io.BytesIO) -> None:
        with h5py.File(file, "w") as held:
            for name in "xytp":
                held[f"events/{name}"] = plain(events)[name]

    return in_memory(write)


def dat2(events: Events) -> bytes:
    """DAT: x in 14 bits, y in the next 14, the polarity above."""
    e = plain(events).astype([("x", "<u4"), ("y", "<u4"), ("t", "<u4"), ("p", "<u4")])
    words = np.stack([e["t"], e["x"] | e["y"] << 14 | e["p"] << 28], 1).astype("<u4")
    head = f"% Data file containing CD events.\n% Version 2\n% Height {SIDE}\n% Width {SIDE}\n% end\n"
    return head.encode() + bytes([12, 8]) + words.tobytes()


def evt3(events: Events) -> bytes:
    """EVT 3: the high and the low bits of the time, the row, and the column with the polarity, all anew for each."""
    words = []
    for t, x, y, on in events.tolist():
        words += [0x8000 | t >> 12, 0x6000 | t & 0xFFF, y, 0x2000 | int(on) << 11 | x]
    head = f"% evt 3.0\n% geometry {SIDE}x{SIDE}\n% end\n"
    return head.encode() + np.array(words, "<u2").tobytes()


def evt2(events: Events) -> bytes:
    """EVT 2: the high bits of the time anew for each event, and a word of its polarity, low bits, column and row."""
    words = []
    for t, x, y, on in events.tolist():
        words += [0x8 << 28 | t >> 6, int(on) << 28 | (t & 63) << 22 | x << 11 | y]
    head = f"% evt 2.0\n% geometry {SIDE}x{SIDE}\n% end\n"
    return head.encode() + np.array(words, "<u4").tobytes()


def one_array(events: Events) -> bytes:
    """HDF5 with an array ``[n, 4]`` of time, column, row and polarity."""
    rows = np.array([[t, x, y, int(on)] for t, x, y, on in events.tolist()])

    def write(file: io.BytesIO) -> None:
        with h5py.File(file, "w") as held:
            held["events"] = rows

    return in_memory(write)


def by_faery(suffix: str) -> Callable[[Events], bytes]:
    def write(events: Events) -> bytes:
        import tempfile

        faery = pytest.importorskip("faery")
        raw = np.zeros(len(events), faery.EVENTS_DTYPE)
        for name in ("t", "x", "y", "on"):
            raw[name] = events[name]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"x.{suffix}")
            faery.events_stream_from_array(raw, (SIDE, SIDE)).to_file(path)
            return path.read_bytes()

    return write


def csv(events: Events) -> bytes:
    """Times in milliseconds, and nothing that says so."""
    rows = [f"{t / 1000:.3f},{x},{y},{int(on)}" for t, x, y, on in events.tolist()]
    return "\n".join(["t,x,y,p", *rows, ""]).encode()


FORMATS: dict[str, tuple[Callable[[Events], bytes], list[str]]] = {
    "aedat": (lambda events: aedat2(events, origin_us=2**31), []),
    "bin": (nmnist, []),
    "npy": (lambda events: in_memory(lambda file: np.save(file, plain(events))), []),
    "npz": (
        lambda events: in_memory(lambda file: np.savez(file, **{n: plain(events)[n] for n in "xytp"})),
        [],
    ),
    "hdf5": (hdf5, []),
    "h5": (one_array, []),
    "evt2": (evt2, []),
    "csv": (csv, ["--time-unit", "ms"]),
    "dat": (dat2, []),
    "raw": (evt3, []),
    "es": (by_faery("es"), []),
    "aedat4": (by_faery("aedat4"), []),
}
"""By the ending of their names, which plays no part: how a recording is written, and the flags that reading needs."""

BINS = ["--bin-us", "1000", "--steps", "30", "--sensor", f"{SIDE}x{SIDE}"]
FEW = {"--epochs": "1", "--hidden": "4", "--votes": "2", "--batch": "8", "--evaluate-every": "1"}
"""A training that is over at once, but for what a test asks for otherwise."""


def folder_of(root: Path, kind: str = "bin", classes=CLASSES, count: int = RECORDINGS) -> Path:
    """A folder a class."""
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.{kind}").write_bytes(FORMATS[kind][0](scene(label, number)))
    return root


def train(root: Path, out: Path, *words: str) -> int:
    few = {flag: value for flag, value in FEW.items() if flag not in words}
    given = [word for pair in few.items() for word in pair]
    return main(["train", "--data", "events", "--root", str(root), "--out", str(out), *given, *words])


def said(capsys) -> tuple[str, str]:
    """What was printed: on standard output, and the last line of standard error."""
    found = capsys.readouterr()
    return found.out, (found.err.splitlines() or [""])[-1]


def scores(run: Path, capsys, *words: str) -> dict:
    capsys.readouterr()
    assert main(["evaluate", str(run), "--votes", "2", "--json", *words]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of recordings in .bin, and their folder."""
    root, out = tmp_path_factory.mktemp("data") / "objects", tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr("gemsnn.machine.places.cache_folder", lambda: folder)
        assert train(folder_of(root), out, *BINS) == 0
    return root, out


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
    assert [sum(row) for row in found["confusion"]] == [1, 1, 0]
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
    assert scores(out, capsys, "--root", str(whole))["presentations"] == 3
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
