"""Files written as a whole, and folders held by one process."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from gemsnn.errors import InputError
from gemsnn.store import parsing
from gemsnn.types import AnyPath

LOCK = ".lock"
"""The file by which a folder is held."""


def atomic_write(path: AnyPath, content: bytes | str) -> None:
    """Replace a file's content as a whole: written beside it, synced, renamed over it, and the folder synced."""
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: AnyPath) -> None:
    """Make renames in a folder last through a loss of power, where the system can do that."""
    path = Path(path)
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_folder(path: AnyPath) -> None:
    """Make a folder, and those above it, so that they outlast a loss of power."""
    path = Path(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


@contextlib.contextmanager
def locked(folder: AnyPath) -> Iterator[None]:
    """Hold a folder for writing; the system lets go of it when the process ends, however it ends.

    Raises:
        InputError: another process holds it.
    """
    folder = Path(folder)
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise InputError(f"{folder} is in use by another process; wait for it or stop it") from None
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror}); choose another or free it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def read_json(path: AnyPath) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        InputError: it is missing or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} is missing; the run may have been stopped before it was written")
    return parsing.conform(parsing.parse_json(parsing.read_text(path), str(path)), dict[str, Any], str(path))
