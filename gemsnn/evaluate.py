"""How good a network is, and how far its confidence can be trusted.

Two questions with two functions. :func:`log_likelihood` clamps the visible neurons and asks how probable the
targets are; :func:`predict` leaves them free and lets the compartments vote. :func:`score` turns both into the
numbers of a report, for every number of compartments and after every step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gemsnn import metrics, rng, sampling
from gemsnn.kernels.contract import Kernel
from gemsnn.network import Network, Params
from gemsnn.types import Batch, PresentationSequence, Progress, collate


class Activity(NamedTuple):
    """Spikes per neuron and step in free-running prediction, and what they cause.

    Attributes:
        inputs: of the inputs.
        hidden: of the hidden neurons; 0 without any.
        visible: of the visible neurons.
        operations: synaptic operations (a spike arriving at a synapse) per step of one compartment.
    """

    inputs: float
    hidden: float
    visible: float
    operations: float


class Prediction(NamedTuple):
    """Free-running votes.

    Attributes:
        votes: int64 ``[n, K, T]``, see :class:`gemsnn.sampling.Free`.
        labels: int64 ``[n]``.
        activity: spikes and operations.
    """

    votes: Tensor
    labels: Tensor
    activity: Activity


class Example(NamedTuple):
    """One recording and what the compartments made of it, for a raster.

    Attributes:
        inputs: uint8 ``[T, M]``.
        hidden: uint8 ``[K, T, H]``.
        visible: uint8 ``[K, T, V]``.
        votes: int64 ``[K]``.
        label: the class.
        address: the presentation's own number.
    """

    inputs: Tensor
    hidden: Tensor
    visible: Tensor
    votes: Tensor
    label: int
    address: int


def batches(presentations: PresentationSequence, size: int) -> Iterator[Batch]:
    """Presentations in order, ``size`` at a time."""
    for start in range(0, len(presentations), size):
        yield collate(presentations[i] for i in range(start, min(start + size, len(presentations))))


def _shown(
    presentations: PresentationSequence, size: int, progress: Progress | None, what: str
) -> Iterable[Batch]:
    rows = batches(presentations, size)
    return rows if progress is None else progress(rows, -(-len(presentations) // size), what)


def log_likelihood(
    kernel: Kernel,
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    compartments: int,
    *,
    seed: int,
    batch: int = 64,
    progress: Progress | None = None,
) -> Tensor:
    """``v[n, k] = sum_t sum_{i visible} log p(x_i,t | u^k_i,t)`` with the visible neurons clamped, ``[n, K]``, nats.

    ``log p(x_n)`` is estimated by ``metrics.log_mean_exp(v, 1)``, from below on average, the tighter the larger K.
    """
    seed = rng.derive(seed, "likelihood")
    rows = _shown(presentations, batch, progress, "likelihood")
    return torch.cat([sampling.clamped(kernel, network, params, b, compartments, seed=seed) for b in rows])


def predict(
    kernel: Kernel,
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    compartments: int,
    *,
    seed: int,
    batch: int = 64,
    progress: Progress | None = None,
) -> Prediction:
    """The votes of K free-running compartments after every step."""
    seed = rng.derive(seed, "prediction")
    spec, fan_out = network.spec, network.mask.sum(0).double()
    fan_out[spec.inputs :] += network.own
    votes, labels = [], []
    sent, steps = torch.zeros(len(fan_out), dtype=torch.float64), 0
    for rows in _shown(presentations, batch, progress, "prediction"):
        free = sampling.free(kernel, network, params, rows, compartments, seed=seed)
        votes.append(free.votes)
        labels.append(rows.label)
        sent += torch.cat(
            [
                (rows.spikes > 0).sum((0, 1), dtype=torch.float64),
                free.spikes.sum((0, 1, 2), dtype=torch.float64) / compartments,
            ]
        )
        steps += int(rows.length.sum())
    longest = max(v.shape[2] for v in votes)
    rate = sent / steps
    hidden = slice(spec.inputs, spec.inputs + spec.hidden_neurons)
    return Prediction(
        torch.cat([torch.cat([v, v[:, :, -1:].expand(-1, -1, longest - v.shape[2])], 2) for v in votes]),
        torch.cat(labels),
        Activity(
            inputs=float(rate[: spec.inputs].mean()),
            hidden=float(rate[hidden].mean()) if spec.hidden_neurons else 0.0,
            visible=float(rate[hidden.stop :].mean()),
            operations=float((rate * fan_out).sum()),
        ),
    )


def example(
    kernel: Kernel,
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    position: int,
    compartments: int,
    *,
    seed: int,
) -> Example:
    """One recording's raster, with the very spikes that :func:`predict` counted."""
    rows = collate([presentations[position]])
    free = sampling.free(kernel, network, params, rows, compartments, seed=rng.derive(seed, "prediction"))
    hidden = network.spec.hidden_neurons
    spikes = free.spikes[0]
    return Example(
        rows.spikes[0],
        spikes[..., :hidden],
        spikes[..., hidden:],
        free.votes[0, :, -1],
        int(rows.label[0]),
        int(rows.address[0]),
    )


def probability_scores(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy, NLL, Brier score and ECE of class probabilities ``[n, C]``."""
    return {
        "accuracy": metrics.accuracy(probabilities, labels),
        "nll": metrics.negative_log_likelihood(probabilities, labels),
        "brier": metrics.brier(probabilities, labels),
        "ece": metrics.expected_calibration_error(probabilities, labels),
    }


def vote_scores(shares: Tensor, labels: Tensor, compartments: int) -> dict[str, float]:
    """The same of vote shares ``[n, C]``; the NLL is that of the shares with one more vote spread over the classes."""
    smoothed = metrics.smoothed_shares(shares, compartments, shares.shape[1])
    return probability_scores(shares, labels) | {"nll": metrics.negative_log_likelihood(smoothed, labels)}


def score(network: Network, prediction: Prediction, log_weights: Tensor, *, bin_us: int) -> dict[str, Any]:
    """All numbers of a report, ready for JSON.

    Args:
        network: the network.
        prediction: from :func:`predict`.
        log_weights: ``[n, K]``, from :func:`log_likelihood`.
        bin_us: the width of a step.

    Returns:
        ``accuracy``, ``nll``, ``brier``, ``ece`` of the votes of all compartments at the end,
        ``log_likelihood`` (nats per presentation), the same ``by_compartments`` (the first k of them) and
        ``by_time``, the ``reliability`` cells, the ``selective`` accuracy when the least confident abstain,
        the ``confusion`` matrix and the ``costs``.
    """
    votes, labels, activity = prediction
    compartments, classes = votes.shape[1], network.spec.visible
    final = metrics.vote_shares_by_compartments(votes[:, :, -1], classes)
    by_compartments = [
        {"compartments": k}
        | vote_scores(final[k - 1], labels, k)
        | {"log_likelihood": float(metrics.log_mean_exp(log_weights[:, :k], 1).mean())}
        for k in range(1, compartments + 1)
    ]
    by_time = [
        {"step": t + 1, "ms": (t + 1) * bin_us / 1000}
        | vote_scores(metrics.vote_shares(votes[:, :, t], classes), labels, compartments)
        for t in range(votes.shape[2])
    ]
    cells = metrics.reliability(final[-1], labels)
    selective = metrics.selective_accuracy(final[-1], labels)
    scores = {name: value for name, value in by_compartments[-1].items() if name != "compartments"}
    return {
        "presentations": len(labels),
        "compartments": compartments,
        "classes": classes,
        "bin_us": bin_us,
        **scores,
        "by_compartments": by_compartments,
        "by_time": by_time,
        "reliability": cells.rows(),
        "selective": [
            {"coverage": float(c), "accuracy": float(a)}
            for c, a in zip(selective.coverage, selective.accuracy, strict=True)
        ],
        "confusion": metrics.confusion_matrix(final[-1], labels).tolist(),
        "costs": {
            "spikes_per_neuron_step": {
                "inputs": activity.inputs,
                "hidden": activity.hidden,
                "visible": activity.visible,
            },
            "synaptic_operations_per_step": activity.operations * compartments,
        },
    }


def scalars_per_step(network: Network, compartments: int) -> dict[str, int]:
    """Numbers exchanged per step while learning, neuron by neuron.

    ``up``: every visible neuron of every compartment sends its evidence to the place that computes q.
    ``down``: every learnable neuron of every compartment is sent the learning signal, one scalar per compartment
    (K numbers where it can be broadcast). The papers call this the communication load.
    """
    return {"up": compartments * network.spec.visible, "down": compartments * network.spec.neurons}
