"""Recordings that come once and do not fit into memory: kept in a temporary file, and read from there one at a time."""

from __future__ import annotations

import tempfile
import weakref
from array import array
from typing import Any

import numpy as np

from gemsnn.errors import InputError
from gemsnn.machine import places
from gemsnn.rows import SpikeRows


class Spool:
    """Recordings with what they teach, in a file that has no name and ends with the process.

    It lies in the cache folder (``GEMSNN_CACHE``), where there is one: two bytes a spike and eight a step. Labels
    are in memory, and where each recording begins.
    """

    def __init__(self) -> None:
        self._folder = places.opened(places.cache_folder(), tell=False)
        self._starts = array("q")
        self._labels: list[Any] = []
        self._end = 0
        try:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 (it is open as long as this is)
        except OSError as error:
            raise self._refusal(error) from error
        weakref.finalize(self, self._file.close)

    def add(self, rows: SpikeRows, taught: Any) -> None:
        """Keep one more.

        Raises:
            InputError: there is no room.
        """
        try:
            self._file.seek(self._end)
            for each in (rows, taught):
                if isinstance(each, SpikeRows):
                    self._write(each)
            self._file.flush()
        except OSError as error:
            raise self._refusal(error) from error
        self._labels.append(None if isinstance(taught, SpikeRows) else taught)
        self._starts.append(self._end)
        self._end = self._file.tell()

    def __len__(self) -> int:
        """The number of recordings."""
        return len(self._starts)

    def __getitem__(self, position: int) -> tuple[SpikeRows, Any]:
        """One recording, and what it teaches."""
        self._file.seek(self._starts[position])
        rows, label = self._read(), self._labels[position]
        return rows, self._read() if label is None else label

    def _write(self, rows: SpikeRows) -> None:
        facts = np.array([rows.inputs, rows.counts is not None])
        for each in (facts, rows.held, rows.indptr - rows.indptr[0], *((rows.sizes,) if facts[1] else ())):
            np.save(self._file, each, allow_pickle=False)

    def _read(self) -> SpikeRows:
        (inputs, counted), held, indptr = (np.load(self._file, allow_pickle=False) for _ in range(3))
        counts = np.load(self._file, allow_pickle=False) if counted else None
        return SpikeRows(held, indptr, int(inputs), counts)

    def _refusal(self, error: OSError) -> InputError:
        where = self._folder or "the folder of temporary files"
        return InputError(
            f"recordings that come one by one cannot be kept in {where} ({error.strerror or error}); set GEMSNN_CACHE "
            "to a folder with room, or give a sequence that makes each when it is asked for"
        )
