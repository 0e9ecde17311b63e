"""An event camera in front of a slowly moving picture: images in, events out.

A pixel of a dynamic vision sensor reports changes of the logarithm of its light (P. Lichtsteiner, C. Posch,
T. Delbruck, "A 128x128 120 dB 15 us latency asynchronous temporal contrast vision sensor", IEEE Journal of
Solid-State Circuits 43, 2008). The emulation of its imperfections follows Y. Hu, S.-C. Liu, T. Delbruck, "v2e:
From video frames to realistic DVS events", CVPR Workshops 2021. In this module

1. **screen and optics**: the picture, shown as uniform blocks over ``size_x_px x size_y_px`` sensor pixels and
   blurred by a Gaussian of ``blur_px``, gives ``g(x, y)`` in [0, 1] and the light ``I = 1 + contrast g``;
2. **photoreceptor**: it answers ``L = ln I - ln((e^S + I) / (e^S + 1))``, the logarithm of the light, which
   levels off ``S = saturation`` above black; flicker scales ``L``, and a first-order low-pass of time constant
   ``lowpass_us`` follows;
3. **motion**: the picture's centre follows triangle waves, of period ``4 TT`` in x and ``2 TT`` in y
   (``TT = turn_us``);
4. **pixel**: with the memorised level ``R``, an ON event happens when ``L - R`` reaches the pixel's ON
   threshold and an OFF event when it reaches minus its OFF threshold; ``R`` moves by that threshold, and for
   ``refractory_us`` it then follows ``L`` without events. Between two steps ``L`` is linear in time, so
   crossings are exact and one step may give several events;
5. **noise**: thresholds differ between pixels (always the same for the same sensor), from event to event and
   from recording to recording, and every pixel adds Poisson events.

All levels and thresholds are natural logarithms of intensity.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gemsnn import rng
from gemsnn.data.camera import FINE, EmulatorSpec, pixel_thresholds
from gemsnn.data.events import Events, make_events
from gemsnn.errors import InputError
from gemsnn.machine.compiled import njit

ALGORITHM = 1
"""Version of the emulation: raised whenever the same spec, seed and image give other events than before."""

_WARM_UP_US = 200_000


def emulate(image: NDArray[np.uint8], spec: EmulatorSpec, *, seed: int, index: int) -> Events:
    """The events of one picture.

    Args:
        image: uint8 ``[h, w]`` of any size, 0 black and 255 white.
        spec: screen, motion, sensor and noise.
        seed: the user's seed.
        index: the picture's own number; with the seed it addresses all of this recording's randomness.

    Returns:
        Events in order of time (ties by pixel), ``0 <= t < duration_us``. ``t = 0`` is the beginning of the
        recording, whether or not an event happens there.

    Raises:
        InputError: the image is not a two-dimensional uint8 array.
    """
    if image.dtype != np.uint8 or image.ndim != 2 or image.size == 0:
        raise InputError(
            f"an image must be a uint8 array [height, width], not {image.dtype} {list(image.shape)}"
        )
    random = rng.generator(seed, "emulator", index)
    film = see(image, spec, random)
    on, off = pixel_thresholds(spec)
    sensitivity = np.float32(math.exp(spec.threshold_jitter * random.standard_normal()))
    on, off = on * sensitivity, off * sensitivity
    # The camera runs before the recording begins, so that its pixels have forgotten this guess by then.
    memory = film[0] + off - (on + off) * random.random(len(on), np.float32)
    key = int(random.integers(2**63))
    fired = sense(film, on, off, memory, spec, key, first_step=-warm_up_steps(spec))
    spurious = _noise(spec, random)
    t, pixel, polarity = (np.concatenate(pair) for pair in zip(fired, spurious, strict=True))
    order = np.lexsort((polarity, pixel, t))
    t, pixel, polarity = t[order], pixel[order], polarity[order]
    return make_events(t, pixel % spec.width, pixel // spec.width, polarity)


def warm_up_steps(spec: EmulatorSpec) -> int:
    """How many steps the camera runs before a recording begins."""
    return -(-_WARM_UP_US // spec.step_us)


class Fired(NamedTuple):
    """Events as columns: time in microseconds int64, pixel (``y * width + x``) int32, polarity bool (true: ON)."""

    t: NDArray[np.int64]
    pixel: NDArray[np.int32]
    on: NDArray[np.bool_]


def see(image: NDArray[np.uint8], spec: EmulatorSpec, random: np.random.Generator) -> NDArray[np.float32]:
    """What the photoreceptors answer, every ``step_us`` from the warm-up before the recording to its end.

    Returns:
        float32 ``[warm-up steps + steps + 1, height * width]``.
    """
    start_us = spec.start_us + spec.start_jitter_us * random.standard_normal()
    shift_x, shift_y = spec.position_jitter_px * random.standard_normal(2)
    phase = 2 * math.pi * random.random()

    time_us = spec.step_us * np.arange(-warm_up_steps(spec), -(-spec.duration_us // spec.step_us) + 1)
    centre_x, centre_y = trajectory(time_us + start_us, spec)
    centre_x, centre_y = centre_x + shift_x, centre_y + shift_y

    ceiling = math.exp(spec.saturation)
    # The picture's log light on a fine grid that follows the motion; frames are read from it between grid points.
    left, top = math.floor(-centre_x.max()) - 1, math.floor(-centre_y.max()) - 1
    right, bottom = math.ceil(spec.width - centre_x.min()) + 1, math.ceil(spec.height - centre_y.min()) + 1
    rows = _weights(top, bottom, image.shape[0], spec.size_y_px, spec.blur_px)
    columns = _weights(left, right, image.shape[1], spec.size_x_px, spec.blur_px)
    picture = image[:, ::-1] if spec.mirrored else image
    light = 1 + spec.contrast * (rows @ (picture / 255.0) @ columns.T)
    fine = (np.log(light) - np.log((ceiling + light) / (ceiling + 1))).astype(np.float32)

    keep = math.exp(-spec.step_us / spec.lowpass_us) if spec.lowpass_us > 0 else 0.0
    flicker = spec.flicker_depth * np.sin(2e-6 * math.pi * spec.flicker_hz * time_us + phase)
    white = max(float(fine.max()), 1e-9)
    return _film(
        fine,
        FINE * (-centre_x - left),
        FINE * (-centre_y - top),
        (flicker / white).astype(np.float32),
        np.float32(keep),
        spec.width,
        spec.height,
    )


def trajectory(time_us: NDArray, spec: EmulatorSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the picture's centre is, in sensor pixels: ``(x, y)``, both of the shape of ``time_us``.

    With ``TT = turn_us``: ``y = centre_y + swing_y (1/2 - |mod(t, 2 TT) - TT| / TT)`` and
    ``x = centre_x + swing_x (1/2 - |mod(t + 3 TT, 4 TT) - 2 TT| / (2 TT))``, the path that the authors of
    MNIST-DVS (T. Serrano-Gotarredona, B. Linares-Barranco, Front. Neurosci. 9:481, 2015) remove in their
    processing.
    """
    turn = spec.turn_us
    along_x = 0.5 - np.abs(np.mod(time_us + 3 * turn, 4 * turn) - 2 * turn) / (2 * turn)
    along_y = 0.5 - np.abs(np.mod(time_us, 2 * turn) - turn) / turn
    return spec.centre_x_px + spec.swing_x_px * along_x, spec.centre_y_px + spec.swing_y_px * along_y


def sense(
    film: NDArray[np.float32],
    on: NDArray[np.float32],
    off: NDArray[np.float32],
    memory: NDArray[np.float32],
    spec: EmulatorSpec,
    key: int,
    *,
    first_step: int = 0,
) -> Fired:
    """The events of pixels that see ``film``, in no particular order.

    Args:
        film: log light ``[steps + 1, P]``, linear in time between the steps of ``spec.step_us``.
        on: ON thresholds ``[P]``, greater than 0.
        off: OFF thresholds ``[P]``, greater than 0.
        memory: the memorised log light ``[P]`` at the first frame.
        spec: gives ``step_us``, ``duration_us``, ``refractory_us`` and ``threshold_noise``.
        key: addresses the noise of the thresholds.
        first_step: the step of the first frame; what happens before ``t = 0`` is left out.
    """
    capacity = 16 * film.shape[1] + 1024
    while True:
        t, pixel = np.empty(capacity, np.int64), np.empty(capacity, np.int32)
        polarity = np.empty(capacity, np.bool_)
        count = _sense(
            *(film, on, off, memory.astype(np.float32), float(spec.step_us), spec.duration_us, first_step),
            *(spec.refractory_us, spec.threshold_noise, np.uint64(key), t, pixel, polarity),
        )
        if count <= capacity:
            return Fired(t[:count], pixel[:count], polarity[:count])
        capacity = count


def _noise(spec: EmulatorSpec, random: np.random.Generator) -> Fired:
    """Poisson events, uniform over time and pixels."""
    pixels = spec.width * spec.height
    mean = np.array([spec.noise_on_hz, spec.noise_off_hz]) * pixels * spec.duration_us * 1e-6
    ons, offs = random.poisson(mean)
    t = random.integers(spec.duration_us, size=ons + offs)
    pixel = random.integers(pixels, size=ons + offs, dtype=np.int32)
    return Fired(t, pixel, np.arange(ons + offs) < ons)


def _weights(low: int, high: int, cells: int, size_px: float, blur_px: float) -> NDArray[np.float64]:
    """How a picture's ``cells`` rows (or columns) spread over a fine grid about its centre.

    A cell is a uniform block of width ``d`` on the screen. Convolved with the Gaussian of the blur, it weighs
    ``Phi(z + d / 2) - Phi(z - d / 2)`` at a distance ``z`` from its centre, all in units of the blur.

    Returns:
        float64 ``[(high - low) * FINE + 1, cells]``.
    """
    spacing = size_px / cells
    grid = low + np.arange((high - low) * FINE + 1) / FINE
    cell = (np.arange(cells) + 0.5) * spacing - size_px / 2
    z = (grid[:, None] - cell) / blur_px
    half = spacing / blur_px / 2
    return _normal_distribution(z + half) - _normal_distribution(z - half)


@njit(nogil=True)
def _normal_distribution(z):  # pragma: no cover (compiled)
    """``Phi(z)``, the normal distribution function, of every element."""
    out = np.empty_like(z)
    for i in range(z.size):
        out.flat[i] = 0.5 * math.erfc(-z.flat[i] / math.sqrt(2.0))
    return out


@njit(nogil=True)
def _film(fine, start_x, start_y, flicker, keep, width, height):  # pragma: no cover (compiled)
    """Frames cut from the fine grid at ``(start_x, start_y)`` grid points, flickering and low-passed."""
    frames = np.empty((len(start_x), height * width), np.float32)
    one = np.float32(1)
    for step in range(len(start_x)):
        x0, y0 = math.floor(start_x[step]), math.floor(start_y[step])
        right, down = np.float32(start_x[step] - x0), np.float32(start_y[step] - y0)
        gain = one + flicker[step]
        w00, w01 = gain * (one - down) * (one - right), gain * (one - down) * right
        w10, w11 = gain * down * (one - right), gain * down * right
        for y in range(height):
            upper, lower = fine[y0 + FINE * y], fine[y0 + FINE * y + 1]
            for x in range(width):
                c = x0 + FINE * x
                value = w00 * upper[c] + w01 * upper[c + 1] + w10 * lower[c] + w11 * lower[c + 1]
                pixel = y * width + x
                if step > 0:
                    value += keep * (frames[step - 1, pixel] - value)
                frames[step, pixel] = value
    return frames


@njit(nogil=True)
def _normal(key, pixel, count):  # pragma: no cover (compiled)
    """A number with mean 0, variance 1 and nearly normal, by address: SplitMix64, then a sum of four uniforms."""
    z = (
        key
        + np.uint64(pixel) * np.uint64(0x9E3779B97F4A7C15)
        + np.uint64(count) * np.uint64(0xD1B54A32D192ED03)
    )
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    low = np.uint64(0xFFFF)
    total = (z & low) + ((z >> np.uint64(16)) & low) + ((z >> np.uint64(32)) & low) + (z >> np.uint64(48))
    return (float(total) / 65536.0 - 2.0 + 2.0 / 65536.0) * math.sqrt(3.0)


@njit(nogil=True)
def _sense(
    film,
    on,
    off,
    memory,
    step_us,
    duration_us,
    first_step,
    refractory_us,
    noise,
    key,
    out_t,
    out_pixel,
    out_on,
):  # pragma: no cover (compiled)
    """Fill the columns as far as they reach; return how many events there are in all."""
    count, capacity = 0, len(out_t)
    for pixel in range(film.shape[1]):
        level, fired = memory[pixel], 0
        quiet_until = first_step * step_us
        up = on[pixel] * math.exp(noise * _normal(key, pixel, 0)) if noise > 0 else on[pixel]
        down = off[pixel] * math.exp(noise * _normal(key, pixel, 0)) if noise > 0 else off[pixel]
        for step in range(film.shape[0] - 1):
            begin, end = float(film[step, pixel]), float(film[step + 1, pixel])
            t_begin, t_end = (first_step + step) * step_us, (first_step + step + 1) * step_us
            if quiet_until <= t_begin and level - down < end < level + up:
                continue
            t = t_begin
            slope = (end - begin) / step_us
            if quiet_until > t:
                t = min(quiet_until, t_end)
                level = begin + slope * (t - t_begin)
            while t < t_end:
                if end - level >= up:
                    step_to, is_on = up, True
                elif level - end >= down:
                    step_to, is_on = -down, False
                else:
                    break
                if slope != 0.0:
                    t = min(max(t, t_begin + (level + step_to - begin) / slope), t_end)
                level += step_to
                if t >= duration_us:
                    break
                if t >= 0:
                    if count < capacity:
                        out_t[count], out_pixel[count], out_on[count] = int(t), pixel, is_on
                    count += 1
                fired += 1
                if noise > 0:
                    factor = math.exp(noise * _normal(key, pixel, fired))
                    up, down = on[pixel] * factor, off[pixel] * factor
                if refractory_us > 0:
                    quiet_until = t + refractory_us
                    t = min(quiet_until, t_end)
                    level = begin + slope * (t - t_begin)
    return count
