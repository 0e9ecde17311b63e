"""Events as lines of text: CSV, or columns with semicolons, tabs or blanks between them.

Lines that begin with ``#`` or ``%`` are comments, which may name the columns (``# t x y p``) or the sensor's size
(``%geometry:1280,720``); a first line of words names the columns, in any order and with others among them; a first line
of two whole numbers, when more follow in the next one, is the sensor's width and height (the data of E2VID). Without
names, columns are told apart by their values (:func:`gemsnn.data.readers.columns.by_values`). The lines of
:mod:`gemsnn.data.wire` are such a file: its events are read, its labels, which are for streams, left out and told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from gemsnn.data import wire
from gemsnn.data.access import refusal
from gemsnn.data.events import Recording
from gemsnn.data.readers import columns
from gemsnn.data.readers.assembled import LARGEST_RECORDING, recording_of
from gemsnn.data.readers.columns import Role
from gemsnn.data.readers.text_head import COMMENTS, Head, count_columns, numeric, read_head, split
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError, one_line
from gemsnn.types import AnyPath

HEAD = 2**16
"""Bytes at the beginning in which comments and names must end."""

BLOCK = 2**22
"""Bytes that are parsed at a time."""

LONGEST_LINE = 10_000
SHOWN = 60


def read_text(path: AnyPath, time_unit: TimeUnit | None = None) -> Recording:
    """Read a table of events.

    Args:
        path: the file.
        time_unit: of its times, see :mod:`gemsnn.data.readers.units`.

    Raises:
        InputError: a line holds something else (it is named), or columns or times cannot be told.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = read_head(file.read(HEAD))
            file.seek(head.length)
            return _read(file, head, str(path), time_unit)
    except OSError as error:
        raise refusal(path, error, "it cannot be read; check the drive") from error


def _read(file: IO[bytes], head: Head, where: str, time_unit: TimeUnit | None) -> Recording:
    if head.width == 0:
        raise InputError(
            f"{where}: this text holds no line of numbers, so no events; leave it out or record it again"
        )
    found = None if head.names is None else columns.by_name(head.names, where)
    if head.names is not None and found is None:
        raise InputError(
            f"{where}: the columns {', '.join(head.names)} are not those of events; name them {columns.WANTED}"
        )
    if head.names is not None and len(head.names) != head.width:
        raise InputError(
            f"{where}: the heading names {len(head.names)} columns and line {head.line} has {head.width}; name "
            "each column"
        )
    used = (
        [*range(head.width)]
        if found is None
        else [list(head.names or ()).index(n) for n in found.columns.values()]
    )
    blocks, labels = [], 0
    for block, told in _tables(file, head, used, where):
        blocks.append(block)
        labels += told
        if sum(map(len, blocks)) > LARGEST_RECORDING:
            raise InputError(
                f"{where}: it holds more than {LARGEST_RECORDING} events; cut it into shorter files"
            )
    table = np.concatenate(blocks)
    if not len(table):
        raise InputError(f"{where}: it holds no events; leave it out or record it again")
    if found is None:
        if not np.isfinite(table).all():
            raise InputError(f"{where}: a number is not finite; mend or remove its line")
        found = columns.by_values(table, where)
        picked: dict[Role, NDArray[np.float64]] = {role: table[:, at] for role, at in found.columns.items()}
    else:
        picked = {role: table[:, at] for at, role in enumerate(found.columns)}
    notes, sensor = found.notes, head.sensor or columns.sides_in(head.names or ())
    if labels:
        notes += (f"Lines that tell labels are for streams, and were left out: {labels}.",)
    return recording_of(
        picked, where, "text", unit=found.unit, time_unit=time_unit, sensor=sensor, notes=notes
    )


def _tables(
    file: IO[bytes], head: Head, used: list[int], where: str
) -> Iterator[tuple[NDArray[np.float64], int]]:
    """The used columns, some thousands of lines at a time, and how many lines were labels."""
    number, rest = head.line, b""
    while True:
        data = file.read(BLOCK)
        lines = (rest + data).splitlines()
        rest = b""
        if data and lines and not data.endswith((b"\n", b"\r")):
            rest = lines.pop()
        if len(rest) > LONGEST_LINE:
            raise InputError(
                f"{where}: line {number + len(lines)} is longer than any line of events; check the file"
            )
        labels = sum(line.startswith(wire.LABEL) for line in lines)
        yield _table(lines, head, used, number, where), labels
        number += len(lines)
        if not data:
            return


def _table(lines: list[bytes], head: Head, used: list[int], number: int, where: str) -> NDArray[np.float64]:
    kept = [line for line in lines if line.strip() and not line.startswith((*COMMENTS, wire.LABEL))]
    if not kept:
        return np.empty((0, len(used)))
    if all(count_columns(line, head.separator) == head.width for line in kept):
        with contextlib.suppress(ValueError):
            return np.loadtxt(
                kept,
                np.float64,
                comments=None,
                delimiter=_text(head.separator),
                usecols=used,
                ndmin=2,
                quotechar='"',
            )
    good = []
    for at, line in enumerate(lines):
        if not line.strip() or line.startswith((*COMMENTS, wire.LABEL)):
            continue
        fields = split(line, head.separator)
        if len(fields) != head.width or not numeric([fields[place] for place in used]):
            shown = one_line(line[:SHOWN].decode("utf-8", "replace").strip())
            raise InputError(
                f"{where}: line {number + at} ({shown!r}) is no event of {head.width} columns like those above; mend "
                "or remove it"
            )
        good.append([_value(fields[place]) for place in used])
    return np.array(good, np.float64).reshape(len(good), len(used))


def _value(field: bytes) -> float:
    word = field.strip().lower()
    return float(word == b"true") if word in (b"true", b"false") else float(word)


def _text(separator: bytes | None) -> str | None:
    return None if separator is None else separator.decode()
