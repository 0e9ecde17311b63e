# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
"""The compiled steps of the cpu kernel.

Names as in :mod:`gemsnn.kernels.cpu`: runs p are presentations times compartments (``p = b * K + k``), weights
are ``[J, L, N]``, histories are time first. Compiled at first use, then read from the disk cache beside this file.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np


class Rule(NamedTuple):
    """A rule in numbers.

    Attributes:
        kappa: decay of the log-weights.
        gamma: decay of the eligibilities.
        fresh_evidence: factor of new evidence.
        fresh_error: factor of new scores.
        cv: 1 subtracts ``1 / K`` from the hidden neurons' signal, 0 does not.
        every: steps between updates.
        eta: step size of what is applied within the segment.
        online: updates apply and are felt within the segment; else they only add up.
        window: steps after which an eligibility is below the resolution.
        batch: presentations that an update averages over.
    """

    kappa: float
    gamma: float
    fresh_evidence: float
    fresh_error: float
    cv: float
    every: int
    eta: float
    online: bool
    window: int
    batch: int


@numba.njit(cache=True)
def _log_sigmoid(x):  # pragma: no cover (compiled)
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


@numba.njit(cache=True)
def _sigmoid(x):  # pragma: no cover (compiled)
    e = math.exp(-abs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def advance(
    weight, inputs, taps, own_taps, feedback, bias, drive, uniform, target, clamp, length, groups, own, hidden, silence,
    start, stop, spikes, potential, error, learns, rule, read, coefficient, moved_feedback, moved_bias, input_gram,
    log_weights, log_likelihood, bias_trace, feedback_trace, diagonal_trace,
):  # fmt: skip  # pragma: no cover (compiled)
    """Run the steps ``start .. stop`` under ``weight`` and, where the rule is online, its pending terms."""
    dtype = weight.dtype.type
    (count, memory), own_count = taps.shape, own_taps.shape[0]
    presentations, compartments = log_weights.shape
    runs, neurons = spikes.shape[1:]
    total = len(target)
    sent = np.zeros((memory, runs, count, neurons), weight.dtype)
    own_trace = np.zeros((runs, own_count, neurons), weight.dtype)
    self_trace = np.zeros((runs, count, neurons), weight.dtype)
    diagonal = np.zeros((count, neurons), weight.dtype)
    pending = np.zeros((stop, runs, 2), weight.dtype)
    new_bias, new_feedback = np.zeros(neurons, weight.dtype), np.zeros((own_count, neurons), weight.dtype)
    new_diagonal = np.zeros((count, neurons), weight.dtype)
    own_weight = np.ascontiguousarray(feedback.T)
    feels_itself = own.any()
    evidence = np.zeros(runs, weight.dtype)
    signal = np.zeros((runs, 2), weight.dtype)
    first = max(0, start - rule.window)
    rows = silence + stop - first
    eyes = runs if rule.online else 0
    # spike-to-spike products of the last steps with all of the window, per distinct set of senders
    sets = np.zeros((len(groups), 2), np.int64)
    set_of = np.zeros(len(groups), np.int64)
    known = 0
    for g in range(len(groups)):
        found = -1
        for s in range(known):
            if sets[s, 0] == groups[g, 3] and sets[s, 1] == groups[g, 4]:
                found = s
        if found < 0:
            found = known
            sets[known, 0], sets[known, 1] = groups[g, 3], groups[g, 4]
            known += 1
        set_of[g] = found
    wide = np.zeros(known + 1, np.int64)
    for s in range(known):
        wide[s + 1] = wide[s] + sets[s, 1] - sets[s, 0]
    heard = np.zeros(rows * eyes * wide[known], weight.dtype)
    if rule.online:
        for s in range(known):
            part = heard[rows * runs * wide[s] : rows * runs * wide[s + 1]]
            part = part.reshape((rows * runs, wide[s + 1] - wide[s]))
            for row in range(silence + start - first):
                for p in range(runs):
                    part[row * runs + p] = spikes[first + row, p, sets[s, 0] : sets[s, 1]]
    products = np.zeros((known, memory, rows, eyes * eyes), weight.dtype)
    grams = np.zeros((known, stop - first if rule.online else 0, eyes * eyes), weight.dtype)
    weighted = np.zeros(((stop - first) * eyes, eyes), weight.dtype)
    lag_products = np.zeros((memory, memory), weight.dtype)
    for d in range(memory):
        for e in range(memory):
            for f in range(count):
                lag_products[d, e] += taps[f, d] * taps[f, e]
    errors = np.zeros((stop - first) * eyes * neurons, weight.dtype)
    if rule.online:
        for g in range(len(groups)):
            low, high = groups[g, 0], groups[g, 1]
            size = high - low
            part = errors[(stop - first) * eyes * low : (stop - first) * eyes * high].reshape(
                (stop - first, eyes, size)
            )
            for tau in range(first, start):
                for p in range(runs):
                    part[tau - first, p] = error[tau, p, low:high]

    for t in range(max(0, start - memory), stop):
        # 1. what the last step's spikes send on, for later steps to filter
        if t > 0:
            slot, before = (t - 1) % memory, silence + t - 1
            for p in range(runs):
                _send(weight, inputs, spikes[before, p], sent[slot, p])
            if rule.online and t - 1 >= first - memory:
                for s in range(known):
                    low, high = sets[s, 0], sets[s, 1]
                    if high > low:
                        part = heard[rows * runs * wide[s] : rows * runs * wide[s + 1]]
                        part = part.reshape((rows * runs, high - low))
                        _products(spikes, first, before, low, high, part, products[s], slot, memory)
        if t < start:
            continue

        # 2. potentials under the segment's weights
        for p in range(runs):
            potential[t, p] = drive[t - start, p // compartments] + bias
            for d in range(1, min(memory, t) + 1):
                for f in range(count):
                    scale = taps[f, d - 1]
                    if scale != 0:
                        for n in range(neurons):
                            potential[t, p, n] += scale * sent[(t - d) % memory, p, f, n]
            if feels_itself:
                _trace(own_taps, spikes, silence + t, p, own_trace)
                for f in range(own_count):
                    for n in range(neurons):
                        potential[t, p, n] += own_weight[f, n] * own_trace[p, f, n]
            if rule.online:
                _trace(taps, spikes, silence + t, p, self_trace)

        # 3. and the pending terms
        if rule.online and t > first:
            for s in range(known):
                if sets[s, 1] > sets[s, 0]:
                    _filter_products(products[s], lag_products, grams[s], t, first, silence, memory)
            for g in range(len(groups)):
                low, high = groups[g, 0], groups[g, 1]
                kind = int(low >= hidden)
                s = set_of[g]
                neurons_too = sets[s, 1] > sets[s, 0]
                span = (t - first) * runs
                for tau in range(t - first):
                    for other in range(runs):
                        scale = coefficient[first + tau, other, kind]
                        for p in range(runs):
                            gram = grams[s, tau, other * runs + p] if neurons_too else dtype(0)
                            if groups[g, 2]:
                                gram += input_gram[first + tau, other // compartments, t, p // compartments]
                            weighted[tau * runs + other, p] = scale * gram
                size = high - low
                block = errors[(stop - first) * runs * low : (stop - first) * runs * high]
                felt = np.dot(weighted[:span].T, block[: span * size].reshape((span, size)))
                for p in range(runs):
                    for n in range(size):
                        potential[t, p, low + n] += felt[p, n]
                if sets[s, 0] <= low < sets[s, 1]:
                    for p in range(runs):
                        for f in range(count):
                            for n in range(low, high):
                                potential[t, p, n] -= diagonal[f, n] * self_trace[p, f, n]

        # 4. spikes, errors, evidence
        for p in range(runs):
            b = p // compartments
            total_log = dtype(0)
            for n in range(neurons):
                u = potential[t, p, n]
                probability = dtype(_sigmoid(u))
                spike = dtype(1) if uniform[b, t - start, p % compartments, n] < probability else dtype(0)
                if clamp and n >= hidden:
                    spike = target[t, b, n - hidden]
                if t >= length[b]:
                    continue
                spikes[silence + t, p, n] = spike
                error[t, p, n] = spike - probability
                if n >= hidden:
                    total_log += dtype(_log_sigmoid((2 * spike - 1) * u))
            evidence[p] = total_log
        if not learns:
            continue
        if rule.online:
            for g in range(len(groups)):
                low, high = groups[g, 0], groups[g, 1]
                size, span = high - low, (stop - first) * runs
                block = errors[span * low : span * high]
                for p in range(runs):
                    at = ((t - first) * runs + p) * size
                    for n in range(size):
                        block[at + n] = error[t, p, low + n]

        # 5. eligibilities of what is small
        fade, fresh = dtype(rule.gamma), dtype(rule.fresh_error)
        for p in range(runs):
            if t < length[p // compartments]:
                for n in range(neurons):
                    bias_trace[p, n] = fade * bias_trace[p, n] + fresh * error[t, p, n]
                for f in range(own_count):
                    for n in range(neurons):
                        feedback_trace[p, f, n] = (
                            fade * feedback_trace[p, f, n] + fresh * error[t, p, n] * own_trace[p, f, n]
                        )
                if rule.online:
                    for f in range(count):
                        for n in range(neurons):
                            diagonal_trace[p, f, n] = (
                                fade * diagonal_trace[p, f, n] + fresh * error[t, p, n] * self_trace[p, f, n]
                            )

        # 6. learning signals
        for b in range(presentations):
            if t >= length[b]:
                for k in range(compartments):
                    signal[b * compartments + k] = 0
                continue
            top = dtype(-np.inf)
            for k in range(compartments):
                new = evidence[b * compartments + k]
                log_likelihood[b, k] += new
                log_weights[b, k] = dtype(rule.kappa) * log_weights[b, k] + dtype(rule.fresh_evidence) * new
                top = max(top, log_weights[b, k])
            whole = dtype(0)
            for k in range(compartments):
                whole += math.exp(log_weights[b, k] - top)
            for k in range(compartments):
                share = dtype(math.exp(log_weights[b, k] - top) / whole) if read[b, t] else dtype(0)
                less = dtype(rule.cv / compartments) if read[b, t] else dtype(0)
                signal[b * compartments + k, 0] = (share - less) / rule.batch
                signal[b * compartments + k, 1] = share / rule.batch

        # 7. readings
        oldest = max(first, t - rule.window)
        for tau in range(oldest, t + 1):
            scale = dtype(rule.fresh_error * rule.gamma ** (t - tau))
            for p in range(runs):
                pending[tau, p, 0] += scale * signal[p, 0]
                pending[tau, p, 1] += scale * signal[p, 1]
        for p in range(runs):
            for kind in range(2):
                low, high = (0, hidden) if kind == 0 else (hidden, neurons)
                scale = signal[p, kind]
                for n in range(low, high):
                    new_bias[n] += scale * bias_trace[p, n]
                for f in range(own_count):
                    for n in range(low, high):
                        new_feedback[f, n] += scale * feedback_trace[p, f, n]
                if rule.online:
                    for f in range(count):
                        for n in range(low, high):
                            new_diagonal[f, n] += scale * diagonal_trace[p, f, n]

        # 8. updates
        if (t + 1) % rule.every == 0 or t + 1 == total:
            eta = dtype(rule.eta)
            for tau in range(oldest if rule.every == 1 else first, t + 1):
                for p in range(runs):
                    for kind in range(2):
                        coefficient[tau, p, kind] += eta * pending[tau, p, kind]
                        pending[tau, p, kind] = 0
            for n in range(neurons):
                if rule.online:
                    bias[n] += eta * new_bias[n]
                else:
                    moved_bias[n] += new_bias[n]
                new_bias[n] = 0
                if own[n]:
                    for f in range(own_count):
                        if rule.online:
                            own_weight[f, n] += eta * new_feedback[f, n]
                            feedback[n, f] = own_weight[f, n]
                        else:
                            moved_feedback[n, f] += new_feedback[f, n]
            new_feedback[:] = 0
            diagonal += eta * new_diagonal
            new_diagonal[:] = 0


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _trace(taps, spikes, now, p, out):  # pragma: no cover (compiled)
    """Neurons' traces of their own spikes before row ``now``, into ``out[p]``."""
    count, memory = taps.shape
    out[p] = 0
    for d in range(1, memory + 1):
        for f in range(count):
            scale = taps[f, d - 1]
            if scale != 0:
                for n in range(out.shape[2]):
                    out[p, f, n] += scale * spikes[now - d, p, n]


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _send(weight, inputs, spikes, out):  # pragma: no cover (compiled)
    """The weights of all neurons that spiked, summed: ``out[l, n] = sum_j s[j] w[n, j, l]``."""
    count, neurons = out.shape
    active = np.flatnonzero(spikes)
    out[:] = 0
    whole = len(active) // 4 * 4
    # four senders at a time: the sum is loaded and stored once for all of them
    for i in range(0, whole, 4):
        a, b = inputs + active[i], inputs + active[i + 1]
        c, d = inputs + active[i + 2], inputs + active[i + 3]
        for f in range(count):
            for n in range(neurons):
                out[f, n] += (weight[a, f, n] + weight[b, f, n]) + (weight[c, f, n] + weight[d, f, n])
    for i in range(whole, len(active)):
        a = inputs + active[i]
        for f in range(count):
            for n in range(neurons):
                out[f, n] += weight[a, f, n]


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _products(spikes, base, now, low, high, heard, products, slot, memory):  # pragma: no cover (compiled)
    """Inner products of the spikes at row ``now`` with those of all rows of the window, both ways round."""
    runs = spikes.shape[1]
    span = now - base + 1
    for p in range(runs):
        heard[(span - 1) * runs + p] = spikes[now, p, low:high]
    fresh = np.dot(heard[: span * runs], heard[(span - 1) * runs : span * runs].T)
    for row in range(span):
        for other in range(runs):
            for p in range(runs):
                products[slot, row, other * runs + p] = fresh[row * runs + other, p]
    for back in range(1, min(memory, span)):
        row = span - 1 - back
        for other in range(runs):
            for p in range(runs):
                products[(slot - back) % memory, span - 1, other * runs + p] = fresh[row * runs + p, other]


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _filter_products(products, lag_products, gram, t, first, silence, memory):  # pragma: no cover (compiled)
    """``<phi[tau, p'], phi[t, p]>`` for all tau of the window, from the products of spikes."""
    pairs = products.shape[2]
    reach = min(memory, t)
    whole = reach // 4 * 4
    for tau in range(first, t):
        total = gram[tau - first]
        total[:] = 0
        for d in range(1, memory + 1):
            row = silence + tau - d - first
            # four columns at a time: the sum is loaded and stored once for all of them
            for e in range(1, whole + 1, 4):
                a, b = products[(t - e) % memory, row], products[(t - e - 1) % memory, row]
                c, f = products[(t - e - 2) % memory, row], products[(t - e - 3) % memory, row]
                of_a, of_b = lag_products[d - 1, e - 1], lag_products[d - 1, e]
                of_c, of_f = lag_products[d - 1, e + 1], lag_products[d - 1, e + 2]
                if of_a != 0 or of_b != 0 or of_c != 0 or of_f != 0:
                    for pair in range(pairs):
                        total[pair] += (of_a * a[pair] + of_b * b[pair]) + (of_c * c[pair] + of_f * f[pair])
            for e in range(whole + 1, reach + 1):
                scale = lag_products[d - 1, e - 1]
                if scale != 0:
                    a = products[(t - e) % memory, row]
                    for pair in range(pairs):
                        total[pair] += scale * a[pair]
