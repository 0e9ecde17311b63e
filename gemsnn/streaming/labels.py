"""Labels told to a stream: from a file, or with the events."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from pathlib import Path

from gemsnn.data import wire
from gemsnn.data.wire import Label
from gemsnn.errors import InputError

WAITING = 1000
"""Labels for times to come that are remembered."""


class Labels:
    """Which class is told when, by bins.

    Args:
        schedule: labels of a file, in order of time; they hold where no label has come with the events.
        bin_us: the width of a bin.
    """

    def __init__(self, schedule: list[Label], bin_us: int) -> None:
        self._bin_us = bin_us
        self._times = [label.t or 0 for label in schedule]
        self._labels = [label.label for label in schedule]
        self.told: list[tuple[int, int | None]] = []
        self.now: int | None = None
        self.forgotten = 0

    def tell(self, label: Label, stream_us: int) -> None:
        """A label that came with the events, for this time of the stream's."""
        if len(self.told) >= WAITING:
            self.forgotten += 1
            return
        bisect.insort(self.told, (max(0, stream_us // self._bin_us), label.label), key=lambda each: each[0])

    def at(self, bin: int, stream_time: Callable[[int], int]) -> int | None:
        """The class of a bin. Bins are asked for in order."""
        while self.told and self.told[0][0] <= bin:
            self.now = self.told.pop(0)[1]
        if not self._times:
            return self.now
        offset = -stream_time(0)
        last = bisect.bisect_left(self._times, (bin + 1) * self._bin_us + offset) - 1
        return self._labels[last] if last >= 0 else None


def read_labels(path: Path, classes: int) -> list[Label]:
    """Labels of a file, in order of time.

    Raises:
        InputError: the file cannot be read, a line is no label, or a class is out of range.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give a file of lines label,T,C"
        ) from None
    labels = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            labels.append(_in_range(wire.read_label(line), classes))
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
    return sorted(labels, key=lambda label: label.t or 0)


def _in_range(label: Label, classes: int) -> Label:
    if label.label is not None and label.label >= classes:
        raise InputError(f"the class {label.label} is out of range: classes are 0 .. {classes - 1}")
    return label
