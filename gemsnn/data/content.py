"""What files hold, by SHA-256, without reading those again that have not changed since.

The cache folder keeps, for each folder of data, the digests of its files beside their size and the times of their last
change, as version control does: that of their content, which programs may set as they like, and that of their entry,
which they may not. A file that changed no earlier than its digest was taken is read again: a second change within the
clock's resolution would leave no trace.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gemsnn.data import cache
from gemsnn.data.access import refusal
from gemsnn.machine import places
from gemsnn.types import AnyPath

SETTLED_NS = 2_000_000_000
"""How much older than its digest a change must be."""

BLOCK = 2**20

_Row = tuple[int, int, int, int, str]
"""Of a file: its bytes, the times of its last change, its number on the drive, and its digest."""


def digest_of_file(path: AnyPath) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    path, found = Path(path), hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                found.update(block)
    except OSError as error:
        raise refusal(path, error, "it cannot be read; check the drive") from error
    return found.hexdigest()


def digests(root: AnyPath, files: Iterable[AnyPath]) -> dict[Path, str]:
    """The SHA-256 of each of these files, which lie under a folder (or are it).

    Raises:
        InputError: one of them cannot be read.
    """
    root = Path(root)
    known = _known(root)
    found, fresh = {}, known.copy()
    for path in dict.fromkeys(map(Path, files)):
        try:
            state = path.stat()
        except OSError as error:
            raise refusal(path, error, "it cannot be read; check the drive") from error
        stamp = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        before = known.get(str(path))
        if before is not None and before[:4] == stamp:
            found[path] = before[4]
            continue
        taken = time.time_ns()
        found[path] = digest_of_file(path)
        if taken - max(state.st_mtime_ns, state.st_ctime_ns) >= SETTLED_NS:
            fresh[str(path)] = (*stamp, found[path])
    if fresh != known:
        _keep(root, fresh)
    return found


def size_of(files: Iterable[AnyPath]) -> int:
    """The bytes of files that are there."""
    return sum(path.stat().st_size for path in map(Path, files) if path.is_file())


def _place(root: Path) -> Path:
    name = hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:32]
    return places.cache_folder() / "files" / f"{name}.json"


def _known(root: Path) -> dict[str, _Row]:
    try:
        return msgspec.convert(json.loads(_place(root).read_bytes()), dict[str, _Row])
    except (OSError, ValueError, RecursionError):
        return {}


def _keep(root: Path, known: dict[str, _Row]) -> None:
    place = _place(root)
    if places.opened(places.cache_folder(), "files", tell=False) == place.parent:
        with contextlib.suppress(OSError):  # next time they are read again
            cache.write(place, json.dumps(known).encode())
