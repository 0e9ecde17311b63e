"""Fleets: devices that learn on recordings of their own and now and then average their weights.

Federated averaging (H. McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
AISTATS 2017, arXiv 1602.05629), of spiking networks after N. Skatchkovsky, H. Jang and O. Simeone, "Federated
Neuromorphic Learning of Spiking Neural Networks for Low-Power Edge Intelligence", ICASSP 2020, arXiv 1910.09594. In a
round every device d of those that are there, with ``n_d`` recordings, learns ``tau`` batches of its own from the common
weights ``theta`` on, which makes ``theta_d`` of them, and sends its change; all go on from the weighted mean::

    c_d = theta_d - theta + e_d                          what is to be told
    s_d = decoded(encoded(c_d)),   e_d <- c_d - s_d      what is told, and the rest, which waits on the device
    theta <- theta + sum_d n_d s_d / sum_d n_d

Where changes are sent in full, ``e_d`` is zero and this is the mean of the ``theta_d``. The rest that waits is error
feedback (F. Seide et al., "1-Bit Stochastic Gradient Descent", Interspeech 2014): what was sent and what waits add up
to all changes, so that rounding and leaving out delay a change and lose none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.learn.crew import share
from gemsnn.learn.train import TrainSpec
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, Positive, Range
from gemsnn.specs.needs import needs, one_of

Send = Literal["full", "8-bit", "sparse"]

LEVELS = 127
"""The largest whole number that eight bits tell of either sign."""


@dataclass(frozen=True)
class FleetSpec:
    """Devices, and when and how they average.

    Attributes:
        devices: how many there are, D.
        every: batches that each device learns between two averagings, tau.
        missing: the share of rounds that a device misses: it learns nothing, sends nothing and hears nothing.
        alpha: how alike the devices' classes are: each draws its shares of them from a Dirichlet distribution, alpha
            times the shares of all recordings; large is alike, near 0 is one class each.
        classes_per_device: each device has recordings of so many classes and no other.
        send: a change in full, as 8-bit numbers with a scale for each kind of weights, or sparse: its largest numbers.
        share: how much of a change is sent where that is sparse.
    """

    devices: Count = 10
    every: Count = 5
    missing: Annotated[float, Range(0, below=1)] = 0.0
    alpha: Positive | None = None
    classes_per_device: Count | None = None
    send: Send = "full"
    share: Annotated[float, Range(above=0, high=1), needs(one_of("send", "sparse"))] = 0.05

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        if self.alpha is not None and self.classes_per_device is not None:
            raise InputError(
                "alpha and classes_per_device both say which classes a device has; give one of them"
            )

    def together(self, spec: TrainSpec) -> TrainSpec:
        """The same training with the batch that all devices learn in one step, D times that of each."""
        return replace(spec, batch=self.devices * spec.batch)


# -- who has what, and who is there ------------------------------------------------------------------------


def dealt(labels: Sequence[int] | NDArray[np.int64], spec: FleetSpec, seed: int) -> list[NDArray[np.int64]]:
    """The positions of each device's recordings, in random order; each recording is one device's.

    Without a skew, and by ``alpha``, devices have as many as each other, up to one. By ``alpha`` they draw one
    recording each in turn, its class by their own shares among classes of which some are left (T. Hsu, H. Qi and
    M. Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification", arXiv
    1909.06335). By ``classes_per_device`` classes go round, and those who hold a class divide its recordings.

    Args:
        labels: of all recordings, ``[n]``.
        spec: the devices.
        seed: of what is drawn.

    Raises:
        InputError: a device has none.
    """
    labels = np.asarray(labels)
    draws = rng.generator(seed, "dealt")
    order = draws.permutation(len(labels))
    if spec.alpha is not None:
        found = _by_shares(labels[order], spec.devices, spec.alpha, draws)
    elif spec.classes_per_device is not None:
        found = _by_classes(labels[order], spec.devices, spec.classes_per_device, draws)
    else:
        found = [share(range(len(order)), device, spec.devices) for device in range(spec.devices)]
    if not all(map(len, found)):
        raise InputError(
            f"{sum(not len(each) for each in found)} of {spec.devices} devices would have none of the {len(labels)} "
            "recordings; take fewer devices, or more recordings"
        )
    return [order[np.asarray(each, np.int64)] for each in found]


def _by_shares(
    labels: NDArray[np.int64], devices: int, alpha: float, draws: np.random.Generator
) -> list[list[int]]:
    classes, counts = np.unique(labels, return_counts=True)
    shares = draws.dirichlet(alpha * counts / counts.sum(), devices)
    left: list[list[int]] = [np.flatnonzero(labels == label).tolist() for label in classes]
    found: list[list[int]] = [[] for _ in range(devices)]
    for turn, place in enumerate(draws.random(len(labels))):
        remaining = np.array([len(each) for each in left])
        wanted = shares[turn % devices] * (remaining > 0)
        bounds = np.cumsum(wanted if wanted.sum() > 0 else remaining)
        chosen = int(np.searchsorted(bounds, place * bounds[-1], side="right"))
        found[turn % devices].append(left[chosen].pop())
    return found


def _by_classes(
    labels: NDArray[np.int64], devices: int, each: int, draws: np.random.Generator
) -> list[list[int]]:
    classes = draws.permutation(np.unique(labels))
    if each > len(classes):
        raise InputError(
            f"classes_per_device must be {len(classes)} at most, the number of classes, not {each}"
        )
    if devices * each < len(classes):
        raise InputError(
            f"{devices} devices of {each} classes each cannot hold all {len(classes)} classes; take more devices, or "
            "more classes for each"
        )
    found: list[list[int]] = [[] for _ in range(devices)]
    slots = [
        classes[slot % len(classes)] for slot in range(devices * each)
    ]  # each device's, one after the other
    for label in classes:
        holders = [slot // each for slot, held in enumerate(slots) if held == label]
        places = np.flatnonzero(labels == label)
        for n, device in enumerate(holders):
            found[device] += share(places, n, len(holders)).tolist()  # pyright: ignore
    return [sorted(some) for some in found]  # in the random order of all


def present(spec: FleetSpec, seed: int, turn: int) -> list[int]:
    """The devices that take part in a round, in their order: at least one, whose number drawn was the largest."""
    drawn = [rng.generator(seed, "missing", turn, device).random() for device in range(spec.devices)]
    found = [device for device, number in enumerate(drawn) if number >= spec.missing]
    return found or [int(np.argmax(drawn))]


# -- what is sent ------------------------------------------------------------------------------------------


class Message(NamedTuple):
    """What goes over the air.

    Attributes:
        values: a number for each weight that is told: float as the weights are, or int8.
        places: int32, which weights those are; ``None`` where it is all of them.
        scales: by what whole numbers are multiplied, one a leaf; ``None`` where they are none.
    """

    values: Tensor
    places: Tensor | None = None
    scales: Tensor | None = None

    @property
    def bytes(self) -> int:
        """What it takes, without a header."""
        return sum(part.numel() * part.element_size() for part in self if part is not None)


def encoded(spec: FleetSpec, change: Tensor, sizes: Sequence[int]) -> Message:
    """A change as it is sent.

    Args:
        spec: how.
        change: all weights' changes, ``[P]``.
        sizes: how many of them each leaf has, in order.
    """
    if spec.send == "sparse":
        places = change.abs().topk(math.ceil(spec.share * len(change))).indices.sort().values
        return Message(change[places], places.to(torch.int32))
    if spec.send == "8-bit":
        leaves = change.split(list(sizes))
        scales = torch.stack([leaf.abs().max() / LEVELS for leaf in leaves])
        each = [
            torch.where(scale > 0, leaf / scale, 0).round().clamp(-LEVELS, LEVELS)
            for leaf, scale in zip(leaves, scales, strict=True)
        ]
        return Message(torch.cat(each).to(torch.int8), scales=scales)
    return Message(change)


def decoded(message: Message, sizes: Sequence[int]) -> Tensor:
    """The change that a message tells, ``[P]``: zero where it tells nothing."""
    if message.scales is not None:
        counts = torch.tensor(sizes, device=message.values.device)
        return message.values * message.scales.repeat_interleave(counts)
    if message.places is not None:
        whole = message.values.new_zeros(sum(sizes))
        whole[message.places.long()] = message.values
        return whole
    return message.values


class Told(NamedTuple):
    """What a device has told, and what it has kept for later.

    Attributes:
        sent: the change as it arrives, ``[P]``.
        rest: the residual, ``[P]``; ``None`` where all was sent.
        message: what was on the way.
    """

    sent: Tensor
    rest: Tensor | None
    message: Message


def tell(spec: FleetSpec, change: Tensor, rest: Tensor | None, sizes: Sequence[int]) -> Told:
    """Send a change ``[P]`` together with what was kept before, and keep what it does not tell: error feedback."""
    if spec.send == "full":
        return Told(change, None, Message(change))
    wanted = change if rest is None else change + rest
    message = encoded(spec, wanted, sizes)
    sent = decoded(message, sizes)
    return Told(sent, wanted - sent, message)


# -- what a round has cost ---------------------------------------------------------------------------------


class Round(NamedTuple):
    """A round, in numbers of a line of ``metrics.jsonl``.

    Attributes:
        round: its number, from 1.
        steps: batches that each device has learned, or missed, by its end.
        devices: how many have taken part.
        scalars: numbers that each of them has sent.
        scalars_per_step: the same for each batch that it has learned.
        sent_bytes: what each has sent.
        received_bytes: what each was sent: the weights to begin with, in full, for it may have missed the ones before.
    """

    round: int
    steps: int
    devices: int
    scalars: int
    scalars_per_step: float
    sent_bytes: int
    received_bytes: int


def cost(rows: Sequence[dict[str, Any]], devices: int) -> dict[str, float]:
    """What a device has sent and received on average in all rounds of a history: bytes, and scalars a step."""
    found = [row for row in rows if row.get("kind") == "round"]
    steps = max((row["steps"] for row in found), default=0)
    sums = {
        name: sum(row["devices"] * row[name] for row in found) / devices
        for name in ("scalars", "sent_bytes", "received_bytes")
    }
    return {"rounds": len(found), **sums, "scalars_per_step": sums["scalars"] / max(1, steps)}
