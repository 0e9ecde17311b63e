"""Whether what a set of recordings is made of fits together; each check passes in silence or raises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gemsnn.data import trains
from gemsnn.data.tally import Tally
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.types import Layout

if TYPE_CHECKING:
    from gemsnn.data.spikeset import SpikeSet


def check(spikes: SpikeSet) -> None:
    """Raise :class:`InputError` unless the arrays of a set fit one another, the classes and the inputs."""
    count = len(spikes.labels)
    for name, shape in (("labels", (count,)), ("address", (count,)), ("starts", (count + 1,))):
        found = getattr(spikes, name).shape
        if found != shape:
            raise InputError(
                f"{name} must have the shape {list(shape)} for {count} labels, not {list(found)}"
            )
    if spikes.rows.inputs != spikes.layout.inputs:
        raise InputError(
            f"rows must be of the {spikes.layout.inputs} inputs of the layout, not of {spikes.rows.inputs}"
        )
    if not spikes.counts and spikes.rows.counts is not None:
        raise InputError("rows must not hold numbers of events unless counts is set")
    if spikes.starts[0] != 0 or spikes.starts[-1] != len(spikes.rows) or np.any(np.diff(spikes.starts) < 1):
        raise InputError(
            f"starts must rise from 0 to the {len(spikes.rows)} steps of rows, a step or more a recording"
        )
    if count and not (spikes.labels.min() >= 0 and spikes.labels.max() < spikes.layout.classes):
        worst = spikes.labels.max() if spikes.labels.max() >= spikes.layout.classes else spikes.labels.min()
        raise InputError(
            f"labels must lie in 0 .. {spikes.layout.classes - 1}: the label {worst} is out of range"
        )
    if count and spikes.address.min() < 0:
        raise InputError(f"address must not be negative, and {spikes.address.min()} is")

    shape = (len(spikes.labels), len(Tally._fields))
    if spikes.tallies is not None and spikes.tallies.shape != shape:
        raise InputError(f"tallies must have the shape {list(shape)}, not {list(spikes.tallies.shape)}")
    if spikes.names is not None and len(set(spikes.names)) != spikes.layout.classes:
        raise InputError(f"{spikes.layout.classes} classes need as many different names, not {spikes.names}")
    if spikes.targets is not None and (
        (len(spikes.targets), spikes.targets.inputs) != (len(spikes.rows), spikes.layout.classes)
        or spikes.targets.counts is not None
    ):
        raise InputError(
            f"targets must be of the {len(spikes.rows)} steps of rows and {spikes.layout.classes} neurons, "
            "without counts"
        )
    if spikes.reading is not None and (spikes.reading.layout, spikes.reading.counts) != (
        spikes.layout,
        spikes.counts,
    ):
        raise InputError(
            f"reading must be of the layout {spikes.layout} and its counts, not {spikes.reading}"
        )


def rows_of(spikes: Any, position: int, layout: Layout, *, counts: bool) -> SpikeRows:
    """A recording of a set, densely uint8 ``[T, M]`` or as rows already, as rows.

    Raises:
        InputError: it has the wrong type, shape or range.
    """
    if isinstance(spikes, SpikeRows):
        found = spikes
    elif isinstance(spikes, np.ndarray) and spikes.dtype == np.uint8 and spikes.ndim == 2:
        found = SpikeRows.of(spikes)
    else:
        raise InputError(f"recording {position} of bins must be an array of uint8 [T, M]")
    if found.inputs != layout.inputs:
        raise InputError(
            f"recording {position} of bins has {found.inputs} inputs where {layout.inputs} are expected"
        )
    if not counts and found.counts is not None:
        raise InputError(
            f"recording {position} of bins holds {found.sizes.max()} in a bin; bins are 0 or 1 unless counts is set"
        )
    return found


def check_targets(targets: Sequence[SpikeRows], rows: Sequence[SpikeRows], neurons: int) -> None:
    """Raise :class:`InputError` unless each recording has a target of its length, all of as many neurons."""
    if len(targets) != len(rows):
        raise InputError(f"targets must be as many as the {len(rows)} recordings, not {len(targets)}")
    for position, (target, spikes) in enumerate(zip(targets, rows, strict=True)):
        trains.check_fits(target, position, len(spikes), neurons)
