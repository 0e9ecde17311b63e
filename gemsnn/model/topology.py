"""Who may listen to whom: a boolean mask ``[N, J]`` from every sender to every learnable neuron.

Senders are the M inputs, then the N learnable neurons (hidden groups in order, then visible). No topology
has a synapse from a neuron to itself: what a neuron's own spikes do is its feedback filter's work.

======================= ==================================================================================
``layered``             inputs to all; a hidden group to itself, to later groups and to the visible neurons
``full``                everything to everything, visible to visible included
``feedforward``         inputs to the first group, each group to the next, the last to the visible neurons
``sparse``              ``layered`` with each synapse kept with probability ``density``
======================= ==================================================================================

Where visible neurons listen to visible ones, training (which clamps them to the target) shows them their own
answer, and free-running prediction suffers; ``layered``, the default, has no such synapses.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.specs import checks

TopologyName = Literal["layered", "full", "feedforward", "sparse"]


def mask(
    name: TopologyName,
    inputs: int,
    hidden: Sequence[int],
    visible: int,
    *,
    density: float = 1.0,
    seed: int = 0,
) -> Tensor:
    """The mask of a named topology, bool ``[N, J]``.

    Args:
        name: see the module's table.
        inputs: M.
        hidden: sizes of the hidden groups; may be empty.
        visible: V.
        density: for ``sparse``, the share of synapses kept.
        seed: for ``sparse``, which ones.

    Raises:
        InputError: there is no such topology.
    """
    checks.choice(name, TopologyName, "topology")
    neurons = sum(hidden) + visible
    allowed = torch.zeros(neurons, inputs + neurons, dtype=torch.bool)
    edges = torch.tensor([0, *hidden, visible]).cumsum(0).tolist()
    groups = [slice(a, b) for a, b in pairwise(edges)]
    heard = [slice(inputs + g.start, inputs + g.stop) for g in groups]
    if name == "full":
        allowed[:] = True
    elif name == "feedforward":
        for listener, sender in zip(groups, [slice(0, inputs), *heard[:-1]], strict=True):
            allowed[listener, sender] = True
    else:
        allowed[:, :inputs] = True
        for position, sender in enumerate(heard[:-1]):
            for listener in groups[position:]:
                allowed[listener, sender] = True
        if name == "sparse":
            draws = rng.generator(seed, "topology").random(tuple(allowed.shape))
            allowed &= torch.from_numpy(draws < density)
    return without_self(allowed, inputs)


def without_self(allowed: Tensor, inputs: int) -> Tensor:
    """The mask with every synapse from a neuron to itself taken out."""
    neurons = allowed.shape[0]
    if allowed.dtype != torch.bool or allowed.shape != (neurons, inputs + neurons):
        raise InputError(
            f"a mask must be bool of shape [N, M + N] = [{neurons}, {inputs + neurons}], "
            f"not {allowed.dtype} of shape {list(allowed.shape)}"
        )
    allowed = allowed.clone()
    allowed[:, inputs:].fill_diagonal_(False)
    return allowed
