"""Small fleets: for tests/test_federate.py and the workers that it starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from crew_cases import CREDIT, GEM, Case, case

from gemsnn.kernels import KERNELS
from gemsnn.learn import train
from gemsnn.learn.federated import FleetSpec
from gemsnn.learn.fleet import Fleet
from gemsnn.learn.train import Update
from gemsnn.machine.group import Group

UNEQUAL = [np.array(own) for own in ([0, 5, 9], [1, 2, 3, 4, 8, 17, 16], [7], [6, 10, 11, 12], [13, 14, 15])]
"""Five devices with 3, 7, 1, 4 and 3 of the 18 presentations."""


class Simulated(NamedTuple):
    """A fleet, and what its devices learn."""

    spec: FleetSpec
    of: Case

    def fleet(self, group: Group | None = None, **kept) -> Fleet:
        """Its devices, with unequal numbers of presentations."""
        return Fleet(self.spec, UNEQUAL[: self.spec.devices], group, **kept)

    def course(self, fleet: Fleet, learner=None) -> Iterator[Update]:
        """Its rounds."""
        of = self.of
        learner = learner or train.start(of.params, of.learning)
        return fleet.updates(
            of.network, learner, of.presentations(), fleet.together(of.spec), of.learning, kernel=KERNELS[of.kernel]
        )  # fmt: skip


FLEETS = {
    "in full, missing": lambda: Simulated(
        FleetSpec(5, 2, missing=0.4), case("dense", "reference", GEM, batch=1, optimiser="adam")
    ),
    "8-bit": lambda: Simulated(
        FleetSpec(5, 1, missing=0.2, send="8-bit"), case("dense", "block", CREDIT, batch=1, optimiser="adam")
    ),
    "sparse": lambda: Simulated(
        FleetSpec(5, 3, send="sparse", share=0.1), case("dense", "cpu", GEM, batch=1, every=4)
    ),
}
