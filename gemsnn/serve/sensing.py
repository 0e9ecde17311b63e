"""A drawing before the emulated camera: strokes to a picture as digits are, to events, to the network's bins.

Whoever draws does so anywhere and as large as they like, while the digits that a network learned from all have one size
and stand in one place. So a drawing is scaled, both ways alike, until its ink fills 20 of 28 pixels in height or width.
Then

* ``mnist``: it is drawn with the pen of :mod:`gemsnn.data.scribbles` and moved until the ink's centre of mass is in the
  middle, as MNIST has its digits (Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to
  Document Recognition", Proceedings of the IEEE 86, 1998);
* ``digits``: the box around it stands in the middle, and the pen is as broad as leaves :data:`INK`, for the digits of
  scikit-learn stand so, and all have about as much ink, a one no less than an eight.

The camera sees it as it saw the digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.camera import MNIST_DVS_SCALE4, EmulatorSpec
from gemsnn.data.datasets import DataSpec
from gemsnn.data.emulator import emulate, trajectory
from gemsnn.data.events import Events, Recording
from gemsnn.data.reading import Corner, Reading
from gemsnn.data.scribbles import FRAME, HIGH, LOW, PEN, STEP, inked
from gemsnn.errors import InputError

Hand = Literal["mnist", "digits"]
"""Whose digits a drawing is made like."""

INK = 117.0
"""White pixels of a digit of scikit-learn as :func:`gemsnn.data.images.framed` draws it, on average."""

PENS = 0.8, 3.0
"""The thinnest and the broadest, in pixels from the pen's path to the edge of its ink."""

Strokes = Sequence[Sequence[tuple[float, float]]]

PLACE = (48, 48)
"""Where the camera's 26 x 26 pixels lie on the sensor of MNIST-DVS."""

LARGEST_SCALE = 3.0
"""Of a drawing on a sheet of 28 pixels: a dot stays a dot."""


class Camera(NamedTuple):
    """The emulated camera whose recordings a network has learned from.

    Attributes:
        spec: the camera and its motion.
        corner: column and row of the network's sensor at which its pixels begin.
        sensor: the width and height of that sensor.
        hand: whose digits it saw.
    """

    spec: EmulatorSpec
    corner: Corner
    sensor: tuple[int, int]
    hand: Hand = "mnist"

    def see(self, picture: NDArray[np.uint8], number: int, seed: int) -> Recording:
        """What it makes of a picture, uint8 ``[h, w]``; number and seed address its randomness."""
        events = emulate(picture, self.spec, seed=seed, index=number)
        return Recording(moved(events, self.corner), *self.sensor, "emulated", {})

    def path(self, bin_us: int, steps: int) -> list[tuple[float, float]]:
        """Where the picture's centre is in the middle of each bin, in sensor pixels, without a recording's jitter."""
        middle = (np.arange(steps) + 0.5) * bin_us + self.spec.start_us
        x, y = trajectory(middle, self.spec)
        return [
            (round(column + self.corner[0], 2), round(row + self.corner[1], 2))
            for column, row in zip(x.tolist(), y.tolist(), strict=True)
        ]


def camera_of(data: DataSpec, reading: Reading) -> Camera | None:
    """The camera for drawings; ``None`` where the network has learned from recordings that it cannot make."""
    spec = MNIST_DVS_SCALE4
    if data.data in ("digits", "images") and reading.sensor == (spec.width, spec.height):
        return Camera(spec, (0, 0), reading.sensor, "digits" if data.data == "digits" else "mnist")
    if data.data != "mnist-dvs" or data.scale != 4 or data.deflicker:
        return None
    inside = all(
        place <= corner and corner + side <= place + 26
        for place, corner, side in zip(PLACE, reading.corner, reading.window, strict=True)
    )
    return Camera(spec, PLACE, reading.sensor) if inside else None


def moved(events: Events, corner: Corner) -> Events:
    """The same events, so many columns and rows further."""
    events = events.copy()
    events["x"] += corner[0]
    events["y"] += corner[1]
    return events


def picture(strokes: Strokes, hand: Hand = "mnist") -> NDArray[np.uint8]:
    """A drawing as digits are: uint8 ``[28, 28]``, 0 black and 255 white.

    Args:
        strokes: each the places of a pen, columns and rows of a sheet whose side is 1.
        hand: whose digits, see the module.

    Raises:
        InputError: there is no stroke.
    """
    placed = [FRAME * np.array(stroke, np.float64).reshape(-1, 2) for stroke in strokes if len(stroke)]
    if not placed:
        raise InputError("the drawing has no ink; draw a stroke")
    if hand == "mnist":
        path, pixel = _fitted(placed, PEN), np.arange(FRAME) + 0.5
        ink = inked(path).astype(np.float64)
        weight = np.array([ink.sum(0) @ pixel, ink.sum(1) @ pixel]) / ink.sum()
        return inked(path + FRAME / 2 - weight)
    thin, broad = PENS
    for _ in range(8):
        pen = (thin + broad) / 2
        bold = inked(_fitted(placed, pen), pen).sum() > 255 * INK
        thin, broad = (thin, pen) if bold else (pen, broad)
    return inked(_fitted(placed, thin), thin)


def _fitted(strokes: list[NDArray[np.float64]], pen: float) -> NDArray[np.float64]:
    """The way of a pen whose ink fills 20 pixels in the middle of the picture, both ways alike."""
    every = np.concatenate(strokes)
    low, high = every.min(0), every.max(0)
    room = HIGH - LOW + 2 * (PEN - pen)
    scale = min(room / max(float((high - low).max()), 1e-9), LARGEST_SCALE)
    return np.concatenate([_walked((each - (low + high) / 2) * scale) for each in strokes]) + FRAME / 2


def _walked(stroke: NDArray[np.float64]) -> NDArray[np.float64]:
    """The places of a pen that goes straight from each of these ``[n, 2]`` to the next, in steps of half a pixel."""
    lengths = np.hypot(*np.diff(stroke, axis=0).T) if len(stroke) > 1 else np.zeros(0)
    way = np.concatenate([[0.0], lengths.cumsum()])
    at = np.linspace(0, way[-1], int(np.ceil(way[-1] / STEP)) + 1)
    return np.stack([np.interp(at, way, stroke[:, side]) for side in range(2)], 1)
