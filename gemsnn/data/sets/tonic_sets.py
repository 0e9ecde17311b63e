"""Data sets of the library tonic, by the names of its classes: ``NMNIST``, ``SHD``, ``DVSGesture`` and others.

G. Lenz et al., tonic (https://github.com/neuromorphs/tonic), which comes with the extra ``tonic``. It knows where each
set lies, downloads what is missing, and decodes the files; here its events become recordings.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemsnn.data.access import found_at
from gemsnn.data.binning import BinSpec
from gemsnn.data.events import Recording, check_events, make_events
from gemsnn.data.parts import Item, Listing, held_out_note, hold_out_by_class, missing_in
from gemsnn.data.recordings import NMNIST_BINS
from gemsnn.errors import InputError, one_line
from gemsnn.types import AnyPath

Part = tuple[tuple[str, Any], ...]
"""What tonic's class is told besides the place, e.g. ``(("train", True),)``."""

_SINGLE = ("single_digits", True)
_PARTS: dict[str, dict[str, Part]] = {
    "SSC": {
        "training": (("split", "train"),),
        "validation": (("split", "valid"),),
        "test": (("split", "test"),),
    },
    "NTIDIGITS18": {"training": (("train", True), _SINGLE), "test": (("train", False), _SINGLE)},
}
"""The parts of classes that take more than ``train``. Spoken sequences of digits are no classes: single digits only."""

_SENSORS = {"NCALTECH101": (240, 180)}
"""Width and height that all recordings fit, where tonic does not give them."""

_OWN_CLOCK = ("NMNIST", "NCALTECH101")
"""Cameras whose recordings begin with the stimulus at time 0, as spike trains in a row of channels do."""

_USUAL = {"NMNIST": NMNIST_BINS, "SHD": BinSpec(10_000, 100, polarity="merged")}
_USUAL["SSC"] = _USUAL["SHD"]


def listing(name: str, root: AnyPath) -> Listing:
    """The recordings of one of tonic's data sets.

    The parts are tonic's, where its class has them. Where it has none, the last 20 % of each class are held out as
    test, which a note tells. A recording's time begins at its first event, but for sets whose own clock begins with
    the stimulus: N-MNIST, N-Caltech101, and those of channels in a row.

    Args:
        name: of the class in ``tonic.datasets``: one that takes ``save_to``, and ``train`` where it has two parts.
        root: the folder in which tonic keeps its data sets (``save_to``), or the folder ``name`` in it. What is missing
            there is downloaded by tonic.

    Raises:
        InputError: tonic is not installed, has no such set of classes, or cannot download or read it.
    """
    kind = _class(name)
    root = Path(root)
    if found_at(root) == "file":
        raise InputError(f"{root}: this is a file; give the folder in which tonic keeps its data sets")
    if root.name == name and found_at(root / name) is None:
        root = root.parent
    parts = _parts(name, kind)
    targets = {what: _targets(name, root, part) for what, part in parts.items()}
    first = _open(name, root, parts["training"])
    names = _names(first, np.concatenate(list(targets.values())))
    if len(names) < 2:
        raise InputError(
            f"{root / name}: tonic's {name} has no classes to tell apart, so it cannot be used here"
        )
    items: dict[str, list[Item]] = {}
    index = 0
    for what, part in parts.items():
        items[what] = []
        for position, place in _in_order(_open(name, root, part)):
            target = targets[what][position]
            label = names.index(str(target)) if targets[what].dtype.kind == "U" else int(target)
            items[what].append(Item(label, index, (part, position), place or f"{name} {what} {position}"))
            index += 1
    train, test, notes = items["training"], items.get("test", []), ()
    if not train:
        raise InputError(
            f"{root / name}: tonic finds no recordings of {name} here; give the folder that holds it"
        )
    divided = bool(test)
    if not divided:
        train, test = hold_out_by_class(train)
        notes = (held_out_note(f"test part of {name}", "the last 20 % of each class", len(test)),)
    width, height = _sensor(name, first)
    return Listing(
        *(name, root / name, train, test, _Read(name, root, width, height), width, height, len(names)),
        (*notes, *missing_in(train, test, names)),
        names=names,
        validation=items.get("validation"),
        divided=divided,
    )


def bins(name: str) -> BinSpec:
    """The usual bins of one of tonic's data sets; 80 of 25 ms where nothing else is usual.

    Raises:
        InputError: see :func:`listing`.
    """
    sensor = getattr(_class(name), "sensor_size", None)
    single = sensor is not None and len(sensor) == 3 and sensor[2] == 1
    return _USUAL.get(name) or BinSpec(polarity="merged" if single else "two")


@dataclass(frozen=True)
class _Read:
    """Recordings of items; tonic's own objects, which hold open files, are made in each process anew."""

    name: str
    root: Path
    width: int
    height: int

    def __call__(self, items: Iterable[Item]) -> Iterator[Recording]:
        for item in items:
            part, position = item.source
            events, _ = _sample(_open(self.name, self.root, part), position, item.name)
            yield self._recording(events, item.name)

    def _recording(self, events: Any, where: str) -> Recording:
        fields = getattr(getattr(events, "dtype", None), "names", None) or ()
        if not {"t", "x"} <= set(fields):
            raise InputError(f"{where}: tonic gives no events with t and x here, so it cannot be used")
        t, x = (np.asarray(events[field]).astype(np.int64) for field in ("t", "x"))
        y = events["y"].astype(np.int64) if "y" in fields else np.zeros_like(x)
        on = np.asarray(events["p"]) > 0 if "p" in fields else np.ones(len(x), bool)
        disorder = int(np.count_nonzero(np.diff(t) < 0))
        if disorder:
            order = np.argsort(t, kind="stable")
            t, x, y, on = t[order], x[order], y[order], on[order]
        own = self.height == 1 or self.name in _OWN_CLOCK
        if len(t) and (not own or t[0] < 0):
            t = t - t[0]
        made = make_events(t, x, y, on)
        check_events(made, self.width, self.height, where)
        repairs = {"events out of order": disorder} if disorder else {}
        return Recording(made, self.width, self.height, f"tonic {self.name}", repairs)


def _class(name: str) -> type:
    """The class of ``tonic.datasets``, if it is one that can be used."""
    try:
        sets = importlib.import_module("tonic.datasets")
    except ImportError:
        raise InputError(
            f"the data set {name} is read by tonic, which is not installed; run pip install 'gemsnn[tonic]'"
        ) from None
    known = [
        each for each in getattr(sets, "__all__", dir(sets)) if inspect.isclass(getattr(sets, each, None))
    ]
    if name not in known:
        spelt = {each.lower(): each for each in known}
        near = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=0.5)
        meant = f"did you mean {spelt[near[0]]}? " if near else ""
        raise InputError(f"tonic has no data set {name}; {meant}it has {', '.join(sorted(known))}")
    return getattr(sets, name)


def _parts(name: str, kind: type) -> dict[str, Part]:
    """The parts by what the class takes."""
    if name in _PARTS:
        return _PARTS[name]
    takes = inspect.signature(kind).parameters
    needs = [
        each.name
        for each in takes.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if needs != ["save_to"] or ("split" in takes and "train" not in takes):
        raise InputError(
            f"tonic's {name} is no set of labelled recordings in a training and a test part, so it cannot be used here"
        )
    return (
        {"training": (("train", True),), "test": (("train", False),)}
        if "train" in takes
        else {"training": ()}
    )


def _open(name: str, root: Path, part: Part) -> Any:
    return _opened(name, root, part, os.getpid())


@lru_cache(maxsize=4)
def _opened(name: str, root: Path, part: Part, process: int) -> Any:
    """Tonic's object, which downloads what is missing; a process that was forked opens its own files."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # tonic tells of downloads on standard output
            return _class(name)(save_to=str(root), **dict(part))
    except InputError:
        raise
    except Exception as error:  # whatever the network and the decoders raise
        raise InputError(
            f"{root / name}: tonic did not find the data set {name} whole here, and could not download it "
            f"({_said(error)}); put it there as tonic lays it out, or connect to the network and try again"
        ) from error


def _sample(dataset: Any, position: int, where: str) -> tuple[Any, Any]:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            events, target = dataset[position]
    except Exception as error:
        raise InputError(
            f"{where}: tonic cannot read this recording ({_said(error)}); download it again"
        ) from error
    return events, target


def _said(error: Exception) -> str:
    return one_line(str(error) or type(error).__name__)[:300]


def _targets(name: str, root: Path, part: Part) -> NDArray[Any]:
    """The targets of a part, ``[n]`` whole numbers or texts; a part that has no list of them is read for them."""
    dataset = _open(name, root, part)
    try:
        count = len(dataset)
    except Exception as error:
        raise InputError(f"{root / name}: tonic cannot read this data set ({_said(error)})") from error
    listed: Sequence[Any] = getattr(dataset, "targets", None) or ()
    if len(listed) != count:
        listed = _labels_of_hdf5(dataset)
    if len(listed) != count:
        listed = [_sample(dataset, position, f"{name} {position}")[1] for position in range(count)]
    try:
        targets = np.array([each.decode() if isinstance(each, bytes) else each for each in listed])
    except ValueError:
        targets = np.array([[]])  # of many shapes
    if count and (targets.ndim != 1 or targets.dtype.kind not in "iuU"):
        raise InputError(
            f"{root / name}: the targets of tonic's {name} are no classes, so it cannot be used here"
        )
    return targets if count else np.array([], np.int64)


def _in_order(dataset: Any) -> list[tuple[int, str]]:
    """Positions and places of recordings: files by their paths, which tonic lists in the order of the drive."""
    data = getattr(dataset, "data", None)
    if (
        not isinstance(data, list)
        or not all(isinstance(each, str) for each in data)
        or len(data) != len(dataset)
    ):
        return [(position, "") for position in range(len(dataset))]
    places = [os.path.relpath(each, dataset.location_on_system) for each in data]
    return sorted(enumerate(places), key=lambda each: each[1])


def _labels_of_hdf5(dataset: Any) -> Sequence[Any]:
    """The labels of the Heidelberg sets, all at once: tonic opens their file for each recording."""
    file = getattr(dataset, "data_filename", None)
    if file is None:
        return ()
    import h5py

    try:
        with h5py.File(Path(dataset.location_on_system, file), "r") as held:
            return held["labels"][()].tolist() if isinstance(held.get("labels"), h5py.Dataset) else ()  # pyright: ignore
    except OSError:
        return ()


def _names(dataset: Any, targets: NDArray[Any]) -> tuple[str, ...]:
    """The classes' names, in the order of their labels: tonic's, where it gives as many as there are."""
    given = getattr(dataset, "classes", getattr(dataset, "class_map", ()))
    if isinstance(given, Mapping):
        given = sorted(given, key=given.__getitem__)
    names = tuple(each.decode() if isinstance(each, bytes) else str(each) for each in given)
    if targets.dtype.kind == "U":
        return names if set(targets.tolist()) <= set(names) else tuple(sorted(set(targets.tolist())))
    if len(targets) and targets.min() < 0:
        raise InputError(f"{dataset}: tonic gives the target {targets.min()}, which is no class")
    classes = int(targets.max()) + 1 if len(targets) else 0
    fits = len(set(names)) == len(names) >= classes
    return names if names and fits else tuple(str(label) for label in range(classes))


def _sensor(name: str, dataset: Any) -> tuple[int, int]:
    sensor = getattr(dataset, "sensor_size", None) or _SENSORS.get(name)
    if sensor is None:
        raise InputError(f"tonic does not tell the sensor of {name}, so it cannot be used here")
    return int(sensor[0]), int(sensor[1])
