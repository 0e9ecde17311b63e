"""Arrays of a person's own as recordings: their spikes, bin by bin, and their labels as classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemsnn.errors import InputError
from gemsnn.types import Layout

Arrays = Any
"""An array ``[n, T, M]`` or ``[n, T, channels, height, width]``, or a sequence of such recordings of any lengths."""


def bins_of(arrays: Arrays) -> list[NDArray[np.uint8]]:
    """Recordings as uint8 arrays of their own shapes, ``[T, M]`` or ``[T, channels, height, width]``.

    Raises:
        InputError: one has another number of dimensions, or holds what is no whole number from 0 to 255.
    """
    if isinstance(arrays, (str, bytes)) or not isinstance(arrays, Iterable):
        raise InputError(f"recordings must be arrays [T, M], n of them, not {type(arrays).__name__}")
    return [_bins(np.asarray(each), position) for position, each in enumerate(arrays)]


def _bins(array: NDArray[Any], position: int) -> NDArray[np.uint8]:
    if array.ndim not in (2, 4) or not array.size:
        raise InputError(
            f"recording {position} must be an array [T, M] or [T, channels, height, width] of a step or more, not "
            f"{list(array.shape)}"
        )
    if array.dtype.kind not in "biu":
        raise InputError(
            f"recording {position} must hold whole numbers of spikes a bin, not {array.dtype}; round them"
        )
    if array.min() < 0 or array.max() > 255:
        raise InputError(
            f"recording {position} holds {array.min() if array.min() < 0 else array.max()} in a bin; bins hold from 0 "
            "to 255 spikes"
        )
    return array.astype(np.uint8)


def sheet_of(bins: Sequence[NDArray[np.uint8]]) -> tuple[int, int, int]:
    """Channels, height and width that all recordings have: ``M`` inputs in a row where they are ``[T, M]``.

    Raises:
        InputError: there are none, or they differ.
    """
    shapes = {each.shape[1:] for each in bins}
    if len(shapes) != 1:
        found = "there are none" if not shapes else f"they have {', '.join(map(str, sorted(shapes)))}"
        raise InputError(f"recordings must be one or more and have the same inputs, but {found}")
    (shape,) = shapes
    return (1, 1, shape[0]) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def in_order(bins: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Recordings as ``[T, M]``, inputs in the order of :class:`gemsnn.types.Layout`."""
    for each in bins:
        yield each if each.ndim == 2 else each.transpose(0, 3, 2, 1).reshape(len(each), -1)


def fitting(arrays: Arrays, layout: Layout) -> Iterator[NDArray[np.uint8]]:
    """Recordings as ``[T, M]``, of inputs that lie like this.

    Raises:
        InputError: see :func:`bins_of`, or they have other inputs.
    """
    for position, each in enumerate(bins_of(arrays)):
        wanted = (layout.inputs,) if each.ndim == 2 else (layout.channels, layout.height, layout.width)
        if each.shape[1:] != wanted:
            raise InputError(
                f"recording {position} has the inputs {list(each.shape[1:])} and the network {list(wanted)}; give the "
                "data it was made for"
            )
        yield from in_order([each])


def classes_of(labels: Any, names: Sequence[str] | None) -> tuple[list[int], tuple[str, ...] | None]:
    """Labels as classes from 0 on, and the classes' names, where labels are names.

    Args:
        labels: whole numbers, or texts.
        names: of the classes, in their order; by default, of texts, all that occur, sorted.

    Raises:
        InputError: they are neither, or a text is no name.
    """
    given = np.asarray(labels)
    if given.ndim != 1:
        raise InputError(f"labels must be one a recording, [n], not {list(given.shape)}")
    if names is not None and len(set(names)) != len(names):
        raise InputError(f"names must differ from each other, not be {', '.join(names)}")
    if given.dtype.kind == "U":
        known = tuple(sorted(set(given.tolist()))) if names is None else tuple(names)
        missing = [label for label in given.tolist() if label not in known]
        if missing:
            raise InputError(f"labels must be among the names {', '.join(known)}, and {missing[0]!r} is not")
        return [known.index(label) for label in given.tolist()], known
    if given.dtype.kind not in "iu" and len(given):
        raise InputError(f"labels must be whole numbers or texts, not {given.dtype}")
    return [int(label) for label in given], None if names is None else tuple(names)
