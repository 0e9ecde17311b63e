"""Scribbles: what no class is, drawn with the pen that digits are drawn with and seen by the same emulated camera.

A scribble is one or two strokes. A stroke begins anywhere on the paper, which is as large as a digit, and its pen
walks on in steps of :data:`STEP` pixels; its direction turns by a curvature that drifts,

    ``c <- 0.9 c + 0.08 n``,    ``theta <- theta + c``,    ``n`` standard normal,

and it is mirrored at the edges of the paper. What was drawn is moved to the middle of the picture, where digits stand.
There is ink to :data:`PEN` pixels from the pen's path, with an edge one pixel wide, as
:func:`gemsnn.data.images.framed` draws digits.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from gemsnn import rng
from gemsnn.data.binning import BinSpec
from gemsnn.data.camera import MNIST_DVS_SCALE4, EmulatorSpec
from gemsnn.data.generated import emulate_set
from gemsnn.data.spikeset import SpikeSet
from gemsnn.specs import checks
from gemsnn.specs.checks import MOST, Range
from gemsnn.types import Progress

FRAME = 28
"""Pixels a side of the picture, of which digits fill the middle 20."""

LOW, HIGH = 5.0, 23.0
"""Where the paper ends."""

STEP = 0.5
PEN = 1.2

SHORTEST, LONGEST = 40, 70
"""The length of all strokes of a scribble, in pixels: with it they have about as much ink as digits."""

Few = Annotated[int, Range(1, MOST)]
Number = Annotated[int, Range(0, MOST)]


def scribbles(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """So many scribbles, each by its own number: the first ones are the same however many are drawn.

    Args:
        count: n, at least 1.
        seed: addresses their randomness.

    Returns:
        uint8 ``[n, 28, 28]``, 0 black and 255 white, as MNIST has its digits.
    """
    count = checks.number(count, Few, "count")
    return np.stack([scribble(index, seed) for index in range(count)])


def scribble(number: int, seed: int = 0) -> NDArray[np.uint8]:
    """The scribble of this number, from 0 on, uint8 ``[28, 28]``; see :func:`scribbles`."""
    random = rng.generator(seed, "scribble", checks.number(number, Number, "number"))
    strokes = int(random.integers(1, 3))
    steps = int(random.uniform(SHORTEST, LONGEST) / STEP / strokes)
    path = np.concatenate([_stroke(random, steps) for _ in range(strokes)])
    path += (FRAME - path.min(0) - path.max(0)) / 2
    return inked(path)


def inked(path: NDArray[np.float64], pen: float = PEN) -> NDArray[np.uint8]:
    """What a pen leaves that has been at these places, ``[n, 2]`` in pixels: uint8 ``[28, 28]``."""
    pixel = np.arange(FRAME) + 0.5
    away = np.hypot(
        path[:, 0, None, None] - pixel[None, None, :], path[:, 1, None, None] - pixel[None, :, None]
    ).min(0, initial=np.inf)
    return np.rint(255 * np.clip(pen + 0.5 - away, 0, 1)).astype(np.uint8)


def _stroke(random: np.random.Generator, steps: int) -> NDArray[np.float64]:
    """Where the pen goes, ``[steps, 2]`` in pixels."""
    place = random.uniform(LOW, HIGH, 2)
    angle, curvature = random.uniform(0, 2 * np.pi), 0.0
    path = np.empty((steps, 2))
    for step, turn in enumerate(random.standard_normal(steps)):
        path[step] = place
        curvature = 0.9 * curvature + 0.08 * turn
        angle += curvature
        move = STEP * np.array([np.cos(angle), np.sin(angle)])
        outside = (place + move < LOW) | (place + move > HIGH)
        if outside.any():  # mirrored at the edge
            move = np.where(outside, -move, move)
            angle = float(np.arctan2(move[1], move[0]))
        place = place + move
    return path


def emulated_scribbles(
    count: int,
    bins: BinSpec,
    classes: int,
    emulator: EmulatorSpec = MNIST_DVS_SCALE4,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> SpikeSet:
    """Scribbles before the emulated camera, binned as the digits are.

    Args:
        count: n.
        bins: those of the network's own recordings.
        classes: how many the network knows; the labels are all 0 and mean nothing.
        emulator: the camera.
        seed: addresses the randomness of drawing and camera.
        progress: shows how far the work is.
    """
    images = scribbles(count, seed)
    return emulate_set(
        images, np.zeros(len(images), np.int64), emulator, bins, classes=classes,
        seed=rng.derive(seed, "scribbles"), progress=progress, description="emulating scribbles",
    )  # fmt: skip
