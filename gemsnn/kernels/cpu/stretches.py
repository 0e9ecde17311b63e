# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""Compiled products with spikes for graphs: a spike adds one stretch of memory to another for every place it reaches.

Layout: :mod:`gemsnn.kernels.cpu.patches`. Spikes of a population are bits, ``[words, n]``: bit ``r % 64`` of word
``r // 64`` is row r of the history. Work goes place by place, so that what is added to stays in the first cache, and
sender by sender, so that a row of weights is read once for all of a sender's spikes. Compiled at first use.
"""

from __future__ import annotations

import numpy as np

from gemsnn.kernels.cpu.elementary import add_four, axpy, first_one
from gemsnn.machine.compiled import njit

ONE = np.uint64(1)
WIDE = 256
"""How many senders a product at a time is for."""


@njit(nogil=True)
def mark(indices, digits, begin, first, bits):  # pragma: no cover (compiled)
    """Set bits of ``[words, n]`` from row ``first`` on: the r-th row's are ``indices[begin[r] : begin[r + 1]]``.

    Those of them whose ``digits`` are 1; where these are 0, bits stay as they are.
    """
    for r in range(len(begin) - 1):
        word, shift = bits[(first + r) // 64], np.uint64((first + r) % 64)
        for event in range(begin[r], begin[r + 1]):
            word[indices[event]] |= np.uint64(digits[event]) << shift


@njit(nogil=True)
def between(first, last):  # pragma: no cover (compiled)
    """The bits of the rows ``first .. last``, in the words from that of the first on; of no words if there are none."""
    word = first // 64
    out = np.zeros((last - 1) // 64 + 1 - word if first < last else 0, np.uint64)
    for r in range(first, last):
        out[r // 64 - word] |= ONE << np.uint64(r % 64)
    return out


@njit(nogil=True, inline="always")
def when(bits, sender, word, chosen, out):  # pragma: no cover (compiled)
    """At which of the chosen rows, in the words from ``word`` on, a sender spiked, into ``out``; returns how often."""
    found = 0
    for w in range(len(chosen)):
        left = bits[word + w, sender] & chosen[w]
        while left != 0:
            out[found] = 64 * (word + w) + first_one(left)
            found += 1
            left &= left - ONE
    return found


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def add(x, out):  # pragma: no cover (compiled)
    """``out += x`` for vectors."""
    for n in range(len(out)):
        out[n] += x[n]


@njit(nogil=True)
def add_spikes(weight, patch, channels, bits, first, last, start, out):  # pragma: no cover (compiled)
    """What spikes of the rows ``first .. last`` add to the potentials ``out [places, steps, C]`` from row ``start`` on.

    ``out[place, s + d - start] += weight[row, d - 1]`` for every spike at row s of a sender that the place hears.
    """
    (_, memory, width), (places, steps, _) = weight.shape, out.shape
    values, sums = weight.reshape(-1), out.reshape(-1)
    first, last = max(first, start - memory), min(last, start + steps - 1)
    word, chosen = first // 64, between(first, last)
    rows = np.empty(64 * len(chosen), np.int64)
    for place in range(places):
        for g in range(patch.begin[place], patch.begin[place + 1]):
            for c in range(channels):
                base = (patch.row[g] + c) * memory * width
                for i in range(when(bits, patch.sender[g] * channels + c, word, chosen, rows)):
                    s = rows[i]
                    low, high = max(0, start - s - 1), min(memory, start + steps - 1 - s)
                    at = (place * steps + s + 1 - start) * width
                    add(
                        values[base + low * width : base + high * width],
                        sums[at + low * width : at + high * width],
                    )


@njit(nogil=True)
def send(weight, back, spikes, row, start, out):  # pragma: no cover (compiled)
    """What spikes of one row of a population's history ``[places, rows, c]`` add to the potentials that hear them.

    These begin at row ``start``, as in :func:`add_spikes`.
    """
    (_, memory, width), steps = weight.shape, out.shape[1]
    values, sums = weight.reshape(-1), out.reshape(-1)
    low, high = max(0, start - row - 1), min(memory, start + steps - 1 - row)
    if high <= low:
        return
    for sender in range(len(back.begin) - 1):
        for c in range(spikes.shape[2]):
            if spikes[sender, row, c] == 0:
                continue
            for g in range(back.begin[sender], back.begin[sender + 1]):
                base = (back.row[g] + c) * memory * width
                at = (back.sender[g] * steps + row + 1 - start) * width
                add(
                    values[base + low * width : base + high * width],
                    sums[at + low * width : at + high * width],
                )


@njit(nogil=True)
def send_inputs(weight, back, channels, indices, sizes, row, start, out):  # pragma: no cover (compiled)
    """The same for the inputs ``indices`` of one row, which count ``sizes`` times."""
    (_, memory, width), steps = weight.shape, out.shape[1]
    values, sums = weight.reshape(-1), out.reshape(-1)
    low, high = max(0, start - row - 1), min(memory, start + steps - 1 - row)
    if high <= low:
        return
    for event in range(len(indices)):
        sender, c = divmod(indices[event], channels)
        size = weight.dtype.type(sizes[event])
        for g in range(back.begin[sender], back.begin[sender + 1]):
            base = (back.row[g] + c) * memory * width
            at = (back.sender[g] * steps + row + 1 - start) * width
            axpy(
                size,
                values[base + low * width : base + high * width],
                sums[at + low * width : at + high * width],
            )


@njit(nogil=True)
def add_blame(factor, pad, first, patch, channels, bits, direction):  # pragma: no cover (compiled)
    """The transpose of :func:`add_spikes`: what every weight is to be blamed for, into ``direction [rows, D, C]``.

    ``direction[row, d - 1] += factor[place, s + d]`` for every spike at row s. The ``factor [places, pad + steps + pad,
    C]`` is zero in the first and last ``pad`` rows, D or more; the steps between begin at row ``first`` of the history.
    """
    (_, memory, width), (places, rows, _) = direction.shape, factor.shape
    values, sums = factor.reshape(-1), direction.reshape(-1)
    size = memory * width
    begin = max(0, first - memory)
    word, chosen = begin // 64, between(begin, first + rows - 2 * pad - 1)
    at = np.empty(64 * len(chosen), np.int64)
    for place in range(places):
        origin = (place * rows + pad + 1 - first) * width
        for g in range(patch.begin[place], patch.begin[place + 1]):
            for c in range(channels):
                found = when(bits, patch.sender[g] * channels + c, word, chosen, at)
                if found == 0:
                    continue
                base = (patch.row[g] + c) * size
                out = sums[base : base + size]
                whole = found // 4 * 4
                for i in range(0, whole, 4):
                    p, q = origin + at[i] * width, origin + at[i + 1] * width
                    r, s = origin + at[i + 2] * width, origin + at[i + 3] * width
                    add_four(
                        values[p : p + size],
                        values[q : q + size],
                        values[r : r + size],
                        values[s : s + size],
                        out,
                    )
                for i in range(whole, found):
                    p = origin + at[i] * width
                    add(values[p : p + size], out)


@njit(nogil=True)
def add_credit(weight, patch, error, pad, spikes, score, row, first, factor):  # pragma: no cover (compiled)
    """What visible errors say of the spikes before them, times the slope, added to the senders' ``factor``.

    ``factor[j, tau] += p (1 - p) sum_d weight[row, d - 1] . error[place, tau + d]``, the one-hop signal; p is
    ``spikes - score``.

    Args:
        weight: ``[rows, D, V]`` of a projection to a visible population.
        patch: its senders.
        error: ``[places, pad + steps + pad, V]``, the visible errors times the signal, zero in the first and last rows.
        pad: how many those are, D or more.
        spikes: uint8 ``[places, rows, c]``, the senders' history.
        score: likewise, ``spikes - p``.
        row: where D steps before those of ``error`` begin in these two.
        first: where in ``factor``.
        factor: ``[places, .., c]``.
    """
    (_, memory, width), (places, rows, _) = weight.shape, error.shape
    steps, size, channels = memory + rows - 2 * pad - 1, memory * width, spikes.shape[2]
    seen, values = np.empty((steps, size), weight.dtype), weight.reshape(len(weight), size)
    for place in range(places):
        errors = error[place].reshape(-1)
        for t in range(steps):
            at = (pad - memory + t + 1) * width
            seen[t] = errors[at : at + size]
        begin, end = patch.begin[place], patch.begin[place + 1]
        while begin < end:
            stop = begin + 1  # as far as senders' places, and their rows, lie side by side, up to some
            while (
                stop < end
                and (stop - begin) * channels < WIDE
                and patch.row[stop] == patch.row[stop - 1] + channels
            ):
                stop += 1
            base, count = patch.row[begin], (stop - begin) * channels
            found = np.dot(seen, values[base : base + count].T)
            for g in range(begin, stop):
                j = patch.sender[g]
                for t in range(steps):
                    many = found[t, (g - begin) * channels : (g - begin + 1) * channels]
                    add_slopes(many, spikes[j, row + t], score[j, row + t], factor[j, first + t])
            begin = stop


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def add_slopes(effect, spikes, score, out):  # pragma: no cover (compiled)
    """``out += effect p (1 - p)`` with ``p = spikes - score``, for vectors."""
    one = effect.dtype.type(1)
    for c in range(len(out)):
        p = spikes[c] - score[c]
        out[c] += effect[c] * (p * (one - p))


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def to_rows(weight, taps, row, out):  # pragma: no cover (compiled)
    """``out[row[m], d, n] = sum_l weight[n, m, l] taps[l, d]``."""
    (count, memory), receivers = taps.shape, len(weight)
    one = np.empty((receivers, memory), weight.dtype)
    for m in range(len(row)):
        for n in range(receivers):
            some, to = weight[n, m], one[n]
            for d in range(memory):
                to[d] = some[0] * taps[0, d]
            for f in range(1, count):
                for d in range(memory):
                    to[d] += some[f] * taps[f, d]
        to = out[row[m]]
        for d in range(memory):
            for n in range(receivers):
                to[d, n] = one[n, d]


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def from_rows(rows, taps, row, out):  # pragma: no cover (compiled)
    """``out[n, m, l] = sum_d rows[row[m], d, n] taps[l, d]``, the transpose of :func:`to_rows`."""
    (count, memory), receivers = taps.shape, len(out)
    one = np.empty((count, receivers), out.dtype)
    for m in range(len(row)):
        some = rows[row[m]]
        for f in range(count):
            to = one[f]
            to[:] = 0
            for d in range(memory):
                for n in range(receivers):
                    to[n] += taps[f, d] * some[d, n]
        for n in range(receivers):
            for f in range(count):
                out[n, m, f] = one[f, n]
