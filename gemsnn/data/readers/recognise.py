"""What kind of file this is, by what it holds and never by its name."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np

from gemsnn.data.access import first_bytes, refusal
from gemsnn.data.npy import DAMAGED_ZIP
from gemsnn.data.readers import nmnist, text_head
from gemsnn.types import AnyPath

Kind = Literal[
    "AEDAT",
    "AEDAT 4",
    "EVT",
    "DAT",
    "ES",
    "N-MNIST",
    "N-Caltech101",
    "npy",
    "npz",
    "zip",
    "HDF5",
    "text",
    "IDX",
]
"""The kinds of files that events and images come in; ``AEDAT`` is any version but 4."""

LARGEST_FILE = 2**31
"""Files of one recording above this many bytes are refused: they would not fit a common machine's memory."""

START = 2**12
"""Bytes at a file's beginning that tell its kind."""

LEAST = 100
"""So many steps of time, nearly all ahead, tell a file of 5 bytes an event from others."""

MAGIC_AEDAT, MAGIC_AEDAT4 = b"#!AER-DAT", b"#!AER-DAT4"
MAGIC_HDF5 = b"\x89HDF\r\n\x1a\n"
MAGIC_ZIP = b"PK\x03\x04"
MAGIC_NPY = b"\x93NUMPY"
MAGIC_ES = b"Event Stream"
MAGIC_IDX_IMAGES = b"\x00\x00\x08\x03"

_MAGIC: dict[bytes, Kind] = {
    MAGIC_AEDAT4: "AEDAT 4",
    MAGIC_AEDAT: "AEDAT",
    MAGIC_HDF5: "HDF5",
    MAGIC_NPY: "npy",
    MAGIC_ES: "ES",
    MAGIC_IDX_IMAGES: "IDX",
}
_OTHERS = {
    b"\x1f\x8b": "a gzip file; unpack it first (gunzip)",
    b"BZh": "a bzip2 file; unpack it first (bunzip2)",
    b"\xfd7zXZ": "an xz file; unpack it first (unxz)",
    b"\x28\xb5\x2f\xfd": "a zstd file; unpack it first (unzstd)",
    b"7z\xbc\xaf": "a 7z archive; unpack it first",
    b"Rar!": "a rar archive; unpack it first",
    b"#ROSBAG": "a ROS bag; save its events as columns t, x, y, p first (NumPy, HDF5 or CSV)",
    b"MATLAB 5.0": "a MATLAB file; save its events as columns t, x, y, p first (HDF5 or CSV)",
    b"\x80\x03": "a pickle; save its events with numpy.save first, for a pickle can run any program",
    b"\x80\x04": "a pickle; save its events with numpy.save first, for a pickle can run any program",
    b"\x80\x05": "a pickle; save its events with numpy.save first, for a pickle can run any program",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"%PDF": "a PDF file",
}
_EVT = re.compile(rb"^% *(evt +[\d.]+|format +EVT)", re.MULTILINE | re.IGNORECASE)
_DAT = re.compile(rb"^% *(version +\d|data file containing)", re.MULTILINE | re.IGNORECASE)


def kind_of(path: AnyPath) -> Kind | None:
    """The kind of a file, ``None`` if it is of none of them.

    Raises:
        InputError: the file is missing, empty or cannot be read.
    """
    path = Path(path)
    start = first_bytes(path, START)
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    if start.startswith(MAGIC_ZIP):
        return _kind_of_zip(path)
    header = start[: header_length(start)]
    if _EVT.search(header):
        return "EVT"
    if _DAT.search(header) and not text_head.is_text(start[len(header) :]):
        return "DAT"
    if text_head.is_text(start):
        return "text" if text_head.is_table(start) else None
    return _five_bytes(path, start)


def other_kind(path: AnyPath) -> str | None:
    """What a file of no known kind is in a few words, and what to do with it, if that is known."""
    start = first_bytes(path)
    if start.startswith(MAGIC_ZIP) and _kind_of_zip(Path(path)) == "zip":
        return "a zip file; unpack it first"
    return next((what for magic, what in _OTHERS.items() if start.startswith(magic)), None)


def header_length(start: bytes) -> int:
    """The bytes of the lines at the top that begin with ``%``, up to a line ``% end`` if there is one."""
    at = 0
    while start[at : at + 1] == b"%":
        end = start.find(b"\n", at)
        if end < 0:
            return len(start)
        last = start[at:end].strip(b"% \r") == b"end"
        at = end + 1
        if last:
            break
    return at


def _kind_of_zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGED_ZIP as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise refusal(path, error, "") from error
        return "npz" if path.suffix.lower() == ".npz" else "zip"  # damaged: the name tells how it is refused
    return "npz" if names and all(name.endswith(".npy") for name in names) else "zip"


def _five_bytes(path: Path, start: bytes) -> Kind | None:
    """N-MNIST or N-Caltech101, by the structure of their bytes; of one event alone only the name can tell."""
    size = path.stat().st_size
    if size % 5 or size > LARGEST_FILE:
        return None
    raw = np.frombuffer(start[: len(start) // 5 * 5], np.uint8).reshape(-1, 5).astype(np.int64)
    step = np.diff((raw[:, 2] & 0x7F) << 16 | raw[:, 3] << 8 | raw[:, 4])
    rising = ((step >= 0) | (step < -nmnist.WRAP_US // 2)).mean() if len(step) else 0.0
    outside = (raw[:, :2] >= nmnist.SIDE).any(axis=1).mean()
    if not outside and raw.any() and (rising >= 0.5 or (not len(step) and path.suffix.lower() == ".bin")):
        return "N-MNIST"
    # some bytes outside its pixels are damage, many another sensor
    return "N-Caltech101" if len(step) >= LEAST and rising >= 0.99 and outside >= 0.1 else None
