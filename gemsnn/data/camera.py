"""The camera and the screen that :mod:`gemsnn.data.emulator` emulates, and those of MNIST-DVS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.specs import checks
from gemsnn.specs.checks import NotNegative, Positive, Range, Seed
from gemsnn.types import LARGEST_SIDE

_SMALLEST_THRESHOLD = 0.01
_MOST_SAMPLES = 400_000_000
FINE = 8
"""Points of the fine grid, on which the picture moves, in a pixel's width."""

Side = Annotated[int, Range(1, LARGEST_SIDE - 1)]
Microseconds = Annotated[int, Range(1, 2**31 - 1)]
Threshold = Annotated[float, Range(_SMALLEST_THRESHOLD)]
"""Lower ones would drown every pixel in events."""

NoiseRate = Annotated[float, Range(0, 10_000)]


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

    width: Side = 26
    height: Side = 26
    duration_us: Microseconds = 2_000_000
    step_us: Microseconds = 2_000
    size_x_px: Positive = 31.98
    size_y_px: Positive = 29.47
    mirrored: bool = True
    centre_x_px: float = 14.12
    centre_y_px: float = 14.5
    swing_x_px: NotNegative = 11.05
    swing_y_px: NotNegative = 5.117
    turn_us: Positive = 317_000.0
    start_us: float = 32_210.0
    start_jitter_us: NotNegative = 21_000.0
    position_jitter_px: NotNegative = 0.0
    blur_px: Positive = 0.2996
    contrast: NotNegative = 387.7
    saturation: Positive = 2.0
    lowpass_us: NotNegative = 450.7
    flicker_hz: NotNegative = 75.0
    flicker_depth: NotNegative = 0.09658
    threshold_on: Threshold = 0.3506
    threshold_off: Threshold = 0.323
    threshold_spread: NotNegative = 0.291
    threshold_noise: NotNegative = 0.4914
    threshold_jitter: NotNegative = 0.005266
    sensor_seed: Seed = 0
    threshold_map: tuple[str, ...] = ()
    refractory_us: NotNegative = 500.0
    noise_on_hz: NoiseRate = 0.02
    noise_off_hz: NoiseRate = 0.003

    def __post_init__(self) -> None:
        """Check the fields once; raise :class:`InputError` for the first that cannot be used."""
        checks.fields(self)
        frames = self.width * self.height * (self.duration_us // self.step_us + 2)
        path = (self.width + self.swing_x_px) * (self.height + self.swing_y_px)
        if max(frames, path * FINE**2) > _MOST_SAMPLES:
            raise InputError(
                f"{self.width} x {self.height} pixels over {self.duration_us} us in steps of {self.step_us} us need"
                " too much memory; choose fewer pixels, a longer step_us or a shorter duration_us"
            )
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
