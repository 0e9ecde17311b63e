"""Recordings that are learned without being held in memory: asked for anew, or read from a temporary file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

from gemsnn.data import arrays, pairs, trains
from gemsnn.data.arrays import Sheet
from gemsnn.data.pairs import SOME_OF_EACH
from gemsnn.data.reading import Reading, reading_of_bins
from gemsnn.data.spool import Spool
from gemsnn.data.trains import Trains
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.types import Layout, Presentation, Progress, class_target


class PairSequence(Protocol):
    """Pairs of a recording and its label, or its target, by position: as a data set of torch is."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Any: ...


def is_sequence(given: object) -> TypeGuard[PairSequence]:
    """Whether this makes its items when they are asked for by position; a list or an array holds them already."""
    return hasattr(given, "__len__") and hasattr(given, "__getitem__") and not is_held(given)


def is_held(given: object) -> TypeGuard[Iterable[Any]]:
    """Whether this is in memory as a whole."""
    return isinstance(given, (list, tuple, str, bytes, dict)) or hasattr(given, "dtype")


@dataclass(frozen=True, eq=False)
class Asked:
    """Pairs of a sequence, each asked for anew and read."""

    given: PairSequence
    reading: Reading

    def __len__(self) -> int:
        """The number of recordings."""
        return len(self.given)

    def __getitem__(self, position: int) -> tuple[SpikeRows, Any]:
        """One recording, and what it teaches.

        Raises:
            InputError: what the sequence gives is no pair, or does not fit the others.
        """
        recording, taught = pairs.apart(self.given[position], position)
        return self.reading.rows(recording, f"recording {position}"), taught


@dataclass(frozen=True, eq=False)
class Unheld:
    """Recordings of which one at a time is in memory.

    A sequence of :class:`~gemsnn.types.Presentation`, whose addresses are their positions.

    Attributes:
        each: the recordings with what they teach.
        reading: how they became bins.
        trains: what there is to know of the targets; ``None`` where classes are learned.
    """

    each: Asked | Spool
    reading: Reading
    trains: Trains | None = None

    @property
    def layout(self) -> Layout:
        """The inputs and classes."""
        return self.reading.layout

    def __len__(self) -> int:
        """The number of recordings."""
        return len(self.each)

    def __getitem__(self, position: int) -> Presentation:
        """One presentation.

        Raises:
            InputError: it does not fit the others, as a sequence may give another one than at first.
        """
        rows, taught = self.each[position]
        classes = self.layout.classes
        if isinstance(taught, SpikeRows) == (self.trains is None):
            raise InputError(f"recording {position} has a label where others have targets, or the reverse")
        if len(rows) > self.reading.steps or (self.reading.pad and len(rows) < self.reading.steps):
            raise InputError(
                f"recording {position} has {len(rows)} bins where its reading has {self.reading.steps}; give "
                "recordings of this length, which a sequence must not change"
            )
        if self.trains is not None:
            trains.check_fits(taught, position, len(rows), classes)
            return Presentation(rows, trains.tensor_of(taught), 0, position)
        (label,), _ = arrays.classes_of([taught], self.reading.names)
        if not 0 <= label < classes:
            raise InputError(f"the label {label} of recording {position} is none of the {classes} classes")
        return Presentation(rows, class_target(label, len(rows), classes), label, position)


def look_at(
    given: Iterable[Any] | PairSequence,
    *,
    reading: Reading | None,
    bin_us: int,
    counts: bool,
    progress: Progress | None = None,
) -> Unheld:
    """Pairs, gone through once for what their recordings have in common, those of an iterable kept in a file.

    Args:
        given: a sequence, or any iterable.
        reading: how they become bins; ``None`` where they are bins already.
        bin_us: the width of those.
        counts: whether those hold numbers of events.
        progress: shows how far the work is, where the number of recordings is known.

    Raises:
        InputError: one is no pair or no recording, or differs from the others in its inputs or in what it teaches.
    """
    sequence, spool = (given, None) if is_sequence(given) else (None, Spool())
    shown = arrays.items(given)
    if progress is not None and sequence is not None:
        shown = progress(shown, len(sequence), "looking at recordings")
    common = _Common(reading, bin_us, counts)
    for position, item in enumerate(shown):
        recording, taught = pairs.apart(item, position)
        rows = common.add(recording, taught, position)
        if spool is not None:
            spool.add(rows, taught)
    reading = common.settled()
    each = spool if sequence is None else Asked(sequence, reading)
    assert each is not None, "pairs are asked for anew, or kept"
    return Unheld(each, reading, common.trains)


class _Common:
    """What recordings have in common, as far as they have come."""

    def __init__(self, reading: Reading | None, bin_us: int, counts: bool) -> None:
        self.reading, self.bin_us, self.counts = reading, bin_us, counts
        self.labels: dict[Any, None] = {}
        self.trains: Trains | None = None
        self.sheet: Sheet | None = None
        self.longest = 0

    def add(self, recording: Any, taught: Any, position: int) -> SpikeRows:
        """One more, as rows."""
        where = f"recording {position}"
        if self.reading is None:
            rows, self.sheet = arrays.sparse(recording, where, self.sheet, counts=self.counts)
        else:
            rows = self.reading.rows(recording, where)
        self.longest = max(self.longest, len(rows))
        if isinstance(taught, SpikeRows):
            known = self.trains
            trains.check_fits(taught, position, len(rows), taught.inputs if known is None else known.neurons)
            self.trains = Trains.of(taught) if known is None else known.and_of(taught)
        else:
            self.labels[taught] = None
        return rows

    def settled(self) -> Reading:
        """How all became bins.

        Raises:
            InputError: there are none, or some have labels and some targets, or their reading is one of others.
        """
        if not self.longest:
            raise InputError("recordings must be one or more, but there are none")
        if self.labels and self.trains is not None:
            raise InputError(SOME_OF_EACH)
        outputs = "classes" if self.trains is None else "spike trains"
        if self.reading is not None:
            if self.reading.outputs != outputs:
                raise InputError(
                    f"the reading is that of {self.reading.outputs}, and the recordings have {outputs}"
                )
            return self.reading
        assert self.sheet is not None, "there are recordings of bins"
        if self.trains is None:
            _, names, number = arrays.numbered(list(self.labels), None, None)
        else:
            names, number = None, self.trains.neurons
        layout = Layout(*self.sheet, number, self.bin_us)
        return reading_of_bins(layout, self.longest, names, counts=self.counts, outputs=outputs)
