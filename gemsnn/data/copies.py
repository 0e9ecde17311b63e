"""The same content more than once: within a part it is read once, between the parts of a split it is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.spikeset import SpikeSet


class Marked(NamedTuple):
    """What identifies the content of one recording or image; ``None`` for one that holds nothing.

    Attributes:
        content: its digest.
        label: its class.
        name: for messages.
    """

    content: str | None
    label: int
    name: str


class Found(NamedTuple):
    """Copies in one list.

    Attributes:
        first: bool ``[n]``, false for what is a copy of an earlier one of the same class.
        copies: pairs of names, the copy first.
        contradictions: pairs of names with the same content and different classes.
    """

    first: NDArray[np.bool_]
    copies: list[tuple[str, str]]
    contradictions: list[tuple[str, str]]


def find(marked: Sequence[Marked]) -> Found:
    """Which of these hold what an earlier one holds."""
    met: dict[tuple[str, int], str] = {}
    other: dict[str, str] = {}
    found = Found(np.ones(len(marked), bool), [], [])
    for position, (content, label, name) in enumerate(marked):
        if content is None:
            continue
        if (before := met.get((content, label))) is not None:
            found.first[position] = False
            found.copies.append((name, before))
            continue
        if content in other:
            found.contradictions.append((name, other[content]))
        met[content, label] = name
        other.setdefault(content, name)
    return found


def notes(what: str, found: Found) -> tuple[str, ...]:
    """Sentences about copies, which were left out, and contradictions, which were not; ``what`` names their kind."""
    said = []
    if found.copies:
        copy, before = found.copies[0]
        said.append(
            f"Copies of other {what} of their class were left out, so that each is read once: {len(found.copies)} "
            f"(first: {copy} is a copy of {before})."
        )
    if found.contradictions:
        one, two = found.contradictions[0]
        said.append(
            f"There are {what} that hold the same as one of another class: {len(found.contradictions)} (first: {one} "
            f"and {two})."
        )
    return tuple(said)


def between(parts: Mapping[str, Sequence[Marked]]) -> tuple[str, ...]:
    """A sentence for each part of which some content lies in a part before it, too."""
    said: list[str] = []
    met: dict[str, Marked] = {}
    before: list[str] = []
    for part, marked in parts.items():
        pairs = [(entry, met[entry.content]) for entry in marked if entry.content in met]
        if pairs:
            contradict = sum(entry.label != other.label for entry, other in pairs)
            one, two = pairs[0]
            under = f", {contradict} of them under another class" if contradict else ""
            said.append(
                f"The {part} part has content of the {' or '.join(before)} part, on which scores say nothing about "
                f"what is new: {len(pairs)} of {len(marked)}{under} (first: {one.name} is {two.name})."
            )
        met |= {entry.content: entry for entry in marked if entry.content is not None}
        before.append(part)
    return tuple(said)


def marks(spikes: SpikeSet, name: Callable[[int], str]) -> list[Marked]:
    """Binned recordings by their content; those without spikes hold nothing."""
    found = []
    for position, (label, address) in enumerate(zip(spikes.labels, spikes.address, strict=True)):
        rows = spikes.recording(position)
        content = rows.digest() if len(rows.held) else None
        found.append(Marked(content, int(label), name(int(address))))
    return found
