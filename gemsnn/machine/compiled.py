"""Compiled functions, kept on disk in a folder that is named by all that they are made of.

numba by itself keeps a function's machine code beside its source, and makes it anew when that file changes. It does
not notice a change in another file whose function is called and has become part of the code, ends in an error where
it finds no place to write, and in another where a file is damaged. Here the folder's name is a hash of all sources
and versions, another place is taken where the usual one does not serve, and what is damaged is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import platform
import shutil
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import caching, config, serialize

from gemsnn.errors import InputError
from gemsnn.machine import places

SOURCES = ("machine/compiled.py", "rng.py", "data/emulator.py", "kernels")
"""Files and folders of this package with all the code that is compiled, and all constants that it holds."""

UNUSED_DAYS = 30
"""After so many days in which no process began with it, a folder of other sources is removed."""

if getattr(config, "DISABLE_JIT", 0):
    raise InputError(
        "NUMBA_DISABLE_JIT is set, but gemsnn's kernels run as compiled code only; unset it (to follow the "
        "equations in Python, read gemsnn/kernels/reference.py)"
    )


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` with these options; what it compiles is kept (see above)."""

    def decorate(function: Callable[..., Any]) -> Any:
        made: Any = numba.njit(**options)(function)
        if folder() is not None:
            made._cache = _Kept(function)  # as its enable_caching does with numba's own
        return made

    return decorate


@cache
def folder() -> Path | None:
    """Where this process keeps compiled code; ``None`` if nowhere, which standard error is told, once."""
    own = os.environ.get("NUMBA_CACHE_DIR")
    usual, below = (Path(own), "gemsnn") if own else (places.cache_folder(), "compiled")
    found = places.opened(usual, below, fingerprint())
    if found is not None:
        with contextlib.suppress(OSError):
            os.utime(found)
        _remove_unused(found)
    return found


@cache
def fingerprint() -> str:
    """A hash of the sources, and of the versions of Python and of the compilers; numba looks at the processor."""
    root, found = Path(__file__).parents[1], hashlib.sha256()
    for source in SOURCES:
        for path in sorted((root / source).rglob("*.py")) if (root / source).is_dir() else [root / source]:
            found.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    found.update(f"{numba.__version__} {llvmlite.__version__} {sys.version} {platform.machine()}".encode())
    return found.hexdigest()[:24]


def _remove_unused(used: Path) -> None:
    """Remove the folders of other sources that have not been used for long; a process that still does makes anew."""
    with contextlib.suppress(OSError):
        for other in used.parent.iterdir():
            if other != used and other.stat().st_mtime < time.time() - UNUSED_DAYS * 86400:
                shutil.rmtree(other, ignore_errors=True)


class _Place:
    """What numba asks of a place for a function's compiled forms: here the folder of this process."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._py_file, self._line = file, function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Place:
        return cls(function, file)

    def ensure_cache_path(self) -> None:
        Path(self.get_cache_path()).mkdir(parents=True, exist_ok=True, mode=0o700)

    def get_cache_path(self) -> str:
        return str(folder())

    def get_source_stamp(self) -> str:
        return fingerprint()

    def get_disambiguator(self) -> str:
        """To tell functions of one name in one file apart."""
        return str(self._line)


class _Content(caching.CompileResultCacheImpl):
    """Compiled code with a checksum, since code that is damaged ends a process."""

    _locator_classes = [_Place]  # noqa: RUF012 (numba's name and type)

    def reduce(self, cres: Any) -> tuple[bytes, bytes]:
        data = serialize.dumps(super().reduce(cres))
        return hashlib.sha256(data).digest(), data

    def rebuild(self, target_context: Any, payload: tuple[bytes, bytes]) -> Any:
        digest, data = payload
        if hashlib.sha256(data).digest() != digest:
            raise ValueError("the checksum is another")
        return super().rebuild(target_context, pickle.loads(data))


class _Kept(caching.Cache):
    """The compiled forms of a function, as far as they are on disk and sound."""

    _impl_class = _Content

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged pickle may raise anything: whatever it is, the code is compiled again
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        # a full disk: it runs all the same, and is compiled again next time
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)
