"""Answers to files of events without labels: a row for each recording, some recordings in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from gemsnn.data.listing import Listing, Stretch, recordings
from gemsnn.data.readers.units import TimeUnit
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.runs import certificate as certificates
from gemsnn.runs import prediction
from gemsnn.runs.models import Model
from gemsnn.runs.prediction import PORTION
from gemsnn.scoring.answers import Decoder
from gemsnn.scoring.familiar import Familiar
from gemsnn.scoring.promise import Certificate
from gemsnn.store.tables import Kind, Row


class How(NamedTuple):
    """How recordings are answered.

    Attributes:
        compartments: K_I; with ``risk``, at most.
        decoder: of the answers; by default the training's.
        seed: of the noise; by default the training's.
        risk: of telling another winner than infinitely many compartments would; ``None`` to ask K_I of each recording.
        promised: a certificate, and what is familiar, by which sets and early answers are told besides.
        time_unit: of the times of files that do not tell it; by default as in training.
    """

    compartments: int
    decoder: Decoder | None = None
    seed: int | None = None
    risk: float | None = None
    promised: tuple[Certificate, Familiar | None] | None = None
    time_unit: TimeUnit | None = None


def columns(model: Model, how: How) -> dict[str, Kind]:
    """The names of a row's values, in order, with their kinds."""
    more: dict[str, Kind] = {} if how.risk is None else {"asked": "whole"}
    if how.promised is not None:
        more = {
            "set": "texts",
            "early_answer": "text",
            "answered_after_s": "number",
            "strange": "number",
            "strange_inputs": "number",
        }
    shares: dict[str, Kind] = {f"p_{name}": "number" for name in model.names}
    return {"recording": "text", "answer": "text", "entropy": "number", **shares, **more, "error": "text"}


def answered(model: Model, listing: Listing, stretch: Stretch, how: How) -> Iterator[list[Row]]:
    """Rows of recordings, some at a time, in their order.

    The noise of a recording is addressed by its number in the listing, so that its answer depends neither on those
    that are asked beside it nor on whether others can be read. A row of one that cannot be read, or does not fit the
    network, holds its name and the reason, ``error``. What there is nothing to say of is left out of a row.

    Raises:
        InputError: the certificate is about other answers.
    """
    model.check_answers()
    if how.promised is not None:
        certificates.check_weights(model, how.promised[0])
    reading = _read(model, listing, stretch, how)
    while some := list(islice(reading, PORTION)):
        whole = {each.number: each.found for each in some if isinstance(each.found, SpikeRows)}
        found: Iterator[Row] = iter(())
        if whole:
            part = prediction.numbered(model.reading, list(whole.values()))
            found = _rows(model, replace(part, address=np.fromiter(whole, np.int64)), how)
        yield [
            {"recording": each.name, "error": str(each.found)}
            if isinstance(each.found, InputError)
            else {"recording": each.name, **next(found)}
            for each in some
        ]


class _Read(NamedTuple):
    """A recording: its number, its name, and its bins or why there are none."""

    number: int
    name: str
    found: SpikeRows | InputError


def _read(model: Model, listing: Listing, stretch: Stretch, how: How) -> Iterator[_Read]:
    unit = how.time_unit or model.reading.time_unit
    given = recordings(listing, stretch, unit, model.reading.sensor[0])
    for number, (name, read) in enumerate(given, stretch.first):
        try:
            found = model.reading.rows(read(), name)
        except InputError as error:
            found = error
        yield _Read(number, name, found)


def _rows(model: Model, part: SpikeSet, how: How) -> Iterator[Row]:
    """What is told of some recordings."""
    asked: Iterable[Row] = ({} for _ in range(len(part)))
    if how.risk is not None:
        found = model.ask(part, how.risk, how.compartments, decoder=how.decoder, seed=how.seed)
        asked = ({"asked": count} for count in found.asked.tolist())
    else:
        found = model.predict(part, how.compartments, decoder=how.decoder, seed=how.seed)
    if how.promised is not None:
        asked = _promised(model, part, *how.promised)
    for label, entropy, shares, more in zip(
        found.labels, found.entropy.tolist(), found.probabilities.tolist(), asked, strict=True
    ):
        chances = {f"p_{name}": p for name, p in zip(model.names, shares, strict=True)}
        yield {"answer": label, "entropy": entropy, **chances, **more}


def _promised(
    model: Model, part: SpikeSet, certificate: Certificate, familiar: Familiar | None
) -> Iterator[Row]:
    """What a certificate says of some recordings."""
    found = certificates.promised(model, certificate, part, familiar=familiar)
    for n in range(len(part)):
        strange, inputs = (
            None if each is None else float(each[n]) for each in (found.strange, found.strange_inputs)
        )
        yield {
            "set": found.sets[n],
            "early_answer": found.answers[n],
            "answered_after_s": float(found.seconds[n]),
            "strange": strange,
            "strange_inputs": inputs,
        }
