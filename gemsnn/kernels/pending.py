# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""Compiled products with weights that have moved, for the cpu kernel: pending terms felt through inner products.

``(W_t - W) phi[t, p] = sum_{tau, p'} A_t[tau, p'] <phi[tau, p'], phi[t, p]> r[tau, p']``: inner products of traces
are those of spikes, filtered twice, and spikes are bits. Names and shapes as in :class:`Pending`. All functions
serve a range of runs, so that several threads can share a step. Compiled at first use.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from gemsnn.kernels.elementary import axpy, count_ones

TILE = 1024
"""Columns filtered at a time, so that they stay in the fastest cache."""


class Pending(NamedTuple):
    """Scratch of the pending terms. Rows are steps, beginning ``memory`` steps before step 0; ``row = memory + t``.

    Attributes:
        bits: uint64 ``[N / 64, rows * P]``, who spiked.
        ears: uint64 ``[E, N / 64]``, the neurons that each kind of listener hears.
        hears_inputs: bool ``[E]``, whether it hears the inputs too.
        products: uint16 ``[E, memory, P, rows * P]``: of the spikes of run p at one of the last steps
            (``row % memory``) with those of every run at every row, as far as they are heard.
        lags: ``[memory, memory]``, ``sum_l f_l(d) f_l(e)``.
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
    gram: NDArray
    weighted: NDArray
    errors: NDArray
    diagonal: NDArray


@numba.njit(cache=True, nogil=True)
def note(bits, column, active):  # pragma: no cover (compiled)
    """Set the bits of the neurons that spiked."""
    bits[:, column] = 0
    for n in active:
        bits[n // 64, column] |= np.uint64(1) << np.uint64(n % 64)


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
def _count(bits, heard, column, first, last, out):  # pragma: no cover (compiled)
    """``out[x]``: how many of the neurons heard spiked both in this column and in column x, ``first <= x < last``."""
    out = out[first:last]
    out[:] = 0
    for word in range(len(heard)):
        mine, others = bits[word, column] & heard[word], bits[word, first:last]
        if mine != 0:
            for x in range(len(out)):
                out[x] += np.uint16(count_ones(others[x] & mine))


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _filter(products, p, lags, t, total):  # pragma: no cover (compiled)
    """Add ``sum_{d, e} G[d, e] <s[tau - d, p'], s[t - e, p]>`` to ``total[tau * P + p']`` for all tau < t.

    ``products [memory, P, rows * P]``.
    """
    memory, runs = len(lags), products.shape[1]
    whole = memory // 4 * 4
    for begin in range(0, len(total), TILE):
        out = total[begin : begin + TILE]
        for d in range(1, memory + 1):
            start = begin + (memory - d) * runs
            stop = start + len(out)
            for e in range(1, whole + 1, 4):
                scale = lags[d - 1, e - 1 : e + 3]
                if scale.any():
                    _add_four(
                        scale,
                        products[(t - e) % memory, p, start:stop],  # row memory + t - e
                        products[(t - e - 1) % memory, p, start:stop],
                        products[(t - e - 2) % memory, p, start:stop],
                        products[(t - e - 3) % memory, p, start:stop],
                        out,
                    )
            for e in range(whole + 1, memory + 1):
                if lags[d - 1, e - 1] != 0:
                    axpy(lags[d - 1, e - 1], products[(t - e) % memory, p, start:stop], out)


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def _add_four(scale, a, b, c, d, out):  # pragma: no cover (compiled)
    """``out += scale[0] a + .. + scale[3] d``: the sum is loaded and stored once for all of them."""
    of_a, of_b, of_c, of_d = scale[0], scale[1], scale[2], scale[3]
    cast = out.dtype.type
    for x in range(len(out)):
        out[x] += (of_a * cast(a[x]) + of_b * cast(b[x])) + (of_c * cast(c[x]) + of_d * cast(d[x]))


@numba.njit(cache=True, nogil=True)
def _scale(a, b, out):  # pragma: no cover (compiled)
    """``out = a * b``, element by element."""
    for x in range(len(out)):
        out[x] = a[x] * b[x]


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz", "reassoc"})
def feel(
    pending, groups, coefficient, input_gram, compartments, t, low, high, potential
):  # pragma: no cover (compiled)
    """Add what the pending terms of all earlier steps do to the potentials ``[P, N]`` of runs ``low .. high``."""
    runs = potential.shape[0]
    span, steps = t * runs, coefficient.shape[1] // runs
    if span == 0:
        return
    size, one = high - low, potential.dtype.type(1)
    own = pending.weighted[low * steps * runs : high * steps * runs]
    weighted = own[: size * span].reshape((size, span))
    for ear in range(len(pending.ears)):
        for p in range(low, high):
            total = pending.gram[p, :span]
            if pending.hears_inputs[ear]:
                shared = input_gram[p // compartments]
                for tau in range(t):
                    for b in range(runs // compartments):
                        total[tau * runs + b * compartments : tau * runs + (b + 1) * compartments] = shared[
                            tau, b
                        ]
            else:
                total[:] = 0
            if pending.ears[ear].any():
                _filter(pending.products[ear], p, pending.lags, t, total)
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
                felt = np.dot(weighted, block[: span * (stop - start)].reshape((span, stop - start)))
                for p in range(low, high):
                    axpy(one, felt[p - low], potential[p, start:stop])


@numba.njit(cache=True, nogil=True)
def keep_errors(pending, groups, t, p, runs, steps, error):  # pragma: no cover (compiled)
    """Copy a run's errors ``[N]`` of a step to where they are multiplied."""
    for g in range(len(groups)):
        start, stop = groups[g, 0], groups[g, 1]
        block = pending.errors[steps * runs * start : steps * runs * stop]
        at = (t * runs + p) * (stop - start)
        block[at : at + stop - start] = error[start:stop]
