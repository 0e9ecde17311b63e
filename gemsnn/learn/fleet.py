"""A fleet that learns round after round, all devices in turn, or divided over workers: the same weights to the bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.kernels.contract import Kernel, Learning
from gemsnn.learn import train
from gemsnn.learn.crew import Crew, Some, share
from gemsnn.learn.federated import FleetSpec, Round, present, tell
from gemsnn.learn.state import RECORDED, Learner
from gemsnn.learn.train import TrainSpec, Update
from gemsnn.machine import group as groups
from gemsnn.machine.group import Group
from gemsnn.model.network import Network, Params
from gemsnn.rules import optimisers
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.store import trees
from gemsnn.types import ChangingSequence, PresentationSequence


class Own(Some):
    """A device's own presentations, of those of all."""

    def at_epoch(self, epoch: int) -> PresentationSequence:
        """As they are in one of the device's epochs."""
        items = self._items
        return Some(items.at_epoch(epoch) if isinstance(items, ChangingSequence) else items, self._places)


class _Device(NamedTuple):
    """What stays on a device: the state of its optimiser, and what it has not told yet, ``[P]``."""

    optimiser: OptimiserState
    rest: Tensor | None


class Fleet:
    """Devices that learn and average; see :class:`gemsnn.learn.train.Learners`.

    The moments of adam are a device's own, as its recordings are: averaged they would be twice as much to send as the
    weights, and begun anew in each round they would make of every first step one of full size in every direction. Where
    devices have different classes adam has failed all the same (experiments/federated): there plain sgd is to be taken,
    as the paper does.

    Args:
        spec: the fleet.
        owned: the positions of each device's presentations (:func:`gemsnn.learn.federated.dealt`).
        group: the workers that simulate the devices; ``None`` where this process does all.
        kept: what :meth:`tensors` gave, to go on from.

    Raises:
        InputError: there are more workers than devices.
    """

    def __init__(
        self,
        spec: FleetSpec,
        owned: Sequence[NDArray[np.int64]],
        group: Group | None = None,
        kept: dict[str, Tensor] | None = None,
    ) -> None:
        workers = 1 if group is None else group.size
        check_workers(spec, workers)
        self.spec, self.owned, self._group = spec, owned, group
        self._spans = [share(range(spec.devices), rank, workers) for rank in range(workers)]
        self._here = self._spans[0 if group is None else group.rank]
        self.kept = kept or {}
        self._devices: dict[int, _Device] = {}

    def together(self, spec: TrainSpec) -> TrainSpec:
        """See :meth:`gemsnn.learn.train.Learners.together`."""
        return self.spec.together(spec)

    def updates(
        self, network: Network, learner: Learner, presentations: PresentationSequence, spec: TrainSpec,
        learning: Learning, *, kernel: Kernel, crew: Crew | None = None,
    ) -> Iterator[Update]:  # fmt: skip
        """Round after round, from where the learner stands; an update is a round.

        Args:
            network: whose weights are averaged.
            learner: the common weights; its ``batches`` are those that each device has learned or missed, its updates
                the rounds.
            presentations: those of all devices.
            spec: the training, with the batch of all devices (:meth:`together`).
            learning: how each device learns.
            kernel: the kernel.
            crew: of no effect: devices, not batches, are divided.
        """
        del crew
        self._begin(learner.params, learning)
        alone = replace(spec, batch=spec.batch // self.spec.devices)
        per_epoch = -(-len(presentations) // spec.batch)
        total = spec.epochs * per_epoch
        sizes = [leaf.numel() for leaf in trees.leaves(learner.params)]
        while learner.batches < total:
            begun, turn = learner.batches, learner.optimiser.updates
            steps = min(self.spec.every, total - begun)
            there = present(self.spec, spec.seed, turn)
            weight = sum(len(self.owned[device]) for device in there)
            common = _flat(learner.params)
            rows, numbers = [], {}
            for device in (each for each in there if each in self._here):
                own = Own(presentations, self.owned[device].tolist())
                state = Learner(learner.params, self._devices[device].optimiser, begun)
                course = train.updates(network, state, own, alone, learning, kernel=kernel, batches=total)
                learned = list(islice(course, steps))
                reached = learned[-1].learner
                told = tell(self.spec, _flat(reached.params) - common, self._devices[device].rest, sizes)
                self._devices[device] = _Device(reached.optimiser, told.rest)
                rows.append(told.sent * (len(self.owned[device]) / weight))
                numbers[device] = (
                    [[getattr(update, name) for name in RECORDED] for update in learned],
                    (told.message.values.numel(), told.message.bytes),
                )
            moved = self._summed(torch.stack(rows) if rows else common.new_zeros(0, len(common)), there)
            numbers = self._all(numbers)
            means = np.mean([row for device in there for row in numbers[device][0]], axis=0).tolist()
            scalars, sent = numbers[there[0]][1]
            done = begun + steps
            ends = done // per_epoch > begun // per_epoch
            learner = Learner(
                _moved(learner.params, moved), learner.optimiser._replace(updates=turn + 1), done
            )
            yield Update(
                learner=learner,
                epoch=done // per_epoch + (not ends),
                ends_epoch=ends,
                presentations=min(done * spec.batch, spec.epochs * len(presentations)),
                **dict(zip(RECORDED, means, strict=True)),
                round=Round(
                    turn + 1, done, len(there), scalars, scalars / steps, sent,
                    len(common) * common.element_size(),
                ),
            )  # fmt: skip

    def tensors(self) -> dict[str, Tensor]:
        """What stays on the devices, of all of them, for a checkpoint; all workers must ask for it together."""
        mine = {
            name: leaf
            for device, state in self._devices.items()
            for name, leaf in trees.flat(f"fleet.{device}", state).items()
        }
        return self._all(mine)

    def _begin(self, params: Params, learning: Learning) -> None:
        """The devices as they were kept, or new ones."""
        rest = None if self.spec.send == "full" else torch.zeros_like(_flat(params))
        new = _Device(optimisers.init(learning.optimiser, params), rest)
        for device in self._here:
            name = f"fleet.{device}"
            self._devices[device] = trees.filled(name, new, self.kept) if self.kept else new
        self.kept = {}

    def _summed(self, rows: Tensor, there: Sequence[int]) -> Tensor:
        """The sum of the rows of all devices that are there, in their order."""
        if self._group is None:
            return groups.added(rows)
        return self._group.summed(
            rows, [len([each for each in there if each in span]) for span in self._spans]
        )

    def _all(self, mine: dict[Any, Any]) -> dict[Any, Any]:
        """What all workers have by name."""
        if self._group is None:
            return mine
        return {name: value for each in self._group.all(mine) for name, value in each.items()}


def check_workers(spec: FleetSpec, workers: int) -> None:
    """Raise :class:`InputError` where there are more workers than devices."""
    if workers > spec.devices:
        raise InputError(
            f"{workers} workers cannot share {spec.devices} devices; give --workers {spec.devices} or fewer"
        )


def _flat(params: Params) -> Tensor:
    """All parameters, leaf after leaf, ``[P]``."""
    return torch.cat([leaf.reshape(-1) for leaf in trees.leaves(params)])


def _moved(params: Params, by: Tensor) -> Params:
    """Parameters after a change ``[P]``."""
    leaves = list(trees.leaves(params))
    each = iter(by.split([leaf.numel() for leaf in leaves]))
    return trees.map(lambda leaf: leaf + next(each).view(leaf.shape), params)
