# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""Compiled steps of the neurons of a graph, a population and a run at a time, place by place (:mod:`.patches`).

Compiled at first use.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn import rng
from gemsnn.kernels.cpu import elementary, stretches
from gemsnn.kernels.cpu.fused import choose
from gemsnn.machine.compiled import njit

TILE = 16
"""Places whose numbers share a cache line."""


class Neurons(NamedTuple):
    """A population's parameters.

    Attributes:
        circuit: whether one spikes at a time; else they are independent.
        visible: whether they are clamped where observed.
        bias: ``[C]``.
        feedback: ``[Df, C]``, lag by lag; no rows where they do not feel their own spikes.
    """

    circuit: bool
    visible: bool
    bias: NDArray
    feedback: NDArray


class Given(NamedTuple):
    """What a run meets in a block of steps.

    Attributes:
        noise: float32 ``[places, steps, C]``, uniform numbers of the population's neurons.
        target: uint8 ``[steps, classes]``, the same for every visible population.
        alive: bool ``[steps]``.
        observed: bool ``[steps]``.
    """

    noise: NDArray
    target: NDArray
    alive: NDArray
    observed: NDArray


@njit(nogil=True)
def make_noise(presentation, clock, compartment, key, sizes, buffer, out):  # pragma: no cover (compiled)
    """The uniform numbers of a run from step ``clock`` on, population by population and place by place.

    Args:
        presentation: its address.
        clock: the number of the first step.
        compartment: k.
        key: the seed's.
        sizes: int64 ``[.., 2]``, places and channels of each population.
        buffer: float32 ``[.., N]``: numbers of some steps, neuron after neuron. Where they are few, a cache holds them.
        out: float32 ``[N * steps]``: for every population ``[places, steps, C]``.
    """
    neurons = buffer.shape[1]
    steps = len(out) // neurons
    for begin in range(0, steps, len(buffer)):
        end = min(begin + len(buffer), steps)
        for t in range(begin, end):
            step = np.uint64(clock + t)
            rng.fill_row(buffer[t - begin], presentation, step, np.uint64(compartment), key[0], key[1])
        first = 0
        for n in range(len(sizes)):
            places, channels = sizes[n]
            size = places * channels
            own = out[first * steps : (first + size) * steps].reshape(places, steps, channels)
            for low in range(0, places, TILE):
                for t in range(begin, end):
                    for place in range(low, min(low + TILE, places)):
                        # neuron (c, y, x) has the number (c * height + y) * width + x
                        _spaced(
                            buffer[t - begin, first + place : first + size], np.uint64(places), own[place, t]
                        )
            first += size


@njit(nogil=True)
def _spaced(row, apart, out):  # pragma: no cover (compiled)
    """``out[c] = row[c * apart]``."""
    at = np.uint64(0)
    for c in range(len(out)):
        out[c] = row[at]
        at += apart


@njit(nogil=True)
def recall(neurons: Neurons, spikes, first, last, start, potential):  # pragma: no cover (compiled)
    """What neurons feel of their spikes at rows ``first .. last``, added to the potentials from row ``start`` on.

    ``spikes [places, rows, c]`` are the history, the potentials ``[places, C, c]``.
    """
    memory, steps = len(neurons.feedback), potential.shape[1]
    for place in range(len(potential)):
        for s in range(max(first, start - memory), last):
            own = spikes[place, s]
            for c in range(len(own)):
                if own[c] != 0:
                    for d in range(max(0, start - s - 1), min(memory, start + steps - 1 - s)):
                        potential[place, s + 1 + d - start, c] += neurons.feedback[d, c]


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
        potential: ``[places, steps, C]``, all there is but for what neurons feel of their own spikes of this block.
        spikes: uint8 ``[places, rows, C]``, the history.
        error: ``[places, rows, C]``, likewise.
        row: the row of step 0 in both.
        bits: the same spikes, see :mod:`.stretches`.
        evidence: ``[steps]``, to which that of the visible neurons is added.
    """
    places, steps, channels = potential.shape
    fired, nothing = 0, potential.dtype.type(0)
    for place in range(places):
        for t in range(low, high):
            u, s, e = potential[place, t], spikes[place, row + t], error[place, row + t]
            if not given.alive[t]:
                s[:] = 0
                e[:] = nothing
                continue
            noise = given.noise[place, t]
            if neurons.visible:
                target = given.target[t, place::places]
                evidence[t] += _answer(neurons.circuit, u, noise, target, given.observed[t], s, e)
            elif neurons.circuit:
                elementary.softmax(u, e)
                choose(noise[0], e, s)
            else:
                elementary.sigmoid(u, e)
                for c in range(channels):
                    s[c] = noise[c] < e[c]
            if not neurons.visible or given.observed[t]:
                for c in range(channels):
                    e[c] = s[c] - e[c]
            word, bit = bits[(row + t) // 64], stretches.ONE << np.uint64((row + t) % 64)
            for c in range(channels):
                if s[c] != 0:
                    fired += 1
                    word[place * channels + c] |= bit
                    for d in range(min(len(neurons.feedback), steps - 1 - t)):
                        potential[place, t + 1 + d, c] += neurons.feedback[d, c]
    return fired


@njit(nogil=True)
def _answer(circuit, potential, noise, target, observed, spikes, error):  # pragma: no cover (compiled)
    """Visible neurons' spikes, and their probabilities in place of errors, zeros where not observed; their evidence."""
    found = 0.0
    if circuit:
        found = elementary.softmax(potential, error)
        choose(noise[0], error, spikes)
    else:
        elementary.sigmoid(potential, error)
        for c in range(len(spikes)):
            spikes[c] = noise[c] < error[c]
    if not observed:
        error[:] = error.dtype.type(0)
        return 0.0
    spikes[:] = target
    if not circuit:
        return elementary.log_bernoulli(spikes, potential)
    for c in range(len(spikes)):
        found += spikes[c] * potential[c]
    return found


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
def add_small(factor, pad, bits, first, bias, feedback):  # pragma: no cover (compiled)
    """What neurons are to be blamed for themselves, into ``bias [C]`` and, lag by lag, ``feedback [Df, C]``.

    ``factor [places, pad + steps + pad, C]``; its step 0 is row ``first`` of the history, whose spikes are ``bits``.
    """
    (memory, channels), (_, rows, _) = feedback.shape, factor.shape
    begin = max(0, first - memory)
    word, chosen = begin // 64, stretches.between(begin, first + rows - 2 * pad - 1)
    at = np.empty(64 * len(chosen), np.int64)
    for place in range(len(factor)):
        for t in range(pad, rows - pad):
            stretches.add(factor[place, t], bias)
        if memory > 0:
            for c in range(channels):
                for i in range(stretches.when(bits, place * channels + c, word, chosen, at)):
                    after = pad + 1 + at[i] - first
                    for d in range(memory):
                        feedback[d, c] += factor[place, after + d, c]


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
