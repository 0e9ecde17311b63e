"""Fixed weights, sampled compartments: what K runs of a network say of a batch.

Two situations, never mixed. ``clamped``: the visible neurons do what the target says, and each compartment
returns how probable it found that. ``free``: the visible neurons spike as they like, and each compartment
votes for the class whose neuron spiked most.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn import network as networks
from gemsnn import rng
from gemsnn.kernels.contract import Kernel
from gemsnn.network import Network, Params
from gemsnn.types import Batch


class Free(NamedTuple):
    """What compartments do when the visible neurons are free.

    Attributes:
        votes: int64 ``[B, K, T]``, the class each compartment would name after each step; where a presentation
            has ended, its last vote stands.
        spikes: uint8 ``[B, K, T, N]``.
    """

    votes: Tensor
    spikes: Tensor


def clamped(
    kernel: Kernel, network: Network, params: Params, batch: Batch, compartments: int, *, seed: int
) -> Tensor:
    """``v^k = sum_t sum_{i visible} log p(x[i, t] | u^k[i, t])`` in nats, ``[B, K]`` (kappa = 1)."""
    run = kernel.rollout(network, params, batch, compartments, seed=seed, clamp=True)
    evidence = networks.evidence(network, run.spikes.to(run.potential), run.potential)
    return (evidence * batch.alive[:, None]).sum(2)


def free(
    kernel: Kernel, network: Network, params: Params, batch: Batch, compartments: int, *, seed: int
) -> Free:
    """Run K compartments with free visible neurons and take their votes after every step."""
    run = kernel.rollout(network, params, batch, compartments, seed=seed, clamp=False)
    visible = run.spikes[..., network.spec.hidden_neurons :]
    return Free(votes(visible, batch, seed=rng.derive(seed, "ties")), run.spikes)


def votes(visible: Tensor, batch: Batch, *, seed: int) -> Tensor:
    """The class whose visible neuron has spiked most so far, ties broken at random.

    Args:
        visible: ``[B, K, T, V]`` spikes.
        batch: gives lengths and addresses.
        seed: addresses the ties' random numbers.

    Returns:
        int64 ``[B, K, T]``.
    """
    presentations, compartments, steps, classes = visible.shape
    counts = visible.to(torch.float32).cumsum(2)
    ties = rng.uniforms(seed, batch.address, range(steps), compartments, classes).transpose(1, 2)
    chosen = (counts + ties.to(counts.device)).argmax(-1)
    last = torch.minimum(torch.arange(steps, device=visible.device), batch.length[:, None] - 1)
    return chosen.gather(2, last[:, None].expand(presentations, compartments, steps))
