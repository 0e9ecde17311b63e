"""Scores as types: what ``metrics.json`` holds, what a training says of its validation part, and how both are written.

A field that may be missing is ``None`` and then stands in no file: runs of older versions lack some. Nothing here needs
torch, so that whoever only reads scores does without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gemsnn.errors import InputError

SHARE = 0.95
"""Of the probability, in a set of classes of which nothing is promised."""

QUIET, SATURATED = 0.001, 0.95
"""Spikes per step below or above which a neuron tells next to nothing."""


@dataclass(frozen=True)
class Mute:
    """Neurons that tell next to nothing: how many hardly ever spike, and how many nearly always do."""

    quiet: int
    saturated: int

    def warning(self, neurons: int) -> str | None:
        """A sentence for a person, or ``None`` where all is well."""
        if not self.quiet and not self.saturated:
            return None
        return (
            f"of {neurons} hidden neurons {self.quiet} hardly ever spike (less than {QUIET:g} a step) and "
            f"{self.saturated} nearly always do (more than {SATURATED:g}); they tell nothing"
        )


@dataclass(frozen=True)
class AnswerScores:
    """What answers are worth; see :mod:`gemsnn.scoring.metrics` for each.

    Attributes:
        accuracy: share of right answers.
        nll: negative log-likelihood of the labels, nats.
        brier: Brier score, from 0 to 2.
        ece: expected calibration error.
    """

    accuracy: float
    nll: float
    brier: float
    ece: float


@dataclass(frozen=True)
class Cell:
    """A cell of a reliability diagram; an empty one has neither confidence nor accuracy."""

    low: float
    high: float
    confidence: float | None
    accuracy: float | None
    count: int


@dataclass(frozen=True)
class Kept:
    """Accuracy among the share of recordings that is answered when the least confident abstain."""

    coverage: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """Numbers beside the curves; see :mod:`gemsnn.scoring.calibration`.

    Attributes:
        by_chance: the calibration error that is expected of claims that are right, on so many recordings.
        debiased: the calibration error without what chance adds to it on average.
        risk_area: the area under the share of wrong answers against the share answered.
    """

    by_chance: float
    debiased: float
    risk_area: float


@dataclass(frozen=True)
class Tempered:
    """What a temperature makes of scores; the accuracy it leaves as it is."""

    temperature: float
    nll: float
    brier: float
    ece: float
    reliability: tuple[Cell, ...] | None = None
    selective: tuple[Kept, ...] | None = None
    calibration: Calibration | None = None


@dataclass(frozen=True)
class Errors:
    """Standard errors of scores, by bootstrap over recordings.

    Attributes:
        plain: without a temperature.
        tempered: with it.
        change: of their difference, much smaller than either where a temperature does the same to all answers.
    """

    plain: AnswerScores
    tempered: AnswerScores | None = None
    change: AnswerScores | None = None


@dataclass(frozen=True)
class Alone:
    """What the first compartment would say by itself, beside what all of them say of the same recordings.

    Attributes:
        reliability: its confidence against its accuracy.
        change: standard errors of what the other compartments change, that is of the scores of all of them minus its
            own, by bootstrap over recordings.
    """

    reliability: tuple[Cell, ...]
    change: AnswerScores


@dataclass(frozen=True, kw_only=True)
class AtCompartments:
    """The scores of the first so many compartments."""

    compartments: int
    accuracy: float
    nll: float
    brier: float
    ece: float
    tempered: Tempered | None = None
    log_likelihood: float


@dataclass(frozen=True)
class AtStep:
    """The scores of early answers: after so many steps, which are so many milliseconds.

    ``set_size`` is how many of the likeliest classes together have :data:`SHARE` of the probability, on average.
    """

    step: int
    ms: float
    accuracy: float
    nll: float
    brier: float
    ece: float
    set_size: float | None = None


@dataclass(frozen=True)
class Extreme:
    """A recording by its position, the class of the answer, and the entropy of its votes' shares in nats."""

    position: int
    answer: int
    entropy: float


@dataclass(frozen=True)
class Extremes:
    """The recordings whose votes differ most and least."""

    unsure: Extreme
    sure: Extreme


@dataclass(frozen=True)
class Rates:
    """Spikes per neuron and step."""

    inputs: float
    hidden: float
    visible: float


@dataclass(frozen=True)
class Messages:
    """Numbers exchanged per step while learning, see :func:`gemsnn.scoring.measure.messages`."""

    up: int
    down: int


@dataclass(frozen=True)
class Costs:
    """What a step costs: spikes, synaptic operations of all compartments, mute neurons, and messages in learning."""

    spikes_per_neuron_step: Rates
    synaptic_operations_per_step: float
    mute_hidden_neurons: Mute | None = None
    scalars_per_step: Messages | None = None


@dataclass(frozen=True)
class SynapticOperations:
    """Additions and multiplications with weights for one answer, on average, of all compartments.

    Attributes:
        effective_macs: multiplications with additions: none, for what arrives are spikes.
        effective_acs: additions because a spike arrived, also those at lags beyond the recording's end.
        dense: the additions were all synapses there that projections can have, and all inputs and neurons spiking.
    """

    effective_macs: float
    effective_acs: float
    dense: float


@dataclass(frozen=True)
class NeuroBench:
    """What answers cost, under NeuroBench's names; :mod:`gemsnn.scoring.neurobench` measures it.

    Attributes:
        footprint: bytes of the parameters and filters, and of the spikes that are remembered, a bit each.
        connection_sparsity: the share of absent synapses among those that the projections can have, 0 to 1.
        activation_sparsity: the share of steps without a spike, over hidden and visible neurons, 0 to 1.
        synaptic_operations: for one answer.
        energy_joules: an estimate for one answer: the additions alone, each of
            :data:`gemsnn.scoring.neurobench.JOULES_AN_ADDITION`; without memory accesses, which on most machines take
            more, and without filters, noise and sigmoids.
        energy_assumes: this, in words.
    """

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    synaptic_operations: SynapticOperations
    energy_joules: float
    energy_assumes: str

    def told(self) -> str:
        """For a person, in a line."""
        return (
            f"an answer: {self.synaptic_operations.effective_acs:.3g} additions of weights, an estimated "
            f"{self.energy_joules * 1e6:.3g} uJ; {self.activation_sparsity:.1%} of steps without a spike; "
            f"{self.footprint / 1000:.3g} kB"
        )


@dataclass(frozen=True)
class Baseline:
    """The scores of another method on the same recordings."""

    name: str
    accuracy: float
    nll: float
    brier: float
    ece: float
    errors: Errors | None = None
    tempered: Tempered | None = None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All scores of a network on some recordings.

    ``accuracy``, ``nll``, ``brier`` and ``ece`` are those of the answers of all compartments at the recordings' ends,
    without a temperature.

    Attributes:
        split: the part of the data, where it is one.
        decoder: how compartments answered.
        presentations: n, the recordings.
        silent: how many of them got no answer.
        compartments: K.
        classes: C.
        names: of the classes, in the order of their labels; ``None`` where they have none but their numbers.
        bin_us: the width of a step.
        accuracy: share of right answers; an even answer counts 1/C.
        nll: negative log-likelihood of the labels, nats.
        brier: Brier score.
        ece: expected calibration error, 15 cells.
        tempered: what the training's temperature makes of the last three; ``None`` where none was fitted.
        log_likelihood: of the targets, nats a recording.
        by_compartments: the same for the first 1, 2, .., K compartments.
        alone: more of the first compartment by itself, where others answer beside it.
        by_time: the same after each step.
        reliability: confidence against accuracy.
        selective: accuracy when the least confident abstain.
        calibration: how much of the calibration error is chance, and the area under the curve of abstaining.
        errors: standard errors of the scores.
        confusion: ``[C][C]``; row i counts the answers to recordings of class i.
        extremes: the recordings whose votes differ most and least.
        costs: spikes and operations.
        neurobench: costs of an answer under NeuroBench's names; ``None`` in runs of older versions.
        baseline: another method on the same recordings, where it was asked.

    >>> import gemsnn
    >>> scores = gemsnn.score(model, data.test)  # doctest: +SKIP
    >>> scores.accuracy, scores.tempered.ece  # doctest: +SKIP
    (0.963, 0.018)
    """

    split: str | None = None
    decoder: str
    presentations: int
    silent: int | None = None
    compartments: int
    classes: int
    names: tuple[str, ...] | None = None
    bin_us: int
    accuracy: float
    nll: float
    brier: float
    ece: float
    tempered: Tempered | None = None
    log_likelihood: float
    by_compartments: tuple[AtCompartments, ...]
    alone: Alone | None = None
    by_time: tuple[AtStep, ...]
    reliability: tuple[Cell, ...]
    selective: tuple[Kept, ...]
    calibration: Calibration | None = None
    errors: Errors | None = None
    confusion: tuple[tuple[float, ...], ...]
    extremes: Extremes | None = None
    costs: Costs
    neurobench: NeuroBench | None = None
    baseline: Baseline | None = None

    def to_json(self) -> dict[str, Any]:
        """As ``metrics.json`` and ``gemsnn evaluate --json`` have them: dictionaries, lists and numbers."""
        return plain(self)

    @staticmethod
    def from_json(value: Mapping[str, Any], where: str = "the scores") -> Scores:
        """From what :meth:`to_json` gives; what is there beside it is left alone.

        Raises:
            InputError: something is missing or has another type; ``where`` names its source.
        """
        try:
            return msgspec.convert(dict(value), Scores)
        except msgspec.ValidationError as error:
            raise InputError(
                f"{where} holds no scores of this version ({error}); score the run anew"
            ) from None


@dataclass(frozen=True)
class ValidationScores:
    """What a training says of its validation part now and then.

    Attributes:
        accuracy: share of right answers.
        nll: negative log-likelihood of the labels, nats.
        brier: Brier score.
        ece: expected calibration error.
        log_likelihood: of the targets, nats a recording.
        quiet: hidden neurons that hardly ever spike.
        saturated: hidden neurons that nearly always do.
    """

    accuracy: float
    nll: float
    brier: float
    ece: float
    log_likelihood: float
    quiet: int
    saturated: int

    def to_json(self) -> dict[str, Any]:
        """As a line of ``metrics.jsonl`` has them."""
        return plain(self)


def plain(value: Any) -> Any:
    """A dataclass as dictionaries, lists and numbers, without the fields that need not be there and are not."""
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if not dataclasses.is_dataclass(value):
        return value
    found = {}
    for item in dataclasses.fields(value):
        entry = getattr(value, item.name)
        if not (entry is None and item.default is None):
            found[item.name] = plain(entry)
    return found
