"""Spike trains that a network gives by itself: its visible neurons are free, and each compartment draws its own."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn.kernels.contract import Kernel
from gemsnn.model.network import Network, Params
from gemsnn.scoring import evaluate, sampling
from gemsnn.types import PresentationSequence, Progress


class SpikeTrains(NamedTuple):
    """What the visible neurons of K compartments do while n recordings are shown; of several readouts, the last.

    Attributes:
        spikes: uint8 ``[n, K, T, V]``; 0 after a recording's end.
        length: int64 ``[n]``, the bins of each recording.
    """

    spikes: Tensor
    length: Tensor

    @property
    def rate(self) -> Tensor:
        """The mean of the compartments: how likely each neuron spikes at each step, float32 ``[n, T, V]``."""
        return self.spikes.float().mean(1)


def generate(
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    compartments: int,
    *,
    kernel: Kernel,
    seed: int,
    batch: int = 64,
    progress: Progress | None = None,
) -> SpikeTrains:
    """Spike trains of K free-running compartments, with the noise of :func:`gemsnn.scoring.evaluate.predict`.

    Raises:
        InputError: an argument has the wrong type or range, or network, parameters and presentations do not fit.
    """
    evaluate.check(network, params, presentations, compartments, batch, seed)
    seed, drawn, lengths = sampling.free_seed(seed), [], []
    for rows in evaluate.shown(network, presentations, batch, compartments, progress, "spike trains"):
        run = kernel.rollout(network, params, rows, compartments, seed=seed, clamp=False)
        spikes, length = sampling.home(run.spikes[..., network.spec.answer], rows.length)
        steps = torch.arange(spikes.shape[2])
        drawn.append(spikes * (steps < length[:, None])[:, None, :, None])
        lengths.append(length)
    longest = max(each.shape[2] for each in drawn)
    padded = [torch.nn.functional.pad(each, (0, 0, 0, longest - each.shape[2])) for each in drawn]
    return SpikeTrains(torch.cat(padded), torch.cat(lengths))
