"""What the report takes from each file of a run folder, as types: everything may be missing or null, nothing is odd."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
Real = Annotated[float, Meta(ge=-1e15, le=1e15)]
Positive = Annotated[float, Meta(ge=0, le=1e15)]
Count = Annotated[int, Meta(ge=0, le=10**15)]


class Cell(TypedDict):
    """A cell of a reliability diagram; a cell without recordings has neither confidence nor accuracy."""

    low: Share
    high: Positive
    confidence: Share | None
    accuracy: Share | None
    count: Count


class Kept(TypedDict):
    """Accuracy among the recordings that are answered."""

    coverage: Share
    accuracy: Share


class Numbers(TypedDict, total=False):
    """What measures answers."""

    accuracy: Share | None
    ece: Share | None
    nll: Positive | None
    brier: Positive | None
    log_likelihood: Real | None
    set_size: Positive | None


class AtCompartments(Numbers):
    """Numbers of the first compartments."""

    compartments: Count


class AtTime(Numbers):
    """Numbers of early answers."""

    ms: Positive


class Errors(TypedDict, total=False):
    """Standard errors of scores, at a temperature, and of what the temperature changes."""

    plain: dict[str, Positive] | None
    tempered: dict[str, Positive] | None
    change: dict[str, Positive] | None


class Calibration(TypedDict, total=False):
    """Numbers beside the curves."""

    by_chance: Positive | None
    debiased: Positive | None
    risk_area: Positive | None


class Tempered(Numbers, total=False):
    """Numbers at a temperature."""

    temperature: Positive | None
    reliability: list[Cell] | None
    selective: list[Kept] | None
    calibration: Calibration | None


class Baseline(Numbers, total=False):
    """The other method."""

    name: str | None
    errors: Errors | None
    tempered: Tempered | None


class Costs(TypedDict, total=False):
    """What a step costs."""

    spikes_per_neuron_step: dict[str, Positive | None] | None
    synaptic_operations_per_step: Positive | None
    scalars_per_step: dict[str, Positive | None] | None


class NeuroBench(TypedDict, total=False):
    """What an answer costs, under NeuroBench's names."""

    footprint: Count | None
    connection_sparsity: Share | None
    activation_sparsity: Share | None
    synaptic_operations: dict[str, Positive | None] | None
    energy_joules: Positive | None
    energy_assumes: str | None


class Alone(TypedDict, total=False):
    """What one compartment would say by itself, and errors of what the others change."""

    reliability: list[Cell] | None
    change: dict[str, Positive] | None


class Scores(Numbers, total=False):
    """``metrics.json``."""

    presentations: Count
    compartments: Count | None
    classes: Count
    names: list[str] | None
    split: str | None
    decoder: str | None
    tempered: Tempered | None
    errors: Errors | None
    baseline: Baseline | None
    by_compartments: list[AtCompartments] | None
    alone: Alone | None
    by_time: list[AtTime] | None
    reliability: list[Cell] | None
    selective: list[Kept] | None
    calibration: Calibration | None
    confusion: list[list[Positive]] | None
    costs: Costs | None
    neurobench: NeuroBench | None


class Record(TypedDict, total=False):
    """A line of ``metrics.jsonl``."""

    kind: str | None
    presentations: Count
    loss: Real | None
    bound: Real | None
    hidden_rate: Share | None
    ess: Positive | None
    accuracy: Share | None
    ece: Share | None
    epoch: Count
    nll: Positive | None


class KeptEpoch(TypedDict):
    """Which epoch's weights a training kept, and after how many epochs."""

    epoch: Count
    of: Count


class Manifest(TypedDict, total=False):
    """``manifest.json``."""

    kept: KeptEpoch | None
    notes: list[str] | None
    seconds: dict[str, Positive | None] | None


class ConfigNetwork(TypedDict, total=False):
    """The network's table in ``config.toml``."""

    hidden: list[Count | str] | Count


class Config(TypedDict, total=False):
    """``config.toml``."""

    data: dict[str, Any]
    network: ConfigNetwork


class Certified(TypedDict):
    """``certified.json``: what a certificate promises, what it rests on, and how it fared on the test part."""

    promise: str
    fitted_on: str
    assumes: list[str]
    told: str
    recordings: Count


class Beside(TypedDict):
    """``beside.json``: another run's name, who taught it, its scores, and errors of what the first changes."""

    name: str
    compartments: Count | None
    scores: Scores
    change: dict[str, Positive] | None


class Pictured(TypedDict):
    """What pictures of an augmented recording show: for each of them the setting and the epoch, 0 as it is."""

    settings: list[str]
    epochs: list[Count]
    index: Count
    duration_us: Count
    kind: Literal["sensor", "channels"]
