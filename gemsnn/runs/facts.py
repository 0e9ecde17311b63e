"""What a network's answers depend on beside its parameters: how recordings become bins, the decoder, temperatures.

A run folder keeps them in ``model.json``; runs of gemsnn before that file have them from their ``config.toml``,
``manifest.json`` and ``metrics.json``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from gemsnn.data.grid import Grid
from gemsnn.data.readers.units import TimeUnit
from gemsnn.data.reading import Outputs, Reading, reading_of
from gemsnn.data.sets.catalogue import CATALOGUE
from gemsnn.errors import InputError
from gemsnn.runs.config import Settings
from gemsnn.scoring.answers import Decoder, provisional
from gemsnn.scoring.sampling import Weights
from gemsnn.store.checkpoints import digest_of
from gemsnn.store.records import RunFolder
from gemsnn.types import first_observed, layout_from

FILE = "model.json"
FORMAT = 1

Temperatures = dict[Decoder, tuple[float, ...]]
"""By decoder, the temperatures of the answers of the first 1, 2, .. compartments."""


@dataclass(frozen=True)
class Facts:
    """What a network's answers depend on beside its parameters.

    Attributes:
        reading: how recordings become bins, and the classes' names.
        warm_up: the share of each recording before its output spikes count, see
            :class:`gemsnn.model.spec.NetworkSpec`.
        decoder: how compartments answer.
        seed: of the noise.
        temperatures: fitted on the validation part at the end of the training.
        least_spikes: recordings with fewer input spikes than this where the outputs are observed get no answer.
        readouts: how much each readout of a network that has several counts in an answer, see
            :func:`gemsnn.scoring.sampling.said`; none where the last one alone answers.
    """

    reading: Reading
    warm_up: float
    decoder: Decoder
    seed: int
    temperatures: Temperatures = dataclasses.field(default_factory=dict)
    least_spikes: int = 1
    readouts: Weights = ()

    def __post_init__(self) -> None:
        """Check the numbers once."""
        for decoder, found in self.temperatures.items():
            if not all(0 < temperature < math.inf for temperature in found):
                raise InputError(f"temperatures must be positive and finite, not {found} (decoder {decoder})")
        if self.least_spikes < 0:
            raise InputError(f"least_spikes must not be negative, not {self.least_spikes}")

    @property
    def window(self) -> int:
        """The steps of a whole presentation whose output spikes count."""
        return self.reading.steps - first_observed(self.warm_up, self.reading.steps)


class _Cells(msgspec.Struct):
    """A :class:`gemsnn.data.grid.Grid`."""

    window: tuple[int, int]
    cells: tuple[int, int]
    span: tuple[int, int]


class _Written(msgspec.Struct):
    """The content of ``model.json``, but for the layout."""

    format: Literal[1]
    layout: dict[str, Any]
    steps: int
    counts: bool
    pad: bool
    sensor: tuple[int, int]
    corner: tuple[int, int]
    names: tuple[str, ...]
    warm_up: float
    decoder: Decoder
    seed: int
    temperatures: Temperatures
    least_spikes: int
    readouts: Weights = ()
    grid: _Cells | None = None
    time_unit: TimeUnit | None = None
    outputs: Outputs = "classes"


_OF_READING = ("steps", "counts", "pad", "sensor", "corner", "names", "time_unit", "outputs")


def written(facts: Facts) -> dict[str, Any]:
    """Facts as JSON has them, with the number of their format."""
    reading = facts.reading
    return {
        "format": FORMAT,
        "layout": reading.layout._asdict(),
        **{name: getattr(reading, name) for name in _OF_READING},
        "grid": None if reading.grid is None else dataclasses.asdict(reading.grid),
        **{
            item.name: getattr(facts, item.name)
            for item in dataclasses.fields(facts)
            if item.name != "reading"
        },
    }


def read(told: Mapping[str, Any], where: str) -> Facts:
    """Facts from what :func:`written` gives; ``where`` names its source.

    Raises:
        InputError: something is missing, or is not what it should be.
    """
    try:
        found = msgspec.convert(dict(told), _Written)
    except msgspec.ValidationError as error:
        raise InputError(f"{where} holds what it should not ({error}); restore it or train again") from None
    layout = layout_from(found.layout, f"the layout in {where}")
    grid = None if found.grid is None else Grid(found.grid.window, found.grid.cells, found.grid.span)
    reading = Reading(layout, grid=grid, **{name: getattr(found, name) for name in _OF_READING})
    return Facts(
        reading,
        found.warm_up,
        found.decoder,
        found.seed,
        found.temperatures,
        found.least_spikes,
        found.readouts,
    )


def save_facts(run: RunFolder, facts: Facts) -> None:
    """Write the facts into a run folder."""
    told = written(facts)
    run.write_json(FILE, told | {"sha256": digest_of(told)})


def load_facts(run: RunFolder, settings: Settings) -> Facts:
    """The facts in a run folder, those of a run before ``model.json`` from its other files.

    Raises:
        InputError: the file is damaged, or a newer version wrote it.
    """
    path = run.path / FILE
    if not path.exists():
        return _facts_of_old(run, settings)
    told = run.read_json(FILE)
    if type(told.get("format")) is int and told["format"] > FORMAT:
        raise InputError(
            f"{path} has format {told['format']}, this gemsnn reads format {FORMAT}; update gemsnn"
        )
    if told.pop("sha256", None) != digest_of(told):
        raise InputError(f"{path} is damaged (its own SHA-256 differs); restore it or train again")
    return read(told, str(path))


def facts_of(settings: Settings, reading: Reading) -> Facts:
    """What settings say of a network before it is trained, for data that was read like this."""
    return Facts(reading, settings.data.warm_up, provisional(settings.evaluate.decoder), settings.train.seed)


def _facts_of_old(run: RunFolder, settings: Settings) -> Facts:
    manifest = run.read_json("manifest.json")
    layout = layout_from(manifest.get("layout"), f"the layout in {run.path / 'manifest.json'}")
    if settings.data.data not in CATALOGUE:
        raise InputError(f"{run.path / FILE} is missing; restore it or train again")
    sensor = CATALOGUE[settings.data.data].sensor
    facts = facts_of(settings, reading_of(settings.data.bins, sensor, layout))
    if not (run.path / "metrics.json").is_file():
        return facts
    try:
        scores = msgspec.convert(run.read_json("metrics.json"), _OldScores)
    except msgspec.ValidationError:
        return facts
    found = tuple(row.tempered.temperature for row in scores.by_compartments)
    return dataclasses.replace(facts, temperatures={scores.decoder: found})


class _OldTempered(msgspec.Struct):
    temperature: float


class _OldRow(msgspec.Struct):
    tempered: _OldTempered


class _OldScores(msgspec.Struct):
    """Where ``metrics.json`` has temperatures."""

    decoder: Decoder
    by_compartments: list[_OldRow]


def no_temperature(facts: Facts, compartments: int, decoder: Decoder) -> str:
    """Why there is no temperature, in a sentence."""
    known = facts.temperatures.get(decoder, ())
    has = f"up to {len(known)}" if known else "none"
    way = f"ask no more of them (--votes {len(known)})" if known else f"take its own decoder, {facts.decoder}"
    return (
        f"the run has fitted temperatures for {has} compartments that answer by {decoder}, not for {compartments}; "
        f"{way}, or score its own data, whose validation part fits them"
    )
