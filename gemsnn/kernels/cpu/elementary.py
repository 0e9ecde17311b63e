# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""Elementary functions for compiled loops, written so that the compiler turns them into vector instructions.

Calls of the C library's ``exp`` cannot be vectorised; the arithmetic below can. Compiled at first use.
"""

from __future__ import annotations

import math

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gemsnn.machine.compiled import njit

_LOG2_E = 1 / math.log(2)
_LN2_HIGH = 6.93147180369123816490e-01
"""The first 33 bits of log 2, so that its product with an exponent is exact (as in fdlibm's e_exp.c)."""
_LN2_LOW = 1.90821492927058770002e-10
_SHIFT = 1.5 * 2.0**52
"""Adding it rounds to an integer, which the sum's lowest bits then hold."""
_LOWEST = -708.0
"""Below it, exp in double precision is subnormal."""
_C = tuple(1 / math.factorial(n) for n in range(14))
"""Taylor's coefficients; on ``|r| <= log(2) / 2`` what is left out is below 1e-17."""


@intrinsic
def count_ones(_, word):  # pragma: no cover (compiled)
    """The number of set bits of a uint64, as uint64."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def first_one(_, word):  # pragma: no cover (compiled)
    """The number of the lowest set bit of a uint64 other than zero, as int64."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def _power_of_two(_, shifted):  # pragma: no cover (compiled)
    """``2^n`` for an integer n in [-1022, 1023], given ``n + _SHIFT``, whose lowest bits are n's."""

    def generate(context, builder, signature, arguments):
        word = builder.bitcast(arguments[0], ir.IntType(64))
        biased = builder.add(word, ir.Constant(ir.IntType(64), 1023))
        return builder.bitcast(builder.shl(biased, ir.Constant(ir.IntType(64), 52)), ir.DoubleType())

    return types.float64(types.float64), generate


@njit(nogil=True, inline="always")
def exp_of_negative(x):  # pragma: no cover (compiled)
    """``exp(x)`` for x <= 0 in double precision: ``x = n log 2 + r``, ``exp(x) = 2^n exp(r)``."""
    x = x if x > _LOWEST else _LOWEST
    shifted = x * _LOG2_E + _SHIFT
    n = shifted - _SHIFT
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    low = _C[0] + r * (_C[1] + r * (_C[2] + r * (_C[3] + r * (_C[4] + r * (_C[5] + r * _C[6])))))
    high = _C[7] + r * (_C[8] + r * (_C[9] + r * (_C[10] + r * (_C[11] + r * (_C[12] + r * _C[13])))))
    cube = r * r * r
    return (low + cube * cube * r * high) * _power_of_two(shifted)


@njit(nogil=True, error_model="numpy")
def sigmoid(potential, out):  # pragma: no cover (compiled)
    """``out[n] = 1 / (1 + exp(-potential[n]))``, computed in double precision."""
    for n in range(len(out)):
        x = numba.float64(potential[n])
        small = exp_of_negative(-abs(x))
        share = 1.0 / (1.0 + small)
        out[n] = share if x >= 0 else small * share


@njit(nogil=True)
def softmax(potential, out):  # pragma: no cover (compiled)
    """``out[i] = exp(u_i) / (1 + sum_j exp(u_j))``; returns ``-log(1 + sum_j exp(u_j))``."""
    top = max(0.0, potential.max())
    total = math.exp(-top)
    for n in range(len(out)):
        out[n] = math.exp(potential[n] - top)
        total += math.exp(potential[n] - top)
    for n in range(len(out)):
        out[n] /= total
    return -top - math.log(total)


@njit(nogil=True)
def log_bernoulli(spikes, potential):  # pragma: no cover (compiled)
    """``sum_n log p(s_n | u_n)`` of independent neurons, in double precision and without overflow.

    ``log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|))``, with one logarithm of a product for many factors in (1, 2].
    """
    total, product = 0.0, 1.0
    for n in range(len(spikes)):
        x = numba.float64((2 * spikes[n] - 1) * potential[n])
        total += min(x, 0.0)
        product *= 1.0 + exp_of_negative(-abs(x))
        if n % 512 == 511:
            total -= math.log(product)
            product = 1.0
    return total - math.log(product)


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def axpy(scale, x, out):  # pragma: no cover (compiled)
    """``out += scale * x`` for vectors. A loop from zero to a length becomes vector instructions; others may not."""
    for n in range(len(out)):
        out[n] += scale * x[n]


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def add_four(a, b, c, d, out):  # pragma: no cover (compiled)
    """``out += a + b + c + d`` for vectors: the sum is loaded and stored once for all of them."""
    for n in range(len(out)):
        out[n] += (a[n] + b[n]) + (c[n] + d[n])


@njit(nogil=True, fastmath={"contract", "nsz", "reassoc"})
def add_scaled(values, first, rows, scale, out):  # pragma: no cover (compiled)
    """``out += sum_i scale[i] * values[rows[i], first : first + len(out)]`` for a contiguous ``values``.

    Four at a time: the sum is loaded and stored once for them.
    """
    flat, width, size = values.reshape(-1), values.shape[1], len(out)
    whole = len(rows) // 4 * 4
    for i in range(0, whole, 4):
        at = first + rows[i] * width
        a = flat[at : at + size]
        at = first + rows[i + 1] * width
        b = flat[at : at + size]
        at = first + rows[i + 2] * width
        c = flat[at : at + size]
        at = first + rows[i + 3] * width
        d = flat[at : at + size]
        p, q, r, s = scale[i], scale[i + 1], scale[i + 2], scale[i + 3]
        for n in range(size):
            out[n] += (p * a[n] + q * b[n]) + (r * c[n] + s * d[n])
    for i in range(whole, len(rows)):
        at = first + rows[i] * width
        axpy(scale[i], flat[at : at + size], out)


@njit(nogil=True)
def add_filtered(values, first, tap, at, sign, rows, where, out):  # pragma: no cover (compiled)
    """``out[n] += sum_d f(d) values[at + sign * d, first + n]``, for those of ``rows`` rows that exist.

    Scratch: ``where``, int64 with a place for every lag.
    """
    low, high = 0, len(tap)
    while low < high and not (tap[low] != 0 and 0 <= at + sign * (low + 1) < rows):
        low += 1
    while low < high and not (tap[high - 1] != 0 and 0 <= at + sign * high < rows):
        high -= 1
    for d in range(low, high):
        where[d] = at + sign * (d + 1)
    add_scaled(values, first, where[low:high], tap[low:high], out)
