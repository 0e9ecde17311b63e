"""What an exported graph is fed with: recordings, and noise with which it does what our kernels do, spike by spike.

Independent neurons spike where ``U < sigmoid(u)``, which is where ``u + log((1 - U) / U) > 0``: their noise follows
from U alone.

In a circuit, neuron i spikes where ``u[i] + G[i]`` is above all others' and above ``G[0]``, which is silence's: with
standard Gumbel numbers G it does so with probability ``exp(u[i]) / (1 + sum_j exp(u[j]))`` (the Gumbel-max trick). The
kernels choose by a single U. Numbers G that choose the same are drawn from their distribution given the choice: the
largest sum is a Gumbel number with location ``log(1 + sum_j exp(u[j]))`` whatever the choice is, and the others are
Gumbel numbers below it (C. J. Maddison, D. Tarlow and T. Minka, "A* Sampling", arXiv 1411.0030). Since the choice has
the network's probabilities, G by itself is independent standard Gumbel noise.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import rng
from gemsnn.bridges.nir import noise_name, shapes_of
from gemsnn.kernels.contract import Kernel
from gemsnn.model.graph import INPUTS
from gemsnn.model.network import Network, Params
from gemsnn.model.neurons import Circuit
from gemsnn.model.projections import Sheet
from gemsnn.types import Batch


def feed(
    network: Network,
    params: Params,
    batch: Batch,
    compartments: int,
    *,
    kernel: Kernel,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """What a graph of :mod:`gemsnn.bridges.nir` is fed with: for each ``Input`` an array float64 ``[T, B, K, *shape]``.

    Spikes come in the same for all compartments, with K = 1. After a presentation's end, where the kernels are silent,
    the graph goes on, which means nothing.

    Args:
        network: the network.
        params: its parameters; of no matter but for circuits.
        batch: what it is shown.
        compartments: K.
        kernel: the code that runs the network, free; it is asked where there are circuits.
        seed: of the kernel's noise; see :func:`gemsnn.scoring.sampling.free_seed`.
    """
    graph, shapes = network.graph, shapes_of(network.graph)
    steps, neurons = range(batch.target.shape[1]), network.spec.neurons
    noise = logistic(rng.uniforms(seed, batch.address.cpu(), steps, compartments, neurons))
    circuits = [each for each in graph.populations if isinstance(each.neuron, Circuit)]
    if circuits:
        run = kernel.rollout(network, params, batch, compartments, seed=seed, clamp=False)
        spikes, potential = (each.cpu().double().transpose(1, 2) for each in run)
        for each in circuits:
            span, size = graph.span(each.name), each.sheet.size
            inner = rng.derive(seed, "circuit", each.name)
            uniform = rng.uniforms(inner, batch.address.cpu(), steps, compartments, size + 1).double()
            noise[..., span] = of_circuit(uniform, spikes[..., span], potential[..., span])
    found = {INPUTS: _in_place(batch.dense().cpu().double()[:, :, None], graph.sheet(INPUTS), shapes[INPUTS])}
    for each in graph.populations:
        part = noise[..., graph.span(each.name)]
        found[noise_name(each.name)] = _in_place(part, each.sheet, shapes[each.name])
    return {name: np.ascontiguousarray(values.transpose(0, 1).numpy()) for name, values in found.items()}


def logistic(uniform: Tensor) -> Tensor:
    """The noise of independent neurons from uniform numbers U, float64: ``log((1 - U) / U)``.

    ``U < sigmoid(u)`` is the same as ``u + log((1 - U) / U) > 0``; where the sides are equal both are false.
    """
    return -torch.logit(uniform.double())


def of_circuit(uniform: Tensor, spikes: Tensor, potential: Tensor) -> Tensor:
    """The noise ``G[i] - G[0]`` of a circuit that makes these choices, ``[.., n]``.

    Args:
        uniform: ``[.., n + 1]``, numbers in (0, 1).
        spikes: ``[.., n]``, at most one in each row.
        potential: ``[.., n]``.
    """
    location = torch.cat([torch.zeros_like(potential[..., :1]), potential], -1)
    chosen = torch.cat([spikes.sum(-1, keepdim=True) == 0, spikes > 0], -1)
    exponential = -uniform.log()
    most = (
        location.logsumexp(-1, keepdim=True)
        - exponential.gather(-1, chosen.int().argmax(-1, keepdim=True)).log()
    )
    below = location - (torch.exp(location - most) + exponential).log()
    gumbel = torch.where(chosen, most, below) - location
    return gumbel[..., 1:] - gumbel[..., :1]


def _in_place(values: Tensor, sheet: Sheet, shape: tuple[int, ...]) -> Tensor:
    """Values ``[.., n]`` in the order of the sheet's numbers, as NIR has them, ``[.., *shape]``."""
    flat = sheet.picture(values.reshape(-1, sheet.size, 1))
    return flat.reshape(*values.shape[:-1], *shape)
