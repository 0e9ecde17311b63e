"""The layerwise form of the block kernel: all steps of a layer at once.

What a layer hears of those before it follows from their spikes for all steps at once, since filtering and projections
are linear. Where nothing in the layer recurs, so do its spikes. Else time is a loop, over what recurs alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.kernels.block.spikes import Spikes
from gemsnn.kernels.block.wires import Layer, Plan, Wire
from gemsnn.model import step as stepping
from gemsnn.model.graph import Population
from gemsnn.model.network import Network, Params
from gemsnn.types import Batch


class History(NamedTuple):
    """What has happened, of runs p = b K + k; spikes come after D steps of silence, D being the longest memory.

    Attributes:
        inputs: ``[B, D + T, M]``, known from the beginning.
        spikes: ``[P, D + T, N]``.
        potential: ``[P, T, N]``.
        looked_at: the inputs' spikes of some steps, kept for the case that they are asked for again.
    """

    inputs: Tensor
    spikes: Tensor
    potential: Tensor
    looked_at: dict[tuple[int, int], Spikes]

    @property
    def silence(self) -> int:
        """D."""
        return self.spikes.shape[1] - self.potential.shape[1]

    @property
    def fired(self) -> Tensor:
        """The spikes without the silence before, ``[P, T, N]``."""
        return self.spikes[:, self.silence :]

    def sent(self, wire: Wire, start: int, stop: int) -> Spikes:
        """What a wire's senders did before and at the steps from start to stop, as :class:`Wire` takes it."""
        first, last = self.silence + start - wire.memory, self.silence + stop - 1
        if not wire.link.hears_inputs:
            return Spikes(self.spikes[:, first:last, wire.link.neurons])
        if (first, last) not in self.looked_at:
            self.looked_at.clear()
            self.looked_at[first, last] = Spikes(self.inputs[:, first:last])
        return self.looked_at[first, last]


class Clamp(NamedTuple):
    """What becomes of spikes at some steps.

    Attributes:
        target: what visible neurons do where they are observed, ``[P, C, V]``.
        observed: bool ``[P, C, 1]``.
        alive: ``[P, C, 1]``, 0 in the padding.
    """

    target: Tensor
    observed: Tensor
    alive: Tensor


def begin(network: Network, batch: Batch, compartments: int) -> History:
    """Nothing has happened."""
    (presentations, steps, inputs), new = batch.shape, network.taps.new_zeros
    memory, neurons = max(network.memory, network.own_taps.shape[1]), network.spec.neurons
    padded = new(presentations, memory + steps, inputs)
    padded[:, memory:] = batch.dense()
    runs = presentations * compartments
    return History(padded, new(runs, memory + steps, neurons), new(runs, steps, neurons), {})


def run(
    network: Network, plan: Plan, params: Params, batch: Batch, history: History, steps: range, *, seed: int,
    clamp: bool, first: int = 0,
) -> None:  # fmt: skip
    """Fill in the spikes and potentials of some steps, all before them known, under parameters that rest."""
    some, like, hidden = slice(steps.start, steps.stop), network.taps, network.spec.hidden_neurons
    compartments = len(history.spikes) // len(history.inputs)
    uniform = rng.uniforms(
        seed, batch.address, steps, compartments, network.spec.neurons, first=first, device=like.device
    )
    uniform = uniform.transpose(1, 2).flatten(0, 1).to(like)
    given = Clamp(
        batch.target[:, some].repeat_interleave(compartments, 0).to(like),
        (batch.observed[:, some] & clamp).repeat_interleave(compartments, 0)[:, :, None],
        batch.alive[:, some].repeat_interleave(compartments, 0)[:, :, None].to(like),
    )
    potential, fired = history.potential[:, some], history.fired[:, some]
    potential.unflatten(0, (-1, compartments)).copy_(
        _input_drive(network, plan, params, history, steps)[:, None]
    )
    for layer in plan.layers:
        for wire in layer.before:
            sent = history.sent(wire, steps.start, steps.stop)
            potential[..., wire.link.listeners] += wire.drive(wire.weight(params), sent)
        if layer.recurs:
            _scan(network, layer, params, history, steps, uniform, given)
            continue
        for span, population in layer.members:
            free = population.neuron.sample(uniform[..., span], potential[..., span])
            _fire(free, population, span, hidden, given, out=fired[..., span])


def _fire(
    free: Tensor, population: Population, span: slice, hidden: int, given: Clamp, *, out: Tensor
) -> None:
    """Free spikes, but visible neurons do what they are told where they are observed; silence in the padding."""
    if population.visible:
        told = given.target[..., span.start - hidden : span.stop - hidden]
        free = torch.where(given.observed, told, free)
    torch.mul(free, given.alive, out=out)


def _input_drive(network: Network, plan: Plan, params: Params, history: History, steps: range) -> Tensor:
    """What biases and inputs add to potentials, ``[B, C, N]``: the same for all compartments."""
    bias = stepping.spread(network, params.bias)
    total = bias.expand(len(history.inputs), len(steps), -1).clone()
    for wire in plan.inputs:
        sent = history.sent(wire, steps.start, steps.stop)
        total[..., wire.link.listeners] += wire.drive(wire.weight(params), sent)
    return total


def _scan(
    network: Network, layer: Layer, params: Params, history: History, steps: range, uniform: Tensor, given: Clamp
) -> None:  # fmt: skip
    """One step after the other of a layer that hears itself."""
    silence, hidden, memory = history.silence, network.spec.hidden_neurons, network.own_taps.shape[1]
    own = stepping.spread(
        network, params.feedback @ network.own_taps
    ).T  # [Df, N]: what a spike does at each lag
    wires = [(wire, wire.weight(params)) for wire in layer.within]
    clamps = [Clamp(*leaves) for leaves in zip(*(leaf.unbind(1) for leaf in given), strict=True)]

    def echo(t: int, span: slice) -> None:
        """Spikes are felt by the potentials of the steps to come, all at once."""
        low, high = max(t + 1, steps.start), min(t + 1 + memory, steps.stop)
        if low < high:
            ahead, spikes = history.potential[:, low:high, span], history.spikes[:, silence + t, None, span]
            ahead.addcmul_(spikes, own[low - t - 1 : high - t - 1, span])

    echoing = [span for span, population in layer.members if population.feedback]
    for t in range(max(0, steps.start - memory), steps.start):
        for span in echoing:
            echo(t, span)
    for at, t in enumerate(steps):
        now, potential, spikes = silence + t, history.potential[:, t], history.spikes[:, silence + t]
        for wire, weight in wires:
            past = history.spikes[:, now - wire.memory : now, wire.link.neurons]
            potential[:, wire.link.listeners] += wire.now(weight, past)
        for span, population in layer.members:
            free = population.neuron.sample(uniform[:, at, span], potential[:, span])
            _fire(free, population, span, hidden, clamps[at], out=spikes[:, span])
        for span in echoing:
            echo(t, span)
