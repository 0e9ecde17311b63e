"""The camera and the screen that :mod:`gemsnn.data.emulator` emulates, and those of MNIST-DVS."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn import rng
from gemsnn.errors import InputError

_SMALLEST_THRESHOLD = 0.01
_MOST_SAMPLES = 400_000_000
FINE = 8
"""Points of the fine grid, on which the picture moves, in a pixel's width."""

_POSITIVE = ("size_x_px", "size_y_px", "turn_us", "blur_px", "saturation", "threshold_on", "threshold_off")
_NOT_NEGATIVE = (
    *("swing_x_px", "swing_y_px", "start_jitter_us", "position_jitter_px", "contrast", "lowpass_us"),
    *("flicker_hz", "flicker_depth", "threshold_spread", "threshold_noise", "threshold_jitter"),
    *("refractory_us", "noise_on_hz", "noise_off_hz"),
)


@dataclass(frozen=True)
class EmulatorSpec:
    """Screen, motion, sensor and noise of an emulated recording.

    Attributes:
        width: sensor width in pixels.
        height: sensor height in pixels.
        duration_us: length of the recording.
        step_us: time step between two evaluations of the light.
        size_x_px: width of the whole picture, margins included, in sensor pixels.
        size_y_px: height of the whole picture in sensor pixels.
        mirrored: whether the sensor sees the picture mirrored left to right, as MNIST-DVS does.
        centre_x_px: sensor column about which the picture's centre moves.
        centre_y_px: sensor row about which the picture's centre moves.
        swing_x_px: distance between the turning points in x.
        swing_y_px: distance between the turning points in y.
        turn_us: ``TT``, the time between two turning points in y; in x it is twice that.
        start_us: how far into the motion a recording begins, on average.
        start_jitter_us: standard deviation of that between recordings.
        position_jitter_px: standard deviation of the picture's position between recordings.
        blur_px: standard deviation of the Gaussian blur of screen and optics.
        contrast: light of white over light of black, minus 1.
        saturation: how far above black, in ``ln``, the photoreceptor's answer levels off.
        lowpass_us: time constant of the photoreceptor; 0 for none.
        flicker_hz: frequency of the screen's flicker.
        flicker_depth: amplitude of the flicker in ``ln``, at white; 0 for none.
        threshold_on: ON threshold of the typical pixel, in ``ln`` intensity.
        threshold_off: OFF threshold of the typical pixel, in ``ln`` intensity.
        threshold_spread: standard deviation, between pixels, of the logarithm of the thresholds.
        threshold_noise: standard deviation, between events, of the logarithm of a pixel's threshold.
        threshold_jitter: standard deviation, between recordings, of the logarithm of a common factor of all
            thresholds.
        sensor_seed: which sensor: addresses the pixels' thresholds, the same for all recordings.
        threshold_map: a known sensor in place of a random one; see :func:`pixel_thresholds`. Empty for none.
        refractory_us: time after an event in which a pixel makes no other.
        noise_on_hz: rate of spurious ON events per pixel.
        noise_off_hz: rate of spurious OFF events per pixel.
    """

    width: int = 26
    height: int = 26
    duration_us: int = 2_000_000
    step_us: int = 2_000
    size_x_px: float = 31.98
    size_y_px: float = 29.47
    mirrored: bool = True
    centre_x_px: float = 14.12
    centre_y_px: float = 14.5
    swing_x_px: float = 11.05
    swing_y_px: float = 5.117
    turn_us: float = 317_000.0
    start_us: float = 32_210.0
    start_jitter_us: float = 21_000.0
    position_jitter_px: float = 0.0
    blur_px: float = 0.2996
    contrast: float = 387.7
    saturation: float = 2.0
    lowpass_us: float = 450.7
    flicker_hz: float = 75.0
    flicker_depth: float = 0.09658
    threshold_on: float = 0.3506
    threshold_off: float = 0.323
    threshold_spread: float = 0.291
    threshold_noise: float = 0.4914
    threshold_jitter: float = 0.005266
    sensor_seed: int = 0
    threshold_map: tuple[str, ...] = ()
    refractory_us: float = 500.0
    noise_on_hz: float = 0.02
    noise_off_hz: float = 0.003

    def __post_init__(self) -> None:
        """Check the numbers once; raise :class:`InputError` for the first that cannot be used."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{field.name} must be a finite number, not {value}")
        for name in ("width", "height", "duration_us", "step_us"):
            if not 1 <= getattr(self, name) < 2**31:
                raise InputError(f"{name} must be at least 1 and less than 2^31, not {getattr(self, name)}")
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be greater than 0, not {getattr(self, name)}")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, but is {getattr(self, name)}")
        frames = self.width * self.height * (self.duration_us // self.step_us + 2)
        path = (self.width + self.swing_x_px) * (self.height + self.swing_y_px)
        if max(self.width, self.height) >= 2**15 or max(frames, path * FINE**2) > _MOST_SAMPLES:
            raise InputError(
                f"{self.width} x {self.height} pixels over {self.duration_us} us in steps of {self.step_us} us need"
                " too much memory; choose fewer pixels, a longer step_us or a shorter duration_us"
            )
        if min(self.threshold_on, self.threshold_off) < _SMALLEST_THRESHOLD:
            raise InputError(
                f"thresholds below {_SMALLEST_THRESHOLD} would drown every pixel in events; raise them"
            )
        if max(self.noise_on_hz, self.noise_off_hz) > 10_000:
            raise InputError("noise_on_hz and noise_off_hz must be at most 10000 events per second and pixel")
        if self.threshold_map and [len(row) for row in self.threshold_map] != [self.width] * (
            2 * self.height
        ):
            raise InputError(
                f"threshold_map must have {2 * self.height} rows (ON, then OFF) of {self.width} characters for this"
                " size of sensor; leave it empty for a random sensor"
            )


class Thresholds(NamedTuple):
    """Thresholds of all pixels, float32 ``[height * width]`` in row order, in ``ln`` intensity."""

    on: NDArray[np.float32]
    off: NDArray[np.float32]


MAP_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MAP_RANGE = 2.0
"""A character of a threshold map is ``ln(threshold of the pixel / typical threshold)``, from -2 (``A``) to 2 (``z``)
in 51 equal steps."""


@lru_cache(maxsize=16)
def pixel_thresholds(spec: EmulatorSpec) -> Thresholds:
    """The sensor's pixels: ``threshold * exp(deviation)``.

    The deviations are read from ``threshold_map`` (first the rows of the ON thresholds, then those of the OFF
    thresholds, one character of :data:`MAP_CHARACTERS` a pixel), or without a map drawn from
    ``N(0, threshold_spread^2)`` by ``sensor_seed``.
    """
    if spec.threshold_map:
        codes = {character: code for code, character in enumerate(MAP_CHARACTERS)}
        text = "".join(spec.threshold_map)
        if not set(text) <= codes.keys():
            raise InputError("threshold_map may hold only letters A-Z and a-z")
        code = np.array([codes[character] for character in text], np.float64)
        deviation = MAP_RANGE * (2 * code / (len(MAP_CHARACTERS) - 1) - 1)
    else:
        normal = rng.generator(spec.sensor_seed, "sensor").standard_normal(2 * spec.height * spec.width)
        deviation = spec.threshold_spread * normal
    on, off = np.exp(deviation).reshape(2, -1)
    low = _SMALLEST_THRESHOLD
    return Thresholds(
        np.maximum(spec.threshold_on * on, low).astype(np.float32),
        np.maximum(spec.threshold_off * off, low).astype(np.float32),
    )


_MNIST_DVS_SENSOR = (
    # ON thresholds, row by row
    "UdZaZacehhjnhefbgdbZYUVRcZ",
    "bbhkinhmijiklqkjlklhebcZYZ",
    "WOgfdfbaYZXfdbcaiegleebZXZ",
    "ebadZbpaXdbXfcabbbYraibfZZ",
    "ebcYWYgYZUWVUWfaWaXcacagdZ",
    "EaekWciWXWYdbVcZaheZYfbdfd",
    "ZgZaYWXaadcSgeShbYafcYbbcf",
    "UcdacXebYfQZVZcaUagVfXbbbc",
    "aZXaabWhbSTccTXbWTXOWYVTYa",
    "cYZYbYWXcVWdYceUceWZYZcbdg",
    "YWSSRZabbVdUSWdVePWbXZZeUX",
    "YUaVZXVWYTTeUSbcbrabVdcfeb",
    "XbbXbZhUWaSYabaUaRZSbdUUco",
    "ZYYZcSnaadXYafWeoYYicchUXd",
    "YSRZVaVaeXXZXXXbabXbWeTWUa",
    "QbXfSeaXYachbZhZZabXefXXUY",
    "ZUXZYUVcYgedYZWYlaaZWYdYSY",
    "bXYRZWYYjYcbjaZaZWeZZbUUaW",
    "YTWeYWZdbWaWUWXYiZZcYUTWXV",
    "WebaXbYabYbeZcdfegeieZZiVz",
    "WdWbaYfXbZaVYebUhXYVtVTdUS",
    "aZUYXWThehkXeaXgUUXiWbZnUU",
    "YYTXXXVYeTVaUUYdSQccWbTZYW",
    "cXdSXbYlZabYabXYUTWXTaUeZZ",
    "ZWfVScaZZbZeWVaeabWbXUZVXT",
    "ZVaehXYaadXgZafbaeZbakZYVc",
    # OFF thresholds
    "aaZZaZVcihifaeefeeaZZRaaZZ",
    "aZeighdfieehhmkiglmgdaZZZa",
    "bXedYdcaZaagccbahddjfZZZZa",
    "fcbcYdpYVeaZhZaYZZZscfdcZZ",
    "bbfZYZicZXVUTYdYUZXaadaedZ",
    "FbekagiYYXZbaSeZaiebUecZec",
    "YeXXWVZaabeQofTjZZZfccbeXY",
    "VcdZZXhbYiSYYdffRbeUfYZdcZ",
    "aXZYceXjbSUbfXXaUUZNWaUTcZ",
    "ZXaXdaYXdWWeYeiRbiTXZbbcba",
    "ZVSSSbcfdZdUVVfVgQVaWZbgXZ",
    "XVXVYZSVZTUdWWZcazbaSfceca",
    "ZcdWZZhVZcVVdaaTYWdVcdWYYj",
    "ZbVafStdabYaafUfnZZkgefVXb",
    "WTRZWYWacbYYYYXdaZXdWgTYYY",
    "UYWhSeaXacbgeYecZYbYghWYVX",
    "YUYZZTSdbkgdZXZXhbabVZhVUX",
    "WWYSWXZYpbeciaYaZVfYZdUYaa",
    "WSYcXXYcdXXXVYXZkbbbYWUSZU",
    "WaYdZdZacWdfZdccggjkgcchTx",
    "XdWZZYeXdXbTZgbVeWYWzXVgYU",
    "YcTSWYXickkXfdafVYXrbdbuWR",
    "VXUVXYWZbUVYUYahURfiYdXcZY",
    "aReTVcXlbdaYZbZcWRaZXdWfcZ",
    "YaeVTZVZYdYeYTcfddXebZaXZU",
    "XYZZdaaaYcYfYZcabgacaldXXa",
)

MNIST_DVS_SCALE4 = EmulatorSpec(threshold_map=_MNIST_DVS_SENSOR)
"""The camera and screen of MNIST-DVS at scale 4: first 2 s, pixels 48 .. 73 in x and y, neither de-flickered nor
stabilised. Fitted to 100 real recordings by ``experiments/emulator``, as are the defaults of
:class:`EmulatorSpec`; the map is that one camera's, and an ``EmulatorSpec()`` is another camera of its kind."""
