"""Arrays from .npz files nobody vouches for: nothing is unpickled, and no header is believed before it is checked."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from gemsnn.data.access import first_bytes, refusal
from gemsnn.data.npy import DAMAGED_ZIP, EXPANSION, check_header, packing
from gemsnn.errors import InputError
from gemsnn.types import AnyPath


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
        check_header(file, f"the array '{name}'", at_most, path, wanted=wanted)
    with opened() as file:
        return npy.read_array(file, allow_pickle=False)


def read_member(
    archive: zipfile.ZipFile, member: str, path: AnyPath, wanted: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """The array of a member of a zip; see :func:`read_npy`."""
    entry = archive.getinfo(member)
    at_most = min(entry.file_size, entry.compress_size * EXPANSION)
    return read_npy(lambda: archive.open(entry), at_most, member.removesuffix(".npy"), path, wanted)
