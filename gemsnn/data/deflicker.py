"""The pre-processing of MNIST-DVS by its authors (``process_mnist.m``), for raw recordings only.

The digits moved along a known path on a screen whose 75 Hz refresh shows in the event times. The first step
redraws the times, the second takes the movement out. Both are random, so they take a generator;
:func:`gemsnn.data.recordings.load_mnist_dvs` makes one for each recording. Files under ``processed_*`` have
been through this and must not go through it again.

Source: T. Serrano-Gotarredona and B. Linares-Barranco, "Poker-DVS and MNIST-DVS", Front. Neurosci. 9:481
(2015), and the script beside the data. Its third step, setting every polarity to 1, is ``polarity="merged"``
of :class:`gemsnn.data.binning.BinSpec` here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.events import Events

SIDE = 128
TURN_S = 0.2982
"""The digit moves up or down for this many seconds before it turns round."""


def process(events: Events, rng: np.random.Generator) -> Events:
    """De-flicker, then stabilise: the authors' order."""
    return stabilise(deflicker(events, rng), rng)


def deflicker(events: Events, rng: np.random.Generator) -> Events:
    """Redraw the event times, keeping their number, their order, and the time of the last.

    With ``d`` the differences of successive times and ``N_i`` standard normal,

        ``c_i = sum_{j <= i} (mean(d) + 2 std(d) N_j)``,
        ``t_i = sort(round(t_end (c_i - min c) / (max c - min c)))``,

    so times begin at 0. Pixels and polarities keep their order; only the times are sorted.

    Args:
        events: dtype :data:`gemsnn.data.events.EVENT`, in order of time, from ``t = 0``; not changed.
        rng: used for one normal number an event.
    """
    if len(events) < 3:
        return events.copy()
    between = np.diff(events["t"])
    walk = np.cumsum(between.mean() + 2 * between.std(ddof=1) * rng.standard_normal(len(events)))
    walk -= walk.min()
    moved = events.copy()
    if walk.max() > 0:
        moved["t"] = np.sort(_round(walk / walk.max() * events["t"][-1]))
    return moved


def stabilise(events: Events, rng: np.random.Generator) -> Events:
    """Subtract the movement on the screen, so that the digit stands still in the middle.

    At time ``t`` in seconds, with ``TT = 0.2982`` and ``N`` standard normal for each event,

        ``yc = 127 - round(|mod(t, 2 TT) - TT| / TT * 5 + 58 + N / 2)``,
        ``xc = 127 - round(|mod(t + 3 TT, 4 TT) - 2 TT| / (2 TT) * 10 + 58 + N / 2)``,
        ``x <- x + 63 - xc``, ``y <- y + 63 - yc``.

    Events that leave the 128 x 128 pixels are dropped; times do not change.

    Args:
        events: dtype :data:`gemsnn.data.events.EVENT`; not changed.
        rng: used for two normal numbers an event.
    """
    t = events["t"] * 1e-6
    noise_y, noise_x = rng.standard_normal((2, len(events)))
    centre_y = 127 - _round(np.abs(np.mod(t, 2 * TURN_S) - TURN_S) / TURN_S * 5 + 58 + noise_y / 2)
    phase_x = np.abs(np.mod(t + 3 * TURN_S, 4 * TURN_S) - 2 * TURN_S) / (2 * TURN_S)
    centre_x = 127 - _round(phase_x * 10 + 58 + noise_x / 2)
    x, y = events["x"] + 63 - centre_x, events["y"] + 63 - centre_y
    inside = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    still = events.copy()
    still["x"], still["y"] = np.where(inside, x, 0), np.where(inside, y, 0)
    return still[inside]


def _round(value: NDArray[np.float64]) -> NDArray[np.int64]:
    """Halves away from zero, as Matlab rounds (numpy rounds them to even); for values above -0.5."""
    return np.floor(value + 0.5).astype(np.int64)
