"""What is told to a stream beside events: which class is seen, and where a recording begins."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from pathlib import Path

from gemsnn.data import wire
from gemsnn.data.wire import Begin, Label
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

WAITING = 1000
"""Labels, and beginnings, for times to come that are remembered."""

Mark = Label | Begin


class Labels:
    """Which class is told when, and when recordings begin, by bins.

    Args:
        schedule: what a file tells, in order of time; its labels hold where none has come with the events.
        bin_us: the width of a bin.
    """

    def __init__(self, schedule: list[Mark], bin_us: int) -> None:
        self._bin_us = bin_us
        labels = [mark for mark in schedule if isinstance(mark, Label)]
        self._times = [label.t or 0 for label in labels]
        self._labels = [label.label for label in labels]
        self._begins = [mark.t or 0 for mark in schedule if isinstance(mark, Begin)]
        self.told: list[tuple[int, int | None]] = []
        self.begun: list[int] = []
        self.now: int | None = None
        self.forgotten = 0

    def tell(self, mark: Mark, stream_us: int) -> None:
        """A label or a beginning that came with the events, for this time of the stream's."""
        bin = max(0, stream_us // self._bin_us)
        if len(self.begun if isinstance(mark, Begin) else self.told) >= WAITING:
            self.forgotten += 1
        elif isinstance(mark, Begin):
            bisect.insort(self.begun, bin)
        else:
            bisect.insort(self.told, (bin, mark.label), key=lambda each: each[0])

    def at(self, bin: int, stream_time: Callable[[int], int]) -> int | None:
        """The class of a bin. Bins are asked for in order."""
        while self.told and self.told[0][0] <= bin:
            self.now = self.told.pop(0)[1]
        if not self._times:
            return self.now
        last = bisect.bisect_left(self._times, self._end(bin, stream_time)) - 1
        return self._labels[last] if last >= 0 else None

    def begins(self, bin: int, stream_time: Callable[[int], int]) -> bool:
        """Whether a recording begins in a bin, or should have begun in one before. Bins are asked for in order."""
        come = bisect.bisect_right(self.begun, bin)
        del self.begun[:come]
        if not self._begins:
            return come > 0
        end = self._end(bin, stream_time)
        told = bisect.bisect_left(self._begins, end) - bisect.bisect_left(self._begins, end - self._bin_us)
        return come + told > 0

    def _end(self, bin: int, stream_time: Callable[[int], int]) -> int:
        """The end of a bin by the events' clock."""
        return (bin + 1) * self._bin_us - stream_time(0)


def read_labels(path: AnyPath, classes: int) -> list[Mark]:
    """Labels and beginnings of a file, in order of time.

    Raises:
        InputError: the file cannot be read, a line is neither, or a class is out of range.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give a file of lines label,T,C"
        ) from None
    marks: list[Mark] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            begins = line.startswith(wire.BEGIN)
            marks.append(wire.read_begin(line) if begins else _in_range(wire.read_label(line), classes))
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
    return sorted(marks, key=lambda mark: mark.t or 0)


def _in_range(label: Label, classes: int) -> Label:
    if label.label is not None and label.label >= classes:
        raise InputError(f"the class {label.label} is out of range: classes are 0 .. {classes - 1}")
    return label
