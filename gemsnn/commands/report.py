"""``gemsnn report``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import tyro

from gemsnn import report
from gemsnn.commands import flags


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("report", write, words)


def write(run: tyro.conf.Positional[Path], beside: Path | None = None) -> int:
    """Write the report of a run folder anew.

    Args:
        run: the run folder.
        beside: another run of the same recordings, whose scores the report shows beside its own from now on.
    """
    if beside is not None:
        from gemsnn.runs import beside as kept  # loads torch, which writing a report does without

        kept.keep(run, beside)
    print(report.write_report(run))
    return 0
