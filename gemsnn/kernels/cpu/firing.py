# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""Compiled steps of the neurons of a graph, a population and some runs at a time, place by place (:mod:`.patches`).

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

TOGETHER = 128
"""Neurons whose probabilities are computed at once."""


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
    """What runs meet in a block of steps.

    Attributes:
        noise: float32 ``[R, places, steps, C]``, uniform numbers of the population's neurons.
        presentation: int64 ``[R]``, which each run belongs to.
        target: uint8 ``[B, steps, classes]``, the same for every visible population.
        alive: bool ``[B, steps]``.
        observed: bool ``[B, steps]``.
    """

    noise: NDArray
    presentation: NDArray
    target: NDArray
    alive: NDArray
    observed: NDArray


@njit(nogil=True)
def make_noise(
    address, presentation, compartment, clock, key, sizes, buffer, out
):  # pragma: no cover (compiled)
    """The uniform numbers of runs from step ``clock`` on, population by population, run by run and place by place.

    Args:
        address: ``[B]``, of the presentations.
        presentation: int64 ``[R]``, which each run belongs to.
        compartment: int64 ``[R]``.
        clock: the number of the first step.
        key: the seed's.
        sizes: int64 ``[.., 2]``, places and channels of each population.
        buffer: float32 ``[.., N]``: numbers of some steps, neuron after neuron. Where they are few, a cache holds them.
        out: float32 ``[N * R * steps]``: for every population ``[R, places, steps, C]``.
    """
    runs, neurons = len(presentation), buffer.shape[1]
    steps = len(out) // (neurons * runs)
    for r in range(runs):
        who, k = address[presentation[r]], np.uint64(compartment[r])
        for begin in range(0, steps, len(buffer)):
            end = min(begin + len(buffer), steps)
            for t in range(begin, end):
                rng.fill_row(buffer[t - begin], who, np.uint64(clock + t), k, key[0], key[1])
            first = 0
            for n in range(len(sizes)):
                places, channels = sizes[n]
                size = places * channels
                at = (first * runs + r * size) * steps
                own = out[at : at + size * steps].reshape(places, steps, channels)
                for low in range(0, places, TILE):
                    for t in range(begin, end):
                        for place in range(low, min(low + TILE, places)):
                            # neuron (c, y, x) has the number (c * height + y) * width + x
                            _spaced(
                                buffer[t - begin, first + place : first + size],
                                np.uint64(places),
                                own[place, t],
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
def recall(neurons: Neurons, spikes, row, potential):  # pragma: no cover (compiled)
    """Add what neurons still feel of their spikes before a row of the history to runs' potentials from there on.

    Args:
        neurons: the population's parameters.
        spikes: uint8 ``[R, places, rows, C]``, the history.
        row: the row.
        potential: ``[R, places, steps, C]``.
    """
    memory, (runs, places, steps, _) = len(neurons.feedback), potential.shape
    for r in range(runs):
        for place in range(places):
            for s in range(row - memory, row):
                own = spikes[r, place, s]
                for d in range(row - s - 1, min(memory, row - s - 1 + steps)):
                    u, lag = potential[r, place, s + 1 + d - row], neurons.feedback[d]
                    for c in range(len(own)):
                        u[c] += lag[c] * own[c]


# without fastmath, which numba passes on to what is compiled for the caller: sigmoids rely on the order of their sums
@njit(nogil=True)
def fire(
    neurons: Neurons, given: Given, low, high, potential, at, spikes, error, row, bits, evidence, fired
):  # pragma: no cover (compiled)
    """Steps ``low .. high`` of a block: runs' potentials become spikes, errors and evidence.

    Args:
        neurons: the population's parameters.
        given: what the runs meet.
        low: the first step.
        high: one past the last.
        potential: ``[R, places, .., C]``, all there is but for what neurons feel of their own spikes of this block,
            which is added here, as far as there are rows.
        at: the row of step 0 in it.
        spikes: uint8 ``[R, places, rows, C]``, the history.
        error: ``[R, places, rows, C]``, likewise.
        row: the row of step 0 in these two.
        bits: ``[R, words, n]``, the same spikes, see :mod:`.stretches`.
        evidence: ``[R, steps]``, to which that of the visible neurons is added.
        fired: int64 ``[R]``, to which the number of spikes of hidden neurons is added.
    """
    for r in range(len(potential)):
        b, words = given.presentation[r], bits[r]
        if neurons.visible or neurons.circuit:
            found = _by_place(
                neurons,
                given,
                b,
                low,
                high,
                potential[r],
                at,
                given.noise[r],
                spikes[r],
                error[r],
                row,
                words,
                evidence[r],
            )
        else:
            found = _by_tile(
                neurons,
                given.alive[b],
                low,
                high,
                potential[r],
                at,
                given.noise[r],
                spikes[r],
                error[r],
                row,
                words,
            )
        if not neurons.visible:
            fired[r] += found


@njit(nogil=True)
def _by_place(
    neurons, given, b, low, high, potential, at, noise, spikes, error, row, bits, evidence
):  # pragma: no cover (compiled)
    """The steps of a run's visible neurons, or of circuits; returns how many spikes."""
    (places, _, channels), fired = potential.shape, 0
    for place in range(places):
        for t in range(low, high):
            s, e = spikes[place, row + t], error[place, row + t]
            if not given.alive[b, t]:
                s[:] = 0
                e[:] = 0
                continue
            u, observed = potential[place, at + t], given.observed[b, t]
            if neurons.visible:
                target = given.target[b, t, place::places]
                evidence[t] += _answer(neurons.circuit, u, noise[place, t], target, observed, s, e)
            else:
                elementary.softmax(u, e)
                choose(noise[place, t, 0], e, s)
            for c in range(channels):
                if not neurons.visible or observed:
                    e[c] = s[c] - e[c]
                if s[c] != 0:
                    fired += 1
                    _spike(neurons.feedback, place, c, at + t, row + t, potential, bits)
    return fired


@njit(nogil=True)
def _by_tile(
    neurons, alive, low, high, potential, at, noise, spikes, error, row, bits
):  # pragma: no cover (compiled)
    """The steps of a run's independent hidden neurons, some places at a time; returns how many spikes."""
    (places, _, channels), fired = potential.shape, 0
    tile = max(1, TOGETHER // channels)
    u, p = np.empty(tile * channels, potential.dtype), np.empty(tile * channels, potential.dtype)
    for first in range(0, places, tile):
        last = min(first + tile, places)
        for t in range(low, high):
            if not alive[t]:
                spikes[first:last, row + t] = 0
                error[first:last, row + t] = 0
                continue
            n = 0
            for place in range(first, last):
                for c in range(channels):
                    u[n + c] = potential[place, at + t, c]
                n += channels
            elementary.sigmoid(u[:n], p[:n])
            n = 0
            for place in range(first, last):
                for c in range(channels):
                    spike = noise[place, t, c] < p[n + c]
                    spikes[place, row + t, c] = spike
                    error[place, row + t, c] = spike - p[n + c]
                    if spike:
                        fired += 1
                        _spike(neurons.feedback, place, c, at + t, row + t, potential, bits)
                n += channels
    return fired


@njit(nogil=True, inline="always")
def _spike(feedback, place, c, at, row, potential, bits):  # pragma: no cover (compiled)
    """Set the bit of a neuron that spiked, and let it feel that."""
    channels = potential.shape[2]
    bits[row // 64, place * channels + c] |= stretches.ONE << np.uint64(row % 64)
    for d in range(min(len(feedback), potential.shape[1] - 1 - at)):
        potential[place, at + 1 + d, c] += feedback[d, c]


@njit(nogil=True)
def show(
    spikes, row, potential, at, to_spikes, to_potential, run, step, neuron, steps
):  # pragma: no cover (compiled)
    """Copy what runs did, from these rows on, to ``[P, T, N]``, from this run, step and neuron on."""
    runs, places, _, channels = spikes.shape
    for r in range(runs):
        for t in range(steps):
            s, u = to_spikes[run + r, step + t], to_potential[run + r, step + t]
            for place in range(places):
                for c in range(channels):
                    n = neuron + c * places + place
                    s[n] = spikes[r, place, row + t, c]
                    u[n] = potential[r, place, at + t, c]


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
