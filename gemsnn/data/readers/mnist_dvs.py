"""Where the recordings of MNIST-DVS lie: folders at any depth, and zip files read without unpacking.

T. Serrano-Gotarredona and B. Linares-Barranco, "Poker-DVS and MNIST-DVS", Front. Neurosci. 9:481 (2015).
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from gemsnn.data.access import first_bytes, found_at, refusal, walk
from gemsnn.data.events import Recording
from gemsnn.data.npy import DAMAGED_ZIP, packing
from gemsnn.data.readers.aedat2 import read_aedat2
from gemsnn.data.readers.files import read_bytes
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

NAME = re.compile(r"mnist_(\d)_scale(\d\d)_(\d{4})\.aedat")
"""Digit, scale and number of a recording, in the base name of its file."""

LARGEST_MEMBER = 64 * 2**20
"""Files in a zip that unpack to more bytes are refused; a recording has about 0.2 million."""

LARGEST_EXPANSION = 100
"""A zip whose recordings unpack to more than this many times its size, and to more than one member may, is refused:
events compress about five times, so its entries are false (as are entries that overlap)."""

KINDS = ("raw", "processed_polarity", "processed")
"""As recorded; after the authors' ``process_mnist.m`` with ON and OFF kept; and with ON and OFF merged."""


class DvsFile(NamedTuple):
    """One recording of MNIST-DVS.

    Attributes:
        digit: the label.
        number: 1 .. 1000, counted for each digit.
        scale: 4, 8 or 16.
        kind: one of :data:`KINDS`.
        path: the file, or the zip that holds it.
        member: its name in the zip; ``None`` for a file in a folder.
    """

    digit: int
    number: int
    scale: int
    kind: str
    path: Path
    member: str | None = None

    @property
    def processed(self) -> bool:
        """Whether ``process_mnist.m`` has been applied, so that it must not be again."""
        return self.kind != "raw"

    @property
    def where(self) -> str:
        """The location, for messages."""
        return f"{self.path}" if self.member is None else f"{self.path}:{self.member}"


def find_mnist_dvs(root: AnyPath, scale: int | None = 4) -> list[DvsFile]:
    """Every recording of MNIST-DVS under a folder, in its zip files, or in one zip file.

    Files are known by their base name (:data:`NAME`). The nearest folder or zip above a file whose name
    begins ``grabbed`` or ``processed`` tells whether it is raw; without one it is.

    Args:
        root: a folder, or a ``.zip`` file.
        scale: 4, 8 or 16; ``None`` for all.

    Returns:
        The files, in order of number, digit, and place; duplicates are all listed, see :func:`choose`.

    Raises:
        InputError: no such folder, no such file in it, or an unreadable zip.
    """
    root = Path(root)
    held = found_at(root)
    if held is None:
        raise InputError(f"{root}: there is no such folder or file; check the path of the data set")
    if held != "folder" and first_bytes(root) and not zipfile.is_zipfile(root):
        raise InputError(
            f"{root}: this is neither a folder nor a zip file; give the folder that holds the data set"
        )
    found: list[DvsFile] = []
    for path in [root] if held == "file" else sorted(_relevant(root)):
        if path.suffix.lower() == ".zip":
            for member in _members(path):
                found += _entry(PurePosixPath(member), path, member)
        else:
            found += _entry(path, path, None)
    found = [entry for entry in found if scale is None or entry.scale == scale]
    if not found:
        wanted = "mnist_<digit>_scale<04|08|16>_<number>.aedat"
        wanted = wanted if scale is None else wanted.replace("<04|08|16>", f"{scale:02d}")
        raise InputError(
            f"{root}: no file named {wanted} is in this folder, its subfolders or their zip files; "
            "give the folder that holds grabbed_data0 .. grabbed_data9"
        )
    return sorted(
        found, key=lambda e: (e.number, e.digit, KINDS.index(e.kind), e.member is not None, str(e.path))
    )


def choose(entries: list[DvsFile]) -> tuple[list[DvsFile], tuple[str, ...]]:
    """One file for each digit and number, all of one kind.

    Raw and processed recordings are never mixed: the kind with most recordings is taken, raw where it ties.
    Of copies of the same recording the one in a folder is taken before the one in a zip.

    Returns:
        The chosen files in the given order, and sentences about what was left out.
    """
    distinct = {(e.kind, e.digit, e.number): e for e in reversed(entries)}
    amount = Counter(kind for kind, _, _ in distinct)
    kind = max(KINDS, key=lambda k: (amount[k], -KINDS.index(k)))
    notes = []
    if len(amount) > 1:
        others = " and ".join(f"{amount[k]} {k}" for k in KINDS if k != kind and amount[k])
        notes.append(
            "Raw and differently processed recordings are never mixed: "
            f"the {amount[kind]} {kind} ones are used, and {others} ones left out."
        )
    chosen = [e for e in entries if e.kind == kind and distinct[e.kind, e.digit, e.number] is e]
    copies = sum(e.kind == kind for e in entries) - len(chosen)
    if copies:
        notes.append(f"{copies} recordings were found more than once; folders are taken before zip files.")
    return chosen, tuple(notes)


def read_files(entries: Iterable[DvsFile]) -> Iterator[Recording]:
    """Read recordings one by one; each zip is opened once and nothing is unpacked to disk.

    Raises:
        InputError: a damaged file or zip, a member larger than :data:`LARGEST_MEMBER`, or a zip that expands more
            than :data:`LARGEST_EXPANSION` times; the file is named.
    """
    with ExitStack() as stack:
        zips: dict[Path, zipfile.ZipFile] = {}
        unpacked: Counter[Path] = Counter()
        for entry in entries:
            if entry.member is None:
                data = read_bytes(entry.path)
            else:
                if entry.path not in zips:
                    zips[entry.path] = stack.enter_context(_open_zip(entry.path))
                data = _read_member(zips[entry.path], entry)
                unpacked[entry.path] += len(data)
                size = entry.path.stat().st_size
                if unpacked[entry.path] > max(LARGEST_MEMBER, LARGEST_EXPANSION * size):
                    raise InputError(
                        f"{entry.where}: a zip of {size} bytes that unpacks to more than {unpacked[entry.path]} holds "
                        "no recordings; download it again"
                    )
            yield read_aedat2(data, entry.where)


def _relevant(root: Path) -> Iterator[Path]:
    """Files under a folder that may matter."""
    for folder, name in walk(root):
        if NAME.fullmatch(name) or name.lower().endswith(".zip"):
            yield folder / name


def _entry(inner: PurePath, path: Path, member: str | None) -> list[DvsFile]:
    """The recording of this name, as a list of one; empty if the name is another's."""
    match = NAME.fullmatch(inner.name)
    if match is None:
        return []
    digit, scale, number = (int(group) for group in match.groups())
    outer = () if member is None else path.absolute().parts
    above = [*outer, *(inner.parent.parts if member is not None else path.absolute().parent.parts)]
    mark = next(
        (part.lower() for part in reversed(above) if part.lower().startswith(("grabbed", "processed"))),
        "grabbed",
    )
    kind = (
        "raw" if mark.startswith("grabbed") else "processed_polarity" if "polarity" in mark else "processed"
    )
    return [DvsFile(digit, number, scale, kind, path, member)]


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except DAMAGED_ZIP as error:
        damage = f"this zip file cannot be opened ({error}); download it again or move it away"
        raise refusal(path, error, damage) from error


def _members(path: Path) -> list[str]:
    """Names of the files in a zip."""
    with _open_zip(path) as archive:
        return archive.namelist()


def _read_member(archive: zipfile.ZipFile, entry: DvsFile) -> bytes:
    assert entry.member is not None
    try:
        with archive.open(entry.member) as file:
            data = file.read(
                LARGEST_MEMBER + 1
            )  # the size that the zip states may be false, so it is not relied on
    except DAMAGED_ZIP as error:
        damage = f"this zip member cannot be read ({error}); {packing(error)}"
        raise refusal(entry.where, error, damage) from error
    if len(data) > LARGEST_MEMBER:
        raise InputError(
            f"{entry.where}: this member of the zip unpacks to more than {LARGEST_MEMBER >> 20} MiB, too "
            "much for a recording; leave it out"
        )
    return data
