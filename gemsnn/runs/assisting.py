"""A run that several workers train: the first one keeps the folder and speaks, the others assist.

The first worker does all that a training alone does, and tells the others, when it comes to learning, which settings,
which kernel and which state to begin with; where it never comes to that, it tells them that too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from gemsnn import kernels
from gemsnn.data import datasets
from gemsnn.data.raw import learned
from gemsnn.errors import InputError
from gemsnn.learn import train
from gemsnn.learn.crew import Crew, Split, divided
from gemsnn.learn.federated import FleetSpec
from gemsnn.learn.fleet import Fleet
from gemsnn.learn.state import TrainingState
from gemsnn.learn.train import Watcher
from gemsnn.machine import group as groups
from gemsnn.machine.group import Group
from gemsnn.model import network as networks
from gemsnn.model.network import DTYPES
from gemsnn.runs import config, console, fleets
from gemsnn.runs.config import Settings
from gemsnn.scoring.answers import provisional


class Task(NamedTuple):
    """What the first worker tells the others.

    Attributes:
        settings: as TOML; rules and layers of one's own are told by their places.
        kernel: the kernel's name.
        digest: of the training data, which must be the same everywhere.
        state: where the training stands.
        fleet: devices that learn in place of one network, with what stays on them; ``None`` where there are none.
    """

    settings: str
    kernel: str
    digest: str
    state: TrainingState
    fleet: tuple[FleetSpec, dict[str, Tensor]] | None


class Together:
    """The first worker's side.

    Args:
        group: all workers.
        split: what they divide.
    """

    def __init__(self, group: Group, split: Split) -> None:
        self._split: Split = split
        self.group, self._told = group, False

    def check(self, settings: Settings) -> None:
        """Raise :class:`InputError` unless the workers can divide what is learned like this."""
        divided(self._split, self.group.size, settings.learning)

    def begin(
        self, settings: Settings, kernel: str, digest: str, state: TrainingState, fleet: Fleet | None
    ) -> Crew:
        """Let the others begin, and be their crew."""
        self._told = True
        told = None if fleet is None else (fleet.spec, fleet.kept)
        self.group.told(Task(config.dump(settings), kernel, digest, state, told))
        return Crew(self.group, self._split, settings.learning, console.say)  # which all make together

    def dismiss(self) -> None:
        """Let the others go, if they still wait."""
        if not self._told:
            self._told = True
            self.group.told(None)


def work(first: Callable[[Together], int], split: Split) -> int:
    """In every worker that a launcher has started: do ``first``'s work in the first one, and assist in the others.

    Returns:
        The exit code.
    """
    with groups.joined() as group:
        if group.rank > 0:
            return _assist(group, split)
        together = Together(group, split)
        try:
            return first(together)
        finally:
            together.dismiss()


def _assist(group: Group, split: Split) -> int:
    task: Task | None = group.told()
    if task is None:
        return 0
    with console.interruptible("batch", quiet=True) as stopped:
        settings = config.parse(task.settings, "the first worker's settings")
        seed, state = settings.train.seed, task.state
        splits = datasets.load(settings.data)
        if not splits.train.is_of(task.digest):
            raise InputError(
                f"the training data that worker {group.rank} reads is not what the first worker reads; give all of "
                "them the same --root"
            )
        network = networks.build(
            settings.network_spec(splits.train.layout), seed=seed, dtype=DTYPES[settings.network.dtype],
            device=settings.network.device,
        )  # fmt: skip
        _, kernel = kernels.choose(task.kernel, network, settings.learning)  # type: ignore[arg-type]
        crew = Crew(group, split, settings.learning)
        learners = (
            None
            if task.fleet is None
            else fleets.made(task.fleet[0], splits.train, seed, group, task.fleet[1])
        )

        def checkpoint(_: TrainingState) -> None:
            if learners is not None:
                learners.tensors()  # which the first worker asks all for

        train.fit(
            network, state, learned(splits.train, settings.augment, seed), splits.validation, settings.train,
            settings.learning, kernel=kernel, decoder=provisional(settings.evaluate.decoder),
            watcher=Watcher(checkpoint=checkpoint, stop=stopped), crew=crew, learners=learners,
        )  # fmt: skip
    return 0
