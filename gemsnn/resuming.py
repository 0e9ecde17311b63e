"""What a run that goes on must have in common with the one that was stopped, and what its manifest tells of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gemsnn import config
from gemsnn.config import Settings
from gemsnn.errors import InputError
from gemsnn.records import provenance

HARMLESS = {("data", "root"), ("train", "checkpoint_every"), ("evaluate", "votes")}
"""Settings, by table and key, that may be edited: the data's digest is compared, the others move no weight."""


def check_unchanged(settings: Settings, manifest: dict[str, Any], out: Path) -> None:
    """Raise :class:`InputError` where a run's settings are not those that its manifest tells.

    A manifest of an older version tells none.
    """
    before, now = manifest.get("settings"), config.tables(settings)
    if not isinstance(before, dict):
        return
    changed = [
        f"[{table}] {key} is {now[table].get(key)!r} and was {_of(before, table).get(key)!r}"
        for table in now
        for key in {**_of(before, table), **now[table]}
        if (table, key) not in HARMLESS and now[table].get(key) != _of(before, table).get(key)
    ]
    if changed:
        raise InputError(
            f"{out / 'config.toml'} was edited since the run began: {'; '.join(changed)}; undo that, or train anew "
            "with --config"
        )


def _of(tables: dict[str, Any], name: str) -> dict[str, Any]:
    table = tables.get(name)
    return table if isinstance(table, dict) else {}


def resumed(before: dict[str, Any], settings: Settings, when: str) -> dict[str, Any]:
    """The manifest of a run that goes on: ``resumed`` holds when, and by which versions and machine, each time."""
    history = before.get("resumed")
    return before | {
        "status": "running",
        "settings": config.tables(settings),
        "resumed": [*(history if isinstance(history, list) else []), {"when": when, **provenance()}],
    }
