# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""Compiled products with spikes for the cpu kernel: what inputs send, and what is added to weights afterwards.

Weights are sender by sender, ``[J, L, N]``; a sender's ``(l, n)`` in that order are its columns. Functions with ``low,
high`` do these filters only, so that threads can share the work, and what is gone through at random fits a cache.
Compiled at first use and kept on disk (:mod:`gemsnn.machine.compiled`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.kernels.cpu.elementary import add_filtered, add_scaled, axpy
from gemsnn.machine.compiled import njit


class Events(NamedTuple):
    """The inputs that are not zero in ``[B, S, M]``, in two orders.

    Attributes:
        sender: who, row by row; a row is a presentation's step, ``b * S + s``.
        size: its value.
        rows: int64 ``[B * S + 1]``, where each row begins.
        row: at which row, sender by sender.
        row_size: its value.
        senders: int64 ``[M + 1]``, where each sender begins.
    """

    sender: NDArray
    size: NDArray
    rows: NDArray
    row: NDArray
    row_size: NDArray
    senders: NDArray


@njit(nogil=True)
def find_events(indices, sizes, rows, inputs, one):  # pragma: no cover (compiled)
    """The events of compressed sparse rows, ``indices [E]``, ``sizes [E]`` and ``rows [B * S + 1]`` from 0 on.

    Their values have the type of ``one``.
    """
    total, kind = len(indices), type(one)
    sender, size, senders = np.empty(total, np.int64), np.empty(total, kind), np.zeros(inputs + 1, np.int64)
    for event in range(total):
        sender[event] = indices[event]
        size[event] = kind(sizes[event])
        senders[sender[event] + 1] += 1
    for m in range(inputs):
        senders[m + 1] += senders[m]
    at = senders[:inputs].copy()
    by_row, by_size = np.empty(total, np.int64), np.empty(total, kind)
    for row in range(len(rows) - 1):
        for event in range(rows[row], rows[row + 1]):
            m = sender[event]
            by_row[at[m]] = row
            by_size[at[m]] = size[event]
            at[m] += 1
    return Events(sender, size, rows, by_row, by_size, senders)


@njit(nogil=True)
def drive(weight, taps, events, first, listeners, out):  # pragma: no cover (compiled)
    """What inputs add to the potentials, ``out [B, C, N]``, which begins at step ``first``.

    ``out[b, c, n] = sum_d sum_l f_l(d) sum_m s[b, m, first + c - d] w[n, m, l]``: multiplied first, then filtered.
    ``weight [J, L, N]``; ``listeners [.., 2]``, ranges with all neurons that hear inputs.
    """
    (count, memory), (presentations, steps, neurons) = taps.shape, out.shape
    by_sender = weight.reshape(len(weight), -1)
    all_rows = (len(events.rows) - 1) // presentations
    where = np.empty(memory, np.int64)
    out[:] = 0
    for r in range(len(listeners)):
        start, stop = listeners[r]
        sent = np.empty((all_rows, stop - start), weight.dtype)
        for f in range(count):
            column = f * neurons + start
            for b in range(presentations):
                for s in range(max(0, first - memory), first + steps - 1):
                    sent[s] = 0
                    low, high = events.rows[b * all_rows + s], events.rows[b * all_rows + s + 1]
                    add_scaled(by_sender, column, events.sender[low:high], events.size[low:high], sent[s])
                for c in range(steps):
                    to = out[b, c, start:stop]
                    add_filtered(sent, 0, taps[f], first + c, -1, first + steps - 1, where, to)


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def weigh_errors(error, coefficient, hidden):  # pragma: no cover (compiled)
    """``A[p, tau] r[p, tau]``, ``[steps, P, N]``."""
    steps, runs, _ = error.shape
    out = np.empty_like(error)
    for t in range(steps):
        for p in range(runs):
            out[t, p, :hidden] = coefficient[0, t * runs + p] * error[t, p, :hidden]
            out[t, p, hidden:] = coefficient[1, t * runs + p] * error[t, p, hidden:]
    return out


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def small_terms(factor, spikes, own_taps, feedback, bias, low, high):  # pragma: no cover (compiled)
    """What neurons ``low .. high`` are to be blamed for themselves, into ``feedback [Lf, N]`` and ``bias [N]``.

    ``spikes [silence + steps, P, N]``.
    """
    (steps, runs, neurons), (count, memory) = factor.shape, own_taps.shape
    silence, history = len(spikes) - steps, spikes.reshape(len(spikes), -1)
    one, trace, where = factor.dtype.type(1), np.empty(high - low, factor.dtype), np.empty(memory, np.int64)
    for p in range(runs):
        for t in range(steps):
            blame = factor[t, p, low:high]
            axpy(one, blame, bias[low:high])
            for f in range(count):
                trace[:] = 0
                add_filtered(
                    history, p * neurons + low, own_taps[f], silence + t, -1, len(history), where, trace
                )
                out = feedback[f, low:high]
                for n in range(len(out)):
                    out[n] += trace[n] * blame[n]


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
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


@njit(nogil=True)
def filter_back(factor, tap, first, last, out, column):  # pragma: no cover (compiled)
    """``out[D + t, n] = sum_d f(d) factor[t + d, n]``: what a spike at step t >= -D is to be blamed for.

    For neurons ``first .. last``, into columns that begin at ``column``.
    """
    where = np.empty(len(tap), np.int64)
    for row in range(len(out)):
        to = out[row, column : column + last - first]
        to[:] = 0
        add_filtered(factor, first, tap, row - len(tap), 1, len(factor), where, to)


@njit(nogil=True)
def add_input_terms(out, shared, taps, events, stretches, low, high):  # pragma: no cover (compiled)
    """Add to ``out [J, L N]`` what events are to be blamed for, under the filters ``low .. high``.

    ``shared [B, steps, N]``; events begin D steps earlier. ``stretches [.., 2]``: columns under these filters that hold
    all neurons that hear inputs; factors of others are zero.
    """
    presentations, _, neurons = shared.shape
    all_rows = (len(events.rows) - 1) // presentations
    filtered = np.empty((presentations * all_rows, (high - low) * neurons), out.dtype)
    for f in range(low, high):
        for b in range(presentations):
            back = filtered[b * all_rows : (b + 1) * all_rows]
            filter_back(shared[b], taps[f], 0, neurons, back, (f - low) * neurons)
    for m in range(len(events.senders) - 1):
        begin, end = events.senders[m], events.senders[m + 1]
        row, size = events.row[begin:end], events.row_size[begin:end]
        for r in range(len(stretches)):
            start, stop = stretches[r]
            add_scaled(filtered, start - low * neurons, row, size, out[m, start:stop])


@njit(nogil=True)
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


@njit(nogil=True)
def add_neuron_terms(
    out, taps, neuron, starts, factor, links, stretches, low, high
):  # pragma: no cover (compiled)
    """Add to ``out [N, L N]`` what the neurons' spikes are to be blamed for, under the filters ``low .. high``.

    ``factor [steps, P, N]``; spikes begin D steps earlier. ``links [.., 4]``: receivers' first and last, senders'
    first and last; ``stretches``: the same with receivers' columns under these filters. Receivers may be counted from
    another neuron than senders are.
    """
    (steps, runs, neurons), memory = factor.shape, taps.shape[1]
    one = out.dtype.type(1)
    own = np.empty((steps, neurons), out.dtype)
    filtered = np.empty((memory + steps, len(taps) * neurons), out.dtype)
    for p in range(runs):
        own[:] = factor[:, p]
        for link in range(len(links)):
            for f in range(low, high):
                start, stop = links[link, 0], links[link, 1]
                filter_back(own, taps[f], start, stop, filtered, f * neurons + start)
        # what happened at the last step is felt only later
        for row in range(memory + steps - 1):
            spiked = neuron[starts[row * runs + p] : starts[row * runs + p + 1]]
            for stretch in range(len(stretches)):
                start, stop, first, last = stretches[stretch]
                for n in spiked[np.searchsorted(spiked, first) : np.searchsorted(spiked, last)]:
                    axpy(one, filtered[row, start:stop], out[n, start:stop])
