"""``gemsnn report``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import tyro

from gemsnn import report


def make(_: Sequence[str]) -> Callable[..., int]:
    """The command."""
    return write


def write(run: tyro.conf.Positional[Path]) -> int:
    """Write the report of a run folder anew.

    Args:
        run: the run folder.
    """
    print(report.write_report(run))
    return 0
