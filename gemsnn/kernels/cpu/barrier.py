# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""A barrier for compiled threads: waking a sleeping thread at every step would cost more than many steps do.

A thread that waits looks again and again, and soon gives its core away while it does, so that on a busy
machine the one it waits for gets to run. Compiled at first use.
"""

from __future__ import annotations

import sys

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gemsnn.machine.compiled import njit

LOOKS = 2000
"""How often a thread looks before it gives its core away: some microseconds."""

if sys.platform == "win32":

    @njit(nogil=True)
    def _give_way():  # pragma: no cover (compiled)
        """Windows has no such function under this name; threads there just look again."""

else:
    _give_way = types.ExternalFunction("sched_yield", types.int32())


@intrinsic
def _arrive(_, counter):  # pragma: no cover (compiled)
    """Add one to the first element of an int64 array, as one indivisible operation."""

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        builder.atomic_rmw("add", array.data, ir.Constant(ir.IntType(64), 1), "seq_cst")
        return context.get_dummy_value()

    return types.void(counter), generate


@intrinsic
def _look(_, counter):  # pragma: no cover (compiled)
    """The first element of an int64 array, as it is now in memory."""

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load_atomic(array.data, "seq_cst", 8)

    return types.int64(counter), generate


@njit(nogil=True)
def wait(counter, until):  # pragma: no cover (compiled)
    """Arrive, and wait until so many have arrived since ``counter [1]`` was zero."""
    _arrive(counter)
    looks = 0
    while _look(counter) < until:
        looks += 1
        if looks > LOOKS:
            _give_way()
