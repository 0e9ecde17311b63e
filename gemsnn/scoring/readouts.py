"""How much each readout of a network that has several counts in its answers."""

from __future__ import annotations

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.kernels.contract import Kernel, Rollout
from gemsnn.model import logspace
from gemsnn.model.network import Network, Params
from gemsnn.scoring import evaluate, metrics, mixtures, sampling
from gemsnn.scoring.answers import (
    COUNTED,
    Answers,
    Decoder,
    likelihood_answers,
    rate_answers,
    vote_answers,
)
from gemsnn.scoring.sampling import Weights
from gemsnn.types import Batch, PresentationSequence

LARGEST = 4
"""No readout counts more than so many times another."""


def fitted(
    network: Network,
    params: Params,
    held: PresentationSequence,
    compartments: int,
    *,
    kernel: Kernel,
    seed: int,
    decoder: Decoder = "votes",
    batch: int = 64,
) -> Weights:
    """Whole weights of the readouts, chosen so that held-out recordings are answered best.

    What is compared is the NLL of the answers of all compartments at its own best temperature. Beginning with the last
    readout alone, one weight after the other takes that of its values 0 .. :data:`LARGEST` with which it is lowest,
    until none changes: the answers to these recordings are never worse than those of the last readout.

    Args:
        network: the network.
        params: its parameters.
        held: labelled recordings that it has not learned from.
        compartments: K, that answer.
        kernel: runs the network.
        seed: of the noise.
        decoder: how compartments answer.
        batch: presentations at a time; the result is the same.

    Returns:
        A weight for each readout, and none where there is one readout alone.

    Raises:
        InputError: there are no recordings.
    """
    count = len(network.graph.visible)
    if count == 1:
        return ()
    if not len(held):
        raise InputError("held must be one recording or more: the weights of readouts are chosen on them")
    seed = sampling.free_seed(seed)
    found, rows = [], []
    for some in evaluate.shown(network, held, batch, compartments):
        run = kernel.rollout(network, params, some, compartments, seed=seed, clamp=False)
        each = [_said(network, run, some, decoder, one) for one in _single(count)]
        found += sampling.home(torch.stack(each, 2))
        rows += sampling.home(some.label, some.address)
    said, labels, address = torch.cat(found), torch.cat(rows[0::2]), torch.cat(rows[1::2])

    def loss(weights: tuple[int, ...]) -> float:
        if not any(weights):
            return float("inf")
        total = (said * said.new_tensor(weights)[:, None]).sum(2)
        logs = _answers(total, address, decoder, sampling.tie_seed(seed)).logs
        return metrics.log_loss(metrics.tempered(logs, metrics.fitted_temperature(logs, labels)), labels)

    best = (0,) * (count - 1) + (1,)
    lowest, changed = loss(best), True
    while changed:
        changed = False
        for readout in range(count):
            for weight in range(LARGEST + 1):
                tried = (*best[:readout], weight, *best[readout + 1 :])
                if (now := loss(tried)) < lowest:
                    best, lowest, changed = tried, now, True
    return best


def _single(count: int) -> list[Weights]:
    """The weights with which one readout alone answers, for each of them."""
    return [tuple(int(other == one) for other in range(count)) for one in range(count)]


def _said(network: Network, run: Rollout, rows: Batch, decoder: Decoder, one: Weights) -> Tensor:
    """What one readout says of the classes by the end: ``[B, K, C]``, spikes or evidence; of mixtures ``[B, 1, C]``."""
    if decoder in COUNTED:
        return sampling.spike_counts(sampling.said(network, run.spikes, one), rows)[:, :, -1]
    if decoder == "likelihood":
        return sampling.class_evidence(network, run.potential, rows, one)[:, :, -1]
    return mixtures.evidence(decoder, network, run.potential, rows, one)[0][:, -1:]


def _answers(total: Tensor, address: Tensor, decoder: Decoder, seed: int) -> Answers:
    """The answers ``[n, C]`` of all compartments to what they say, ``[n, K, C]``."""
    if decoder not in COUNTED:
        return likelihood_answers(logspace.log_mean_exp(total, 1)[:, None]).at(0)
    if decoder == "rates":
        return rate_answers(total.sum(1)[:, None]).at(0)
    votes = sampling.most(total[:, :, None], address, range(1), seed=seed)
    return vote_answers(votes, total.cumsum(1), total.sum(1)[:, None])[1].at(0)
