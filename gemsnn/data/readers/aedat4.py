"""The container of AEDAT 4 files, checked before a decoder trusts it.

After the line ``#!AER-DAT4.0`` stands the length of a header and the header, a flatbuffer of the packets' compression,
the position of a table at the end (-1 if there is none) and a description in XML; then packets, each after its stream's
number and its length (docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html). A length that
lies makes a decoder ask for memory, and one that gets none ends the process.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, NamedTuple
from xml.etree import ElementTree

from gemsnn.data.access import refusal
from gemsnn.errors import InputError
from gemsnn.types import AnyPath

FIRST_LINE = 14
"""Bytes of the line at the top."""

LARGEST_HEADER = 2**24
LARGEST_PACKET = 2**32
"""Bytes that a packet may have after it was unpacked; those of cameras have less than some ten million."""

_LZ4, _ZSTD = (1, 2), (3, 4)
_LZ4_EXPANSION = 256
_ZSTD_FRAME = b"\x28\xb5\x2f\xfd"
_ZSTD_BLOCK = 2**17
_ZSTD_SIZES = (0, 2, 4, 8)
_ZSTD_DICTIONARIES = (0, 1, 2, 4)


class Container(NamedTuple):
    """What a header says: the packets' compression, and the position at which they end."""

    compression: int
    end: int


def check_container(path: AnyPath) -> None:
    """Refuse a file whose lengths do not fit one another.

    Raises:
        InputError: they do not; or the header is damaged, or a packet unpacks to more than any camera writes.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(FIRST_LINE)
            container = _read_header(file, size, path)
            while (at := file.tell()) < container.end:
                head = file.read(8)
                length = struct.unpack("<ii", head)[1] if len(head) == 8 else -1
                if not 0 <= length <= container.end - at - 8:
                    raise _damaged(path, f"the packet at byte {at} does not end within it")
                if _unpacked(file, length, container.compression) > LARGEST_PACKET:
                    raise _damaged(path, f"the packet at byte {at} unpacks to more than any camera writes")
                file.seek(at + 8 + length)
    except OSError as error:
        raise refusal(path, error, "it cannot be read; check the drive") from error


def _read_header(file: IO[bytes], size: int, path: Path) -> Container:
    told = file.read(4)
    length = struct.unpack("<I", told)[0] if len(told) == 4 else size
    if length > min(size - FIRST_LINE - 4, LARGEST_HEADER):
        raise _damaged(path, "it ends within its header")
    header = file.read(length)
    try:
        compression, end, text = _fields(header)
        ElementTree.fromstring(text.decode("utf-8"))
    except (struct.error, ValueError, IndexError, ElementTree.ParseError, LookupError) as error:
        raise _damaged(path, "its header is no description of streams") from error
    if end >= 0 and not FIRST_LINE + 4 + length <= end <= size:
        raise _damaged(path, "its table does not lie within it")
    return Container(compression, size if end < 0 else end)


def _fields(header: bytes) -> tuple[int, int, bytes]:
    """Compression, position of the table and description, of a flatbuffer."""
    (root,) = struct.unpack_from("<I", header)
    table = root - struct.unpack_from("<i", header, root)[0]
    if table < 0:
        raise ValueError
    (length,) = struct.unpack_from("<H", header, table)
    offsets = [struct.unpack_from("<H", header, table + at)[0] if at + 2 <= length else 0 for at in (4, 6, 8)]
    compression = struct.unpack_from("<i", header, root + offsets[0])[0] if offsets[0] else 0
    end = struct.unpack_from("<q", header, root + offsets[1])[0] if offsets[1] else -1
    if not offsets[2]:
        raise ValueError
    text = root + offsets[2]
    text += struct.unpack_from("<I", header, text)[0]
    (length,) = struct.unpack_from("<I", header, text)
    if text + 4 + length > len(header):
        raise ValueError
    return compression, end, header[text + 4 : text + 4 + length]


def _unpacked(file: IO[bytes], length: int, compression: int) -> int:
    """At most so many bytes come out of the packet that begins here."""
    if compression in _LZ4:
        return length * _LZ4_EXPANSION
    if compression not in _ZSTD:
        return length
    head = file.read(min(length, 18))
    if not head.startswith(_ZSTD_FRAME) or len(head) < 6:
        return 0  # no frame: the decoder will refuse it
    flags = head[4]
    at = 5 + (not flags >> 5 & 1) + _ZSTD_DICTIONARIES[flags & 3]
    at += 1 if flags >> 5 & 1 and not flags >> 6 else _ZSTD_SIZES[flags >> 6]
    start, blocks, last = file.tell() - len(head), 0, False
    while not last and at + 3 <= length and blocks * _ZSTD_BLOCK <= LARGEST_PACKET:
        file.seek(start + at)
        word = int.from_bytes(file.read(3), "little")
        last, kind, size = bool(word & 1), word >> 1 & 3, word >> 3
        at += 3 + (1 if kind == 1 else size)
        blocks += 1
    return blocks * _ZSTD_BLOCK


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path}: this AEDAT 4 file is damaged: {why}; copy it again")
