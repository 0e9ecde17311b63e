"""The first lines of a table of text: what they say of the columns, and whether it is one of events."""

from __future__ import annotations

import re
from typing import NamedTuple

from gemsnn.data import wire
from gemsnn.data.readers import columns
from gemsnn.errors import InputError, one_line
from gemsnn.types import LARGEST_SIDE

COMMENTS = (b"#", b"%")
"""What lines of comments begin with."""

_SEPARATORS = (b";", b"\t", b",")
_NUMBER = re.compile(
    rb"\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|nan|inf)\s*|\s*(true|false)\s*", re.I
)
_SIZE = re.compile(rb"(?:geometry|size|resolution|sensor)\W{1,3}(\d{1,5})\s*[x,; ]\s*(\d{1,5})", re.I)
_WIDTH, _HEIGHT = re.compile(rb"width\W{1,3}(\d{1,5})", re.I), re.compile(rb"height\W{1,3}(\d{1,5})", re.I)


class Head(NamedTuple):
    """The beginning of a table of text.

    Attributes:
        length: bytes before the first line of numbers.
        line: that line's number, from 1.
        separator: between columns; ``None`` for blanks.
        names: the columns' names; ``None`` where they have none.
        width: columns of the first line of numbers; 0 if there is none.
        sensor: width and height, where they are told.
    """

    length: int
    line: int
    separator: bytes | None
    names: tuple[str, ...] | None
    width: int
    sensor: tuple[int, int] | None


def is_text(start: bytes) -> bool:
    """Whether a file with these first bytes is one of text: no control characters but those between lines."""
    return bool(start) and not any(byte < 32 and byte not in b"\t\n\r\f" for byte in set(start))


def is_table(start: bytes) -> bool:
    """Whether a file of text with these first bytes (some kilobytes) is a table of events, whole or damaged.

    It is if a heading names the columns of events, or if its first lines are two to four columns of numbers.
    """
    head = read_head(start)
    if head.names is not None:
        try:
            return columns.by_name(head.names, "") is not None
        except InputError:
            return True
    if not 2 <= head.width <= 4:
        return False
    lines = start[head.length :].splitlines()
    lines = [line for line in (lines[:-1] or lines) if not is_comment(line) and line.strip()]
    fitting = [
        len(fields) == head.width and numeric(fields) for fields in (split(n, head.separator) for n in lines)
    ]
    return sum(fitting) > len(fitting) / 2


def read_head(start: bytes) -> Head:
    """What the first lines of a file of text say."""
    mark = 3 if start.startswith(b"\xef\xbb\xbf") else 0
    at, number, size = mark, 1, None
    names: tuple[str, ...] | None = None
    comment_names: tuple[str, ...] | None = None
    sides: dict[int, int] = {}
    lines = start[mark:].splitlines(keepends=True)
    for position, whole in enumerate(lines):
        line = whole.strip()
        if is_comment(line):
            size = _size_in(line, sides) or size
            comment_names = _names_in(line.lstrip(b"#% ")) or comment_names
        elif line and not line.startswith(wire.LABEL):
            fields = split(line, separator := _separator(line))
            below = (
                split(lines[position + 1], _separator(lines[position + 1]))
                if position + 1 < len(lines)
                else []
            )
            if numeric(fields) and not (len(fields) == 2 < len(below) and names is None and _whole(fields)):
                return Head(at, number, separator, names or comment_names, len(fields), size)
            if numeric(fields):
                size = (int(fields[0]), int(fields[1]))
            elif names is None:
                names = tuple(one_line(field.decode("utf-8", "replace")).strip(" \"'") for field in fields)
            else:
                return Head(at, number, separator, names, len(fields), size)
        at, number = at + len(whole), number + 1
    return Head(at, number, None, names or comment_names, 0, size)


def is_comment(line: bytes) -> bool:
    """Whether a line is a comment."""
    return line.lstrip().startswith(COMMENTS)


def _separator(line: bytes) -> bytes | None:
    return next((mark for mark in _SEPARATORS if mark in line.strip()), None)


def count_columns(line: bytes, separator: bytes | None) -> int:
    """How many columns a line has."""
    return line.count(separator) + 1 if separator else len(line.split())


def split(line: bytes, separator: bytes | None) -> list[bytes]:
    """The fields of a line, without blanks and quotation marks around them."""
    fields = line.strip(b"\r\n \f").split(separator) if separator else line.split()
    return [field.strip().strip(b'"').strip() for field in fields]


def numeric(fields: list[bytes]) -> bool:
    """Whether all fields are numbers or truth values."""
    return all(_NUMBER.fullmatch(field) for field in fields)


def _whole(fields: list[bytes]) -> bool:
    return all(field.isdigit() and 1 <= int(field[:6]) <= LARGEST_SIDE for field in fields)


def _names_in(line: bytes) -> tuple[str, ...] | None:
    """The names of columns in a comment, if it holds nothing else."""
    names = tuple(word for word in re.split(r"[\s,;]+", line.decode("utf-8", "replace").strip()) if word)
    try:
        found = columns.by_name(names, "") if len(names) <= 8 else None
    except InputError:
        return None
    return names if found is not None and len(found.columns) == len(names) else None


def _size_in(line: bytes, sides: dict[int, int]) -> tuple[int, int] | None:
    """The sensor's size, if this or the comments before it have told it; ``sides`` keeps what they told."""
    if match := _SIZE.search(line):
        return int(match[1]), int(match[2])
    for side, pattern in enumerate((_WIDTH, _HEIGHT)):
        if match := pattern.search(line):
            sides[side] = int(match[1])
    return (sides[0], sides[1]) if len(sides) == 2 else None
