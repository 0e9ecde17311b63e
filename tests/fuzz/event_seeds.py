"""Small valid event files of every kind but those of :mod:`fuzz.seeds`, made by code."""

from __future__ import annotations

import io
import tempfile
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from event_files import aedat2, random_events

from fuzz.seeds import bundle

EVENTS = random_events(np.random.default_rng(11), 30, 26, 300_000)
COLUMNS = {
    "t": EVENTS["t"],
    "x": EVENTS["x"].astype("i8"),
    "y": EVENTS["y"].astype("i8"),
    "p": EVENTS["on"].astype("i8"),
}


@lru_cache
def text_files() -> list[bytes]:
    rows = list(zip(*(column.tolist() for column in COLUMNS.values()), strict=True))
    found = []
    for separator, head in ((",", "t,x,y,p"), (" ", "26 26"), ("\t", "# t x y p"), (";", "%size 64x64")):
        end = "\r\n" if separator == " " else "\n"
        found.append(end.join([head, *(separator.join(map(str, row)) for row in rows), ""]).encode())
    found.append(
        "\n".join(["t_s y,x".replace(" ", ","), *(f"{t / 1e6},{y},{x}" for t, x, y, _ in rows)]).encode()
    )
    found.append(b"t,x,y,on\nlabel,0,1\n" + b"".join(b"%d,%d,%d,%d\n" % row for row in rows))
    return found


@lru_cache
def npy_files() -> list[bytes]:
    table = np.stack(list(COLUMNS.values()), axis=1)
    structured = np.zeros(len(EVENTS), [("x", "u2"), ("y", "u2"), ("p", "i1"), ("t", "i8")])
    for name, column in COLUMNS.items():
        structured[name] = column
    found = []
    for array in (EVENTS, table, structured, table * [1e-6, 1, 1, 1]):
        buffer = io.BytesIO()
        np.save(buffer, array)
        found.append(buffer.getvalue())
    return found


@lru_cache
def npz_files() -> list[bytes]:
    found = []
    for arrays in (COLUMNS, {"events": EVENTS}, {"ts": EVENTS["t"] / 1e6, "unit": EVENTS["x"]}):
        for save in (np.savez, np.savez_compressed):
            buffer = io.BytesIO()
            save(buffer, **arrays)
            found.append(buffer.getvalue())
    return found


def columns_file(file: h5py.File) -> None:
    for name, column in COLUMNS.items():
        file[f"events/{name}"] = column
    file["ms_to_idx"], file["t_offset"] = np.arange(9), 5


def spikes_file(file: h5py.File) -> None:
    for name, kind in (("times", "f2"), ("units", "u2")):
        rows = file.create_dataset(f"spikes/{name}", (5,), h5py.vlen_dtype(np.dtype(kind)))
        for at in range(5):
            rows[at] = (np.arange(at + 3) / 8 if name == "times" else np.arange(at + 3) * 7).astype(kind)
    file["labels"] = np.arange(5) % 2
    file["extra/keys"] = [b"no", b"yes"]


@lru_cache
def hdf5_files() -> list[bytes]:
    table = np.stack(list(COLUMNS.values()), axis=1)
    found = []
    for make in (
        columns_file,
        spikes_file,
        lambda file: file.create_dataset("davis/events", data=table, compression="gzip"),
        lambda file: file.create_dataset("CD/events", data=EVENTS),
    ):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            make(file)
        found.append(buffer.getvalue())
    return found


@lru_cache
def raw_files() -> list[bytes]:
    """EVT 2, 2.1 and 3, and both versions of DAT."""
    t, x, y, on = (EVENTS[name].astype("i8") for name in ("t", "x", "y", "on"))
    two, three, vectors = [], [], []
    for time, column, row, polarity in zip(*(c.tolist() for c in (t, x, y, on)), strict=True):
        two += [8 << 28 | time >> 6, polarity << 28 | (time & 63) << 22 | column << 11 | row]
        vectors += [
            8 << 60 | (time >> 6) << 32,
            (polarity << 28 | (time & 63) << 22 | column << 11 | row) << 32 | 5,
        ]
        three += [8 << 12 | time >> 12, 6 << 12 | time & 4095, row, 2 << 12 | polarity << 11 | column]
        three += [3 << 12 | polarity << 11 | column, 4 << 12 | 0x805, 5 << 12 | 3]
    place = [(x | y << 14 | on << 28), (x | y << 9 | on << 17)]
    dats = [np.stack([t, column], axis=1).astype("<u4").tobytes() for column in place]
    return [
        b"% evt 2.0\n% geometry 64x64\n" + np.array(two, "<u4").tobytes(),
        b"% format EVT21;endianness=little;height=64;width=64\n% end\n" + np.array(vectors, "<u8").tobytes(),
        b"% evt 3.0\n% system_ID 48\n" + np.array(three, "<u2").tobytes(),
        b"% Data file containing CD events.\n% Version 2\n% Width 64\n% Height 64\n\x0c\x08" + dats[0],
        b"% Version 1\n\0\x08" + dats[1],
    ]


@lru_cache
def faery_files() -> list[bytes]:
    """AEDAT 4 and ES, as faery writes them."""
    import faery

    events = np.zeros(len(EVENTS), faery.EVENTS_DTYPE)
    for name in ("t", "x", "y", "on"):
        events[name] = EVENTS[name]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, kept in (("a.aedat4", {}), ("b.aedat4", {"compression": None}), ("c.es", {})):
            faery.events_stream_from_array(events, (64, 64)).to_file(Path(folder, name), **kept)
            found.append(Path(folder, name).read_bytes())
    return found


NAMES = ["a/1.x", "a/2.x", "b/1.bin", "b/deep/10.x", "c.csv", "README.md"]
LABELS = "file,label,split,begin,end\na/1.x,one,train,,\na/2.x,two,test,0,0.2\nb/1.bin,2,val,0.1,\n"


@lru_cache
def folders() -> list[bytes]:
    """A labels file, the names of the files of a folder, and how classes are found in them."""
    parts = ["train/1/a", "train/2/a", "Test/1/b", "test/2/b", "valid/1/c"]
    return [
        bundle(LABELS.encode(), "\n".join(NAMES).encode(), b""),
        bundle(b"", "\n".join(NAMES).encode(), rb"^(\w)"),
        bundle(b"", "\n".join(parts).encode(), b""),
    ]


@lru_cache
def recordings() -> tuple[bytes, ...]:
    """What the files of a folder hold."""
    return (aedat2(EVENTS), text_files()[0], npy_files()[0], b"", b"Some words.\n", b"\xff" * 9)
