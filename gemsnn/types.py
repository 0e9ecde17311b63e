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

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gemsnn.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

# torch takes seconds to load, and what only reads files does without it: whoever makes tensors here imports it there

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Wraps an iterable, given its length and what its items are, to show how far the work has come."""


class Layout(NamedTuple):
    """How the ``M`` inputs lie on the sensor, and what the labels mean.

    Input ``m`` of pixel ``(x, y)`` and channel ``c`` is ``c + channels * (x * height + y)``; with two
    channels ``c`` is 1 for ON and 0 for OFF events.
    """

    channels: int
    height: int
    width: int
    classes: int
    bin_us: int

    @property
    def inputs(self) -> int:
        """The number of exogenous inputs ``M``."""
        return self.channels * self.height * self.width


LARGEST_SIDE = 2**15
"""No sensor has more pixels in a row, and no data set more classes."""


def layout_from(fields: Any, where: str) -> Layout:
    """A layout from a JSON object; ``where`` names it in errors.

    Raises:
        InputError: a field is missing or is no positive whole number of sensible size.
    """
    most = {"bin_us": 10**9}
    for name in Layout._fields:
        value = fields.get(name) if isinstance(fields, dict) else None
        if type(value) is not int or not 1 <= value <= most.get(name, LARGEST_SIDE):
            raise InputError(f"{where} is damaged ({name} is {value!r}); restore the file or train again")
    return Layout(**{name: fields[name] for name in Layout._fields})


class Presentation(NamedTuple):
    """One labelled recording, binned.

    Attributes:
        spikes: uint8 ``[T, M]``, the inputs of each step.
        target: uint8 ``[T, V]``, what the visible neurons should do at each step.
        label: the class, ``0 <= label < V``.
        address: the presentation's own number; with the seed it addresses all noise it will meet.
        begin: the first step at which the visible neurons are observed: before it they are free, and the target says
            nothing, so that the network can take in some of the recording first.
    """

    spikes: Tensor
    target: Tensor
    label: int
    address: int
    begin: int = 0


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


class Batch(NamedTuple):
    """Presentations side by side, padded to the longest.

    Attributes:
        spikes: uint8 ``[B, T, M]``, zero in the padding.
        target: uint8 ``[B, T, V]``, zero in the padding.
        length: int64 ``[B]``; steps ``t >= length`` are padding, without evidence, spikes or learning.
        label: int64 ``[B]``.
        address: int64 ``[B]``.
        begin: int64 ``[B]``, the first steps at which visible neurons are observed.
    """

    spikes: Tensor
    target: Tensor
    length: Tensor
    label: Tensor
    address: Tensor
    begin: Tensor

    @property
    def alive(self) -> Tensor:
        """Bool ``[B, T]``: true where a step is real and false where it is padding."""
        import torch

        return torch.arange(self.spikes.shape[1], device=self.length.device) < self.length[:, None]

    @property
    def observed(self) -> Tensor:
        """Bool ``[B, T]``: at which steps the target is evidence."""
        import torch

        step = torch.arange(self.spikes.shape[1], device=self.length.device)
        return (step >= self.begin[:, None]) & self.alive


def collate(presentations: Sequence[Presentation] | Iterable[Presentation]) -> Batch:
    """Put presentations of any lengths side by side, padded with zeros to the longest."""
    import torch

    rows = list(presentations)
    if not rows:
        raise InputError("a batch needs at least one presentation")
    pad = torch.nn.utils.rnn.pad_sequence
    return Batch(
        spikes=pad([row.spikes for row in rows], batch_first=True),
        target=pad([row.target for row in rows], batch_first=True),
        length=torch.tensor([row.spikes.shape[0] for row in rows]),
        label=torch.tensor([row.label for row in rows]),
        address=torch.tensor([row.address for row in rows]),
        begin=torch.tensor([row.begin for row in rows]),
    )
