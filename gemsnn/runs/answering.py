"""Answers to files of events without labels: a row for each recording, some recordings in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from gemsnn.data import folders
from gemsnn.data.access import found_at
from gemsnn.data.readers.files import read_recording
from gemsnn.data.readers.units import TimeUnit
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.runs import certificate as certificates
from gemsnn.runs import console, prediction
from gemsnn.runs.models import Model
from gemsnn.runs.prediction import PORTION
from gemsnn.scoring.answers import Decoder
from gemsnn.scoring.familiar import Familiar
from gemsnn.scoring.promise import Certificate
from gemsnn.types import AnyPath

Row = dict[str, Any]


class Found(NamedTuple):
    """Files of recordings.

    Attributes:
        files: in natural order of their paths.
        root: the folder below which they lie, which their names in a table leave out.
        notes: what was left out.
    """

    files: tuple[Path, ...]
    root: Path
    notes: tuple[str, ...]


class How(NamedTuple):
    """How recordings are answered.

    Attributes:
        compartments: K_I; with ``risk``, at most.
        decoder: of the answers; by default the training's.
        seed: of the noise; by default the training's.
        risk: of telling another winner than infinitely many compartments would; ``None`` to ask K_I of each recording.
        promised: a certificate, and what is familiar, by which sets and early answers are told besides.
        time_unit: of the times of files that do not tell it; by default as in training.
        skip_damaged: whether files that cannot be read are left out, with a note.
    """

    compartments: int
    decoder: Decoder | None = None
    seed: int | None = None
    risk: float | None = None
    promised: tuple[Certificate, Familiar | None] | None = None
    time_unit: TimeUnit | None = None
    skip_damaged: bool = False


def files_of(path: AnyPath) -> Found:
    """The event files of a folder, at any depth and whatever their classes; or the one file.

    Raises:
        InputError: there is none.
    """
    path, held = Path(path), found_at(path)
    if held == "file":
        return Found((path,), path.parent, ())
    if held != "folder":
        raise InputError(f"{path}: there is no such file or folder; give one of recordings")
    files, notes = folders.event_files(path)
    if not files:
        raise InputError(
            f"{path}: no event file is in this folder or below; give the folder of the recordings"
        )
    return Found(tuple(files), path, notes)


def columns(model: Model, how: How) -> tuple[str, ...]:
    """The names of a row's values, in order."""
    more: tuple[str, ...] = () if how.risk is None else ("asked",)
    if how.promised is not None:
        more = ("set", "early_answer", "answered_after_s", "strange", "strange_inputs")
    return ("recording", "answer", "entropy", *(f"p_{name}" for name in model.names), *more)


def answered(model: Model, found: Found, how: How) -> Iterator[list[Row]]:
    """Rows of recordings, some at a time, in the order of the files.

    The noise of a recording is addressed by its place among those that were read, so that the same files are answered
    alike.

    Raises:
        InputError: a file is damaged and not to be left out, or does not fit the network; or the certificate is about
            other answers.
    """
    model.check_answers()
    if how.promised is not None:
        certificates.check_weights(model, how.promised[0])
    reading, first = _read(model, found, how), 0
    while some := list(islice(reading, PORTION)):
        names = [name for name, _ in some]
        part = prediction.numbered(model.reading, [rows for _, rows in some], first)
        yield _rows(model, names, part, how)
        first += len(some)


def _read(model: Model, found: Found, how: How) -> Iterator[tuple[str, SpikeRows]]:
    """Names and bins of the recordings."""
    unit = how.time_unit or model.reading.time_unit
    for path in found.files:
        try:
            rows = model.reading.rows(read_recording(path, time_unit=unit), str(path))
        except InputError as error:
            if not how.skip_damaged:
                raise
            console.say(f"note: left out: {error}")
            continue
        yield str(path.relative_to(found.root)), rows


def _rows(model: Model, names: Sequence[str], part: SpikeSet, how: How) -> list[Row]:
    """What is told of some recordings."""
    asked: Iterable[Row] = ({} for _ in names)
    if how.risk is not None:
        found = model.ask(part, how.risk, how.compartments, decoder=how.decoder, seed=how.seed)
        asked = ({"asked": count} for count in found.asked.tolist())
    else:
        found = model.predict(part, how.compartments, decoder=how.decoder, seed=how.seed)
    if how.promised is not None:
        asked = _promised(model, part, *how.promised)
    return [
        {
            "recording": name,
            "answer": "" if label is None else label,
            "entropy": entropy,
            **{f"p_{each}": p for each, p in zip(model.names, shares, strict=True)},
            **more,
        }
        for name, label, entropy, shares, more in zip(
            names, found.labels, found.entropy.tolist(), found.probabilities.tolist(), asked, strict=True
        )
    ]


def _promised(
    model: Model, part: SpikeSet, certificate: Certificate, familiar: Familiar | None
) -> Iterator[Row]:
    """What a certificate says of some recordings."""
    found = certificates.promised(model, certificate, part, familiar=familiar)
    for n in range(len(part)):
        strange, inputs = (
            "" if each is None else float(each[n]) for each in (found.strange, found.strange_inputs)
        )
        yield {
            "set": "|".join(found.sets[n]),
            "early_answer": found.answers[n] or "",
            "answered_after_s": float(found.seconds[n]),
            "strange": strange,
            "strange_inputs": inputs,
        }
