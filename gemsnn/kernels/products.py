# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
"""Compiled products with spikes for the cpu kernel: what they send forwards, and what is added to weights afterwards.

Names as in :mod:`gemsnn.kernels.cpu`. Functions with ``low, high`` fill or change that range only, so that several
threads can share the work. Compiled at first use, then read from the disk cache beside this file.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def find_events(spikes, length):  # pragma: no cover (compiled)
    """The non-zero inputs, sender by sender: rows ``t * B + b``, values, and where each sender's begin.

    ``spikes`` is uint8 ``[B, T, M]``; steps at and after ``length[b]`` are padding and count as silent.
    """
    presentations, steps, inputs = spikes.shape
    starts = np.zeros(inputs + 1, np.int64)
    for b in range(presentations):
        for t in range(min(steps, length[b])):
            for m in range(inputs):
                starts[m + 1] += spikes[b, t, m] != 0
    starts = np.cumsum(starts)
    row = np.empty(starts[-1], np.int64)
    value = np.empty(starts[-1], np.uint8)
    at = starts[:-1].copy()
    for t in range(steps):
        for b in range(presentations):
            if t < length[b]:
                for m in range(inputs):
                    if spikes[b, t, m] != 0:
                        row[at[m]] = t * presentations + b
                        value[at[m]] = spikes[b, t, m]
                        at[m] += 1
    return row, value, starts


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def send_inputs(weight, row, value, starts, first, sent, low, high):  # pragma: no cover (compiled)
    """What the inputs of rows ``low .. high`` send: ``sent[row - first, l, n] = sum_m s[row, m] w[n, m, l]``."""
    for m in range(len(starts) - 1):
        for event in range(starts[m], starts[m + 1]):
            if row[event] >= high:
                break
            if row[event] >= low:
                _add(sent[row[event] - first], weight[m], weight.dtype.type(value[event]))


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _add(total, term, scale):  # pragma: no cover (compiled)
    """``total += scale * term``, both ``[L, N]``."""
    for f in range(total.shape[0]):
        for n in range(total.shape[1]):
            total[f, n] += scale * term[f, n]


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def filter_forward(sent, taps, presentations, start, first, out, low, high):  # pragma: no cover (compiled)
    """``out[t, b, n] = sum_d sum_l f_l(d) sent[t - d, b, l, n]`` for steps ``low .. high``."""
    count, memory = taps.shape
    for t in range(low, high):
        for d in range(1, min(memory, t - first) + 1):
            for b in range(presentations):
                at = (t - d - first) * presentations + b
                for f in range(count):
                    scale = taps[f, d - 1]
                    if scale != 0:
                        for n in range(out.shape[2]):
                            out[t - start, b, n] += scale * sent[at, f, n]


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def weigh_errors(error, coefficient, first, hidden):  # pragma: no cover (compiled)
    """``A[p, tau] r[p, tau]``, ``[W, P, N]`` for the steps from ``first`` on."""
    stop, runs = coefficient.shape[:2]
    out = np.empty((stop - first, runs, error.shape[2]), error.dtype)
    for tau in range(first, stop):
        for p in range(runs):
            out[tau - first, p, :hidden] = coefficient[tau, p, 0] * error[tau, p, :hidden]
            out[tau - first, p, hidden:] = coefficient[tau, p, 1] * error[tau, p, hidden:]
    return out


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def sum_compartments(factor, presentations, groups):  # pragma: no cover (compiled)
    """Factors summed over compartments, ``[W, B, N]``; zero for neurons that do not listen to inputs."""
    steps, runs, neurons = factor.shape
    out = np.zeros((steps, presentations, neurons), factor.dtype)
    for t in range(steps):
        for p in range(runs):
            for g in range(len(groups)):
                if groups[g, 2]:
                    for n in range(groups[g, 0], groups[g, 1]):
                        out[t, p // (runs // presentations), n] += factor[t, p, n]
    return out


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def filter_back(factor, taps, first, base, out, low, high):  # pragma: no cover (compiled)
    """``out[t, p, l, n] = sum_d f_l(d) factor[t + d, p, n]``: what a spike at step t is to be blamed for.

    ``factor`` begins at step ``first``, ``out`` at step ``base``; rows ``low .. high`` of ``out`` are filled.
    """
    (count, memory), (steps, runs, neurons) = taps.shape, factor.shape
    for row in range(low, high):
        out[row] = 0
        for d in range(1, memory + 1):
            t = base + row + d - first
            if 0 <= t < steps:
                for p in range(runs):
                    for f in range(count):
                        scale = taps[f, d - 1]
                        if scale != 0:
                            for n in range(neurons):
                                out[row, p, f, n] += scale * factor[t, p, n]


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def add_input_terms(out, filtered, row, value, starts, base, low, high):  # pragma: no cover (compiled)
    """Add the pending terms of the synapses of inputs ``low .. high`` to ``out [J, L, N]``."""
    steps, presentations = filtered.shape[:2]
    for m in range(low, high):
        for event in range(starts[m], starts[m + 1]):
            step = row[event] // presentations - base
            if 0 <= step < steps:
                _add(out[m], filtered[step, row[event] % presentations], out.dtype.type(value[event]))


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def add_neuron_terms(
    out, inputs, taps, spikes, silence, factor, first, groups, low, high
):  # pragma: no cover (compiled)
    """Add the pending terms of the synapses of neurons ``low .. high`` to ``out [J, L, N]``.

    Synapses that do not exist stay zero.
    """
    (steps, runs, neurons), (count, memory) = factor.shape, taps.shape
    base = max(0, first - memory)
    rows = first + steps - base
    one = np.zeros((steps, 1, neurons), out.dtype)
    filtered = np.empty((rows, 1, count, neurons), out.dtype)
    for p in range(runs):
        one[:, 0] = factor[:, p]
        filter_back(one, taps, first, base, filtered, 0, rows)
        for step in range(rows):
            for j in range(low, high):
                if spikes[silence + base + step, p, j] != 0:
                    _add(out[inputs + j], filtered[step, 0], out.dtype.type(1))
    for j in range(low, high):
        for g in range(len(groups)):
            if not groups[g, 3] <= j < groups[g, 4]:
                out[inputs + j, :, groups[g, 0] : groups[g, 1]] = 0
        out[inputs + j, :, j] = 0
