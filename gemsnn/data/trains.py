"""Spike trains that output neurons are to learn: the targets of recordings, in place of their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gemsnn.data.arrays import bins_of, items
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows

if TYPE_CHECKING:
    from torch import Tensor


class Trains(NamedTuple):
    """What there is to know of targets before they are learned.

    Attributes:
        neurons: V, that are to spike.
        steps: of all targets together.
        spikes: of all neurons in them.
        most: neurons that are to spike in one step.
    """

    neurons: int
    steps: int
    spikes: int
    most: int

    @staticmethod
    def of(target: SpikeRows) -> Trains:
        """Of one target, or of several one after the other."""
        each = target.per_row()
        return Trains(target.inputs, len(target), int(each.sum()), int(each.max(initial=0)))

    def and_of(self, target: SpikeRows) -> Trains:
        """With another target of as many neurons."""
        more = Trains.of(target)
        return Trains(
            self.neurons, self.steps + more.steps, self.spikes + more.spikes, max(self.most, more.most)
        )

    @property
    def rate(self) -> float:
        """Spikes of a neuron and step."""
        return self.spikes / (self.steps * self.neurons)


def trains_of(targets: Any) -> list[SpikeRows]:
    """Targets held sparsely, ``[T, V]`` each, taken one at a time; those that are already stay.

    Raises:
        InputError: see :func:`train_of`.
    """
    return [
        train_of(each, position)
        for position, each in enumerate(items(targets, "targets must be arrays [T, V]"))
    ]


def train_of(given: Any, position: int) -> SpikeRows:
    """What output neurons are to spike, ``[T, V]``.

    Raises:
        InputError: it has another number of dimensions, or holds what is neither 0 nor 1.
    """
    if isinstance(given, SpikeRows):
        return given
    bins = bins_of(given, f"target {position}")
    if bins.ndim != 2 or bins.max() > 1:
        raise InputError(
            f"target {position} must be an array [T, V] of 0 and 1, what each output neuron is to do in each bin, not "
            f"{list(bins.shape)} of numbers up to {bins.max()}"
        )
    return SpikeRows.of(bins)


def tensor_of(target: SpikeRows) -> Tensor:
    """A target as networks take it, uint8 ``[T, V]``."""
    import torch

    return torch.from_numpy(target.dense())


def check_fits(target: SpikeRows, position: int, steps: int, neurons: int) -> None:
    """Raise :class:`InputError` unless a target is as long as its recording, and of as many neurons as others."""
    if (len(target), target.inputs) != (steps, neurons):
        raise InputError(
            f"target {position} must be [{steps}, {neurons}], a row for each bin of its recording and as many neurons "
            f"as the others have, not [{len(target)}, {target.inputs}]"
        )
