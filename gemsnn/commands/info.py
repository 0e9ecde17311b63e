"""``gemsnn info``."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tyro

from gemsnn.commands import flags
from gemsnn.data.access import found_at
from gemsnn.data.readers.describe import describe
from gemsnn.data.readers.describe_folder import describe_folder
from gemsnn.data.readers.hdf5_spikes import spike_files
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("info", info, words)


def info(
    file: tyro.conf.Positional[Path],
    json: bool = False,
    time_unit: TimeUnit | None = None,
    class_from: str | None = None,
    labels: Path | None = None,
) -> int:
    """Say what a file of events or images holds, or a folder of event files, and what would be assumed of it.

    Args:
        file: the file or folder.
        json: print one JSON object.
        time_unit: unit of the times in NumPy, HDF5 and text files, where neither names nor numbers tell it.
        class_from: of a folder, a regular expression whose first group in a file's name is its class.
        labels: of a folder, a table file,label,split,begin,end; by default its labels.csv.
    """
    is_folder = found_at(file) == "folder"
    if is_folder and (several := spike_files(file)):
        found = {str(path.relative_to(file)): describe(path, time_unit=time_unit) for path in several}
    elif is_folder:
        found = describe_folder(file, time_unit=time_unit, class_from=class_from, labels=labels)
    elif class_from is not None or labels is not None:
        raise InputError(
            f"{file}: classes are told of the files of a folder, and this is none; leave class_from and labels out"
        )
    else:
        found = describe(file, time_unit=time_unit)
    if json:
        print(json_module.dumps(found, allow_nan=False))
    else:
        print("\n".join(_lines(found)))
    return 0


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield f"{name}: {', '.join(f'{key} {_shown(each)}' for key, each in value.items())}"
        elif isinstance(value, list):
            yield from (f"{name.removesuffix('s')}: {each}" for each in value)
        elif value is not None:
            yield f"{name}: {_shown(value)}"


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
