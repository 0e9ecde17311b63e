"""snnTorch's leaky integrate-and-fire neurons, trained by backpropagation through time, dense and convolutional.

A layer is asked for all steps before the next: nothing feeds back, so that is what all layers step by step would give.
Readouts are leaky and do not spike; the cross entropy is that of their mean potential over the steps that count.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from snntorch import Leaky, surrogate
from torch import Tensor, nn

from peer_learners.shown import Answer, Batch, Settings, Shape, answer_of

MAPS, KERNEL, STRIDES = (8, 16), 5, (3, 2)
"""Of the two convolutions: small, for one core learns 10,000 images twenty times."""


def stepped(neurons: Leaky, drive: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Spikes and potentials of neurons at each step of ``drive [T, B, ..]``."""
    potential = neurons.init_leaky()
    for now in drive:
        spikes, potential = neurons(now, potential)
        yield spikes, potential


class Backpropagated:
    """Layers of leaky neurons behind linear maps or convolutions, and a leaky readout."""

    def __init__(self, kind: str, shape: Shape, settings: Settings, seed: int) -> None:
        torch.manual_seed(seed)
        self.shape = shape

        def leaky(**more: str) -> Leaky:
            return Leaky(beta=settings.decay, spike_grad=surrogate.atan(), **more)

        if kind == "snntorch":
            maps = [nn.Linear(shape.inputs, shape.hidden)]
            last = shape.hidden
        else:
            first, second = MAPS
            maps = [
                nn.Conv2d(senders, receivers, KERNEL, stride=stride, padding=KERNEL // 2)
                for senders, receivers, stride in zip((shape.channels, first), MAPS, STRIDES, strict=True)
            ]
            rows, columns = shape.height, shape.width
            for stride in STRIDES:
                rows, columns = (1 + (side - 1) // stride for side in (rows, columns))
            last = second * rows * columns
        self.maps, self.neurons = nn.ModuleList(maps), [leaky() for _ in maps]
        self.readout, self.out = nn.Linear(last, shape.classes), leaky(reset_mechanism="none")
        self.adam = torch.optim.Adam([*self.maps.parameters(), *self.readout.parameters()], lr=settings.lr)

    @property
    def bytes(self) -> int:
        """The size of its weights."""
        return sum(leaf.nbytes for group in self.adam.param_groups for leaf in group["params"])

    def forward(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Potentials of the readout ``[T, B, C]``, and the spikes that each linear map or convolution was given."""
        now = batch.steps_first()
        if isinstance(self.maps[0], nn.Conv2d):
            width_first = self.shape.width, self.shape.height, self.shape.channels
            now = now.unflatten(2, width_first).permute(0, 1, 4, 3, 2).contiguous()
        given = []
        for each, neurons in zip(self.maps, self.neurons, strict=True):
            given.append(now)
            drive = each(now.flatten(0, 1)).unflatten(0, now.shape[:2])
            now = torch.stack([spikes for spikes, _ in stepped(neurons, drive)])
        now = now.flatten(2)
        potentials = [potential for _, potential in stepped(self.out, self.readout(now))]
        return torch.stack(potentials), [*given, now]

    def learn(self, batch: Batch, lr: float) -> None:
        """One update of Adam from the gradient through all steps."""
        logits, _ = self.forward(batch)
        weights = batch.weights()
        mean = (weights[..., None] * logits).sum(0) / weights.sum(0).clamp(min=1)[:, None]
        self.adam.zero_grad()
        nn.functional.cross_entropy(mean, torch.from_numpy(batch.labels)).backward()
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()

    def answer(self, batch: Batch) -> Answer:
        """The mean logits; a spike arrives at as many synapses as a map or convolution has for it."""
        with torch.no_grad():
            logits, given = self.forward(batch)
            spikes = sum(each.flatten(2).sum((0, 2)) for each in given[1:])
            arrived = torch.zeros(logits.shape[1])
            for each, came in zip([*self.maps, self.readout], given, strict=True):
                arrived += (came.sum(0) * fan_out(each, came[0, 0])).flatten(1).sum(1)
        assert isinstance(spikes, Tensor)
        return answer_of(logits, batch.weights(), spikes, arrived)


def fan_out(each: nn.Module, one: Tensor) -> Tensor | int:
    """At how many synapses a spike of each of the senders ``one`` arrives."""
    if isinstance(each, nn.Linear):
        return each.out_features
    assert isinstance(each, nn.Conv2d)
    with torch.enable_grad():
        sender = torch.zeros_like(one).requires_grad_()
        kernel = torch.ones_like(each.weight)
        heard = nn.functional.conv2d(sender[None], kernel, stride=each.stride, padding=each.padding)  # pyright: ignore
        return torch.autograd.grad(heard.sum(), sender)[0]
