"""Damage that knows the formats of event files; see :mod:`fuzz.mutations`."""

from __future__ import annotations

import io
from random import Random
from typing import Any

import h5py
import numpy as np

from fuzz import event_seeds, seeds
from fuzz.mutations import NUMBERS, blind, npy

FIELDS = (
    *(
        "",
        "-1",
        "1.5",
        "nan",
        "inf",
        "1e999",
        "9" * 19,
        "9" * 5000,
        "0x1",
        "1_0",
        " 1 ",
        "\xb2",
        "x",
        "True",
        "false",
        "1e5",
    ),
    *('"1"', "1,1", "1;1", "label", "#", "%", "-0", "+1", ".", "1.", ".5", "\0", "2", "32768"),
)
HEADINGS = (
    *(
        "t",
        "x",
        "y",
        "p",
        "on",
        "time [ms]",
        "t_ns",
        "timestamp",
        "t_s",
        "polarity",
        "taxel",
        "unit",
        "x@64",
        "y@32",
        "offsets",
    ),
    *("a", "", "t t", "xs", "ts", "address", "t_us", "x" * 3000, "\x1b[31m", "é"),
)
COMMENTS = (
    "# t x y p",
    "% geometry:640,480",
    "# width: 5",
    "# height 0",
    "%end",
    "#" * 5000,
    "99999 99999",
    "2 2",
    "label,,",
)


def text(random: Random, data: bytes) -> bytes:
    """Lines with other fields, another heading, other separators, or in another order."""
    lines = data.decode("latin1").splitlines()
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(lines))
        kind = random.randrange(8)
        mark = next((mark for mark in ";\t, " if mark in lines[at]), ",")
        fields = lines[at].split(mark)
        if kind <= 2:
            fields[random.randrange(len(fields))] = random.choice((*FIELDS, *(str(n) for n in NUMBERS)))
            lines[at] = mark.join(fields)
        elif kind == 3:
            names = random.sample(HEADINGS, random.choice((2, 3, 4, len(fields))))
            lines[0 if random.random() < 0.8 else at] = mark.join(names)
        elif kind == 4:
            lines.insert(random.choice((0, at)), random.choice(COMMENTS))
        elif kind == 5:
            lines = [line.replace(mark, random.choice(";,\t |")) for line in lines]
        elif kind == 6:
            random.shuffle(lines)
        else:
            lines = lines[: random.randrange(len(lines)) + 1]
    return random.choice(("\n", "\n", "\r\n", "\r")).join(lines).encode("latin1", "replace")


def _values(random: Random, count: int) -> np.ndarray:
    """A column of something, most often fit for an event."""
    rng = np.random.default_rng(random.getrandbits(32))
    kind = random.choice(("i8", "i8", "u1", "u8", "i2", "f8", "f4", "f2", "?", ">u4", "f8"))
    high = random.choice((2, 2, 26, 26, 1000, 300_000, 2**31, 2**62))
    values = rng.integers(random.choice((0, 0, 0, -1)), high, count)
    if random.random() < 0.5:
        values = np.sort(values)
    with np.errstate(all="ignore"):
        made = values.astype(kind)
        if made.dtype.kind == "f":
            made = made * made.dtype.type(random.choice((1, 1e-6, 1e-3, 0.5)))
            if count and random.random() < 0.1:
                made[random.randrange(count)] = random.choice((np.nan, np.inf, -np.inf, 1e308))
        return made


def _columns(random: Random) -> dict[str, np.ndarray]:
    count = random.choice((0, 1, 2, 30, 30, 30))
    names = random.choice(
        (
            ("t", "x", "y", "p"),
            ("x", "y", "p", "t"),
            ("ts", "unit"),
            ("t_ms", "x", "y"),
            tuple(random.sample(HEADINGS[:19], 4)),
        )
    )
    usual = {
        "t": event_seeds.COLUMNS["t"],
        "x": event_seeds.COLUMNS["x"],
        "y": event_seeds.COLUMNS["y"],
        "p": event_seeds.COLUMNS["p"],
    }
    found = {}
    for name in names:
        if name in usual and random.random() < 0.7:
            found[name] = usual[name][:count]
        else:
            found[name] = _values(random, count if random.random() < 0.97 else count + 1)
    return found


def npy_events(random: Random, data: bytes) -> bytes:
    """Another array: other fields, types, values or shapes; or another header."""
    if random.random() < 0.3:
        return npy(random, event_seeds.npy_files()[random.choice((1, 3))])
    columns = _columns(random)
    count = min(map(len, columns.values()))
    buffer = io.BytesIO()
    if random.random() < 0.5:
        names = [name or "f0" for name in columns]
        kinds = [
            (f"{name}{at}" if names.count(name) > 1 else name, column.dtype)
            for at, (name, column) in enumerate(zip(names, columns.values(), strict=True))
        ]
        array: Any = np.zeros(count, kinds)
        for (name, _), column in zip(kinds, columns.values(), strict=True):
            array[name] = column[:count]
    else:
        with np.errstate(all="ignore"):
            array = np.stack([column[:count] for column in columns.values()], axis=1)
            array = array.astype(
                random.choice((array.dtype, "f8", "i8", "U4", "M8[us]", "c16")), casting="unsafe"
            )
        array = random.choice((array, array, array, array.T, array[None], array[0] if count else array))
    np.save(buffer, array)
    return buffer.getvalue()


def npz_events(random: Random, data: bytes) -> bytes:
    """Another archive: other arrays under other names, some of them damaged."""
    columns = _columns(random)
    members = {}
    for name, column in columns.items():
        buffer = io.BytesIO()
        np.save(buffer, random.choice((column, column, column, column[:, None], column[:1])))
        held = buffer.getvalue()
        members[f"{name}.npy"] = blind(random, held) if random.random() < 0.05 else held
    if random.random() < 0.2:
        buffer = io.BytesIO()
        np.save(
            buffer,
            random.choice((np.array(64), np.array([64]), np.arange(3), np.array("x"), np.array(2**40))),
        )
        members["width.npy"] = members["height.npy"] = buffer.getvalue()
    return seeds.archive(
        {name.replace("\0", ""): held for name, held in members.items()}, random.choice((0, 8, 8, 14))
    )


def hdf5_events(random: Random, data: bytes) -> bytes:
    """A whole HDF5 file of another layout, with odd types, attributes, links, filters and lengths."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        if random.random() < 0.3:
            _spikes(random, file)
        else:
            place = random.choice(("events", "CD", "a/b/c/d/e/f/g", "davis/left/events"))
            for name, column in _columns(random).items():
                if name and "/" not in name:
                    _dataset(random, file, f"{place}/{name}", column)
            if random.random() < 0.3:
                table = np.stack([event_seeds.COLUMNS[name] for name in random.sample("txyp", 4)], axis=1)
                _dataset(random, file, random.choice(("events2", "x/events", "y")), table)
            if random.random() < 0.3:
                file["ms_to_idx"] = np.arange(3)
        for _ in range(random.choice((0, 0, 1, 2))):
            value = random.choice(
                (
                    "us",
                    "ms",
                    b"s",
                    "64x64",
                    "0x0",
                    "x",
                    "9" * 30 + "x1",
                    64,
                    -1,
                    2**40,
                    (26, 26),
                    (64.5, 1),
                    np.arange(3),
                    "\ud7ff",
                    np.nan,
                )
            )
            held = random.choice(
                (file, *(each for each in file.values() if not isinstance(each, h5py.Datatype)))
            )
            held.attrs[
                random.choice(("unit", "geometry", "width", "height", "resolution", "sensor_size"))
            ] = value
        special = random.randrange(12)
        if special == 0:
            file["loop"] = file["/"]
        elif special == 1:
            file["link"] = h5py.ExternalLink("/etc/passwd", "/x")
            file["soft"] = h5py.SoftLink("/soft")
        elif special == 2:
            file.create_dataset("events0", (random.choice((2**20, 2**40)), 4), "i8", maxshape=(None, 4))
        elif special == 3:
            file["type"] = np.dtype("i8")
        elif special == 4:
            file["events1"] = h5py.Empty("i8")
    found = buffer.getvalue()
    return blind(random, found) if random.random() < 0.3 else found


def _dataset(random: Random, file: h5py.File, name: str, values: np.ndarray) -> None:
    extra: dict[str, Any] = {}
    if values.ndim and len(values) and random.random() < 0.3:
        extra = random.choice(
            ({"compression": "gzip"}, {"compression": "lzf"}, {"shuffle": True}, {"fletcher32": True})
        )
    file.create_dataset(name, data=values, **extra)


def _spikes(random: Random, file: h5py.File) -> None:
    count = random.choice((0, 1, 4))
    for name in ("times", "units"):
        kind = random.choice(("f2", "f8", "i8") if name == "times" else ("u2", "u2", "i8", "f4"))
        rows = file.create_dataset(
            f"spikes/{name}",
            (count if random.random() < 0.95 else count + 1,),
            h5py.vlen_dtype(np.dtype(kind)),
        )
        for at in range(count):
            with np.errstate(all="ignore"):
                rows[at] = _values(random, random.choice((0, 3, 3, 3))).astype(kind)
    labels = np.arange(count) - random.choice((0, 0, 0, 1))
    file["labels"] = random.choice((labels, labels, labels[1:], labels * 2**40, labels / 2))
    file["extra/keys"] = random.choice(([b"a", b"b", b"c", b"d"], [b"a"], [b"a"] * 4, np.arange(4), "x"))


def raw(random: Random, data: bytes) -> bytes:
    """Words at random under a right header, of types that mean something."""
    head, size = random.choice(
        (
            (b"% evt 2.0\n", 4),
            (b"% evt 2.1\n", 8),
            (b"% format EVT3;height=64;width=64\n", 2),
            (b"% Version 2\n\0\x08", 8),
        )
    )
    words = []
    for _ in range(random.randrange(60)):
        kind = random.choice((0, 1, 2, 3, 4, 5, 6, 8, 8, 15))
        words.append(
            (kind << (8 * size - 4) | random.getrandbits(random.choice((8, 8 * size - 4)))).to_bytes(
                size, "little"
            )
        )
    return head + b"".join(words)


def folder(random: Random, data: bytes) -> bytes:
    """Another labels file, other names, or another expression."""
    labels, names, expression = (part or b"" for part in seeds.unbundle(data, 3))
    kind = random.randrange(4)
    if kind <= 1:
        labels = text(random, labels or event_seeds.LABELS.encode())
    elif kind == 2:
        odd = (
            "../x",
            "/etc/x",
            "a//b",
            ".hidden/x",
            "train/x",
            "TEST/1/y",
            "é/1",
            "a\x1bb/1",
            "x" * 300,
            "a/1.x",
            "con/../b",
            "valid",
            "0/1/2/3",
        )
        lines = names.decode("latin1").splitlines()
        lines[random.randrange(len(lines))] = random.choice(odd)
        names = "\n".join(lines).encode("utf-8")
    else:
        expression = random.choice(
            (b"(", b"x", b".", b"(a)|b", b"^", rb"(\d+)", b"(?P<a>.)", b"\xff", b"(.)(?=x)", b"[" * 50)
        )
    return seeds.bundle(labels, names, expression)
