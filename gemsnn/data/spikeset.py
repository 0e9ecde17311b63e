"""A set of binned recordings, held compactly: the sequence of presentations that training reads."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gemsnn.data import arrays as given
from gemsnn.data import memory, pairs, set_checks
from gemsnn.data.binning import BinSpec, Polarity
from gemsnn.data.packing import RawEvents, Source, starts_of
from gemsnn.data.readers.units import TimeUnit
from gemsnn.data.reading import Reading, reading_of
from gemsnn.data.tally import Tally
from gemsnn.data.trains import Trains, tensor_of
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.specs import checks
from gemsnn.types import Layout, Presentation, class_target

if TYPE_CHECKING:
    from torch import Tensor

    from gemsnn.data.splits import Splits
    from gemsnn.data.torch_data import TorchRecordings

SPARSE = "rows:"
"""What digests of recordings begin with that are held sparsely."""


@dataclass(frozen=True)
class SpikeSet:
    """Binned recordings, held sparsely.

    A sequence of :class:`~gemsnn.types.Presentation`: ``len(spikes)``, ``spikes[i]``, iteration.

    Raises:
        InputError: at construction, where an array has the wrong type, length or range, or does not fit the others.

    Attributes:
        rows: the inputs that spiked at each step, of all recordings one after the other.
        starts: int64 ``[n + 1]``; recording ``i`` is rows ``starts[i] .. starts[i + 1]``.
        labels: int64 ``[n]``; 0 where there are ``targets``.
        address: int64 ``[n]``, each presentation's own number, which addresses its noise.
        layout: the inputs and classes.
        counts: whether bins hold numbers of events.
        tallies: int64 ``[n, 6]``, what became of each recording's events (the fields of
            :class:`gemsnn.data.tally.Tally`); ``None`` where it was not counted.
        names: the classes' names, ``C`` of them; ``None`` where they have none but their numbers.
        reading: how they became bins, so that others can be read alike; ``None`` where they came as bins.
        source: where their events come from, by their addresses, for what is done to those before they are binned
            (:mod:`gemsnn.data.raw`); ``None`` where that is not known.
        targets: what each of the V output neurons is to do at each step of ``rows``, where they are to learn spike
            trains; the classes of the layout are then those neurons. ``None`` where they are to learn the labels, by
            :func:`~gemsnn.types.class_target`.
    """

    rows: SpikeRows
    starts: NDArray[np.int64]
    labels: NDArray[np.int64]
    address: NDArray[np.int64]
    layout: Layout
    counts: bool = False
    tallies: NDArray[np.int64] | None = None
    names: tuple[str, ...] | None = None
    reading: Reading | None = None
    source: Source | RawEvents | None = None
    targets: SpikeRows | None = None

    def __post_init__(self) -> None:
        """Check that the arrays fit one another, the classes and the inputs."""
        checks.fields(self)
        set_checks.check(self)

    @staticmethod
    def from_arrays(
        arrays: given.Arrays,
        labels: given.Labels = None,
        *,
        bin_us: int,
        targets: given.Arrays = None,
        counts: bool = False,
        names: Sequence[str] | None = None,
        classes: int | None = None,
        transform: Callable[[Any], Any] | None = None,
    ) -> SpikeSet:
        """Recordings from arrays of spikes, bin by bin.

        They are taken one at a time, once, so they may come from a generator; what is kept of each are its spikes, two
        bytes each.

        Args:
            arrays: ``[n, T, M]`` or ``[n, T, channels, height, width]``, or n recordings ``[T, M]`` or ``[T, channels,
                height, width]`` of any lengths: 0 or 1 in each bin; or pairs of a recording and its label or target.
            labels: the class of each, whole numbers from 0 on or texts.
            bin_us: the width of a bin in microseconds.
            targets: in place of labels, what V output neurons are to spike while they are shown each: ``[n, T, V]``, or
                n arrays ``[T, V]`` of 0 and 1, each as long as its recording.
            counts: bins hold numbers of events, up to 255.
            names: of the classes, in their order, so that several sets have the same; by default, of texts, those
                that occur, sorted.
            classes: how many there are, where they have no names; by default as many as occur.
            transform: what makes such an array of each recording, as tonic's ``ToFrame`` makes frames of events.

        Raises:
            InputError: an array has the wrong shape or range, or a label is none.

        >>> import numpy as np
        >>> spikes = np.zeros((2, 5, 3), bool)
        >>> some = SpikeSet.from_arrays(spikes, ["left", "right"], bin_us=1000)
        >>> len(some), some.names, some.layout.inputs
        (2, ('left', 'right'), 3)
        >>> echo = SpikeSet.from_arrays(spikes, targets=spikes[:, :, :2], bin_us=1000)
        >>> echo[0].target.shape
        torch.Size([5, 2])
        """
        each, taught = pairs.with_taught(arrays, labels, targets)
        rows, sheet = given.rows_of(given.transformed(each, transform), counts=counts)
        return SpikeSet._teaching(
            rows, taught, Layout(*sheet, 1, bin_us), counts=counts, names=names, classes=classes
        )

    @staticmethod
    def from_events(
        events: Iterable[Any],
        labels: given.Labels = None,
        *,
        bin_us: int,
        targets: given.Arrays = None,
        sensor: tuple[int, int] | None = None,
        steps: int | None = None,
        crop: tuple[int, int, int, int] | None = None,
        pool: int = 1,
        polarity: Polarity = "two",
        counts: bool = False,
        pad: bool = False,
        time_unit: TimeUnit = "us",
        names: Sequence[str] | None = None,
        classes: int | None = None,
        transform: Callable[[Any], Any] | None = None,
    ) -> SpikeSet:
        """Recordings from events in memory, as tonic and others give them; a network that learns them reads others so.

        Each is an array of events with named fields, in any order and type: ``x``, ``y``, ``t`` and ``p`` (other names
        are known, see :mod:`gemsnn.data.memory`), 0 and 1, -1 and 1 or truth values for OFF and ON; a row of channels
        needs no ``y``. Its time begins at its first event. A :class:`~gemsnn.data.events.Recording` of a
        reader's, and an array of the dtype :data:`~gemsnn.data.events.EVENT`, keep their own.

        They are taken one at a time, once. What is kept of each are its spikes, two bytes each, and its events, eight
        bytes each, for augmentation; where ``sensor`` is not given, all events are held until the last has come.

        Args:
            events: the recordings; or pairs of a recording and its label.
            labels: as in :meth:`from_arrays`.
            bin_us: the width of a bin in microseconds.
            targets: as in :meth:`from_arrays`, a row for each of the bins that a recording gets.
            sensor: width and height in pixels; by default what the recordings tell, or the extent of their events.
            steps: bins of a presentation, longer recordings are cut; by default as many as the longest has.
            crop: the part to look at, ``(x0, y0, width, height)`` in pixels.
            pool: pixels a side of the squares that share an input.
            polarity: two channels (OFF, ON) a pixel, or ``"merged"`` into one.
            counts: numbers of events, up to 255, instead of whether there was one.
            pad: fill shorter recordings with empty bins; else each is as long as its events last.
            time_unit: of times whose field's name does not tell it, as ``t_ms`` does: ``us``, ``ms``, ``s`` or ``ns``.
            names: see :meth:`from_arrays`.
            classes: see :meth:`from_arrays`.
            transform: what makes events of events before they are binned, as tonic's ``Denoise`` does. It is no part of
                how a model that learns these reads others: do the same to those.

        Raises:
            InputError: a recording's fields or values are none of events, its times cannot be in this unit, it does not
                fit the sensor, or the bins make nothing of the recordings.

        >>> import numpy as np
        >>> one = np.array([(7, 3, 0, 1), (2, 3, 1900, 0)], [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "i1")])
        >>> some = SpikeSet.from_events([one, one[:1]], ["turn", "stop"], bin_us=1000, sensor=(8, 4))
        >>> some.layout.inputs, [len(some.recording(i)) for i in range(2)]
        (64, [2, 1])
        """
        spec = BinSpec(bin_us, steps, crop, polarity, counts, pad, pool)
        each, taught = pairs.with_taught(events, labels, targets)
        held = memory.binned(given.transformed(each, transform), spec, sensor=sensor, time_unit=time_unit)
        for note in held.notes:
            warnings.warn(note, stacklevel=2)
        size = held.raw.width, held.raw.height
        made = SpikeSet._teaching(
            held.rows, taught, spec.layout(*size, 1), counts=counts, names=names, classes=classes
        )
        outputs = "classes" if made.targets is None else "spike trains"
        reading = reading_of(held.spec, size, made.layout, made.names or (), time_unit, outputs)
        return replace(made, tallies=held.tallies, reading=reading, source=held.raw)

    @staticmethod
    def _teaching(
        rows: Sequence[SpikeRows],
        taught: Any,
        layout: Layout,
        *,
        counts: bool,
        names: Sequence[str] | None,
        classes: int | None,
    ) -> SpikeSet:
        """Recordings with what they teach, see :func:`pairs.with_taught`; the layout but for its classes."""
        if pairs.are_targets(taught):
            if names is not None or classes is not None:
                raise InputError(
                    "names and classes have no effect with targets, which are of no class; leave them out"
                )
            layout = layout._replace(classes=taught[0].inputs)
            return SpikeSet.from_bins(rows, None, layout, counts=counts, targets=taught)
        found, known, number = given.numbered(taught, names, classes)
        layout = layout._replace(classes=number)
        return replace(SpikeSet.from_bins(rows, found, layout, counts=counts), names=known)

    @staticmethod
    def from_bins(
        bins: Iterable[NDArray[np.uint8] | SpikeRows],
        labels: Sequence[int] | None,
        layout: Layout,
        *,
        counts: bool,
        targets: Sequence[SpikeRows] | None = None,
    ) -> SpikeSet:
        """Recordings, densely uint8 ``[T, M]`` or as rows, taken one at a time, so that dense they never coexist.

        Args:
            bins: the recordings; 0 or 1 in each bin, but with ``counts`` any number up to 255.
            labels: their classes, as many; ``None`` with targets.
            layout: the inputs and classes.
            counts: whether bins hold numbers of events.
            targets: what output neurons are to spike, as many, each as long as its recording.

        Raises:
            InputError: a recording has the wrong type, shape or range, or the labels or targets do not fit.
        """
        rows = [
            set_checks.rows_of(spikes, position, layout, counts=counts)
            for position, spikes in enumerate(bins)
        ]
        if targets is not None:
            set_checks.check_targets(targets, rows, layout.classes)
        labels = [0] * len(rows) if labels is None else labels
        if len(labels) != len(rows):
            raise InputError(
                f"labels must be as many as the {len(rows)} recordings of bins, not {len(labels)}"
            )
        if any(int(label) != label for label in labels):
            raise InputError(f"labels must be whole numbers, not {list(labels)}")
        return SpikeSet(
            rows=SpikeRows.join(rows, layout.inputs, counts=counts),
            starts=starts_of(map(len, rows)),
            labels=np.asarray(labels, np.int64),
            address=np.arange(len(rows), dtype=np.int64),
            layout=layout,
            counts=counts,
            targets=None if targets is None else SpikeRows.join(targets, layout.classes),
        )

    def __len__(self) -> int:
        """The number of recordings."""
        return len(self.labels)

    def bins(self, position: int) -> NDArray[np.uint8]:
        """The spikes of one recording, uint8 ``[T, M]``."""
        return self.recording(position).dense()

    def recording(self, position: int) -> SpikeRows:
        """The spikes of one recording, in the memory of the set."""
        position = self._place(position)
        return self.rows.part(int(self.starts[position]), int(self.starts[position + 1]))

    def __getitem__(self, position: int) -> Presentation:
        """One presentation."""
        position = self._place(position)
        label, address = int(self.labels[position]), int(self.address[position])
        return Presentation(self.recording(position), self.target(position), label, address)

    def target(self, position: int) -> Tensor:
        """What the visible neurons should do in one recording, uint8 ``[T, V]``."""
        position = self._place(position)
        low, high = int(self.starts[position]), int(self.starts[position + 1])
        if self.targets is not None:
            return tensor_of(self.targets.part(low, high))
        return class_target(int(self.labels[position]), high - low, self.layout.classes)

    def _place(self, position: int) -> int:
        """A position from 0 on; negative ones count from the end.

        Raises:
            IndexError: there is no such recording, which also ends an iteration.
        """
        if not -len(self) <= position < len(self):
            raise IndexError(f"position {position} of {len(self)} recordings")
        return position % len(self)

    @property
    def trains(self) -> Trains | None:
        """What there is to know of the targets, where there are any."""
        return None if self.targets is None else Trains.of(self.targets)

    @property
    def longest(self) -> int:
        """Steps of the longest recording; of none, 1."""
        return int(np.diff(self.starts).max(initial=1))

    def digest(self) -> str:
        """SHA-256 of all spikes and labels: equal where two sets hold the same recordings in the same order."""
        found = hashlib.sha256(self.rows.digest().encode())
        if self.targets is not None:
            found.update(self.targets.digest().encode())
        for part in (self.starts, self.labels, self.address):
            found.update(np.ascontiguousarray(part).data)
        return f"{SPARSE}{found.hexdigest()}"

    def is_of(self, digest: str) -> bool:
        """Whether this is the set that a digest was taken of, also one of when recordings were bits side by side."""
        if digest.startswith(SPARSE):
            return digest == self.digest()
        found = hashlib.sha256()
        for position in range(len(self)):
            bins = self.bins(position)
            found.update((bins if self.counts else np.packbits(bins, axis=1)).data)
        for part in (self.starts, self.labels, self.address):
            found.update(np.ascontiguousarray(part).data)
        return digest == found.hexdigest()

    def select(self, positions: NDArray[np.int64] | Sequence[int] | slice) -> SpikeSet:
        """The recordings at these positions, in this order, each keeping its address.

        Raises:
            InputError: a position is none.
        """
        try:
            chosen = np.atleast_1d(np.arange(len(self))[positions])
        except IndexError as error:
            raise InputError(f"positions must be those of {len(self)} recordings ({error})") from None
        lengths = self.starts[chosen + 1] - self.starts[chosen]

        def of(rows: SpikeRows) -> list[SpikeRows]:
            return [rows.part(int(self.starts[i]), int(self.starts[i + 1])) for i in chosen.tolist()]

        return replace(
            self,
            rows=SpikeRows.join(of(self.rows), self.layout.inputs, counts=self.counts),
            starts=starts_of(lengths),
            labels=self.labels[chosen],
            address=self.address[chosen],
            tallies=None if self.tallies is None else self.tallies[chosen],
            targets=None if self.targets is None else SpikeRows.join(of(self.targets), self.layout.classes),
        )

    def split(self, *, validation: float = 0.1, test: float = 0.2) -> Splits:
        """Three parts that :func:`gemsnn.fit` and :func:`gemsnn.score` take, stratified, the same at every call.

        Args:
            validation: the share of what is not for testing on which settings and temperatures are chosen.
            test: the share to test on.

        Raises:
            InputError: a share is not at least 0 and below 1.
        """
        from gemsnn.data.parts import split_validation  # which read into such sets
        from gemsnn.data.splits import Splits

        rest, tested = split_validation(self, test)
        return Splits(*split_validation(rest, validation), tested)

    def padded(self, steps: int) -> SpikeSet:
        """The same recordings with empty steps after the last of each, so that none is shorter than ``steps``."""
        if self.targets is not None:
            raise InputError("recordings with targets cannot be padded: what to do there, no target says")
        lengths = np.maximum(self.starts[1:] - self.starts[:-1], steps)
        rows = [self.recording(i).padded(length) for i, length in enumerate(lengths.tolist())]
        joined = SpikeRows.join(rows, self.layout.inputs, counts=self.counts)
        return replace(self, rows=joined, starts=starts_of(lengths))

    def first(self, count: int) -> SpikeSet:
        """The first recording of every class, then the second, .., so many in all."""
        return self.select(interleaved(self.labels.tolist())[:count])

    def as_torch(
        self, *, frames: bool = False, transform: Callable[[Tensor], Any] | None = None
    ) -> TorchRecordings:
        """The same recordings as a data set of torch, whose items are pairs of bins and label, made when asked for.

        Bins are uint8 ``[T, M]``, and labels whole numbers, or in place of them targets, uint8 ``[T, V]``. Its
        ``collate`` lays recordings of unequal lengths side by side: ``DataLoader(data, 16, collate_fn=data.collate)``
        gives ``bins`` ``[B, T, ..]``, ``taught`` and ``length``, see :class:`gemsnn.data.torch_data.Padded`.

        Args:
            frames: bins are ``[T, channels, height, width]``.
            transform: what is made of the bins of each recording, such as ``Tensor.float``.
        """
        from gemsnn.data.torch_data import TorchRecordings

        return TorchRecordings(self, frames=frames, transform=transform)

    def counts_per_input(self) -> NDArray[np.int64]:
        """Spikes (or events, for counts) of each input over each whole recording, int64 ``[n, M]``."""
        counts = np.zeros((len(self), self.layout.inputs), np.int64)
        for position in range(len(self)):
            counts[position] = self.recording(position).per_input()
        return counts

    def merged(self) -> SpikeSet:
        """The same recordings with ON and OFF merged into one channel: OR of bits, sum of counts."""
        if self.layout.channels == 1:
            return self
        layout = self.layout._replace(channels=1)
        bins = (self.recording(i).merged(self.layout.channels, counts=self.counts) for i in range(len(self)))
        merged = SpikeSet.from_bins(bins, self.labels.tolist(), layout, counts=self.counts)
        tallies = self.tallies
        if tallies is not None and self.counts:  # bins of counts that were joined hold at most 255, too
            lost = self.counts_per_input().sum(axis=1) - merged.counts_per_input().sum(axis=1)
            moved = np.array([[-(name == "kept") + (name == "capped") for name in Tally._fields]])
            tallies = tallies + lost[:, None] * moved
        reading = None if self.reading is None else replace(self.reading, layout=layout)
        return replace(self, rows=merged.rows, layout=layout, tallies=tallies, reading=reading)


def interleaved(labels: Sequence[int]) -> list[int]:
    """Positions with the classes interleaved: the first of each class, then the second of each, .."""
    met = Counter[int]()
    ranked = []
    for position, label in enumerate(labels):
        ranked.append((met[label], label, position))
        met[label] += 1
    return [position for _, _, position in sorted(ranked)]
