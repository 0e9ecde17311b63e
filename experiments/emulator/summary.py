"""What the fit compares: numbers and curves of a set of recordings, real or emulated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from gemsnn.data.camera import EmulatorSpec
from gemsnn.data.emulator import emulate
from gemsnn.data.events import Events, make_events
from gemsnn.data.readers import read_recording

SIDE, CORNER = 26, 48
DURATION_US, BIN_US = 2_000_000, 25_000
SEED = 2015
GAP_EDGES_US = np.concatenate([[0], np.geomspace(1_000, 100_000, 9), [DURATION_US]])


class Summary(NamedTuple):
    """Statistics of ``n`` recordings; all but the first three are means over recordings.

    Attributes:
        counts: events of each recording ``[n]``.
        on_share: share of ON events in each recording ``[n]``.
        active: active two-channel 25 ms bins of each recording ``[n]``.
        rate: events a bin, OFF and ON ``[2, 80]``.
        profile: events a pixel, OFF and ON ``[2, 26, 26]``.
        film: events in 50 ms a pixel, OFF and ON ``[2, 40, 26, 26]``.
        gaps: how often an event follows the pixel's previous event, by same or other polarity and by the time
            between them ``[2, 2, 10]`` (kind, polarity of the second event, :data:`GAP_EDGES_US`).
    """

    counts: NDArray
    on_share: NDArray
    active: NDArray
    rate: NDArray
    profile: NDArray
    film: NDArray
    gaps: NDArray


def summarize(recordings: Iterable[Events]) -> Summary:
    """All statistics of recordings on 26 x 26 pixels, 2 s each."""
    counts, on_share, active = [], [], []
    film = np.zeros((2, 80, SIDE, SIDE))
    gaps = np.zeros((2, 2, len(GAP_EDGES_US) - 1))
    for events in recordings:
        one = np.zeros((2, 80, SIDE, SIDE))
        on = events["on"].astype(int)
        np.add.at(one, (on, events["t"] // BIN_US, events["y"], events["x"]), 1)
        film += one
        counts.append(len(events))
        on_share.append(on.mean())
        active.append((one > 0).sum())
        pixel = events["y"].astype(int) * SIDE + events["x"]
        order = np.lexsort((events["t"], pixel))
        t, on, pixel = events["t"][order], on[order], pixel[order]
        follows = pixel[1:] == pixel[:-1]
        gap = np.searchsorted(GAP_EDGES_US, np.diff(t)[follows], side="right") - 1
        kind = (on[1:] != on[:-1]).astype(int)[follows]
        np.add.at(gaps, (kind, on[1:][follows], np.minimum(gap, gaps.shape[2] - 1)), 1)
    film, gaps = film / len(counts), gaps / len(counts)
    return Summary(
        *(np.array(counts, float), np.array(on_share), np.array(active, float)),
        *(film.sum((2, 3)), film.sum(1), film.reshape(2, 40, 2, SIDE, SIDE).sum(2), gaps),
    )


def real_recordings(data: Path, numbers: Iterable[int]) -> Iterator[Events]:
    """The first 2 s of raw MNIST-DVS zeros, cropped to the 26 x 26 pixels from (48, 48)."""
    for number in numbers:
        path = data / "mnist-dvs" / "grabbed_data0" / "scale4" / f"mnist_0_scale04_{number:04d}.aedat"
        events = read_recording(path).events
        x, y = events["x"] - CORNER, events["y"] - CORNER
        keep = (events["t"] < DURATION_US) & (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
        yield make_events(events["t"][keep], x[keep], y[keep], events["on"][keep])


def zeros(data: Path, numbers: Iterable[int]) -> NDArray[np.uint8]:
    """The MNIST training zeros that the recordings of these numbers (from 1) show."""
    with np.load(data / "mnist-images" / "mnist_train_0.npz") as file:
        found = file["images"][file["labels"] == 0]
    return found[np.array(list(numbers)) - 1]


def emulated(images: NDArray[np.uint8], spec: EmulatorSpec, numbers: Iterable[int]) -> Iterator[Events]:
    """Emulated recordings of these images."""
    for image, number in zip(images, numbers, strict=True):
        yield emulate(image, spec, seed=SEED, index=number)


def smooth(maps: NDArray, sigma: float = 1.5) -> NDArray:
    """Blur the last two axes, so that the fixed pattern of the pixels weighs little."""
    return gaussian_filter(maps, (0,) * (maps.ndim - 2) + (sigma, sigma))


def correlation(a: NDArray, b: NDArray) -> float:
    """Pearson's correlation of all entries."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
