"""What answers are worth: a poll of compartments turned into :class:`gemsnn.scoring.scores.Scores`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.model import logspace
from gemsnn.model.network import Network
from gemsnn.scoring import baseline, calibration, metrics
from gemsnn.scoring.answers import Answers
from gemsnn.scoring.evaluate import Poll
from gemsnn.scoring.scores import (
    SHARE,
    Alone,
    AnswerScores,
    AtCompartments,
    AtStep,
    Baseline,
    Calibration,
    Cell,
    Costs,
    Errors,
    Extreme,
    Extremes,
    Kept,
    Messages,
    Rates,
    Scores,
    Tempered,
)
from gemsnn.specs import checks
from gemsnn.specs.checks import Range
from gemsnn.types import LONGEST_BIN_US


def answer_scores(answers: Answers, labels: Tensor) -> AnswerScores:
    """Accuracy, NLL, Brier score and ECE of answers ``[n, C]``."""
    return AnswerScores(
        metrics.accuracy(answers.probabilities, labels),
        metrics.log_loss(answers.logs, labels),
        metrics.brier(answers.probabilities, labels),
        metrics.expected_calibration_error(answers.probabilities, labels),
    )


def tempered_scores(
    answers: Answers, labels: Tensor, temperature: float, *, curves: bool = False
) -> Tempered:
    """What a temperature makes of the scores of answers ``[n, C]``; which class leads, it leaves as it is.

    With ``curves`` the reliability cells, the selective accuracy, and the numbers beside them come with them.
    """
    warm = answers.tempered(temperature)
    scores = answer_scores(warm, labels)
    found = Tempered(temperature, scores.nll, scores.brier, scores.ece)
    if not curves:
        return found
    return Tempered(temperature, scores.nll, scores.brier, scores.ece, *_curves(warm.probabilities, labels))


RESAMPLES = 100


def score_errors(answers: Answers, labels: Tensor, temperature: float | None) -> Errors:
    """Standard errors of the scores of answers ``[n, C]``, by bootstrap over the presentations.

    That is, the standard deviation of a score over :data:`RESAMPLES` sets of ``n`` presentations drawn from these with
    replacement (B. Efron, Annals of Statistics 7, 1979). The sets are always the same: so are the errors.
    """
    ways = [answers] if temperature is None else [answers, answers.tempered(temperature)]
    scores = _resampled(ways, labels)
    parts = [scores[:, 0]]
    if temperature is not None:
        parts += [scores[:, 1], scores[:, 1] - scores[:, 0]]
    return Errors(*(AnswerScores(*values.std(0).tolist()) for values in parts))


def _resampled(ways: Sequence[Answers], labels: Tensor) -> Tensor:
    """Scores ``[RESAMPLES, ways, scores]`` of answers on the same drawn sets of presentations."""
    draw, found = torch.Generator().manual_seed(0), []
    for _ in range(RESAMPLES):
        chosen = torch.randint(len(labels), (len(labels),), generator=draw)
        some = (Answers(each.probabilities[chosen], each.logs[chosen]) for each in ways)
        found.append([list(asdict(answer_scores(each, labels[chosen])).values()) for each in some])
    return torch.tensor(found, dtype=torch.float64)


def change_errors(before: Answers, after: Answers, labels: Tensor) -> AnswerScores:
    """Standard errors of the scores of ``after`` minus those of ``before``, answers ``[n, C]`` to the same recordings.

    They are those of paired differences, on the sets of :func:`score_errors`.
    """
    scores = _resampled((before, after), labels)
    return AnswerScores(*(scores[:, 1] - scores[:, 0]).std(0).tolist())


def alone(by_compartments: Answers, labels: Tensor) -> Alone:
    """What the first of K compartments says by itself, of answers ``[K, n, C]`` of the first 1, 2, .. of them."""
    one = by_compartments.at(0)
    cells = metrics.reliability(one.probabilities, labels).cells()
    return Alone(cells, change_errors(one, by_compartments.at(-1), labels))


def extremes(votes: Tensor, probabilities: Tensor) -> Extremes:
    """The presentations whose votes differ most (``unsure``) and least (``sure``), by the entropy of their shares.

    Of several the first counts.

    Args:
        votes: int64 ``[n, K]``.
        probabilities: of the answers, ``[n, C]``.
    """
    shares = metrics.vote_shares(votes, probabilities.shape[1])
    entropy = (
        torch.special.entr(shares).sum(1).round(decimals=9)
    )  # sums of the same numbers in another order are equal
    answers = probabilities.argmax(1)

    def of(place: int) -> Extreme:
        return Extreme(place, int(answers[place]), float(entropy[place]))

    return Extremes(of(int(entropy.argmax())), of(int(entropy.argmin())))


def fitted_temperatures(held: Poll) -> list[float]:
    """The temperature for the answers of the first k compartments, for every k, fitted on a part held out for it."""
    return [metrics.fitted_temperature(logs, held.labels) for logs in held.by_compartments.logs]


def baseline_answers(
    model: baseline.Model, validation: baseline.Counts, test: baseline.Counts
) -> tuple[Answers, Tensor, float]:
    """A fitted baseline's answers ``[n, C]`` to the test part, its labels, and the validation part's temperature."""
    found, held = (baseline.predict(model, part.counts) for part in (test, validation))
    temperature = metrics.fitted_temperature(held.log(), torch.from_numpy(validation.labels))
    return Answers(found, found.log()), torch.from_numpy(test.labels), temperature


def baseline_scores(name: str, answers: Answers, labels: Tensor, temperature: float) -> Baseline:
    """The scores of another method's answers ``[n, C]``, at its own temperature too."""
    scores = asdict(answer_scores(answers, labels))
    return Baseline(
        name,
        **scores,
        errors=score_errors(answers, labels, temperature),
        tempered=tempered_scores(answers, labels, temperature),
    )


def _curves(probabilities: Tensor, labels: Tensor) -> tuple[tuple[Cell, ...], tuple[Kept, ...], Calibration]:
    selective = metrics.selective_accuracy(probabilities, labels)
    return (
        metrics.reliability(probabilities, labels).cells(),
        tuple(Kept(float(c), float(a)) for c, a in zip(selective.coverage, selective.accuracy, strict=True)),
        calibration.calibration(probabilities, labels),
    )


def score(
    network: Network,
    poll: Poll,
    log_weights: Tensor,
    *,
    bin_us: int,
    temperatures: Sequence[float] = (),
) -> Scores:
    """All scores of what compartments said.

    Args:
        network: the network.
        poll: from :func:`gemsnn.scoring.evaluate.predict`.
        log_weights: ``[n, K]``, from :func:`gemsnn.scoring.evaluate.log_likelihood`.
        bin_us: the width of a step.
        temperatures: of the answers of the first 1, 2, .. compartments, from :func:`fitted_temperatures` of another
            part's poll; K of them, or none, and then nothing is tempered.

    Raises:
        InputError: the arguments do not fit one another.
    """
    labels, activity = poll.labels, poll.activity
    _, compartments, steps = poll.votes.shape
    if log_weights.shape != poll.votes.shape[:2]:
        raise InputError(
            f"log_weights must be {list(poll.votes.shape[:2])}, as the prediction's votes are, not "
            f"{list(log_weights.shape)}"
        )
    if len(temperatures) not in (0, compartments):
        raise InputError(
            f"temperatures must be {compartments}, one for each number of compartments, not {len(temperatures)}"
        )
    checks.number(bin_us, Annotated[int, Range(1, LONGEST_BIN_US)], "bin_us")

    def at(k: int) -> AtCompartments:
        answers = poll.by_compartments.at(k - 1)
        return AtCompartments(
            compartments=k,
            **asdict(answer_scores(answers, labels)),
            tempered=tempered_scores(answers, labels, temperatures[k - 1]) if temperatures else None,
            log_likelihood=float(logspace.log_mean_exp(log_weights[:, :k], 1).mean()),
        )

    final, temperature = poll.answers, temperatures[-1] if temperatures else None
    by_compartments = tuple(at(k) for k in range(1, compartments + 1))
    by_time = tuple(
        AtStep(
            t + 1, (t + 1) * bin_us / 1000, **asdict(answer_scores(early, labels)),
            set_size=float(metrics.likeliest(early.probabilities, SHARE)[1].double().mean()),
        )
        for t, early in ((t, poll.by_time.at(t)) for t in range(steps))
    )  # fmt: skip
    reliability, selective, beside = _curves(final.probabilities, labels)
    last = by_compartments[-1]
    return Scores(
        decoder=poll.decoder,
        presentations=len(labels),
        silent=int(poll.silent.sum()),
        compartments=compartments,
        classes=network.spec.visible,
        bin_us=bin_us,
        accuracy=last.accuracy,
        nll=last.nll,
        brier=last.brier,
        ece=last.ece,
        tempered=None if temperature is None else tempered_scores(final, labels, temperature, curves=True),
        log_likelihood=last.log_likelihood,
        by_compartments=by_compartments,
        alone=alone(poll.by_compartments, labels) if compartments > 1 else None,
        by_time=by_time,
        reliability=reliability,
        selective=selective,
        calibration=beside,
        errors=score_errors(final, labels, temperature),
        confusion=tuple(tuple(row) for row in metrics.confusion_matrix(final.probabilities, labels).tolist()),
        extremes=extremes(poll.votes[:, :, -1], final.probabilities),
        costs=Costs(
            Rates(activity.inputs, activity.hidden, activity.visible),
            activity.operations * compartments,
            activity.mute,
        ),
    )


def messages(network: Network, compartments: int) -> Messages:
    """Numbers exchanged per step while learning, neuron by neuron.

    ``up``: every visible neuron of every compartment sends its evidence to the place that computes q.
    ``down``: every learnable neuron of every compartment is sent the learning signal, one scalar per compartment
    (K numbers where it can be broadcast). The papers call this the communication load.
    """
    return Messages(up=compartments * network.spec.visible, down=compartments * network.spec.neurons)
