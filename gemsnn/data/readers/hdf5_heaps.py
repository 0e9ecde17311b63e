"""The heaps of an HDF5 file, in which texts and arrays of various lengths lie, checked before the library trusts them.

A heap is the letters ``GCOL``, a version and its size, then objects: a number, a count, four bytes and a size of 8
bytes, then so many bytes, filled up to a multiple of 8; number 0 is the free space at the end (HDF5 File Format
Specification, III.E). Where such a space claims to have no size, the library looks at it for ever.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from gemsnn.data.access import refusal
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

_HEAP = b"GCOL\x01\0\0\0"
_HEAD = 16
"""Bytes before the first object, and of an object's own head."""


def check_heaps(path: AnyPath) -> None:
    """Refuse a file with a heap whose sizes do not fit one another.

    Raises:
        InputError: it has one, or cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = -1
            while (at := data.find(_HEAP, at + 1)) >= 0:
                if not _sound(data, at):
                    raise InputError(
                        f"{path}: this HDF5 file is damaged: a heap at byte {at} is; copy it again"
                    )
    except OSError as error:
        raise refusal(path, error, "it cannot be read; check the drive") from error


def _sound(data: mmap.mmap, start: int) -> bool:
    if start + _HEAD > len(data):
        return False
    (size,) = struct.unpack_from("<Q", data, start + 8)
    end, at = start + size, start + _HEAD
    if not _HEAD <= size <= len(data) - start:
        return False
    while at + _HEAD <= end:
        number, _, _, length = struct.unpack_from("<HHIQ", data, at)
        step = length if number == 0 else _HEAD + (length + 7) // 8 * 8
        if step < _HEAD or at + step > end:
            return False
        at += step
    return True
