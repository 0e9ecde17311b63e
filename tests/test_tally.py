"""What becomes of events: each is kept, or dropped for one reason; recordings that lose nearly all are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from event_files import aedat2, dvs_folder, dvs_name, hdf5, nmnist, nmnist_folder, random_events, raw_aedat2
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from gemsnn.data import generated
from gemsnn.data.binning import BinSpec, bin_and_tally, bin_events
from gemsnn.data.camera import EmulatorSpec
from gemsnn.data.datasets import DataSpec, load
from gemsnn.data.events import Events, make_events
from gemsnn.data.generated import load_image_events
from gemsnn.data.images import digits_images
from gemsnn.data.readers import describe, read_aedat2, read_nmnist, read_recording
from gemsnn.data.recordings import MNIST_DVS_BINS, NMNIST_BINS, load_hdf5, load_mnist_dvs, load_nmnist
from gemsnn.data.sources import File
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.tally import Tally
from gemsnn.errors import InputError
from gemsnn.types import Layout

SIDE = 7


@st.composite
def any_events(draw) -> Events:
    """In order of time, but from before the beginning to long after the end, and also beyond the sensor."""
    count = draw(st.integers(0, 40))
    columns = [draw(st.lists(st.integers(-3, SIDE + 3), min_size=count, max_size=count)) for _ in range(2)]
    t = sorted(draw(st.lists(st.integers(-500, 4000), min_size=count, max_size=count)))
    on = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return make_events(np.array(t, int), *(np.array(column, int) for column in columns), np.array(on, bool))


@st.composite
def any_spec(draw) -> BinSpec:
    return BinSpec(
        bin_us=draw(st.integers(1, 700)),
        steps=draw(st.none() | st.integers(1, 12)),
        crop=draw(st.sampled_from([None, (0, 0, 6, 5), (1, 2, 3, 2), (5, 4, 1, 1)])),
        polarity=draw(st.sampled_from(["two", "merged"])),
        counts=draw(st.booleans()),
        pad=draw(st.booleans()),
    )


@given(any_events(), any_spec())
def test_every_event_is_kept_or_dropped_for_one_reason(events, spec):
    rows, tally = bin_and_tally(events, spec, width=SIDE, height=SIDE)
    spikes = rows.dense()
    x0, y0, width, height = spec.crop or (0, 0, SIDE, SIDE)
    want = dict.fromkeys(Tally._fields, 0)
    for t, x, y, _ in events.tolist():
        on_pixels = x0 <= x < x0 + width and y0 <= y < y0 + height
        end = len(spikes) * spec.bin_us
        want["outside" if not on_pixels else "before" if t < 0 else "beyond" if t >= end else "kept"] += 1
    assert tally == Tally(**want)
    assert tally.events == len(events)
    if spec.counts:
        assert spikes.sum() == tally.kept
    else:
        assert spikes.any() == (tally.kept > 0)
    np.testing.assert_array_equal(spikes, bin_events(events, spec, width=SIDE, height=SIDE))


def test_what_a_bin_of_counts_cannot_hold_is_counted():
    events = make_events(np.zeros(300, int), *np.zeros((2, 300), int), np.arange(300) < 280)
    rows, tally = bin_and_tally(events, BinSpec(10, 1, counts=True), width=1, height=1)
    assert rows.dense().tolist() == [[20, 255]]
    assert tally == Tally(kept=275, capped=25)
    assert tally.dropped == {"above 255 in a bin": 25}


# A clock that jumps ahead


def with_strays(events: Events, origin_us: int) -> bytes:
    """An AEDAT file with three events at 5, 6, 7 microseconds before a recording that begins later."""
    clean = aedat2(events, origin_us)
    strays = raw_aedat2(np.array([40 << 8, 50 << 8, 60 << 8]), np.array([5, 6, 7]))
    header = len(clean) - 8 * len(events)
    return strays + clean[header:]


@pytest.mark.parametrize("origin_us", [3_000_000_000, 11_000_000])
def test_strays_before_a_recording_do_not_push_it_out_of_the_bins(origin_us, tmp_path):
    events = random_events(np.random.default_rng(0), 400, 74, 1_900_000, 48)
    path = tmp_path / "x.aedat"
    path.write_bytes(with_strays(events, origin_us))
    recording = read_recording(path)
    assert recording.repairs == {"timestamp jumps ahead": 1}
    assert recording.events["t"].tolist() == [0, 1, 2, *(2 + events["t"]).tolist()]
    assert describe(path)["repairs"] == {"timestamp jumps ahead": 1}
    assert File(path).repairs == {"timestamp jumps ahead": 1}
    found = bin_and_tally(recording.events, MNIST_DVS_BINS, width=128, height=128)
    assert found.tally == Tally(kept=400, outside=3)


def test_a_set_with_strays_is_learned_from_as_without_them(tmp_path):
    for digit in range(2):
        for number in range(1, 6):
            events = random_events(np.random.default_rng([digit, number]), 200, 74, 1_900_000, 48)
            for name, data in (
                ("clean", aedat2(events, 3_000_000_000)),
                ("strays", with_strays(events, 3_000_000_000)),
            ):
                (tmp_path / name).mkdir(exist_ok=True)
                (tmp_path / name / dvs_name(digit, number)).write_bytes(data)
    clean, strays = (load_mnist_dvs(tmp_path / name) for name in ("clean", "strays"))
    assert "Recordings were mended while they were read: 10 timestamp jumps ahead." in strays.notes
    assert not any("share that is usual" in note for note in strays.notes)
    for one, two in zip(clean.parts.values(), strays.parts.values(), strict=True):
        a, b = one.counts_per_input().sum(), two.counts_per_input().sum()
        assert abs(a - b) <= 0.02 * a  # the strays lie outside the crop, and all else is 2 microseconds later
        assert one.labels.tolist() == two.labels.tolist()


def test_hdf5_with_strays(tmp_path):
    events = random_events(np.random.default_rng(1), 60, 26, 1_900_000)
    rows = np.stack([events["t"] + 3_000_000_000, events["x"], events["y"], events["on"]], axis=1)
    rows = np.concatenate([[[5, 1, 1, 1], [6, 1, 1, 1]], rows])
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for i in range(4):
            file[f"train/{i}"] = rows.astype(np.uint32)
        file["train/labels"] = [0, 1, 2, 3]
    splits = load_hdf5(tmp_path / "x.h5")
    assert describe(tmp_path / "x.h5")["repairs"] == {"timestamp jumps ahead": 4}
    assert splits.tallies["training"].kept == 62 * len(splits.train)


def test_one_event_far_ahead_costs_nothing_but_its_time():
    address = np.zeros(5, int)
    recording = read_aedat2(raw_aedat2(address, np.array([10, 20, 6_000_000, 30, 45])), "x")
    assert recording.events["t"].tolist() == [0, 10, 20, 20, 35]
    assert recording.repairs == {"early events": 1}
    recording = read_aedat2(raw_aedat2(address, np.array([10, 20, 4_000_000_000, 30, 45])), "x")
    assert recording.events["t"].tolist() == [0, 10, 20, 20, 35]


# N-MNIST's clock


def test_nmnist_times_past_2_to_23_go_on():
    t = np.array([2**23 - 20, 2**23 - 9, 2**23 + 1, 2**23 - 2, 2**23 + 30])
    events = make_events(t % 2**23, *np.zeros((3, 5), int))
    columns = [events["x"], events["y"], events["t"] >> 16, events["t"] >> 8 & 0xFF, events["t"] & 0xFF]
    recording = read_nmnist(np.stack(columns, axis=1).astype(np.uint8).tobytes(), "x")
    assert recording.events["t"].tolist() == sorted(t)
    assert recording.repairs == {"timestamp wrap-arounds": 1, "events out of order": 1}


def late_clock(path: Path, by_us: int = 1_000_000) -> None:
    recording = read_nmnist(path.read_bytes(), "x")
    events = recording.events.copy()
    events["t"] += by_us
    path.write_bytes(nmnist(events))


def test_a_recording_with_a_late_clock_is_named(tmp_path):
    nmnist_folder(tmp_path, [(n % 2, n) for n in range(1, 31)])
    late_clock(tmp_path / "Train" / "1" / "00005.bin")
    late_clock(tmp_path / "Train" / "0" / "00006.bin", 260_000)  # a seventh of it is left
    splits = load_nmnist(tmp_path)
    (note,) = [note for note in splits.notes if "share that is usual" in note]
    assert note.startswith("There are recordings that keep none of their events, or less than a fifth")
    assert ": 2 of 30: " in note
    assert f"{Path('Train/1/00005.bin')} (0 of 250 events, 250 after the last bin)" in note
    assert "00006.bin" in note
    assert sum(tally.events for tally in splits.tallies.values()) == 30 * 250
    lost = sum(tally.beyond for tally in splits.tallies.values())
    assert 250 < lost < 500


def test_names_are_no_flood(tmp_path):
    paths = nmnist_folder(tmp_path, [(n % 2, n) for n in range(1, 41)])
    for number in range(1, 11):
        late_clock(tmp_path / "Train" / str(number % 2) / f"{number:05d}.bin")
    assert len(paths) == 40
    (note,) = [note for note in load_nmnist(tmp_path).notes if "share that is usual" in note]
    assert ": 10 of 40: " in note
    assert note.count(".bin") == 3
    assert note.endswith("and 7 more.")


def test_a_part_without_spikes_is_refused(tmp_path):
    nmnist_folder(tmp_path, [(n % 2, n) for n in range(1, 11)])
    for path in (tmp_path / "Train").glob("*/*.bin"):
        late_clock(path)
    with pytest.raises(
        InputError, match="the training part has no spikes: 1750 events in all, 1750 after the last bin;"
    ):
        load_nmnist(tmp_path)
    with pytest.raises(InputError, match="1750 after the last bin"):
        load(DataSpec("nmnist", tmp_path))


def test_a_test_part_without_spikes_is_refused(tmp_path):
    nmnist_folder(tmp_path, [(n % 2, n) for n in range(1, 11)])
    nmnist_folder(tmp_path, [(0, 1), (1, 2)], "Test")
    for path in (tmp_path / "Test").glob("*/*.bin"):
        late_clock(path)
    with pytest.raises(InputError, match="the test part has no spikes"):
        load_nmnist(tmp_path)


def test_hdf5_of_a_small_sensor_is_refused_and_what_was_seen_is_told(tmp_path):
    parts = [
        [(i % 10, random_events(np.random.default_rng([part, i]), 80, 34, 300_000)) for i in range(12)]
        for part in range(2)
    ]
    hdf5(tmp_path / "x.h5", *parts)
    with pytest.raises(InputError, match=r"coordinates reach 33, and the crop is \(48, 48, 26, 26\)"):
        load_mnist_dvs(tmp_path / "x.h5")
    splits = load_hdf5(tmp_path / "x.h5", BinSpec(5000, 60))
    assert splits.tallies["training"].outside == 0


# Emulated sets and their cache

SHORT = EmulatorSpec(duration_us=50_000)


def test_emulated_sets_know_their_tallies_from_the_cache_too(tmp_path, monkeypatch):
    monkeypatch.setenv("GEMSNN_CACHE", str(tmp_path / "cache"))
    images, labels = digits_images()
    np.savez(tmp_path / "x.npz", images=images[:20], labels=labels[:20])
    bins = BinSpec(steps=1)  # half of what happens
    first = load_image_events(tmp_path / "x.npz", bins, SHORT)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(generated, "emulate", refuse)
    again = load_image_events(tmp_path / "x.npz", bins, SHORT)
    assert again.tallies == first.tallies
    training = first.tallies["training"]
    assert 0.2 * training.events < training.beyond < 0.8 * training.events
    assert training.outside == training.before == 0


def test_counts_that_are_merged_stay_true():
    events = make_events(np.zeros(400, int), *np.zeros((2, 400), int), np.arange(400) < 200)
    spec, layout = BinSpec(10, 1, counts=True), Layout(2, 1, 1, 3, 10)
    spikes, tally = bin_and_tally(events, spec, width=1, height=1)
    two = replace(
        SpikeSet.from_bins([spikes] * 3, [0, 1, 2], layout, counts=True), tallies=np.array([tally] * 3)
    )
    want = bin_and_tally(events, replace(spec, polarity="merged"), width=1, height=1)
    merged = two.merged()
    assert merged.bins(1).tolist() == want.rows.dense().tolist()
    assert merged.tallies is not None
    assert (
        [Tally(*row) for row in merged.tallies.tolist()] == [want.tally] * 3 == [Tally(255, capped=145)] * 3
    )


# Real recordings


def test_real_sets_lose_what_they_should_and_name_nobody():
    splits = load_nmnist(shared("nmnist"))
    assert not any("share that is usual" in note or "are used" in note for note in splits.notes)
    tally = Tally(*np.sum([*splits.tallies.values()], axis=0).tolist())
    assert tally.events == sum(path.stat().st_size // 5 for path in shared("nmnist").glob("Train/*/*.bin"))
    assert tally.outside == tally.before == 0
    assert 0.995 < tally.kept / tally.events < 1
    splits = load_mnist_dvs(shared("mnist-dvs"))
    assert not any("share that is usual" in note or "are used" in note for note in splits.notes)
    tally = Tally(*np.sum([*splits.tallies.values()], axis=0).tolist())
    assert tally.kept / 200 == pytest.approx(12_470, abs=5)


def test_tallies_follow_their_recordings(tmp_path):
    dvs_folder(tmp_path, [(d, n) for d in range(3) for n in range(1, 9)])
    splits = load_mnist_dvs(tmp_path, validation=0.3)
    for part in splits.parts.values():
        assert part.tallies is not None
        for position in range(len(part)):
            assert (part.bins(position).any()) == (part.tallies[position, 0] > 0)
            assert part.tallies[position].sum() == 300
    deflickered = load_mnist_dvs(tmp_path, deflicker=True)
    assert {tally.events for tally in deflickered.tallies.values()} == {
        300 * len(part) for part in deflickered.parts.values()
    }
    assert NMNIST_BINS.steps == 60
