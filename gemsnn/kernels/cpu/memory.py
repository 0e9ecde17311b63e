"""Memory that the cpu kernel works in: it begins with a cache line, and is used again."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray


def aligned(shape: tuple[int, ...], dtype: type | np.dtype) -> NDArray:
    """Memory that begins with a cache line, so that vectors do not lie across two."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return torch.empty(size, dtype=torch.uint8).numpy().view(dtype).reshape(shape)


def zeros(shape: tuple[int, ...], dtype: type | np.dtype) -> NDArray:
    """The same, filled with zeros."""
    found = aligned(shape, dtype)
    found.fill(0)
    return found


class Scratch:
    """Memory that one thread uses at a time, by name: fresh memory costs more than arithmetic."""

    def __init__(self, dtype: np.dtype) -> None:
        self._held: dict[object, NDArray] = {}
        self._dtype = dtype

    def get(self, name: object, *shape: int, dtype: type | np.dtype | None = None) -> NDArray:
        """An array of this shape with anything in it."""
        held, size = self._held.get(name), math.prod(shape)
        if held is None or len(held) < size:
            held = self._held[name] = aligned((size,), dtype or self._dtype)
        return held[:size].reshape(shape)


class Pool:
    """Scratch memory for any number of threads: each takes some and gives it back."""

    def __init__(self, dtype: np.dtype) -> None:
        self._spare: list[Scratch] = []
        self._dtype = dtype

    def take(self) -> Scratch:
        """Memory that nobody uses."""
        return self._spare.pop() if self._spare else Scratch(self._dtype)

    def give(self, scratch: Scratch) -> None:
        """It is no longer used."""
        self._spare.append(scratch)
