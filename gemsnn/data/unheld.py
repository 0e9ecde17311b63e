"""Recordings that are learned without being held: a sequence gives each when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from gemsnn.data import arrays, pairs, trains
from gemsnn.data.reading import Reading, reading_of_bins
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.trains import Trains
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.types import Layout, Presentation, Progress, class_target


class PairSequence(Protocol):
    """Pairs of a recording and its label, or its target, by position: as a data set of torch is."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Any: ...


def is_sequence(given: object) -> bool:
    """Whether this makes its items when they are asked for by position; a list or an array holds them already."""
    by_position = hasattr(given, "__len__") and hasattr(given, "__getitem__")
    held = isinstance(given, (SpikeSet, list, tuple, str, bytes, dict)) or hasattr(given, "dtype")
    return by_position and not held


@dataclass(frozen=True, eq=False)
class Unheld:
    """Recordings that a sequence gives when they are asked for; nothing of them is kept.

    A sequence of :class:`~gemsnn.types.Presentation`, whose addresses are their positions.

    Attributes:
        given: the sequence.
        reading: how recordings become bins.
        trains: what there is to know of the targets; ``None`` where classes are learned.
    """

    given: PairSequence
    reading: Reading
    trains: Trains | None = None

    @property
    def layout(self) -> Layout:
        """The inputs and classes."""
        return self.reading.layout

    def __len__(self) -> int:
        """The number of recordings."""
        return len(self.given)

    def __getitem__(self, position: int) -> Presentation:
        """One presentation, made of what the sequence gives now.

        Raises:
            InputError: that is no pair, or does not fit the others.
        """
        recording, taught = pairs.apart(self.given[position], position)
        rows = self.reading.rows(recording, f"recording {position}")
        classes = self.layout.classes
        if isinstance(taught, SpikeRows) == (self.trains is None):
            raise InputError(f"recording {position} has a label where others have targets, or the reverse")
        if self.trains is not None:
            trains.check_fits(taught, position, len(rows), classes)
            import torch

            return Presentation(rows, torch.from_numpy(taught.dense()), 0, position)
        (label,), _ = arrays.classes_of([taught], self.reading.names)
        if not 0 <= label < classes:
            raise InputError(f"the label {label} of recording {position} is none of the {classes} classes")
        return Presentation(rows, class_target(label, len(rows), classes), label, position)


def look_at(
    given: PairSequence,
    *,
    reading: Reading | None,
    bin_us: int,
    counts: bool,
    progress: Progress | None = None,
) -> Unheld:
    """What a sequence gives, gone through once for what its recordings have in common.

    Args:
        given: the sequence.
        reading: how they become bins; ``None`` where they are bins already.
        bin_us: the width of those.
        counts: whether those hold numbers of events.
        progress: shows how far the work is.

    Raises:
        InputError: one is no pair or no recording, or differs from the others in its inputs or in what it teaches.
    """
    shown = (given[position] for position in range(len(given)))
    labels: list[Any] = []
    known: Trains | None = None
    sheet, longest = None, 1
    for position, item in enumerate(
        shown if progress is None else progress(shown, len(given), "looking at recordings")
    ):
        recording, taught = pairs.apart(item, position)
        if reading is None:
            rows, sheet = arrays.sparse(recording, f"recording {position}", sheet, counts=counts)
        else:
            rows = reading.rows(recording, f"recording {position}")
        longest = max(longest, len(rows))
        if isinstance(taught, SpikeRows):
            trains.check_fits(taught, position, len(rows), taught.inputs if known is None else known.neurons)
            known = Trains.of(taught) if known is None else known.and_of(taught)
        else:
            labels.append(taught)
    if not len(given) or (labels and known is not None):
        raise InputError("recordings must be one or more, and all have labels or all have targets")
    if reading is None:
        assert sheet is not None
        _, names, number = (
            arrays.numbered(labels, None, None) if known is None else (None, None, known.neurons)
        )
        reading = reading_of_bins(
            Layout(*sheet, number, bin_us), longest, names, counts=counts, outputs=_outputs(known)
        )
    elif reading.outputs != _outputs(known):
        raise InputError(
            f"the reading is that of {reading.outputs}, and the recordings have {_outputs(known)}"
        )
    return Unheld(given, reading, known)


def _outputs(known: Trains | None) -> Any:
    return "classes" if known is None else "spike trains"
