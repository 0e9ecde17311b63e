"""A network as a graph: populations of neurons, and projections between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from gemsnn.errors import InputError
from gemsnn.model.basis import BasisSpec
from gemsnn.model.neurons import BERNOULLI, Neuron
from gemsnn.model.projections import DENSE, Kind, Sheet
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, Probability

INPUTS = "inputs"
"""The name of the exogenous inputs, in the place of a population's."""


@dataclass(frozen=True)
class Population:
    """Neurons of one kind.

    Attributes:
        name: what projections call it.
        shape: how many, ``(n,)``, or how they lie, ``(channels, height, width)``; neurons of a channel then share their
            bias and their feedback.
        neuron: their kind.
        visible: whether they are clamped to the target while they learn; else they are hidden.
        feedback: whether they feel their own past spikes.
        rate: their spike probability without input, at first; ``None`` for what is usual for their kind.
    """

    name: str
    shape: tuple[Count, ...]
    neuron: Neuron = BERNOULLI
    visible: bool = False
    feedback: bool = False
    rate: Probability | None = None

    def __post_init__(self) -> None:
        """Check the fields once."""
        missing = [each for each in METHODS if not callable(getattr(self.neuron, each, None))]
        if missing:  # asked before the fields, to say which
            raise InputError(
                f"neuron must be a kind of neuron: that of population {self.name!r} has no {', '.join(missing)}"
            )
        checks.fields(self)
        if len(self.shape) not in (1, 3):
            raise InputError(
                f"the shape of population {self.name!r} must be (n,) or (channels, height, width), not {self.shape}"
            )
        if not self.name or self.name == INPUTS or any(mark in self.name for mark in "./ ->"):
            raise InputError(
                f"a population needs a name of its own without blanks, dots, slashes or dashes, not {self.name!r}"
            )
        if self.neuron.name == "winner-take-all" and (self.rate or 0) * self.sheet.size >= 1:
            raise InputError(
                f"the rate of population {self.name!r} must be below 1 / {self.sheet.size}, since the neurons "
                "of a circuit "
                f"spike one at a time, not {self.rate}"
            )

    @property
    def sheet(self) -> Sheet:
        """How they lie; a population without geometry has a channel for every neuron."""
        return Sheet(*self.shape) if len(self.shape) == 3 else Sheet(self.shape[0], 1, 1)


METHODS = ("probability", "sample", "log_prob", "error", "slope", "initial_odds")


@dataclass(frozen=True)
class Projection:
    """Synapses from one population, or the inputs, to another.

    Attributes:
        source: the senders' name, or ``"inputs"``.
        target: the receivers' name.
        kind: which synapses there are; see :mod:`gemsnn.model.projections`.
        basis: their filters; ``None`` for the network's.
    """

    source: str
    target: str
    kind: Kind = DENSE
    basis: BasisSpec | None = None

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)

    @property
    def name(self) -> str:
        """``source->target``: what its weights are called."""
        return f"{self.source}->{self.target}"


@dataclass(frozen=True)
class Graph:
    """A network's populations and projections.

    Attributes:
        inputs: how the exogenous inputs lie, ``(channels, height, width)``.
        populations: hidden ones first, then visible ones, each of the latter with a neuron for every class; the
            answer is that of the last.
        projections: in any order, at most one from one population to another.
    """

    inputs: tuple[Count, Count, Count]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]

    def __post_init__(self) -> None:
        """Check once that names, order and shapes fit."""
        checks.fields(self)
        names = [population.name for population in self.populations]
        visible = [population.visible for population in self.populations]
        if len(set(names)) != len(names):
            raise InputError(f"populations need different names, not {', '.join(names)}")
        if not any(visible):
            raise InputError("a network needs a visible population")
        if any(a and not b for a, b in pairwise(visible)):
            raise InputError("hidden populations come first, then the visible ones")
        classes = {population.sheet.size for population in self.populations if population.visible}
        if len(classes) != 1:
            raise InputError(
                f"visible populations need the same size, a neuron for every class, not {sorted(classes)}"
            )
        seen: set[str] = set()
        for projection in self.projections:
            for end, known in ((projection.source, [INPUTS, *names]), (projection.target, names)):
                if end not in known:
                    raise InputError(
                        f"the projection {projection.name} ends at {end!r}, which is no population; there are "
                        f"{', '.join(names)}"
                    )
            if projection.name in seen:
                raise InputError(f"there are two projections {projection.name}; one is enough")
            seen.add(projection.name)
            projection.kind.shape(self.sheet(projection.source), self.sheet(projection.target))

    @property
    def classes(self) -> int:
        """The size of every visible population."""
        return self.populations[-1].sheet.size

    @property
    def hidden(self) -> tuple[Population, ...]:
        """The hidden populations."""
        return tuple(population for population in self.populations if not population.visible)

    @property
    def visible(self) -> tuple[Population, ...]:
        """The visible populations."""
        return tuple(population for population in self.populations if population.visible)

    def sheet(self, name: str) -> Sheet:
        """How a population's neurons, or the inputs, lie."""
        if name == INPUTS:
            return Sheet(*self.inputs, of_inputs=True)
        return next(population.sheet for population in self.populations if population.name == name)

    def span(self, name: str) -> slice:
        """A population's neurons among all of them; the inputs' span is that of the inputs."""
        if name == INPUTS:
            return slice(0, self.sheet(INPUTS).size)
        start = 0
        for population in self.populations:
            if population.name == name:
                return slice(start, start + population.sheet.size)
            start += population.sheet.size
        raise InputError(f"there is no population {name!r}")

    def untaught(self) -> tuple[str, ...]:
        """Hidden populations without a projection to a visible one: no visible error reaches them in one hop."""
        visible = {population.name for population in self.visible}
        heard = {each.source for each in self.projections if each.target in visible}
        return tuple(population.name for population in self.hidden if population.name not in heard)
