"""Recordings of one's own, in a folder: classes, parts, windows, and the bins and inputs that suit them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gemsnn.data.binning import BinSpec
from gemsnn.data.events import Recording, mended
from gemsnn.data.folders import Folder, find_recordings
from gemsnn.data.labels import Entry
from gemsnn.data.parts import Item, Listing, hold_out_by_class, missing_in
from gemsnn.data.readers.files import read_recording
from gemsnn.data.readers.units import TimeUnit
from gemsnn.data.sets.survey import Damaged, Seen, choose, survey
from gemsnn.data.tally import MOST_NAMED, NAMED, listed
from gemsnn.errors import InputError
from gemsnn.types import AnyPath, Progress

WINDOW_MS = 500.0
"""Of a class a file, where nobody says how long its windows are."""

HELD = 2**23
"""Files stay in memory while stretches are cut from them, until they hold so many events."""

VALIDATED, TESTED = 0.1, 0.2
"""Of the time of a file that is a class, the shares before the end that validate, and at the end that test."""


class Found(NamedTuple):
    """A folder as it is to be read.

    Attributes:
        listing: the recordings.
        bins: the bins that were given, with what they left open chosen.
        chosen: what was chosen, in a sentence.
    """

    listing: Listing
    bins: BinSpec
    chosen: str


class Stretch(NamedTuple):
    """Where a recording lies: a file, and the microseconds of its time from ``begin_us`` up to ``end_us``."""

    path: Path
    begin_us: int | None = None
    end_us: int | None = None


def find(
    root: AnyPath,
    bins: BinSpec,
    *,
    bin_us: int | None = None,
    pool: int | None = None,
    class_from: str | None = None,
    labels: AnyPath | None = None,
    window_ms: float | None = None,
    time_unit: TimeUnit | None = None,
    sensor: tuple[int, int] | None = None,
    names: tuple[str, ...] = (),
    skip_damaged: bool = False,
    progress: Progress | None = None,
) -> Found:
    """The recordings of a folder, see :func:`gemsnn.data.folders.find_recordings` for classes and parts.

    Recordings without a part: the last 20 % of each class, in natural order of their names, test. A file that is a
    class is cut into windows end to end; the first of them train, then 10 % of its time validates and the last 20 %
    test, so that no moment is on two sides.

    Args:
        root: the folder.
        bins: what was chosen of them; see :func:`gemsnn.data.sets.survey.choose` for what counts as open.
        bin_us: the width of a bin, which that of ``bins`` does not say; by default it is chosen.
        pool: pixels a side of the squares that share an input, likewise.
        class_from: a regular expression on the files' names.
        labels: a labels file.
        window_ms: the length of windows, where each file is a class; :data:`WINDOW_MS` by default.
        time_unit: of files that do not tell it.
        sensor: width and height in pixels; by default those that the files tell, or the events' extent.
        names: of all classes, in the order of their labels, of which some may be missing here; by default those that
            are here. Where they are given, ``window_ms`` holds only if files are classes.
        skip_damaged: leave out damaged files, and name and count them.
        progress: shows how far the reading is.

    Raises:
        InputError: there are no recordings, a file is damaged, classes or units cannot be told, or numbers do not fit.
    """
    folder = find_recordings(root, class_from=class_from, labels=labels)
    seen = survey(folder.root, [entry.path for entry in folder.entries], time_unit, progress=progress)
    entries, notes = _sound(folder, seen, skip=skip_damaged)
    facts = {entry.path: found for entry in entries if isinstance(found := seen[entry.path], Seen)}
    if window_ms is not None and folder.rule != "files" and not names:
        raise InputError(
            f"{root}: window_ms cuts files that are classes, and here classes are {_RULES[folder.rule]}"
        )
    width, height = _sensor(facts, sensor)
    names = names_of(folder.root, folder.classes, names)
    number = {name: label for label, name in enumerate(names)}
    if folder.rule == "files":
        window_us = round(1000 * (WINDOW_MS if window_ms is None else window_ms))
        parts, told = _windows(folder.root, entries, facts, number, window_us)
        divided = False
        lengths = [found._replace(duration_us=window_us - 1) for found in facts.values()]
    else:
        parts, told = _parts(folder.root, entries, number)
        divided = not told
        lengths = [_cut(facts[entry.path], entry) for entry in entries]
    bins = choose(lengths, width, height, bins, bin_us=bin_us, pool=pool)
    assumed = [*dict.fromkeys(note for found in facts.values() for note in found.notes)]
    if len(assumed) > NAMED:
        assumed = [*assumed[:NAMED], f"And {len(assumed) - NAMED} more notes of that kind."]
    repairs = sum((Counter(found.repairs) for found in facts.values()), Counter[str]())
    notes = (*folder.notes, *notes, *mended(repairs), *assumed, *told)
    listing = Listing(
        "events", folder.root, parts["train"], parts["test"], _Read(time_unit, (width, height)), width, height,
        len(names), (*notes, *missing_in(parts["train"], parts["test"], names)),
        names=names, validation=parts["validation"] or None, divided=divided,
    )  # fmt: skip
    return Found(listing, bins, _said(folder, len(entries), bins, width, height))


_RULES = {
    "labels": "those of a labels file",
    "names": "in the files' names",
    "folders": "folders",
    "files": "files",
}


def _sound(
    folder: Folder, seen: dict[Path, Seen | Damaged], *, skip: bool
) -> tuple[list[Entry], tuple[str, ...]]:
    """The entries whose files can be read and hold events."""
    damaged = {path: found.why for path, found in seen.items() if isinstance(found, Damaged)}
    if damaged and not skip:
        more = f" ({len(damaged)} of {len(seen)} files are damaged)" if len(damaged) > 1 else ""
        raise InputError(
            f"{next(iter(damaged.values()))}{more}; mend or remove what is damaged, or leave it out with skip_damaged "
            "(--skip-damaged)"
        )
    entries = [entry for entry in folder.entries if entry.path not in damaged]
    if not entries:
        first = next(iter(damaged.values()))
        raise InputError(f"{folder.root}: all {len(damaged)} files are damaged, the first: {first}")
    if not damaged:
        return entries, ()
    named = listed(list(damaged.values())[:NAMED], len(damaged))
    return entries, (f"Damaged files were left out: {len(damaged)} of {len(seen)} ({named}).",)


def names_of(where: AnyPath, classes: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """The classes' names, in the order of their labels: those that are here, or those that a network knows.

    Raises:
        InputError: there is one class alone, or one that the network does not know.
    """
    if not known:
        if len(classes) < 2:
            raise InputError(
                f"{where}: all recordings are of one class, {listed(classes, 1)}, so there is nothing to tell apart; "
                "give the folder that holds several"
            )
        return classes
    other = [name for name in classes if name not in known]
    if other:
        raise InputError(
            f"{where}: the network knows no class {listed(other[:MOST_NAMED], len(other))}, but "
            f"{listed(known[:MOST_NAMED], len(known))}; name classes as in its training"
        )
    return known


def _sensor(facts: dict[Path, Seen], given: tuple[int, int] | None) -> tuple[int, int]:
    """Width and height of the one sensor of all recordings."""
    told: dict[tuple[int, int], Path] = {}
    for path, found in facts.items():
        if not found.inferred:
            told.setdefault((found.width, found.height), path)
    width, height = (max(getattr(found, side) for found in facts.values()) for side in ("width", "height"))
    if given is None and len(told) > 1:
        (one, here), (two, there) = list(told.items())[:2]
        raise InputError(
            f"{there}: its sensor has {two[0]} x {two[1]} pixels and that of {here} {one[0]} x {one[1]}; give "
            f"recordings of one sensor, or, if their pixels mean the same, sensor {width}x{height} (--sensor)"
        )
    size, whence = (given, "was given") if given else (next(iter(told), None), "other files tell")
    if size is None:
        return width, height
    for path, found in facts.items():
        x, y = found.box[2:]
        if x >= size[0] or y >= size[1]:
            raise InputError(
                f"{path}: an event at ({x}, {y}) lies outside the sensor of {size[0]} x {size[1]} pixels that "
                f"{whence}; give its true size with sensor (--sensor), or leave the file out"
            )
    return size


def _windows(
    root: Path, entries: Sequence[Entry], facts: dict[Path, Seen], number: dict[str, int], window_us: int
) -> tuple[dict[str, list[Item]], tuple[str, ...]]:
    """Windows of files that are classes, in the parts of their time."""
    if window_us < 1:
        raise InputError(f"window_ms must be at least 0.001, not {window_us / 1000:g}")
    parts: dict[str, list[Item]] = {"train": [], "validation": [], "test": []}
    each: list[tuple[str, Entry, int]] = []
    for entry in entries:
        count = (facts[entry.path].duration_us + 1) // window_us
        if count < 3:
            raise InputError(
                f"{entry.path}: it lasts {facts[entry.path].duration_us / 1e6:.3g} s, which makes {count} windows of "
                f"{window_us / 1000:g} ms; three are needed, to train, validate and test: give a shorter window_ms"
            )
        tested, validated = max(1, round(TESTED * count)), max(1, round(VALIDATED * count))
        for at in range(count):
            part = (
                "test"
                if at >= count - tested
                else "train"
                if at < count - tested - validated
                else "validation"
            )
            each.append((part, entry, at))
    order = {part: index for index, part in enumerate(parts)}
    for index, (part, entry, at) in enumerate(sorted(each, key=lambda row: order[row[0]])):
        stretch = Stretch(entry.path, at * window_us, (at + 1) * window_us)
        name = f"{entry.path.relative_to(root)} from {at * window_us / 1e6:g} s"
        parts[part].append(Item(number[entry.label], index, stretch, name, entry.path))
    sizes = ", ".join(f"{len(some)} {part}" for part, some in parts.items())
    return parts, (
        f"Each file is a class, cut into windows of {window_us / 1000:g} ms: of its time the first part trains, then "
        f"{VALIDATED:.0%} validate and the last {TESTED:.0%} test ({sizes}).",
    )


def _parts(
    root: Path, entries: Sequence[Entry], number: dict[str, int]
) -> tuple[dict[str, list[Item]], tuple[str, ...]]:
    """Recordings in the parts that the folder gives them, or that they are given here."""
    parts: dict[str, list[Item]] = {"train": [], "validation": [], "test": []}
    order = {"train": 0, None: 0, "validation": 1, "test": 2}
    for index, entry in enumerate(sorted(entries, key=lambda one: order[one.split])):
        name = str(entry.path.relative_to(root)) if entry.path.is_relative_to(root) else str(entry.path)
        if entry.begin_us is not None:
            name += f" from {entry.begin_us / 1e6:g} s"
        stretch = Stretch(entry.path, entry.begin_us, entry.end_us)
        parts[entry.split or "train"].append(Item(number[entry.label], index, stretch, name, entry.path))
    return parts, hold_out(root, parts)


def hold_out(root: AnyPath, parts: dict[str, list[Item]]) -> tuple[str, ...]:
    """Where no recording tests, the last 20 % of each class do from now on, of which a sentence tells.

    Raises:
        InputError: no class has a second recording.
    """
    if parts["test"]:
        return ()
    parts["train"], parts["test"] = hold_out_by_class(parts["train"])
    if not parts["test"]:
        raise InputError(
            f"{root}: no class has a second recording, and some must be held out to test; give more, or put them into "
            "the part test"
        )
    return (
        f"There is no test part: the last 20 % of each class ({len(parts['test'])} recordings) are held out as test.",
    )


def _cut(found: Seen, entry: Entry) -> Seen:
    """What is seen of a stretch."""
    begin, end = entry.begin_us or 0, found.duration_us if entry.end_us is None else entry.end_us
    return found._replace(duration_us=max(0, min(end, found.duration_us) - begin))


def _said(folder: Folder, count: int, bins: BinSpec, width: int, height: int) -> str:
    grid = bins.grid(width, height)
    window = ""
    if bins.crop is not None:
        window = f", of which {grid.window[0]} x {grid.window[1]} from ({bins.crop[0]}, {bins.crop[1]})"
    pooled = "" if grid.is_whole else f", pooled to {grid.cells[0]} x {grid.cells[1]}"
    sides = f"{width} x {height} pixels" if height > 1 else f"{width} channels in a row"
    return (
        f"{count} recordings of {len(folder.classes)} classes, which are {_RULES[folder.rule]}; {sides}{window}"
        f"{pooled}; {bins.steps} bins of {bins.bin_us / 1000:g} ms."
    )


@dataclass(frozen=True)
class _Read:
    """Recordings of items, on a sensor of this size; a stretch's time begins where it does."""

    time_unit: TimeUnit | None
    sensor: tuple[int, int]

    def __call__(self, items: Iterable[Item]) -> Iterator[Recording]:
        held: dict[Path, Recording] = {}
        for item in items:
            stretch: Stretch = item.source
            recording = held.get(stretch.path)
            if recording is None:
                recording = read_recording(stretch.path, time_unit=self.time_unit)
            events = recording.events
            if stretch.begin_us is not None or stretch.end_us is not None:
                held[stretch.path] = recording
                while len(held) > 1 and sum(len(each.events) for each in held.values()) > HELD:
                    del held[next(iter(held))]
                first, t = stretch.begin_us or 0, events["t"]
                low = int(t.searchsorted(first))
                high = len(events) if stretch.end_us is None else int(t.searchsorted(stretch.end_us))
                events = events[low:high].copy()
                events["t"] -= first
            width, height = self.sensor
            # what was mended is told of each file, not of each stretch
            yield recording._replace(events=events, width=width, height=height, repairs={})
