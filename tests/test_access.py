"""What is told of files that cannot be read: the true reason, in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from event_files import aedat2, dvs_folder, dvs_name, dvs_zip, hdf5, nmnist_folder, random_events

from gemsnn.commands.cli import main
from gemsnn.data.access import first_bytes, found_at, listing, refusal
from gemsnn.data.image_sets import read_images
from gemsnn.data.images import load_images
from gemsnn.data.readers import describe, read_recording
from gemsnn.data.readers.mnist_dvs import find_mnist_dvs
from gemsnn.data.recordings import load_hdf5, load_mnist_dvs, load_nmnist
from gemsnn.data.sources import open_source
from gemsnn.errors import InputError

EVENTS = random_events(np.random.default_rng(0), 30, 26, 900_000)
NOBODY = 65534


@contextlib.contextmanager
def powerless() -> Iterator[None]:
    """As a user who may not read everything; root may."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="gemsnn-access-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(folder)


def write_all(folder: Path) -> dict[str, Callable[[], object]]:
    """A file of each kind, and what reads it."""
    (folder / "x.aedat").write_bytes(aedat2(EVENTS))
    np.savez(folder / "x.npz", images=np.zeros((3, 2, 2), np.uint8), labels=np.arange(3))
    shutil.copy(folder / "x.npz", folder / "x-images-idx3-ubyte")  # whatever it holds, it is not reached
    hdf5(folder / "x.h5", [(0, EVENTS), (1, EVENTS)], [(1, EVENTS)])
    dvs_zip(folder / "x.zip", [(0, 1), (0, 2)])
    return {
        "x.aedat": lambda: read_recording(folder / "x.aedat"),
        "x.npz": lambda: load_images(folder / "x.npz"),
        "x-images-idx3-ubyte": lambda: load_images(folder / "x-images-idx3-ubyte"),
        "x.h5": lambda: load_hdf5(folder / "x.h5"),
        "x.zip": lambda: load_mnist_dvs(folder / "x.zip"),
    }


def test_files_that_may_not_be_read(place):
    readers = write_all(place)
    for path in place.iterdir():
        path.chmod(0)
    with powerless():
        for name, read in readers.items():
            for wanted in (read, lambda name=name: describe(place / name)):
                with pytest.raises(InputError, match=f"{name}: it may not be read; check the permissions"):
                    wanted()
        with pytest.raises(InputError, match=r"x\.zip: it may not be read"):
            load_mnist_dvs(place)
        with pytest.raises(InputError, match="may not be read"):
            open_source(str(place / "x.aedat"))


def test_folders_that_may_not_be_listed_or_entered(place):
    dvs_folder(place / "dvs", [(0, 1), (0, 2), (1, 1), (1, 2)])
    nmnist_folder(place / "n", [(n % 2, n) for n in range(1, 9)])
    shutil.rmtree(place / "images", ignore_errors=True)
    (place / "images").mkdir()
    for path in (place / "dvs" / "grabbed_data1", place / "n" / "Train" / "1", place / "images"):
        path.chmod(0)
    with powerless():
        with pytest.raises(InputError, match="grabbed_data1: it may not be read"):
            find_mnist_dvs(place / "dvs")
        with pytest.raises(InputError, match=f"{Path('Train/1')}: it may not be read"):
            load_nmnist(place / "n")
        with pytest.raises(InputError, match="images: it may not be read"):
            read_images(place / "images")
        with pytest.raises(InputError, match="may not be read"):
            read_recording(place / "images" / "x.aedat")
    (place / "dvs" / ".trash").mkdir()
    for path in (place / "dvs" / "grabbed_data1", place / "dvs" / ".trash"):
        path.chmod(0o755 if path.name == "grabbed_data1" else 0)
    with powerless():  # hidden folders are nobody's recordings
        assert len(find_mnist_dvs(place / "dvs")) == 4


def test_an_hdf5_file_that_is_open_elsewhere(tmp_path):
    hdf5(tmp_path / "x.h5", [(0, EVENTS), (1, EVENTS)], [(1, EVENTS)])
    code = f"import h5py, sys; held = h5py.File({str(tmp_path / 'x.h5')!r}, 'a'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        for read in (load_hdf5, load_mnist_dvs, describe):
            with pytest.raises(
                InputError, match=r"x\.h5: another program has it open; close it there"
            ) as caught:
                read(tmp_path / "x.h5")
            assert "damaged" not in str(caught.value)
        holder.communicate()
    assert describe(tmp_path / "x.h5")["events"] == 90


@pytest.mark.parametrize("name", ["x.aedat", "x.npz", "x-images-idx3-ubyte", "x.h5", "x.zip", "x.bin"])
def test_empty_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        describe(tmp_path / name)
    if name in ("x.h5", "x.zip"):
        with pytest.raises(InputError, match="the file is empty"):
            load_mnist_dvs(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["x.aedat", "x.npz", "x-images-idx3-ubyte", "x.h5", "x.zip", "x.bin", "x.raw"]
)
def test_a_folder_where_a_file_is_wanted(tmp_path, name):
    (tmp_path / name).mkdir()
    for read in (describe, read_recording, load_hdf5, load_images, open_source):
        with pytest.raises(InputError, match="this is a folder or device, not a file"):
            read(tmp_path / name if read is not open_source else str(tmp_path / name))


def test_a_file_where_a_folder_is_wanted(tmp_path):
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(InputError, match="this is a file, not a folder"):
        load_nmnist(tmp_path / "x")
    with pytest.raises(InputError, match="no such file"):
        read_recording(tmp_path / "x" / "y.aedat")


def test_too_many_open_files(tmp_path):
    dvs_zip(tmp_path / "x.zip", [(0, 1), (0, 2)])
    hdf5(tmp_path / "x.h5", [(0, EVENTS), (1, EVENTS)], [(1, EVENTS)])
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for name in ("x.zip", "x.h5"):
            with pytest.raises(InputError, match="too many files are open"):
                load_mnist_dvs(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for number in held:
            os.close(number)


def test_a_zip_that_is_encrypted_is_not_called_damaged_only(tmp_path):
    dvs_zip(tmp_path / "x.zip", [(0, 1), (0, 2)])
    data = bytearray((tmp_path / "x.zip").read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 0
        while (start := data.find(magic, start)) >= 0:
            data[start + offset] |= 1  # the flag that says encrypted
            start += 4
    (tmp_path / "x.zip").write_bytes(data)
    assert zipfile.is_zipfile(tmp_path / "x.zip")
    with pytest.raises(InputError, match=r"encrypted.*pack it without encryption"):
        load_mnist_dvs(tmp_path / "x.zip")


def test_every_error_of_the_system_makes_a_sentence_that_does_not_speak_of_damage():
    for number in errno.errorcode:
        words = str(refusal("x", OSError(number, os.strerror(number)), "it is damaged"))
        assert words.startswith("x: ")
        assert ";" in words
        assert "damaged" not in words
    assert str(refusal("x", OSError("bad bytes"), "it is damaged")) == "x: it is damaged"


def test_a_circle_of_links(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for look in (found_at, first_bytes, listing):
        with pytest.raises(InputError, match="round in a circle"):
            look(tmp_path / "a")


# Names that are no text


ODD = os.fsdecode(b"od\xffd")


def test_names_that_are_no_text(tmp_path, capsys):
    """Everything is read, and what is said of it can be printed."""
    root = tmp_path / ODD
    try:
        root.mkdir()
    except OSError:
        pytest.skip("this system has no such names")
    nmnist_folder(root / "n", [(n % 2, n) for n in range(1, 21)])
    shutil.copy(root / "n" / "Train" / "1" / "00001.bin", root / "n" / "Train" / "1" / "00021.bin")
    dvs_folder(root / "dvs", [(0, 1), (0, 2), (1, 1), (1, 2)])
    shutil.copy(root / "dvs" / "grabbed_data0" / "scale4" / dvs_name(0, 1), root / dvs_name(0, 3))
    shutil.copy(root / dvs_name(0, 3), root / dvs_name(0, 4))
    hdf5(root / "x.h5", [(0, EVENTS), (1, EVENTS)], [(1, EVENTS)])
    dvs_zip(root / "x.zip", [(0, 1), (0, 2)])
    found = (load_nmnist(root / "n"), load_mnist_dvs(root), load_mnist_dvs(root / "x.h5"))
    for splits in (*found, load_mnist_dvs(root / "x.zip")):
        for note in splits.notes:
            note.encode()
    for read in (load_nmnist, load_mnist_dvs, load_hdf5, read_images, read_recording, describe):
        with pytest.raises(InputError) as caught:
            read(root / "nothing")
        str(caught.value).encode()
    (root / "bad.aedat").write_bytes(b"something")
    for name in ("x.h5", "x.zip", "bad.aedat"):
        main(["info", str(root / name)])
        printed = capsys.readouterr()
        (printed.out + printed.err).encode()
