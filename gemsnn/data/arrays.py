"""Arrays of a person's own as recordings: their spikes, bin by bin, and their labels as classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import Recording
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows

Arrays = Any
"""An array ``[n, T, M]`` or ``[n, T, channels, height, width]``, or an iterable of such recordings of any lengths."""

Labels = Sequence[int] | Sequence[str] | NDArray[Any] | None
"""The class of each recording, whole numbers from 0 on or texts; ``None`` where recordings come as pairs with them."""

Sheet = tuple[int, int, int]
"""Channels, height and width."""


def is_events(given: object) -> bool:
    """Whether this is a recording of events, and not one of bins."""
    return isinstance(given, Recording) or (isinstance(given, np.ndarray) and given.dtype.names is not None)


def items(given: Any, what: str = "recordings must be arrays or events") -> Iterator[Any]:
    """What an iterable gives, or a sequence by its positions, one at a time; ``what`` is for the refusal of others.

    Raises:
        InputError: it is neither.
    """
    if is_events(given):
        raise InputError("recordings must be several, and this is one of events; give it in a list")
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        return iter(given)
    if hasattr(given, "__getitem__") and not isinstance(given, (str, bytes)):
        return (given[position] for position in range(len(given)))
    raise InputError(f"{what}, several of them, not {type(given).__name__}")


def transformed(recordings: Iterable[Any], transform: Callable[[Any], Any] | None) -> Iterable[Any]:
    """What a transform makes of recordings, one at a time.

    Raises:
        InputError: it is none.
    """
    if transform is None:
        return recordings
    if not callable(transform):
        raise InputError(f"transform must be a function of a recording, not {type(transform).__name__}")
    return map(transform, recordings)


def rows_of(recordings: Iterable[Any], *, counts: bool) -> tuple[list[SpikeRows], Sheet]:
    """Recordings held sparsely, taken one at a time, and how their inputs lie; see :func:`sparse`.

    Raises:
        InputError: see :func:`sparse`; or there are none.
    """
    rows: list[SpikeRows] = []
    sheet: Sheet | None = None
    for position, given in enumerate(recordings):
        found, sheet = sparse(given, f"recording {position}", sheet, counts=counts)
        rows.append(found)
    if sheet is None:
        raise InputError("recordings must be one or more, but there are none")
    return rows, sheet


def sparse(given: Any, where: str, sheet: Sheet | None, *, counts: bool) -> tuple[SpikeRows, Sheet]:
    """A recording of bins, sparsely, and how its inputs lie: in a row where it is ``[T, M]``.

    Args:
        given: the recording.
        where: names it, for messages.
        sheet: how those of others lie; ``None`` for the first.
        counts: whether bins hold numbers of events.

    Raises:
        InputError: see :func:`bins_of`; or it has other inputs, or a bin holds more than 1 where they do not count.
    """
    bins = bins_of(given, where)
    channels, height, width = bins.shape[1:] if bins.ndim == 4 else (1, 1, bins.shape[1])
    if sheet is not None and (channels, height, width) != sheet:
        raise InputError(
            f"recordings must have the same inputs, and {where} has {list(bins.shape[1:])} where those before it have "
            f"{list(sheet if sheet[:2] != (1, 1) else sheet[2:])}"
        )
    flat = bins if bins.ndim == 2 else bins.transpose(0, 3, 2, 1).reshape(len(bins), -1)
    rows = SpikeRows.of(flat)
    if not counts and rows.counts is not None:
        raise InputError(f"{where} holds {rows.sizes.max()} in a bin; bins are 0 or 1 unless counts is set")
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
    given = np.asarray(labels)
    if given.ndim != 1:
        found = list(given.shape) if given.ndim else repr(labels)
        raise InputError(f"labels must be one a recording, [n], not {found}")
    if isinstance(names, str):
        raise InputError(f"names must be a list of texts, one a class, not {names!r}")
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
    if len(given) and given.min() < 0:
        raise InputError(f"labels must be at least 0, and {given.min()} is not")
    return [int(label) for label in given], None if names is None else tuple(names)
