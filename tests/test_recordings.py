from __future__ import annotations

import zipfile

import h5py
import numpy as np
import pytest
from event_files import (
    aedat2,
    dvs_folder,
    dvs_name,
    dvs_zip,
    hdf5,
    nmnist_folder,
    random_events,
)
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from gemsnn import rng
from gemsnn.data.binning import BinSpec, bin_events
from gemsnn.data.deflicker import process
from gemsnn.data.readers import mnist_dvs
from gemsnn.data.recordings import (
    MNIST_DVS_BINS,
    NMNIST_BINS,
    find_mnist_dvs,
    load_hdf5,
    load_mnist_dvs,
    load_nmnist,
    split_validation,
)
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.types import Layout

CROP = (48, 48, 26, 26)


def by_index(splits: Splits) -> dict[int, tuple[str, int, np.ndarray]]:
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {p.address: (name, p.label, p.spikes.numpy()) for name, part in parts.items() for p in part}


def labels_of(part: SpikeSet) -> list[int]:
    return part.labels.tolist()


def binned(events, spec=MNIST_DVS_BINS, side=128):
    return bin_events(events, spec, width=side, height=side)


# MNIST-DVS


def test_conventions():
    assert BinSpec(25_000, 80, crop=CROP) == MNIST_DVS_BINS
    assert BinSpec(5_000, 60) == NMNIST_BINS


def test_official_split_by_number(tmp_path):
    wanted = [(d, n) for d in range(10) for n in (1, 2, 899, 900, 901, 1000)]
    written = dvs_folder(tmp_path, wanted)
    dvs_folder(tmp_path, [(0, 1), (0, 2)], scale=8)
    splits = load_mnist_dvs(tmp_path)
    (note,) = splits.notes  # these events lie anywhere on the sensor, and the crop is a part of it
    assert note.startswith("Of 18000 events 3.8% are used: 95.9% are outside the pixels that are used")
    assert splits.train.layout == Layout(2, 26, 26, 10, 25_000)
    found = by_index(splits)
    assert len(found) == len(wanted)
    for (digit, number), events in written.items():
        part, label, spikes = found[10 * number + digit]
        assert (part == "test") == (number > 900)
        assert label == digit
        np.testing.assert_array_equal(spikes, binned(events))
    assert len(splits.validation) == 1  # 10 % of 4 recordings of each digit rounds to none, so one in all


def test_missing_test_part_is_held_out_and_said(tmp_path):
    dvs_folder(tmp_path, [(d, n) for d in (0, 3) for n in range(1, 11)])
    splits = load_mnist_dvs(tmp_path, validation=0.25)
    assert sorted(splits.test.address) == [90, 93, 100, 103]
    assert np.bincount(splits.validation.labels).tolist() == [2, 0, 0, 2]
    assert any("held out" in note for note in splits.notes)
    assert any("training part has no recordings of class 1, 2, 4" in note for note in splits.notes)
    assert splits.train.layout.classes == 10


def test_limit_takes_classes_in_turn_and_reads_nothing_else(tmp_path):
    wanted = [(d, n) for d in range(10) for n in (1, 2, 3, 901)]
    dvs_folder(tmp_path, wanted)
    for digit in range(10):  # damaged, but never read
        (tmp_path / f"grabbed_data{digit}" / "scale4" / dvs_name(digit, 3)).write_bytes(b"damaged")
    splits = load_mnist_dvs(tmp_path, limit=15, validation=0.2)
    assert len(splits.train) + len(splits.validation) == 15
    assert sorted(labels_of(splits.train) + labels_of(splits.validation)) == sorted([*range(10), *range(5)])
    assert labels_of(splits.test) == list(range(5))  # 15 of 30 to learn from, so 5 of 10 to test on
    assert any("5 of 10 to test on" in note for note in splits.notes)
    with pytest.raises(InputError, match=r"mnist_0_scale04_0003\.aedat: this is not an AEDAT 2.0 file"):
        load_mnist_dvs(tmp_path)


def test_limit_changes_no_index(tmp_path):
    dvs_folder(tmp_path, [(d, n) for d in range(3) for n in range(1, 9)])
    full, some = by_index(load_mnist_dvs(tmp_path)), by_index(load_mnist_dvs(tmp_path, limit=7))
    for index, (_, label, spikes) in some.items():
        assert full[index][1] == label
        np.testing.assert_array_equal(full[index][2], spikes)


def test_zips_are_read_in_place(tmp_path):
    written = dvs_zip(tmp_path / "grabbed_data0.zip", [(0, n) for n in range(1, 6)])
    written |= dvs_zip(tmp_path / "grabbed_data7.zip", [(7, n) for n in range(1, 6)], "grabbed_data7")
    before = sorted(tmp_path.rglob("*"))
    found = by_index(load_mnist_dvs(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before
    assert len(found) == 10
    for (digit, number), events in written.items():
        np.testing.assert_array_equal(found[10 * number + digit][2], binned(events))
    assert len(by_index(load_mnist_dvs(tmp_path / "grabbed_data7.zip"))) == 5


def test_folder_goes_before_zip(tmp_path):
    in_folder = dvs_folder(tmp_path, [(0, 1), (0, 2)])
    dvs_zip(tmp_path / "grabbed_data0.zip", [(0, 1), (0, 2), (0, 3)])
    splits = load_mnist_dvs(tmp_path)
    np.testing.assert_array_equal(by_index(splits)[10][2], binned(in_folder[0, 1]))
    assert len(by_index(splits)) == 3
    assert any(note.startswith("2 recordings were found more than once") for note in splits.notes)


@pytest.mark.parametrize(("raw", "processed", "taken"), [(3, 3, "raw"), (2, 3, "processed"), (3, 2, "raw")])
def test_raw_and_processed_are_never_mixed(raw, processed, taken, tmp_path):
    grabbed = dvs_folder(tmp_path, [(0, n + 1) for n in range(raw)])
    others = dvs_folder(tmp_path, [(0, n + 1) for n in range(processed)], kind="processed")
    splits = load_mnist_dvs(tmp_path)
    assert any("never mixed" in note and f"{taken} ones are used" in note for note in splits.notes)
    found = by_index(splits)
    source = grabbed if taken == "raw" else others
    assert len(found) == len(source)
    for (digit, number), events in source.items():
        np.testing.assert_array_equal(found[10 * number + digit][2], binned(events))


def test_entries_know_what_they_are(tmp_path):
    dvs_folder(tmp_path / "deep" / "deeper", [(4, 12)])
    dvs_folder(tmp_path, [(4, 12)], kind="processed")
    dvs_zip(tmp_path / "processed_data5.zip", [(5, 1)], "scale4")
    (tmp_path / "processed_polarity").mkdir()
    (tmp_path / "processed_polarity" / dvs_name(6, 1)).write_bytes(b"")
    (tmp_path / f"x{dvs_name(6, 1)}").write_bytes(b"")
    (tmp_path / dvs_name(6, 1).replace(".aedat", "_qt1.aedat")).write_bytes(b"")
    (tmp_path / dvs_name(8, 1)).write_bytes(b"")
    told = sorted((e.digit, e.number, e.kind, e.processed) for e in find_mnist_dvs(tmp_path))
    assert told == [
        (4, 12, "processed", True),
        (4, 12, "raw", False),
        (5, 1, "processed", True),
        (6, 1, "processed_polarity", True),
        (8, 1, "raw", False),
    ]


def test_a_circle_of_links_ends(tmp_path):
    dvs_folder(tmp_path, [(0, 1), (0, 2)])
    (tmp_path / "grabbed_data0" / "again").symlink_to(tmp_path)
    assert len(find_mnist_dvs(tmp_path)) == 2


def test_deflicker_is_seeded_for_each_recording(tmp_path):
    written = dvs_folder(tmp_path, [(2, n) for n in range(1, 5)])
    found = by_index(load_mnist_dvs(tmp_path, deflicker=True, seed=5))
    for (digit, number), events in written.items():
        index = 10 * number + digit
        want = binned(process(events, rng.generator(5, "deflicker", index)))
        np.testing.assert_array_equal(found[index][2], want)


def test_processed_recordings_are_not_deflickered_again(tmp_path):
    written = dvs_folder(tmp_path, [(2, n) for n in range(1, 5)], kind="processed")
    splits = load_mnist_dvs(tmp_path, deflicker=True)
    assert any("processed already" in note for note in splits.notes)
    for (digit, number), events in written.items():
        np.testing.assert_array_equal(by_index(splits)[10 * number + digit][2], binned(events))


def test_progress_wraps_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr("gemsnn.machine.places.cache_folder", lambda: tmp_path / "cache")
    dvs_folder(tmp_path / "data", [(0, n) for n in range(1, 11)])
    seen = []

    def progress(items, total, what):
        for item in items:
            seen.append((what, total))
            yield item

    load_mnist_dvs(tmp_path / "data", progress=progress)
    assert seen == [("reading MNIST-DVS, training part", 8)] * 8 + [("reading MNIST-DVS, test part", 2)] * 2


def test_mnist_dvs_errors(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_mnist_dvs(tmp_path / "missing")
    with pytest.raises(InputError, match=r"no file named mnist_<digit>_scale04_<number>\.aedat"):
        load_mnist_dvs(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InputError, match="neither a folder nor a zip"):
        load_mnist_dvs(tmp_path / "a.txt")
    dvs_folder(tmp_path, [(0, 901)])
    with pytest.raises(InputError, match="only test recordings"):
        load_mnist_dvs(tmp_path)
    dvs_folder(tmp_path, [(0, 1)])
    for numbers, message in (
        ({"scale": 5}, "scale must be"),
        ({"limit": 0}, "limit must be"),
        ({"validation": 1.0}, "validation fraction"),
        ({"scale": 8}, "scale08"),
        ({"spec": BinSpec(crop=(120, 0, 26, 26))}, "does not fit"),
    ):
        with pytest.raises(InputError, match=message):
            load_mnist_dvs(tmp_path, **numbers)


def test_damaged_zips_are_named(tmp_path, monkeypatch):
    path = tmp_path / "grabbed_data0.zip"
    dvs_zip(path, [(0, 1), (0, 2)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"grabbed_data0\.zip: this zip file cannot be opened"):
        load_mnist_dvs(tmp_path)
    middle = whole.index(dvs_name(0, 1).encode(), 60) + 60
    path.write_bytes(whole[:middle] + bytes(40) + whole[middle + 40 :])
    with pytest.raises(InputError, match=r"grabbed_data0\.zip:.*0001\.aedat: this zip member cannot be read"):
        load_mnist_dvs(tmp_path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(dvs_name(0, 1), aedat2(random_events(np.random.default_rng(0), 50, 128, 99))[:-1])
    with pytest.raises(InputError, match=r"0001\.aedat: this AEDAT 2.0 file ends with 7 bytes"):
        load_mnist_dvs(tmp_path)
    monkeypatch.setattr(mnist_dvs, "LARGEST_MEMBER", 100)
    with pytest.raises(InputError, match=r"0001\.aedat: this member of the zip unpacks to more than"):
        load_mnist_dvs(tmp_path)


def test_the_real_mnist_dvs():
    splits = load_mnist_dvs(shared("mnist-dvs"))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (144, 16, 40)
    assert min(splits.test.address) == 10 * 161
    assert any("held out" in note for note in splits.notes)
    total = sum(part.counts_per_input().sum() for part in (splits.train, splits.validation, splits.test))
    assert total / 200 == pytest.approx(6_213, abs=1)


# N-MNIST


def test_nmnist_parts(tmp_path):
    written = nmnist_folder(tmp_path, [(d, 10 * n + d) for d in range(10) for n in range(2)])
    tested = nmnist_folder(tmp_path, [(d, d + 1) for d in range(10)], "Test")
    (tmp_path / "Train" / ".DS_Store").write_text("")
    (tmp_path / "Train" / "3" / "notes.txt").write_text("")
    for root in (tmp_path, tmp_path / "Train"):
        splits = load_nmnist(root)
        assert splits.notes == ()
        assert splits.train.layout == Layout(2, 34, 34, 10, 5_000)
        assert (len(splits.train) + len(splits.validation), len(splits.test)) == (20, 10)
        found = by_index(splits)
        assert sorted(found) == list(range(30))
        for (digit, number), events in written.items():
            assert found[number][1] == digit
            np.testing.assert_array_equal(found[number][2], binned(events, NMNIST_BINS, 34))
        for (digit, number), events in tested.items():
            assert found[19 + number][:2] == ("test", digit)
            np.testing.assert_array_equal(found[19 + number][2], binned(events, NMNIST_BINS, 34))


def test_nmnist_without_test_holds_out_the_highest_ids(tmp_path):
    nmnist_folder(tmp_path, [(n % 3, n) for n in range(1, 21)])
    splits = load_nmnist(tmp_path, limit=6)
    assert splits.test.address.tolist() == [17, 18]  # 6 of 16, so of these four the first of two classes
    assert any("20 % of recordings with the highest ids" in note for note in splits.notes)
    assert sorted(labels_of(splits.train) + labels_of(splits.validation)) == [0, 0, 1, 1, 2, 2]


def test_nmnist_errors(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_nmnist(tmp_path / "missing")
    with pytest.raises(InputError, match=r"no file Train/<digit>/<id>.bin"):
        load_nmnist(tmp_path)
    nmnist_folder(tmp_path, [(1, 1), (1, 2), (2, 3)])
    (tmp_path / "Train" / "1" / "00002.bin").write_bytes(b"\0\0\0")
    with pytest.raises(InputError, match=r"Train/1/00002\.bin: .*cut short"):
        load_nmnist(tmp_path)
    nmnist_folder(tmp_path, [(11, 4)])
    with pytest.raises(InputError, match=r"Train/11: a label folder must be named 0 \.\. 9"):
        load_nmnist(tmp_path)


def test_the_real_nmnist():
    splits = load_nmnist(shared("nmnist"))
    assert (len(splits.train) + len(splits.validation), len(splits.test)) == (800, 200)
    assert sorted(splits.test.address) == list(range(800, 1000))  # ids 801 .. 1000
    assert np.abs(np.bincount(splits.validation.labels) - 8).max() <= 2
    everything = np.concatenate([splits.train.labels, splits.validation.labels, splits.test.labels])
    assert np.bincount(everything).tolist() == [97, 116, 99, 93, 105, 92, 94, 117, 87, 100]


# HDF5


def hdf5_parts(side: int, low: int = 0):
    return [
        [
            (i % 10, random_events(np.random.default_rng([part, i]), 80, side, 2_100_000, low))
            for i in range(count)
        ]
        for part, count in enumerate((12, 5))
    ]


@pytest.mark.parametrize(("side", "low"), [(26, 0), (74, 48), (128, 0)])
def test_hdf5_cropped_or_not(side, low, tmp_path):
    train, test = hdf5_parts(side, low)
    hdf5(tmp_path / "events.hdf5", train, test)
    splits = load_mnist_dvs(tmp_path / "events.hdf5")
    assert splits.train.layout == Layout(2, 26, 26, 10, 25_000)
    found = by_index(splits)
    for index, (label, events) in enumerate([*train, *test]):
        spec, size = (BinSpec(25_000, 80), 26) if side == 26 else (MNIST_DVS_BINS, 128)
        assert found[index][:2] == ("test" if index >= 12 else found[index][0], label)
        np.testing.assert_array_equal(found[index][2], binned(events, spec, size))


def test_hdf5_crop_within_what_is_there(tmp_path):
    train, test = hdf5_parts(26)
    hdf5(tmp_path / "events.h5", train, test)
    splits = load_hdf5(tmp_path / "events.h5", BinSpec(crop=(50, 51, 10, 8)), limit=4)
    np.testing.assert_array_equal(
        by_index(splits)[0][2], binned(train[0][1], BinSpec(crop=(2, 3, 10, 8)), 26)
    )
    with pytest.raises(InputError, match=r"holds only the pixels 48 \.\. 73"):
        load_hdf5(tmp_path / "events.h5", BinSpec(crop=(40, 48, 26, 26)))


def test_hdf5_order_time_origin_and_missing_test(tmp_path):
    train, _ = hdf5_parts(26)
    hdf5(tmp_path / "events.h5", train, [])
    with h5py.File(tmp_path / "events.h5", "a") as file:
        rows = file["train/3"][()]
        rows[:, 0] += 3_000_000_000
        file["train/3"][...] = rows[::-1]
    splits = load_mnist_dvs(tmp_path / "events.h5", deflicker=True)
    assert splits.test.address.tolist() == [10, 11]
    assert any("held out" in note for note in splits.notes)
    assert any("De-flickering is not applied" in note for note in splits.notes)
    np.testing.assert_array_equal(by_index(splits)[3][2], binned(train[3][1], BinSpec(25_000, 80), 26))


def test_hdf5_errors(tmp_path):
    path = tmp_path / "events.h5"
    train, test = hdf5_parts(26)

    def broken(change):
        hdf5(path, train, test)
        with h5py.File(path, "a") as file:
            change(file)
        return pytest.raises(InputError, match=str(path))

    def replaced(name, value):
        def change(file):
            del file[name]
            if value is not None:
                file[name] = value

        return change

    row = np.array([[0, 1, 2, 1]], np.uint32)
    for change in (
        replaced("train/labels", None),
        replaced("train/labels", [1, 2]),
        replaced("train/labels", [10] * 12),
        replaced("train/labels", [0.5] * 12),
        replaced("train", [1, 2]),
        replaced("train", None),
        replaced("train/0", np.zeros((4, 3), np.uint32)),
        replaced("train/0", np.zeros((0, 4), np.uint32)),
        replaced("train/0", np.zeros((4, 4))),
        replaced("train/0", row + np.array([0, 200, 0, 0], np.uint32)),
        replaced("train/0", row + np.array([0, 0, 0, 1], np.uint32)),
    ):
        with broken(change):
            load_hdf5(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="damaged"):
        load_hdf5(path)
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="not an HDF5 file"):
        load_hdf5(path)
    with pytest.raises(InputError, match="no such file"):
        load_hdf5(tmp_path / "missing.h5")


# Validation


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.floats(0, 0.99))
def test_split_validation(labels, fraction):
    layout = Layout(1, 1, 1, 4, 1)
    whole = SpikeSet.from_bins([np.zeros((1, 1), np.uint8)] * len(labels), labels, layout, counts=False)
    train, validation = split_validation(whole, fraction)
    assert sorted([*train.address, *validation.address]) == list(range(len(labels)))
    assert len(train) >= 1
    assert (len(validation) >= 1) == (fraction > 0 and len(labels) > 1)
    taken = np.bincount(validation.labels, minlength=4)
    assert np.abs(taken - fraction * np.bincount(labels, minlength=4)).max() <= 1
    again = split_validation(whole, fraction)[1]
    assert again.address.tolist() == validation.address.tolist()


def test_split_validation_goes_by_index_and_not_by_place():
    layout = Layout(1, 1, 1, 4, 1)
    whole = SpikeSet.from_bins([np.zeros((1, 1), np.uint8)] * 40, [0] * 40, layout, counts=False)
    shuffled = whole.select(np.random.default_rng(0).permutation(40))
    assert sorted(split_validation(whole, 0.3)[1].address) == sorted(
        split_validation(shuffled, 0.3)[1].address
    )
    with pytest.raises(InputError, match="validation fraction"):
        split_validation(whole, -0.1)
