"""A folder on a disk that loses power: what of it would be there afterwards.

What a program has written is only sure to last once it was synced: a file's content by ``fsync`` of the file, its name
by ``fsync`` of the folder that holds it. :class:`Disk` keeps account of both while a program runs, and can make the
folder as it may look if the power goes now.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Disk:
    """Keeps account of everything under ``root``; ``before`` is called before each step that changes what lasts."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, before: Callable[[], None]) -> None:
        self.root, self.before = root, before
        self._last = 0
        self._numbers: dict[int, int] = {}  # an inode's number is used again once its file has gone
        self._content: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._folders: set[int] = set()
        fsync, replace, unlink = os.fsync, Path.replace, Path.unlink

        def synced(descriptor: int) -> None:
            self.before()
            fsync(descriptor)
            found = os.fstat(descriptor)
            file = self._number(found)
            if stat.S_ISDIR(found.st_mode):
                self._names[file] = {
                    entry.name: self._number(entry.stat()) for entry in os.scandir(descriptor)
                }
            else:
                self._content[file] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

        def replaced(path: Path, target: str | Path) -> Path:
            self.before()
            self._forget(Path(target))
            return replace(path, target)

        def unlinked(path: Path, missing_ok: bool = False) -> None:
            self.before()
            self._forget(path)
            unlink(path, missing_ok=missing_ok)

        patch.setattr(os, "fsync", synced)
        patch.setattr(Path, "replace", replaced)
        patch.setattr(Path, "unlink", unlinked)

    def images(self, into: Path) -> Iterator[tuple[str, Path]]:
        """The folder as it may look if the power goes now: all was lost that may be; only contents; nothing."""
        for kind in ("names and contents", "contents", "nothing"):
            target = into / kind.replace(" ", "-")
            target.mkdir(parents=True)
            self._copy(self.root, target, kind)
            yield f"{kind} lost", target

    def _copy(self, source: Path, target: Path, kind: str) -> None:
        now = {entry.name: self._number(entry.stat()) for entry in os.scandir(source)}
        names = now if kind != "names and contents" else self._names.get(self._number(source.stat()), {})
        where = {self._number(entry.stat()): Path(entry.path) for entry in os.scandir(source)}
        for name, file in names.items():
            if file in self._folders:
                (target / name).mkdir()
                if file in where:
                    self._copy(where[file], target / name, kind)
            elif kind == "nothing":
                (target / name).write_bytes(where[file].read_bytes())
            else:
                (target / name).write_bytes(self._content.get(file, b""))

    def _number(self, found: os.stat_result) -> int:
        number = self._numbers.get(found.st_ino)
        if number is None:
            self._last += 1
            number = self._numbers[found.st_ino] = self._last
        if stat.S_ISDIR(found.st_mode):
            self._folders.add(number)
        return number

    def _forget(self, path: Path) -> None:
        if path.exists():
            self._numbers.pop(path.stat().st_ino, None)
