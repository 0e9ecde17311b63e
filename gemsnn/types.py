"""The letters of the library, and the values that data hands to networks.

Dimension letters, used in names, shapes and docstrings everywhere:

====== ==========================================================================
``T``  time steps (bins)
``B``  presentations processed in parallel
``K``  compartments: independent runs of the same weights
``M``  exogenous inputs
``H``  hidden neurons
``V``  visible (output) neurons
``N``  learnable neurons, ``N = H + V``, hidden first
``J``  possible senders, ``J = M + N``, inputs first
``L``  basis functions of a synapse
``D``  taps: the memory of a synapse in steps
====== ==========================================================================
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol, runtime_checkable

from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.specs import checks
from gemsnn.specs.checks import Range

if TYPE_CHECKING:
    from torch import Tensor

# torch takes seconds to load, and what only reads files does without it: whoever makes tensors here imports it there

AnyPath = str | os.PathLike[str]
"""A place of a file or folder, as a user gives it."""

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Wraps an iterable, given its length and what its items are, to show how far the work has come."""


LARGEST_SIDE = 2**15
"""No sensor has more pixels in a row, and no data set more classes."""

LONGEST_BIN_US = 10**9
"""No bin is wider."""


class _Layout(NamedTuple):
    channels: int
    height: int
    width: int
    classes: int
    bin_us: int


class Layout(_Layout):
    """How the ``M`` inputs lie on the sensor, and what the labels mean.

    Input ``m`` of pixel ``(x, y)`` and channel ``c`` is ``c + channels * (x * height + y)``; with two
    channels ``c`` is 1 for ON and 0 for OFF events.

    Raises:
        InputError: a number is no whole number from 1 to :data:`LARGEST_SIDE` (``bin_us``: :data:`LONGEST_BIN_US`).
    """

    __slots__ = ()

    def __new__(cls, channels: int, height: int, width: int, classes: int, bin_us: int) -> Layout:
        """Check the numbers once; numpy's become Python's."""
        given = (channels, height, width, classes, bin_us)
        limits = (LARGEST_SIDE,) * 4 + (LONGEST_BIN_US,)
        for name, value, most in zip(cls._fields, given, limits, strict=True):
            checks.number(value, Annotated[int, Range(1, most)], f"{name} of a layout")
        return super().__new__(cls, *map(int, given))  # numpy's numbers become Python's

    @classmethod
    def _make(cls, iterable: Iterable[int]) -> Layout:  # pyright: ignore[reportIncompatibleMethodOverride]
        # what _replace makes is checked as well
        return cls(*iterable)

    @property
    def inputs(self) -> int:
        """The number of exogenous inputs ``M``."""
        return self.channels * self.height * self.width


def layout_from(fields: Any, where: str) -> Layout:
    """A layout from a JSON object; ``where`` names it in errors.

    Raises:
        InputError: a field is missing or is no positive whole number of sensible size.
    """
    known: list[Any] = [fields.get(name) if isinstance(fields, dict) else None for name in Layout._fields]
    try:
        return Layout(*known)
    except InputError as error:
        raise InputError(f"{where} is damaged ({error}); restore the file or train again") from None


class _Presentation(NamedTuple):
    spikes: Tensor | SpikeRows
    target: Tensor
    label: int
    address: int


class Presentation(_Presentation):
    """One labelled recording, binned.

    Its spikes are given densely, uint8 ``[T, M]``, or as :class:`~gemsnn.rows.SpikeRows`, and can be had as either.

    Attributes:
        target: uint8 ``[T, V]``, what the visible neurons should do at each step.
        label: the class, ``0 <= label < V``.
        address: the presentation's own number; with the seed it addresses all noise it will meet.
    """

    __slots__ = ()

    @property
    def given(self) -> Tensor | SpikeRows:
        """The spikes as they were given."""
        return self[0]

    @property
    def spikes(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The inputs of each step, uint8 ``[T, M]``, made anew at every call where they are held sparsely."""
        return dense(self[0])

    @property
    def rows(self) -> SpikeRows:
        """The inputs that spiked at each step."""
        return sparse(self[0])


def dense(spikes: Tensor | SpikeRows) -> Tensor:
    """Spikes as a tensor, uint8 ``[R, M]``."""
    if not isinstance(spikes, SpikeRows):
        return spikes
    import torch

    return torch.from_numpy(spikes.dense())


def sparse(spikes: Tensor | SpikeRows) -> SpikeRows:
    """Spikes as rows; of a tensor, uint8 ``[R, M]``."""
    return spikes if isinstance(spikes, SpikeRows) else SpikeRows.of(spikes.cpu().numpy())


def class_target(label: int, steps: int, classes: int) -> Tensor:
    """What the visible neurons should do for a class, uint8 ``[T, V]``: its own one spikes at every step, no other."""
    import torch

    target = torch.zeros(steps, classes, dtype=torch.uint8)
    target[:, label] = 1
    return target


class PresentationSequence(Protocol):
    """What training and evaluation need of data: a length, and presentations by position."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Presentation: ...


@runtime_checkable
class ChangingSequence(Protocol):
    """Presentations that are others in every epoch of a training."""

    def at_epoch(self, epoch: int) -> PresentationSequence:
        """Those of one epoch, counted from 0."""
        ...


class Batch(NamedTuple):
    """Presentations side by side, padded to the longest.

    Attributes:
        rows: the inputs that spiked at each step of each presentation, ``B T`` rows; none in the padding.
        target: uint8 ``[B, T, V]``, zero in the padding.
        length: int64 ``[B]``; steps ``t >= length`` are padding, without evidence, spikes or learning.
        label: int64 ``[B]``.
        address: int64 ``[B]``.
        begin: int64 ``[B]``, the first steps at which the visible neurons are observed, see :func:`first_observed`.
    """

    rows: SpikeRows
    target: Tensor
    length: Tensor
    label: Tensor
    address: Tensor
    begin: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """B, T and M."""
        count, steps = self.target.shape[:2]
        return count, steps, self.rows.inputs

    def dense(self) -> Tensor:
        """The spikes, uint8 ``[B, T, M]``, on the device of the other tensors."""
        import torch

        count, steps, inputs = self.shape
        device = self.length.device
        if device.type == "cpu":
            return torch.from_numpy(self.rows.dense()).view(count, steps, inputs)
        place = torch.from_numpy(self.rows.row * inputs + self.rows.held).to(device)
        out = torch.zeros(count * steps * inputs, dtype=torch.uint8, device=device)
        out[place] = torch.from_numpy(self.rows.sizes).to(device)
        return out.view(count, steps, inputs)

    def some(self, presentations: slice) -> Batch:
        """Some of the presentations, side by side."""
        low, high, _ = presentations.indices(len(self.label))
        steps = self.target.shape[1]
        rows = self.rows.part(low * steps, high * steps)
        return Batch(rows, *(leaf[presentations] for leaf in self[1:]))  # pyright: ignore[reportArgumentType]

    def to(self, device: object) -> Batch:
        """The same on a device; rows stay where they are."""
        return Batch(self.rows, *(leaf.to(device) for leaf in self[1:]))  # pyright: ignore

    @property
    def came(self) -> Tensor:
        """Input spikes (or events, where bins hold counts) of each step, int64 ``[B, T]``."""
        import torch

        return torch.from_numpy(self.rows.per_row()).view(self.shape[:2]).to(self.length.device)

    @property
    def alive(self) -> Tensor:
        """Bool ``[B, T]``: true where a step is real and false where it is padding."""
        import torch

        return torch.arange(self.target.shape[1], device=self.length.device) < self.length[:, None]

    @property
    def observed(self) -> Tensor:
        """Bool ``[B, T]``: at which steps the target is evidence."""
        import torch

        step = torch.arange(self.target.shape[1], device=self.length.device)
        return (step >= self.begin[:, None]) & self.alive


def first_observed(warm_up: float, steps: int) -> int:
    """The first of a recording's steps at which the visible neurons are observed, ``floor(warm_up T)``.

    Before it they are free and the target is no evidence, so that a network can take in some of the recording first.
    """
    return int(warm_up * steps)
