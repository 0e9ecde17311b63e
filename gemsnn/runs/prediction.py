"""What a model answers, and recordings without labels as it is asked about them: all at once, or portion by portion."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import Tensor

from gemsnn.data import pairs
from gemsnn.data.arrays import Arrays
from gemsnn.data.reading import Reading
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.rows import SpikeRows
from gemsnn.scoring.answers import Answers
from gemsnn.types import Progress

PORTION = 64
"""Recordings of an iterable that are in memory at a time."""


@dataclass(frozen=True)
class Prediction:
    """What a model answers to n recordings.

    Attributes:
        labels: the names of the answers (``"0"``, ``"1"``, .. where the classes have none); ``None`` in silence.
        indices: the same as classes from 0 on, int64 ``[n]``; -1 in silence. Of classes that tie exactly, the first.
        probabilities: of the classes, float64 ``[n, C]``; ``1/C`` each in silence.
        entropy: of the probabilities, ``-sum_c p log p`` in nats, ``[n]``: 0 where it is sure, ``log C`` in silence.
        silent: bool ``[n]``: recordings with too few input spikes to be worth an answer.
        temperature: at which the probabilities are, fitted when the model was trained; ``None`` where none was fitted
            for so many compartments, and they are the bare shares of the votes.
    """

    labels: tuple[str | None, ...]
    indices: Tensor
    probabilities: Tensor
    entropy: Tensor
    silent: Tensor
    temperature: float | None

    @staticmethod
    def joined(parts: Iterable[Prediction]) -> Prediction:
        """Answers to portions of recordings, one after the other.

        Raises:
            InputError: there are none.
        """
        return _joined(parts)


@dataclass(frozen=True)
class Winners:
    """What a model answers to n recordings by as many compartments as it took.

    Attributes:
        labels: the names of the answers; ``None`` in silence, and where even the most compartments told no winner.
        indices: the same as classes from 0 on, int64 ``[n]``; -1 where there is none.
        probabilities: of the classes, float64 ``[n, C]``, also where nothing was told; ``1/C`` each in silence.
        entropy: of the probabilities, in nats, ``[n]``.
        silent: bool ``[n]``: recordings with too few input spikes to be worth an answer.
        asked: int64 ``[n]``, how many compartments answer.
        decided: bool ``[n]``, whether their votes told a winner.
        temperature: at which the probabilities are; ``None`` where none was fitted.
    """

    labels: tuple[str | None, ...]
    indices: Tensor
    probabilities: Tensor
    entropy: Tensor
    silent: Tensor
    asked: Tensor
    decided: Tensor
    temperature: float | None

    @staticmethod
    def joined(parts: Iterable[Winners]) -> Winners:
        """Answers to portions of recordings, one after the other.

        Raises:
            InputError: there are none.
        """
        return _joined(parts)


def said(
    names: Sequence[str], answers: Answers, unanswered: Tensor, temperature: float | None
) -> dict[str, Any]:
    """What both say of answers ``[n, C]``, of which those that are true in bool ``[n]`` have no label."""
    warm = answers if temperature is None else answers.tempered(temperature)
    indices = answers.probabilities.argmax(1).masked_fill(unanswered, -1)
    return {
        "labels": tuple(None if index < 0 else names[index] for index in indices.tolist()),
        "indices": indices,
        "probabilities": warm.probabilities,
        "entropy": torch.special.entr(warm.probabilities).sum(1),
        "temperature": temperature,
    }


Answered = TypeVar("Answered", Prediction, Winners)


def _joined(parts: Iterable[Answered]) -> Answered:
    """Field by field: names and tensors one after the other, and the temperature, which is that of all."""
    each = list(parts)
    if not each:
        raise InputError("recordings must be one or more, but there are none")
    columns = {
        field.name: [getattr(part, field.name) for part in each] for field in dataclasses.fields(each[0])
    }
    labels, temperatures = columns.pop("labels"), columns.pop("temperature")
    tensors = {name: torch.cat(column) for name, column in columns.items()}
    return type(each[0])(
        labels=tuple(label for some in labels for label in some), temperature=temperatures[0], **tensors
    )


def untaught(reading: Reading, recordings: Iterable[Any], first: int = 0) -> SpikeSet:
    """Recordings that fit a reading, with labels or targets that mean nothing, numbered from ``first`` on.

    Raises:
        InputError: one cannot be read, or does not fit; see :meth:`Reading.rows` and :meth:`Reading.check`.
    """
    return numbered(
        reading, [reading.rows(one, f"recording {first + n}") for n, one in enumerate(recordings)], first
    )


def numbered(reading: Reading, rows: Sequence[SpikeRows], first: int = 0) -> SpikeSet:
    """The same of recordings that are binned.

    Raises:
        InputError: they do not fit, see :meth:`Reading.check`.
    """
    targets = None
    if reading.outputs == "spike trains":
        targets = [SpikeRows.silent(len(each), reading.layout.classes) for each in rows]
    found = SpikeSet.from_bins(rows, None, reading.layout, counts=reading.counts, targets=targets)
    reading.check(found)
    return replace(found, address=found.address + first)


def portions(reading: Reading, recordings: Arrays, progress: Progress | None) -> Iterable[SpikeSet]:
    """Bare recordings, or those of pairs, :data:`PORTION` at a time, taken one by one; see :func:`untaught`."""

    def each() -> Iterator[SpikeSet]:
        bare, first = pairs.bare(recordings), 0
        while len(found := untaught(reading, islice(bare, PORTION), first)):
            yield found
            first += len(found)

    if progress is None or not hasattr(recordings, "__len__"):
        return each()
    return progress(each(), -(-len(recordings) // PORTION), "prediction")
