"""What functions of pictures are given: the library's own objects, or plain arrays, numbers and mappings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import EVENT, Events, Recording, check_events
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows

Row = Any
"""Scores as an object with fields, or as a mapping, as ``metrics.json`` has them."""


class Sensor(Protocol):
    """How inputs lie: input ``c + channels * (x * height + y)`` is channel c of the pixel (x, y)."""

    @property
    def channels(self) -> int:
        """1, or 2 for OFF and ON."""
        ...

    @property
    def height(self) -> int:
        """Rows of pixels."""
        ...

    @property
    def width(self) -> int:
        """Columns of pixels."""
        ...


def at(row: Row, name: str) -> Any:
    """A field of scores; ``None`` where there is none."""
    return row.get(name) if isinstance(row, Mapping) else getattr(row, name, None)


def column(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    """One number a row, NaN (a gap in a line) where it is missing."""
    return np.array([np.nan if at(row, name) is None else at(row, name) for row in rows], dtype=float)


def rows_of(scores: Row, name: str) -> list[Row]:
    """Rows of scores by their name, or what is given as rows already.

    Raises:
        InputError: there are none.
    """
    has_fields = isinstance(scores, Mapping) or not hasattr(scores, "__len__")
    found = at(scores, name) if has_fields else scores
    if found is None or not len(found):
        raise InputError(f"the scores hold no {name}; give those of gemsnn.score, or a run's metrics.json")
    return list(found)


def array(values: Any, axes: str, name: str = "spikes") -> NDArray[Any]:
    """Numbers as an array with these axes, from an array, a tensor, rows of spikes or lists.

    Raises:
        InputError: it has another number of axes, or is empty along one of them.
    """
    if isinstance(values, SpikeRows):
        values = values.dense()
    found = np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)
    if found.ndim != len(axes) or found.dtype.kind not in "biuf":
        raise InputError(
            f"{name} must be numbers [{', '.join(axes)}], not {list(found.shape)} of {found.dtype}; give one recording"
        )
    return found


def on_sensor(values: NDArray[Any], sensor: Sensor) -> NDArray[np.float64]:
    """Numbers of inputs ``[.., M]`` as pictures ``[.., height, width, channels]``.

    Raises:
        InputError: the sensor has other inputs.
    """
    channels, height, width = sensor.channels, sensor.height, sensor.width
    if values.shape[-1] != channels * height * width:
        raise InputError(
            f"a sensor of {width} x {height} pixels and {channels} channels has {channels * height * width} inputs, "
            f"not {values.shape[-1]}; give the layout of these recordings"
        )
    lead = values.ndim - 1
    found = values.astype(float).reshape(*values.shape[:-1], width, height, channels)
    return found.transpose(*range(lead), lead + 1, lead, lead + 2)


def is_events(given: Any) -> bool:
    """Whether these are events, or a recording of them, and not bins."""
    return isinstance(given, Recording) or getattr(given, "dtype", None) == EVENT


def events_of(given: Any, sensor: tuple[int, int] | None) -> tuple[Events, int, int]:
    """Events in order of time with the width and height of their sensor, from a recording or from an array.

    Raises:
        InputError: an event lies outside the sensor.
    """
    if isinstance(given, Recording):
        return given.events, given.width, given.height
    width, height = sensor or (int(given["x"].max(initial=0)) + 1, int(given["y"].max(initial=0)) + 1)
    check_events(given, width, height, "the events")
    return given, width, height


def counted(events: Events, width: int, height: int) -> NDArray[np.float64]:
    """Events as a picture ``[height, width, 2]`` of their numbers, OFF and ON."""
    place = (events["y"].astype(np.int64) * width + events["x"]) * 2 + events["on"]
    return np.bincount(place, minlength=height * width * 2).reshape(height, width, 2).astype(float)
