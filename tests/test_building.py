"""Reading many recordings: several processes do what one does, and what was read before is not read again."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from event_files import HEADER, aedat2, nmnist, nmnist_folder, random_events, raw_aedat2

from gemsnn.data import building, cache, content, parts, splits
from gemsnn.data.binning import BinSpec
from gemsnn.data.building import Item
from gemsnn.data.datasets import DataSpec
from gemsnn.data.datasets import load as load_data
from gemsnn.data.events import Recording, make_events
from gemsnn.data.parts import Listing
from gemsnn.data.recordings import load_mnist_dvs, load_nmnist
from gemsnn.data.sets import survey
from gemsnn.errors import InputError
from gemsnn.machine import workers

SIDE = 34
WANTED = [(digit, 10 * number + digit) for digit in range(2) for number in range(5)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache of the test's own, which begins empty, and files that count as settled at once."""
    monkeypatch.setenv("GEMSNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(content, "SETTLED_NS", 0)
    return tmp_path / "cache"


def alike(one: splits.Splits, other: splits.Splits) -> None:
    """Whether two readings came to the same, to the bit and to the word."""
    assert one.notes == other.notes
    assert one.reading == other.reading
    for name, part in one.parts.items():
        assert part.digest() == other.parts[name].digest()
        assert part.names == other.parts[name].names
        assert np.array_equal(part.tallies, other.parts[name].tallies)


def no_reading(monkeypatch) -> None:
    """From now on whatever reads a recording fails."""

    def refuse(*_: object, **__: object):
        raise AssertionError("a recording was read again")

    monkeypatch.setattr(building, "build", refuse)
    monkeypatch.setattr(survey, "read_recording", refuse)
    monkeypatch.setattr(content, "digest_of_file", refuse)


# -- processes ---------------------------------------------------------------------------------------------

SCRIPT = """
import sys
import gemsnn
from gemsnn.data import building
from gemsnn.data.sets import survey
print("run", flush=True)
building.PARALLEL_BYTES = survey.PARALLEL_BYTES = 0
building.AT_A_TIME = survey.AT_A_TIME = 3
data = gemsnn.dataset("events", sys.argv[1])
print(*(part.digest() for part in data.parts.values()), *data.notes, sep="\\n")
"""
"""A program as people write it: nothing in it says that it must not run again in every process."""


def test_processes_do_what_one_does_and_do_not_run_the_program_again(tmp_path, monkeypatch):
    written = nmnist_folder(tmp_path / "data", WANTED)
    copy = tmp_path / "data" / "Train" / "1" / "00099.bin"
    copy.write_bytes(nmnist(written[1, 1]))
    alone = load_data(DataSpec("events", tmp_path / "data"))
    assert any("Train/1/00099.bin is Train/1/00001.bin" in note for note in alone.notes)
    monkeypatch.setenv("GEMSNN_CACHE", str(tmp_path / "another"))
    (tmp_path / "script.py").write_text(SCRIPT)
    told = subprocess.run(
        [sys.executable, "script.py", "data"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, timeout=300,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    wanted = ["run", *(part.digest() for part in alone.parts.values()), *alone.notes]
    assert told.stdout.splitlines() == wanted


def test_damaged_recordings_in_several_processes(tmp_path, monkeypatch):
    """The first of them ends the reading in the same sentence, or all are left out in the same words."""
    nmnist_folder(tmp_path, WANTED)
    for name in ("0/00010.bin", "1/00021.bin"):
        (tmp_path / "Train" / name).write_bytes(b"\1\2\3\4\5\6\7")
    said: list[str] = []
    for at_once in (False, True):
        monkeypatch.setattr(building, "PARALLEL_BYTES", 0 if at_once else 10**9)
        monkeypatch.setattr(building, "AT_A_TIME", 3)
        with pytest.raises(InputError) as error:
            load_nmnist(tmp_path)
        said.append(str(error.value))
        skipped = load_nmnist(tmp_path, skip_damaged=True)
        said.append("\n".join(skipped.notes))
        shutil.rmtree(os.environ["GEMSNN_CACHE"])
    assert said[:2] == said[2:]
    assert str(tmp_path / "Train" / "0" / "00010.bin") in said[0]
    assert "Damaged recordings were left out: 2 of 8" in said[1]


def test_results_come_in_order_whatever_their_size():
    assert list(workers.mapped(math.factorial, range(40), 3)) == [math.factorial(n) for n in range(40)]
    assert [len(each) for each in workers.mapped(bytes, [10**6] * 5, 2)] == [10**6] * 5
    assert list(workers.mapped(math.factorial, [], 3)) == []


def test_what_fails_in_a_process_fails_here():
    found = workers.mapped(math.sqrt, [4.0, -1.0, 9.0], 2)
    assert next(found) == 2.0
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        next(found)
    with pytest.raises(InputError, match=r"ended before it was done \(code 3\)"):
        list(workers.mapped(os._exit, [3, 3], 2))


def test_processes_end_when_nobody_wants_their_results(monkeypatch):
    started = []
    begin = workers.Children.begin
    monkeypatch.setattr(
        workers.Children, "begin", lambda *given, **more: started.append(begin(*given, **more)) or started[-1]
    )
    found = workers.mapped(bytes, [10**7] * 6, 2)
    assert len(next(found)) == 10**7
    assert [process.poll() for process in started] == [None, None]  # they wait for their turn
    found.close()
    assert None not in [process.poll() for process in started]


# -- what files hold ---------------------------------------------------------------------------------------


def test_digests_are_taken_once_and_after_every_change(tmp_path, monkeypatch):
    files = [tmp_path / name for name in ("a", "b", "\udce9")]  # the last is no text
    for path in files:
        path.write_bytes(path.name.encode("utf-8", "surrogateescape"))
    taken: list[str] = []
    digest = content.digest_of_file
    monkeypatch.setattr(content, "digest_of_file", lambda path: taken.append(path.name) or digest(path))
    first = content.digests(tmp_path, files)
    assert len(taken) == 3
    assert first == content.digests(tmp_path, files)
    assert len(taken) == 3
    times = files[0].stat()
    files[0].write_bytes(b"c")  # as long, and with the times that it had
    os.utime(files[0], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert content.digests(tmp_path, files)[files[0]] == digest(files[0])
    assert taken[3:] == ["a"]
    files[1].unlink()
    with pytest.raises(InputError, match="there is no such file"):
        content.digests(tmp_path, files)


def test_a_file_that_has_just_changed_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "SETTLED_NS", 2_000_000_000)
    (tmp_path / "a").write_bytes(b"a")
    content.digests(tmp_path, [tmp_path / "a"])
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_asking_for_some_files_forgets_no_others(tmp_path, own_cache, monkeypatch):
    for name in "ab":
        (tmp_path / name).write_text(name)
    content.digests(tmp_path, [tmp_path / "a", tmp_path / "b"])
    (kept,) = (own_cache / "files").iterdir()
    before = kept.stat()
    no_reading(monkeypatch)
    for name in "ab":
        content.digests(tmp_path, [tmp_path / name])
    assert kept.stat() == before  # nor is it written again


@pytest.mark.parametrize("damage", ["", "[]", "7", "{", '{"%s": [1]}', '{"%s": ["x", 1, 2, 3, 4]}', "\xff"])
def test_damaged_notes_of_the_cache_are_made_again(tmp_path, own_cache, damage):
    root = tmp_path / "data"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(3):
            (root / name / f"{number}.x").write_bytes(
                aedat2(random_events(np.random.default_rng(number), 60, 128, 90_000))
            )
    wanted = load_data(DataSpec("events", root))
    kept = {path: path.read_bytes() for path in (own_cache / "files").iterdir()}
    assert len(kept) == 2
    for path in kept:
        path.write_text(damage % (root / "a" / "0.x") if "%" in damage else damage, "latin-1")
    alike(load_data(DataSpec("events", root)), wanted)
    assert {path: path.read_bytes() for path in kept} == kept


# -- from the cache ----------------------------------------------------------------------------------------


def jumpy(seed: int) -> bytes:
    """An AEDAT file whose clock is set anew on the way."""
    random = np.random.default_rng(seed)
    t = np.concatenate([np.sort(random.integers(0, 400_000, 50)), np.sort(random.integers(0, 400_000, 50))])
    return raw_aedat2(random.integers(0, 2**15, 100), t, HEADER)


def dvs(root: Path, digits: Sequence[int] = (0, 1), count: int = 5) -> Path:
    for digit in digits:
        folder = root / f"grabbed_data{digit}" / "scale4"
        folder.mkdir(parents=True)
        for number in range(1, count + 1):
            path = folder / f"mnist_{digit}_scale04_{number:04d}.aedat"
            path.write_bytes(jumpy(100 * digit + number))
    return root


def test_what_comes_from_the_cache_is_what_was_read(tmp_path, monkeypatch):
    """With all that is told of it: repairs, copies, and what was left out."""
    root = dvs(tmp_path / "data")
    files = sorted(root.rglob("*.aedat"))
    shutil.copy(files[0], files[1])
    files[-1].write_bytes(b"#!AER-DAT2.0\r\n" + bytes(8 * 3)[:-1])
    how = {"skip_damaged": True}
    first = load_mnist_dvs(root, **how)
    assert any("timestamp resets" in note for note in first.notes)
    assert any("Copies of other recordings" in note for note in first.notes)
    assert any("Damaged recordings were left out: 1 of" in note for note in first.notes)
    kept = sorted((tmp_path / "cache").glob("recordings-*"))
    monkeypatch.setattr(building, "build", None)
    again = load_mnist_dvs(root, **how)
    alike(again, first)
    assert isinstance(again.test.rows.indices.base, np.memmap | np.ndarray)
    assert not again.test.rows.indices.flags.writeable
    with pytest.raises(TypeError):  # it has not been read like this before
        load_mnist_dvs(root)
    with pytest.raises(TypeError):
        load_mnist_dvs(root, BinSpec(10_000, 20), **how)
    monkeypatch.undo()
    monkeypatch.setenv("GEMSNN_CACHE", str(tmp_path / "cache"))
    for path in kept:  # a byte in the midst of the spikes
        whole = bytearray(path.read_bytes())
        whole[-9] ^= 1
        path.write_bytes(whole)
    alike(load_mnist_dvs(root, **how), first)
    assert all(cache.load(path) is not None for path in kept)


def test_data_at_another_place_is_not_read_again_and_told_of_by_its_place(tmp_path, monkeypatch):
    first = load_mnist_dvs(dvs(tmp_path / "one"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    monkeypatch.setattr(building, "build", None)
    alike(load_mnist_dvs(tmp_path / "two"), first)
    monkeypatch.undo()
    for place in ("one", "two"):
        sorted((tmp_path / place).rglob("*.aedat"))[0].write_bytes(b"nothing")
        notes = "\n".join(load_mnist_dvs(tmp_path / place, skip_damaged=True).notes)
        assert f"{tmp_path / place}/grabbed_data0" in notes


def test_another_stretch_of_the_same_file_is_another_recording(tmp_path):
    """Also where only its end moves, or its beginning by a microsecond of many."""
    t = np.arange(0, 4_000_000_000, 2_000_000)
    events = make_events(t, t % 30, t % 7, t % 3 == 0)
    for name in "ab":
        (tmp_path / name).write_bytes(aedat2(events))
    spec = DataSpec("events", tmp_path, bin_us=1_000_000, steps=30, sensor="128x128")
    rows = (
        "file,label,split,begin,end\na,a,train,{begin},{end}\nb,b,train,0,9\n"
        "a,a,test,3000,3030\nb,b,test,3000,3030\n"
    )
    found = {}
    for begin, end in ((1000, 1010), (1000, 1020), (1000.002, 1010), (1002.001, 1010)):
        (tmp_path / "labels.csv").write_text(rows.format(begin=begin, end=end))
        data = load_data(spec)
        found[begin, end] = data.train.digest() + data.validation.digest()
        wanted = [s for s in t.tolist() if begin * 1e6 <= s < end * 1e6]
        both = np.concatenate([data.train.rows.per_row(), data.validation.rows.per_row()])
        assert both.sum() == len(wanted) + 5
    assert len(set(found.values())) == 4


# -- parts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """Recordings of as many events as an item's source says, the first at the item's index; or damaged ones."""

    def __call__(self, items):
        for item in items:
            if item.source is None:
                raise InputError(f"{item.name} is damaged; leave it out")
            t = np.arange(item.source) + item.index
            yield Recording(make_events(t, t % 4, t % 3, t % 2 == 0), 4, 3, "made", {"mends": 1})


def items(first: int, sources: Sequence[int | None]) -> list[Item]:
    return [Item(at % 2, first + at, source, f"item {first + at}") for at, source in enumerate(sources)]


LISTING = Listing("made", "here", items(0, [3] * 8), items(20, [3] * 4), Made(), 4, 3, 2, names=("a", "b"))
BINS = BinSpec(1, 40)
HOW = {"limit": None, "validation": 0.25, "progress": None}


def test_a_validation_part_of_its_own_is_kept():
    listing = replace(LISTING, validation=items(10, [3] * 4))
    data = parts.load(listing, BINS, **HOW)
    assert sorted(data.train.address.tolist()) == list(range(8))
    assert sorted(data.validation.address.tolist()) == [10, 11, 12, 13]
    assert sorted(data.test.address.tolist()) == [20, 21, 22, 23]
    assert data.train.names == data.validation.names == data.test.names == ("a", "b")
    assert "Recordings were mended while they were read: 16 mends." in data.notes
    drawn = parts.load(LISTING, BINS, **HOW)
    assert (len(drawn.train), len(drawn.validation)) == (6, 2)


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        (2, (1, 1, 1)), (3, (2, 1, 1)), (6, (4, 2, 2)), (11, (7, 4, 4)), (12, (8, 4, 4)), (99, (8, 4, 4)),
    ],
)  # fmt: skip
def test_a_limit_counts_training_and_validation_together(limit, sizes):
    listing = replace(LISTING, validation=items(10, [3] * 4))
    data = parts.load(listing, BINS, **(HOW | {"limit": limit}))
    assert tuple(map(len, data.parts.values())) == sizes
    told = [note for note in data.notes if note.startswith("limit")]
    if limit >= 12:
        assert told == []
    elif sizes[2] < 4:
        assert told == [
            f"limit: {limit} of 12 recordings to learn from and validate with, and in the same proportion {sizes[2]} "
            "of 4 to test on."
        ]


def test_recordings_without_events_are_no_copies_of_one_another():
    listing = replace(LISTING, train=items(0, [0, 3, 0, 3, 0, 3]))
    data = parts.load(listing, BINS, **HOW)
    assert len(data.train) + len(data.validation) == 6
    assert not any("Copies" in note for note in data.notes)
    assert any("keep none of their events" in note for note in data.notes)


def test_the_same_content_of_a_class_is_kept_once():
    listing = replace(
        LISTING, train=[*items(0, [3, 3, 3, 3]), Item(1, 1, 3, "again"), Item(0, 1, 3, "other")]
    )
    data = parts.load(listing, BINS, **HOW)
    assert len(data.train) + len(data.validation) == 5  # index 1 is content, too
    assert any("1 (first: again is a copy of item 1)" in note for note in data.notes)
    assert any(
        "hold the same as one of another class: 1 (first: other and item 1)" in note for note in data.notes
    )


def test_damaged_recordings_are_left_out_only_if_one_asks():
    listing = replace(LISTING, train=items(0, [3, None, 3, 3, None, 3]), validation=items(10, [None, 3]))
    with pytest.raises(InputError, match="item 1 is damaged"):
        parts.load(listing, BINS, **HOW)
    data = parts.load(listing, BINS, **HOW, skip_damaged=True)
    assert sorted(data.train.address.tolist()) == [0, 2, 3, 5]
    assert data.validation.address.tolist() == [11]
    told = [note for note in data.notes if "Damaged" in note]
    assert [note[: note.index(" (")] for note in told] == [
        "Damaged recordings were left out: 2 of 6",
        "Damaged recordings were left out: 1 of 2",
    ]


def test_a_part_without_spikes_is_refused():
    with pytest.raises(InputError, match="here: the test part has no spikes: 0 events in all"):
        parts.load(replace(LISTING, test=items(20, [0, 0])), BINS, **HOW)


def test_a_part_without_recordings_is_empty():
    data = parts.load(replace(LISTING, train=()), BINS, **HOW)
    assert tuple(map(len, data.parts.values())) == (0, 0, 4)
