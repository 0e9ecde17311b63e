"""Projections: which synapses there are between two populations, and three operations with them.

A kind of projection says how a receiver's potential follows from the senders' traces ``a``, with weights in the shape
that is natural to it, the basis last:

====================== =================== =================================================================
kind                   weight              drive of receiver n
====================== =================== =================================================================
:class:`Dense`         ``[n, m, L]``       ``sum_j sum_l w[n, j, l] a[j, l]``
:class:`Masked`        ``[n, m, L]``       the same over the synapses that there are
:class:`Convolutional` ``[C, c, k, k, L]`` ``sum_{c, y, x, l} w[C, c, y, x, l] a[c, s Y + y - p, s X + x - p, l]``
:class:`Pooling`       none                ``gain sum_l`` of the traces in a window of the same channel
====================== =================== =================================================================

The other two operations follow from the drive, which is linear: ``gradient`` (error times trace, as much as every
synapse saw of it) and ``credit``, its transpose (what the receivers' errors say of each sender's trace). A kind of
one's own is a frozen value with these methods; the kernels ``reference`` and ``block`` serve it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_input, conv2d_weight

from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, Range


class Sheet(NamedTuple):
    """How neurons, or inputs, lie beside each other.

    Neuron ``(c, y, x)`` of a population has the number ``(c * height + y) * width + x``; inputs have their own order
    (:class:`gemsnn.types.Layout`), ``c + channels * (x * height + y)``.

    Attributes:
        channels: how many lie at one place.
        height: rows.
        width: columns.
        of_inputs: whether they have the order of inputs.
    """

    channels: int
    height: int
    width: int
    of_inputs: bool = False

    @property
    def size(self) -> int:
        """How many there are."""
        return self.channels * self.height * self.width

    def picture(self, values: Tensor) -> Tensor:
        """``[X, size, L]`` as ``[X, channels, L, height, width]``."""
        if self.of_inputs:
            return values.unflatten(1, (self.width, self.height, self.channels)).permute(0, 3, 4, 2, 1)
        return values.unflatten(1, (self.channels, self.height, self.width)).permute(0, 1, 4, 2, 3)

    def flat(self, picture: Tensor) -> Tensor:
        """``[X, channels, L, height, width]`` as ``[X, size, L]``."""
        order = (0, 4, 3, 1, 2) if self.of_inputs else (0, 1, 3, 4, 2)
        return picture.permute(order).flatten(1, 3)


@runtime_checkable
class Kind(Protocol):
    """What a network asks of a kind of projection; ``n`` receivers, ``m`` senders, ``L`` functions of the basis."""

    name: ClassVar[str]
    """What settings and messages call it."""

    def shape(self, senders: Sheet, receivers: Sheet) -> tuple[int, ...] | None:
        """The shape of the weights but for the basis; ``None`` for none. Raises InputError where they do not fit."""
        ...

    def synapses(self, senders: Sheet, receivers: Sheet) -> int:
        """How many synapses a receiver has, for the scale of initial weights."""
        ...

    def drive(self, weight: Tensor | None, trace: Tensor, senders: Sheet, receivers: Sheet) -> Tensor:
        """What traces ``[.., m, L]`` add to the receivers' potentials, ``[.., n]``."""
        ...

    def gradient(self, error: Tensor, trace: Tensor, senders: Sheet, receivers: Sheet) -> Tensor:
        """``sum_x error[g, x] trace[g, x]^T``, synapse by synapse: ``[G, X, n]``, ``[G, X, m, L]`` to ``[G, *w]``."""
        ...

    def credit(
        self, weight: Tensor | None, error: Tensor, senders: Sheet, receivers: Sheet, basis: int
    ) -> Tensor:
        """``d (sum_n error[n] drive[n]) / d a[m, l]`` of errors ``[.., n]``: ``[.., m, L]``, L being ``basis``."""
        ...


@dataclass(frozen=True)
class Dense:
    """Every sender to every receiver."""

    name: ClassVar[str] = "dense"

    def shape(self, senders: Sheet, receivers: Sheet) -> tuple[int, ...]:
        """``[n, m]``."""
        return (receivers.size, senders.size)

    def synapses(self, senders: Sheet, receivers: Sheet) -> int:
        """All senders."""
        return senders.size

    def drive(self, weight: Tensor | None, trace: Tensor, senders: Sheet, receivers: Sheet) -> Tensor:
        """One matrix product."""
        assert weight is not None
        return trace.flatten(-2) @ weight.flatten(-2).T

    def gradient(self, error: Tensor, trace: Tensor, senders: Sheet, receivers: Sheet) -> Tensor:
        """One matrix product for each g, of a single x an outer product."""
        if error.shape[1] == 1:
            return error[:, 0, :, None, None] * trace[:, 0, None]
        return torch.einsum("gxn,gxml->gnml", error, trace)

    def credit(
        self, weight: Tensor | None, error: Tensor, senders: Sheet, receivers: Sheet, basis: int
    ) -> Tensor:
        """One matrix product."""
        assert weight is not None
        return torch.einsum("...n,nml->...ml", error, weight)


@dataclass(frozen=True)
class Masked(Dense):
    """Some senders to some receivers: the network's seed draws each synapse with probability ``density``."""

    density: Annotated[float, Range(above=0, high=1)] = 0.1
    name: ClassVar[str] = "masked"

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)


@dataclass(frozen=True)
class Convolutional:
    """One patch of weights for every place: ``kernel x kernel``, at every ``stride``-th place.

    Attributes:
        kernel: side of the patch.
        stride: places from one patch to the next.
        padding: places beyond the border, where nothing spikes; ``None`` for half of the kernel.
    """

    kernel: Count = 5
    stride: Count = 1
    padding: Annotated[int, Range(0, checks.MOST)] | None = None
    name: ClassVar[str] = "convolutional"

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)

    @property
    def border(self) -> int:
        """The padding."""
        return self.kernel // 2 if self.padding is None else self.padding

    def places(self, side: int) -> int:
        """How many patches fit along a side."""
        return (side + 2 * self.border - self.kernel) // self.stride + 1

    def result(self, senders: Sheet, channels: int) -> tuple[int, int, int]:
        """The shape of a population of so many channels that hears these senders through this convolution.

        Raises:
            InputError: no patch fits.
        """
        height, width = self.places(senders.height), self.places(senders.width)
        if min(height, width) < 1:
            raise InputError(
                f"a kernel of {self.kernel} x {self.kernel} with padding {self.border} does not fit into "
                f"{senders.height} "
                f"x {senders.width} places; take a smaller kernel or more padding"
            )
        return (channels, height, width)

    def shape(self, senders: Sheet, receivers: Sheet) -> tuple[int, ...]:
        """``[C, c, k, k]``."""
        wanted = self.result(senders, receivers.channels)
        if wanted != tuple(receivers[:3]):
            raise InputError(
                f"a convolution of {senders.channels} x {senders.height} x {senders.width} with kernel "
                f"{self.kernel}, stride "
                f"{self.stride} and padding {self.border} gives {' x '.join(map(str, wanted))}, not "
                f"{receivers.channels} x {receivers.height} x {receivers.width}; give the population that shape"
            )
        return (receivers.channels, senders.channels, self.kernel, self.kernel)

    def synapses(self, senders: Sheet, receivers: Sheet) -> int:
        """A patch of every channel."""
        return senders.channels * self.kernel**2

    def _patches(self, weight: Tensor) -> Tensor:
        # contiguous: of one channel it would be a view, of which torch on the CPU cannot make a gradient
        return weight.permute(0, 1, 4, 2, 3).flatten(1, 2).contiguous()

    def _pictures(self, trace: Tensor, senders: Sheet) -> Tensor:
        return senders.picture(trace.reshape(-1, *trace.shape[-2:])).flatten(1, 2)

    def drive(self, weight: Tensor | None, trace: Tensor, senders: Sheet, receivers: Sheet) -> Tensor:
        """A convolution whose channels are those of the senders times those of the basis."""
        assert weight is not None
        patches = self._patches(weight)
        found = conv2d(self._pictures(trace, senders), patches, stride=self.stride, padding=self.border)
        return found.flatten(1).reshape(*trace.shape[:-2], receivers.size)

    def gradient(self, error: Tensor, trace: Tensor, senders: Sheet, receivers: Sheet) -> Tensor:
        """The convolution of traces with errors, for each g."""
        count = trace.shape[-1]
        size = (receivers.channels, senders.channels * count, self.kernel, self.kernel)
        found = [
            conv2d_weight(
                self._pictures(traces, senders), size, errors.unflatten(1, tuple(receivers[:3])),
                stride=self.stride, padding=self.border,
            )
            for errors, traces in zip(error, trace, strict=True)
        ]  # fmt: skip
        return torch.stack(found).unflatten(2, (senders.channels, count)).movedim(3, -1)

    def credit(
        self, weight: Tensor | None, error: Tensor, senders: Sheet, receivers: Sheet, basis: int
    ) -> Tensor:
        """The transposed convolution."""
        assert weight is not None
        patches = self._patches(weight)
        errors = error.reshape(-1, *receivers[:3])
        size = (len(errors), senders.channels * basis, senders.height, senders.width)
        found = conv2d_input(size, patches, errors, stride=self.stride, padding=self.border)
        flat = senders.flat(found.unflatten(1, (senders.channels, basis)))
        return flat.reshape(*error.shape[:-1], senders.size, basis)


@dataclass(frozen=True)
class Pooling:
    """No weights: a receiver feels ``gain`` times the sum of all traces of its channel in a window.

    Attributes:
        window: side of the window, and places from one to the next.
        gain: nats of potential for a trace of one.
    """

    window: Count = 2
    gain: float = 1.0
    name: ClassVar[str] = "pooling"

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)

    def result(self, senders: Sheet) -> tuple[int, int, int]:
        """The shape of a population that hears these senders through this pooling."""
        height, width = senders.height // self.window, senders.width // self.window
        if min(height, width) < 1:
            raise InputError(
                f"a window of {self.window} x {self.window} does not fit into {senders.height} x "
                f"{senders.width} places; "
                "take a smaller window"
            )
        return (senders.channels, height, width)

    def shape(self, senders: Sheet, receivers: Sheet) -> None:
        """No weights; raises InputError where the sheets do not fit."""
        wanted = self.result(senders)
        if wanted != tuple(receivers[:3]):
            raise InputError(
                f"a pooling of {senders.channels} x {senders.height} x {senders.width} by {self.window} gives "
                f"{' x '.join(map(str, wanted))}, not {receivers.channels} x {receivers.height} x "
                f"{receivers.width}; give "
                "the population that shape"
            )

    def synapses(self, senders: Sheet, receivers: Sheet) -> int:
        """A window."""
        return self.window**2

    def _windows(self, senders: Sheet, like: Tensor) -> Tensor:
        return like.new_full((senders.channels, 1, self.window, self.window), self.gain)

    def drive(self, weight: Tensor | None, trace: Tensor, senders: Sheet, receivers: Sheet) -> Tensor:
        """A sum over windows and the basis."""
        pictures = senders.picture(trace.reshape(-1, *trace.shape[-2:])).sum(2)
        found = conv2d(pictures, self._windows(senders, trace), stride=self.window, groups=senders.channels)
        return found.flatten(1).reshape(*trace.shape[:-2], receivers.size)

    def gradient(self, error: Tensor, trace: Tensor, senders: Sheet, receivers: Sheet) -> Tensor:
        """There is nothing to learn."""
        raise AssertionError("a pooling has no weights")

    def credit(
        self, weight: Tensor | None, error: Tensor, senders: Sheet, receivers: Sheet, basis: int
    ) -> Tensor:
        """Every sender's trace counts ``gain`` times the error of its window."""
        errors = error.reshape(-1, *receivers[:3])
        size = (len(errors), senders.channels, senders.height, senders.width)
        found = conv2d_input(
            size, self._windows(senders, error), errors, stride=self.window, groups=senders.channels
        )
        flat = senders.flat(found[:, :, None].expand(-1, -1, basis, -1, -1))
        return flat.reshape(*error.shape[:-1], senders.size, basis)


DENSE = Dense()
KINDS: dict[str, type] = {
    "dense": Dense,
    "masked": Masked,
    "convolutional": Convolutional,
    "pooling": Pooling,
}
"""The kinds of projections by name."""
