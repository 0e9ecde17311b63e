"""A file on disk to its bytes, and to a recording."""

from __future__ import annotations

from pathlib import Path

from gemsnn.data.events import Recording
from gemsnn.data.readers.aedat2 import read_aedat2
from gemsnn.data.readers.nmnist import read_nmnist
from gemsnn.errors import InputError

LARGEST_FILE = 2**31
"""Files of one recording above this many bytes are refused: they would not fit a common machine's memory."""

MAGIC_AEDAT = b"#!AER-DAT"
MAGIC_HDF5 = b"\x89HDF\r\n\x1a\n"
MAGIC_ZIP = b"PK\x03\x04"


def first_bytes(path: Path, count: int = 16) -> bytes:
    """The first bytes of a file, to tell its format.

    Raises:
        InputError: there is no such file, it is a folder, or it cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file; check the path")
    if not path.is_file():
        raise InputError(f"{path}: this is a folder or device, not a file; give the path of one file")
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise InputError(
            f"{path}: the file cannot be read ({error.strerror}); check its permissions"
        ) from error


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of one recording.

    Raises:
        InputError: as :func:`first_bytes`, or the file is larger than :data:`LARGEST_FILE`.
    """
    first_bytes(path)
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise InputError(f"{path}: {size} bytes are too many for one recording; cut it into shorter ones")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror}); copy it again") from error


def read_recording(path: str | Path) -> Recording:
    """Read an event file: AEDAT 2.0 (known by its first line or by ``.aedat``) or N-MNIST (``.bin``).

    Raises:
        InputError: missing, empty or damaged file, or another format.
    """
    path = Path(path)
    start = first_bytes(path)
    if not start:
        raise InputError(f"{path}: the file is empty; copy or download it again")
    suffix = path.suffix.lower()
    if start.startswith(MAGIC_AEDAT) or suffix == ".aedat":
        return read_aedat2(read_bytes(path), str(path))
    if suffix == ".bin":
        return read_nmnist(read_bytes(path), str(path))
    raise InputError(f"{path}: this is no event file known here; give AEDAT 2.0 (.aedat) or N-MNIST (.bin)")
