"""What a request shows, as bins; and what is said of bins and outcomes, as JSON."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn.data.events import Recording, make_events
from gemsnn.data.readers import read_recording
from gemsnn.data.scribbles import scribble
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.serve import schemas, sensing
from gemsnn.serve.schemas import MOST_BINS
from gemsnn.serve.served import Served
from gemsnn.serve.showing import Bin, Outcome

DRAWN_NEURONS = 12
"""Hidden neurons of each compartment whose spikes are told bin by bin."""


class Material(NamedTuple):
    """What is shown.

    Attributes:
        bins: uint8 ``[T, M]``.
        number: addresses the noise of the compartments.
        picture: what the camera sees, uint8 ``[h, w]``, or ``None``.
        notes: what a person should know of a file.
        label: the name of its class, where that is known.
    """

    bins: Tensor
    number: int
    picture: NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = ()
    label: str | None = None


def material(served: Served, shown: Any, seed: int) -> Material:
    """What a request shows.

    Raises:
        InputError: it cannot be shown to this network.
    """
    if isinstance(shown, schemas.Offered):
        return _offered(served, shown.number)
    if isinstance(shown, schemas.BinsGiven):
        return Material(_bins(served, shown.bins), seed)
    if isinstance(shown, schemas.EventsGiven):
        columns = np.array(shown.events, np.int64).reshape(-1, 4)
        columns = columns[columns[:, 0].argsort(kind="stable")]
        width, height = served.model.reading.sensor
        for name, column, side in (("x", columns[:, 1], width), ("y", columns[:, 2], height)):
            if len(column) and int(column.max()) >= side:
                raise InputError(
                    f"{name} of events must be below {side}, the side of the sensor, not {column.max()}"
                )
        events = make_events(*columns.T)
        return Material(_binned(served, Recording(events, width, height, "events", {})), seed)
    camera = served.camera
    if camera is None:
        raise InputError(
            "this network has learned from recordings that no emulated camera makes, so drawings are nothing to it; "
            "show it a recording"
        )
    if isinstance(shown, schemas.Scribble):
        picture = scribble(shown.number)
    else:
        picture = sensing.picture(shown.strokes, camera.hand)
    recording = camera.see(picture, seed, served.model.facts.seed)
    return Material(_binned(served, recording), seed, picture)


def of_file(served: Served, content: bytes, seed: int) -> Material:
    """What a file of events shows, of any kind that is known (:mod:`gemsnn.data.readers`).

    Raises:
        InputError: it is none, or damaged, or of another sensor.
    """
    with tempfile.TemporaryDirectory(prefix="gemsnn-") as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        try:
            recording = read_recording(path, time_unit=served.model.reading.time_unit)
        except InputError as error:
            raise InputError(str(error).replace(str(path), "the file")) from None
    return Material(_streamed(served, recording), seed, notes=recording.notes)


def _offered(served: Served, number: int) -> Material:
    part = served.recordings
    if part is None or number >= len(part):
        raise InputError(
            f"there is no recording {number}; the server offers {0 if part is None else len(part)}"
        )
    one = part[number]
    label = served.model.names[one.label]
    return Material(served.filled(torch.from_numpy(one.rows.dense())), int(part.address[number]), label=label)


def _bins(served: Served, bins: list[list[int]]) -> Tensor:
    inputs, counts = served.model.network.spec.inputs, served.model.reading.counts
    step = np.repeat(np.arange(len(bins)), [len(each) for each in bins])
    sender = np.array([each for row in bins for each in row], np.int64)
    if len(sender) and int(sender.max()) >= inputs:
        raise InputError(f"the network has the inputs 0 .. {inputs - 1}, not {sender.max()}")
    rows = SpikeRows.at(step, sender, (len(bins), inputs), counts=counts)
    return served.filled(torch.from_numpy(rows.dense()))


def _binned(served: Served, recording: Recording) -> Tensor:
    """A recording's bins, cut where the training cut its own."""
    return torch.from_numpy(served.model.bin(recording))


def _streamed(served: Served, recording: Recording) -> Tensor:
    """All of a recording's bins, as many as are shown at most, however long those of the training were."""
    reading, t = served.model.reading, recording.events["t"]
    steps = int(t[-1]) // reading.layout.bin_us + 1 if len(t) else 1
    longer = dataclasses.replace(reading, steps=min(MOST_BINS, max(reading.steps, steps)), pad=False)
    return served.filled(torch.from_numpy(longer.bin(recording)))


def bin_line(served: Served, bin: Bin) -> dict[str, Any]:
    """What is told of a bin."""
    hidden = bin.hidden[:, drawn_neurons(served)]
    answers = bin.answers
    return {
        "line": "bin",
        "bin": bin.number,
        "inputs": bin.inputs.nonzero()[:, 0].tolist(),
        "hidden": [row.nonzero()[:, 0].tolist() for row in hidden],
        "visible": [row.nonzero()[:, 0].tolist() for row in bin.visible],
        "votes": bin.votes.tolist(),
        "labels": answers.labels.tolist(),
        "probabilities": [[round(p, 4) for p in row] for row in answers.probabilities.tolist()],
        "entropy": [round(value, 4) for value in answers.entropy.tolist()],
        "sets": [list(each) for each in answers.sets],
        "promised": None if bin.verdict is None else list(bin.verdict.classes),
        "target": bin.target,
    }


def drawn_neurons(served: Served) -> list[int]:
    """The hidden neurons whose spikes are told, at equal distances."""
    hidden = served.model.network.spec.hidden_neurons
    some = min(DRAWN_NEURONS, hidden)
    return [position * hidden // some for position in range(some)]


def answer(served: Served, found: Outcome, events: int, compartments: int | None = None) -> schemas.Answer:
    """What is said of a recording at its end, by all compartments or the first so many.

    Of fewer than all, nothing is promised.
    """
    names, said = served.model.names, found.last.answers
    number = compartments or served.compartments
    whole, row = number == served.compartments, number - 1
    promised = whole and found.promised
    classes = found.classes if whole else said.sets[row]
    label, finding = int(said.labels[row]), found.finding
    if not whole and finding in ("sure", "unsure"):
        finding = "sure" if len(classes) == 1 else "unsure"
    made = served.certificate
    return schemas.Answer(
        label=None if label < 0 else names[label],
        probabilities=dict(zip(names, said.probabilities[row].tolist(), strict=True)),
        entropy=float(said.entropy[row]),
        set=schemas.ClassSet(
            classes=[names[each] for each in classes],
            promised=promised,
            risk=made.risk if promised and made is not None else None,
        ),
        finding=finding,
        strange=found.strange,
        strange_inputs=found.strange_inputs,
        answered=names[found.first] if whole and found.first is not None else None,
        votes=[names[vote] for vote in found.last.votes.tolist()[:number]],
        bins=found.last.number + 1,
        events=events,
    )
