"""The unit of time of files that may count in any: told, decided where numbers leave one choice, or asked for.

The rule, in this order:

1. what the user says (``time_unit``);
2. what the file says: the column's or field's name (``t_us``, ``time [ms]``, ``timestamps_ns``), an attribute, or the
   format's definition;
3. if all times are the same, the unit makes no difference;
4. **numbers with fractions** are seconds if they span at most :data:`LONGEST_SECONDS`, and either span at most
   :data:`SURELY_SECONDS` (as milliseconds too short for a recording) or are finer than a thousandth (as milliseconds
   finer than the microseconds that sensors count);
5. **whole numbers** of :data:`SINCE_1970_NS` or more are nanoseconds since 1970. Others are microseconds if that gives
   a plausible recording: one of :data:`SHORTEST_US` to :data:`LONGEST_US`, with :data:`FEWEST` to :data:`MOST` events a
   second on average;
6. in all other cases nothing is guessed: the file is refused, and the user asked for the unit.

What rules 4 and 5 decide is told in a note.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gemsnn.errors import InputError

TimeUnit = Literal["us", "ms", "s", "ns"]

LONGEST_SECONDS = 1000.0
SURELY_SECONDS = 10.0
SINCE_1970_NS = 946_684_800 * 10**9
"""The beginning of the year 2000; as microseconds it would lie 30,000 years ahead."""

SHORTEST_US = 10_000
LONGEST_US = 3_600_000_000
FEWEST = 10.0
MOST = 1e8

LATEST_US = 2**62
"""No recording is longer."""

_NANOSECONDS: dict[TimeUnit, int] = {"ns": 1, "us": 1000, "ms": 10**6, "s": 10**9}
_WORDS: dict[str, TimeUnit] = {
    **dict.fromkeys(("us", "usec", "usecs", "µs", "μs", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanosecond", "nanoseconds"), "ns"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
}
_NAMES: dict[TimeUnit, str] = {
    "us": "microseconds",
    "ms": "milliseconds",
    "s": "seconds",
    "ns": "nanoseconds",
}


def named(word: str) -> TimeUnit | None:
    """The unit that a word means (``us``, ``seconds``, ..), if it means one."""
    return _WORDS.get(word.strip().lower())


def check(time_unit: object, where: object) -> None:
    """Refuse what is no unit.

    Raises:
        InputError: it is neither ``None`` nor one of :data:`TimeUnit`.
    """
    if time_unit is not None and time_unit not in get_args(TimeUnit):
        raise InputError(f"{where}: time_unit must be us, ms, s or ns, not {time_unit!r}")


def decide(t: NDArray[Any], where: object) -> tuple[TimeUnit, tuple[str, ...]]:
    """The unit of times of which neither user nor file tells it, by rules 3 to 6, and what to tell of that.

    Args:
        t: numbers ``[n]``, ``n >= 1``, finite, in any order.
        where: the file, for messages.

    Raises:
        InputError: the numbers leave more than one choice.
    """
    low, high = t.min(), t.max()
    span = float(high) - float(low)
    if low == high:
        return "us", ()
    if t.dtype.kind == "f" and (t != np.rint(t)).any():
        if span <= SURELY_SECONDS or (span <= LONGEST_SECONDS and _finer_than_thousandths(t)):
            return "s", _told("they have fractions", "s")
        raise _asked(where, f"are numbers with fractions that span {span:.6g}")
    if float(low) >= SINCE_1970_NS:
        return "ns", _told("they are whole numbers of the size of a clock since 1970", "ns")
    rate = len(t) / span * 1e6
    if SHORTEST_US <= span <= LONGEST_US and FEWEST <= rate <= MOST:
        return "us", _told("they are whole numbers", "us")
    raise _asked(where, f"are {len(t)} whole numbers that span {span:.6g}")


def microseconds(
    t: NDArray[Any], unit: TimeUnit, where: object, *, from_zero: bool = False
) -> NDArray[np.int64]:
    """Times in microseconds, rounded, counted from the smallest of them.

    Args:
        t: numbers ``[n]``, ``n >= 1``, finite, in ``unit``.
        unit: their unit.
        where: the file, for messages.
        from_zero: count from the file's own zero instead.

    Raises:
        InputError: they span more than any recording does.
    """
    if t.dtype.kind == "f":
        t = t.astype(np.float64)
    origin = t.dtype.type(0) if from_zero else t.min()
    scale = _NANOSECONDS[unit] / 1000
    if (
        abs(float(t.max()) - float(origin)) * scale >= LATEST_US
        or abs(float(t.min()) - float(origin)) * scale >= LATEST_US
    ):
        raise InputError(
            f"{where}: times span {float(t.max()) - float(origin):.6g} {_NAMES[unit]}; check them"
        )
    if t.dtype.kind == "f":
        return np.rint((t - origin) * scale).astype(np.int64)
    since = (t - origin).astype(np.int64)
    return since * int(scale) if scale >= 1 else (since + 500) // 1000


def _finer_than_thousandths(t: NDArray[Any]) -> bool:
    """Whether some number is no whole number of thousandths, by more than its type's rounding."""
    thousandths = t.astype(np.float64) * 1000
    rounding = np.abs(thousandths) * 2 * np.finfo(t.dtype).eps
    return bool((np.abs(thousandths - np.rint(thousandths)) > np.maximum(rounding, 1e-4)).any())


def _told(why: str, unit: TimeUnit) -> tuple[str, ...]:
    return (
        f"Times are taken as {_NAMES[unit]}, for {why} and nothing in the file tells the unit; give another with "
        "time_unit (--time-unit).",
    )


def _asked(where: object, seen: str) -> InputError:
    return InputError(
        f"{where}: the unit of time cannot be told: the times {seen}; give time_unit (--time-unit, where a command "
        "has it), one of us, ms, s and ns, or put it into the column's name, for example t_ms"
    )
