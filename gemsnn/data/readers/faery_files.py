"""Event files that the library faery decodes, piece by piece: AEDAT 4, EVT 2 and 3 (``.raw``), DAT, ES.

faery comes with the extra ``events`` (https://github.com/aestream/faery).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gemsnn.data.access import refusal
from gemsnn.data.events import Events, Recording, check_events, in_order, make_events
from gemsnn.data.readers.columns import LARGEST_RECORDING
from gemsnn.errors import InputError, one_line
from gemsnn.types import AnyPath

_TYPES: dict[str, Any] = {"AEDAT 4": "aedat", "EVT": "evt", "DAT": "dat", "ES": "es"}

_FAR = np.iinfo(np.int16).max


def read_decoded(path: AnyPath, kind: str) -> Recording:
    """A whole file as a recording.

    Raises:
        InputError: as :func:`read_chunks`, or it holds no events.
    """
    (width, height), chunks = read_chunks(path, kind)
    pieces, count = [], 0
    for piece in chunks:
        pieces.append(piece)
        count += len(piece)
        if count > LARGEST_RECORDING:
            raise InputError(
                f"{path}: more than {LARGEST_RECORDING} events are too many for one recording; cut it"
            )
    if not count:
        raise InputError(f"{path}: this {kind} file holds no events; leave it out or record it again")
    events = np.concatenate(pieces)
    order, t, repairs = in_order(events["t"])
    events = events[order]
    events["t"] = t
    check_events(events, width, height, str(path))
    return Recording(events, width, height, kind, repairs)


def read_chunks(path: AnyPath, kind: str) -> tuple[tuple[int, int], Iterator[Events]]:
    """The sensor's width and height, and the events of a file, some thousands at a time, in its own microseconds.

    Raises:
        InputError: faery is not installed, or it cannot read the file (this may turn out on the way).
    """
    path = Path(path)
    try:
        import faery
    except ImportError:
        raise InputError(
            f"{path}: files of this kind are read by faery, which is not installed; "
            "run pip install 'gemsnn[events]'"
        ) from None
    try:
        stream = faery.events_stream_from_file(path, file_type=_TYPES[kind])
        width, height = stream.dimensions()
    except Exception as error:  # faery's decoders raise exceptions of many kinds
        raise _unreadable(path, error) from error
    return (int(width), int(height)), _decoded(stream, path)


def _decoded(stream: Iterable[Any], path: Path) -> Iterator[Events]:
    pieces = iter(stream)
    while True:
        try:
            raw = next(pieces)
        except StopIteration:
            return
        except Exception as error:
            raise _unreadable(path, error) from error
        x, y = (np.minimum(raw[name], _FAR) for name in ("x", "y"))
        yield make_events(np.minimum(raw["t"], np.iinfo(np.int64).max), x, y, raw["on"])


def _unreadable(path: Path, error: Exception) -> InputError:
    return refusal(path, error, f"faery cannot read this file ({one_line(error)}); copy it again")
