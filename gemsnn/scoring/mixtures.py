"""What all compartments together say of each class: the evidence behind the decoders ``mixture`` and ``pooled``.

At every step K compartments are a mixture, ``p(x_c[t]) = (1/K) sum_k exp l^k_c[t]`` with ``l^k_c[t]`` the
log-probability of class c's target (:func:`gemsnn.scoring.sampling.class_log_probs`); the evidence of a stretch of time
is the sum of its steps' logarithms, divided by the number of steps that tell the same.

Logarithms are rounded to whole multiples of 2^-32 nats. Sums of whole numbers do not depend on their order, so that a
stream, which adds and forgets, answers as a presentation does, to the bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gemsnn.model import logspace
from gemsnn.model.network import Network
from gemsnn.scoring import sampling
from gemsnn.scoring.sampling import Weights
from gemsnn.types import Batch

UNIT = 2.0**-32
"""Nats."""

LARGEST = 2.0**52
"""Units, 1,048,576 nats: a step tells no more, so that the sum of 2,047 steps does not overflow 64 bits."""


def units(network: Network, potential: Tensor, readouts: Weights = ()) -> Tensor:
    """``log (1/k) sum_{j <= k} exp l^j_c[t]`` of the first k compartments, in :data:`UNIT`: int64 ``[B, K, T, C]``.

    Of several readouts that of the last; with weights, ``sum_r w_r`` times those of each.

    Args:
        network: one that is :func:`gemsnn.scoring.sampling.deaf_to_visible`.
        potential: ``[B, K, T, N]`` of a free run.
        readouts: the weights.
    """
    sampling.check_weights(network, readouts)
    singles = [tuple(one) for one in torch.eye(len(readouts), dtype=torch.int64).tolist()]
    parts = [
        weight * logspace.running_log_mean_exp(sampling.class_log_probs(network, potential, one), 1)
        for weight, one in zip(readouts or (1,), singles or [()], strict=True)
        if weight
    ]
    total = torch.stack(parts).sum(0)
    return (total / UNIT).round().clamp(-LARGEST, LARGEST).to(torch.int64)


def divided(decoder: str, network: Network, evidence: Tensor, observed: Tensor) -> Tensor:
    """Evidence ``[.., C]`` in units, of int64 ``[..]`` observed steps, as the decoder counts them: float64, nats.

    It is divided by ``min(n, D)`` for ``mixture``, by n for ``pooled``, where n steps are observed and D is the memory.
    """
    most = network.memory if decoder == "mixture" else None
    return evidence.double() * UNIT / observed.clamp(1, most).double()[..., None]


def evidence(
    decoder: str, network: Network, potential: Tensor, rows: Batch, readouts: Weights = ()
) -> tuple[Tensor, Tensor]:
    """What the first k compartments tell of a batch at its end, ``[B, K, C]``, and all after each step, ``[B, T, C]``.

    Both are :func:`divided`, of the observed steps alone.
    """
    observed = rows.observed
    each = units(network, potential, readouts) * observed[:, None, :, None]
    return (
        divided(decoder, network, each.sum(2), observed.sum(1)[:, None]),
        divided(decoder, network, each[:, -1].cumsum(1), observed.cumsum(1)),
    )
