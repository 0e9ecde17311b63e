"""The same content under two names is read once; what lies in two parts of a split is counted and told."""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from event_files import aedat2, dvs_folder, dvs_name, dvs_zip, nmnist_folder, random_events
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from gemsnn.data import copies
from gemsnn.data.binning import BinSpec
from gemsnn.data.camera import EmulatorSpec
from gemsnn.data.copies import Marked
from gemsnn.data.generated import load_image_events
from gemsnn.data.image_sets import numbering, read_images
from gemsnn.data.images import Images, load_images
from gemsnn.data.recordings import load_hdf5, load_mnist_dvs, load_nmnist
from gemsnn.errors import InputError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (24, 5, 4), np.uint8)
LABELS = (np.arange(24) % 3).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.astype(np.uint8).tobytes()
    )


def same(found: Images, images: np.ndarray, labels: np.ndarray) -> bool:
    return np.array_equal(found.images, images) and np.array_equal(found.labels, labels)


# Images


def test_mnist_as_torchvision_leaves_it(tmp_path):
    """Each file plain and packed, training and test part."""
    for name, part in (("train", slice(0, 16)), ("t10k", slice(16, 24))):
        for kind, array in (("images-idx3", PIXELS[part]), ("labels-idx1", LABELS[part])):
            (tmp_path / f"{name}-{kind}-ubyte").write_bytes(idx(array))
            (tmp_path / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    found = read_images(tmp_path)
    assert same(found.source, np.roll(PIXELS, 8, axis=0), np.roll(LABELS, 8))  # by name, each once
    assert found.notes[0] == (
        "t10k-images-idx3-ubyte.gz holds the same images as t10k-images-idx3-ubyte and was left out, so that each is "
        "read once."
    )
    assert found.notes[1].startswith("train-images-idx3-ubyte.gz holds the same")
    assert "t10k-images-idx3-ubyte, MNIST's official test part, are pooled with the others" in found.notes[2]
    assert found.name(8) == "image 0 of train-images-idx3-ubyte"
    assert found.name(7) == "image 7 of t10k-images-idx3-ubyte"


def test_the_same_images_under_any_names(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS)
    np.savez_compressed(tmp_path / "b.npz", images=PIXELS / np.float32(255), labels=LABELS.astype(int))
    (tmp_path / "z-images-idx3-ubyte").write_bytes(idx(PIXELS))
    (tmp_path / "z-labels-idx1-ubyte").write_bytes(idx(LABELS))
    np.savez(tmp_path / "c.npz", images=PIXELS, labels=LABELS[::-1])  # other labels: not the same
    found = read_images(tmp_path)
    assert found.files == ("a.npz", "c.npz")
    assert len(found.notes) == 2


def test_mnist_as_kaggle_packs_it(tmp_path):
    for kind, array in (("images", PIXELS), ("labels", LABELS)):
        rank = array.ndim
        (tmp_path / f"train-{kind}.idx{rank}-ubyte").write_bytes(idx(array))
        inner = tmp_path / f"train-{kind}-idx{rank}-ubyte"
        inner.mkdir()
        (inner / inner.name).write_bytes(idx(array))
    found = read_images(tmp_path)
    assert same(found.source, PIXELS, LABELS)
    assert len(found.notes) == 1
    assert same(load_images(tmp_path / "train-images-idx3-ubyte" / "train-images-idx3-ubyte"), PIXELS, LABELS)
    assert same(read_images(tmp_path / "train-images-idx3-ubyte").source, PIXELS, LABELS)
    (tmp_path / "._train-images-idx3-ubyte").write_bytes(b"what macOS keeps")
    (tmp_path / "train-images.idx3-ubyte").unlink()
    (tmp_path / "train-labels.idx1-ubyte").unlink()
    assert same(read_images(tmp_path).source, PIXELS, LABELS)


def test_a_folder_of_a_files_name_without_it(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").mkdir()
    with pytest.raises(InputError, match="no image file is in it"):
        read_images(tmp_path)


def test_where_the_images_are_instead_is_told(tmp_path):
    inner = tmp_path / "MNIST" / "raw"
    inner.mkdir(parents=True)
    (inner / "train-images-idx3-ubyte").write_bytes(idx(PIXELS))
    with pytest.raises(InputError, match=r"holds no image files, but .*raw does; give"):
        read_images(tmp_path)


def test_labels_that_begin_at_one_are_told():
    assert numbering(np.array([0, 1, 2, 1])) == ()
    (note,) = numbering(np.array([1, 2, 10]))
    assert note.startswith(
        "No image has the label 0, 3, 4, 5, 6, 7, 8, 9, but labels go up to 10, so that there are"
    )
    assert len(numbering(np.array([0, 30_000]))[0]) < 300


def test_labels_without_meaning_stay_without(tmp_path):
    """Each picture once in all parts: what is told of the parts is nothing, and they share no picture."""
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS)
    shutil.copy(tmp_path / "a.npz", tmp_path / "b.npz")
    found = read_images(tmp_path)
    everything = found.marks(np.arange(len(found.source.labels)))
    assert len({entry.content for entry in everything}) == len(everything) == 24


# Between the parts


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=12), st.integers(0, 12))
def test_what_lies_in_two_parts_is_counted(drawn, cut):
    marked = [Marked(str(content), label, str(i)) for i, (content, label) in enumerate(drawn)]
    parts = {"training": marked[:cut], "test": marked[cut:]}
    shared_by = [entry for entry in parts["test"] if entry.content in {m.content for m in parts["training"]}]
    told = copies.between(parts)
    assert len(told) == bool(shared_by)
    for note in told:
        assert note.startswith("The test part has content of the training part, on which")
        assert f" new: {len(shared_by)} of {len(parts['test'])}" in note


@given(st.lists(st.tuples(st.none() | st.integers(0, 3), st.integers(0, 2)), max_size=12))
def test_of_each_content_and_class_one_is_kept(drawn):
    marked = [Marked(None if c is None else str(c), label, str(i)) for i, (c, label) in enumerate(drawn)]
    found = copies.find(marked)
    kept = [entry for entry, first in zip(marked, found.first, strict=True) if first and entry.content]
    assert len(kept) == len({(entry.content, entry.label) for entry in marked if entry.content})
    assert all(first for entry, first in zip(marked, found.first, strict=True) if not entry.content)
    assert len(found.copies) == (~found.first).sum()


def test_equal_images_in_two_parts_are_told(tmp_path):
    many = np.concatenate([PIXELS, PIXELS[:10]])  # ten pictures twice in one file
    np.savez(tmp_path / "a.npz", images=many, labels=np.concatenate([LABELS, (LABELS[:10] + 1) % 3]))
    found = read_images(tmp_path)
    told = copies.between({"training": found.marks(np.arange(24)), "test": found.marks(np.arange(24, 34))})
    assert told == (
        "The test part has content of the training part, on which scores say nothing about what is new: "
        "10 of 10, 10 of them under another class (first: image 24 of a.npz is image 0 of a.npz).",
    )


def test_loaded_images_are_there_once_and_what_is_odd_is_told(tmp_path, monkeypatch):
    """Labels from 1, and the same file plain and packed: no phantom class and no picture in two parts in silence."""
    monkeypatch.setenv("GEMSNN_CACHE", str(tmp_path / "cache"))
    data = {"images-idx3": PIXELS, "labels-idx1": LABELS + 1}
    (tmp_path / "raw").mkdir()
    for kind, array in data.items():
        (tmp_path / "raw" / f"train-{kind}-ubyte").write_bytes(idx(array))
        (tmp_path / "raw" / f"train-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    short = EmulatorSpec(duration_us=50_000)
    splits = load_image_events(tmp_path / "raw", BinSpec(steps=2), short)
    assert sum(map(len, splits.parts.values())) == 24
    assert not any("content" in note for note in splits.notes)
    assert any("train-images-idx3-ubyte.gz holds the same" in note for note in splits.notes)
    assert any("No image has the label 0, but labels go up to 3" in note for note in splits.notes)
    twice = np.concatenate([PIXELS, PIXELS])
    np.savez(tmp_path / "x.npz", images=twice, labels=np.concatenate([LABELS, LABELS]))
    notes = load_image_events(tmp_path / "x.npz", BinSpec(steps=2), short).notes
    assert any("The test part has content of the training or validation part" in note for note in notes)


def test_real_images_are_each_in_one_part():
    root = shared("mnist-images", "mnist_train_0.npz")
    found = read_images(root)
    order = np.random.default_rng(0).permutation(len(found.source.labels))
    assert copies.between({"training": found.marks(order[2000:]), "test": found.marks(order[:2000])}) == ()


# Recordings


def test_nmnist_copies_of_an_id(tmp_path):
    nmnist_folder(tmp_path, [(n % 2, n) for n in range(1, 21)])
    folder = tmp_path / "Train" / "1"
    shutil.copy(folder / "00001.bin", folder / "1.bin")
    shutil.copy(
        folder / "00003.bin", folder / "5.bin"
    )  # the id of another recording: that is none of its copies
    splits = load_nmnist(tmp_path)
    assert sum(map(len, splits.parts.values())) == 20
    assert (
        f"Files were left out, for others of their id hold the same: {Path('Train/1/1.bin')}." in splits.notes
    )
    (note,) = [note for note in splits.notes if note.startswith("Copies of other recordings")]
    assert "so that each is read once: 1 (first: " in note
    assert "5.bin is a copy of" in note


def test_nmnist_copies_in_train_and_test(tmp_path):
    nmnist_folder(tmp_path, [(n % 2, n) for n in range(1, 21)])
    nmnist_folder(tmp_path, [(n % 2, 100 + n) for n in range(1, 7)], "Test")
    shutil.copy(tmp_path / "Train" / "1" / "00003.bin", tmp_path / "Test" / "1" / "00777.bin")
    shutil.copy(tmp_path / "Train" / "1" / "00005.bin", tmp_path / "Test" / "0" / "00778.bin")
    splits = load_nmnist(tmp_path)
    assert len(splits.test) == 8
    (note,) = [note for note in splits.notes if "The test part has content" in note]
    assert "is new: 2 of 8, 1 of them under another class" in note


def test_a_recording_under_two_classes_is_told(tmp_path):
    nmnist_folder(tmp_path, [(n % 2, n) for n in range(1, 31)])
    shutil.copy(tmp_path / "Train" / "1" / "00003.bin", tmp_path / "Train" / "0" / "00004.bin")
    splits = load_nmnist(tmp_path)
    assert sum(map(len, splits.parts.values())) == 30
    (note,) = [note for note in splits.notes if "hold the same as one of another class" in note]
    assert "00003.bin" in note
    assert "00004.bin" in note


def test_silent_recordings_are_no_copies_of_each_other(tmp_path):
    """Binned, all that lie outside the bins are equal; they are other recordings all the same."""
    for number in range(1, 11):
        inside = number != 10 and number > 4
        events = random_events(
            np.random.default_rng(number), 50, 74 if inside else 40, 900_000, 48 if inside else 0
        )
        (tmp_path / dvs_name(0, number)).write_bytes(aedat2(events))
        (tmp_path / dvs_name(1, number)).write_bytes(aedat2(events[::2]))
    splits = load_mnist_dvs(tmp_path)
    assert sum(map(len, splits.parts.values())) == 20
    assert not any("content" in note or "hold the same" in note or "Copies" in note for note in splits.notes)
    assert any("share that is usual" in note and ": 10 of 20: " in note for note in splits.notes)


def test_mnist_dvs_copies_under_another_number_and_in_other_places(tmp_path):
    dvs_folder(tmp_path, [(2, n) for n in range(1, 11)])
    folder = tmp_path / "grabbed_data2" / "scale4"
    shutil.copy(folder / dvs_name(2, 3), folder / dvs_name(2, 903))  # in the test part: told
    shutil.copy(folder / dvs_name(2, 4), folder / dvs_name(2, 44))
    (tmp_path / "backup").mkdir()
    shutil.copy(folder / dvs_name(2, 5), tmp_path / "backup" / dvs_name(2, 5))
    dvs_zip(tmp_path / "more.zip", [(2, 6)], "grabbed_data2")
    for deflicker in (True, False):  # whose noise differs between copies
        splits = load_mnist_dvs(tmp_path, deflicker=deflicker)
        assert sum(map(len, splits.parts.values())) == 11
        notes = " ".join(splits.notes)
        assert "2 recordings were found more than once" in notes
        assert (
            "Copies of other recordings of their class were left out, so that each is read once: 1" in notes
        )
        assert dvs_name(2, 44) in notes
        assert "The test part has content of the training or validation part" in notes


def test_hdf5_copies(tmp_path):
    events = [random_events(np.random.default_rng(i), 40, 26, 900_000) for i in range(6)]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for i, e in enumerate([*events, events[0], events[1]]):
            file[f"train/{i}"] = np.stack([e["t"], e["x"], e["y"], e["on"]], axis=1)
        file["train/labels"] = [0, 1, 0, 1, 0, 1, 0, 1]
        file["test/0"] = file["train/2"][()]
        file["test/labels"] = [0]
    splits = load_hdf5(tmp_path / "x.h5")
    assert len(splits.train) + len(splits.validation) == 6
    assert any("read once: 2 (first: train/6 is a copy of train/0)" in note for note in splits.notes)
    assert any("The test part has content" in note and "new: 1 of 1 (" in note for note in splits.notes)


def test_real_recordings_are_each_in_one_part():
    for splits in (load_nmnist(shared("nmnist"), limit=200), load_mnist_dvs(shared("mnist-dvs"))):
        assert not any(
            "content" in note or "hold the same" in note or "Copies" in note for note in splits.notes
        )
