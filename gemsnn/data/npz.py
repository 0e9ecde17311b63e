"""Arrays from .npz files nobody vouches for: nothing is unpickled, and no header is believed before it is checked."""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from gemsnn.data.access import first_bytes, refusal
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

DAMAGED_ZIP = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError),
)
"""What opening a damaged zip or reading one of its members raises."""

EXPANSION = 1032
"""DEFLATE makes data at most this many times smaller, so larger claims are false."""

LARGEST_ARRAY = 2**30
"""Arrays of more bytes are refused: MNIST has 47 million."""


def read_npz(path: AnyPath, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """These arrays of a file, in this order; others that it holds are left unread.

    Raises:
        InputError: the file is missing, damaged, or announces more data than it can hold; an array is missing, too
            large, or holds Python objects.
    """
    path = Path(path)
    first_bytes(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            if any(f"{name}.npy" not in members for name in names):
                wanted = " and ".join(filter(None, (", ".join(map(repr, names[:-1])), repr(names[-1]))))
                held = ", ".join(name.removesuffix(".npy") for name in members) or "none"
                raise InputError(f"{path}: needs the arrays {wanted}, but holds {held}")
            return {name: read_member(archive, f"{name}.npy", path) for name in names}
    except DAMAGED_ZIP as error:
        damage = f"the file is damaged and cannot be read as .npz ({error}); {packing(error)}"
        raise refusal(path, error, damage) from error


def packing(error: BaseException) -> str:
    """What to do about a zip after such an error."""
    if isinstance(error, NotImplementedError) or "password" in str(error):
        return "pack it without encryption and by the usual method, or unpack it"
    return "download it again"


def afford(shape: tuple[int, ...], itemsize: int, at_most: int, path: AnyPath) -> int:
    """The bytes of an array; one that its file cannot hold, or too large, is refused before memory is asked for."""
    promised = math.prod(shape) * itemsize
    if promised > at_most:
        raise InputError(
            f"{path}: the header announces {promised} bytes of data but the file holds at most {at_most}"
        )
    claimed = math.prod(max(length, 1) for length in shape) * max(itemsize, 1)  # sides of 0 hide no others
    if claimed > LARGEST_ARRAY:
        raise InputError(
            f"{path}: an array of the shape {list(shape)} is too large, {LARGEST_ARRAY} bytes are the limit; give "
            "less of it"
        )
    return promised


def read_npy(
    opened: Callable[[], IO[bytes]],
    at_most: int,
    name: str,
    path: AnyPath,
    wanted: tuple[int, ...] | None = None,
) -> NDArray[Any]:
    """One array, after checking that its header does not promise more than there is.

    Args:
        opened: opens what holds the array.
        at_most: the bytes that it can hold.
        name: of the array, for messages.
        path: of the file, for messages.
        wanted: the only shape that is read; by default any.

    Raises:
        InputError: see :func:`read_npz`, or it has another shape.
    """
    with opened() as file:
        try:
            version = npy.read_magic(file)
            read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
            shape, _, dtype = read_header(file)
        except (
            ValueError,
            KeyError,
            TypeError,
            SyntaxError,
            TokenError,
            RecursionError,
            MemoryError,
        ) as error:
            raise InputError(f"{path}: the array '{name}' has a damaged header") from error
        if min(shape, default=0) < 0:
            raise InputError(f"{path}: the array '{name}' has the impossible shape {shape}")
        if dtype.hasobject:
            raise InputError(f"{path}: the array '{name}' holds Python objects; save plain numbers")
        if wanted is not None and shape != wanted:
            raise InputError(
                f"{path}: the array '{name}' must have the shape {list(wanted)}, not {list(shape)}"
            )
        afford(shape, dtype.itemsize, at_most, path)
    with opened() as file:
        return npy.read_array(file, allow_pickle=False)


def read_member(
    archive: zipfile.ZipFile, member: str, path: AnyPath, wanted: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """The array of a member of a zip; see :func:`read_npy`."""
    entry = archive.getinfo(member)
    at_most = min(entry.file_size, entry.compress_size * EXPANSION)
    return read_npy(lambda: archive.open(entry), at_most, member.removesuffix(".npy"), path, wanted)
