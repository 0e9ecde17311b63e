"""Where files of the user's lie that nobody asked for."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gemsnn.types import AnyPath


def cache_folder() -> Path:
    r"""Where cached data and compiled code lie.

    ``$GEMSNN_CACHE`` if set; else ``$XDG_CACHE_HOME/gemsnn``; else the system's usual place
    (``~/.cache/gemsnn``, ``~/Library/Caches/gemsnn`` on macOS, ``%LOCALAPPDATA%\gemsnn\cache`` on Windows); for a
    user without a home, :func:`temporary_folder`.
    """
    try:
        if own := os.environ.get("GEMSNN_CACHE"):
            return Path(own).expanduser()
        if xdg := os.environ.get("XDG_CACHE_HOME"):
            return Path(xdg).expanduser() / "gemsnn"
        home = Path.home()
    except RuntimeError:
        return temporary_folder()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "gemsnn" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "gemsnn"
    return home / ".cache" / "gemsnn"


def temporary_folder() -> Path:
    """A place among temporary files, by the user's number where the system has such."""
    number = os.getuid() if hasattr(os, "getuid") else ""
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:  # none can be written, which :func:`opened` finds out too
        folder = f"{os.sep}tmp"
    return Path(folder) / f"gemsnn-{number}"


def opened(usual: AnyPath, *below: str, tell: bool = True) -> Path | None:
    """A folder that can be written, made if it is missing.

    Args:
        usual: where it shall lie; where that cannot be written, it lies in :func:`temporary_folder`.
        below: folders below.
        tell: whether standard error is told, once, when it lies elsewhere or nowhere.

    Returns:
        The folder, ``None`` if there is no place.
    """
    usual, temporary, reasons = Path(usual), temporary_folder(), []
    for place in dict.fromkeys((usual, temporary)):
        try:
            found = _made(place, *below, private=place == temporary)
        except OSError as error:
            reasons.append(error.strerror or str(error))
            continue
        if reasons and tell:
            _say(f"gemsnn: {usual} cannot be written ({reasons[0]}); {place} takes its place")
        return found
    if tell:
        _say(
            f"gemsnn: {usual} cannot be written ({reasons[0]}), so code is compiled and data emulated anew each time, "
            "which takes minutes; set GEMSNN_CACHE to a folder that can"
        )
    return None


@cache
def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _made(place: Path, *below: str, private: bool) -> Path:
    """Make a folder that can be written; raise :class:`OSError` where that is impossible.

    Code that is found in it may run: a ``private`` one lies where others can write, so it must be this user's.
    """
    path = place
    for name in ("", *below):
        path /= name
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if private and hasattr(os, "getuid"):
            facts = path.lstat()
            if facts.st_uid != os.getuid() or not stat.S_ISDIR(facts.st_mode) or facts.st_mode & 0o022:
                raise PermissionError(None, f"{path} could be written by others")
    tempfile.TemporaryFile(dir=path).close()
    return path


def for_matplotlib() -> None:
    """Give matplotlib a folder where its own cannot be written; it would be told of at length, each time."""
    if os.environ.get("MPLCONFIGDIR"):
        return
    try:
        home = Path.home()
        if sys.platform.startswith(("linux", "freebsd")):
            own = [Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")]
            own.append(Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache"))
        else:
            own = [home]
        if all(map(_could_be_written, own)):
            return
    except (RuntimeError, OSError):  # without a home, or behind a closed door
        pass
    if found := opened(cache_folder(), "matplotlib", tell=False):
        os.environ["MPLCONFIGDIR"] = str(found)


def _could_be_written(folder: Path) -> bool:
    """Whether something could be made in a folder, which may be still to be made."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
