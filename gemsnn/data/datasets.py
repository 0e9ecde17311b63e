"""Data sets by name, with every choice in one spec."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from gemsnn.data import parts
from gemsnn.data.access import found_at
from gemsnn.data.binning import MOST_STEPS, BinSpec, Extent, Polarity
from gemsnn.data.folders import LABELS
from gemsnn.data.generated import load_digits_events, load_image_events
from gemsnn.data.packing import Source
from gemsnn.data.readers import hdf5_spikes
from gemsnn.data.readers.units import TimeUnit
from gemsnn.data.reading import Reading, reading_of
from gemsnn.data.recordings import load_mnist_dvs, load_nmnist
from gemsnn.data.sets import events, spike_files, tonic_sets
from gemsnn.data.sets.catalogue import CATALOGUE
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import MOST, Positive, Probability, Range, Seed
from gemsnn.specs.needs import given, needs, one_of, other_than
from gemsnn.types import LARGEST_SIDE, LONGEST_BIN_US, AnyPath, Progress

DataName = Literal["digits", "mnist-dvs", "nmnist", "images", "events", "touch", "braille", "neurons"]
NAMES: tuple[DataName, ...] = get_args(DataName)
TONIC = "tonic:"
"""What the names of the data sets of tonic begin with."""

OF_FILES = needs(other_than("data", "digits"))
OF_MNIST_DVS = needs(one_of("data", "mnist-dvs"))
OF_EVENTS = needs(one_of("data", "events"))


@dataclass(frozen=True)
class DataSpec:
    """Which recordings, and how they become spikes.

    Attributes:
        data: the data set: digits (built in), mnist-dvs, nmnist, images (npz or IDX files, emulated), events (a folder
            of your own recordings), touch, braille, neurons, or tonic:NAME for one of tonic's.
        root: folder or file of the data set; digits needs none.
        limit: use only the first N presentations of the training and validation parts, and of the test part in
            proportion.
        polarity: two channels (OFF, ON) a pixel, or merged into one.
        bin_us: bin width in microseconds; by default the data set's own (nmnist 5000, images and mnist-dvs 25000), of
            events about a sixtieth of a recording.
        steps: bins of a presentation; by default the data set's own (nmnist 60, images and mnist-dvs 80); auto takes as
            many as the recordings need.
        counts: numbers of events instead of their binary OR.
        pad: fill short recordings with empty bins instead of leaving them short; by default those of
            all sets but events, which may last as long as they like.
        warm_up: share of each recording that a network may take in before its answer counts, in learning as in
            testing.
        validation: share of the training part that is held back to choose settings, where the data set has no such
            part of its own.
        scale: mnist-dvs: the digits' scale, 4, 8 or 16.
        deflicker: mnist-dvs: apply the authors' de-flicker and stabilisation step to raw recordings.
        deflicker_seed: mnist-dvs: the seed of that step's noise.
        crop: the part of the sensor to look at, X,Y,WxH in pixels.
        pool: pixels a side of the squares that share an input; of events by default as many as leave 2500 squares.
        to: inputs that the part is scaled to instead, WxH.
        sensor: events: the sensor's size, WxH; by default what the files tell, or their events' extent.
        class_from: events: a regular expression that finds the class in a file's name.
        labels: events: a table of files, labels, parts and stretches; by default labels.csv in the folder.
        window_ms: events: where each file is a class, the length of the windows that it is cut into (500 by default).
        time_unit: events: the unit of times that do not tell it.
        skip_damaged: leave out damaged recordings; they are named and counted.
    """

    data: str = "digits"
    root: Annotated[Path | None, OF_FILES] = None
    limit: Annotated[int, Range(2, MOST)] | None = None
    polarity: Polarity = "two"
    bin_us: Annotated[int, Range(1, LONGEST_BIN_US)] | None = None
    steps: Annotated[int, Range(1, MOST_STEPS)] | Literal["auto"] | None = None
    counts: bool = False
    pad: bool | None = None
    warm_up: Annotated[float, Range(0, below=1)] = 0.0
    validation: Annotated[Probability, OF_FILES] = 0.1
    scale: Annotated[Literal[4, 8, 16], OF_MNIST_DVS] = 4
    deflicker: Annotated[bool, OF_MNIST_DVS] = False
    deflicker_seed: Annotated[Seed, needs(given("deflicker"))] = 0
    crop: str | None = None
    pool: Extent | None = None
    to: str | None = None
    sensor: Annotated[str | None, OF_EVENTS] = None
    class_from: Annotated[str | None, OF_EVENTS] = None
    labels: Annotated[Path | None, OF_EVENTS] = None
    window_ms: Annotated[Positive | None, OF_EVENTS] = None
    time_unit: Annotated[TimeUnit | None, OF_EVENTS] = None
    skip_damaged: Annotated[bool, OF_FILES, needs(other_than("data", "images"))] = False

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        if not self.data.startswith(TONIC):
            checks.choice(self.data, DataName, "data")
        if self.data != "digits" and self.root is None:
            raise InputError(f"--data {self.data} needs --root, the folder or file where it lies")
        if self.pool is not None and self.to is not None:
            raise InputError("--pool and --to both say how pixels become inputs; give one of them")
        _ = _box(self.crop), _size(self.to, "to"), _size(self.sensor, "sensor")

    @property
    def bins(self) -> BinSpec:
        """The data set's usual bins with what was chosen otherwise; of events what is open stays so."""
        usual = _usual(self.data)
        crop, cells = _box(self.crop), _size(self.to, "to")
        return replace(
            usual,
            bin_us=usual.bin_us if self.bin_us is None else self.bin_us,
            steps=None if self.steps == "auto" else usual.steps if self.steps is None else self.steps,
            polarity=usual.polarity if self.polarity == "two" else self.polarity,
            counts=self.counts,
            pad=usual.pad if self.pad is None else self.pad,
            crop=usual.crop if crop is None else crop,
            pool=usual.pool if self.pool is None else self.pool,
            cells=cells,
        )


OPEN = BinSpec(steps=None, pad=False)
"""Bins of which everything is still to be chosen, see :func:`gemsnn.data.sets.survey.choose`."""


def _usual(name: str) -> BinSpec:
    if name.startswith(TONIC):
        return tonic_sets.bins(name.removeprefix(TONIC))
    return OPEN if name == "events" else CATALOGUE[name].bins


def _size(text: str | None, name: str) -> tuple[int, int] | None:
    """Width and height of ``WxH``."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d{1,5})\s*[xX×]\s*(\d{1,5})\s*", text)
    if found is None:
        raise InputError(f"{name} must be a width and a height such as 346x260, not {text!r}")
    width, height = (
        checks.number(int(side), Annotated[int, Range(1, LARGEST_SIDE)], name) for side in found.groups()
    )
    return width, height


def _box(text: str | None) -> tuple[int, int, int, int] | None:
    """Corner and size of ``X,Y,WxH``."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d{1,5})\s*,\s*(\d{1,5})\s*,(.*)", text)
    if found is None:
        raise InputError(f"crop must be a corner and a size such as 48,48,26x26, not {text!r}")
    width, height = _size(found[3], "the size of crop") or (0, 0)
    return int(found[1]), int(found[2]), width, height


def read_alike(reading: Reading, spec: DataSpec, data: str | None, root: AnyPath | None) -> DataSpec:
    """The settings that read other data as a network's own data was read; see also ``like`` of :func:`load`.

    Args:
        reading: how that was.
        spec: its settings.
        data: the other data set; by default the same at another place.
        root: where it lies.
    """
    root = None if root is None else Path(root)
    usual, name = DataSpec(), data or spec.data
    other = replace(
        spec, data=name, root=root, limit=None, bin_us=reading.layout.bin_us, steps=reading.steps, pad=reading.pad,
        sensor=None, labels=None, time_unit=reading.time_unit or spec.time_unit,
    )  # fmt: skip
    if name != "events":
        other = replace(other, class_from=None, window_ms=None, time_unit=None)
    elif root is not None and found_at(root / LABELS) == "file":
        other = replace(other, class_from=None)
    if name == "mnist-dvs":
        return other
    return replace(other, scale=usual.scale, deflicker=usual.deflicker, deflicker_seed=usual.deflicker_seed)


def load(spec: DataSpec, *, like: Reading | None = None, progress: Progress | None = None) -> Splits:
    """Load (or generate, at first use) a data set.

    Args:
        spec: which.
        like: how a network's own recordings were read: of events, what ``spec`` leaves open, the pixels and the
            classes are then the network's.
        progress: shows how far the work is.

    Raises:
        InputError: the files are missing, damaged or not what they should be.
    """
    splits = _loaded(spec, like, progress)
    source = splits.train.source
    named = source._replace(data=spec.data) if isinstance(source, Source) else source
    return replace(splits, train=replace(splits.train, source=named))


def _loaded(spec: DataSpec, like: Reading | None, progress: Progress | None) -> Splits:
    root = spec.root or Path()
    how = {"limit": spec.limit, "validation": spec.validation, "progress": progress}
    if spec.data == "events":
        return _events(spec, like, progress)
    if spec.data.startswith(TONIC):
        return _listed(tonic_sets.listing(spec.data.removeprefix(TONIC), root), spec, spec.bins, progress)
    if (find := CATALOGUE[spec.data].listing) is not None:
        return _listed(find(root), spec, spec.bins, progress)
    if spec.data == "digits":
        splits = load_digits_events(spec.bins, limit=spec.limit, progress=progress)
    elif spec.data == "images":
        splits = load_image_events(root, spec.bins, **how)
    elif spec.data == "nmnist":
        splits = load_nmnist(root, spec.bins, **how, skip_damaged=spec.skip_damaged)
    else:
        of_mnist_dvs = {"scale": spec.scale, "deflicker": spec.deflicker, "seed": spec.deflicker_seed}
        splits = load_mnist_dvs(root, spec.bins, **how, **of_mnist_dvs, skip_damaged=spec.skip_damaged)
    return _with_reading(splits, spec.bins, CATALOGUE[spec.data].sensor)


def _events(spec: DataSpec, like: Reading | None, progress: Progress | None) -> Splits:
    given: dict[str, Any] = (
        {"bin_us": spec.bin_us, "pool": spec.pool, "sensor": _size(spec.sensor, "sensor")}
        if like is None
        else {"bin_us": like.bins.bin_us, "pool": like.bins.pool, "sensor": like.sensor, "names": like.names}
    )
    bins, root = spec.bins if like is None else like.bins, spec.root or Path()
    if files := hdf5_spikes.spike_files(root):
        for name in ("class_from", "labels", "window_ms"):
            if getattr(spec, name) is not None:
                raise InputError(
                    f"{root}: its files hold many recordings and their labels, so {name} has no effect"
                )
        del given["pool"]
        found = spike_files.find(files, bins, **given, time_unit=spec.time_unit, progress=progress)
    else:
        found = events.find(
            root, bins, **given, class_from=spec.class_from, labels=spec.labels, window_ms=spec.window_ms,
            time_unit=spec.time_unit, skip_damaged=spec.skip_damaged, progress=progress,
        )  # fmt: skip
    # what is damaged was looked for already
    splits = _listed(found.listing, replace(spec, skip_damaged=False), found.bins, progress)
    return replace(splits, notes=(found.chosen, *splits.notes))


def _listed(listing: parts.Listing, spec: DataSpec, bins: BinSpec, progress: Progress | None) -> Splits:
    splits = parts.load(
        listing, bins, limit=spec.limit, validation=spec.validation, progress=progress,
        skip_damaged=spec.skip_damaged,
    )  # fmt: skip
    return _with_reading(splits, bins, (listing.width, listing.height), spec.time_unit)


def _with_reading(
    splits: Splits, bins: BinSpec, sensor: tuple[int, int], time_unit: TimeUnit | None = None
) -> Splits:
    each = list(splits.parts.values())
    if bins.steps is None:
        bins = bins.settled(max(part.longest for part in each))
        assert bins.steps is not None, "which is now settled"
        each = [part.padded(bins.steps) for part in each] if bins.pad else each
    reading = reading_of(bins, sensor, splits.train.layout, splits.train.names or (), time_unit)
    train, validation, test = (replace(part, reading=reading) for part in each)
    return replace(splits, train=train, validation=validation, test=test)
