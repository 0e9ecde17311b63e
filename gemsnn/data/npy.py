"""Arrays in NumPy's files, ``.npy`` and members of ``.npz``: checked before memory is asked for, never unpickled."""

from __future__ import annotations

import lzma
import math
import warnings
import zipfile
import zlib
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from gemsnn.errors import InputError

EXPANSION = 1032
"""DEFLATE makes data at most this many times smaller, so larger claims are false."""

LARGEST_ARRAY = 2**30
"""Arrays of more bytes are refused: MNIST has 47 million."""

DAMAGED_ZIP = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError),
)
"""What opening a damaged zip or reading one of its members raises."""

_DAMAGED_HEADER = (ValueError, KeyError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError)


def packing(error: BaseException) -> str:
    """What to do about a zip after such an error."""
    if isinstance(error, NotImplementedError) or "password" in str(error):
        return "pack it without encryption and by the usual method, or unpack it"
    return "download it again"


def read_member(archive: zipfile.ZipFile, name: str, where: object, largest: int = LARGEST_ARRAY) -> NDArray:
    """The array ``name`` of an archive.

    Raises:
        InputError: see :func:`check_header`.
    """
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as file:
        at_most = min(entry.file_size, entry.compress_size * EXPANSION)
        check_header(file, f"the array '{name}'", at_most, where, largest)
    with archive.open(entry) as file:
        return read_array(file)


def read_array(file: IO[bytes]) -> NDArray:
    """An array whose header was checked; of one that Python 2 or an old NumPy wrote nothing is said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return npy.read_array(file, allow_pickle=False)


def check_header(
    file: IO[bytes], what: str, at_most: int, where: object, largest: int = LARGEST_ARRAY,
    wanted: tuple[int, ...] | None = None,
) -> tuple[tuple[int, ...], np.dtype]:  # fmt: skip
    """Read an array's header, and refuse one that promises more than there is.

    Args:
        file: at the array's beginning.
        what: the array, for messages.
        at_most: bytes that may follow.
        where: the file, for messages.
        largest: bytes of an array that is still read.
        wanted: the only shape that is read; by default any.

    Returns:
        Its shape and type.

    Raises:
        InputError: the header is damaged, has another shape, holds Python objects, or announces more than there is or
            than is read.
    """
    try:
        version = npy.read_magic(file)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, _, dtype = read_header(file)
    except _DAMAGED_HEADER as error:
        raise InputError(f"{where}: {what} has a damaged header") from error
    if min(shape, default=0) < 0:
        raise InputError(f"{where}: {what} has the impossible shape {shape}")
    if dtype.hasobject:
        raise InputError(f"{where}: {what} holds Python objects; save plain numbers")
    if wanted is not None and shape != wanted:
        raise InputError(f"{where}: {what} must have the shape {list(wanted)}, not {list(shape)}")
    afford(shape, dtype.itemsize, at_most, where, largest)
    return shape, dtype


def afford(
    shape: tuple[int, ...], itemsize: int, at_most: int, where: object, largest: int = LARGEST_ARRAY
) -> int:
    """The bytes of an array; one that its file cannot hold, or too large, is refused before memory is asked for."""
    promised = math.prod(shape) * itemsize
    if promised > at_most:
        raise InputError(
            f"{where}: the header announces {promised} bytes of data but the file holds at most {at_most}"
        )
    claimed = math.prod(max(length, 1) for length in shape) * max(itemsize, 1)  # sides of 0 hide no others
    if claimed > largest:
        raise InputError(
            f"{where}: an array of the shape {list(shape)} is too large, {largest} bytes are the limit; give less data"
        )
    return promised
