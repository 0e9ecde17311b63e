"""How good a network is, and how far its confidence can be trusted.

Two questions with two functions. :func:`log_likelihood` clamps the visible neurons and asks how probable the
targets are; :func:`predict` leaves them free and asks for the class. :func:`score` turns both into the
numbers of a report, for every number of compartments and after every step.

A decoder turns K free compartments into class probabilities:

============== =====================================================================================
``votes``      ``p(c)``: the share of compartments whose visible neuron ``c`` spiked most; of classes that lead
               together, the one with more output spikes of all compartments is the answer
``likelihood`` ``p(c)`` proportional to ``(1/K) sum_k exp v^k_c``, see :func:`gemsnn.scoring.sampling.class_evidence`
============== =====================================================================================

A recording that is *silent* gets no answer: where its observed steps, after the warm-up, hold fewer input spikes than
``least_spikes``, the probabilities are ``1/C`` for every class, whatever the compartments say. Every score takes it
like any other even answer; accuracy counts it ``1/C``, the expectation over ties of :mod:`gemsnn.scoring.metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.kernels.contract import Kernel
from gemsnn.model import logspace
from gemsnn.model import network as networks
from gemsnn.model.network import Network, Params, check_params
from gemsnn.scoring import metrics, sampling
from gemsnn.scoring.metrics import Mute
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, Range
from gemsnn.types import LONGEST_BIN_US, Batch, PresentationSequence, Progress

Decoder = Literal["votes", "likelihood"]


class Activity(NamedTuple):
    """Spikes per neuron and step in free-running prediction, and what they cause.

    Attributes:
        inputs: of the inputs.
        hidden: of the hidden neurons; 0 without any.
        visible: of the visible neurons.
        operations: synaptic operations (a spike arriving at a synapse) per step of one compartment.
        mute: hidden neurons that tell next to nothing.
    """

    inputs: float
    hidden: float
    visible: float
    operations: float
    mute: Mute


class Answers(NamedTuple):
    """Class probabilities, float64 ``[.., n, C]``.

    Attributes:
        probabilities: what accuracy, Brier score and calibration error are taken of.
        logs: finite log-probabilities, what the NLL is taken of and a temperature divides. Of votes they are the
            logarithms of the shares after one more vote, spread evenly
            (:func:`gemsnn.scoring.metrics.smoothed_shares`).
    """

    probabilities: Tensor
    logs: Tensor

    def at(self, position: int) -> Answers:
        """The answers of one number of compartments, or of one step."""
        return Answers(self.probabilities[position], self.logs[position])

    def silenced(self, silent: Tensor) -> Answers:
        """The same, but even probabilities where bool ``[.., n]`` is true."""
        classes = self.probabilities.shape[-1]
        where = silent[..., None]
        return Answers(
            self.probabilities.masked_fill(where, 1 / classes),
            self.logs.masked_fill(where, -math.log(classes)),
        )


class Prediction(NamedTuple):
    """What K free-running compartments say.

    Attributes:
        decoder: the decoder of the answers.
        by_compartments: answers ``[K, n, C]`` at the end; entry ``k - 1`` is that of the first k compartments.
        by_time: answers ``[T, n, C]`` of all compartments after each step.
        votes: int64 ``[n, K, T]``, see :class:`gemsnn.scoring.sampling.Free`.
        labels: int64 ``[n]``.
        silent: bool ``[n]``, the recordings whose answers are even because they held too few input spikes.
        activity: spikes and operations.
    """

    decoder: Decoder
    by_compartments: Answers
    by_time: Answers
    votes: Tensor
    labels: Tensor
    silent: Tensor
    activity: Activity

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
    """

    inputs: Tensor
    hidden: Tensor
    visible: Tensor
    votes: Tensor
    label: int
    address: int


def batches(network: Network, presentations: PresentationSequence, size: int) -> Iterator[Batch]:
    """Presentations in order, ``size`` at a time, as the network takes them."""
    checks.number(size, Count, "batch")
    for start in range(0, len(presentations), size):
        chosen = range(start, min(start + size, len(presentations)))
        yield networks.batch(network, (presentations[i] for i in chosen))


def _shown(
    network: Network, presentations: PresentationSequence, size: int, progress: Progress | None, what: str
) -> Iterable[Batch]:
    rows = batches(network, presentations, size)
    return rows if progress is None else progress(rows, -(-len(presentations) // size), what)


def _check(
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

    ``log p(x_n)`` is estimated by ``logspace.log_mean_exp(v, 1)``, from below on average, the tighter the larger K.

    Raises:
        InputError: an argument has the wrong type or range, or network, parameters and presentations do not fit.
    """
    _check(network, params, presentations, compartments, batch, seed)
    seed = rng.derive(seed, "likelihood")
    rows = _shown(network, presentations, batch, progress, "likelihood")
    found = [sampling.clamped(kernel, network, params, b, compartments, seed=seed) for b in rows]
    return sampling.home(torch.cat(found))[0]


def check_decoder(decoder: Decoder, network: Network) -> None:
    """Raise :class:`InputError` where there is no such decoder, or it cannot serve this network."""
    checks.choice(decoder, Decoder, "decoder")
    if decoder == "likelihood" and not sampling.deaf_to_visible(network):
        raise InputError(
            "the decoder likelihood needs a network in which no neuron hears a visible neuron (a topology other "
            "than full, and feedback hidden or none); use the decoder votes"
        )


def predict(
    kernel: Kernel,
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    compartments: int,
    *,
    seed: int,
    decoder: Decoder = "votes",
    least_spikes: int = 1,
    batch: int = 64,
    progress: Progress | None = None,
) -> Prediction:
    """What K free-running compartments say, the first k of them at the end and all of them after every step.

    Args:
        kernel: runs the network.
        network: the network.
        params: its parameters.
        presentations: what is shown, n of them.
        compartments: K.
        seed: with the presentations' addresses, of all noise.
        decoder: what makes probabilities of the compartments.
        least_spikes: input spikes (or events, where bins hold counts) from a presentation's first observed step on
            without which it is silent and gets no answer; after each step those up to it count; see
            :func:`least_spikes_of`.
        batch: presentations at a time; the result is the same.
        progress: shows how far the work has come.

    Raises:
        InputError: the decoder cannot serve the network or the presentations' targets, an argument has the wrong
            type or range, or network, parameters and presentations do not fit.
    """
    check_decoder(decoder, network)
    _check(network, params, presentations, compartments, batch, seed)
    checks.number(least_spikes, Annotated[int, Range(0, 2**63 - 1)], "least_spikes")
    seed = sampling.free_seed(seed)
    spec, (fan_out,) = network.spec, sampling.home(network.fan_out())
    votes, labels, came = [], [], []
    ends, courses = [], []  # at the end, by compartments; and in the course of time
    sent, steps = torch.zeros(len(fan_out), dtype=torch.float64), 0
    for rows in _shown(network, presentations, batch, progress, "prediction"):
        free = sampling.free(kernel, network, params, rows, compartments, seed=seed)
        if decoder == "likelihood":
            evidence = sampling.class_evidence(network, free.potential, rows)
            end = logspace.running_log_mean_exp(evidence[:, :, -1], 1)
            course = logspace.log_mean_exp(evidence, 1)
        else:
            end, course = free.counts[:, :, -1].cumsum(1), free.counts.sum(1)
        so_far = (rows.spikes.sum(2, dtype=torch.int64) * rows.observed).cumsum(1)
        heard = (rows.spikes > 0).sum((0, 1), dtype=torch.float64)
        fired = free.spikes.sum((0, 1, 2), dtype=torch.float64) / compartments
        told = sampling.home(free.votes, rows.label, so_far, end, course, torch.cat([heard, fired]))
        for kept, new in zip((votes, labels, came, ends, courses), told, strict=False):
            kept.append(new)
        sent += told[-1]
        steps += int(rows.length.sum())
    all_votes = _joined(votes, 2)
    if decoder == "likelihood":
        by_compartments = likelihood_answers(torch.cat(ends))
        by_time = likelihood_answers(_joined(courses, 1))
    else:
        by_compartments, by_time = vote_answers(all_votes, torch.cat(ends), _joined(courses, 1))
    silent = _joined(came, 1) < least_spikes
    rate = sent / steps
    hidden = slice(spec.inputs, spec.inputs + spec.hidden_neurons)
    return Prediction(
        decoder,
        by_compartments.silenced(silent[:, -1]),
        by_time.silenced(silent.T),
        all_votes,
        torch.cat(labels),
        silent[:, -1],
        Activity(
            inputs=float(rate[: spec.inputs].mean()),
            hidden=float(rate[hidden].mean()) if spec.hidden_neurons else 0.0,
            visible=float(rate[hidden.stop :].mean()),
            operations=float((rate * fan_out).sum()),
            mute=metrics.mute(rate[hidden]),
        ),
    )


def least_spikes_of(network: Network, presentations: PresentationSequence) -> int:
    """How many input spikes make a recording worth an answer: ``max(1, ceil(median / 20))``.

    The median is that of the input spikes (or events, where bins hold counts) in the observed steps of these
    presentations, which are those of the training part: what holds less than a twentieth of them is silence to a
    network with this ``warm_up`` that has never seen its like.

    Raises:
        InputError: there are no presentations.
    """
    if not len(presentations):
        raise InputError("there are no presentations to tell how many input spikes are usual")
    came = [
        (rows.spikes.sum(2, dtype=torch.int64) * rows.observed).sum(1)
        for rows in batches(network, presentations, 64)
    ]
    return max(1, math.ceil(float(torch.cat(came).double().quantile(0.5)) / 20))


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    """Batches one after the other; over ``dim``, time, the shorter ones repeat their last entry."""
    longest = max(part.shape[dim] for part in parts)
    steps = torch.arange(longest, device=parts[0].device)
    return torch.cat([part.index_select(dim, steps.clamp(max=part.shape[dim] - 1)) for part in parts])


def vote_answers(votes: Tensor, ends: Tensor, course: Tensor) -> tuple[Answers, Answers]:
    """Answers by compartments and by time of votes ``[n, K, T]``; the spikes behind them break their ties.

    Args:
        votes: int64 ``[n, K, T]``.
        ends: ``[n, K, C]``, output spikes of the first k compartments at the end.
        course: ``[n, T, C]``, output spikes of all of them after each step.
    """
    compartments, classes = ends.shape[1:]
    numbers = torch.arange(1, compartments + 1, device=votes.device)[:, None, None]
    by_compartments = metrics.break_ties(
        metrics.vote_shares_by_compartments(votes[:, :, -1], classes), ends.transpose(0, 1)
    )
    by_time = metrics.break_ties(
        torch.stack([metrics.vote_shares(now, classes) for now in votes.unbind(2)]), course.transpose(0, 1)
    )
    return (
        Answers(by_compartments, metrics.smoothed_shares(by_compartments, numbers, classes).log()),
        Answers(by_time, metrics.smoothed_shares(by_time, compartments, classes).log()),
    )


def likelihood_answers(evidence: Tensor) -> Answers:
    """``p(c)`` proportional to ``exp v_c``: answers ``[X, n, C]`` of ``v``, ``[n, X, C]``."""
    logs = torch.log_softmax(evidence.transpose(0, 1), -1)
    return Answers(logs.exp(), logs)


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
    """One recording's raster, with the very spikes that :func:`predict` counted.

    Raises:
        InputError: as :func:`predict`, or there is no such position.
    """
    _check(network, params, presentations, compartments, 1, seed)
    checks.number(position, Annotated[int, Range(0, len(presentations) - 1)], "position")
    rows = networks.batch(network, [presentations[position]])
    free = sampling.free(kernel, network, params, rows, compartments, seed=sampling.free_seed(seed))
    hidden = network.spec.hidden_neurons
    shown, spikes, votes = sampling.home(rows.spikes[0], free.spikes[0], free.votes[0, :, -1])
    return Example(
        shown,
        spikes[..., :hidden],
        spikes[..., hidden:],
        votes,
        int(rows.label[0]),
        int(rows.address[0]),
    )


def answer_scores(answers: Answers, labels: Tensor) -> dict[str, float]:
    """Accuracy, NLL, Brier score and ECE of answers ``[n, C]``."""
    return {
        "accuracy": metrics.accuracy(answers.probabilities, labels),
        "nll": metrics.log_loss(answers.logs, labels),
        "brier": metrics.brier(answers.probabilities, labels),
        "ece": metrics.expected_calibration_error(answers.probabilities, labels),
    }


def tempered_scores(answers: Answers, labels: Tensor, temperature: float) -> dict[str, float]:
    """What a temperature makes of the scores of answers ``[n, C]``; which class leads, it leaves as it is."""
    scores = answer_scores(_at(answers, temperature), labels)
    return {"temperature": temperature, **{name: scores[name] for name in ("nll", "brier", "ece")}}


def _at(answers: Answers, temperature: float) -> Answers:
    logs = metrics.tempered(answers.logs, temperature)
    return Answers(logs.exp(), logs)


RESAMPLES = 100


def score_errors(answers: Answers, labels: Tensor, temperature: float) -> dict[str, dict[str, float]]:
    """Standard errors of the scores of answers ``[n, C]``, by bootstrap over the presentations.

    That is, the standard deviation of a score over :data:`RESAMPLES` sets of ``n`` presentations drawn from these with
    replacement (B. Efron, Annals of Statistics 7, 1979). The sets are always the same: so are the errors.

    Returns:
        ``plain`` and ``tempered``: of each score without and with the temperature; ``change``: of their difference,
        which is much smaller than either where a temperature does the same to all answers.
    """
    both = (answers, _at(answers, temperature))
    draw, found = torch.Generator().manual_seed(0), []
    for _ in range(RESAMPLES):
        chosen = torch.randint(len(labels), (len(labels),), generator=draw)
        some = (Answers(each.probabilities[chosen], each.logs[chosen]) for each in both)
        found.append([list(answer_scores(each, labels[chosen]).values()) for each in some])
    scores = torch.tensor(found, dtype=torch.float64)  # [RESAMPLES, 2, scores]
    names = answer_scores(answers, labels)
    parts = {"plain": scores[:, 0], "tempered": scores[:, 1], "change": scores[:, 1] - scores[:, 0]}
    return {part: dict(zip(names, values.std(0).tolist(), strict=True)) for part, values in parts.items()}


def extremes(votes: Tensor, probabilities: Tensor) -> dict[str, dict[str, float]]:
    """The presentations whose votes differ most (``unsure``) and least (``sure``), by the entropy of their shares.

    Of several the first counts. Each has its ``position``, the class of the ``answer`` and the ``entropy`` in nats.

    Args:
        votes: int64 ``[n, K]``.
        probabilities: of the answers, ``[n, C]``.
    """
    shares = metrics.vote_shares(votes, probabilities.shape[1])
    entropy = (
        torch.special.entr(shares).sum(1).round(decimals=9)
    )  # sums of the same numbers in another order are equal
    places = {"unsure": int(entropy.argmax()), "sure": int(entropy.argmin())}
    answers = probabilities.argmax(1)
    return {
        kind: {"position": place, "answer": int(answers[place]), "entropy": float(entropy[place])}
        for kind, place in places.items()
    }


def fitted_temperatures(held: Prediction) -> list[float]:
    """The temperature for the answers of the first k compartments, for every k, fitted on a part held out for it."""
    return [metrics.fitted_temperature(logs, held.labels) for logs in held.by_compartments.logs]


def _curves(probabilities: Tensor, labels: Tensor) -> dict[str, list[dict[str, Any]]]:
    selective = metrics.selective_accuracy(probabilities, labels)
    return {
        "reliability": metrics.reliability(probabilities, labels).rows(),
        "selective": [
            {"coverage": float(c), "accuracy": float(a)}
            for c, a in zip(selective.coverage, selective.accuracy, strict=True)
        ],
    }


def score(
    network: Network,
    prediction: Prediction,
    log_weights: Tensor,
    *,
    bin_us: int,
    temperatures: Sequence[float],
) -> dict[str, Any]:
    """All numbers of a report, ready for JSON.

    Args:
        network: the network.
        prediction: from :func:`predict`.
        log_weights: ``[n, K]``, from :func:`log_likelihood`.
        bin_us: the width of a step.
        temperatures: K of them, from :func:`fitted_temperatures` of another part's prediction.

    Returns:
        The ``decoder``, the number of ``presentations`` and of ``silent`` ones among them, which got no answer,
        ``accuracy``, ``nll``, ``brier``, ``ece`` of the answers of all compartments at the end,
        what their temperature makes of the last three (``tempered``), ``log_likelihood`` (nats per presentation),
        the same ``by_compartments`` (the first k of them) and, without temperature, ``by_time``, the ``reliability``
        cells and the ``selective`` accuracy when the least confident abstain (also in ``tempered``), the
        ``confusion`` matrix, the standard ``errors`` of the scores (:func:`score_errors`), the ``costs``, and which
        presentations the votes were most and least divided on (``extremes``).

    Raises:
        InputError: the arguments do not fit one another.
    """
    labels, activity = prediction.labels, prediction.activity
    _, compartments, steps = prediction.votes.shape
    if log_weights.shape != prediction.votes.shape[:2]:
        raise InputError(
            f"log_weights must be {list(prediction.votes.shape[:2])}, as the prediction's votes are, not "
            f"{list(log_weights.shape)}"
        )
    if len(temperatures) != compartments:
        raise InputError(
            f"temperatures must be {compartments}, one for each number of compartments, not {len(temperatures)}"
        )
    checks.number(bin_us, Annotated[int, Range(1, LONGEST_BIN_US)], "bin_us")
    by_compartments: list[dict[str, Any]] = []
    for k, temperature in enumerate(temperatures, 1):
        answers = prediction.by_compartments.at(k - 1)
        by_compartments.append(
            {
                "compartments": k,
                **answer_scores(answers, labels),
                "tempered": tempered_scores(answers, labels, temperature),
                "log_likelihood": float(logspace.log_mean_exp(log_weights[:, :k], 1).mean()),
            }
        )
    by_time = [
        {"step": t + 1, "ms": (t + 1) * bin_us / 1000} | answer_scores(prediction.by_time.at(t), labels)
        for t in range(steps)
    ]
    final = prediction.answers
    warm = metrics.tempered(final.logs, temperatures[-1]).exp()
    scores = {name: value for name, value in by_compartments[-1].items() if name != "compartments"}
    return {
        "decoder": prediction.decoder,
        "presentations": len(labels),
        "silent": int(prediction.silent.sum()),
        "compartments": compartments,
        "classes": network.spec.visible,
        "bin_us": bin_us,
        **scores,
        "tempered": {**scores["tempered"], **_curves(warm, labels)},
        "by_compartments": by_compartments,
        "by_time": by_time,
        **_curves(final.probabilities, labels),
        "errors": score_errors(final, labels, temperatures[-1]),
        "confusion": metrics.confusion_matrix(final.probabilities, labels).tolist(),
        "extremes": extremes(prediction.votes[:, :, -1], final.probabilities),
        "costs": {
            "spikes_per_neuron_step": {
                "inputs": activity.inputs,
                "hidden": activity.hidden,
                "visible": activity.visible,
            },
            "synaptic_operations_per_step": activity.operations * compartments,
            "mute_hidden_neurons": activity.mute._asdict(),
        },
    }


def scalars_per_step(network: Network, compartments: int) -> dict[str, int]:
    """Numbers exchanged per step while learning, neuron by neuron.

    ``up``: every visible neuron of every compartment sends its evidence to the place that computes q.
    ``down``: every learnable neuron of every compartment is sent the learning signal, one scalar per compartment
    (K numbers where it can be broadcast). The papers call this the communication load.
    """
    return {"up": compartments * network.spec.visible, "down": compartments * network.spec.neurons}
