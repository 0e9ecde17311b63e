"""A run folder in, one self-contained page out: ``report.html``.

The page loads nothing from anywhere: its style sheet and its figures (SVG, see :mod:`gemsnn.report.svg`)
stand inside it, and it has no script. It opens with the result in plain words, made from the numbers; a part
whose numbers are missing, as in an interrupted run, gives way to a sentence that says so.
"""

from __future__ import annotations

from pathlib import Path

from gemsnn.report.page import render
from gemsnn.report.reading import Run, read_run
from gemsnn.report.words import summary
from gemsnn.store.files import atomic_write
from gemsnn.types import AnyPath

__all__ = ["Run", "read_run", "render", "summary", "write_report"]


def write_report(run: AnyPath) -> Path:
    """Read the run folder ``run`` and write its ``report.html``, whole or not at all; returns its path.

    Raises:
        InputError: ``run`` is no run folder, or a file of it is damaged.
    """
    run = Path(run)
    target = run / "report.html"
    atomic_write(target, render(read_run(run)))
    return target
