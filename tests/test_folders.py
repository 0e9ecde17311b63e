"""Folders of recordings: where classes and parts come from, and what is left out and told."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from event_files import aedat2, nmnist, nmnist_folder, random_events
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from gemsnn.data.folders import find_recordings, natural
from gemsnn.errors import InputError

EVENTS = random_events(np.random.default_rng(0), 30, 30, 200_000)


def fill(root: Path, *names: str, data: bytes | None = None) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(aedat2(EVENTS) if data is None else data)
    return root


def told(folder) -> list[tuple[str, str, str | None]]:
    return [
        (entry.path.relative_to(folder.root).as_posix(), entry.label, entry.split) for entry in folder.entries
    ]


def test_a_class_a_folder(tmp_path):
    fill(
        tmp_path,
        "cat/2.x",
        "cat/10.x",
        "cat/deep/er/1.x",
        "dog 2/a",
        "dog 10/b",
        "dog 10/.hidden",
        ".git/c",
        "lost+found/d",
    )
    fill(tmp_path, "README.md", "dog 2/LICENSE", data=b"Some words.\n")
    fill(tmp_path, "dog 2/meta.json", data=b'{"a": 1}')
    fill(tmp_path, "cat/._2.x", data=b"\0\5\x16\7")
    folder = find_recordings(tmp_path)
    assert folder.classes == ("cat", "dog 2", "dog 10")
    assert told(folder) == [
        *(("cat/2.x", "cat", None), ("cat/10.x", "cat", None), ("cat/deep/er/1.x", "cat", None)),
        *(("dog 2/a", "dog 2", None), ("dog 10/b", "dog 10", None)),
    ]
    assert (folder.rule, folder.splits, folder.root) == ("folders", {None: 5}, tmp_path)
    assert folder.notes == (
        "Files that are no event files by their content were left out: dog 2/LICENSE, dog 2/meta.json, README.md.",
    )


@pytest.mark.parametrize(
    "names", [("train", "test"), ("Train", "Test"), ("TRAIN", "Val", "testing"), ("train", "valid", "test")]
)
def test_parts_above_the_classes(tmp_path, names):
    fill(tmp_path, *(f"{part}/{digit}/a.bin" for part in names for digit in (1, 0, 10)), data=nmnist(EVENTS))
    fill(tmp_path, "extra/1/a.x")
    folder = find_recordings(tmp_path)
    assert folder.classes == ("0", "1", "10")
    want = [{"tr": "train", "va": "validation", "te": "test"}[part[:2].lower()] for part in names]
    assert folder.splits == dict.fromkeys(want, 3)
    assert folder.notes == ("Recordings that lie in no part were left out: extra/1/a.x.",)
    with pytest.raises(
        InputError, match=r"recordings lie in parts \(test, train\) but in no folders of classes"
    ):
        find_recordings(fill(tmp_path / "other", "train/a_1", "test/b_1"))
    assert told(find_recordings(tmp_path / "other", class_from="^[a-z]")) == [
        ("test/b_1", "b", "test"),
        ("train/a_1", "a", "train"),
    ]


def test_classes_by_the_names_of_files(tmp_path):
    fill(tmp_path, "cl_1.aedat", "he_1.aedat", "more/cl_20.aedat", "more/cl_3.aedat")
    folder = find_recordings(tmp_path, class_from=r"^([a-z]+)_")
    assert (folder.classes, folder.rule) == (("cl", "he"), "names")
    assert [label for _, label, _ in told(folder)] == ["cl", "he", "cl", "cl"]
    assert find_recordings(tmp_path, class_from="[0-9]+").classes == ("1", "3", "20")
    with pytest.raises(InputError, match="finds no class in this name"):
        find_recordings(tmp_path, class_from="^cl")
    with pytest.raises(InputError, match="no regular expression"):
        find_recordings(tmp_path, class_from="(")


def test_a_class_a_file(tmp_path):
    fill(tmp_path, "fork 2.aedat", "fork 10.aedat", "knife.x", "knife.y")
    folder = find_recordings(tmp_path)
    assert folder.rule == "files"
    assert folder.classes == ("fork 2", "fork 10", "knife.x", "knife.y")


def test_folders_around_the_folder_of_classes(tmp_path):
    outer = find_recordings(fill(tmp_path / "a", "b/c/1/one.x", "b/c/2/two.x"))
    assert (outer.root, outer.classes) == (tmp_path / "a" / "b" / "c", ("1", "2"))
    assert outer.notes == ("All recordings lie in b/c, which is taken as the folder of classes.",)
    alone = find_recordings(fill(tmp_path / "d", "cat/one.x", "cat/two.x"))
    assert (alone.root, alone.classes, alone.rule) == (tmp_path / "d", ("cat",), "folders")
    assert "All recordings lie in one folder, cat, and so in one class" in alone.notes[0]
    part = find_recordings(fill(tmp_path / "e", "Test/cat/one.x", "Test/cat/two.x"))
    assert (part.root, part.classes, part.splits) == (tmp_path / "e", ("cat",), {"test": 2})


def test_files_beside_folders_of_classes_are_told(tmp_path):
    folder = find_recordings(fill(tmp_path, "a/1", "b/1", "loose"))
    assert folder.classes == ("a", "b")
    assert folder.notes == ("Recordings that lie in no class's folder were left out: loose.",)


def test_damaged_files_are_listed_for_whoever_reads_them(tmp_path):
    """What begins like an event file, or is called one, is no file to be left out."""
    fill(tmp_path, "a/1.aedat", "b/1.aedat")
    fill(tmp_path, "a/2", data=aedat2(EVENTS)[:-3])
    fill(tmp_path, "a/3.bin", data=b"\xff" * 7)
    fill(tmp_path, "a/4.aedat", "a/4.npy", data=b"")
    fill(tmp_path, "a/5.csv", data=b"t,x,y,p\n1,2,3,4,5\n")
    fill(tmp_path, "a/6.csv", data=b"epoch;loss;accuracy\n1;2;3\n")
    assert [path for path, _, _ in told(find_recordings(tmp_path))] == [
        "a/1.aedat",
        "a/2",
        "a/3.bin",
        "a/4.aedat",
        "a/4.npy",
        "a/5.csv",
        "b/1.aedat",
    ]


def test_arrays_that_are_no_events_are_left_out(tmp_path):
    table = np.stack([np.arange(9) * 9000, *np.ones((3, 9), int)], axis=1)
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / "1.npy", table)
    np.save(tmp_path / "a" / "weights.npy", np.zeros((9, 8, 7)))
    np.save(
        tmp_path / "a" / "boxes.npy",
        np.zeros(3, [("ts", "i8"), ("x", "i8"), ("y", "i8"), ("w", "i8"), ("h", "i8")]),
    )
    np.savez(tmp_path / "a" / "images.npz", images=np.zeros((3, 2, 2)), labels=np.zeros(3))
    np.savez(tmp_path / "a" / "2.npz", t=table[:, 0], x=table[:, 1], y=table[:, 2])
    (tmp_path / "a" / "3.npy").write_bytes((tmp_path / "a" / "1.npy").read_bytes()[:-9])
    folder = find_recordings(tmp_path / "a")
    assert [entry.path.name for entry in folder.entries] == ["1.npy", "2.npz", "3.npy"]
    assert "boxes.npy, images.npz, weights.npy" in folder.notes[0]


def test_labels(tmp_path):
    fill(tmp_path, "x/1.aedat", "x/2.aedat", "3.aedat", "4.aedat")
    lines = [
        "Label;file;split;begin;end;note",
        "b 10;x/1.aedat;train;0;1.5;",
        "b 2;x\\2.aedat;Val;;;x",
        "b 2;3.aedat;;2;;",
    ]
    (tmp_path / "labels.csv").write_text("﻿" + "\r\n".join([*lines, "b 10;3.aedat;test;0;2.000001;", ";;;;;"]))
    folder = find_recordings(tmp_path)
    assert (folder.rule, folder.classes) == ("labels", ("b 2", "b 10"))
    assert [entry[1:] for entry in folder.entries] == [
        *(("b 10", "train", 0, 1_500_000), ("b 2", "validation", None, None)),
        *(("b 2", None, 2_000_000, None), ("b 10", "test", 0, 2_000_001)),
    ]
    assert [entry.path.name for entry in folder.entries] == ["1.aedat", "2.aedat", "3.aedat", "3.aedat"]
    assert folder.notes == ("Recordings that labels.csv does not list were left out: 4.aedat.",)
    (tmp_path / "labels.csv").rename(tmp_path / "mine.txt")
    assert find_recordings(tmp_path, labels=tmp_path / "mine.txt").entries == folder.entries
    with pytest.raises(InputError, match="this file tells the classes; leave class_from out"):
        find_recordings(tmp_path, labels=tmp_path / "mine.txt", class_from="x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("\n\n", "lists no recordings"),
        ("file,label\n", "lists no recordings"),
        ("name,label\na,b\n", "must name the columns file and label"),
        ("file,label,label\na,b,c\n", "names label twice"),
        ("file,label\na,b,c\n", "line 2: 3 columns where the heading has 2"),
        ("file,label\na,x\nb,x\n", "line 3: there is no file b in"),
        ("file,label\na,\n", "line 2: file and label must not be empty"),
        ("file,label\n../a,x\n", "line 2: ../a lies outside the folder"),
        ("file,label\n/etc/passwd,x\n", "lies outside the folder"),
        ("file,label\n.,x\n", "lies outside the folder"),
        ("file,label\nC:\\a,x\n", "lies outside the folder"),
        ("file,label\na\0,x\n", "lies outside the folder|no table of text"),
        ("file,label,split\na,x,later\n", "split must be train, validation or test, not later"),
        ("file,label,begin\na,x,-1\n", "begin must be a number of seconds from 0 on, not -1"),
        ("file,label,begin\na,x,nan\n", "begin must be a number of seconds"),
        ("file,label,end\na,x,1e300\n", "end must be a number of seconds"),
        ("file,label,begin,end\na,x,2,2\n", "end must lie after begin"),
        ("file,label\na,x\na,y\n", "line 3: a stands in line 2 already"),
        ("file,label\na,x\x1by\n", "is no name for a class"),
        ("file,label\n\"a,x\n" + "y" * 200_000, "no table of text|columns where"),
        ("\udcff", "no text in UTF-8"),
    ],
)  # fmt: skip
def test_labels_that_are_refused(tmp_path, text, words):
    fill(tmp_path, "a")
    (tmp_path / "labels.csv").write_bytes(os.fsencode(text))
    with pytest.raises(InputError, match=words) as caught:
        find_recordings(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


def test_folders_that_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        find_recordings(tmp_path / "none")
    with pytest.raises(InputError, match="this is a file, not a folder"):
        find_recordings(fill(tmp_path, "file") / "file")
    (tmp_path / "file").unlink()
    with pytest.raises(InputError, match="no event file is in this folder or below; give"):
        find_recordings(tmp_path)
    fill(tmp_path, "a.gz", data=b"\x1f\x8b\x08\0")
    with pytest.raises(InputError, match=r"a\.gz is a gzip file; unpack it first"):
        find_recordings(tmp_path)


def test_a_circle_of_folders(tmp_path):
    fill(tmp_path, "a/1", "b/1")
    (tmp_path / "b" / "again").symlink_to(tmp_path)
    assert [path for path, _, _ in told(find_recordings(tmp_path))] == ["a/1", "b/1"]


@given(st.lists(st.integers(0, 10**30), unique=True), st.sampled_from(["", "a", "mnist_0_"]))
def test_natural_order_is_that_of_the_numbers(numbers, before):
    names = sorted((f"{before}{number}.bin" for number in numbers), key=natural)
    assert names == [f"{before}{number}.bin" for number in sorted(numbers)]


@given(
    st.lists(st.text(max_size=6) | st.from_regex(r"[a-cA-C]?[0-9]{1,3}[a-c]?", fullmatch=True)), st.randoms()
)
def test_natural_order_does_not_depend_on_the_order_of_before(names, random):
    want = sorted(names, key=natural)
    random.shuffle(names)
    assert sorted(names, key=natural) == want


def test_natural_order():
    assert sorted(["a10", "a9", "A1", "b", "a", "", "10", "9", "1e5"], key=natural) == [
        "",
        "1e5",
        "9",
        "10",
        "a",
        "A1",
        "a9",
        "a10",
        "b",
    ]
    assert sorted(["a", "A", "a"], key=natural) == ["A", "a", "a"]


def test_real_folders():
    poker = find_recordings(shared("poker-dvs"), class_from="^([a-z]+)_")
    assert poker.classes == ("cl", "di", "he", "sp")
    assert len(poker.entries) == 100
    digits = find_recordings(shared("nmnist"))
    assert (digits.classes, digits.splits) == (tuple("0123456789"), {"train": 1000})
    objects = find_recordings(shared("dvs128-objects", "session1"))
    assert (len(objects.classes), objects.rule) == (7, "files")


def test_nmnist_as_it_is_packed(tmp_path):
    nmnist_folder(tmp_path, [(d, n) for d in range(3) for n in (1, 2)])
    nmnist_folder(tmp_path, [(d, 9) for d in range(3)], "Test")
    folder = find_recordings(tmp_path)
    assert folder.splits == {"test": 3, "train": 6}
    assert folder.classes == ("0", "1", "2")
