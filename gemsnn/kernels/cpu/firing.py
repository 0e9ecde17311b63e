# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""Compiled steps of the neurons of a graph, a population and a run at a time, place by place (:mod:`.patches`).

Compiled at first use.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn import rng
from gemsnn.kernels.cpu import elementary
from gemsnn.kernels.cpu.fused import choose
from gemsnn.machine.compiled import njit


class Neurons(NamedTuple):
    """A population's parameters.

    Attributes:
        circuit: whether one spikes at a time; else they are independent.
        visible: whether they are clamped where observed.
        first: the number of the first among all neurons.
        bias: ``[C]``.
        feedback: ``[Df, C]``, lag by lag; no rows where they do not feel their own spikes.
    """

    circuit: bool
    visible: bool
    first: int
    bias: NDArray
    feedback: NDArray


class Given(NamedTuple):
    """What a run meets in a block of steps.

    Attributes:
        noise: float32 ``[steps, N]``.
        target: uint8 ``[steps, classes]``, the same for every visible population.
        alive: bool ``[steps]``.
        observed: bool ``[steps]``.
    """

    noise: NDArray
    target: NDArray
    alive: NDArray
    observed: NDArray


@njit(nogil=True)
def make_noise(presentation, clock, compartment, key, out):  # pragma: no cover (compiled)
    """The uniform numbers of a run ``[steps, N]``, from step ``clock`` on."""
    for t in range(len(out)):
        rng.fill_row(out[t], presentation, np.uint64(clock + t), np.uint64(compartment), key[0], key[1])


# without fastmath, which numba passes on to what is compiled for the caller: sigmoids rely on the order of their sums
@njit(nogil=True)
def fire(
    neurons: Neurons, given: Given, low, high, potential, spikes, error, row, bits, evidence
):  # pragma: no cover (compiled)
    """Steps ``low .. high`` of a block: potentials become spikes, errors and evidence; returns how many spikes.

    Args:
        neurons: the population's parameters.
        given: what the run meets.
        low: the first step.
        high: one past the last.
        potential: ``[places, steps, C]``, what synapses add; bias and feedback are added here.
        spikes: uint8 ``[places, rows, C]``, the history.
        error: ``[places, rows, C]``, likewise.
        row: the row of step 0 in both.
        bits: the same spikes, see :mod:`.stretches`.
        evidence: ``[steps]``, to which that of the visible neurons is added.
    """
    places, _, channels = potential.shape
    fired, learned = 0, potential.dtype.type(0)
    for place in range(places):
        for t in range(low, high):
            u, s, e = potential[place, t], spikes[place, row + t], error[place, row + t]
            for c in range(channels):
                u[c] += neurons.bias[c]
            for d in range(min(len(neurons.feedback), row + t)):
                own, lag = spikes[place, row + t - d - 1], neurons.feedback[d]
                for c in range(channels):
                    u[c] += lag[c] * own[c]
            if not given.alive[t]:
                s[:] = 0
                e[:] = learned
                continue
            # neuron (c, y, x) has the number (c * height + y) * width + x
            noise = given.noise[t, neurons.first + place : neurons.first + places * channels : places]
            silent = 0.0
            if neurons.circuit:
                silent = elementary.softmax(u, e)
                choose(noise[0], e, s)
            else:
                elementary.sigmoid(u, e)
                for c in range(channels):
                    s[c] = 1 if noise[c] < e[c] else 0
            if neurons.visible and given.observed[t]:
                s[:] = given.target[t, place::places]
                if neurons.circuit:
                    for c in range(channels):
                        silent += s[c] * u[c]
                    evidence[t] += silent
                else:
                    evidence[t] += elementary.log_bernoulli(s, u)
            for c in range(channels):
                fired += s[c]
                e[c] = s[c] - e[c]
            if neurons.visible and not given.observed[t]:
                e[:] = learned
        for t in range(low, high):
            word, shift = bits[(row + t) // 64], np.uint64((row + t) % 64)
            s, some = spikes[place, row + t], word[place * channels : (place + 1) * channels]
            for c in range(channels):
                some[c] |= np.uint64(s[c]) << shift
    return fired


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def weigh(error, row, coefficient, pad, out):  # pragma: no cover (compiled)
    """``out[place, pad + t] = coefficient[t] * error[place, row + t]``, zero in the first and last ``pad`` rows."""
    steps = len(coefficient)
    for place in range(len(out)):
        out[place, :pad] = 0
        out[place, pad + steps :] = 0
        for t in range(steps):
            e, to, scale = error[place, row + t], out[place, pad + t], coefficient[t]
            for c in range(len(to)):
                to[c] = scale * e[c]


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def add_small(factor, pad, spikes, row, bias, feedback):  # pragma: no cover (compiled)
    """What neurons are to be blamed for themselves, into ``bias [C]`` and, lag by lag, ``feedback [Df, C]``.

    ``factor [places, pad + steps + pad, C]``; its step 0 is ``row`` of the history ``spikes``.
    """
    for place in range(len(factor)):
        for t in range(factor.shape[1] - 2 * pad):
            blame = factor[place, pad + t]
            for c in range(len(bias)):
                bias[c] += blame[c]
            for d in range(min(len(feedback), row + t)):
                own, out = spikes[place, row + t - d - 1], feedback[d]
                for c in range(len(bias)):
                    out[c] += blame[c] * own[c]


@njit(nogil=True)
def weigh_runs(log_weights, evidence, alive, kappa, fresh, out):  # pragma: no cover (compiled)
    """``v = kappa v + fresh evidence`` where alive, step by step, of ``[B, K, steps]`` into ``out [steps, B, K]``."""
    presentations, compartments, steps = evidence.shape
    for t in range(steps):
        for b in range(presentations):
            for k in range(compartments):
                if alive[b, t]:
                    log_weights[b, k] = kappa * log_weights[b, k] + fresh * evidence[b, k, t]
                out[t, b, k] = log_weights[b, k]
