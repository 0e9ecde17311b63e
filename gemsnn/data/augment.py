"""Augmentation: in every epoch each recording comes a little different, as its scene and its sensor might have made it.

A setting is the most that may happen, and how much of it does is drawn for each recording and epoch; of ``flip`` and
``swap_polarity`` it is the share of the recordings. Below ``u`` is uniform in [0, 1) and ``v`` in [-1, 1), drawn anew
wherever they stand, ``D`` is how long a presentation lasts and ``W x H`` the sensor. What is on is done in this order,
the scene's changes first, then what is lost on the way, then the noise:

1. ``flip``: ``x <- W - 1 - x`` where ``u < flip``.
2. ``rotate``: the scene turns about the middle of the sensor, ``(W / 2, H / 2)``, by ``v rotate`` degrees, and
3. ``zoom``: it grows or shrinks from there by the factor ``(1 + zoom)^v``, so smaller as often as larger. An event
   tells its pixel, not where in that pixel the light changed: its place is uniform there, ``(x + u, y + u')``, anew for
   each event, and what it comes to is the pixel it falls into. So a scene that grows has no holes between its pixels.
   What leaves the sensor is lost. Neither happens to a row of channels.
4. ``shift``: ``x <- x + dx``, ``y <- y + dy``, each uniform in the whole numbers ``-shift .. shift``; what leaves the
   sensor is lost. It follows the flip, so that both are changes of the same scene; its distribution would be the same
   before it. In a direction in which the sensor has one pixel there is no shift: a row of channels stays a row.
5. ``swap_polarity``: ON becomes OFF and OFF becomes ON, of the whole recording, where ``u < swap_polarity``. That is
   the negative of the scene, a dark thing before a light ground. Single events are left their sign: it tells which of
   a pixel's two comparators fired, and no sensor takes one for the other.
6. ``time_stretch``: ``t <- floor(f t)`` with ``f = (1 + time_stretch)^v``, so slower as often as faster.
7. ``time_shift``: ``t <- t + round(v time_shift D)``; what then lies before ``t = 0`` is lost. It follows the stretch,
   which keeps ``t = 0`` in its place.
8. ``drop_region``: what falls into a rectangle of the share ``a = u drop_region`` of the sensor is lost. Its sides are
   ``sqrt(a) W`` and ``sqrt(a) H`` pixels, rounded; of a row of channels, ``a W`` of them. Its place is uniform. It
   follows the shift and stands still: something is before the camera.
9. ``drop_pixels``: each pixel (of a row, each channel) tells nothing with probability ``u drop_pixels``, of either
   polarity. It follows the shift and stands still: these are the sensor's dead pixels.
10. ``drop_time``: what falls into ``u drop_time D`` microseconds is lost; their beginning is uniform. It follows the
    changes of time, so that the share is one of the presentation.
11. ``drop_events``: each event is lost with probability ``u drop_events``.
12. ``noise_events``: Poisson many come in, ``u noise_events n`` on average, of uniform time in ``[0, D)``, pixel and
    polarity; ``n`` is how many events the recording itself has before ``D``. They come last: a sensor makes noise where
    something covers the scene too, and none of it is the scene's, to be moved with it.

Dropping events, times and areas follows F. Gu, W. Sng, X. Hu and F. Yu, "EventDrop: Data Augmentation for Event-based
Learning", IJCAI 2021 (arXiv 2106.05836).

Every operation draws from a stream of its own, addressed by the seed, the operation, the epoch and the recording
(:mod:`gemsnn.rng`): nothing depends on batches, their order or what else is on, and the same event is dropped whatever
was done to it before.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn import rng
from gemsnn.data.events import EVENT, Events
from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import Range, Share
from gemsnn.specs.needs import needs, one_of
from gemsnn.types import LARGEST_SIDE

LONGEST_US = 2**53
"""No recording is longer (285 years): its times are whole numbers in double precision too."""


@dataclass(frozen=True)
class AugmentSpec:
    """What is changed in recordings before they are learned; by default nothing.

    Attributes:
        shift: up to so many pixels in each direction, x and y independently.
        rotate: turned by up to so many degrees, either way round.
        zoom: smaller or larger by up to this factor: 0.25 makes sizes 0.8 to 1.25 times as large.
        flip: share of the recordings that are mirrored, left to right; for classes that are the same in a mirror.
        swap_polarity: share of the recordings whose ON and OFF events change places, as in the scene's negative.
        time_stretch: slower or faster by up to this factor: 0.25 makes times 0.8 to 1.25 times as long.
        time_shift: earlier or later by up to this share of a presentation.
        drop_region: up to this share of the sensor is blanked, a rectangle.
        drop_pixels: up to this share of the pixels (or channels) is dead, each by chance.
        drop_time: up to this share of a presentation is blanked, in one piece.
        drop_events: up to this share of the events is lost, each by chance.
        noise_events: random events come in, up to this share of the recording's own number.
    """

    shift: Annotated[int, Range(0, LARGEST_SIDE)] = 0
    rotate: Annotated[float, Range(0, 180)] = 0.0
    zoom: Annotated[float, Range(0, 10)] = 0.0
    flip: Share = 0.0
    swap_polarity: Annotated[Share, needs(one_of("polarity", "two"))] = 0.0
    time_stretch: Annotated[float, Range(0, 10)] = 0.0
    time_shift: Share = 0.0
    drop_region: Share = 0.0
    drop_pixels: Share = 0.0
    drop_time: Share = 0.0
    drop_events: Share = 0.0
    noise_events: Annotated[float, Range(0, 10)] = 0.0

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)

    @property
    def on(self) -> tuple[str, ...]:
        """The settings that change recordings."""
        return tuple(item.name for item in dataclasses.fields(self) if getattr(self, item.name))

    @property
    def is_on(self) -> bool:
        """Whether anything is changed."""
        return self != OFF


OFF = AugmentSpec()
"""Recordings as they are."""


class Frame(NamedTuple):
    """What events lie in: the sensor in pixels, and how long a presentation lasts, in microseconds."""

    width: int
    height: int
    duration_us: int


class _Columns(NamedTuple):
    """The events as far as they are changed: columns ``[n]`` of all there were, and which are left (None: all)."""

    t: NDArray[np.int64]
    x: NDArray[np.int16]
    y: NDArray[np.int16]
    on: NDArray[np.bool_]
    kept: NDArray[np.bool_] | None = None

    def keep(self, kept: NDArray[np.bool_]) -> _Columns:
        """Those of the events left for which ``kept [n]`` is true."""
        return self._replace(kept=kept if self.kept is None else self.kept & kept)


def augmented(
    events: Events,
    spec: AugmentSpec,
    *,
    width: int,
    height: int,
    duration_us: int,
    seed: int,
    epoch: int,
    address: int,
) -> Events:
    """The events of one recording, as they are learned in one epoch; the module has the equations.

    Args:
        events: in order of time, from ``t = 0`` on, on the sensor; they are left as they are.
        spec: what is changed.
        width: sensor width in pixels.
        height: sensor height in pixels.
        duration_us: how long a presentation lasts, D, in microseconds.
        seed: the user's seed.
        epoch: the pass over the data.
        address: the recording's own number; with seed and epoch it addresses all that is drawn.

    Returns:
        Events in order of time, from ``t = 0`` on and on the sensor; of equal times, noise comes last. Some may lie
        beyond D, as they may in any recording: the bins end there. Where nothing is changed, the events themselves.

    Raises:
        InputError: these are no events, or a size or the duration is out of range.
    """
    if not isinstance(events, np.ndarray) or events.dtype != EVENT or events.ndim != 1:
        raise InputError(f"events must be a 1-d array of dtype {EVENT}")
    if not spec.is_on:
        return events
    frame = Frame(
        checks.number(width, _Side, "width"),
        checks.number(height, _Side, "height"),
        checks.number(duration_us, _Duration, "duration_us"),
    )

    def random(name: str) -> np.random.Generator:
        return rng.generator(seed, "augment", name, epoch, address)

    columns = _Columns(*(events[name] for name in EVENT.names or ()))
    changed = columns
    for name, change in _CHANGES.items():
        if most := getattr(spec, name):
            changed = change(changed, most, frame, random(name))
    left = _assembled(events, columns, changed)
    if not spec.noise_events:
        return left
    own = int(np.searchsorted(columns.t, frame.duration_us))
    return _merged(left, _noise(own, spec.noise_events, frame, random("noise_events")))


_Side = Annotated[int, Range(1, LARGEST_SIDE)]
_Duration = Annotated[int, Range(0, LONGEST_US)]
_Change = Callable[[_Columns, float, Frame, np.random.Generator], _Columns]


def _flip(columns: _Columns, most: float, frame: Frame, random: np.random.Generator) -> _Columns:
    if random.random() >= most:
        return columns
    return columns._replace(x=np.int16(frame.width - 1) - columns.x)


def _rotate(columns: _Columns, most: float, frame: Frame, random: np.random.Generator) -> _Columns:
    angle = math.radians(random.uniform(-1, 1) * most)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return _mapped(columns, turn, frame, random)


def _zoom(columns: _Columns, most: float, frame: Frame, random: np.random.Generator) -> _Columns:
    return _mapped(columns, (1 + most) ** random.uniform(-1, 1) * np.eye(2), frame, random)


def _mapped(
    columns: _Columns, matrix: NDArray[np.float64], frame: Frame, random: np.random.Generator
) -> _Columns:
    """Places ``[2]`` from the middle of the sensor times a matrix ``[2, 2]``."""
    sides = np.array((frame.width, frame.height))
    if sides.min() == 1:
        return columns
    within = random.random((2, len(columns.t)))
    places = np.stack((columns.x, columns.y)) + within - sides[:, None] / 2
    # far beyond the sensor is off it as well, and has room in the type
    x, y = np.clip(np.floor(matrix @ places + sides[:, None] / 2), -1, LARGEST_SIDE).astype(np.int32)
    inside = (x.view(np.uint32) < frame.width) & (y.view(np.uint32) < frame.height)
    return columns._replace(x=x, y=y).keep(inside)


def _shift(columns: _Columns, most: float, frame: Frame, random: np.random.Generator) -> _Columns:
    by = random.integers(-int(most), int(most), size=2, endpoint=True).tolist()
    for name, move, side in zip(("x", "y"), by, (frame.width, frame.height), strict=True):
        if move and side > 1:
            place = getattr(columns, name) + np.int32(move)
            # what is negative is a large number without its sign: one comparison for both edges
            columns = columns._replace(**{name: place}).keep(place.view(np.uint32) < side)
    return columns


def _swap_polarity(columns: _Columns, most: float, frame: Frame, random: np.random.Generator) -> _Columns:
    return columns._replace(on=~columns.on) if random.random() < most else columns


def _time_stretch(columns: _Columns, most: float, frame: Frame, random: np.random.Generator) -> _Columns:
    factor = (1 + most) ** random.uniform(-1, 1)
    return columns._replace(t=(columns.t * factor).astype(np.int64))


def _time_shift(columns: _Columns, most: float, frame: Frame, random: np.random.Generator) -> _Columns:
    later = round(random.uniform(-1, 1) * most * frame.duration_us)
    t = columns.t + later
    columns = columns._replace(t=t)
    return columns.keep(t >= 0) if later < 0 else columns


def _drop_region(columns: _Columns, most: float, frame: Frame, random: np.random.Generator) -> _Columns:
    share = random.random() * most
    sides = (frame.width, frame.height)
    root = share if min(sides) == 1 else share**0.5
    extent = [round(root * side) if side > 1 or max(sides) == 1 else 1 for side in sides]
    x0, y0 = (int(random.integers(side - size + 1)) for side, size in zip(sides, extent, strict=True))
    x, y = columns.x, columns.y
    return columns.keep((x < x0) | (x >= x0 + extent[0]) | (y < y0) | (y >= y0 + extent[1]))


def _drop_pixels(columns: _Columns, most: float, frame: Frame, random: np.random.Generator) -> _Columns:
    lost = random.random() * most
    alive = random.random(frame.width * frame.height, np.float32) >= lost
    # of an event that has left the sensor any pixel may answer: it is lost already
    place = columns.y.astype(np.int64) * frame.width + columns.x
    return columns.keep(alive.take(place, mode="clip"))


def _drop_time(columns: _Columns, most: float, frame: Frame, random: np.random.Generator) -> _Columns:
    length = round(random.random() * most * frame.duration_us)
    begin = int(random.integers(frame.duration_us - length + 1))
    return columns.keep((columns.t < begin) | (columns.t >= begin + length))


def _drop_events(columns: _Columns, most: float, frame: Frame, random: np.random.Generator) -> _Columns:
    lost = random.random() * most
    return columns.keep(random.random(len(columns.t), np.float32) >= lost)


_CHANGES: dict[str, _Change] = {
    "flip": _flip,
    "rotate": _rotate,
    "zoom": _zoom,
    "shift": _shift,
    "swap_polarity": _swap_polarity,
    "time_stretch": _time_stretch,
    "time_shift": _time_shift,
    "drop_region": _drop_region,
    "drop_pixels": _drop_pixels,
    "drop_time": _drop_time,
    "drop_events": _drop_events,
}
"""What is done to the recording's own events, in this order."""


def _assembled(events: Events, before: _Columns, after: _Columns) -> Events:
    """The events that are left, with the columns that were changed."""
    if all(new is old for new, old in zip(after, before, strict=True)):
        return events
    index = np.arange(len(events)) if after.kept is None else np.flatnonzero(after.kept)
    found = events.take(index)  # several times faster than a copy, or the choice by a mask, of so odd a type
    for name in EVENT.names or ():
        column = getattr(after, name)
        if column is not getattr(before, name):
            found[name] = column if after.kept is None else column[index]
    return found


def _noise(own: int, most: float, frame: Frame, random: np.random.Generator) -> Events:
    """Poisson many events, ``u most own`` on average, in order of time."""
    count = int(random.poisson(random.random() * most * own))
    if not count:
        return np.empty(0, EVENT)
    noise = np.empty(count, EVENT)
    ends = (frame.duration_us, frame.width, frame.height, 2)
    for name, end in zip(EVENT.names or (), ends, strict=True):
        noise[name] = random.integers(end, size=count)
    noise["t"].sort()
    return noise


def _merged(events: Events, others: Events) -> Events:
    """Both in order of time; of equal times, the others come last."""
    if not len(others):
        return events
    # as bytes, for numpy copies so odd a type field by field
    parts = [np.ascontiguousarray(part).view(np.uint8) for part in (events, others)]
    both: Events = np.concatenate(parts).view(EVENT)
    return both.take(np.argsort(both["t"], kind="stable"))
