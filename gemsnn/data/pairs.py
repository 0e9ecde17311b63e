"""Recordings with what they teach: pairs of one and its label, or of one and the target of its output neurons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gemsnn.data.arrays import items
from gemsnn.data.trains import train_of, trains_of
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows

LABELS = "labels must be whole numbers or texts"
SOME_OF_EACH = "recordings must all have labels or all have targets, and these have some of each"


def is_pair(given: Any) -> bool:
    """Whether this is a recording with its label, or with its target ``[T, V]``."""
    return type(given) in (tuple, list) and len(given) == 2 and _dimensions(given[1]) in (0, 2)


def _dimensions(given: Any) -> int:
    """Those of an array or a tensor; of a list one, for its entries are not looked at; of a number or text none."""
    return getattr(given, "ndim", 1 if isinstance(given, (list, tuple)) else 0)


def apart(given: Any, position: int) -> tuple[Any, Any]:
    """A recording, and its label, or as :class:`~gemsnn.rows.SpikeRows` its target.

    Raises:
        InputError: it comes alone, or its target is none.
    """
    if not is_pair(given):
        raise InputError(
            f"recording {position} comes without a label; give labels, or pairs of a recording and its label"
        )
    recording, taught = given
    alone = _dimensions(taught) == 0
    return recording, np.asarray(taught)[()] if alone else train_of(taught, position)


def bare(recordings: Any) -> Iterator[Any]:
    """Recordings one by one, without what they may come with."""
    return (item[0] if is_pair(item) else item for item in items(recordings))


def with_taught(recordings: Any, labels: Any, targets: Any = None) -> tuple[Iterator[Any], Any]:
    """Recordings one by one, and what they teach: what is given, or what pairs hold, complete once they are through.

    Args:
        recordings: or pairs.
        labels: of them; ``None`` where they come in pairs, or with targets.
        targets: what output neurons are to spike, which come out as :class:`~gemsnn.rows.SpikeRows`.

    Raises:
        InputError: see :func:`apart`; or there are labels and targets.
    """
    if targets is not None:
        if labels is not None:
            raise InputError("targets say what is learned, and so do labels; give one of them")
        return items(recordings), trains_of(targets)
    if labels is not None:
        return items(recordings), labels if hasattr(labels, "__len__") else list(items(labels, LABELS))
    found: list[Any] = []

    def each() -> Iterator[Any]:
        for position, item in enumerate(items(recordings)):
            recording, told = apart(item, position)
            found.append(told)
            yield recording

    return each(), found


def are_targets(taught: Any) -> bool:
    """Whether recordings teach spike trains, and not classes.

    Raises:
        InputError: some teach the one and some the other.
    """
    kinds = {isinstance(each, SpikeRows) for each in taught}
    if len(kinds) > 1:
        raise InputError(SOME_OF_EACH)
    return kinds == {True}
