"""The way to files: what lies at a path, and the one place that turns an error of the system into a sentence.

Only errors without a number come from what a file holds (a decoder raised them); all others come from the way to it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from gemsnn.errors import InputError
from gemsnn.types import AnyPath

_FORBIDDEN = "it may not be read; check the permissions of it and of the folders above it"
_TOO_MANY = "too many files are open; close other programs, or raise the limit with ulimit -n"
_HELD = "another program has it open; close it there, or give a copy"
_DRIVE = "the drive or the network cannot deliver it; check them and try again"
_LOCKLESS = "the drive it lies on cannot lock files; copy it to another drive"
_REASONS = {
    errno.ENOENT: "there is no such file or folder; check the path",
    errno.ENOTDIR: "a file stands where the path has a folder; check the path",
    errno.EISDIR: "this is a folder or device, not a file; give the path of one file",
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EMFILE: _TOO_MANY,
    errno.ENFILE: _TOO_MANY,
    errno.EAGAIN: _HELD,
    errno.EBUSY: _HELD,
    errno.ELOOP: "its links lead round in a circle; check the path",
    errno.ENAMETOOLONG: "the path is too long; give a shorter one",
    errno.EIO: _DRIVE,
    errno.ENXIO: _DRIVE,
    errno.ENODEV: _DRIVE,
    errno.ESTALE: _DRIVE,
    errno.ETIMEDOUT: _DRIVE,
    errno.ENOLCK: _LOCKLESS,
    errno.ENOTSUP: _LOCKLESS,
    errno.ENOMEM: "there is not enough memory for it; end other programs",
}
_SYSTEM = ("lost+found", "System Volume Information")


def refusal(where: object, error: BaseException, damage: str) -> InputError:
    """What to tell a user after an error that reading has raised.

    Args:
        where: the file, for the message.
        error: what was raised.
        damage: what to say where the error comes from what the file holds.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in _REASONS:
        return InputError(f"{where}: {_REASONS[number]}")
    if number is not None:
        return InputError(
            f"{where}: it cannot be read ({os.strerror(number)}); check the drive and try again"
        )
    return InputError(f"{where}: {damage}")


def found_at(path: AnyPath) -> Literal["file", "folder", "device"] | None:
    """What is at a path; nothing if nothing is.

    Raises:
        InputError: that cannot be known, for example since a folder above may not be entered.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise refusal(path, error, "") from error
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "device"


def first_bytes(path: AnyPath, count: int = 16) -> bytes:
    """The first bytes of a file, to tell its format.

    Raises:
        InputError: there is no such file, it is a folder, it is empty, or it cannot be read.
    """
    path = Path(path)
    found = found_at(path)
    if found is None:
        raise InputError(f"{path}: there is no such file; check the path")
    if found != "file":
        raise refusal(path, IsADirectoryError(errno.EISDIR, ""), "")
    try:
        with path.open("rb") as file:
            start = file.read(count)
    except OSError as error:
        raise refusal(path, error, "it cannot be read; check the drive") from error
    if not start:
        raise InputError(f"{path}: the file is empty; copy or download it again")
    return start


def listing(folder: AnyPath) -> list[Path]:
    """What a folder holds, in order.

    Raises:
        InputError: it cannot be listed.
    """
    folder = Path(folder)
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise refusal(folder, error, "") from error


def walk(root: AnyPath) -> Iterator[tuple[Path, str]]:
    """The files under a folder, each as its folder and its name, through links too, but never round in a circle.

    They come one by one while folders are read, so that a folder of a million takes no memory.

    Raises:
        InputError: a folder cannot be listed, so that what lies in it would be left out in silence (but for hidden
            folders and those of the system).
    """
    seen: set[str] = set()
    coming = [Path(root)]
    while coming:
        folder, below = coming.pop(), []
        if (real := os.path.realpath(folder)) in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if _is_folder(entry):
                        below.append(folder / entry.name)
                    else:
                        yield folder, entry.name
        except OSError as error:
            if not folder.name.startswith(".") and folder.name not in _SYSTEM:
                raise refusal(folder, error, "") from error
        coming += reversed(below)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that cannot be followed
        return False
