"""A data set in its three parts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gemsnn.data.packing import starts_of
from gemsnn.data.reading import Reading
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.tally import Tally, total
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.specs import checks


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set, and sentences a user should know about how they came to be.

    Attributes:
        train: to learn from.
        validation: to choose settings and temperatures by.
        test: to score on.
        notes: the sentences.
        divided: whether the data came with a part to test on; else one was held out, for the sake of a training.

    Raises:
        InputError: at construction, where the parts have different layouts.
    """

    train: SpikeSet
    validation: SpikeSet
    test: SpikeSet
    notes: tuple[str, ...] = ()
    divided: bool = True

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
    def whole(self) -> SpikeSet:
        """All recordings, in the order of their numbers."""
        each = list(self.parts.values())
        layout, tallies = self.train.layout, [part.tallies for part in each if part.tallies is not None]
        targets = [part.targets for part in each if part.targets is not None]
        joined = replace(
            self.train,
            rows=SpikeRows.join([part.rows for part in each], layout.inputs, counts=self.train.counts),
            starts=starts_of(np.concatenate([np.diff(part.starts) for part in each])),
            labels=np.concatenate([part.labels for part in each]),
            address=np.concatenate([part.address for part in each]),
            tallies=np.concatenate(tallies) if len(tallies) == len(each) else None,
            targets=SpikeRows.join(targets, layout.classes) if targets else None,
            source=None,  # which knows the events of the training part alone
        )
        return joined.select(np.argsort(joined.address, kind="stable"))

    @property
    def tallies(self) -> dict[str, Tally]:
        """What became of the events of each part; parts where it was not counted are left out."""
        return {name: total(part.tallies) for name, part in self.parts.items() if part.tallies is not None}
