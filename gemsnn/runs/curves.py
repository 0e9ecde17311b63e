"""A run's numbers as TensorBoard reads them: the lines of ``metrics.jsonl``, and at the end its scores.

They lie in the folder ``tensorboard`` of the run and hold nothing that the run's own files lack. So a run that goes on
writes them anew from the lines that its checkpoint keeps, and a curve has no step twice.

A scalar's tag is the line's kind and the number's name (``train/loss``, ``evaluation/accuracy``, ``epoch/nll``; those
of ``metrics.json`` are ``test/nll``, ``test/tempered/nll``, ..), its step the presentations learned by then, and its
time the beginning of the run and the seconds of training since, so that pauses between two sittings do not show.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gemsnn.errors import InputError
from gemsnn.store import parsing
from gemsnn.store.records import METRICS, RunFolder

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
"""Where they lie in a run."""

_PLACE = ("kind", "split", "update", "presentations")
"""What of a line says which and when, and is no number to draw."""


def library() -> type[SummaryWriter]:
    """What writes TensorBoard's files.

    Raises:
        InputError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "curves for TensorBoard need the library tensorboard; install it with pip install 'gemsnn[tensorboard]', "
            "or leave --tensorboard out"
        ) from None
    return SummaryWriter


def kept(run: RunFolder) -> bool:
    """Whether a run has curves for TensorBoard already."""
    return (run.path / FOLDER).is_dir()


class Curves:
    """The curves of a run while it is trained; see :func:`drawn`."""

    def __init__(self, writer: SummaryWriter, began: float) -> None:
        self._writer, self._began, self._last = writer, began, (0, 0.0)

    def line(self, row: Mapping[str, Any]) -> None:
        """Take a line of ``metrics.jsonl``."""
        self._last = int(row["presentations"]), float(row["seconds"])
        for name, value in row.items():
            if name not in _PLACE:
                self._scalar(f"{row['kind']}/{name}", value)
        self._writer.flush()

    def scores(self, found: Mapping[str, Any]) -> None:
        """Take the scores on the test part, where the training has come to."""
        self._nested("test", found)
        self._writer.flush()

    def _nested(self, tag: str, found: Mapping[str, Any]) -> None:
        """All numbers of dictionaries within one another; lists are curves of their own, which the report draws."""
        for name, value in found.items():
            if isinstance(value, Mapping):
                self._nested(f"{tag}/{name}", value)
            else:
                self._scalar(f"{tag}/{name}", value)

    def _scalar(self, tag: str, value: Any) -> None:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            step, seconds = self._last
            self._writer.add_scalar(tag, value, step, walltime=self._began + seconds)


@contextlib.contextmanager
def drawn(run: RunFolder, started: str) -> Iterator[Curves]:
    """The curves of a run that begins or goes on, with all lines that it has by now.

    Args:
        run: its folder.
        started: when it began, as its manifest tells.

    Raises:
        InputError: TensorBoard is not installed.
    """
    make, folder, lines = library(), run.path / FOLDER, run.path / METRICS
    if kept(run):
        shutil.rmtree(folder)
    writer = make(str(folder))
    try:
        curves = Curves(writer, datetime.fromisoformat(started).timestamp())
        for number, line in enumerate(parsing.read_text(lines).splitlines() if lines.exists() else (), 1):
            curves.line(parsing.parse_json(line, f"line {number} of {lines}"))
        yield curves
    finally:
        writer.close()
