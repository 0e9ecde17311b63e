"""A data set in its three parts."""

from __future__ import annotations

from dataclasses import dataclass

from gemsnn.data.reading import Reading
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.tally import Tally, total
from gemsnn.errors import InputError
from gemsnn.specs import checks


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set, and sentences a user should know about how they came to be.

    Raises:
        InputError: at construction, where the parts have different layouts.
    """

    train: SpikeSet
    validation: SpikeSet
    test: SpikeSet
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the parts fit one another."""
        checks.fields(self)
        for name in ("validation", "test"):
            if getattr(self, name).layout != self.train.layout:
                raise InputError(
                    f"{name} must have the layout of train, {self.train.layout}, not {getattr(self, name).layout}"
                )

    @property
    def reading(self) -> Reading | None:
        """How the training part was read."""
        return self.train.reading

    @property
    def parts(self) -> dict[str, SpikeSet]:
        """The parts by their names."""
        return {"training": self.train, "validation": self.validation, "test": self.test}

    @property
    def tallies(self) -> dict[str, Tally]:
        """What became of the events of each part; parts where it was not counted are left out."""
        return {name: total(part.tallies) for name, part in self.parts.items() if part.tallies is not None}
