"""Prophesee's files, piece by piece: raw recordings (EVT 2, 2.1 and 3) and DAT.

Both begin with lines ``% key value`` of text. A DAT file goes on with two bytes, the type of its events and their size,
and 8 bytes an event, little-endian: uint32 time in microseconds, then 14 bits of x, 14 of y and the polarity (version
2), or 9, 8 and 1 bit (version 1). See https://docs.prophesee.ai/stable/data/file_formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gemsnn.data.access import refusal
from gemsnn.data.events import Events, make_events
from gemsnn.data.readers import evt
from gemsnn.data.readers.decoded import Decoded
from gemsnn.data.readers.recognise import START, header_length
from gemsnn.errors import InputError, one_line
from gemsnn.types import AnyPath

BLOCK = 2**20
"""Bytes that are decoded at a time."""

LONGEST_CLOCK = 18
"""Digits of a clock's microseconds that are believed."""

_FORMATS: dict[str, tuple[type[np.unsignedinteger], evt.Decoder]] = {
    "2": (np.uint32, evt.decode2),
    "2.1": (np.uint64, evt.decode21),
    "3": (np.uint16, evt.decode3),
}
_VGA, _HD = (640, 480), (1280, 720)
_SYSTEMS = {
    **dict.fromkeys(("21", "23", "25", "28", "29", "33", "34", "35", "40", "41"), _VGA),
    **dict.fromkeys(("26", "30", "31", "32", "39", "46", "48", "49", "50"), _HD),
}
"""Sensors by ``system_ID``, as OpenEB knows them (device_system_id.h)."""

_CAMERAS = {"gen3": _VGA, "gen4": _HD, "imx636": _HD, "genx320": (320, 320)}
"""Sensors by what the names of their plugins have in them."""

_DAT_TYPES = (0x00, 0x0C)
_WRAP_US = 2**32


class Header(NamedTuple):
    """The lines at the top: what they say by lower-case key, and their length in bytes."""

    fields: dict[str, str]
    length: int

    @property
    def sensor(self) -> tuple[int, int] | None:
        """Width and height, where they are told."""
        told = [self.fields.get("geometry", ""), self.fields.get("format", "")]
        sides = re.search(r"(\d{1,5})\s*x\s*(\d{1,5})", told[0])
        width, height = (
            re.search(rf"{side}\s*=\s*(\d{{1,5}})", told[1])
            or re.fullmatch(r"\s*(\d{1,5})", self.fields.get(side, ""))
            for side in ("width", "height")
        )
        if sides:
            return int(sides[1]), int(sides[2])
        return (int(width[1]), int(height[1])) if width and height else None

    @property
    def origin(self) -> int:
        """Microseconds of the camera's clock at time 0, which faery writes; 0 where it is not told."""
        told = self.fields.get("t0", "")
        return int(told) if told.isascii() and told.isdigit() and len(told) <= LONGEST_CLOCK else 0

    @property
    def camera(self) -> tuple[int, int] | None:
        """Width and height by the camera's name."""
        if (known := _SYSTEMS.get(self.fields.get("system_id", ""))) is not None:
            return known
        plugin = self.fields.get("plugin_name", "").lower()
        return next((sensor for name, sensor in _CAMERAS.items() if name in plugin), None)


def read_header(path: AnyPath) -> Header:
    """The header of a file.

    Raises:
        InputError: the file cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(16 * START)
    except OSError as error:
        raise refusal(path, error, "it cannot be read; check the drive") from error
    length = header_length(start)
    fields: dict[str, str] = {}
    for line in start[:length].decode("utf-8", "replace").splitlines():
        key, _, value = line.lstrip("% ").strip().partition(" ")
        fields.setdefault(key.lower(), value.strip())
    return Header(fields, length)


def open_evt(path: AnyPath) -> Decoded:
    """A raw recording.

    Raises:
        InputError: it is of another version.
    """
    path = Path(path)
    header = read_header(path)
    told = header.fields.get("format", header.fields.get("evt", ""))
    name = re.match(r"(?:evt)?\s*(\d)[.]?(\d?)", told.lower())
    version = "" if name is None else name[1] if name[2] in ("", "0") else f"{name[1]}.{name[2]}"
    if version not in _FORMATS:
        raise InputError(
            f"{path}: this raw recording is of the format {one_line(told)!r}, and EVT 2, 2.1 and 3 are read; convert "
            "it, for example to HDF5"
        )
    word, decode = _FORMATS[version]
    if version == "2.1" and _halves_swapped(path, header):
        decode = evt.decode21_swapped
    notes: tuple[str, ...] = ()
    sensor = header.sensor
    if sensor is None and (sensor := header.camera) is not None:
        notes = (
            f"The sensor's size, {sensor[0]} x {sensor[1]} pixels, is that of the camera that the file names.",
        )
    repairs: dict[str, int] = {}
    chunks = _evt_chunks(path, header, np.dtype(word).newbyteorder("<"), decode, repairs)
    return Decoded(f"EVT {version}", sensor, chunks, notes, repairs)


def _halves_swapped(path: Path, header: Header) -> bool:
    """Whether the halves of EVT 2.1's words have changed places ("legacy"): told, or seen by where the types are."""
    told = header.fields.get("endianness", header.fields.get("format", "")).lower()
    if "legacy" in told or "little" in told:
        return "legacy" in told
    start = next(_blocks(path, header.length, 8, {}), b"")
    types = np.frombuffer(start, "<u4").reshape(-1, 2) >> 28
    lower, upper = np.isin(types, (0, 1, 8, 10, 14)).mean(axis=0) if len(types) else (0, 0)
    return bool(lower > upper)


def open_dat(path: AnyPath) -> Decoded:
    """A DAT file.

    Raises:
        InputError: its events are of another type.
    """
    path = Path(path)
    header = read_header(path)
    try:
        with path.open("rb") as file:
            file.seek(header.length)
            kind = file.read(2)
    except OSError as error:
        raise refusal(path, error, "it cannot be read; check the drive") from error
    if len(kind) < 2 or kind[0] not in _DAT_TYPES or kind[1] != 8:
        told = f"events of type {kind[0]} and {kind[1]} bytes" if len(kind) == 2 else "no events"
        raise InputError(
            f"{path}: this DAT file holds {told}, and events of pixels of 8 bytes are read; leave it out"
        )
    version = re.match(r"\d+", header.fields.get("version", ""))
    repairs: dict[str, int] = {}
    newer = version is not None and int(version[0]) >= 2
    chunks = _dat_chunks(path, header, newer, repairs)
    return Decoded(f"DAT {2 if newer else 1}", header.sensor, chunks, (), repairs)


def _evt_chunks(
    path: Path, header: Header, word: np.dtype, decode: evt.Decoder, repairs: dict[str, int]
) -> Iterator[Events]:
    held = evt.Held()
    for data in _blocks(path, header.length, word.itemsize, repairs):
        events, held = decode(np.frombuffer(data, word), held)
        if held.left:
            repairs["events without a time or row"] = held.left
        events["t"] += header.origin
        yield events


def _dat_chunks(path: Path, header: Header, newer: bool, repairs: dict[str, int]) -> Iterator[Events]:
    turns, before = 0, None
    for data in _blocks(path, header.length + 2, 8, repairs):
        words = np.frombuffer(data, "<u4").reshape(-1, 2).astype(np.int64)
        t, place = words.T
        step = np.diff(t, prepend=t[0] if before is None else before)
        wraps = np.cumsum((step < -_WRAP_US // 2).astype(np.int64)) + turns
        turns, before = int(wraps[-1]), int(t[-1])
        if turns:
            repairs["timestamp wrap-arounds"] = turns
        if newer:
            x, y, on = place & 0x3FFF, place >> 14 & 0x3FFF, place >> 28 & 1
        else:
            x, y, on = place & 0x1FF, place >> 9 & 0xFF, place >> 17 & 1
        yield make_events(t + _WRAP_US * wraps + header.origin, x, y, on == 1)


def _blocks(path: Path, start: int, size: int, repairs: dict[str, int]) -> Iterator[bytes]:
    """The bytes after the header, in whole words; what is left at the end is counted."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            while data := file.read(BLOCK):
                if rest := len(data) % size:
                    repairs["bytes at the end that make no event"] = rest
                    data = data[:-rest]
                if data:
                    yield data
    except OSError as error:
        raise refusal(path, error, "it cannot be read; check the drive") from error
