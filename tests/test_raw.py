"""Events that are changed in every epoch: they are those that were binned, and a training with them goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from event_files import aedat2, dvs_folder, hdf5, nmnist, nmnist_folder, random_events
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import FORMER, words_of

import gemsnn
from gemsnn.commands.cli import main
from gemsnn.data import cache, content, raw
from gemsnn.data.augment import OFF, AugmentSpec, augmented
from gemsnn.data.binning import BinSpec, bin_events
from gemsnn.data.datasets import DataSpec, load
from gemsnn.data.events import make_events
from gemsnn.data.packing import Source
from gemsnn.data.raw import Augmented
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.learn.state import TrainingState
from gemsnn.learn.train import TrainSpec, Watcher, start
from gemsnn.learn.train import fit as learn
from gemsnn.model import network as networks
from gemsnn.runs import loading
from gemsnn.store import trees
from gemsnn.store.records import RunFolder
from gemsnn.types import ChangingSequence

NOTHING = AugmentSpec(time_shift=1e-12)
"""Is on, and changes no recording: so short a time rounds to none."""

LIVELY = AugmentSpec(shift=2, drop_events=0.4, time_stretch=0.2, noise_events=0.3)
FLAGS = ["--shift", "2", "--drop-events", "0.4", "--time-stretch", "0.2", "--noise-events", "0.3"]
WANTED = [(digit, 10 * number + digit) for digit in range(3) for number in range(6)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Recordings are read in every test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("gemsnn.machine.places.cache_folder", lambda: folder)
    monkeypatch.setattr(content, "SETTLED_NS", 0)
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("nmnist")
    nmnist_folder(root, WANTED)
    return root


def of(splits: Splits, augment: AugmentSpec = NOTHING, seed: int = 0) -> Augmented:
    found = raw.learned(splits.train, augment, seed)
    assert isinstance(found, Augmented)
    return found


# -- what is kept ------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-5, 2**33), *[st.integers(0, 2**15 - 1)] * 2, st.booleans()), max_size=30)
)
def test_packed_events_are_the_events(rows):
    """But for those of times that have no room."""
    rows.sort(key=lambda row: row[0])
    t, x, y, on = (
        np.array([row[at] for row in rows], kind) for at, kind in enumerate([np.int64] * 3 + [bool])
    )
    packed = raw.pack(make_events(t, x, y, on))
    assert packed.dtype.itemsize == 8
    held = raw.RawEvents(packed, np.array([0, 0, len(packed)]), 2**15, 2**15)
    assert len(held.events(0)) == 0
    assert held.events(1).tolist() == [row for row in rows if 0 <= row[0] < 2**32]


def windows(root: Path) -> Splits:
    for seed, name in enumerate("abc"):
        (root / name).write_bytes(aedat2(random_events(np.random.default_rng(seed), 900, 128, 400_000)))
    return load(DataSpec("events", root, window_ms=40, to="20x30", counts=True, polarity="merged"))


def stretches(root: Path) -> Splits:
    for seed, name in enumerate("ab"):
        (root / name).write_bytes(nmnist(random_events(np.random.default_rng(seed), 400, 34, 300_000)))
    rows = [f"{name},{name},{k / 10},{k / 10 + 0.15}" for name in "ab" for k in range(3)]
    (root / "labels.csv").write_text("\n".join(["file,label,begin,end", *rows]))
    return load(DataSpec("events", root, pool=3))


def nmnist_set(root: Path, **how) -> Splits:
    nmnist_folder(root, WANTED)
    return load(DataSpec("nmnist", root, **how))


def deflickered(root: Path) -> Splits:
    dvs_folder(root, [(digit, number) for digit in range(2) for number in range(1, 6)])
    return load(DataSpec("mnist-dvs", root, deflicker=True, deflicker_seed=3))


def in_one_file(root: Path, side: int, low: int) -> Splits:
    rows = [(k % 2, random_events(np.random.default_rng(k), 300, side, 2_000_000, low)) for k in range(8)]
    hdf5(root / "x.hdf5", rows, rows[:2])
    return load(DataSpec("mnist-dvs", root / "x.hdf5"))


def damaged(root: Path) -> Splits:
    nmnist_folder(root, WANTED)
    (root / "Train" / "0" / "00000.bin").write_bytes(b"\1\2\3")
    shutil.copy(root / "Train" / "1" / "00001.bin", root / "Train" / "1" / "00099.bin")
    return load(DataSpec("nmnist", root, skip_damaged=True))


SETS = {
    "nmnist": nmnist_set,
    "nmnist of a window": lambda root: nmnist_set(root, crop="3,5,20x11", pool=2, counts=True),
    "nmnist of own lengths": lambda root: nmnist_set(root, steps="auto", pad=False, bin_us=7000),
    "windows": windows,
    "stretches": stretches,
    "deflickered": deflickered,
    "hdf5 of the whole sensor": lambda root: in_one_file(root, 128, 40),
    "hdf5 of the middle": lambda root: in_one_file(root, 26, 0),
    "damaged and twice": damaged,
    "digits": lambda root: load(DataSpec("digits", limit=12)),
    "digits merged": lambda root: load(
        DataSpec("digits", limit=12, polarity="merged", crop="4,5,9x11", steps=33)
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_unchanged_events_make_the_recordings_that_were_binned(name, tmp_path):
    """Whatever was done to them: windows, stretches, pixels cut out or pooled, noise."""
    splits = SETS[name](tmp_path)
    shown = of(splits)
    assert isinstance(shown, ChangingSequence)
    assert len(shown) == len(splits.train) > 2
    for epoch in (0, 5):
        rows = shown.at_epoch(epoch)
        assert len(rows) == len(shown)
        for position in range(len(shown)):
            one, other = rows[position], splits.train[position]
            assert one.rows.digest() == other.rows.digest()
            assert torch.equal(one.target, other.target)
            assert one[2:] == other[2:]


def test_nothing_that_is_on_is_the_part_itself(recordings):
    splits = load(DataSpec("nmnist", recordings))
    assert raw.learned(splits.train, OFF, 0) is splits.train


def test_what_is_changed_follows_from_seed_epoch_and_recording(recordings):
    splits = load(DataSpec("nmnist", recordings, limit=8))
    shown, again = of(splits, LIVELY, 3), of(splits, LIVELY, 3)
    every = [
        [shown.at_epoch(epoch)[position].rows.digest() for position in range(len(shown))]
        for epoch in range(3)
    ]
    assert len({digest for row in every for digest in row}) == 3 * len(shown)
    for epoch, position in ((2, 1), (0, 4), (2, 0)):  # in any order
        assert again.at_epoch(epoch)[position].rows.digest() == every[epoch][position]
    assert of(splits, LIVELY, 4).at_epoch(0)[0].rows.digest() != every[0][0]
    whole = load(DataSpec("nmnist", recordings))  # a recording's own number counts, not its place
    place = whole.train.address.tolist().index(int(splits.train.address[1]))
    assert of(whole, LIVELY, 3).at_epoch(1)[place].rows.digest() == every[1][1]
    events = augmented(
        shown.raw.events(1), LIVELY, width=34, height=34, duration_us=300_000, seed=3, epoch=1,
        address=int(splits.train.address[1]),
    )  # fmt: skip
    wanted = bin_events(events, BinSpec(5000, 60), width=34, height=34)
    assert np.array_equal(shown.at_epoch(1)[1].spikes.numpy(), wanted)
    assert torch.equal(shown[1].spikes, splits.train[1].spikes)  # outside training it is what it is


def test_events_are_read_once(recordings, own_cache, monkeypatch):
    splits = load(DataSpec("nmnist", recordings))
    first = of(splits).raw
    assert len(list(own_cache.glob("events-*"))) == 1
    assert isinstance(first.packed, np.memmap)
    source = splits.train.source
    assert isinstance(source, Source)

    def refuse(indices):
        raise AssertionError("events were read again")

    again = raw.raw_events(source._replace(read=refuse), splits.train.address.tolist())
    assert np.array_equal(again.packed, first.packed)
    assert np.array_equal(again.starts, first.starts)
    others = load(DataSpec("nmnist", recordings, limit=6))
    assert len(of(others).raw) == len(others.train)
    assert len(list(own_cache.glob("events-*"))) == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "missing", "longer", "folder"])
@pytest.mark.parametrize("name", ["events", "starts", "sha256"])
def test_damaged_events_are_read_again(name, damage, recordings, own_cache):
    splits = load(DataSpec("nmnist", recordings, limit=6))
    wanted = of(splits).raw
    packed, starts = wanted.packed.copy(), wanted.starts.copy()
    del wanted
    (place,) = own_cache.glob("events-*")
    path, whole = place / name, bytearray((place / name).read_bytes())
    path.unlink()
    if damage == "flip":
        whole[len(whole) // 2] ^= 1
        path.write_bytes(whole)
    elif damage in ("cut", "longer"):
        path.write_bytes(whole[:-8] if damage == "cut" else whole + bytes(8))
    elif damage == "empty":
        path.touch()
    elif damage == "folder":
        path.mkdir()
    found = of(splits).raw
    assert np.array_equal(found.packed, packed)
    assert np.array_equal(found.starts, starts)
    assert sorted(each.name for each in place.iterdir()) == ["events", "sha256", "starts"]
    assert sorted(each.name for each in own_cache.glob("events-*")) == [place.name]  # nothing half-made


def test_where_nothing_can_be_kept_events_are_in_memory(recordings, monkeypatch):
    splits = load(DataSpec("nmnist", recordings, limit=6))
    wanted = of(splits).raw.packed.copy()
    full = OSError(28, "No space left on device")

    def refuse(*_: object):
        raise full

    monkeypatch.setattr(raw, "_write", refuse)
    monkeypatch.setattr(raw, "_mapped", lambda *_: None)
    with pytest.warns(UserWarning, match="events cannot be kept in .*No space left on device"):
        found = of(splits).raw
    assert np.array_equal(found.packed, wanted)
    monkeypatch.setattr("gemsnn.machine.places.opened", lambda *_, **__: None)
    assert np.array_equal(of(splits).raw.packed, wanted)


def test_changed_files_are_other_events(tmp_path):
    nmnist_folder(tmp_path, WANTED)
    before = of(load(DataSpec("nmnist", tmp_path))).raw.packed.copy()
    path = tmp_path / "Train" / "2" / "00002.bin"
    path.write_bytes(nmnist(random_events(np.random.default_rng(5), 250, 34, 300_000)))
    after = of(load(DataSpec("nmnist", tmp_path))).raw.packed
    assert not np.array_equal(before, after)


def test_recordings_that_came_as_spikes_cannot_be_changed(recordings):
    splits = load(DataSpec("nmnist", recordings))
    bare = replace(splits.train, source=None)
    said = "shift changes events before they are binned, and these recordings are bins by now"
    with pytest.raises(InputError, match=said):
        raw.learned(bare, LIVELY, 0)
    with pytest.raises(InputError, match=said):
        gemsnn.fit(bare, shift=2)
    shown = of(splits, LIVELY)
    with pytest.raises(InputError, match="raw must hold the events of 3 recordings, not of"):
        replace(shown, spikes=splits.train.first(3))
    with pytest.raises(InputError, match="more than 71 minutes"):
        replace(shown, bins=BinSpec(10**9, 60))


# -- training ----------------------------------------------------------------------------------------------


def words(root: Path, out: Path, *more: str) -> list[str]:
    few = {
        "--hidden": "4",
        "--votes": "2",
        "--batch": "8",
        "--epochs": "2",
        **FORMER,
        "--schedule": "constant",
    }
    usual = words_of(few, *more)
    return ["train", "--data", "nmnist", "--root", str(root), "--out", str(out), *usual, *more]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return RunFolder(out).load_checkpoint()[0]


def same_files(one: Path, other: Path) -> bool:
    names = ("metrics.json", "config.toml", "model.json")
    return all((one / name).read_text() == (other / name).read_text() for name in names)


@pytest.fixture(scope="module")
def whole(recordings, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr("gemsnn.machine.places.cache_folder", lambda: folder)
        assert main(words(recordings, out, *FLAGS)) == 0
    return out


def test_a_training_goes_on_to_the_bit(whole, recordings, tmp_path):
    """One epoch, and then the second, are two at once; without augmentation it would have been another training."""
    out, bare = tmp_path / "one", tmp_path / "bare"
    assert main(words(recordings, out, *FLAGS, "--epochs", "1")) == 0
    assert main(["train", "--resume", str(out), "--epochs", "2"]) == 0
    theirs = weights(whole)
    assert all(torch.equal(leaf, theirs[name]) for name, leaf in weights(out).items())
    assert same_files(out, whole)
    assert main(words(recordings, bare)) == 0
    assert not torch.equal(
        weights(bare)["params.weights.inputs->hidden"], theirs["params.weights.inputs->hidden"]
    )
    assert not (bare / "augment.safetensors").exists()


def test_a_training_that_is_stopped_anywhere_goes_on_to_the_bit(recordings):
    """In the midst of an epoch, too."""
    splits = load(DataSpec("nmnist", recordings, warm_up=0.0))
    spec = TrainSpec(epochs=2, batch=4, evaluate_every=9)
    model = gemsnn.fit(splits, hidden=[4], epochs=1, votes=1, warm_up=0.0)
    learning = replace(model.settings, train=spec).learning
    given_all = {"kernel": model.kernel, "decoder": "votes"}
    begin = TrainingState(start(networks.init(model.network, 0), learning))
    shown, nobody = of(splits, LIVELY), splits.train.select([])

    def trained(state: TrainingState, stop_after: int | None) -> TrainingState:
        states: list[TrainingState] = []
        learned = 0

        def stop() -> bool:
            nonlocal learned
            learned += 1
            return learned == stop_after

        learn(
            model.network, state, shown, nobody, spec, learning, **given_all,
            watcher=Watcher(checkpoint=states.append, stop=stop),
        )  # fmt: skip
        return states[-1]

    whole = trained(begin, None)
    for stop_after in (1, 3, 5):
        half = trained(begin, stop_after)
        assert half.learner.batches == stop_after
        rest = trained(half, None)
        for one, other in zip(
            trees.leaves(rest.learner.params), trees.leaves(whole.learner.params), strict=True
        ):
            assert torch.equal(one, other)


def test_in_python_it_is_the_same_training(whole, recordings):
    settings_of = loading.load(whole).settings
    model = gemsnn.fit(
        load(settings_of.data), recipe="best", hidden=[4], batch=8, epochs=2, topology="layered", schedule="constant",
        output="independent", memory=20, rule="gem-cv", lr=0.003, compartments=5, warm_up=0.0, votes=2,
        shift=2, rotate=0.0, zoom=0.0, drop_events=0.4, time_stretch=0.2, noise_events=0.3,
    )  # fmt: skip
    theirs = loading.load(whole).params
    assert all(
        torch.equal(a, b) for a, b in zip(trees.leaves(model.params), trees.leaves(theirs), strict=True)
    )


def test_what_a_run_tells_of_it(whole, recordings, capsys):
    text = (whole / "config.toml").read_text()
    assert "[augment]" in text
    assert "shift = 2" in text
    assert json.loads((whole / "manifest.json").read_text())["settings"]["augment"]["drop_events"] == 0.4
    assert loading.load(whole).settings.augment == LIVELY
    assert "What augmentation does" in (whole / "report.html").read_text()
    assert main(["train", "--resume", str(whole), "--epochs", "3", "--shift", "1"]) == 2
    assert (
        "was trained with shift 2, and a run goes on as it began: leave out --shift"
        in capsys.readouterr().err
    )


def test_scores_are_those_of_unchanged_recordings(whole, recordings, capsys):
    model = loading.load(whole)
    data = load(model.settings.data)
    capsys.readouterr()
    for split in ("train", "test"):
        assert main(["evaluate", str(whole), "--votes", "2", "--json", "--split", split]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["accuracy"] == model.score(getattr(data, split), 2).accuracy
        assert found["presentations"] == len(getattr(data, split))


def test_emulated_digits_are_changed_before_they_are_binned(tmp_path):
    out = tmp_path / "run"
    few = words_of({"--hidden": "", "--votes": "1", "--epochs": "1"})
    assert (
        main(["train", "--limit", "20", "--out", str(out), *few, "--shift", "3", "--polarity", "merged"]) == 0
    )
    assert (out / "augment.safetensors").is_file()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--shift", "-1"), "shift must be at least 0"),
        (("--drop-events", "1.5"), "drop_events must be at least 0 and at most 1"),
        (
            ("--swap-polarity", "0.5", "--polarity", "merged"),
            "--swap-polarity has no effect: it needs --polarity two",
        ),
    ],
)
def test_settings_that_cannot_be(more, said, recordings, tmp_path, capsys):
    assert main(words(recordings, tmp_path / "x", *more)) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "x").exists()


def test_the_key_of_events_holds_all_that_shapes_them(recordings):
    """Another noise of the de-flickering, or another reader, is another file."""
    splits = load(DataSpec("nmnist", recordings))
    assert isinstance(splits.train.source, Source)
    known = dict(splits.train.source.ingredients or {})
    assert {"readers", "read", "prepare", "sensor", "items"} <= set(known)
    assert len({cache.key(known), *(cache.key(known | {name: 7}) for name in known)}) == 1 + len(known)
