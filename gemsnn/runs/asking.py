"""A model asked: answers and scores."""

from __future__ import annotations

from gemsnn.data.arrays import Arrays
from gemsnn.data.spikeset import SpikeSet
from gemsnn.runs.models import Model
from gemsnn.runs.prediction import Prediction, Winners
from gemsnn.scoring import until
from gemsnn.scoring.answers import Decoder
from gemsnn.scoring.mode import Rule
from gemsnn.scoring.scores import Scores
from gemsnn.types import Progress


def predict(
    model: Model,
    recordings: SpikeSet | Arrays,
    compartments: int | None = None,
    *,
    decoder: Decoder | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """What a model answers: labels, probabilities ``[n, C]``, entropy in nats, and which recordings are silent.

    Args:
        model: from :func:`gemsnn.fit` or :func:`gemsnn.load`.
        recordings: :class:`gemsnn.Recordings`, or bare arrays ``[n, T, M]`` or ``[n, T, channels, height, width]``; or
            any iterable of such recordings or of arrays of events, taken one at a time, with or without labels.
        compartments: K, that vote; by default as many as in training (:attr:`gemsnn.Model.votes`).
        decoder: how they answer, ``votes``, ``rates``, ``mixture``, ``pooled`` or ``likelihood``; by default as they
            did in training.
        seed: of their noise; by default the training's.
        progress: shows how far the work is: wraps an iterable, given its length and what its items are.

    Raises:
        InputError: the recordings were read otherwise than those of the training, what differs is named; or the network
            was taught spike trains, which it gives by :meth:`gemsnn.Model.generate`.

    >>> import gemsnn
    >>> gemsnn.predict(gemsnn.load("runs/demo"), data.test).labels[:3]  # doctest: +SKIP
    ('7', '2', None)
    """
    return model.predict(recordings, compartments, decoder=decoder, seed=seed, progress=progress)


def ask(
    model: Model,
    recordings: SpikeSet | Arrays,
    risk: float = 0.05,
    most: int = until.MOST,
    *,
    rule: Rule = "leader",
    held: SpikeSet | Arrays | None = None,
    decoder: Decoder | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Winners:
    """What a model answers by as many compartments as needed: until their votes tell the winner of infinitely many.

    Args:
        model: from :func:`gemsnn.fit` or :func:`gemsnn.load`.
        recordings: as :func:`gemsnn.predict` takes them.
        risk: the probability, at most, with which the winner that is told is another than that of infinitely many.
        most: compartments that are asked at most; where they tell no winner, the label is ``None``.
        rule: how a winner is told, ``leader`` or ``ppr``, see :mod:`gemsnn.scoring.mode`.
        held: labelled recordings, asked alike, on which a temperature is fitted; without, none is.
        decoder: how those that were asked answer, ``votes`` or ``rates``; by default as in training, or by rates.
        seed: of their noise.
        progress: shows how far each portion of compartments has come.

    Raises:
        InputError: as :func:`gemsnn.predict`, or so few compartments can never tell a winner.

    >>> import gemsnn
    >>> found = gemsnn.ask(gemsnn.load("runs/demo"), data.test, risk=0.05, most=50)  # doctest: +SKIP
    >>> found.labels[:3], found.asked[:3].tolist()  # doctest: +SKIP
    (('7', '2', None), [8, 13, 50])
    """
    return model.ask(
        recordings, risk, most, rule=rule, held=held, decoder=decoder, seed=seed, progress=progress
    )


def score(
    model: Model,
    recordings: SpikeSet | Arrays,
    compartments: int | None = None,
    *,
    validation: SpikeSet | Arrays | None = None,
    decoder: Decoder | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Scores:
    """What a model's answers to labelled recordings are worth.

    Args:
        model: from :func:`gemsnn.fit` or :func:`gemsnn.load`.
        recordings: with their labels, as :class:`gemsnn.Recordings` or as pairs of a recording and its label.
        compartments: K, that vote; by default as many as in training.
        validation: recordings on which temperatures are fitted anew; by default those of the training are applied.
        decoder: how they answer.
        seed: of their noise.
        progress: shows how far the work is.

    Raises:
        InputError: as :func:`gemsnn.predict`.

    >>> import gemsnn
    >>> gemsnn.score(gemsnn.load("runs/demo"), data.test).accuracy  # doctest: +SKIP
    0.963
    """
    return model.score(
        recordings, compartments, decoder=decoder, seed=seed, held=validation, progress=progress
    )
