"""A trained network with all that its answers depend on: what a run folder keeps of it, and how it is asked.

``load_model("runs/demo")`` gives a :class:`Model`. Its :class:`Facts` lie in the run's ``model.json``: how recordings
become bins, the warm-up, the decoder, the temperatures, the seed. Runs of gemsnn before that file have them from their
``config.toml``, ``manifest.json`` and ``metrics.json``.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import kernels
from gemsnn.data import datasets
from gemsnn.data.events import Events, Recording
from gemsnn.data.reading import Reading
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.kernels import Kernel
from gemsnn.learn import train
from gemsnn.learn.online import OnlineSpec
from gemsnn.learn.train import Learner
from gemsnn.machine import devices
from gemsnn.model import network as networks
from gemsnn.model.network import Network, Params
from gemsnn.runs import config
from gemsnn.runs.config import Settings
from gemsnn.scoring import evaluate, metrics
from gemsnn.scoring.evaluate import Decoder, Prediction
from gemsnn.store.checkpoints import digest_of
from gemsnn.store.records import RunFolder
from gemsnn.types import AnyPath, Layout, Progress, first_observed, layout_from

FILE = "model.json"
FORMAT = 1
DTYPES = {"float32": torch.float32, "float64": torch.float64}

Temperatures = dict[Decoder, tuple[float, ...]]
"""By decoder, the temperatures of the answers of the first 1, 2, .. compartments."""


@dataclass(frozen=True)
class Facts:
    """What a network's answers depend on beside its parameters.

    Attributes:
        reading: how recordings become bins, and the classes' names.
        warm_up: the share of each recording before its output spikes count, see
            :class:`gemsnn.model.network.NetworkSpec`.
        decoder: how compartments answer.
        seed: of the noise.
        temperatures: fitted on the validation part at the end of the training.
        least_spikes: recordings with fewer input spikes than this where the outputs are observed get no answer.
    """

    reading: Reading
    warm_up: float
    decoder: Decoder
    seed: int
    temperatures: Temperatures = dataclasses.field(default_factory=dict)
    least_spikes: int = 1

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


def save_facts(run: RunFolder, facts: Facts) -> None:
    """Write the facts into a run folder."""
    reading = facts.reading
    written: dict[str, Any] = {
        "format": FORMAT,
        "layout": reading.layout._asdict(),
        **{name: getattr(reading, name) for name in ("steps", "counts", "pad", "sensor", "corner", "names")},
        **{
            item.name: getattr(facts, item.name)
            for item in dataclasses.fields(facts)
            if item.name != "reading"
        },
    }
    run.write_json(FILE, written | {"sha256": digest_of(written)})


def load_facts(run: RunFolder, settings: Settings) -> Facts:
    """The facts in a run folder, those of a run before ``model.json`` from its other files.

    Raises:
        InputError: the file is damaged, or a newer version wrote it.
    """
    path = run.path / FILE
    if not path.exists():
        return _facts_of_old(run, settings)
    written = run.read_json(FILE)
    if type(written.get("format")) is int and written["format"] > FORMAT:
        raise InputError(
            f"{path} has format {written['format']}, this gemsnn reads format {FORMAT}; update gemsnn"
        )
    if written.pop("sha256", None) != digest_of(written):
        raise InputError(f"{path} is damaged (its own SHA-256 differs); restore it or train again")
    try:
        told = msgspec.convert(written, _Written)
    except msgspec.ValidationError as error:
        raise InputError(f"{path} holds what it should not ({error}); restore it or train again") from None
    layout = layout_from(told.layout, f"the layout in {path}")
    reading = Reading(layout, told.steps, told.counts, told.pad, told.sensor, told.corner, told.names)
    return Facts(reading, told.warm_up, told.decoder, told.seed, told.temperatures, told.least_spikes)


def facts_of(settings: Settings, layout: Layout) -> Facts:
    """What settings say of a network that they train, for data of this layout."""
    reading = datasets.reading_of(settings.data, layout)
    return Facts(reading, settings.data.warm_up, settings.evaluate.decoder, settings.train.seed)


def _facts_of_old(run: RunFolder, settings: Settings) -> Facts:
    manifest = run.read_json("manifest.json")
    layout = layout_from(manifest.get("layout"), f"the layout in {run.path / 'manifest.json'}")
    facts = facts_of(settings, layout)
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


@dataclass(frozen=True)
class Model:
    """A trained network, ready to run.

    Attributes:
        network: the network.
        learner: its parameters, and the state of their optimiser.
        facts: what its answers depend on beside them.
        kernel: the code that runs it.
        kernel_name: the name of that.
        sha256: of its checkpoint's tensors, where it comes from one.
    """

    network: Network
    learner: Learner
    facts: Facts
    kernel: Kernel
    kernel_name: str
    sha256: str | None = None

    @property
    def params(self) -> Params:
        """The parameters."""
        return self.learner.params

    @property
    def reading(self) -> Reading:
        """How recordings become bins."""
        return self.facts.reading

    def bin(
        self, recording: Recording | Events, *, x0: int | None = None, y0: int | None = None
    ) -> NDArray[Any]:
        """The bins of a recording as the training read its own, see :meth:`gemsnn.data.reading.Reading.bin`."""
        return self.reading.bin(recording, x0=x0, y0=y0)

    def predict(
        self,
        spikes: SpikeSet,
        compartments: int = 20,
        *,
        decoder: Decoder | None = None,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> Prediction:
        """What K compartments say of recordings that were read as the training read its own.

        Args:
            spikes: the recordings, see :meth:`gemsnn.data.reading.Reading.presentations`.
            compartments: K.
            decoder: how they answer; by default as the run does.
            seed: of the noise; by default the run's.
            progress: shows how far the work is.

        Raises:
            InputError: the recordings do not fit, see :meth:`gemsnn.data.reading.Reading.check`.
        """
        self.reading.check(spikes)
        return evaluate.predict(
            self.kernel,
            self.network,
            self.params,
            spikes,
            compartments,
            seed=self.facts.seed if seed is None else seed,
            decoder=decoder or self.facts.decoder,
            least_spikes=self.facts.least_spikes,
            progress=progress,
        )

    def temperature(self, compartments: int, decoder: Decoder | None = None) -> float | None:
        """The temperature of the answers of so many compartments; ``None`` where none was fitted."""
        found = self.facts.temperatures.get(decoder or self.facts.decoder, ())
        return found[compartments - 1] if 1 <= compartments <= len(found) else None

    def probabilities(self, prediction: Prediction) -> Tensor:
        """Class probabilities float64 ``[n, C]`` of a prediction, at the temperature of the training.

        Raises:
            InputError: no temperature was fitted for so many compartments, or for this decoder.
        """
        compartments = prediction.votes.shape[1]
        temperature = self.temperature(compartments, prediction.decoder)
        if temperature is None:
            raise InputError(no_temperature(self.facts, compartments, prediction.decoder))
        return metrics.tempered(prediction.answers.logs, temperature).exp()

    def scores(
        self,
        spikes: SpikeSet,
        compartments: int = 20,
        *,
        decoder: Decoder | None = None,
        seed: int | None = None,
        held: SpikeSet | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """All scores of :func:`gemsnn.scoring.evaluate.score`.

        Args:
            spikes: see :meth:`predict`, as are those that follow.
            compartments: K.
            decoder: how they answer.
            seed: of the noise.
            held: recordings on which temperatures are fitted; by default those of the training are applied.
            progress: shows how far the work is.

        Raises:
            InputError: as :meth:`predict` and :meth:`probabilities`; nothing is computed then.
        """
        decoder, seed = decoder or self.facts.decoder, self.facts.seed if seed is None else seed
        temperatures = list(self.facts.temperatures.get(decoder, ())[:compartments])
        if held is None and len(temperatures) < compartments:
            raise InputError(no_temperature(self.facts, compartments, decoder))
        how: Any = {"decoder": decoder, "seed": seed, "progress": progress}
        prediction = self.predict(spikes, compartments, **how)
        if held is not None:
            fitting = prediction if held is spikes else self.predict(held, compartments, **how)
            temperatures = evaluate.fitted_temperatures(fitting)
        log_weights = evaluate.log_likelihood(
            self.kernel, self.network, self.params, spikes, compartments, seed=seed, progress=progress
        )
        return evaluate.score(
            self.network,
            prediction,
            log_weights,
            bin_us=spikes.layout.bin_us,
            temperatures=temperatures,
        )

    def online(
        self, compartments: int = 20, *, window: int | None = None, every: int = 1, seed: int | None = None,
        address: int = 0,
    ) -> OnlineSpec:  # fmt: skip
        """How a stream answers as :meth:`predict` does: given the bins of a presentation, at its last one the same.

        With another ``window`` as many input spikes a bin are worth an answer.
        """
        whole = self.facts.window
        window = whole if window is None else window
        return OnlineSpec(
            compartments,
            window,
            every,
            self.facts.seed if seed is None else seed,
            address,
            math.ceil(self.facts.least_spikes * window / whole),
        )


def no_temperature(facts: Facts, compartments: int, decoder: Decoder) -> str:
    """Why there is no temperature, in a sentence."""
    known = facts.temperatures.get(decoder, ())
    has = f"up to {len(known)}" if known else "none"
    return (
        f"the run has fitted temperatures for {has} compartments that answer by {decoder}, not for {compartments}; "
        "take fewer, or its own decoder, or score its own data, whose validation part fits them"
    )


def load_model(path: AnyPath) -> Model:
    """The network of a run folder's last checkpoint, with all that its answers depend on.

    It lies on the device that it was trained on where this machine has that, else on the CPU.

    Raises:
        InputError: ``path`` is no run folder, a file of it is damaged, or its checkpoint is not one of this network.
    """
    run = RunFolder.open(path)
    settings = config.load(run.path / "config.toml")
    facts = load_facts(run, settings)
    tensors, told = run.load_checkpoint()
    spec = settings.network.spec(facts.reading.layout, facts.warm_up)
    masks = networks.masks_in(tensors)
    if "mask" not in tensors and spec.is_joint:
        raise InputError(f"the checkpoint in {run.path} lacks the mask of the network; train again")
    wanted = settings.network.device
    device = wanted if devices.is_here(wanted) else devices.CPU
    network = networks.build(
        spec, masks=masks, seed=facts.seed, dtype=DTYPES[settings.network.dtype], device=device
    )
    learner = train.progress_from(network, tensors, told).learner
    networks.check_params(network, learner.params)
    name, kernel = kernels.choose(settings.network.kernel, network)
    return Model(network, learner, facts, kernel, name, told["sha256"])
