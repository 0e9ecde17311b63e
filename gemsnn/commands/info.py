"""``gemsnn info``."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Sequence
from pathlib import Path

import tyro

from gemsnn.data.readers import describe


def make(_: Sequence[str]) -> Callable[..., int]:
    """The command."""
    return info


def info(file: tyro.conf.Positional[Path], json: bool = False) -> int:
    """Say what a file of events or images holds.

    Args:
        file: the file.
        json: print one JSON object.
    """
    found = describe(file)
    if json:
        print(json_module.dumps(found, allow_nan=False))
    else:
        for name, value in found.items():
            print(f"{name}: {value}")
    return 0
