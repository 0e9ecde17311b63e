"""Small trainings that several workers share: for tests/test_crew.py and the workers that it starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from graphs import GRAPHS, make_graph

from gemsnn import rng
from gemsnn.kernels import KERNELS, Learning
from gemsnn.kernels.cpu import graph
from gemsnn.learn import train
from gemsnn.learn.crew import Crew
from gemsnn.learn.train import TrainSpec, Update
from gemsnn.model import network as networks
from gemsnn.model.basis import BasisSpec
from gemsnn.model.network import Network, NetworkSpec, Params
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.types import Presentation

PRESENTATIONS = 18
EPOCHS = 3
"""54 presentations; the last batch of an epoch holds 4 of 7, or 0 of 1."""


class Case(NamedTuple):
    """A training: what learns, how, and by which kernel; and what memory the groups of a batch may have there."""

    network: Network
    params: Params
    learning: Learning
    spec: TrainSpec
    kernel: str
    group_bytes: int = graph.GROUP_BYTES

    def presentations(self) -> list[Presentation]:
        """Of unequal lengths, in which classes differ by nothing: what is learned does not matter."""
        found, inputs = [], self.network.spec.inputs
        classes = self.network.graph.classes
        for n in range(PRESENTATIONS):
            draws, steps = rng.generator(7, "shown", n), 8 + n % 6
            spikes = torch.from_numpy((draws.random((steps, inputs)) < 0.4).astype("uint8"))
            target = torch.zeros(steps, classes, dtype=torch.uint8)
            target[:, n % classes] = torch.from_numpy((draws.random(steps) < 0.8).astype("uint8"))
            found.append(Presentation(spikes, target, n % classes, n))
        return found


def case(
    shape: str, kernel: str, rule: RuleSpec, *, compartments: int = 5, every: int | None = None, batch: int = 7,
    optimiser: str = "sgd", views: int = 1,
) -> Case:  # fmt: skip
    """A training of one of tests/graphs.py, or of a dense network in float64."""
    if shape == "dense":
        basis = BasisSpec(count=2, taps=4)
        spec = NetworkSpec(5, 3, (6,), "layered", synapse=basis, self_filter=basis)
        network = networks.build(spec, seed=0, dtype=torch.float64)
        params = networks.init(network, 0)
    else:
        network, params = make_graph(GRAPHS[shape])
    learning = Learning(rule, OptimiserSpec(optimiser, lr=0.05), compartments, every)  # type: ignore[arg-type]
    spec = TrainSpec(
        compartments=compartments, epochs=EPOCHS, batch=batch, views=views, update_every=every or "presentation", seed=3
    )  # fmt: skip
    return Case(network, params, learning, spec, kernel)


def few_at_a_time() -> Case:
    """So little memory that two compartments are learned of three presentations at a time, and three of two."""
    whole = case("convolution", "cpu", CREDIT)
    batch = networks.batch(whole.network, whole.presentations())

    def groups(compartments: int, group_bytes: int) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(graph, "GROUP_BYTES", group_bytes)
            return len(graph.groups_of(whole.network, batch, compartments, whole=False))

    few = next(
        size
        for size in range(1000, 10**7, 1000)
        if groups(2, size) * 3 == groups(3, size) * 2 == PRESENTATIONS
    )
    return whole._replace(group_bytes=few)


GEM, CREDIT = RuleSpec("gem", kappa=0.9, gamma=0.8), RuleSpec("one-hop", kappa=0.9, gamma=0.8)
CASES = {
    **{
        f"papers' rule, {kernel}": lambda k=kernel: case("dense", k, GEM, every=1, batch=2)
        for kernel in KERNELS
    },
    **{
        f"{shape}, {kernel}": lambda s=shape, k=kernel: case(
            s, k, RuleSpec("one-hop-gem", kappa=0.9, gamma=0.7), optimiser="adam"
        )
        for shape in ("dense", "convolution", "rich")
        for kernel in KERNELS
        if (shape, kernel) != ("rich", "cpu")  # whose kinds are not compiled
    },
    "five steps, cpu": lambda: case("dense", "cpu", RuleSpec("iw", kappa=0.9, gamma=0.8), every=5),
    "five steps, convolution, cpu": lambda: case("convolution", "cpu", RuleSpec("mb", kappa=0.5), every=5),
    "two views, cpu": lambda: case("dense", "cpu", RuleSpec("gem-cv", average=True), every=4, views=2),
    "one presentation, block": lambda: case("dense", "block", GEM, batch=1, every=3),
    "last step, block": lambda: case(
        "readouts", "block", RuleSpec("gem", kappa=1, gamma=1, readout="last-step")
    ),
    "few presentations at a time, cpu": few_at_a_time,
}
"""Every split serves these."""

TOGETHER = {
    "state for synapses": lambda: case("dense", "reference", RuleSpec("one-hop-cv", kappa=0.9, gamma=0.8)),
    "replaced compartments": lambda: case("dense", "block", RuleSpec("gem", kappa=1, resample=0.9), every=4),
    "one compartment": lambda: case("dense", "cpu", CREDIT, compartments=1, optimiser="adam"),
}
"""Of these, only presentations can be divided."""


def course(of: Case, crew: Crew | None = None) -> Iterator[Update]:
    """The training's updates, alone or in a crew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "GROUP_BYTES", of.group_bytes)
        yield from train.updates(
            of.network, train.start(of.params, of.learning), of.presentations(), of.spec, of.learning,
            kernel=KERNELS[of.kernel], crew=crew,
        )  # fmt: skip
