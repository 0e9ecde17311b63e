"""What a value must be, checked where it comes in: each check passes in silence or raises an :class:`InputError`.

Every message is one sentence that begins with the name of the value, so that a reader knows which one to mend.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gemsnn.types import InputError

SUM_TOLERANCE = 1e-4
"""How far from one a row of probabilities may sum: more than rounding in float32, less than any vote."""


def _first(bad: Tensor) -> int:
    """The number of the first true entry of a bool tensor ``[rows]``."""
    return int(bad.nonzero()[0, 0])


def _told(values: object) -> str:
    if isinstance(values, Tensor):
        return f"{str(values.dtype).removeprefix('torch.')} {list(values.shape)}"
    return type(values).__name__


def floats(values: Tensor, name: str, shape: str, dims: int | None = None) -> Tensor:
    """A floating-point tensor with ``dims`` dimensions (any number, without), none of size 0.

    ``shape`` is that of the message.
    """
    fits = isinstance(values, Tensor) and values.is_floating_point() and values.numel() > 0
    if not fits or values.ndim != (values.ndim if dims is None else dims):
        raise InputError(
            f"{name} must be a tensor {shape} of floating-point numbers, none of its sizes 0, not {_told(values)}"
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
    whole = isinstance(values, Tensor) and not (
        values.is_floating_point() or values.is_complex() or values.dtype == torch.bool
    )
    if not whole or values.ndim != dims or values.numel() == 0:
        raise InputError(
            f"{name} must be a tensor {shape} of whole numbers, none of its sizes 0, not {_told(values)}"
        )
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= classes:
        raise InputError(
            f"{name} must be classes from 0 to {classes - 1}, and {low if low < 0 else high} is none"
        )
