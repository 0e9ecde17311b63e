# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""Compiled products with spikes for the cpu kernel: what inputs send, and what is added to weights afterwards.

Weights are sender by sender, ``[J, L N]``. Functions with ``low, high`` fill or change that range only, so that
several threads can share the work. Compiled at first use, then read from the disk cache beside this file.
"""

from __future__ import annotations

import numba
import numpy as np

from gemsnn.kernels.elementary import axpy

CACHE_BYTES = 500_000
"""Of weights that are changed at a time, so that they stay in the second cache."""


@numba.njit(cache=True, nogil=True)
def find_events(spikes):  # pragma: no cover (compiled)
    """The non-zero inputs of uint8 ``[B, S, M]``, sender by sender.

    Returns:
        Steps and values of all events, and ``starts [B, M + 1]``: where each sender's begin.
    """
    presentations, steps, inputs = spikes.shape
    starts = np.zeros((presentations, inputs + 1), np.int64)
    total = 0
    for b in range(presentations):
        for t in range(steps):
            for m in range(inputs):
                starts[b, m + 1] += spikes[b, t, m] != 0
        starts[b, 0] = total
        for m in range(inputs):
            starts[b, m + 1] += starts[b, m]
        total = starts[b, inputs]
    step, value = np.empty(total, np.int64), np.empty(total, np.uint8)
    for b in range(presentations):
        at = starts[b, :inputs].copy()
        for t in range(steps):
            for m in range(inputs):
                if spikes[b, t, m] != 0:
                    step[at[m]] = t
                    value[at[m]] = spikes[b, t, m]
                    at[m] += 1
    return step, value, starts


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def drive(weight, taps, step, value, starts, first, listeners, out):  # pragma: no cover (compiled)
    """What inputs add to the potentials, ``out [B, C, N]``, which begins at step ``first``.

    ``out[b, c, n] = sum_d sum_l f_l(d) sum_m s[b, m, first + c - d] w[n, m, l]``: multiplied first, then filtered.
    ``weight [J, L N]``, ``starts [B, M + 1]``, and ``listeners [.., 2]``, the stretches of those that hear inputs.
    """
    (count, memory), (presentations, steps, neurons) = taps.shape, out.shape
    oldest = max(0, first - memory)
    sent = np.zeros((presentations, first + steps - oldest, weight.shape[1]), weight.dtype)
    # sender by sender, so that a sender's weights are in the first cache for all that it sends
    for m in range(starts.shape[1] - 1):
        for b in range(presentations):
            for event in range(starts[b, m], starts[b, m + 1]):
                if oldest <= step[event] < first + steps - 1:
                    _add(sent[b, step[event] - oldest], weight[m], weight.dtype.type(value[event]), listeners)
    out[:] = 0
    for b in range(presentations):
        for c in range(steps):
            for d in range(1, min(memory, first + c) + 1):
                row = sent[b, first + c - d - oldest]
                for f in range(count):
                    if taps[f, d - 1] != 0:
                        axpy(taps[f, d - 1], row[f * neurons : (f + 1) * neurons], out[b, c])


@numba.njit(cache=True, nogil=True)
def _add(total, term, scale, stretches):  # pragma: no cover (compiled)
    """``total += scale * term`` for stretches of two vectors."""
    for r in range(len(stretches)):
        low, high = stretches[r, 0], stretches[r, 1]
        axpy(scale, term[low:high], total[low:high])


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def weigh_errors(error, coefficient, hidden):  # pragma: no cover (compiled)
    """``A[p, tau] r[p, tau]``, ``[steps, P, N]``."""
    steps, runs, _ = error.shape
    out = np.empty_like(error)
    for t in range(steps):
        for p in range(runs):
            out[t, p, :hidden] = coefficient[0, t * runs + p] * error[t, p, :hidden]
            out[t, p, hidden:] = coefficient[1, t * runs + p] * error[t, p, hidden:]
    return out


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def small_terms(factor, spikes, own_taps, feedback, bias, low, high):  # pragma: no cover (compiled)
    """What neurons ``low .. high`` are to be blamed for themselves, into ``feedback [Lf, N]`` and ``bias [N]``.

    ``spikes [silence + steps, P, N]``.
    """
    (steps, runs, _), (count, memory) = factor.shape, own_taps.shape
    silence = len(spikes) - steps
    one, trace = factor.dtype.type(1), np.empty(high - low, factor.dtype)
    for p in range(runs):
        for t in range(steps):
            blame = factor[t, p, low:high]
            axpy(one, blame, bias[low:high])
            for f in range(count):
                trace[:] = 0
                for d in range(1, memory + 1):
                    if own_taps[f, d - 1] != 0:
                        axpy(own_taps[f, d - 1], spikes[silence + t - d, p, low:high], trace)
                out = feedback[f, low:high]
                for n in range(len(out)):
                    out[n] += trace[n] * blame[n]


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def sum_compartments(factor, presentations, deaf):  # pragma: no cover (compiled)
    """Factors summed over compartments, ``[B, steps, N]``: inputs are the same for all of them.

    Zero for the ranges of neurons that hear no inputs.
    """
    steps, runs, neurons = factor.shape
    compartments = runs // presentations
    out = np.zeros((presentations, steps, neurons), factor.dtype)
    for t in range(steps):
        for p in range(runs):
            axpy(factor.dtype.type(1), factor[t, p], out[p // compartments, t])
    for r in range(len(deaf)):
        out[:, :, deaf[r, 0] : deaf[r, 1]] = 0
    return out


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def filter_back(factor, taps, out):  # pragma: no cover (compiled)
    """``out[D + t, (l, n)] = sum_d f_l(d) factor[t + d, n]``: what a spike at step t >= -D is to be blamed for."""
    (count, memory), (steps, neurons) = taps.shape, factor.shape
    out[:] = 0
    for row in range(len(out)):
        for d in range(1, memory + 1):
            t = row - memory + d
            if 0 <= t < steps:
                for f in range(count):
                    if taps[f, d - 1] != 0:
                        axpy(taps[f, d - 1], factor[t], out[row, f * neurons : (f + 1) * neurons])


@numba.njit(cache=True, nogil=True)
def filter_all_back(factor, taps, out, low, high):  # pragma: no cover (compiled)
    """:func:`filter_back` for presentations ``low .. high`` of ``[B, ..]``."""
    for b in range(low, high):
        filter_back(factor[b], taps, out[b])


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def add_input_terms(out, filtered, step, value, starts, listeners, low, high):  # pragma: no cover (compiled)
    """Add to ``out [J, L N]`` what events of inputs ``low .. high`` are to be blamed for.

    ``filtered [B, S, L N]``, and events at the same steps.
    """
    at_once = max(1, CACHE_BYTES // (out[0].size * out.itemsize))
    for begin in range(low, high, at_once):
        for b in range(len(filtered)):
            for m in range(begin, min(begin + at_once, high)):
                for event in range(starts[b, m], starts[b, m + 1]):
                    if step[event] < filtered.shape[1]:
                        _add(out[m], filtered[b, step[event]], out.dtype.type(value[event]), listeners)


@numba.njit(cache=True, nogil=True)
def list_spikes(spikes):  # pragma: no cover (compiled)
    """The neurons that spiked, for ``spikes [S, P, N]``: all of them, and where each (step, run)'s begin."""
    steps, runs, neurons = spikes.shape
    starts = np.zeros(steps * runs + 1, np.int64)
    for t in range(steps):
        for p in range(runs):
            for n in range(neurons):
                starts[t * runs + p + 1] += spikes[t, p, n] != 0
    starts = np.cumsum(starts)
    neuron = np.empty(starts[-1] + 1, np.int64)
    for t in range(steps):
        for p in range(runs):
            at = starts[t * runs + p]
            for n in range(neurons):
                neuron[at] = n
                at += spikes[t, p, n] != 0
    return neuron, starts


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def add_neuron_terms(
    out, inputs, taps, neuron, starts, factor, links, low, high
):  # pragma: no cover (compiled)
    """Add to ``out [J, L N]`` what spikes of the neurons ``low .. high`` are to be blamed for.

    ``factor [steps, P, N]``; spikes begin D steps earlier. Synapses of neurons with themselves stay zero.
    """
    (steps, runs, neurons), (count, memory) = factor.shape, taps.shape
    one = out.dtype.type(1)
    own = np.empty((steps, neurons), out.dtype)
    filtered = np.empty((memory + steps, count * neurons), out.dtype)
    for p in range(runs):
        own[:] = factor[:, p]
        filter_back(own, taps, filtered)
        # what happened at the last step is felt only later
        for row in range(memory + steps - 1):
            spiked = neuron[starts[row * runs + p] : starts[row * runs + p + 1]]
            for n in spiked[np.searchsorted(spiked, low) : np.searchsorted(spiked, high)]:
                for link in range(len(links)):
                    start, stop = links[link, 0], links[link, 1]
                    if links[link, 2] <= n < links[link, 3]:
                        axpy(one, filtered[row, start:stop], out[inputs + n, start:stop])
    for n in range(low, high):
        out[inputs + n, n::neurons] = 0
