"""Data sets by name, with every choice in one spec."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gemsnn.data.binning import BinSpec, Polarity
from gemsnn.data.generated import load_digits_events, load_image_events
from gemsnn.data.recordings import MNIST_DVS_BINS, NMNIST_BINS, load_mnist_dvs, load_nmnist
from gemsnn.data.spikeset import Splits
from gemsnn.errors import InputError
from gemsnn.types import Progress

DataName = Literal["digits", "mnist-dvs", "nmnist", "images"]


@dataclass(frozen=True)
class DataSpec:
    """Which recordings, and how they become spikes.

    Attributes:
        data: the data set: digits (built in), mnist-dvs, nmnist, or images (npz or IDX files, emulated).
        root: folder or file of the data set; digits needs none.
        limit: use only the first N presentations of the training and validation parts.
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
    root: Path | None = None
    limit: int | None = None
    polarity: Polarity = "two"
    bin_us: int | None = None
    steps: int | None = None
    counts: bool = False
    pad: bool = True
    warm_up: float = 0.0
    validation: float = 0.1
    scale: Literal[4, 8, 16] = 4
    deflicker: bool = False
    deflicker_seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers once."""
        if self.data != "digits" and self.root is None:
            raise InputError(f"--data {self.data} needs --root, the folder or file where it lies")
        if self.limit is not None and self.limit < 2:
            raise InputError(f"limit must be at least 2 presentations, not {self.limit}")
        if not 0 <= self.warm_up < 1:
            raise InputError(f"warm_up must be at least 0 and below 1, not {self.warm_up}")
        if not 0 < self.validation < 1:
            raise InputError(f"validation must lie between 0 and 1, not {self.validation}")

    def bins(self, usual: BinSpec) -> BinSpec:
        """The data set's usual bins with what was chosen otherwise."""
        return replace(
            usual,
            bin_us=usual.bin_us if self.bin_us is None else self.bin_us,
            steps=usual.steps if self.steps is None else self.steps,
            polarity=self.polarity,
            counts=self.counts,
            pad=self.pad,
        )


def load(spec: DataSpec, *, progress: Progress | None = None) -> Splits:
    """Load (or generate, at first use) a data set.

    Raises:
        InputError: the files are missing, damaged or not what they should be.
    """
    splits = _load(spec, progress)
    train, validation, test = (
        replace(part, warm_up=spec.warm_up) for part in (splits.train, splits.validation, splits.test)
    )
    return Splits(train, validation, test, splits.notes)


def _load(spec: DataSpec, progress: Progress | None) -> Splits:
    root = spec.root or Path()
    if spec.data == "digits":
        return load_digits_events(spec.bins(BinSpec()), limit=spec.limit, progress=progress)
    if spec.data == "images":
        return load_image_events(
            root, spec.bins(BinSpec()), limit=spec.limit, validation=spec.validation, progress=progress
        )
    if spec.data == "nmnist":
        return load_nmnist(
            root, spec.bins(NMNIST_BINS), limit=spec.limit, validation=spec.validation, progress=progress
        )
    return load_mnist_dvs(
        root,
        spec.bins(MNIST_DVS_BINS),
        scale=spec.scale,
        deflicker=spec.deflicker,
        seed=spec.deflicker_seed,
        limit=spec.limit,
        validation=spec.validation,
        progress=progress,
    )
