"""Samples as users of scikit-learn give them, checked by its conventions: recordings of bins or events, and labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite, check_array, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from gemsnn.data import arrays
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputValueError


class Samples(NamedTuple):
    """Recordings of one kind.

    Attributes:
        each: one by one: arrays of events, or bins ``[T, M]`` or ``[T, channels, height, width]`` of whole numbers.
        are_events: which of them.
    """

    each: list[Any]
    are_events: bool

    @property
    def features(self) -> int | None:
        """Inputs of the first; ``None`` of events, of which the sensor tells them."""
        return None if self.are_events else int(np.prod(np.shape(self.each[0])[1:]))

    def cut(self, steps: int | None) -> Samples:
        """The same with at most so many bins each; events are cut where they are binned."""
        if steps is None or self.are_events:
            return self
        return self._replace(each=[bins[:steps] for bins in self.each])


def samples(X: Any, estimator: object) -> Samples:
    """What an estimator is given as ``X``.

    Args:
        X: an array ``[n, T, M]`` or ``[n, T, channels, height, width]``, or a list (or an array of objects) of
            recordings of bins of any lengths, or of arrays of events.
        estimator: named in messages.

    Raises:
        ValueError: it has another number of dimensions, or holds NaN, infinity, text, complex numbers, or what is no
            whole number; or there are no recordings.
        TypeError: it is sparse.
    """
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        X = list(X)
    if isinstance(X, (list, tuple)):
        if len(X) and all(map(arrays.is_events, X)):
            return Samples(list(X), are_events=True)
        found = [_array(each) for each in X]
        if any(each.ndim > 1 for each in found):
            return Samples([_whole(each, f"X[{n}]", estimator) for n, each in enumerate(found)], False)
    checked = check_array(X, dtype="numeric", allow_nd=True, estimator=estimator, input_name="X")
    if checked.ndim not in (3, 5):
        raise InputValueError(
            f"Expected 3D array of bins [n, T, M], got {checked.ndim}D array of the shape {list(checked.shape)}; give "
            "spikes by recording, bin and input, or a list of recordings [T, M]"
        )
    return Samples(list(_whole(checked, "X", estimator)), are_events=False)


def _array(given: Any) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InputValueError(
            f"a recording must be an array [T, M], and its rows differ in length ({error})"
        ) from None


def _whole(array: NDArray[Any], where: str, estimator: object) -> NDArray[Any]:
    """An array of numbers as one of whole numbers: the steps of a pipeline make floats of everything."""
    if array.dtype.kind != "f":
        return array
    assert_all_finite(array, estimator_name=type(estimator).__name__, input_name=where)
    if (array != np.rint(array)).any() or abs(array).max(initial=0) > 255:
        odd = array[(array != np.rint(array)) | (abs(array) > 255)][0]
        raise InputValueError(
            f"{where} must hold whole numbers of spikes a bin, up to 255, and holds {odd}; round it, or make spikes of "
            "it first"
        )
    return array.astype(np.int64)


def labels(y: Any, estimator: object) -> NDArray[Any]:
    """What an estimator is given as ``y``, one label a recording.

    Raises:
        ValueError: there are none, they hold NaN or infinity, or are no classes.
    """
    if y is None:
        raise InputValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    found = column_or_1d(y, warn=True)
    if found.dtype.kind == "f":
        assert_all_finite(found, estimator_name=type(estimator).__name__, input_name="y")
    check_classification_targets(found)
    return found


def numbered(y: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Labels as positions among classes, which are sorted.

    Raises:
        ValueError: a label is none of them.
    """
    found = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    if (classes[found] != y).any():
        odd = y[classes[found] != y].tolist()[0]
        raise InputValueError(
            f"y holds the label {odd!r}, and the classes are {', '.join(map(repr, classes.tolist()))}"
        )
    return found.astype(np.int64)


def names(classes: Iterable[Any]) -> tuple[str, ...]:
    """What a model calls classes."""
    return tuple(map(str, classes))


def addressed(recordings: SpikeSet) -> SpikeSet:
    """The same, each with an address that its spikes tell: what noise it meets does not depend on its place."""
    told = [int(recordings.recording(n).digest()[:15], 16) for n in range(len(recordings))]  # 60 of 63 bits
    return replace(recordings, address=np.array(told, np.int64))


def seed_of(random_state: Any) -> int:
    """A whole number as it is, else one from a generator, or from numpy's.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
