# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""The compiled steps of the cpu kernel.

Runs p are presentations times compartments (``p = b * K + k``), weights are ``[J, L, N]``, histories are time first.
A step is :func:`run`, which may be split between threads by runs, then :func:`combine`, where the compartments
meet. Compiled at first use and kept on disk (:mod:`gemsnn.machine.compiled`).
"""

from __future__ import annotations

import numpy as np

from gemsnn import rng
from gemsnn.kernels.cpu import barrier, elementary, pending, signals
from gemsnn.kernels.cpu.pending import PendingTerms
from gemsnn.kernels.cpu.work import Given, Past, Scratch, Wiring, Work
from gemsnn.machine.compiled import njit

NARROW = 256
"""Weights of a sender that are worked on at once, filters side by side."""


@njit(nogil=True)
def advance(work: Work, given: Given, steps, stale, ranges):  # pragma: no cover (compiled)
    """All steps of a block, one after the other; ``stale`` where the weights have changed since the last one.

    ``ranges``: see :func:`run`; here of all runs.
    """
    if stale:
        resume(work, given.start, 0, len(work.scratch.spiked))
    for t in range(given.start, given.start + steps):
        run(work, given, t, ranges)
        if work.rule.learns:
            combine(work, given, t)
    if work.rule.learns and not work.rule.online and work.rule.signal != signals.ASKED:
        _credit(work, given, steps)


@njit(nogil=True)
def advance_half(work: Work, given: Given, steps, stale, ranges, arrived):  # pragma: no cover (compiled)
    """The same, by two threads at once: here ``ranges`` is this one's. ``arrived``: int64 ``[1]``, zero."""
    low, high = ranges[0]
    if stale:
        resume(work, given.start, low, high)
    for c in range(steps):
        run(work, given, given.start + c, ranges)
        barrier.wait(arrived, 4 * c + 2)
        if low == 0 and work.rule.learns:
            combine(work, given, given.start + c)
        barrier.wait(arrived, 4 * c + 4)
    if low == 0 and work.rule.learns and not work.rule.online and work.rule.signal != signals.ASKED:
        _credit(work, given, steps)


@njit(nogil=True)
def learn(work: Work, given: Given, steps):  # pragma: no cover (compiled)
    """What is left of a block of steps once the signals that were asked for stand in the scratch."""
    if work.rule.one_hop:
        for t in range(given.start, given.start + steps):
            signal = work.scratch.signal[t]
            for p in range(len(work.scratch.spiked)):
                if signal[1, p] != 0:
                    _reach(work, t, p, signal[1, p])
    _credit(work, given, steps)


@njit(nogil=True)
def resume(work: Work, start, low, high):  # pragma: no cover (compiled)
    """Send again, under the weights of now, what the last steps' spikes still have to say."""
    memory, silence = work.wiring.taps.shape[1], len(work.past.spikes) - len(work.past.error)
    work.scratch.coming[:, low:high] = 0
    for t in range(start - memory, start):
        for p in range(low, high):
            _listen(work.past, work.scratch, silence + t, p)
        if t < start - 1:
            _send(work, silence + t, silence + start, low, high)
            if work.rule.online:
                pending.multiply(work.pending, len(work.scratch.spiked), memory + t, low, high)


@njit(nogil=True)
def run(work: Work, given: Given, t, ranges):  # pragma: no cover (compiled)
    """Step t of some runs: potentials, spikes, errors, evidence, eligibilities of what is small.

    ``ranges [.., 2]``: the runs, one range after the other; those of a range share a product, whose last digits
    depend on how many they are.
    """
    low, high = ranges[0, 0], ranges[-1, 1]
    wiring, past, scratch, rule = work.wiring, work.past, work.scratch, work.rule
    runs, compartments = len(scratch.spiked), past.log_weights.shape[1]
    now = len(past.spikes) - len(past.error) + t
    memory = wiring.taps.shape[1]
    _send(work, now - 1, now, low, high)
    potential = scratch.potential[t % len(scratch.potential)]
    where = np.empty(len(past.spikes) - len(past.error), np.int64)
    for p in range(low, high):
        _rest(work, given.drive[p // compartments, t - given.start], now, p, where, potential[p])
    if rule.online:
        pending.multiply(work.pending, runs, memory + t - 1, low, high)
        input_gram = given.input_gram[t - given.start]
        pending.feel(
            work.pending, wiring.groups, past.coefficient, input_gram, compartments, t, ranges, potential
        )
        for p in range(low, high):
            _without_itself(work, p, potential[p])
    for p in range(low, high):
        _fire(work, given, t, p, potential[p])
        _listen(work.past, work.scratch, now, p)
        past.fired[p] += np.searchsorted(scratch.active[p, : scratch.spiked[p]], wiring.hidden)
        if rule.online:
            column = (memory + t) * runs + p
            pending.note(work.pending.bits, column, scratch.active[p, : scratch.spiked[p]])
            pending.keep_errors(work.pending, wiring.groups, t, p, runs, len(past.error), past.error[t, p])
        if rule.online and given.alive[t - given.start, p // compartments]:
            _blame(work, t, p)


@njit(nogil=True)
def recall(
    wiring: Wiring, past: Past, scratch: Scratch, terms: PendingTerms, steps
):  # pragma: no cover (compiled)
    """Fill the scratch of the pending terms from what the histories hold of the first steps."""
    runs, memory = len(scratch.spiked), wiring.taps.shape[1]
    silence = len(past.spikes) - len(past.error)
    for t in range(-memory, steps):
        for p in range(runs):
            _listen(past, scratch, silence + t, p)
            column = (memory + t) * runs + p
            pending.note(terms.bits, column, scratch.active[p, : scratch.spiked[p]])
            if t >= 0:
                pending.keep_errors(terms, wiring.groups, t, p, runs, len(past.error), past.error[t, p])


@njit(nogil=True)
def _listen(past, scratch, row, p):  # pragma: no cover (compiled)
    """List the neurons of run p that spiked in a row."""
    spikes, active = past.spikes[row, p], scratch.active[p]
    found = 0
    for n in range(len(spikes)):
        active[found] = n
        found += spikes[n] != 0
    scratch.spiked[p] = found


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _send(work, row, now, low, high):  # pragma: no cover (compiled)
    """What the spikes listed last, of this row, will add to the potentials from row ``now`` on.

    ``coming[row + d, p, n] += sum_l f_l(d) sum_j s[p, j] w[n, j, l]``.
    """
    links, taps, weight = work.wiring.links, work.wiring.taps, work.sending
    one, (count, memory), (senders, _, width) = weight.dtype.type(1), taps.shape, weight.shape
    flat = weight.reshape(senders, -1)
    for link in range(len(links)):
        start, stop, base = links[link, 0], links[link, 1], links[0, 0]
        # filter by filter: so much of the weights stays in the second cache while all runs use it
        at_once = count if stop - start == width and count * width <= NARROW else 1
        sent = np.empty((at_once, stop - start), weight.dtype)
        total = sent.reshape(-1)
        for first in range(0, count, at_once):
            column = first * width + start - work.origin
            end = column + len(total)
            for p in range(low, high):
                heard = work.scratch.active[p, : work.scratch.spiked[p]]
                heard = heard[np.searchsorted(heard, links[link, 2]) : np.searchsorted(heard, links[link, 3])]
                total[:] = 0
                whole = len(heard) // 4 * 4
                for i in range(0, whole, 4):
                    elementary.add_four(
                        flat[heard[i], column:end], flat[heard[i + 1], column:end],
                        flat[heard[i + 2], column:end], flat[heard[i + 3], column:end], total,
                    )  # fmt: skip
                for i in range(whole, len(heard)):
                    elementary.axpy(one, flat[heard[i], column:end], total)
                for f in range(at_once):
                    for d in range(max(1, now - row), memory + 1):
                        if taps[first + f, d - 1] != 0:
                            out = work.scratch.coming[(row + d) % memory, p, start - base : stop - base]
                            elementary.axpy(taps[first + f, d - 1], sent[f], out)


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _rest(work, drive, now, p, where, potential):  # pragma: no cover (compiled)
    """The potentials ``[N]`` of run p under the segment's weights, and its neurons' traces of themselves."""
    wiring, scratch, small = work.wiring, work.scratch, work.small
    for n in range(len(potential)):
        potential[n] = drive[n] + small.bias[n]
    if len(wiring.links) > 0:
        coming, base = scratch.coming[now % wiring.taps.shape[1], p], wiring.links[0, 0]
        elementary.axpy(coming.dtype.type(1), coming, potential[base : base + len(coming)])
        coming[:] = 0
    if wiring.own.any():
        _trace(wiring.own_taps, work.past.spikes, now, p, where, scratch.own_trace)
        for f in range(len(small.feedback)):
            for n in range(len(potential)):
                potential[n] += small.feedback[f, n] * scratch.own_trace[p, f, n]
    if work.rule.online:
        _trace(wiring.taps, work.past.spikes, now, p, where, scratch.self_trace)


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _trace(taps, spikes, now, p, where, out):  # pragma: no cover (compiled)
    """Neurons' traces of their own spikes before row ``now``, into ``out[p]``."""
    history = spikes.reshape(len(spikes), -1)
    out[p] = 0
    for f in range(len(taps)):
        elementary.add_filtered(history, p * out.shape[2], taps[f], now, -1, now, where, out[p, f])


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _without_itself(work, p, potential):  # pragma: no cover (compiled)
    """Take out what the pending terms hold for synapses of neurons with themselves, which do not exist."""
    links = work.wiring.links
    for link in range(len(links)):
        low, high = max(links[link, 0], links[link, 2]), min(links[link, 1], links[link, 3])
        if low < high:
            out = potential[low:high]
            for f in range(len(work.pending.diagonal)):
                diagonal, trace = work.pending.diagonal[f, low:high], work.scratch.self_trace[p, f, low:high]
                for n in range(len(out)):
                    out[n] -= diagonal[n] * trace[n]


@njit(nogil=True)
def _fire(work, given, t, p, potential):  # pragma: no cover (compiled)
    """Spikes, errors and evidence of run p."""
    past, hidden = work.past, work.wiring.hidden
    compartments = past.log_weights.shape[1]
    b, c = p // compartments, t - given.start
    spikes, error = past.spikes[len(past.spikes) - len(past.error) + t, p], past.error[t, p]
    work.scratch.evidence[p] = 0
    if not given.alive[c, b]:
        spikes[:] = 0
        error[:] = 0
        return
    uniform = work.scratch.uniform[p]
    step, compartment = np.uint64(given.clock + t), np.uint64(given.first + p % compartments)
    rng.fill_row(uniform, given.address[b], step, compartment, given.key[0], given.key[1])
    silent, circuits = 0.0, work.wiring.circuits
    if len(circuits) > 0:
        elementary.sigmoid(potential[:hidden], error[:hidden])
        for i in range(len(circuits)):
            start, stop = circuits[i]
            silent += elementary.softmax(potential[start:stop], error[start:stop])
            choose(uniform[start], error[start:stop], spikes[start:stop])
    else:
        elementary.sigmoid(potential, error)
        for n in range(hidden, len(spikes)):
            spikes[n] = 1 if uniform[n] < error[n] else 0
    for n in range(hidden):
        spikes[n] = 1 if uniform[n] < error[n] else 0
    if given.observed[c, b]:
        total = 0.0
        spikes[hidden:] = given.target[c, b]
        if len(circuits) > 0:
            total = silent
            for n in range(hidden, len(spikes)):
                total += spikes[n] * potential[n]
        else:
            total = elementary.log_bernoulli(spikes[hidden:], potential[hidden:])
        work.scratch.evidence[p] = total
    for n in range(len(spikes)):
        error[n] = spikes[n] - error[n]
    if not given.observed[c, b]:
        error[hidden:] = 0


@njit(nogil=True)
def choose(uniform, probability, spikes):  # pragma: no cover (compiled)
    """Spikes of a circuit: the first neuron i with ``uniform < p_1 + .. + p_i``, if any."""
    reached = 0.0
    for n in range(len(spikes)):
        spikes[n] = 1 if reached <= uniform < reached + probability[n] else 0
        reached += probability[n]


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _blame(work, t, p):  # pragma: no cover (compiled)
    """Advance the eligibilities of what is small, and of the diagonal."""
    dtype = work.weight.dtype.type
    past, scratch, error = work.past, work.scratch, work.past.error[t, p]
    fade, fresh = dtype(work.rule.gamma), dtype(work.rule.fresh_error)
    for n in range(len(error)):
        past.bias[p, n] = fade * past.bias[p, n] + fresh * error[n]
    for f in range(past.feedback.shape[1]):
        for n in range(len(error)):
            past.feedback[p, f, n] = (
                fade * past.feedback[p, f, n] + fresh * error[n] * scratch.own_trace[p, f, n]
            )
    for f in range(past.diagonal.shape[1]):
        for n in range(len(error)):
            past.diagonal[p, f, n] = (
                fade * past.diagonal[p, f, n] + fresh * error[n] * scratch.self_trace[p, f, n]
            )


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def combine(work: Work, given: Given, t):  # pragma: no cover (compiled)
    """The end of step t: learning signals, what is read with them online, and perhaps an update."""
    rule, past, scratch = work.rule, work.past, work.scratch
    runs, signal = len(scratch.spiked), scratch.signal[t % len(scratch.signal)]
    _signals(work, given, t - given.start, signal)
    if rule.one_hop:
        for p in range(runs):
            if signal[1, p] != 0:
                _reach(work, t, p, signal[1, p])
    if rule.online:
        oldest = max(0, t - rule.window)
        for tau in range(oldest, t + 1):
            scale = scratch.fade[t - tau]
            for kind in range(2):
                elementary.axpy(scale, signal[kind], past.unread[kind, tau * runs : (tau + 1) * runs])
        for p in range(runs):
            _collect(work, p, signal)
        if given.updates[t - given.start]:
            _update(work, 0 if rule.every > 1 else oldest, t)


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _credit(work, given, steps):  # pragma: no cover (compiled)
    """What all steps of a block have read of every step's eligibility, and perhaps the update at its end.

    The direction read at t holds ``gamma^(t - tau)`` of step tau, so with signals c a step is credited with
    ``C[tau] = c[tau] + gamma C[tau + 1]``.
    """
    rule, past, scratch = work.rule, work.past, work.scratch
    runs, start = len(scratch.spiked), given.start
    gamma, fresh = work.weight.dtype.type(rule.gamma), work.weight.dtype.type(rule.fresh_error)
    for kind in range(2):
        credit = np.zeros(runs, past.unread.dtype)
        for t in range(start + steps - 1, start - 1, -1):
            signal = scratch.signal[t % len(scratch.signal), kind]
            for p in range(runs):
                credit[p] = signal[p] + gamma * credit[p]
            elementary.axpy(fresh, credit, past.unread[kind, t * runs : (t + 1) * runs])
        for tau in range(max(0, start - rule.window), start):
            elementary.axpy(
                scratch.fade[start - tau], credit, past.unread[kind, tau * runs : (tau + 1) * runs]
            )
    if given.updates[steps - 1]:
        _update(work, 0, start + steps - 1)


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _reach(work, t, p, signal):  # pragma: no cover (compiled)
    """What the visible errors of step t say of run p's hidden spikes before it."""
    past, wiring, back = work.past, work.wiring, work.scratch.back
    hidden, silence = wiring.hidden, len(past.spikes) - len(past.error)
    count, memory = wiring.taps.shape
    back[:] = 0
    for i in range(len(work.outgoing)):
        elementary.axpy(past.error[t, p, hidden + i], work.outgoing[i].reshape(-1), back.reshape(-1))
    effect = np.empty(hidden, back.dtype)
    for d in range(1, min(memory, t) + 1):
        effect[:] = 0
        for f in range(count):
            if wiring.taps[f, d - 1] != 0:
                elementary.axpy(wiring.taps[f, d - 1], back[f], effect)
        spikes, error = past.spikes[silence + t - d, p], past.error[t - d, p]
        out = past.reach[t - d, p]
        for j in range(hidden):
            probability = spikes[j] - error[j]
            out[j] += signal * effect[j] * probability * (1 - probability)


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _collect(work, p, signal):  # pragma: no cover (compiled)
    """Read run p's eligibilities of what is small, and of the diagonal."""
    past, scratch, hidden = work.past, work.scratch, work.wiring.hidden
    for kind in range(2):
        low, high = (0, hidden) if kind == 0 else (hidden, past.error.shape[2])
        scale = signal[kind, p]
        if scale != 0:
            elementary.axpy(scale, past.bias[p, low:high], scratch.direction.bias[low:high])
            for f in range(past.feedback.shape[1]):
                elementary.axpy(scale, past.feedback[p, f, low:high], scratch.direction.feedback[f, low:high])
            for f in range(past.diagonal.shape[1]):
                elementary.axpy(scale, past.diagonal[p, f, low:high], scratch.diagonal[f, low:high])


@njit(nogil=True)
def _signals(work, given, c, signal):  # pragma: no cover (compiled)
    """Log-weights and the learning signals ``[2, P]`` of hidden and visible neurons."""
    rule, past, scratch = work.rule, work.past, work.scratch
    (presentations, compartments), dtype = past.log_weights.shape, work.weight.dtype.type
    signal[:] = 0
    for b in range(presentations):
        if not given.alive[c, b]:
            continue
        low, high = b * compartments, (b + 1) * compartments
        for k in range(compartments):
            new = scratch.evidence[low + k]
            past.log_likelihood[b, k] += new
            past.log_weights[b, k] = (
                dtype(rule.kappa) * past.log_weights[b, k] + dtype(rule.fresh_evidence) * new
            )
        if given.read[c, b] and rule.signal != signals.ASKED:
            hidden, visible = signal[0, low:high], signal[1, low:high]
            signals.fill(rule.signal, past.log_weights[b], hidden, visible)
            hidden /= rule.batch
            visible /= rule.batch
    if rule.signal == signals.ASKED:
        scratch.asked[given.start + c] = past.log_weights


@njit(nogil=True)
def _update(work, oldest, t):  # pragma: no cover (compiled)
    """Apply what was read since the last update; where weights rest, to the coefficients only."""
    past, scratch = work.past, work.scratch
    runs = len(scratch.spiked)
    eta = work.weight.dtype.type(work.rule.eta)
    for kind in range(2):
        unread = past.unread[kind, oldest * runs : (t + 1) * runs]
        elementary.axpy(eta, unread, past.coefficient[kind, oldest * runs : (t + 1) * runs])
        unread[:] = 0
    if not work.rule.online:
        return
    small, direction = work.small, scratch.direction
    for n in range(len(small.bias)):
        small.bias[n] += eta * direction.bias[n]
        if work.wiring.own[n]:
            for f in range(len(small.feedback)):
                small.feedback[f, n] += eta * direction.feedback[f, n]
    direction.bias[:] = 0
    direction.feedback[:] = 0
    work.pending.diagonal[:] += eta * scratch.diagonal
    scratch.diagonal[:] = 0
