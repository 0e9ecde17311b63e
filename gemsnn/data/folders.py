"""Which event files a folder holds, and the class and part of each; nothing is decoded here.

Where classes come from, the first that applies:

1. ``labels.csv`` in the folder, or another file of that kind: columns ``file`` (relative to it), ``label``, and, if
   wanted, ``split`` (train, validation or test), ``begin`` and ``end`` (seconds of the recording's time);
2. ``class_from``, a regular expression that is searched for in the name of each file: its first group, or the whole
   match, is the class;
3. folders: each folder with recordings is a class, whatever lies how deep in it;
4. a class a file, of which windows are to be cut.

With 2 and 3, folders ``train``, ``validation`` (``val``, ``valid``) and ``test`` above tell the part. What is no event
file by its content is left out, and told. Classes and files are in natural order, in which 10 comes after 9.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from gemsnn.data.access import found_at, walk
from gemsnn.data.labels import SPLITS, Entry, Split, read_labels
from gemsnn.data.readers.numpy_files import has_events
from gemsnn.data.readers.recognise import Kind, kind_of, other_kind
from gemsnn.data.tally import NAMED, listed
from gemsnn.errors import InputError, one_line
from gemsnn.types import AnyPath

Rule = Literal["labels", "names", "folders", "files"]

LABELS = "labels.csv"

_OTHERS: tuple[Kind | None, ...] = (None, "zip", "IDX")
_OF_DAMAGED = (".aedat", ".aedat4", ".bin")
_OF_EMPTY = (*_OF_DAMAGED, ".raw", ".dat", ".es", ".npy", ".npz", ".h5", ".hdf5")
"""Names of what is no file to be left out, but a recording that cannot be read, where the content tells nothing."""

_SYSTEM = ("lost+found", "System Volume Information", "__MACOSX")


class Folder(NamedTuple):
    """What a folder holds.

    Attributes:
        root: the folder in which classes or parts lie; that which was given, or one below in which everything lies.
        entries: the recordings, in natural order of their paths (of a labels file: in its order).
        classes: the names of the classes, in natural order.
        rule: where classes come from; after ``"files"`` each file is a class, to be cut into windows.
        notes: what was left out, and what was assumed.
    """

    root: Path
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    rule: Rule
    notes: tuple[str, ...]

    @property
    def splits(self) -> dict[Split | None, int]:
        """How many entries each part has."""
        return dict(Counter(entry.split for entry in self.entries))


def find_recordings(root: AnyPath, *, class_from: str | None = None, labels: AnyPath | None = None) -> Folder:
    """The recordings of a folder, with their classes and parts.

    Args:
        root: the folder.
        class_from: a regular expression on the files' names, see above.
        labels: a labels file; by default ``labels.csv`` in the folder, if there is one.

    Raises:
        InputError: there is no such folder, no event file in it, or classes cannot be told.
    """
    root = Path(root)
    if (held := found_at(root)) != "folder":
        what = "this is a file, not a folder" if held else "there is no such folder"
        raise InputError(f"{root}: {what}; give the folder that holds the recordings")
    if labels is None and found_at(root / LABELS) == "file":
        labels = root / LABELS
    if labels is not None and class_from is not None:
        raise InputError(
            f"{labels}: this file tells the classes; leave class_from out, or move the file away"
        )
    files, notes = event_files(root)
    if labels is not None:
        entries, more = read_labels(Path(labels), root, files)
        return _folder(root, entries, "labels", (*notes, *more))
    if not files:
        told = f" ({notes[0]})" if notes else ""
        raise InputError(
            f"{root}: no event file is in this folder or below{told}; give the folder of the recordings"
        )
    top = _narrowed(root, files)
    if top != root:
        notes += (f"All recordings lie in {_shown(top, root)}, which is taken as the folder of classes.",)
    entries, rule, more = _by_place(top, files, class_from)
    return _folder(top, entries, rule, (*notes, *more))


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A key by which names are sorted as people do: numbers by their value, letters whatever their case."""
    parts = [part for part in re.split(r"([0-9]+)", name.casefold()) if part]
    return [(0, int(part[:4000]), "") if part[0] in "0123456789" else (1, 0, part) for part in parts], name


def event_files(root: AnyPath) -> tuple[list[Path], tuple[str, ...]]:
    """Event files at any depth, in natural order of their paths, and sentences about others."""
    root, left = Path(root), LeftOut()
    found = [met.path for met in met_in(root, left)]
    found.sort(key=lambda path: natural(str(path.relative_to(root))))
    return found, left.notes(root)


class Met(NamedTuple):
    """An event file, or what is to be taken for a damaged one; with its bytes, and its kind where that was asked."""

    path: Path
    size: int
    kind: Kind | None


class LeftOut:
    """Files that are no event files: some of them by name, and how many there are."""

    def __init__(self) -> None:
        self._first: list[tuple[Path, str | None]] = []
        self._count = 0

    def add(self, path: AnyPath, what: str | None) -> None:
        """One more, and what it is, where that is known."""
        self._count += 1
        self._first.append((Path(path), what))
        self._first.sort(key=lambda pair: natural(str(pair[0])))
        del self._first[NAMED:]

    def notes(self, root: AnyPath) -> tuple[str, ...]:
        """A sentence about them, where there are any."""
        if not self._count:
            return ()
        named = [_shown(path, Path(root)) + (f" is {what}" if what else "") for path, what in self._first]
        return (
            f"Files that are no event files by their content were left out: {listed(named, self._count)}.",
        )


def met_in(root: AnyPath, left: LeftOut) -> Iterator[Met]:
    """Event files at any depth, in the order in which they are met; ``left`` is told of others."""
    root = Path(root)
    for folder, name in walk(root):
        inside = folder.relative_to(root).parts
        if name.startswith(".") or any(part.startswith(".") or part in _SYSTEM for part in inside):
            continue
        path = folder / name
        if path == root / LABELS or found_at(path) != "file":
            continue
        size, suffix = path.stat().st_size, path.suffix.lower()
        if suffix in (_OF_DAMAGED if size else _OF_EMPTY):
            yield Met(path, size, None)
        elif size and _holds_events(path, kind := kind_of(path)):
            yield Met(path, size, kind)
        else:
            left.add(path, other_kind(path) if size else "empty")


def _holds_events(path: Path, kind: Kind | None) -> bool:
    if kind in ("npy", "npz"):
        return has_events(path, kind)
    return kind not in _OTHERS


def _narrowed(root: Path, files: Sequence[Path]) -> Path:
    """The folder below in which all recordings lie, as long as those above hold it alone and it is no class or part."""
    while True:
        inner = [path.relative_to(root).parts for path in files]
        name = inner[0][0]
        if name.lower() in SPLITS or any(parts[0] != name or len(parts) <= 2 for parts in inner):
            return root
        root = root / name


def _by_place(
    root: Path, files: Sequence[Path], class_from: str | None
) -> tuple[list[Entry], Rule, tuple[str, ...]]:
    split_of: dict[Path, Split | None] = {path: _part(path.relative_to(root)) for path in files}
    parts = any(split_of.values())
    beside = [path for path in files if parts and split_of[path] is None]
    notes: tuple[str, ...] = ()
    if beside:
        notes += (f"Recordings that lie in no part were left out: {_some(beside, root)}.",)
        files = [path for path in files if split_of[path] is not None]
    if class_from is not None:
        pattern = _pattern(class_from)
        return [Entry(path, _class_in(path, pattern), split_of[path]) for path in files], "names", notes
    below = {path: path.relative_to(root).parts[int(parts) :] for path in files}
    classed = [path for path in files if len(below[path]) > 1]
    loose = [path for path in files if len(below[path]) == 1]
    if classed:
        if loose:
            notes += (f"Recordings that lie in no class's folder were left out: {_some(loose, root)}.",)
        names = {below[path][0] for path in classed}
        if len(names) == 1:
            notes += (
                f"All recordings lie in one folder, {one_line(*names)}, and so in one class; give this folder itself "
                "if each file is a class.",
            )
        return [Entry(path, below[path][0], split_of[path]) for path in classed], "folders", notes
    if parts:
        named = ", ".join(sorted({path.relative_to(root).parts[0] for path in loose}))
        raise InputError(
            f"{root}: recordings lie in parts ({named}) but in no folders of classes; put each class into a folder, "
            f"add {LABELS}, or give class_from"
        )
    stems = Counter(path.stem for path in loose)
    return [Entry(p, p.stem if stems[p.stem] == 1 else p.name) for p in loose], "files", notes


def _part(inner: Path) -> Split | None:
    return SPLITS.get(inner.parts[0].lower()) if len(inner.parts) > 1 else None


def _pattern(class_from: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of expressions that will mean something else in a later Python
            return re.compile(class_from)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(f"class_from {class_from!r} is no regular expression ({error}); mend it") from error


def _class_in(path: Path, pattern: re.Pattern[str]) -> str:
    found = pattern.search(path.name)
    name = None if found is None else found[1] if pattern.groups else found[0]
    if not name:
        raise InputError(
            f"{path}: class_from {pattern.pattern!r} finds no class in this name; widen it, or move the file away"
        )
    return name


def _folder(root: Path, entries: Iterable[Entry], rule: Rule, notes: tuple[str, ...]) -> Folder:
    entries = tuple(entries)
    classes = tuple(sorted({entry.label for entry in entries}, key=natural))
    for name in classes:
        if not name.isprintable() or one_line(name) != name:
            raise InputError(f"{root}: {name!r} is no name for a class; rename it with letters and digits")
    return Folder(root, entries, classes, rule, notes)


def _some(paths: Sequence[Path], root: Path) -> str:
    return listed([_shown(path, root) for path in paths[:NAMED]], len(paths))


def _shown(path: Path, root: Path) -> str:
    return one_line(path.relative_to(root))
