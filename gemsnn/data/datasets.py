"""Data sets by name, with every choice in one spec."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from gemsnn.data.binning import MOST_STEPS, BinSpec, Polarity
from gemsnn.data.camera import MNIST_DVS_SCALE4
from gemsnn.data.generated import load_digits_events, load_image_events
from gemsnn.data.readers.nmnist import SIDE as NMNIST_SIDE
from gemsnn.data.reading import Reading
from gemsnn.data.recordings import MNIST_DVS_BINS, NMNIST_BINS, load_mnist_dvs, load_nmnist
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import MOST, Probability, Range, Seed
from gemsnn.specs.needs import given, needs, one_of
from gemsnn.types import LONGEST_BIN_US, AnyPath, Layout, Progress

DataName = Literal["digits", "mnist-dvs", "nmnist", "images"]
OF_FILES = needs(one_of("data", "mnist-dvs", "nmnist", "images"))
OF_MNIST_DVS = needs(one_of("data", "mnist-dvs"))


@dataclass(frozen=True)
class DataSpec:
    """Which recordings, and how they become spikes.

    Attributes:
        data: the data set: digits (built in), mnist-dvs, nmnist, or images (npz or IDX files, emulated).
        root: folder or file of the data set; digits needs none.
        limit: use only the first N presentations of the training and validation parts, and of the test part in
            proportion.
        polarity: two channels (OFF, ON) a pixel, or merged into one.
        bin_us: bin width in microseconds; by default the data set's own (nmnist 5000, others 25000).
        steps: bins of a presentation; by default the data set's own (nmnist 60, others 80).
        counts: numbers of events instead of their binary OR.
        pad: fill short recordings with empty bins instead of leaving them short.
        warm_up: share of each recording that a network may take in before its answer counts, in learning as in
            testing.
        validation: share of the training part that is held back to choose settings (digits has a split of its own).
        scale: mnist-dvs: the digits' scale, 4, 8 or 16.
        deflicker: mnist-dvs: apply the authors' de-flicker and stabilisation step to raw recordings.
        deflicker_seed: mnist-dvs: the seed of that step's noise.
    """

    data: DataName = "digits"
    root: Annotated[Path | None, OF_FILES] = None
    limit: Annotated[int, Range(2, MOST)] | None = None
    polarity: Polarity = "two"
    bin_us: Annotated[int, Range(1, LONGEST_BIN_US)] | None = None
    steps: Annotated[int, Range(1, MOST_STEPS)] | None = None
    counts: bool = False
    pad: bool = True
    warm_up: Annotated[float, Range(0, below=1)] = 0.0
    validation: Annotated[Probability, OF_FILES] = 0.1
    scale: Annotated[Literal[4, 8, 16], OF_MNIST_DVS] = 4
    deflicker: Annotated[bool, OF_MNIST_DVS] = False
    deflicker_seed: Annotated[Seed, needs(given("deflicker"))] = 0

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        if self.data != "digits" and self.root is None:
            raise InputError(f"--data {self.data} needs --root, the folder or file where it lies")

    @property
    def bins(self) -> BinSpec:
        """The data set's usual bins with what was chosen otherwise."""
        usual = USUAL[self.data]
        return replace(
            usual,
            bin_us=usual.bin_us if self.bin_us is None else self.bin_us,
            steps=usual.steps if self.steps is None else self.steps,
            polarity=self.polarity,
            counts=self.counts,
            pad=self.pad,
        )


USUAL: dict[DataName, BinSpec] = {
    "digits": BinSpec(),
    "mnist-dvs": MNIST_DVS_BINS,
    "nmnist": NMNIST_BINS,
    "images": BinSpec(),
}
"""The bins of each data set; a crop is in pixels of its sensor."""

_EMULATED = (MNIST_DVS_SCALE4.width, MNIST_DVS_SCALE4.height)
SENSORS: dict[DataName, tuple[int, int]] = {
    "digits": _EMULATED,
    "mnist-dvs": (128, 128),
    "nmnist": (NMNIST_SIDE, NMNIST_SIDE),
    "images": _EMULATED,
}
"""Width and height of each data set's sensor."""


def reading_of(spec: DataSpec, layout: Layout) -> Reading:
    """How :func:`load` reads with these settings; ``layout`` is that of what it returned.

    A layout of another size than the data set's window is one whose sensor is not known; it is taken to be all of it.
    """
    bins, sensor = spec.bins, SENSORS[spec.data]
    x0, y0, width, height = bins.window(*sensor)
    if (width, height) != (layout.width, layout.height):
        sensor, x0, y0 = (layout.width, layout.height), 0, 0
    assert bins.steps is not None, "every data set has a number of bins"
    names = tuple(str(label) for label in range(layout.classes))
    return Reading(layout, bins.steps, bins.counts, bins.pad, sensor, (x0, y0), names)


def read_alike(reading: Reading, spec: DataSpec, data: DataName | None, root: AnyPath | None) -> DataSpec:
    """The settings that read other data as a network's own data was read.

    Args:
        reading: how that was.
        spec: its settings.
        data: the other data set; by default the same at another place.
        root: where it lies.
    """
    root = None if root is None else Path(root)
    other = replace(
        spec, data=data or spec.data, root=root, limit=None, bin_us=reading.layout.bin_us, steps=reading.steps
    )
    if other.data == "mnist-dvs":
        return other
    return replace(
        other, scale=DataSpec.scale, deflicker=DataSpec.deflicker, deflicker_seed=DataSpec.deflicker_seed
    )


def load(spec: DataSpec, *, progress: Progress | None = None) -> Splits:
    """Load (or generate, at first use) a data set.

    Raises:
        InputError: the files are missing, damaged or not what they should be.
    """
    splits = _load(spec, progress)
    return replace(splits, reading=reading_of(spec, splits.train.layout))


def _load(spec: DataSpec, progress: Progress | None) -> Splits:
    root = spec.root or Path()
    if spec.data == "digits":
        return load_digits_events(spec.bins, limit=spec.limit, progress=progress)
    if spec.data == "images":
        return load_image_events(
            root, spec.bins, limit=spec.limit, validation=spec.validation, progress=progress
        )
    if spec.data == "nmnist":
        return load_nmnist(root, spec.bins, limit=spec.limit, validation=spec.validation, progress=progress)
    return load_mnist_dvs(
        root,
        spec.bins,
        scale=spec.scale,
        deflicker=spec.deflicker,
        seed=spec.deflicker_seed,
        limit=spec.limit,
        validation=spec.validation,
        progress=progress,
    )
