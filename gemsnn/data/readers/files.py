"""A file on disk to its bytes, and to a recording."""

from __future__ import annotations

from pathlib import Path

from gemsnn.data.access import first_bytes, refusal
from gemsnn.data.events import Recording
from gemsnn.data.readers import hdf5_layouts, numpy_files, text_files, units
from gemsnn.data.readers.aedat2 import read_aedat2
from gemsnn.data.readers.decoded import Decoded, whole
from gemsnn.data.readers.faery_files import open_faery
from gemsnn.data.readers.nmnist import read_nmnist
from gemsnn.data.readers.prophesee import open_dat, open_evt
from gemsnn.data.readers.recognise import LARGEST_FILE, MAGIC_HDF5, MAGIC_ZIP, Kind, kind_of, other_kind
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

__all__ = ["LARGEST_FILE", "MAGIC_HDF5", "MAGIC_ZIP", "read_bytes", "read_recording"]

IN_PIECES: tuple[Kind, ...] = ("AEDAT 4", "EVT", "DAT", "ES")
"""Kinds of files that can be decoded a piece at a time, in their own microseconds."""

IN_ANY_UNIT: tuple[Kind, ...] = ("npy", "npz", "HDF5", "text")
"""Kinds of files whose times may count in any unit."""

KNOWN = "AEDAT 2 or 4, EVT, DAT, ES, N-MNIST, NumPy, HDF5 or text"
"""The kinds of event files, for messages."""


def read_bytes(path: AnyPath) -> bytes:
    """The bytes of a file of one recording.

    Raises:
        InputError: as :func:`~gemsnn.data.access.first_bytes`, or the file is larger than :data:`LARGEST_FILE`.
    """
    path = Path(path)
    first_bytes(path)
    try:
        size = path.stat().st_size
        if size <= LARGEST_FILE:
            return path.read_bytes()
    except OSError as error:
        raise refusal(path, error, "it cannot be read; check the drive") from error
    raise InputError(f"{path}: {size} bytes are too many for one recording; cut it into shorter ones")


def open_decoded(path: AnyPath, kind: Kind) -> Decoded:
    """Open a file of one of the kinds of :data:`IN_PIECES`.

    Raises:
        InputError: it is damaged, of another version, or needs a library that is not installed.
    """
    path = Path(path)
    if kind == "EVT":
        return open_evt(path)
    if kind == "DAT":
        return open_dat(path)
    return open_faery(path, "ES" if kind == "ES" else "AEDAT 4")


def read_recording(path: AnyPath, *, time_unit: TimeUnit | None = None) -> Recording:
    """Read an event file of any kind, decided by what it holds; its name plays no part.

    AEDAT 2.0 and 4, EVT 2, 2.1 and 3, DAT, ES, N-MNIST, NumPy (``.npy``, ``.npz``), HDF5 and text (CSV). Time is
    counted from the first event, but where the format has a clock of its own (N-MNIST); what the file does not tell is
    inferred or assumed, which the recording's ``notes`` say.

    Args:
        path: the file.
        time_unit: of the times of NumPy, HDF5 and text files, which may be any. By default the file's names tell it, or
            the numbers where they leave one choice (:mod:`gemsnn.data.readers.units` has the rule). Other formats
            define it.

    Raises:
        InputError: missing, empty or damaged file, another format, or what must be known cannot be told.
    """
    path = Path(path)
    units.check(time_unit, path)
    kind = kind_of(path)
    if kind == "npy":
        return numpy_files.read_npy(path, time_unit)
    if kind == "npz":
        return numpy_files.read_npz(path, time_unit)
    if kind == "HDF5":
        return hdf5_layouts.read_hdf5(path, time_unit)
    if kind == "text":
        return text_files.read_text(path, time_unit)
    if time_unit not in (None, "us") and kind not in (None, "zip", "IDX"):
        raise InputError(f"{path}: {kind} files count microseconds, not {time_unit}; leave time_unit out")
    if kind in IN_PIECES:
        return whole(open_decoded(path, kind), path)
    if kind == "AEDAT" or (kind is None and path.suffix.lower() == ".aedat"):
        return read_aedat2(read_bytes(path), str(path))
    if kind == "N-MNIST" or (kind is None and path.suffix.lower() == ".bin"):
        return read_nmnist(read_bytes(path), str(path))
    if kind == "N-Caltech101":
        return read_nmnist(read_bytes(path), str(path), caltech=True)
    if kind == "zip":
        raise InputError(
            f"{path}: this is a zip file, not one recording; unpack it and give a file or folder of it"
        )
    if kind == "IDX":
        raise InputError(f"{path}: this file holds images, not events; train with --data images")
    if (what := other_kind(path)) is not None:
        raise InputError(f"{path}: this is {what}")
    raise InputError(f"{path}: this is no event file known here; give one of {KNOWN}")
