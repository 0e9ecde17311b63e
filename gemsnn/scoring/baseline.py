"""The plain baseline that stands beside every network: logistic regression on event counts per input."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.scoring import metrics
from gemsnn.specs import checks
from gemsnn.specs.checks import Count

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

# scikit-learn takes seconds to load, and only fitting needs it

NAME = "logistic regression on event counts per pixel"
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)


class Counts(NamedTuple):
    """Event counts ``[n, M]`` and labels ``[n]`` of one part of a data set."""

    counts: NDArray[np.int64]
    labels: NDArray[np.int64]


class Model(NamedTuple):
    """A fitted baseline.

    Attributes:
        regression: over the classes that training showed; ``None`` where it showed only one.
        present: those classes.
        centre: ``[M]``, mean of ``log(1 + n)`` over training.
        spread: one number, the standard deviation of the rest.
        answers: presentations trained on.
        classes: C.
    """

    regression: LogisticRegression | None
    present: NDArray[np.int64]
    centre: NDArray[np.float64]
    spread: float
    answers: int
    classes: int

    def features(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """``log(1 + n)``, centred and divided by the common spread, ``[n, M]``."""
        return (np.log1p(counts) - self.centre) / self.spread


def fit(train: Counts, validation: Counts, classes: int) -> Model:
    """Learn from the training part; the strength of regularisation with the lowest validation NLL is kept.

    Raises:
        InputError: a part's counts and labels do not fit each other, the other part or the classes.
    """
    checks.number(classes, Count, "classes")
    if len(train.labels) == 0:
        raise InputError("train must hold a recording or more")
    for name, part in (("train", train), ("validation", validation)):
        if part.counts.ndim != 2 or part.labels.shape != part.counts.shape[:1]:
            raise InputError(
                f"{name} must hold counts [n, M] and labels [n], not {list(part.counts.shape)} and "
                f"{list(part.labels.shape)}"
            )
        _check_counts(part.counts, train.counts.shape[1], name)
        if part.labels.dtype.kind not in "iu" or np.any((part.labels < 0) | (part.labels >= classes)):
            raise InputError(f"{name} must hold whole numbers from 0 to {classes - 1} as labels")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    present = np.unique(train.labels)
    logs = np.log1p(train.counts)
    spread = max(float((logs - logs.mean(0)).std()), 1e-12)
    model = Model(None, present, logs.mean(0), spread, len(train.labels), classes)
    if len(present) == 1:
        return model
    features, shown = model.features(train.counts), model.features(validation.counts)
    known = np.isin(validation.labels, present)
    chosen = np.searchsorted(present, validation.labels[known])

    def learned(strength: float) -> LogisticRegression:
        with warnings.catch_warnings():
            # a hundred steps are enough to rank strengths
            warnings.simplefilter("ignore", ConvergenceWarning)
            # few recordings of many classes are what they are
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            return LogisticRegression(C=strength, max_iter=100).fit(features, train.labels)

    def loss(regression: LogisticRegression) -> float:
        if not known.any():
            return 0.0
        return -float(regression.predict_log_proba(shown)[known, chosen].mean())

    return model._replace(regression=min((learned(strength) for strength in STRENGTHS), key=loss))


def _check_counts(counts: NDArray[np.int64], inputs: int, name: str) -> None:
    if counts.ndim != 2 or counts.shape[1] != inputs or counts.dtype.kind not in "iu" or np.any(counts < 0):
        raise InputError(
            f"{name} must hold whole numbers >= 0 of {inputs} inputs, not {counts.dtype} {list(counts.shape)}"
        )


def predict(model: Model, counts: NDArray[np.int64]) -> Tensor:
    """Class probabilities ``[n, C]`` for counts ``[n, M]``.

    One more answer beside those trained on, spread evenly over the classes, keeps every probability above zero, so
    that a class training never showed costs finitely many nats.

    Raises:
        InputError: these are no counts, or not of as many inputs as those that were learned.
    """
    _check_counts(counts, len(model.centre), "counts")
    out = np.zeros((len(counts), model.classes))
    if model.regression is None:
        out[:, model.present] = 1
    else:
        out[:, model.present] = model.regression.predict_proba(model.features(counts))
    return metrics.smoothed_shares(torch.from_numpy(out), model.answers, model.classes)
