"""Recordings of three classes, left, middle and right of a sensor: in every format, trained on and scored."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from event_files import aedat2, nmnist

from gemsnn.commands.cli import main
from gemsnn.data.events import Events, make_events

SIDE = 34
CLASSES = ("left", "middle", "right")
RECORDINGS = 6


def scene(label: int, number: int) -> Events:
    """Events of 30 ms in the columns of a class, the first at time 0."""
    random = np.random.default_rng([label, number])
    t = np.sort(random.integers(0, 29_500, 120))
    t[0], t[-1] = 0, 29_500
    x = 12 * label + random.integers(0, 10, 120)
    return make_events(t, x, random.integers(0, SIDE, 120), random.integers(0, 2, 120) == 1)


def plain(events: Events) -> np.ndarray:
    """As other programs have them."""
    out = np.zeros(len(events), [("x", "<u2"), ("y", "<u2"), ("t", "<u4"), ("p", "u1")])
    for name, own in zip("xytp", ("x", "y", "t", "on"), strict=True):
        out[name] = events[own]
    return out


def in_memory(write: Callable[[Any], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def hdf5(events: Events) -> bytes:
    def write(file: io.BytesIO) -> None:
        with h5py.File(file, "w") as held:
            for name in "xytp":
                held[f"events/{name}"] = plain(events)[name]

    return in_memory(write)


def dat2(events: Events) -> bytes:
    """DAT: x in 14 bits, y in the next 14, the polarity above."""
    e = plain(events).astype([("x", "<u4"), ("y", "<u4"), ("t", "<u4"), ("p", "<u4")])
    words = np.stack([e["t"], e["x"] | e["y"] << 14 | e["p"] << 28], 1).astype("<u4")
    head = f"% Data file containing CD events.\n% Version 2\n% Height {SIDE}\n% Width {SIDE}\n% end\n"
    return head.encode() + bytes([12, 8]) + words.tobytes()


def evt3(events: Events) -> bytes:
    """EVT 3: the high and the low bits of the time, the row, and the column with the polarity, all anew for each."""
    words = []
    for t, x, y, on in events.tolist():
        words += [0x8000 | t >> 12, 0x6000 | t & 0xFFF, y, 0x2000 | int(on) << 11 | x]
    head = f"% evt 3.0\n% geometry {SIDE}x{SIDE}\n% end\n"
    return head.encode() + np.array(words, "<u2").tobytes()


def evt2(events: Events) -> bytes:
    """EVT 2: the high bits of the time anew for each event, and a word of its polarity, low bits, column and row."""
    words = []
    for t, x, y, on in events.tolist():
        words += [0x8 << 28 | t >> 6, int(on) << 28 | (t & 63) << 22 | x << 11 | y]
    head = f"% evt 2.0\n% geometry {SIDE}x{SIDE}\n% end\n"
    return head.encode() + np.array(words, "<u4").tobytes()


def one_array(events: Events) -> bytes:
    """HDF5 with an array ``[n, 4]`` of time, column, row and polarity."""
    rows = np.array([[t, x, y, int(on)] for t, x, y, on in events.tolist()])

    def write(file: io.BytesIO) -> None:
        with h5py.File(file, "w") as held:
            held["events"] = rows

    return in_memory(write)


def by_faery(suffix: str) -> Callable[[Events], bytes]:
    def write(events: Events) -> bytes:
        import tempfile

        faery = pytest.importorskip("faery")
        raw = np.zeros(len(events), faery.EVENTS_DTYPE)
        for name in ("t", "x", "y", "on"):
            raw[name] = events[name]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"x.{suffix}")
            faery.events_stream_from_array(raw, (SIDE, SIDE)).to_file(path)
            return path.read_bytes()

    return write


def csv(events: Events) -> bytes:
    """Times in milliseconds, and nothing that says so."""
    rows = [f"{t / 1000:.3f},{x},{y},{int(on)}" for t, x, y, on in events.tolist()]
    return "\n".join(["t,x,y,p", *rows, ""]).encode()


FORMATS: dict[str, tuple[Callable[[Events], bytes], list[str]]] = {
    "aedat": (lambda events: aedat2(events, origin_us=2**31), []),
    "bin": (nmnist, []),
    "npy": (lambda events: in_memory(lambda file: np.save(file, plain(events))), []),
    "npz": (
        lambda events: in_memory(lambda file: np.savez(file, **{n: plain(events)[n] for n in "xytp"})),
        [],
    ),
    "hdf5": (hdf5, []),
    "h5": (one_array, []),
    "evt2": (evt2, []),
    "csv": (csv, ["--time-unit", "ms"]),
    "dat": (dat2, []),
    "raw": (evt3, []),
    "es": (by_faery("es"), []),
    "aedat4": (by_faery("aedat4"), []),
}
"""By the ending of their names, which plays no part: how a recording is written, and the flags that reading needs."""

BINS = ["--bin-us", "1000", "--steps", "30", "--sensor", f"{SIDE}x{SIDE}"]
FEW = {"--epochs": "1", "--hidden": "4", "--votes": "2", "--batch": "8", "--evaluate-every": "1"}
"""A training that is over at once, but for what a test asks for otherwise."""


def folder_of(root: Path, kind: str = "bin", classes=CLASSES, count: int = RECORDINGS) -> Path:
    """A folder a class."""
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.{kind}").write_bytes(FORMATS[kind][0](scene(label, number)))
    return root


def train(root: Path, out: Path, *words: str) -> int:
    few = {flag: value for flag, value in FEW.items() if flag not in words}
    given = [word for pair in few.items() for word in pair]
    return main(["train", "--data", "events", "--root", str(root), "--out", str(out), *given, *words])


def said(capsys) -> tuple[str, str]:
    """What was printed: on standard output, and the last line of standard error."""
    found = capsys.readouterr()
    return found.out, (found.err.splitlines() or [""])[-1]


def scores(run: Path, capsys, *words: str) -> dict:
    capsys.readouterr()
    assert main(["evaluate", str(run), "--votes", "2", "--json", *words]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)
