"""A file that tells the class of recordings, and where in them it begins and ends: ``file,label,split,begin,end``."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from gemsnn.data.access import first_bytes, found_at, refusal
from gemsnn.data.tally import NAMED, listed
from gemsnn.errors import InputError, one_line
from gemsnn.types import AnyPath

Split = Literal["train", "validation", "test"]

SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of the parts, as folders and labels files have them."""

LARGEST = 2**28
"""Bytes of a labels file that is still read."""

LONGEST_S = 1e9
_COLUMNS = ("file", "label", "split", "begin", "end")


class Entry(NamedTuple):
    """A recording, or a stretch of one.

    Attributes:
        path: the file.
        label: its class, by name.
        split: its part, where the folder tells it.
        begin_us: where the stretch begins, in microseconds of the recording's time; ``None`` for its beginning.
        end_us: where it ends, exclusive; ``None`` for its end.
    """

    path: Path
    label: str
    split: Split | None = None
    begin_us: int | None = None
    end_us: int | None = None


def read_labels(
    path: AnyPath, root: AnyPath, files: Sequence[AnyPath]
) -> tuple[list[Entry], tuple[str, ...]]:
    """The recordings that a labels file lists, in its order, and sentences about others.

    Columns may stand in any order, others among them, with commas, semicolons or tabs between them. Empty fields of
    ``split``, ``begin`` and ``end`` say nothing. A file may be listed more than once, with stretches of it.

    Args:
        path: the labels file.
        root: the folder that ``file`` is relative to.
        files: the event files below it.

    Raises:
        InputError: it is damaged, or a line is; the line is named.
    """
    path, root = Path(path), Path(root)
    found: list[Entry] = []
    seen: dict[Entry, int] = {}
    for number, row in _rows(path):
        entry = _entry(row, root, f"{path}, line {number}")
        key = entry._replace(label="", split=None)
        if key in seen:
            raise InputError(
                f"{path}, line {number}: {one_line(row['file'])} stands in line {seen[key]} already; remove one of "
                "them, or give each a begin and an end of its own"
            )
        seen[key] = number
        found.append(entry)
    if not found:
        raise InputError(f"{path}: it lists no recordings; add lines with file and label")
    known = {entry.path for entry in found}
    others = [one_line(Path(file).relative_to(root)) for file in files if file not in known]
    if not others:
        return found, ()
    return found, (
        f"Recordings that {path.name} does not list were left out: {listed(others[:NAMED], len(others))}.",
    )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Lines as columns by name, with their numbers."""
    first_bytes(path)
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: {path.stat().st_size} bytes are no list of recordings; check the file")
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is no text in UTF-8; save it as such") from None
    except OSError as error:
        raise refusal(path, error, "it cannot be read; check the drive") from error
    lines = text.splitlines()
    heading = next((line for line in lines if line.strip()), "")
    mark = next((mark for mark in ";\t," if mark in heading), ",")
    names: list[str] | None = None
    try:
        reader = csv.reader(lines, delimiter=mark)
        for fields in reader:
            fields = [field.strip() for field in fields]
            if not any(fields):
                continue
            if names is None:
                names = [field.lower() for field in fields]
                _check_names(names, path)
                continue
            if len(fields) != len(names):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(fields)} columns where the heading has {len(names)}; mend "
                    "the line"
                )
            row = dict(zip(names, fields, strict=True))
            yield reader.line_num, {name: row.get(name, "") for name in _COLUMNS}
    except csv.Error as error:
        raise InputError(f"{path}: this is no table of text ({error}); save it as CSV") from error


def _check_names(names: list[str], path: Path) -> None:
    twice = [name for name in _COLUMNS if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: the heading names {twice[0]} twice; rename one of them")
    if not {"file", "label"} <= set(names):
        raise InputError(
            f"{path}: the first line must name the columns file and label (and split, begin and end, if wanted), not "
            f"{', '.join(names)}"
        )


def _entry(row: dict[str, str], root: Path, where: str) -> Entry:
    if not row["file"] or not row["label"]:
        raise InputError(f"{where}: file and label must not be empty; add them or remove the line")
    inner = PurePosixPath(row["file"].replace("\\", "/"))
    drive = re.match("[a-zA-Z]:", row["file"])
    if inner.is_absolute() or drive or not inner.parts or ".." in inner.parts or "\0" in row["file"]:
        raise InputError(
            f"{where}: {one_line(inner)} lies outside the folder; list files in it, relative to it"
        )
    path = root.joinpath(*inner.parts)
    if found_at(path) != "file":
        raise InputError(f"{where}: there is no file {one_line(inner)} in {root}; add it or remove the line")
    split = row["split"].lower()
    if split and split not in SPLITS:
        raise InputError(f"{where}: split must be train, validation or test, not {one_line(split)}")
    begin, end = (_microseconds(row[name], name, where) for name in ("begin", "end"))
    if end is not None and end <= (begin or 0):
        raise InputError(f"{where}: end must lie after begin, which {row['end']} s does not; mend the line")
    return Entry(path, row["label"], SPLITS[split] if split else None, begin, end)


def _microseconds(text: str, name: str, where: str) -> int | None:
    if not text:
        return None
    try:
        seconds = float(text) if len(text) < 100 else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_S:
        raise InputError(f"{where}: {name} must be a number of seconds from 0 on, not {one_line(text)}")
    return round(seconds * 1e6)
