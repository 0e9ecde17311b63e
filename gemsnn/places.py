"""Where files of the user's lie that nobody asked for."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    r"""Where cached data and compiled code lie.

    ``$GEMSNN_CACHE`` if set; else ``$XDG_CACHE_HOME/gemsnn``; else the system's usual place
    (``~/.cache/gemsnn``, ``~/Library/Caches/gemsnn`` on macOS, ``%LOCALAPPDATA%\gemsnn\cache`` on Windows); for a
    user without a home, :func:`temporary_folder`.
    """
    if own := os.environ.get("GEMSNN_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "gemsnn"
    try:
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
    return Path(tempfile.gettempdir()) / f"gemsnn-{number}"
