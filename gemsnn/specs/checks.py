"""What a value must be, checked where it comes in: each check passes in silence or raises an :class:`InputError`.

Every message is one sentence that begins with the name of the value, so that a reader knows which one to mend.

Specs are frozen dataclasses whose annotations say what their fields may be; :func:`fields`, called in
``__post_init__``, holds them to it. Numbers carry their :class:`Range`, choices are literals::

    @dataclass(frozen=True)
    class Spec:
        compartments: Count = 5
        rate: Annotated[float, Range(above=0, below=1)] = 0.1
        output: Literal["votes", "likelihood"] = "votes"

        def __post_init__(self) -> None:
            checks.fields(self)
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import numbers
import os
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

import numpy as np

from gemsnn.errors import InputError

if TYPE_CHECKING:
    from typing import TypeGuard

    from torch import Tensor


# -- fields of specs ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """The numbers that a field may hold, all finite: from ``low`` or ``above`` on, to ``high`` or ``below``."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        """Whether the number lies within."""
        return self.low <= value <= self.high and self.above < value < self.below

    def __str__(self) -> str:
        """For a message: ``at least 1 and at most 10``."""
        sides = (
            ("at least", self.low), ("above", self.above), ("at most", self.high), ("below", self.below),
        )  # fmt: skip
        return " and ".join(f"{word} {bound}" for word, bound in sides if math.isfinite(bound))


MOST = 10**9
"""No number of things is larger."""

Count = Annotated[int, Range(1, MOST)]
"""A number of things."""

Seed = Annotated[int, Range(0, 2**63 - 1)]
"""What addresses randomness."""

Share = Annotated[float, Range(0, 1)]
"""A part of a whole."""

Probability = Annotated[float, Range(above=0, below=1)]
"""A chance that is neither none nor certain."""

Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(0)]


def fields(spec: Any) -> None:
    """Hold the fields of a frozen dataclass to their annotations; for ``__post_init__``.

    Numbers of numpy become Python's, lists tuples where the annotation says tuple, and text a path where it says path.

    Raises:
        InputError: a field has the wrong type, length, range or name; the message names it.
    """
    for name, kind in _kinds(type(spec)).items():
        given = getattr(spec, name)
        kept = _held(given, kind, name)
        if kept is not given:
            object.__setattr__(spec, name, kept)


def same(state: Mapping[str, Any], spec: Any, name: str) -> None:
    """Raise :class:`InputError` where a saved state holds other settings than the fields of a dataclass."""
    for field, value in vars(spec).items():
        if state.get(field) != value:
            raise InputError(
                f"{name} has the {field} {state.get(field)!r} where {value} is set: give it that, or begin a new state"
            )


def choice(value: object, kind: Any, name: str) -> Any:
    """One of the values of a ``Literal``.

    Raises:
        InputError: it is none; the message names the nearest.
    """
    known = typing.get_args(kind)
    if any(type(value) is type(other) and value == other for other in known):
        return value
    said = ""
    if isinstance(value, str) and (near := [other for other in known if isinstance(other, str)]):
        said = f"; the nearest is {difflib.get_close_matches(value[:80], near, n=1, cutoff=0.0)[0]!r}"
    raise InputError(f"{name} must be one of {', '.join(map(repr, known))}, not {told(value)}{said}")


def number(value: object, kind: Any, name: str) -> Any:
    """A number of an annotation such as :data:`Count`, for an argument of a function."""
    return _held(value, kind, name)


@functools.cache
def _kinds(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {item.name: hints[item.name] for item in dataclasses.fields(cls)}


def _held(given: Any, kind: Any, name: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        kept = _held(given, inner[0], name)
        for limit in inner[1:]:
            if isinstance(limit, Range):
                _within(kept, limit, name)
        return kept
    if origin in (Union, types.UnionType):
        return _one_of(given, inner, name)
    if origin is Literal:
        return choice(given, kind, name)
    if origin is tuple:
        return _tuple(given, inner, name)
    if origin is np.ndarray:
        wanted = np.dtype(typing.get_args(inner[1])[0])
        if not isinstance(given, np.ndarray) or given.dtype != wanted:
            raise InputError(f"{name} must be an array of {wanted}, not {told(given)}")
        return given
    return _plain(given, kind if origin is None else origin, name)


def _plain(given: Any, kind: Any, name: str) -> Any:
    flag = isinstance(given, (bool, np.bool_))
    if kind is bool and flag:
        return bool(given)
    if kind is int and isinstance(given, numbers.Integral) and not flag:
        return int(given)
    if kind is float and isinstance(given, numbers.Real) and not flag:
        if not math.isfinite(given):
            raise InputError(f"{name} must be a finite number, not {told(given)}")
        return given if type(given) in (int, float) else float(given)
    if kind is Path and isinstance(given, (str, os.PathLike)):
        return given if isinstance(given, Path) else Path(given)
    if kind is Any or (kind not in (bool, int, float, Path) and isinstance(given, kind)):
        return given
    said = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    raise InputError(f"{name} must be {said.get(kind, 'a ' + kind.__name__)}, not {told(given)}")


def _one_of(given: Any, kinds: Sequence[Any], name: str) -> Any:
    if given is None and type(None) in kinds:
        return None
    faults: dict[bool, InputError] = {}
    for kind in (kind for kind in kinds if kind is not type(None)):
        try:
            return _held(given, kind, name)
        except InputError as error:
            faults.setdefault(typing.get_origin(kind) is Literal, error)
    # of text, what it says of names is of more use; of anything else, what it says of numbers
    raise faults.get(isinstance(given, str)) or next(iter(faults.values()))


def _tuple(given: Any, kinds: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    if not isinstance(given, (tuple, list)):
        raise InputError(f"{name} must be a tuple, not {told(given)}")
    if kinds[-1] is not ... and len(given) != len(kinds):
        raise InputError(f"{name} must hold {len(kinds)} values, not {len(given)}: {told(given)}")
    each = (kinds[0],) * len(given) if kinds[-1] is ... else kinds
    kept = tuple(_held(value, kind, name) for value, kind in zip(given, each, strict=True))
    if isinstance(given, tuple) and all(new is old for new, old in zip(kept, given, strict=True)):
        return given
    return kept


def _within(given: Any, limit: Range, name: str) -> None:
    if isinstance(given, tuple):
        for value in given:
            _within(value, limit, name)
    elif isinstance(given, (int, float)) and given not in limit:
        raise InputError(f"{name} must be {limit}, not {given}")


def told(value: object) -> str:
    """A value in a message: tensors and arrays by their type and shape."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {list(value.shape)}"
    if is_tensor(value):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return repr(value)


def is_tensor(value: object) -> TypeGuard[Tensor]:
    """Whether this is a tensor, without loading torch, which takes seconds: before it is loaded there is none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


# -- tensors of scores -------------------------------------------------------------------------------------

WHOLE = {f"torch.{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
"""The types of whole numbers."""

SUM_TOLERANCE = 1e-4
"""How far from one a row of probabilities may sum: more than rounding in float32, less than any vote."""


def _first(bad: Tensor) -> int:
    """The number of the first true entry of a bool tensor ``[rows]``."""
    return int(bad.nonzero()[0, 0])


def floats(values: Tensor, name: str, shape: str, dims: int | None = None) -> Tensor:
    """A floating-point tensor with ``dims`` dimensions (any number, without), none of size 0.

    ``shape`` is that of the message.
    """
    fits = is_tensor(values) and values.is_floating_point() and values.numel() > 0
    if not fits or values.ndim != (values.ndim if dims is None else dims):
        raise InputError(
            f"{name} must be a tensor {shape} of floating-point numbers, none of its sizes 0, not {told(values)}"
        )
    return values


def no_nan(values: Tensor, name: str, *, infinite: bool = False) -> None:
    """Numbers: no NaN and no plus infinity, and minus infinity only where ``infinite`` allows it."""
    bad = values.isnan() | values.isposinf() if infinite else ~values.isfinite()
    if bad.any():
        value = float(values[bad][0])
        raise InputError(
            f"{name} must be numbers: {int(bad.sum())} of {values.numel()} are not, the first is {value}"
        )


def distributions(values: Tensor, name: str, shape: str, dims: int | None = None) -> None:
    """Probabilities ``[.., C]``: finite, not negative, each row with the sum one."""
    floats(values, name, shape, dims)
    no_nan(values, name)
    rows = values.reshape(-1, values.shape[-1]).double()
    if (bad := (rows < 0).any(1)).any():
        row = _first(bad)
        raise InputError(f"{name} must not be negative: row {row} holds {float(rows[row].min()):g}")
    sums = rows.sum(1)
    if (bad := (sums - 1).abs() > SUM_TOLERANCE).any():
        row = _first(bad)
        raise InputError(f"{name} must sum to one in every row: row {row} sums to {float(sums[row]):g}")


def classes_of(values: Tensor, name: str, shape: str, classes: int, dims: int = 1) -> None:
    """Whole numbers ``0 <= values < classes`` in a tensor with ``dims`` dimensions, none of size 0."""
    whole = is_tensor(values) and str(values.dtype) in WHOLE
    if not whole or values.ndim != dims or values.numel() == 0:
        raise InputError(
            f"{name} must be a tensor {shape} of whole numbers, none of its sizes 0, not {told(values)}"
        )
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= classes:
        raise InputError(
            f"{name} must be classes from 0 to {classes - 1}, and {low if low < 0 else high} is none"
        )
