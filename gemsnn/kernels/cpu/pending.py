# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""Compiled products with weights that have moved, for the cpu kernel: pending terms felt through inner products.

``(W_t - W) phi[t, p] = sum_{tau, p'} A_t[tau, p'] <phi[tau, p'], phi[t, p]> r[tau, p']``: inner products of traces
are those of spikes, filtered twice, and spikes are bits. Names and shapes as in :class:`PendingTerms`. All functions
serve a range of runs, so that several threads can share a step. Compiled at first use.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.kernels.cpu.elementary import axpy, count_ones
from gemsnn.machine.compiled import njit

TILE = 2048
"""Columns filtered at a time, so that they stay in the fastest cache."""


class PendingTerms(NamedTuple):
    """Scratch of the pending terms. Rows are steps, beginning ``memory`` steps before step 0; ``row = memory + t``.

    Attributes:
        bits: uint64 ``[N / 64, rows * P]``, who spiked.
        ears: uint64 ``[E, N / 64]``, the neurons that each kind of listener hears.
        hears_inputs: bool ``[E]``, whether it hears the inputs too.
        products: uint16 ``[E, memory, P, rows * P]``: of the spikes of run p at one of the last steps
            (``row % memory``) with those of every run at every row, as far as they are heard.
        lags: ``sum_l f_l(d) f_l(e)``, and zeros up to multiples of four.
        quarters: ``[2, 4, ..]``, scratch of the filter for each of two ranges of runs.
        from_inputs: ``[2, steps * P]``, likewise the inputs' part of the inner products.
        gram: ``[P, steps * P]``, inner products of the traces of this step's runs with all earlier ones.
        weighted: ``[P * steps * P]``, the same times A; every range of runs uses a stretch of it.
        errors: ``[steps * P * N]``, of every group of neurons a matrix ``[steps * P, group]``.
        diagonal: ``[L, N]``, what the terms would have added to the synapses that neurons do not have with
            themselves.
    """

    bits: NDArray
    ears: NDArray
    hears_inputs: NDArray
    products: NDArray
    lags: NDArray
    quarters: NDArray
    from_inputs: NDArray
    gram: NDArray
    weighted: NDArray
    errors: NDArray
    diagonal: NDArray


@njit(nogil=True)
def note(bits, column, active):  # pragma: no cover (compiled)
    """Set the bits of the neurons that spiked."""
    bits[:, column] = 0
    for n in active:
        bits[n // 64, column] |= np.uint64(1) << np.uint64(n % 64)


@njit(nogil=True)
def multiply(pending, runs, row, low, high):  # pragma: no cover (compiled)
    """The products of the spikes of runs ``low .. high`` at a row with those of all rows until then."""
    bits, memory = pending.bits, pending.products.shape[1]
    for e in range(len(pending.ears)):
        heard = pending.ears[e]
        if not heard.any():
            continue
        for p in range(low, high):
            _count(bits, heard, row * runs + p, 0, (row + 1) * runs, pending.products[e, row % memory, p])
            # and, for the other steps that are still needed, with this row
            for back in range(1, min(memory, row + 1)):
                older = row - back
                out = pending.products[e, older % memory, p]
                _count(bits, heard, older * runs + p, row * runs, (row + 1) * runs, out)


@njit(nogil=True)
def _count(bits, heard, column, first, last, out):  # pragma: no cover (compiled)
    """``out[x]``: how many of the neurons heard spiked both in this column and in column x, ``first <= x < last``."""
    out = out[first:last]
    out[:] = 0
    for word in range(len(heard)):
        mine, others = bits[word, column] & heard[word], bits[word, first:last]
        if mine != 0:
            for x in range(len(out)):
                out[x] += np.uint16(count_ones(others[x] & mine))


@njit(nogil=True)
def _filter(products, p, lags, t, quarters, rest, total):  # pragma: no cover (compiled)
    """``total[tau P + p'] = rest + sum_{d, e} G[d, e] <s[tau - d, p'], s[t - e, p]>`` for all tau < t.

    Lags are taken four by four, so that every number is loaded once for sixteen products: in ``quarters [4, ..]``
    the i-th holds the sums over d = i + 1, i + 5, .. at ``(tau + D + 3 - i) P + p'``.

    ``products [D, P, rows P]``; ``lags`` is G with zeros up to multiples of four.
    """
    memory, runs = products.shape[0], products.shape[1]
    padded, span = len(lags), (memory + t) * runs
    quarters[:, : span + (padded + 4) * runs] = 0
    for begin in range(0, span, TILE):
        end = min(begin + TILE, span)
        for e in range(0, padded, 4):
            # the row memory + t - (e + 1), and the three before it; where e is beyond the memory, any will do
            a = products[(t - e - 1) % memory, p, begin:end]
            b = products[(t - e - 2) % memory, p, begin:end]
            c = products[(t - e - 3) % memory, p, begin:end]
            f = products[(t - e - 4) % memory, p, begin:end]
            for d in range(0, padded, 4):
                block, shift = lags[d : d + 4, e : e + 4], (d + 4) * runs
                if block.any():
                    _add_sixteen(
                        block, a, b, c, f,
                        quarters[0, begin + shift : end + shift], quarters[1, begin + shift : end + shift],
                        quarters[2, begin + shift : end + shift], quarters[3, begin + shift : end + shift],
                    )  # fmt: skip
    start, size = (memory + 3) * runs, len(total)
    _sum_four(
        quarters[0, start : start + size], quarters[1, start - runs : start - runs + size],
        quarters[2, start - 2 * runs : start - 2 * runs + size],
        quarters[3, start - 3 * runs : start - 3 * runs + size], rest, total,
    )  # fmt: skip


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _sum_four(a, b, c, d, rest, out):  # pragma: no cover (compiled)
    """``out = rest + a + b + c + d``."""
    for n in range(len(out)):
        out[n] = rest[n] + (a[n] + b[n]) + (c[n] + d[n])


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _add_sixteen(scale, a, b, c, d, one, two, three, four):  # pragma: no cover (compiled)
    """``one += scale[0, 0] a + .. + scale[0, 3] d``, and so on."""
    cast = one.dtype.type
    aa, ab, ac, ad = scale[0, 0], scale[0, 1], scale[0, 2], scale[0, 3]
    ba, bb, bc, bd = scale[1, 0], scale[1, 1], scale[1, 2], scale[1, 3]
    ca, cb, cc, cd = scale[2, 0], scale[2, 1], scale[2, 2], scale[2, 3]
    da, db, dc, dd = scale[3, 0], scale[3, 1], scale[3, 2], scale[3, 3]
    for n in range(len(one)):
        w, x, y, z = cast(a[n]), cast(b[n]), cast(c[n]), cast(d[n])
        one[n] += (aa * w + ab * x) + (ac * y + ad * z)
        two[n] += (ba * w + bb * x) + (bc * y + bd * z)
        three[n] += (ca * w + cb * x) + (cc * y + cd * z)
        four[n] += (da * w + db * x) + (dc * y + dd * z)


@njit(nogil=True)
def _scale(a, b, out):  # pragma: no cover (compiled)
    """``out = a * b``, element by element."""
    for x in range(len(out)):
        out[x] = a[x] * b[x]


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def feel(
    pending, groups, coefficient, input_gram, compartments, t, ranges, potential
):  # pragma: no cover (compiled)
    """Add what the pending terms of all earlier steps do to the potentials ``[P, N]``, of runs in these ranges."""
    runs, low, high = potential.shape[0], ranges[0, 0], ranges[-1, 1]
    span, steps = t * runs, coefficient.shape[1] // runs
    if span == 0:
        return
    size, one = high - low, potential.dtype.type(1)
    quarters, from_inputs = pending.quarters[int(low > 0)], pending.from_inputs[int(low > 0)]
    own = pending.weighted[low * steps * runs : high * steps * runs]
    weighted = own[: size * span].reshape((size, span))
    for ear in range(len(pending.ears)):
        if not pending.hears_inputs[ear]:
            from_inputs[:span] = 0
        for p in range(low, high):
            total = pending.gram[p, :span]
            if pending.hears_inputs[ear] and (p == low or p % compartments == 0):
                # the same for all compartments of a presentation
                shared = input_gram[p // compartments]
                for tau in range(t):
                    for other in range(runs):
                        from_inputs[tau * runs + other] = shared[tau, other // compartments]
            if pending.ears[ear].any():
                _filter(pending.products[ear], p, pending.lags, t, quarters, from_inputs, total)
            else:
                total[:] = from_inputs[:span]
        for kind in range(2):
            ready = False
            for g in range(len(groups)):
                start, stop = groups[g, 0], groups[g, 1]
                if groups[g, 2] != ear or groups[g, 3] != kind:
                    continue
                if not ready:
                    for p in range(low, high):
                        _scale(coefficient[kind, :span], pending.gram[p, :span], weighted[p - low])
                    ready = True
                block = pending.errors[steps * runs * start : steps * runs * stop]
                error = block[: span * (stop - start)].reshape((span, stop - start))
                for first, last in ranges:
                    felt = np.dot(weighted[first - low : last - low], error)
                    for p in range(first, last):
                        axpy(one, felt[p - first], potential[p, start:stop])


@njit(nogil=True)
def keep_errors(pending, groups, t, p, runs, steps, error):  # pragma: no cover (compiled)
    """Copy a run's errors ``[N]`` of a step to where they are multiplied."""
    for g in range(len(groups)):
        start, stop = groups[g, 0], groups[g, 1]
        block = pending.errors[steps * runs * start : steps * runs * stop]
        at = (t * runs + p) * (stop - start)
        block[at : at + stop - start] = error[start:stop]
