"""A file on disk to its bytes, and to a recording."""

from __future__ import annotations

from pathlib import Path

from gemsnn.data.access import first_bytes, refusal
from gemsnn.data.events import Recording
from gemsnn.data.readers.aedat2 import read_aedat2
from gemsnn.data.readers.nmnist import read_nmnist
from gemsnn.errors import InputError

LARGEST_FILE = 2**31
"""Files of one recording above this many bytes are refused: they would not fit a common machine's memory."""

MAGIC_AEDAT = b"#!AER-DAT"
MAGIC_HDF5 = b"\x89HDF\r\n\x1a\n"
MAGIC_ZIP = b"PK\x03\x04"


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of one recording.

    Raises:
        InputError: as :func:`~gemsnn.data.access.first_bytes`, or the file is larger than :data:`LARGEST_FILE`.
    """
    first_bytes(path)
    try:
        size = path.stat().st_size
        if size <= LARGEST_FILE:
            return path.read_bytes()
    except OSError as error:
        raise refusal(path, error, "it cannot be read; check the drive") from error
    raise InputError(f"{path}: {size} bytes are too many for one recording; cut it into shorter ones")


def read_recording(path: str | Path) -> Recording:
    """Read an event file: AEDAT 2.0 (known by its first line or by ``.aedat``) or N-MNIST (``.bin``).

    Raises:
        InputError: missing, empty or damaged file, or another format.
    """
    path = Path(path)
    start = first_bytes(path)
    suffix = path.suffix.lower()
    if start.startswith(MAGIC_AEDAT) or suffix == ".aedat":
        return read_aedat2(read_bytes(path), str(path))
    if suffix == ".bin":
        return read_nmnist(read_bytes(path), str(path))
    raise InputError(f"{path}: this is no event file known here; give AEDAT 2.0 (.aedat) or N-MNIST (.bin)")
