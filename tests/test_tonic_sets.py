"""Data sets of tonic: its own classes where it is installed, small ones in their place everywhere."""

from __future__ import annotations

import pickle
import sys
import types
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from event_files import nmnist_folder

from gemsnn.data.binning import BinSpec
from gemsnn.data.parts import Item, Listing
from gemsnn.data.recordings import NMNIST_BINS
from gemsnn.data.sets import tonic_sets
from gemsnn.errors import InputError

XYTP = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
ROW = np.dtype([("t", int), ("x", int), ("p", int)])


class Files:
    """Recordings of a camera, one a name in a list that is in no order; the seed is the number in the name."""

    sensor_size = (6, 4, 2)
    classes = ("left", "right")

    def __init__(self, save_to: str, train: bool = True) -> None:
        if not Path(save_to).is_dir():
            raise urllib.error.URLError("no route to host")
        self.location_on_system = f"{save_to}/Files"
        print("Downloading", save_to)
        numbers = (12, 3, 7, 10) if train else (5, 4)
        self.data = [f"{self.location_on_system}/{number:03d}.npy" for number in numbers]
        self.targets = [number % 2 for number in numbers]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, position: int) -> tuple[np.ndarray, int]:
        number = int(Path(self.data[position]).stem)
        events = np.zeros(3, XYTP)
        events["x"], events["y"], events["p"] = [5, 0, number % 6], [0, 3, 1], [1, 0, 1]
        events["t"] = [70_000 + number, 60_000, 80_000]  # the first two are out of order
        return events, self.targets[position]


class Whole(Files):
    """One part only."""

    def __init__(self, save_to: str) -> None:
        super().__init__(save_to)
        self.data = [f"{self.location_on_system}/{number:03d}.npy" for number in range(10)]
        self.targets = [number % 2 for number in range(10)]


class Spoken:
    """Spike trains in a row of channels; targets are texts, known only to the recordings."""

    sensor_size = (9, 1, 1)

    def __init__(self, save_to: str, train: bool = True) -> None:
        self.words = ["one", "two", "two"] if train else ["two"]

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, position: int) -> tuple[np.ndarray, str]:
        if position >= len(self):
            raise IndexError(position)
        events = np.zeros(2, ROW)
        events["t"], events["x"], events["p"] = [1000, 3000], [8, position], 1
        return events, self.words[position]


class Outside(Spoken):
    """An event beyond the channels."""

    sensor_size = (8, 1, 1)


class Needy(Spoken):
    """Needs more than a place."""

    def __init__(self, save_to: str, recording: str) -> None: ...


class Boxes(Spoken):
    """Its targets are no classes."""

    def __getitem__(self, position: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[override]
        return super().__getitem__(position)[0], np.zeros((position + 1, 4))


class Broken(Spoken):
    """Its second recording is damaged."""

    def __getitem__(self, position: int) -> tuple[np.ndarray, str]:
        if position == 1:
            raise OSError("truncated file")
        return super().__getitem__(position)


class Same(Spoken):
    """One class."""

    def __getitem__(self, position: int) -> tuple[np.ndarray, str]:
        return super().__getitem__(position)[0], "two"


KINDS = (Files, Whole, Spoken, Outside, Needy, Boxes, Broken, Same)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The classes above in the place of tonic's."""
    module = types.ModuleType("tonic.datasets")
    for kind in KINDS:
        setattr(module, kind.__name__, kind)
    module.__all__ = [kind.__name__ for kind in KINDS]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tonic", types.ModuleType("tonic"))
    monkeypatch.setitem(sys.modules, "tonic.datasets", module)
    tonic_sets._opened.cache_clear()
    yield
    tonic_sets._opened.cache_clear()


def events_of(listing: Listing, items: list[Item]) -> list[list[tuple]]:
    return [recording.events.tolist() for recording in listing.read(items)]


@pytest.mark.usefixtures("small")
def test_files_in_two_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = tonic_sets.listing("Files", str(tmp_path))
    assert [(item.name, item.label, item.index) for item in listing.train] == [
        ("003.npy", 1, 0), ("007.npy", 1, 1), ("010.npy", 0, 2), ("012.npy", 0, 3),
    ]  # fmt: skip
    assert [(item.name, item.label, item.index) for item in listing.test] == [
        ("004.npy", 0, 4),
        ("005.npy", 1, 5),
    ]
    assert (listing.width, listing.height, listing.classes) == (6, 4, 2)
    assert (listing.names, listing.notes, listing.validation) == (("left", "right"), (), None)
    found = [recording.repairs for recording in listing.read(listing.train)]
    assert found == [{"events out of order": 1}] * 4
    wanted = [[(0, 0, 3, False), (10_000 + n, 5, 0, True), (20_000, n % 6, 1, True)] for n in (3, 7, 10, 12)]
    assert events_of(listing, list(listing.train)) == wanted
    assert events_of(pickle.loads(pickle.dumps(listing)), list(listing.test))[1][2] == (20_000, 5, 1, True)
    said = capsys.readouterr()
    assert said.out == ""  # standard output is for results
    assert "Downloading" in said.err
    (tmp_path / "Files").mkdir()
    assert tonic_sets.listing("Files", tmp_path / "Files") == listing
    assert tonic_sets.bins("Files") == BinSpec()


@pytest.mark.usefixtures("small")
def test_one_part_is_split(tmp_path: Path) -> None:
    listing = tonic_sets.listing("Whole", tmp_path)
    assert [item.name for item in listing.test] == ["008.npy", "009.npy"]
    assert len(listing.train) == 8
    assert "no test part of Whole" in listing.notes[0]


@pytest.mark.usefixtures("small")
def test_rows_of_channels_keep_their_clock(tmp_path: Path) -> None:
    listing = tonic_sets.listing("Spoken", tmp_path)
    assert listing.names == ("one", "two")
    assert [item.label for item in listing.train] == [0, 1, 1]
    assert events_of(listing, list(listing.train))[2] == [(1000, 8, 0, True), (3000, 2, 0, True)]
    assert listing.notes == ("The test part has no recordings of class one.",)
    assert tonic_sets.bins("Spoken") == BinSpec(polarity="merged")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("files", "tonic has no data set files; did you mean Files\\? it has Boxes, "),
        ("Needy", "Needy is no set of labelled recordings"),
        ("Boxes", "the targets of tonic's Boxes are no classes"),
        ("Broken", "Broken 1: tonic cannot read this recording \\(truncated file\\)"),
        ("Same", "has no classes to tell apart"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tonic_sets.listing(name, tmp_path)


@pytest.mark.usefixtures("small")
def test_places_and_pixels_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"could not download it \(<urlopen error no route to host>\)"):
        tonic_sets.listing("Files", tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"a")
    with pytest.raises(InputError, match="this is a file; give the folder"):
        tonic_sets.listing("Files", tmp_path / "file")
    listing = tonic_sets.listing("Outside", tmp_path)
    with pytest.raises(InputError, match="lies outside the 8 x 1 sensor"):
        events_of(listing, list(listing.train))


def test_without_tonic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tonic", None)
    monkeypatch.setitem(sys.modules, "tonic.datasets", None)
    with pytest.raises(InputError, match=r"not installed; run pip install 'gemsnn\[tonic\]'"):
        tonic_sets.listing("NMNIST", tmp_path)


def test_nmnist_of_tonic_is_nmnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Event by event what this package's own reader makes of the files."""
    nmnist = pytest.importorskip("tonic.datasets", reason="needs tonic").NMNIST
    home = tmp_path / "NMNIST"
    written = nmnist_folder(home, [(digit, number) for digit in range(3) for number in (2, 11)])
    tested = nmnist_folder(home, [(1, 5)], part="Test")
    for name in ("train.zip", "test.zip"):  # tonic looks for both, and for 10,000 recordings
        (home / name).write_bytes(b"unpacked")
    monkeypatch.setattr(nmnist, "_folder_contains_at_least_n_files_of_type", lambda *_: True)
    listing = tonic_sets.listing("NMNIST", tmp_path)
    assert listing.names[:2] == ("0 - zero", "1 - one")
    assert (listing.width, listing.height, listing.classes) == (34, 34, 10)
    for items, events in ((listing.train, written), (listing.test, tested)):
        assert len(items) == len(events)
        for item, recording in zip(items, listing.read(items), strict=True):
            number = int(Path(item.name).stem)
            np.testing.assert_array_equal(recording.events, events[item.label, number])
    assert tonic_sets.bins("NMNIST") == NMNIST_BINS


def test_spoken_digits_of_tonic(tmp_path: Path) -> None:
    pytest.importorskip("tonic.datasets", reason="needs tonic")
    home = tmp_path / "SHD"
    home.mkdir()
    for part, labels in (("train", [1, 0, 1]), ("test", [0])):
        (home / f"shd_{part}.h5.zip").write_bytes(b"unpacked")
        with h5py.File(home / f"shd_{part}.h5", "w") as file:
            for name, kind in (("times", np.float32), ("units", np.uint16)):
                made = file.create_dataset(f"spikes/{name}", (len(labels),), h5py.vlen_dtype(kind))
                for i in range(len(labels)):
                    made[i] = np.array([0.25, 0.5 + i] if name == "times" else [699, i], kind)
            file["labels"] = np.array(labels)
            file["extra/keys"] = np.array([b"zero", b"eins"])
            file["extra/speaker"] = np.zeros(len(labels), int)
    listing = tonic_sets.listing("SHD", home)
    assert (listing.names, listing.width, listing.height) == (("zero", "eins"), 700, 1)
    assert [item.label for item in listing.train] == [1, 0, 1]
    assert events_of(listing, list(listing.train))[2] == [(250_000, 699, 0, True), (2_500_000, 2, 0, True)]
    assert tonic_sets.bins("SHD").polarity == "merged"


def test_a_download_that_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tonic.datasets", reason="needs tonic")

    def fails(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("tonic.dataset.download_and_extract_archive", fails)
    with pytest.raises(InputError, match=r"did not find the data set DVSGesture whole here, .*no network"):
        tonic_sets.listing("DVSGesture", tmp_path)
