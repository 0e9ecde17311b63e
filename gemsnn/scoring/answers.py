"""Answers: class probabilities, made of what compartments do.

A decoder turns K free compartments into class probabilities:

============== =====================================================================================
``votes``      ``p(c)``: the share of compartments whose visible neuron ``c`` spiked most; of classes that lead
               together, the one with more output spikes of all compartments is the answer
``rates``      ``p(c)``: the share of visible neuron ``c`` in the output spikes of all compartments, so that a
               compartment that spoke clearly counts more than one that did not
``mixture``    ``p(c)`` proportional to ``exp(m_c / min(n, D))``, where ``m_c = sum_t log (1/K) sum_k exp l^k_c[t]`` is
               the log-likelihood of the stepwise mixture of all compartments over the n observed steps by then
               (:mod:`gemsnn.scoring.mixtures`)
``pooled``     ``p(c)`` proportional to ``exp(m_c / n)``: the geometric mean over the observed steps
``likelihood`` ``p(c)`` proportional to ``(1/K) sum_k exp v^k_c``, where ``v^k_c = sum_t l^k_c[t]``
============== =====================================================================================

``l^k_c[t]`` is how probable compartment k finds the target of class c at a step
(:func:`gemsnn.scoring.sampling.class_log_probs`). Steps that follow each other hear the same spikes, as far back as the
network remembers, D steps; so they tell the same, and a sum over all steps is far too sure. ``mixture`` counts the
steps of one memory's length as one, ``pooled`` all steps as one: a logarithmic pool, over time, of linear pools, over
compartments (C. Genest and J. V. Zidek, "Combining Probability Distributions", Statistical Science 1, 1986; a
likelihood to a power below one: P. D. Grünwald, "The Safe Bayesian", ALT 2012). What potentials tell has less noise
than the spikes that are drawn of them.

A recording that is *silent* gets no answer: where its observed steps, after the warm-up, hold fewer input spikes than
``least_spikes``, the probabilities are ``1/C`` for every class, whatever the compartments say. Every score takes it
like any other even answer; accuracy counts it ``1/C``, the expectation over ties of :mod:`gemsnn.scoring.metrics`.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.model import logspace
from gemsnn.model.network import Network
from gemsnn.scoring import metrics, mixtures, sampling
from gemsnn.scoring.sampling import Free, Weights
from gemsnn.specs import checks
from gemsnn.types import Batch

Decoder = Literal["votes", "rates", "mixture", "pooled", "likelihood"]
Wanted = Literal["auto", Decoder]
"""A decoder, or that of :data:`CHOICE` which answers a validation part best."""

CHOICE: tuple[Decoder, ...] = ("votes", "rates", "mixture", "pooled")
"""What ``auto`` chooses from, of those that can serve the network."""

COUNTED: tuple[Decoder, ...] = ("votes", "rates")
"""Those that need output spikes alone, which every network has."""


def check_decoder(decoder: Decoder, network: Network) -> None:
    """Raise :class:`InputError` where there is no such decoder, or it cannot serve this network."""
    checks.choice(decoder, Decoder, "decoder")
    if decoder not in COUNTED and not sampling.deaf_to_visible(network):
        raise InputError(
            f"the decoder {decoder} needs a network in which no neuron hears a visible neuron (a topology other "
            "than full, and feedback hidden or none); use the decoder votes or rates"
        )


def choice(wanted: Wanted, network: Network) -> tuple[Decoder, ...]:
    """What is wanted, or all of :data:`CHOICE` that can serve the network."""
    if wanted != "auto":
        return (wanted,)
    return CHOICE if sampling.deaf_to_visible(network) else COUNTED


def provisional(wanted: Wanted) -> Decoder:
    """The decoder itself, and before one has been chosen the first of :data:`CHOICE`."""
    return CHOICE[0] if wanted == "auto" else wanted


class Answers(NamedTuple):
    """Class probabilities, float64 ``[.., n, C]``.

    Attributes:
        probabilities: what accuracy, Brier score and calibration error are taken of.
        logs: finite log-probabilities, what the NLL is taken of and a temperature divides. Of votes they are the
            logarithms of the shares after one more vote, spread evenly
            (:func:`gemsnn.scoring.metrics.smoothed_shares`); of rates, after one more output spike.
    """

    probabilities: Tensor
    logs: Tensor

    def at(self, position: int) -> Answers:
        """The answers of one number of compartments, or of one step."""
        return Answers(self.probabilities[position], self.logs[position])

    def tempered(self, temperature: float | Tensor) -> Answers:
        """The same at a temperature, see :func:`gemsnn.scoring.metrics.tempered`."""
        logs = metrics.tempered(self.logs, temperature)
        return Answers(logs.exp(), logs)

    def silenced(self, silent: Tensor) -> Answers:
        """The same, but even probabilities where bool ``[.., n]`` is true."""
        classes = self.probabilities.shape[-1]
        where = silent[..., None]
        return Answers(
            self.probabilities.masked_fill(where, 1 / classes),
            self.logs.masked_fill(where, -math.log(classes)),
        )


class Told(NamedTuple):
    """What a decoder makes answers of: spikes, or evidence in nats.

    Attributes:
        ends: ``[n, K, C]``, what the first 1, 2, .. compartments tell at the end.
        course: ``[n, T, C]``, what all of them tell after each step.
        votes: int64 ``[n, K, T]``.
    """

    ends: Tensor
    course: Tensor
    votes: Tensor


def told(decoder: Decoder, network: Network, free: Free, rows: Batch, readouts: Weights = ()) -> Told:
    """What free compartments tell of a batch; ``readouts`` are the weights of :func:`gemsnn.scoring.sampling.said`."""
    if decoder in COUNTED:
        return Told(free.counts[:, :, -1].cumsum(1), free.counts.sum(1), free.votes)
    if decoder == "likelihood":
        evidence = sampling.class_evidence(network, free.potential, rows, readouts)
        end = logspace.running_log_mean_exp(evidence[:, :, -1], 1)
        return Told(end, logspace.log_mean_exp(evidence, 1), free.votes)
    sampling.check_targets(network, rows)
    return Told(*mixtures.evidence(decoder, network, free.potential, rows, readouts), free.votes)


def answers(decoder: Decoder, found: Told) -> tuple[Answers, Answers]:
    """Answers by compartments, ``[K, n, C]``, and by time, ``[T, n, C]``."""
    if decoder == "votes":
        return vote_answers(found.votes, found.ends, found.course)
    one = rate_answers if decoder == "rates" else likelihood_answers
    return one(found.ends), one(found.course)


def vote_answers(votes: Tensor, ends: Tensor, course: Tensor) -> tuple[Answers, Answers]:
    """Answers by compartments and by time of votes ``[n, K, T]``; the spikes behind them break their ties.

    Args:
        votes: int64 ``[n, K, T]``.
        ends: ``[n, K, C]``, output spikes of the first k compartments at the end.
        course: ``[n, T, C]``, output spikes of all of them after each step.
    """
    compartments, classes = ends.shape[1:]
    numbers = torch.arange(1, compartments + 1, device=votes.device)[:, None, None]
    return (
        share_answers(
            metrics.vote_shares_by_compartments(votes[:, :, -1], classes), ends.transpose(0, 1), numbers
        ),
        share_answers(
            torch.stack([metrics.vote_shares(now, classes) for now in votes.unbind(2)]),
            course.transpose(0, 1),
            compartments,
        ),
    )


def share_answers(shares: Tensor, counts: Tensor, votes: int | Tensor) -> Answers:
    """Answers ``[.., C]`` of the shares of so many votes, their ties broken by output spikes, ``[.., C]`` both."""
    broken = metrics.break_ties(shares, counts)
    return Answers(broken, metrics.smoothed_shares(broken, votes, shares.shape[-1]).log())


def likelihood_answers(evidence: Tensor) -> Answers:
    """``p(c)`` proportional to ``exp v_c``: answers ``[X, n, C]`` of ``v``, ``[n, X, C]``."""
    logs = torch.log_softmax(evidence.transpose(0, 1), -1)
    return Answers(logs.exp(), logs)


def rate_answers(counts: Tensor) -> Answers:
    """``p(c) = n_c / sum_c n_c``, and ``1/C`` where all are zero: answers ``[X, n, C]`` of counts ``[n, X, C]``."""
    counts = counts.transpose(0, 1).double()
    total, classes = counts.sum(-1, keepdim=True), counts.shape[-1]
    even = torch.full_like(counts, 1 / classes)
    probabilities = torch.where(total > 0, counts / total.clamp(min=1), even)
    return Answers(probabilities, ((counts + 1 / classes) / (total + 1)).log())
