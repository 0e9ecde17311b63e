"""The emulated event camera: laws of the pixel, addressed randomness, likeness to real recordings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from shared_data import shared

from gemsnn.data.camera import MNIST_DVS_SCALE4, EmulatorSpec, pixel_thresholds
from gemsnn.data.emulator import Fired, emulate, sense, trajectory
from gemsnn.data.events import check_events
from gemsnn.data.readers import read_recording
from gemsnn.errors import InputError

QUIET = EmulatorSpec(
    threshold_spread=0.0,
    threshold_noise=0.0,
    refractory_us=0.0,
    noise_on_hz=0.0,
    noise_off_hz=0.0,
    flicker_depth=0.0,
    lowpass_us=0.0,
)
STILL = replace(QUIET, swing_x_px=0.0, swing_y_px=0.0)
IMAGE = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)


def watch(
    levels: list[float] | np.ndarray, threshold_on: float, threshold_off: float, spec: EmulatorSpec
) -> Fired:
    """One pixel that sees these levels, its memory at the first of them."""
    film = np.asarray(levels, np.float32).reshape(-1, 1)
    on, off = np.array([threshold_on], np.float32), np.array([threshold_off], np.float32)
    return sense(film, on, off, film[0], spec, key=1)


@pytest.mark.parametrize("change", [0.05, 0.11, 0.99, 3.07, -0.05, -0.29, -2.03])
@pytest.mark.parametrize("steps", [1, 7, 100])
def test_ramp_gives_floor_of_change_over_threshold(change: float, steps: int) -> None:
    spec = replace(QUIET, step_us=1000, duration_us=1000 * steps)
    fired = watch(np.linspace(0.5, 0.5 + change, steps + 1), 0.1, 0.14, spec)
    assert len(fired.t) == int(abs(change) / (0.1 if change > 0 else 0.14))
    assert np.all(fired.on == (change > 0))


def test_ramp_crossings_are_evenly_spaced() -> None:
    spec = replace(QUIET, step_us=1000, duration_us=1000)
    fired = watch([0.0, 1.0], 0.125, 0.125, spec)
    assert fired.t.tolist() == [125, 250, 375, 500, 625, 750, 875]  # the eighth falls on the end


def test_refractory_time_is_respected_and_loses_events() -> None:
    spec = replace(QUIET, step_us=1000, duration_us=50_000, refractory_us=2500.0)
    fired = watch(np.linspace(0, 20, 51), 0.1, 0.1, spec)
    assert np.diff(fired.t).min() >= 2500
    # The ramp takes 250 us for a threshold, so the first event is at 250 us and the next ones 2750 us apart.
    assert len(fired.t) == 19


def test_refractory_time_holds_in_whole_recordings() -> None:
    spec = replace(MNIST_DVS_SCALE4, refractory_us=5000.0, noise_on_hz=0.0, noise_off_hz=0.0)
    events = emulate(IMAGE, spec, seed=0, index=0)
    pixel = events["y"].astype(int) * spec.width + events["x"]
    order = np.lexsort((events["t"], pixel))
    gaps = np.diff(events["t"][order])[np.diff(pixel[order]) == 0]
    assert gaps.min() >= 4999  # times are cut to whole microseconds


def test_still_picture_without_noise_gives_no_events() -> None:
    assert len(emulate(IMAGE, STILL, seed=3, index=5)) == 0


def test_black_picture_gives_only_noise() -> None:
    black = np.zeros((28, 28), np.uint8)
    assert len(emulate(black, QUIET, seed=0, index=0)) == 0
    flickering = replace(MNIST_DVS_SCALE4, noise_on_hz=0.0, noise_off_hz=0.0)
    assert len(emulate(black, flickering, seed=0, index=0)) == 0


def test_brighter_is_on_and_darker_is_off() -> None:
    """A white half-plane that moves to the right: pixels on its way only brighten, and then only darken."""
    image = np.zeros((2, 2), np.uint8)
    image[:, 0] = 255
    spec = replace(
        QUIET,
        mirrored=False,
        size_x_px=200.0,
        size_y_px=200.0,
        centre_x_px=13.0,
        swing_y_px=0.0,
        turn_us=5e5,
        start_us=7.2e5,
        start_jitter_us=0.0,
        duration_us=700_000,
    )
    brighter = emulate(image, spec, seed=0, index=0)
    assert len(brighter) > 100
    assert brighter["on"].all()
    darker = emulate(image, replace(spec, start_us=1.72e6), seed=0, index=0)
    assert len(darker) > 100
    assert not darker["on"].any()


@pytest.mark.parametrize(
    "spec", [MNIST_DVS_SCALE4, QUIET, replace(QUIET, width=7, height=31, duration_us=123_457)]
)
def test_events_are_in_order_and_on_the_sensor(spec: EmulatorSpec) -> None:
    for image in (IMAGE, IMAGE[:8, :8], IMAGE[:1, :1], IMAGE[:, :5]):
        events = emulate(image, spec, seed=1, index=2)
        check_events(events, spec.width, spec.height, "emulated")
        assert len(events) == 0 or events["t"][-1] < spec.duration_us


def test_randomness_is_addressed_by_seed_and_index() -> None:
    def one(index: int, seed: int = 7) -> bytes:
        return emulate(IMAGE, MNIST_DVS_SCALE4, seed=seed, index=index).tobytes()

    forwards = [one(index) for index in range(8)]
    backwards = [one(index) for index in reversed(range(8))][::-1]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(one, range(8)))
    assert forwards == backwards == together
    assert len(set(forwards)) == 8
    assert one(0, seed=8) != one(0, seed=7)


def test_the_sensor_is_the_same_for_all_recordings_and_another_for_another_seed() -> None:
    random = replace(QUIET, threshold_spread=0.3)
    first, again = pixel_thresholds(random), pixel_thresholds(replace(random))
    other = pixel_thresholds(replace(random, sensor_seed=1))
    assert np.array_equal(first.on, again.on)
    assert not np.array_equal(first.on, other.on)
    # 676 normal numbers: the standard deviation of their logarithm lies within 5 standard errors (5e-7).
    assert abs(np.log(first.off / random.threshold_off).std() / 0.3 - 1) < 5 / np.sqrt(2 * 676)


def test_noise_events_have_their_rate() -> None:
    spec = replace(STILL, noise_on_hz=5.0, noise_off_hz=2.0)
    on = np.concatenate([emulate(IMAGE, spec, seed=11, index=index)["on"] for index in range(20)])
    for count, rate in ((on.sum(), 5.0), ((~on).sum(), 2.0)):
        expected = rate * 676 * 2 * 20
        assert abs(count - expected) < 5 * np.sqrt(expected)  # Poisson, 5 standard deviations: fails at 6e-7


def test_threshold_noise_keeps_the_mean_number_of_events() -> None:
    spec = replace(QUIET, step_us=1000, duration_us=1_000_000, threshold_noise=0.2)
    fired = watch(np.linspace(0, 100, 1001), 0.1, 0.1, spec)
    # Lognormal steps have the mean exp(s^2 / 2); 1,000 of them, relative deviation 0.2 each: 5 standard errors.
    assert abs(len(fired.t) / (1000 / np.exp(0.02)) - 1) < 5 * 0.2 / np.sqrt(1000)


def test_trajectory_is_a_triangle_wave_with_the_given_turns() -> None:
    spec = replace(QUIET, centre_x_px=10.0, centre_y_px=20.0, swing_x_px=8.0, swing_y_px=4.0, turn_us=100.0)
    x, y = trajectory(np.array([0, 50, 100, 200, 300, 400]), spec)
    assert x.tolist() == [10.0, 8.0, 6.0, 10.0, 14.0, 10.0]
    assert y.tolist() == [18.0, 20.0, 22.0, 18.0, 22.0, 18.0]


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"duration_us": 0},
        {"step_us": -1},
        {"blur_px": 0.0},
        {"threshold_on": float("nan")},
        {"threshold_off": -0.1},
        {"threshold_on": 1e-6},
        {"noise_on_hz": -1.0},
        {"noise_off_hz": 1e9},
        {"refractory_us": float("inf")},
        {"width": 30_000, "height": 30_000},
        {"swing_x_px": 1e9},
        {"threshold_map": ("AAA",)},
    ],
)
def test_impossible_specs_are_refused(change: dict) -> None:
    with pytest.raises(InputError, match=r"\w"):
        EmulatorSpec(**change)


def test_a_map_with_unknown_characters_is_refused() -> None:
    spec = EmulatorSpec(width=2, height=1, threshold_map=("A!", "zz"))
    with pytest.raises(InputError, match="letters"):
        pixel_thresholds(spec)


@pytest.mark.parametrize("image", [IMAGE.astype(float), IMAGE[0], IMAGE[:0]])
def test_impossible_images_are_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="uint8 array"):
        emulate(image, QUIET, seed=0, index=0)


def test_emulated_zeros_resemble_real_ones() -> None:
    """Recordings 101 .. 140, none of which the fit has seen, against the emulation of the same digits."""
    numbers = range(101, 141)
    folder = shared("mnist-dvs", "grabbed_data0", "scale4")
    with np.load(shared("mnist-images", "mnist_train_0.npz")) as file:
        zeros = file["images"][file["labels"] == 0]

    def film(events: np.ndarray, corner: int) -> np.ndarray:
        x, y = events["x"] - corner, events["y"] - corner
        keep = (events["t"] < 2_000_000) & (x >= 0) & (x < 26) & (y >= 0) & (y < 26)
        counts = np.zeros((80, 2, 26, 26))
        np.add.at(counts, (events["t"][keep] // 25_000, events["on"][keep].astype(int), y[keep], x[keep]), 1)
        return counts

    real = np.array(
        [film(read_recording(folder / f"mnist_0_scale04_{n:04d}.aedat").events, 48) for n in numbers]
    )
    made = np.array([film(emulate(zeros[n - 1], MNIST_DVS_SCALE4, seed=0, index=n), 0) for n in numbers])

    def like(reduce) -> float:
        return float(np.corrcoef(reduce(real).ravel(), reduce(made).ravel())[0, 1])

    assert 0.9 < made.sum() / real.sum() < 1.1
    assert abs(made[:, :, 1].sum() / made.sum() - real[:, :, 1].sum() / real.sum()) < 0.03
    assert 0.9 < (made > 0).sum() / (real > 0).sum() < 1.1
    assert like(lambda films: films.sum((0, 2, 3, 4))) > 0.9  # rate over time
    assert like(lambda films: films.sum((0, 1, 2))) > 0.9  # events of each pixel
    assert like(lambda films: films[:, :, 0].sum((0, 1))) > 0.9
    assert like(lambda films: films[:, :, 1].sum((0, 1))) > 0.9
    assert like(lambda films: films.sum((1, 2, 3, 4))) > 0.6  # events of each recording
