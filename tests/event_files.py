"""Encoders of the event formats, written from the formats' definitions, and small data sets made by them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import numpy as np

from gemsnn.data.events import Events, make_events

HEADER = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n# Timestamps tick is 1 us\r\n"


def random_events(rng: np.random.Generator, count: int, side: int, duration_us: int, low: int = 0) -> Events:
    t = np.sort(rng.integers(0, duration_us, count))
    x, y = rng.integers(low, side, (2, count))
    return make_events(t - t[0], x, y, rng.integers(0, 2, count).astype(bool))


def raw_aedat2(address: np.ndarray, t: np.ndarray, header: bytes = HEADER) -> bytes:
    return header + np.stack([address, t], axis=1).astype(">u4").tobytes()


def aedat2(events: Events, origin_us: int = 0, header: bytes = HEADER) -> bytes:
    x, y, off = 127 - events["x"].astype(np.int64), events["y"].astype(np.int64), ~events["on"]
    return raw_aedat2(y << 8 | x << 1 | off, (events["t"] + origin_us) % 2**32, header)


def nmnist(events: Events) -> bytes:
    t, on = events["t"], events["on"].astype(np.int64)
    columns = [events["x"], events["y"], on << 7 | t >> 16, t >> 8 & 0xFF, t & 0xFF]
    return np.stack(columns, axis=1).astype(np.uint8).tobytes()


def dvs_name(digit: int, number: int, scale: int = 4) -> str:
    return f"mnist_{digit}_scale{scale:02d}_{number:04d}.aedat"


def dvs_folder(root: Path, wanted: list[tuple[int, int]], kind: str = "grabbed", scale: int = 4) -> dict:
    """Write recordings ``(digit, number)`` into ``<kind>_data<digit>/scale4/``, and return their events."""
    written = {}
    for digit, number in wanted:
        folder = root / f"{kind}_data{digit}" / f"scale{scale}"
        folder.mkdir(parents=True, exist_ok=True)
        seed = [digit, number, scale, len(kind)]
        events = random_events(np.random.default_rng(seed), 300, 128, 2_200_000)
        (folder / dvs_name(digit, number, scale)).write_bytes(aedat2(events, origin_us=12_345))
        written[digit, number] = events
    return written


def dvs_zip(path: Path, wanted: list[tuple[int, int]], folder: str = "grabbed_data0") -> dict:
    written = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"__MACOSX/{folder}/scale4/._{dvs_name(0, 1)}", b"not a recording")
        for digit, number in wanted:
            events = random_events(np.random.default_rng([digit, number, 99]), 200, 128, 2_200_000)
            archive.writestr(f"{folder}/scale4/{dvs_name(digit, number)}", aedat2(events))
            written[digit, number] = events
    return written


def hdf5(path: Path, train: list[tuple[int, Events]], test: list[tuple[int, Events]]) -> None:
    """The group's layout: ``/<part>/<i>`` of t, x, y, pol as uint32, ``/<part>/labels``, ``/stats``."""
    with h5py.File(path, "w") as file:
        for name, part in (("train", train), ("test", test)):
            if not part:
                continue
            for i, (_, e) in enumerate(part):
                file[f"{name}/{i}"] = np.stack([e["t"], e["x"], e["y"], e["on"]], axis=1).astype(np.uint32)
            file[f"{name}/labels"] = np.array([label for label, _ in part])
            file[f"stats/{name}_data"] = np.array([len(part), 26])


def nmnist_folder(root: Path, wanted: list[tuple[int, int]], part: str = "Train") -> dict:
    written = {}
    for digit, number in wanted:
        folder = root / part / str(digit)
        folder.mkdir(parents=True, exist_ok=True)
        events = random_events(np.random.default_rng([digit, number, 7]), 250, 34, 300_000)
        (folder / f"{number:05d}.bin").write_bytes(nmnist(events))
        written[digit, number] = events
    return written
