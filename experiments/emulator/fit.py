"""Fit the emulator's default, ``MNIST_DVS_SCALE4``, to real recordings.

    python experiments/emulator/fit.py --data DIR

``DIR`` holds ``mnist-dvs/grabbed_data0/scale4/*.aedat`` and ``mnist-images/mnist_train_0.npz``. Only recordings
1 .. 100 are used, each with the image that it shows. The fitted spec is printed as Python.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from summary import Summary, emulated, real_recordings, smooth, summarize, zeros

from gemsnn.data.camera import MAP_CHARACTERS, MAP_RANGE, EmulatorSpec

RECORDINGS = range(1, 101)
SCENE = (
    "size_x_px",
    "size_y_px",
    "centre_x_px",
    "centre_y_px",
    "swing_x_px",
    "swing_y_px",
    "turn_us",
    "start_us",
)
PIXEL = (
    "threshold_on",
    "threshold_off",
    "blur_px",
    "contrast",
    "lowpass_us",
    "threshold_noise",
    "flicker_depth",
)
ADDITIVE = {"centre_x_px": 10.0, "centre_y_px": 10.0, "start_us": 200_000.0}
"""Parameters searched on a linear scale, and the unit in which the search sees them."""

LOGARITHMIC = {"turn_us": 0.2, "size_x_px": 1.0, "size_y_px": 1.0, "swing_x_px": 1.0, "swing_y_px": 1.0}
"""Units, in ``ln``, of parameters searched by their logarithm; 2 for those not named here."""

START = EmulatorSpec(
    size_x_px=32.3,
    size_y_px=30.0,
    centre_x_px=13.455,
    centre_y_px=14.84,
    swing_x_px=10.9,
    swing_y_px=5.07,
    turn_us=314_000.0,
    start_us=24_000.0,
    start_jitter_us=21_000.0,
    blur_px=0.3,
    contrast=266.0,
    saturation=2.0,
    lowpass_us=500.0,
    flicker_depth=0.1,
    threshold_on=0.35,
    threshold_off=0.35,
    threshold_noise=0.35,
    threshold_jitter=0.0,
    refractory_us=500.0,
)
"""Where the search begins. The motion, its jitter and the size come from the sharpness of motion-compensated
event maps; refractory time and noise rates were read from the intervals and from pixels away from the digit."""


def encode(spec: EmulatorSpec, names: tuple[str, ...]) -> NDArray:
    """Values as the search sees them: 1 plus the distance from START in units, so that steps are comparable."""
    return np.array([1 + _distance(getattr(spec, name), getattr(START, name), name) for name in names])


def _distance(value: float, start: float, name: str) -> float:
    if name in ADDITIVE:
        return (value - start) / ADDITIVE[name]
    return np.log(value / start) / LOGARITHMIC.get(name, 2.0)


def decode(spec: EmulatorSpec, names: tuple[str, ...], values: NDArray) -> EmulatorSpec:
    """The inverse of :func:`encode`."""
    found = {}
    for name, value in zip(names, values, strict=True):
        start = getattr(START, name)
        if name in ADDITIVE:
            found[name] = float(start + ADDITIVE[name] * (value - 1))
        else:
            found[name] = float(start * np.exp(LOGARITHMIC.get(name, 2.0) * (value - 1)))
    return replace(spec, **found)


def residuals(got: Summary, want: Summary) -> NDArray:
    """Weighted differences whose squares are summed."""

    def relative(a: NDArray, b: NDArray) -> NDArray:
        return ((a - b) / np.linalg.norm(b)).ravel()

    numbers = [
        5 * np.log(got.counts.mean() / want.counts.mean()),
        5 * np.log(got.active.mean() / want.active.mean()),
        10 * (got.on_share.mean() - want.on_share.mean()),
    ]
    curves = (3 * relative(got.rate, want.rate), relative(smooth(got.film), smooth(want.film)))
    return np.concatenate([numbers, *curves, 0.7 * relative(got.gaps, want.gaps)])


def fit_numbers(
    spec: EmulatorSpec, names: tuple[str, ...], data: Path, recordings: range, rounds: int
) -> EmulatorSpec:
    """Least squares over some of the parameters, all random numbers being the same in every evaluation."""
    want, images = summarize(real_recordings(data, recordings)), zeros(data, recordings)

    def difference(values: NDArray) -> NDArray:
        return residuals(summarize(emulated(images, decode(spec, names, values), recordings)), want)

    found = least_squares(difference, encode(spec, names), diff_step=0.02, max_nfev=rounds)
    print(f"{2 * found.cost:.4f} after fitting {', '.join(names)}", flush=True)
    return decode(spec, names, found.x)


def fit_map(spec: EmulatorSpec, data: Path, rounds: int) -> EmulatorSpec:
    """Each pixel's thresholds: raised where the emulated pixel is too busy, lowered where it is too quiet.

    Where hardly any event happens the two extra events keep the pixel typical.
    """
    want, images = summarize(real_recordings(data, RECORDINGS)).profile[::-1], zeros(data, RECORDINGS)
    deviation = read_map(spec) if spec.threshold_map else np.zeros(want.shape)
    for _ in range(rounds):
        spec = replace(spec, threshold_map=write_map(deviation))
        got = summarize(emulated(images, spec, RECORDINGS)).profile[::-1]
        deviation += 0.8 * np.log((got + 2) / (want + 2))
        deviation -= np.median(deviation, axis=(1, 2), keepdims=True)
    return replace(spec, threshold_map=write_map(deviation))


def read_map(spec: EmulatorSpec) -> NDArray:
    codes = np.array([[MAP_CHARACTERS.index(character) for character in row] for row in spec.threshold_map])
    return (MAP_RANGE * (2 * codes / (len(MAP_CHARACTERS) - 1) - 1)).reshape(2, spec.height, spec.width)


def write_map(deviation: NDArray) -> tuple[str, ...]:
    most = len(MAP_CHARACTERS) - 1
    codes = np.rint((np.clip(deviation / MAP_RANGE, -1, 1) + 1) / 2 * most).astype(int)
    return tuple(
        "".join(MAP_CHARACTERS[code] for code in row) for row in codes.reshape(-1, deviation.shape[-1])
    )


def fit(data: Path) -> EmulatorSpec:
    spec = fit_map(START, data, 3)
    for _ in range(3):
        spec = fit_numbers(spec, PIXEL, data, range(1, 41), 6)
        spec = fit_numbers(spec, SCENE, data, range(1, 41), 6)
        spec = fit_map(spec, data, 3)
    want = summarize(real_recordings(data, RECORDINGS))
    got = summarize(emulated(zeros(data, RECORDINGS), spec, RECORDINGS))
    missing = (want.counts.std() / want.counts.mean()) ** 2 - (got.counts.std() / got.counts.mean()) ** 2
    spec = replace(spec, threshold_jitter=float(np.sqrt(max(missing, 0))))
    spec = rounded(fit_numbers(spec, ("threshold_on", "threshold_off"), data, RECORDINGS, 6))
    deviation = read_map(spec)
    return replace(spec, threshold_spread=round(float(np.median(np.abs(deviation)) / 0.6745), 3))


def rounded(spec: EmulatorSpec) -> EmulatorSpec:
    """Four significant digits for everything fitted."""
    names = (*SCENE, *PIXEL, "threshold_jitter")
    return replace(spec, **{name: float(f"{getattr(spec, name):.4g}") for name in names})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    print(fit(parser.parse_args().data))
