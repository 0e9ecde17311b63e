"""The validation part asked while a network learns: scores to show, and which epoch's weights answer it best."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from torch import Tensor

from gemsnn.kernels.contract import Kernel
from gemsnn.learn.crew import Crew
from gemsnn.model import logspace
from gemsnn.model.network import Network, Params
from gemsnn.scoring import evaluate, measure, metrics
from gemsnn.scoring.answers import Decoder
from gemsnn.scoring.scores import ValidationScores
from gemsnn.types import PresentationSequence

JUDGES = 10
"""Compartments by whose answers the epochs of a training are compared, whoever learns."""


def validate(
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    compartments: int,
    *,
    kernel: Kernel,
    seed: int,
    decoder: Decoder = "votes",
) -> ValidationScores:
    """Scores of the answers of K compartments, the clamped log-likelihood, and mute hidden neurons, on a part."""
    asked: Any = (network, params, presentations, compartments)
    found = evaluate.predict(*asked, kernel=kernel, seed=seed, decoder=decoder)
    weights = evaluate.log_likelihood(*asked, kernel=kernel, seed=seed)
    return ValidationScores(
        **asdict(measure.answer_scores(found.answers, found.labels)),
        log_likelihood=float(logspace.log_mean_exp(weights, 1).mean()),
        **asdict(found.activity.mute),
    )


def losses(
    network: Network,
    params: Params,
    presentations: PresentationSequence,
    *,
    kernel: Kernel,
    seed: int,
    decoder: Decoder = "rates",
    crew: Crew | None = None,
) -> Tensor:
    """How well weights answer a part: each recording's loss ``-log p(its class)`` in nats, float64 ``[n]``.

    It is that of :data:`JUDGES` compartments at the temperature fitted on the part itself, for answers that are too
    modest or too sure are mended by one when training is over; by rates, unless the decoder is ``likelihood``, for the
    votes of so few compartments are too coarse to tell two epochs apart. A crew shares the recordings.
    """
    if decoder == "votes":
        decoder = "rates"

    def asked(some: PresentationSequence) -> tuple[Tensor, Tensor]:
        found = evaluate.predict(network, params, some, JUDGES, kernel=kernel, seed=seed, decoder=decoder)
        return found.answers.logs, found.labels

    logs, labels = asked(presentations) if crew is None else crew.shared(asked, presentations)
    logs = metrics.tempered(logs, metrics.fitted_temperature(logs, labels))
    return -logs.gather(1, labels[:, None])[:, 0]


def is_ahead(best: Tensor, last: Tensor, epochs: int) -> bool:
    """Whether losses ``[n]`` of the best of E epochs are lower than the last one's by more than chance makes them.

    That is, by more than ``sqrt(2 ln E)`` standard errors of the mean of the recordings' differences: the largest of E
    normal numbers is hardly ever beyond it, and the best epoch has been chosen from as many. Of a single recording, or
    a single epoch, never.
    """
    differences = last - best
    if len(differences) < 2 or epochs < 2:
        return False
    error = float(differences.std()) / math.sqrt(len(differences))
    return float(differences.mean()) > math.sqrt(2 * math.log(epochs)) * error
