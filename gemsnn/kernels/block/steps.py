"""Steps of the block kernel, under parameters that rest.

Time is the first dimension, and runs p are presentations times compartments, ``p = b K + k``. Weights lie sender by
sender, ``[J, L, N]``. D is the memory of the longest filter, of synapses or of feedback.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from gemsnn import rng
from gemsnn.kernels.block.filters import lag_matrix
from gemsnn.kernels.block.scores import time_first
from gemsnn.kernels.block.spikes import Spikes
from gemsnn.kernels.joint import Joint
from gemsnn.model import glm
from gemsnn.model import step as stepping
from gemsnn.model.network import Network
from gemsnn.model.neurons import BERNOULLI
from gemsnn.types import Batch

FILTERED = 128
"""Steps whose inputs are filtered in one product: a bound of memory and, since that product is dense, of work."""

CERTAIN, NEVER = -1.0, 2.0
"""In the place of random numbers: below and above every probability."""


class History(NamedTuple):
    """What has happened; spikes come after D steps of silence.

    Attributes:
        inputs: ``[D + T, B, M]``, known from the beginning.
        spikes: ``[D + T, P, N]``.
        potential: ``[T, P, N]``.
        error: ``[T, P, N]``; without meaning in the padding, where no rule reads it.
    """

    inputs: Tensor
    spikes: Tensor
    potential: Tensor
    error: Tensor

    @property
    def fired(self) -> Tensor:
        """The spikes without the silence before, ``[T, P, N]``."""
        return self.spikes[len(self.spikes) - len(self.error) :]


class Moment(NamedTuple):
    """A step: views of the history to be filled, and what is known beforehand.

    Attributes:
        past: the spikes of the D steps before, oldest first, ``[P, D, N]``.
        spikes: ``[P, N]``.
        potential: ``[P, N]``.
        error: ``[P, N]``.
        drive: what inputs and biases add to the potentials, ``[P, N]``.
        draw: what a spike's probability has to exceed, ``[P, N]``.
        blamed: the errors of the visible neurons, ``[P, V]``.
        free: bool ``[P, 1]``, where the visible neurons are not observed, in the padding as well.
    """

    past: Tensor
    spikes: Tensor
    potential: Tensor
    error: Tensor
    drive: Tensor
    draw: Tensor
    blamed: Tensor
    free: Tensor


def longest(network: Network) -> int:
    """D."""
    return max(network.taps.shape[1], network.own_taps.shape[1])


def bank(network: Network) -> Tensor:
    """The filters of synapses, then of feedback, ``[L + Lf, D]`` at lags 1 .. D."""
    memory = longest(network)
    return torch.cat([pad(taps, (0, memory - taps.shape[1])) for taps in (network.taps, network.own_taps)])


def sender_major(weight: Tensor) -> Tensor:
    """``[N, J, L]`` as ``[J, L, N]``, contiguous: a view where memory already lies so, else a copy."""
    return weight.permute(1, 2, 0).contiguous()


def begin(network: Network, batch: Batch, compartments: int) -> History:
    """Nothing has happened."""
    presentations, steps, inputs = batch.shape
    memory, new = longest(network), network.taps.new_zeros
    padded = new(memory + steps, presentations, inputs)
    padded[memory:] = batch.dense().transpose(0, 1)
    shape = (presentations * compartments, network.spec.neurons)
    return History(padded, new(memory + steps, *shape), new(steps, *shape), new(steps, *shape))


class Segment:
    """Consecutive steps of a batch.

    Attributes:
        moments: its steps.
        recurrent: weights between neurons, ``[N, L, N]`` from the last dimension's to the first's.
        feedback: weights of the feedback, ``[Lf, N]``.
        trace: traces of the last step that was driven, ``[P, L + Lf, N]``.
    """

    def __init__(
        self, network: Network, params: Joint, batch: Batch, history: History, steps: range, *, seed: int, clamp: bool,
        first: int = 0,
    ) -> None:  # fmt: skip
        _, runs, neurons = history.error.shape
        filters, count = bank(network), len(network.taps)
        memory, compartments = filters.shape[1], runs // history.inputs.shape[1]
        weight = sender_major(params.weight)
        self.recurrent = weight[network.spec.inputs :].permute(2, 1, 0).contiguous()
        self.feedback = params.feedback.T.clone()
        self.trace = filters.new_empty(runs, len(filters), neurons)
        self._bank = filters.flip(1).expand(runs, -1, -1)
        self._weight, self._sent = self.recurrent.flatten(1).T, self.trace[:, :count].flatten(1)
        self._own = list(zip(self.trace[:, count:].unbind(1), self.feedback, strict=True))

        self._network, self._visible = network, slice(network.spec.hidden_neurons, None)
        self._alike = [neuron for _, neuron in network.stretches] == [BERNOULLI]
        some = slice(steps.start, steps.stop)
        observed = time_first(batch.observed[:, some] & clamp, weight)
        past = history.spikes.unfold(0, memory, 1)[some].transpose(2, 3)
        drive = _input_drive(network, weight, history.inputs, steps) + params.bias
        leaves = (
            past,
            history.fired[some],
            history.potential[some],
            history.error[some],
            drive.repeat_interleave(compartments, 1),
            _draw(network, batch, observed, steps, range(first, first + compartments), seed),
            history.error[some][..., self._visible],
            ~observed.repeat_interleave(compartments, 1)[:, :, None],
        )
        self.moments = [Moment(*views) for views in zip(*(leaf.unbind(0) for leaf in leaves), strict=True)]

    def drive(self, now: Moment) -> None:
        """Traces, and potentials as the resting parameters make them."""
        torch.bmm(self._bank, now.past, out=self.trace)
        torch.addmm(now.drive, self._sent, self._weight, out=now.potential)
        for trace, weight in self._own:
            now.potential.addcmul_(trace, weight)

    def fire(self, now: Moment) -> None:
        """Spikes of the potentials, and errors: those of visible neurons are zero where these are not observed."""
        visible = self._visible
        if self._alike:
            # stepping.spike and stepping.error in one
            probability = glm.probability(now.potential)
            torch.lt(now.draw, probability, out=now.spikes)
            torch.sub(now.spikes, probability, out=now.error)
        else:
            now.spikes[:] = stepping.spike(self._network, now.draw, now.potential)
            now.spikes[:, visible] = torch.where(
                now.free, now.spikes[:, visible], now.draw[:, visible] == CERTAIN
            )
            now.error[:] = stepping.error(self._network, now.spikes, now.potential)
        now.blamed.masked_fill_(now.free, 0)


def _input_drive(network: Network, weight: Tensor, inputs: Tensor, steps: range) -> Tensor:
    """What the inputs add to potentials, ``[C, B, N]``: spikes are multiplied with weights, then filtered."""
    memory, taps = longest(network), network.taps.shape[1]
    weight = weight[: network.spec.inputs].flatten(1)
    drive = []
    for start in range(steps.start, steps.stop, FILTERED):
        stop = min(start + FILTERED, steps.stop)
        rows = inputs[start + memory - taps : stop + memory - 1].transpose(0, 1)
        sent = Spikes(rows).times(weight).view(len(rows), -1, weight.shape[1] // len(network.taps))
        drive.append(lag_matrix(network.taps, stop - start).flatten(1) @ sent)
    return torch.cat(drive, 1).transpose(0, 1)


def _draw(
    network: Network, batch: Batch, observed: Tensor, steps: range, compartments: range, seed: int
) -> Tensor:
    """Random numbers ``[C, P, N]``, replaced where a target (where ``observed``, ``[C, B]``) or padding decides."""
    like, some = network.taps, slice(steps.start, steps.stop)
    uniform = rng.uniforms(
        seed, batch.address, steps, len(compartments), network.spec.neurons, first=compartments.start,
        device=like.device,
    )  # fmt: skip
    draw = time_first(uniform, like).to(like)
    draw.masked_fill_(~time_first(batch.alive[:, some], like)[:, :, None, None], NEVER)
    target = torch.where(time_first(batch.target[:, some], like) > 0, CERTAIN, NEVER).to(like)[:, :, None]
    visible = draw[..., network.spec.hidden_neurons :]
    visible.copy_(torch.where(observed[:, :, None, None], target, visible))
    return draw.flatten(1, 2)
