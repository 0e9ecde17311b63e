"""What a network says of recordings: presentations through sampling to answers.

Two questions with two functions. :func:`log_likelihood` clamps the visible neurons and asks how probable the
targets are; :func:`predict` leaves them free and asks for the class. :mod:`gemsnn.scoring.scores` turns both into the
numbers of a report, for every number of compartments and after every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.kernels.contract import Kernel
from gemsnn.model import network as networks
from gemsnn.model.network import Network, Params, check_params
from gemsnn.scoring import metrics, sampling
from gemsnn.scoring.answers import Answers, Decoder, Told, answers, check_decoder, told
from gemsnn.scoring.sampling import Weights
from gemsnn.scoring.scores import Mute
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, Range
from gemsnn.types import Batch, Presentation, PresentationSequence, Progress


class Activity(NamedTuple):
    """Spikes per neuron and step in free-running prediction, and what they cause.

    Attributes:
        inputs: of the inputs.
        hidden: of the hidden neurons; 0 without any.
        visible: of the visible neurons.
        operations: synaptic operations (a spike arriving at a synapse) per step of one compartment.
        additions: to potentials per step of one compartment: each operation at every lag of the synapse's memory.
        mute: hidden neurons that tell next to nothing.
    """

    inputs: float
    hidden: float
    visible: float
    operations: float
    additions: float
    mute: Mute


class Poll(NamedTuple):
    """What K free-running compartments say.

    Attributes:
        decoder: the decoder of the answers.
        by_compartments: answers ``[K, n, C]`` at the end; entry ``k - 1`` is that of the first k compartments.
        by_time: answers ``[T, n, C]`` of all compartments after each step.
        votes: int64 ``[n, K, T]``, see :class:`gemsnn.scoring.sampling.Free`.
        labels: int64 ``[n]``.
        silent: bool ``[n]``, the recordings whose answers are even because they held too few input spikes.
        activity: spikes and operations.
        spoken: int64 ``[n, K, C]``, the output spikes of each compartment by itself in the observed steps.
        hidden: float64 ``[n, H]``, spikes of each hidden neuron per observed step of a compartment.
        came: int64 ``[n]``, input spikes (or events, where bins hold counts) in the observed steps.
    """

    decoder: Decoder
    by_compartments: Answers
    by_time: Answers
    votes: Tensor
    labels: Tensor
    silent: Tensor
    activity: Activity
    spoken: Tensor
    hidden: Tensor
    came: Tensor

    @property
    def answers(self) -> Answers:
        """The answers of all compartments at the end, ``[n, C]``."""
        return self.by_compartments.at(-1)


class Example(NamedTuple):
    """One recording and what the compartments made of it, for a raster.

    Attributes:
        inputs: uint8 ``[T, M]``.
        hidden: uint8 ``[K, T, H]``.
        visible: uint8 ``[K, T, V]``.
        votes: int64 ``[K]``.
        label: the class.
        address: the presentation's own number.
        course: int64 ``[K, T]``, the votes after each step.
    """

    inputs: Tensor
    hidden: Tensor
    visible: Tensor
    votes: Tensor
    label: int
    address: int
    course: Tensor


AT_ONCE = 2**24
"""Potentials that are held at once while presentations are asked: compartments times steps times neurons of all."""


def _portions(
    network: Network, presentations: PresentationSequence, positions: range, compartments: int
) -> Iterator[Batch]:
    held: list[Presentation] = []
    each = compartments * network.spec.neurons
    for position in positions:
        coming = presentations[position]
        longest = max(len(each.target) for each in (*held, coming))
        if held and each * longest * (len(held) + 1) > AT_ONCE:
            yield networks.batch(network, held)
            held = []
        held.append(coming)
    yield networks.batch(network, held)


def shown(
    network: Network, presentations: PresentationSequence, size: int, compartments: int,
    progress: Progress | None = None, what: str = "",
) -> Iterator[Batch]:  # fmt: skip
    """Presentations in order, as the network takes them: up to ``size``, and fewer where they are long."""
    checks.number(size, Count, "batch")
    groups = [
        range(start, min(start + size, len(presentations))) for start in range(0, len(presentations), size)
    ]
    for positions in groups if progress is None else progress(groups, len(groups), what):
        yield from _portions(network, presentations, positions, compartments)


def check(
    network: Network, params: Params, presentations: Sized, compartments: int, batch: int, seed: int
) -> None:
    """What every evaluation needs of its arguments."""
    checks.number(compartments, Count, "compartments")
    checks.number(batch, Count, "batch")
    checks.number(seed, Annotated[int, Range(0, 2**64 - 1)], "seed")
    check_params(network, params)
    if not len(presentations):
        raise InputError("presentations must be one or more: there is nothing to evaluate")


def log_likelihood(
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    compartments: int,
    *,
    kernel: Kernel,
    seed: int,
    batch: int = 64,
    progress: Progress | None = None,
) -> Tensor:
    """``v[n, k] = sum_t sum_{i visible} log p(x_i,t | u^k_i,t)`` with the visible neurons clamped, ``[n, K]``, nats.

    ``log p(x_n)`` is estimated by ``logspace.log_mean_exp(v, 1)``, from below on average, the tighter the larger K.

    Raises:
        InputError: an argument has the wrong type or range, or network, parameters and presentations do not fit.
    """
    check(network, params, presentations, compartments, batch, seed)
    seed = rng.derive(seed, "likelihood")
    rows = shown(network, presentations, batch, compartments, progress, "likelihood")
    found = [sampling.clamped(network, params, b, compartments, kernel=kernel, seed=seed) for b in rows]
    return sampling.home(torch.cat(found))[0]


def predict(
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    compartments: int,
    *,
    kernel: Kernel,
    seed: int,
    decoder: Decoder = "votes",
    readouts: Weights = (),
    least_spikes: int = 1,
    batch: int = 64,
    progress: Progress | None = None,
) -> Poll:
    """What K free-running compartments say, by one decoder: see :func:`polls`."""
    asked: Any = (network, params, presentations, compartments)
    return polls(
        *asked, kernel=kernel, seed=seed, decoders=(decoder,), readouts=readouts, least_spikes=least_spikes,
        batch=batch, progress=progress,
    )[0]  # fmt: skip


def polls(
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    compartments: int,
    *,
    kernel: Kernel,
    seed: int,
    decoders: tuple[Decoder, ...],
    readouts: Weights = (),
    least_spikes: int = 1,
    batch: int = 64,
    progress: Progress | None = None,
) -> list[Poll]:
    """What K free-running compartments say, the first k of them at the end and all of them after every step.

    They run once, and each decoder makes its own answers of what they did.

    Args:
        network: the network.
        params: its parameters.
        presentations: what is shown, n of them.
        compartments: K.
        kernel: runs the network.
        seed: with the presentations' addresses, of all noise.
        decoders: what makes probabilities of the compartments, each by itself.
        readouts: how much each readout counts, see :func:`gemsnn.scoring.sampling.said`; by default the last alone.
        least_spikes: input spikes (or events, where bins hold counts) from a presentation's first observed step on
            without which it is silent and gets no answer; after each step those up to it count; see
            :func:`least_spikes_of`.
        batch: presentations at a time; the result is the same.
        progress: shows how far the work has come.

    Raises:
        InputError: a decoder cannot serve the network or the presentations' targets, an argument has the wrong
            type or range, or network, parameters and presentations do not fit.
    """
    for decoder in decoders:
        check_decoder(decoder, network)
    sampling.check_weights(network, readouts)
    check(network, params, presentations, compartments, batch, seed)
    checks.number(least_spikes, Annotated[int, Range(0, 2**63 - 1)], "least_spikes")
    seed = sampling.free_seed(seed)
    spec, (fan_out, lags) = network.spec, sampling.home(network.fan_out(), network.fan_out(lags=True))
    votes, labels, came = [], [], []
    ends, courses = ([[] for _ in decoders] for _ in range(2))  # at the end, by compartments; and in time
    spoken, rates = [], []  # at the end: by each compartment, and by the hidden neurons
    sent, steps = torch.zeros(len(fan_out), dtype=torch.float64), 0
    for rows in shown(network, presentations, batch, compartments, progress, "prediction"):
        free = sampling.free(network, params, rows, compartments, kernel=kernel, seed=seed, readouts=readouts)
        each = [told(decoder, network, free, rows, readouts) for decoder in decoders]
        so_far = (rows.came * rows.observed).cumsum(1)
        heard = torch.from_numpy(np.bincount(rows.rows.held, minlength=spec.inputs)).double()
        fired = free.spikes.sum((0, 1, 2), dtype=torch.float64) / compartments
        own, hidden_rate = sampling.spoken(free), sampling.hidden_rates(network, free, rows)
        found = sampling.home(
            free.votes, rows.label, so_far, own, hidden_rate, torch.cat([heard, fired.cpu()])
        )
        for kept, new in zip((votes, labels, came, spoken, rates), found, strict=False):
            kept.append(new)
        for at, one in enumerate(each):
            for kept, new in zip((ends[at], courses[at]), sampling.home(one.ends, one.course), strict=True):
                kept.append(new)
        sent += found[-1]
        steps += int(rows.length.sum())
    all_votes = _joined(votes, 2)
    said = [
        answers(decoder, Told(torch.cat(end), _joined(course, 1), all_votes))
        for decoder, end, course in zip(decoders, ends, courses, strict=True)
    ]
    all_came = _joined(came, 1)
    silent = all_came < least_spikes
    rate = sent / steps
    hidden = slice(spec.inputs, spec.inputs + spec.hidden_neurons)
    activity = Activity(
        inputs=float(rate[: spec.inputs].mean()),
        hidden=float(rate[hidden].mean()) if spec.hidden_neurons else 0.0,
        visible=float(rate[hidden.stop :].mean()),
        operations=float((rate * fan_out).sum()),
        additions=float((rate * lags).sum()),
        mute=metrics.mute(rate[hidden]),
    )
    return [
        Poll(
            decoder,
            by_compartments.silenced(silent[:, -1]),
            by_time.silenced(silent.T),
            all_votes,
            torch.cat(labels),
            silent[:, -1],
            activity,
            torch.cat(spoken),
            torch.cat(rates),
            all_came[:, -1],
        )
        for decoder, (by_compartments, by_time) in zip(decoders, said, strict=True)
    ]


def least_spikes_of(network: Network, presentations: PresentationSequence) -> int:
    """How many input spikes make a recording worth an answer: ``max(1, min(ceil(median / 20), least))``.

    Median and least are of the input spikes (or events, where bins hold counts) in the observed steps of these
    presentations, which are those of the training part: what holds less than a twentieth of what is usual, and less
    than any of them that holds anything, is silence to a network with this ``warm_up``, which has never seen its like.
    Where some of what is learned is quiet (a soft thing under a fingertip), the quiet gets an answer too.

    Raises:
        InputError: there are no presentations.
    """
    if not len(presentations):
        raise InputError("there are no presentations to tell how many input spikes are usual")
    came = torch.cat([(rows.came * rows.observed).sum(1) for rows in shown(network, presentations, 64, 1)])
    usual = math.ceil(float(came.double().quantile(0.5)) / 20)
    heard = came[came > 0]
    return max(1, min(usual, int(heard.min()))) if len(heard) else 1


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    """Batches one after the other; over ``dim``, time, the shorter ones repeat their last entry."""
    longest = max(part.shape[dim] for part in parts)
    steps = torch.arange(longest, device=parts[0].device)
    return torch.cat([part.index_select(dim, steps.clamp(max=part.shape[dim] - 1)) for part in parts])


def example(
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    position: int,
    compartments: int,
    *,
    kernel: Kernel,
    seed: int,
    readouts: Weights = (),
) -> Example:
    """One recording's raster, with the very spikes that :func:`predict` counted.

    Raises:
        InputError: as :func:`predict`, or there is no such position.
    """
    check(network, params, presentations, compartments, 1, seed)
    checks.number(position, Annotated[int, Range(0, len(presentations) - 1)], "position")
    rows = networks.batch(network, [presentations[position]])
    free = sampling.free(
        network, params, rows, compartments, kernel=kernel, seed=sampling.free_seed(seed), readouts=readouts
    )
    hidden = network.spec.hidden_neurons
    shown, spikes, votes = sampling.home(rows.dense()[0], free.spikes[0], free.votes[0])
    return Example(
        shown,
        spikes[..., :hidden],
        spikes[..., hidden:],
        votes[:, -1],
        int(rows.label[0]),
        int(rows.address[0]),
        votes,
    )
