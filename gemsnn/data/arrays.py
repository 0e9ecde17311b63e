"""Arrays of a person's own as recordings: their spikes, bin by bin, and their labels as classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import Recording
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.types import Layout

Arrays = Any
"""An array ``[n, T, M]`` or ``[n, T, channels, height, width]``, or an iterable of such recordings of any lengths."""

Labels = Sequence[int] | Sequence[str] | NDArray[Any] | None
"""The class of each recording, whole numbers from 0 on or texts; ``None`` where recordings come as pairs with them."""

Sheet = tuple[int, int, int]
"""Channels, height and width."""


def is_events(given: object) -> bool:
    """Whether this is a recording of events, and not one of bins."""
    return isinstance(given, Recording) or (isinstance(given, np.ndarray) and given.dtype.names is not None)


def items(given: Any) -> Iterator[Any]:
    """What an iterable gives, or a sequence by its positions, one at a time.

    Raises:
        InputError: it is neither.
    """
    if is_events(given):
        raise InputError("recordings must be several, and this is one of events; give it in a list")
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        return iter(given)
    if hasattr(given, "__getitem__") and not isinstance(given, (str, bytes)):
        return (given[position] for position in range(len(given)))
    raise InputError(f"recordings must be arrays or events, several of them, not {type(given).__name__}")


def bare(recordings: Any) -> Iterator[Any]:
    """Recordings one by one, without the labels that they may come with."""
    return (item[0] if is_pair(item) else item for item in items(recordings))


def is_pair(given: Any) -> bool:
    """Whether this is a recording with its label, or with its target ``[T, V]``."""
    return type(given) in (tuple, list) and len(given) == 2 and dimensions(given[1]) in (0, 2)


def dimensions(given: Any) -> int:
    """Those of an array or a tensor; of a list, one, for its entries are not looked at; of a scalar none."""
    return getattr(given, "ndim", 1 if isinstance(given, Sequence) and not isinstance(given, str) else 0)


def apart(recordings: Any, taught: Any) -> tuple[Iterator[Any], Any]:
    """Recordings one by one, and what they are taught: what is given, or what pairs hold, once they are through.

    Args:
        recordings: or pairs of a recording and its label or target.
        taught: labels; ``None`` where they come in pairs.

    Returns:
        The recordings, and the labels, or as :class:`~gemsnn.rows.SpikeRows` the targets.

    Raises:
        InputError: nothing is given, and a recording comes alone.
    """
    if taught is not None:
        return items(recordings), taught if hasattr(taught, "__len__") else list(taught)
    found: list[Any] = []

    def each() -> Iterator[Any]:
        for position, item in enumerate(items(recordings)):
            if not is_pair(item):
                raise InputError(
                    f"recording {position} comes without a label; give labels, or pairs of a recording and its label"
                )
            label = item[1]
            trained = dimensions(label) == 2
            found.append(train_of(label, f"target {position}") if trained else np.asarray(label)[()])
            yield item[0]

    return each(), found


def trains_of(targets: Any) -> list[SpikeRows]:
    """Targets held sparsely, ``[T, V]`` each, taken one at a time; those that are already stay.

    Raises:
        InputError: see :func:`train_of`.
    """
    return [
        each if isinstance(each, SpikeRows) else train_of(each, f"target {position}")
        for position, each in enumerate(items(targets))
    ]


def train_of(given: Any, where: str) -> SpikeRows:
    """What output neurons are to spike, ``[T, V]``.

    Raises:
        InputError: it has another number of dimensions, or holds what is neither 0 nor 1.
    """
    bins = bins_of(given, where)
    if bins.ndim != 2 or bins.max() > 1:
        raise InputError(
            f"{where} must be an array [T, V] of 0 and 1, what each output neuron is to do in each bin, not "
            f"{list(bins.shape)} of numbers up to {bins.max()}"
        )
    return SpikeRows.of(bins)


def rows_of(recordings: Iterable[Any]) -> tuple[list[SpikeRows], Sheet]:
    """Recordings held sparsely, taken one at a time, and how their inputs lie: in a row where they are ``[T, M]``.

    Raises:
        InputError: see :func:`bins_of`; or there are none, or their inputs differ.
    """
    rows: list[SpikeRows] = []
    shape = ()
    for position, given in enumerate(recordings):
        bins = bins_of(given, f"recording {position}")
        if rows and bins.shape[1:] != shape:
            raise InputError(
                f"recordings must have the same inputs, and recording {position} has {list(bins.shape[1:])} where "
                f"those before it have {list(shape)}"
            )
        shape = bins.shape[1:]
        rows.append(SpikeRows.of(_flat(bins)))
    if not rows:
        raise InputError("recordings must be one or more, but there are none")
    channels, height, width = shape if len(shape) == 3 else (1, 1, *shape)
    return rows, (channels, height, width)


def bins_of(given: Any, where: str) -> NDArray[np.uint8]:
    """A recording as an array of uint8 of its own shape, ``[T, M]`` or ``[T, channels, height, width]``.

    Raises:
        InputError: it has another number of dimensions, or holds what is no whole number from 0 to 255.
    """
    try:
        array = np.asarray(given)
    except ValueError:
        raise InputError(f"{where} must be an array, and its rows differ in length") from None
    if array.ndim not in (2, 4) or not array.size:
        raise InputError(
            f"{where} must be an array [T, M] or [T, channels, height, width] of a step or more, not "
            f"{list(array.shape)}"
        )
    if array.dtype.kind not in "biu":
        raise InputError(f"{where} must hold whole numbers of spikes a bin, not {array.dtype}; round them")
    if array.min() < 0 or array.max() > 255:
        raise InputError(
            f"{where} holds {array.min() if array.min() < 0 else array.max()} in a bin; bins hold from 0 to 255 spikes"
        )
    return array.astype(np.uint8)


def _flat(bins: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A recording as ``[T, M]``, inputs in the order of :class:`gemsnn.types.Layout`."""
    return bins if bins.ndim == 2 else bins.transpose(0, 3, 2, 1).reshape(len(bins), -1)


def fitting(given: Any, layout: Layout, where: str) -> NDArray[np.uint8]:
    """A recording as ``[T, M]``, of inputs that lie like this.

    Raises:
        InputError: see :func:`bins_of`, or it has other inputs.
    """
    bins = bins_of(given, where)
    wanted = (layout.inputs,) if bins.ndim == 2 else (layout.channels, layout.height, layout.width)
    if bins.shape[1:] != wanted:
        raise InputError(
            f"{where} has the inputs {list(bins.shape[1:])} and the network {list(wanted)}; give the data it was made "
            "for"
        )
    return _flat(bins)


def numbered(
    labels: Any, names: Sequence[str] | None, classes: int | None
) -> tuple[list[int], tuple[str, ...] | None, int]:
    """Labels as classes from 0 on, the classes' names, and how many there are: as told, or as many as occur.

    Raises:
        InputError: see :func:`classes_of`; or there are other classes than names.
    """
    found, known = classes_of(labels, names)
    if known is not None and classes not in (None, len(known)):
        raise InputError(f"classes must be {len(known)}, one a name, or left out, not {classes}")
    many = classes if known is None else len(known)
    return found, known, max(found, default=0) + 1 if many is None else many


def classes_of(labels: Any, names: Sequence[str] | None) -> tuple[list[int], tuple[str, ...] | None]:
    """Labels as classes from 0 on, and the classes' names, where labels are names.

    Args:
        labels: whole numbers, or texts.
        names: of the classes, in their order; by default, of texts, all that occur, sorted.

    Raises:
        InputError: they are neither, or a text is no name.
    """
    if any(isinstance(label, SpikeRows) for label in labels):
        raise InputError("labels must be whole numbers or texts, one a recording, and some are arrays")
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
