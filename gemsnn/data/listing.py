"""Which recordings there are, a line each in a file: a million of them take no memory.

They are those of a folder, of one file, or of a list of files. A file of the layout of
:mod:`gemsnn.data.readers.hdf5_spikes` holds many, each of which is a recording.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from gemsnn.data import folders
from gemsnn.data.access import found_at
from gemsnn.data.events import Recording
from gemsnn.data.readers import hdf5_spikes
from gemsnn.data.readers.files import read_recording
from gemsnn.data.readers.recognise import kind_of
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

RUN = 10_000
"""Names that are sorted in memory at a time."""

_BLOCK = 2**13


class Stretch(NamedTuple):
    """Recordings that lie side by side: the number of the first, how many, and at which byte of the listing."""

    first: int
    number: int
    start: int


class Listing(NamedTuple):
    """Recordings, in order.

    Attributes:
        path: the file with a line of JSON for each: name, bytes of its file, and its number in there, if it has one.
        root: the folder from which their names lead to them.
        stretches: of as many recordings each as were asked for.
        number: how many recordings there are.
        digest: SHA-256 of the lines.
        notes: what was left out.
    """

    path: Path
    root: Path
    stretches: tuple[Stretch, ...]
    number: int
    digest: str
    notes: tuple[str, ...] = ()


class _Line(NamedTuple):
    """A file; ``many`` where it may hold several recordings."""

    name: str
    size: int
    many: bool


def listed(path: AnyPath, into: AnyPath, every: int, *, names: bool = False) -> Listing:
    """Recordings, in natural order of their paths, those of a list in the list's.

    Args:
        path: a folder, whose event files at any depth are meant, whatever their classes; or one file.
        into: where the lines are written.
        every: recordings of a stretch.
        names: ``path`` is a text file with a path a line, from the folder on in which it lies.

    Raises:
        InputError: there are none.
    """
    path, into, held = Path(path), Path(into), found_at(path)
    if held not in ("file", "folder") or (names and held != "file"):
        what = "file, which should list recordings" if names else "file or folder"
        raise InputError(f"{path}: there is no such {what}; give one of recordings")
    root, left = (path if held == "folder" else path.parent), folders.LeftOut()
    with tempfile.TemporaryFile(dir=into.parent) as runs:
        if names:
            lines = _of_list(path)
        elif held == "file":
            lines = iter([_line(path, path.name)])
        else:
            met = (
                _Line(str(m.path.relative_to(root)), m.size, m.kind == "HDF5")
                for m in folders.met_in(root, left)
            )
            lines = _in_order(met, runs)
        found = _written(lines, root, into, every)
    if not found.number:
        raise InputError(
            f"{path}: it lists no file; give a path a line"
            if names
            else f"{path}: no event file is in this folder or below; give the folder of the recordings"
        )
    return found._replace(notes=left.notes(root))


def _of_list(path: Path) -> Iterator[_Line]:
    """Files of a list; whether they are there is asked when they are read."""
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if name := line.strip():
                    yield _line(path.parent / name, name)
    except ValueError as error:
        raise InputError(f"{path} is no list of paths, for it is no UTF-8 text ({error}); mend it") from None


def _line(path: Path, name: str) -> _Line:
    try:
        return _Line(name, path.stat().st_size, kind_of(path) == "HDF5")
    except (OSError, InputError):  # which is told where it is read
        return _Line(name, -1, False)


def _in_order(lines: Iterator[_Line], runs: IO[bytes]) -> Iterator[_Line]:
    """Sorted, some in memory at a time: sorted runs of them are written one after the other, and merged."""
    places: list[tuple[int, int]] = []
    while some := sorted(islice(lines, RUN), key=_key):
        begin = runs.tell()
        runs.write("".join(json.dumps(each) + "\n" for each in some).encode())
        places.append((begin, runs.tell()))
        some.clear()  # or they would be in memory until the next are sorted
    return heapq.merge(*(_run(runs, *place) for place in places), key=_key)


def _key(line: _Line) -> Any:
    return folders.natural(line.name)


def _run(runs: IO[bytes], begin: int, end: int) -> Iterator[_Line]:
    """Lines of a file that several read by turns."""
    rest = b""
    while begin < end:
        runs.seek(begin)
        block = runs.read(min(_BLOCK, end - begin))
        begin += len(block)
        *whole, rest = (rest + block).split(b"\n")
        yield from (_Line(*json.loads(line)) for line in whole)


def _written(lines: Iterable[_Line], root: Path, into: Path, every: int) -> Listing:
    digest, count, starts = hashlib.sha256(), 0, list[int]()
    with into.open("wb") as file:
        for line in lines:
            for number in _numbers(root, line):
                row = [line.name, line.size] if number is None else [line.name, line.size, number]
                if count % every == 0:
                    starts.append(file.tell())
                written = json.dumps(row).encode() + b"\n"
                digest.update(written)
                file.write(written)
                count += 1
    stretches = (Stretch(n * every, min(every, count - n * every), start) for n, start in enumerate(starts))
    return Listing(into, root, tuple(stretches), count, digest.hexdigest())


def _numbers(root: Path, line: _Line) -> Iterable[int | None]:
    """Of the recordings of a file; one without where it is a recording, or cannot be opened."""
    if line.many:
        try:
            if number := hdf5_spikes.recordings_in(root / line.name):
                return range(number)
        except InputError:  # which is told where it is read
            pass
    return (None,)


def recordings(
    listing: Listing, stretch: Stretch, time_unit: TimeUnit | None, channels: int
) -> Iterator[tuple[str, Callable[[], Recording]]]:
    """Names of recordings, and what reads each, which raises :class:`InputError` where that is damaged.

    Args:
        listing: of the recordings.
        stretch: of which.
        time_unit: of times that do not tell theirs.
        channels: in a row, of recordings of which a file holds many.
    """
    with listing.path.open("rb") as file, hdf5_spikes.Unlabelled(time_unit, channels) as opened:
        file.seek(stretch.start)
        for line in islice(file, stretch.number):
            name, _, *number = json.loads(line)
            path = listing.root / name
            if number:
                yield f"{name}:/spikes/{number[0]}", lambda path=path, n=number[0]: opened.recording(path, n)
            else:
                yield name, lambda path=path: read_recording(path, time_unit=time_unit)
