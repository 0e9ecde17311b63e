"""Event files that the library faery decodes, piece by piece: AEDAT 4 and ES (Event Stream).

faery comes with the extra ``events`` (https://github.com/aestream/faery).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gemsnn.data.access import first_bytes, refusal
from gemsnn.data.events import Events, make_events
from gemsnn.data.readers.aedat4 import check_container
from gemsnn.data.readers.decoded import Decoded
from gemsnn.errors import InputError, one_line
from gemsnn.types import AnyPath

_TYPES = {"AEDAT 4": "aedat", "ES": "es"}
_ES_TYPES = {0: "generic events", 3: "asynchronous events", 4: "colours"}
_ES_TYPE = 15
"""The byte of an ES file that tells the type of its events."""

_FAR = np.iinfo(np.int16).max


def open_faery(path: AnyPath, kind: Literal["AEDAT 4", "ES"]) -> Decoded:
    """A file of one of these kinds.

    Raises:
        InputError: faery is not installed, or it cannot read the file (this may turn out on the way).
    """
    path = Path(path)
    try:
        import faery
    except ImportError:
        raise InputError(
            f"{path}: {kind} files are read by faery, which is not installed; run pip install 'gemsnn[events]'"
        ) from None
    start = first_bytes(path)
    if kind == "ES" and len(start) > _ES_TYPE and (held := _ES_TYPES.get(start[_ES_TYPE])) is not None:
        raise InputError(f"{path}: this ES file holds {held}, not events of pixels; leave it out")
    if kind == "AEDAT 4":
        check_container(path)
    file_type: Any = _TYPES[kind]
    try:
        stream = faery.events_stream_from_file(path, file_type=file_type)
        width, height = stream.dimensions()
    except BaseException as error:  # faery's decoders raise exceptions of many kinds, and panic
        raise _unreadable(path, error) from error
    return Decoded(kind, (int(width), int(height)), _decoded(stream, path), (), {})


def _decoded(stream: Iterable[Any], path: Path) -> Iterator[Events]:
    pieces = iter(stream)
    while True:
        try:
            raw = next(pieces)
        except StopIteration:
            return
        except BaseException as error:
            raise _unreadable(path, error) from error
        x, y = (np.minimum(raw[name], _FAR) for name in ("x", "y"))
        yield make_events(np.minimum(raw["t"], np.iinfo(np.int64).max), x, y, raw["on"])


def _unreadable(path: Path, error: BaseException) -> InputError:
    if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
        raise error
    if isinstance(error, Exception) and "no event tracks" in str(error):
        return InputError(f"{path}: this AEDAT 4 file holds no track of events; give one that does")
    return refusal(path, error, f"faery cannot read this file ({one_line(error)}); copy it again")
