"""A data set in its three parts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gemsnn.data.augment import AugmentSpec
from gemsnn.data.raw import Augmented, Source, raw_events
from gemsnn.data.reading import Reading
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.tally import Tally, total
from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.types import Progress


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set, sentences a user should know about how they came to be, and how it was read.

    Where its events come from, ``source`` tells.

    Raises:
        InputError: at construction, where the parts have different layouts.
    """

    train: SpikeSet
    validation: SpikeSet
    test: SpikeSet
    notes: tuple[str, ...] = ()
    reading: Reading | None = None
    source: Source | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit one another."""
        checks.fields(self)
        for name in ("validation", "test"):
            if getattr(self, name).layout != self.train.layout:
                raise InputError(
                    f"{name} must have the layout of train, {self.train.layout}, not {getattr(self, name).layout}"
                )

    def augmented(
        self, augment: AugmentSpec, seed: int, *, progress: Progress | None = None
    ) -> SpikeSet | Augmented:
        """The training part as it is learned: changed anew in every epoch, or as it is where nothing is on.

        Raises:
            InputError: it is to be changed, and its events are not known.
        """
        if not augment.is_on:
            return self.train
        if self.source is None or self.reading is None:
            raise InputError(
                "augmentation needs the events of recordings, and these came as spikes; leave it out"
            )
        raw = raw_events(self.source, self.train.address.tolist(), progress=progress)
        bins = replace(self.reading.bins, crop=self.source.crop)
        return Augmented(self.train, raw, augment, bins, seed)

    @property
    def parts(self) -> dict[str, SpikeSet]:
        """The parts by their names."""
        return {"training": self.train, "validation": self.validation, "test": self.test}

    @property
    def tallies(self) -> dict[str, Tally]:
        """What became of the events of each part; parts where it was not counted are left out."""
        return {name: total(part.tallies) for name, part in self.parts.items() if part.tallies is not None}
