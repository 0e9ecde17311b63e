"""A trained network with all that its answers depend on, and how it is asked.

:func:`load_model` reads one from a run folder, :func:`gemsnn.runs.modelfile.load` from a file. What the answers depend
on beside the parameters are its :class:`gemsnn.runs.facts.Facts`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import kernels
from gemsnn.bridges import nir, noise
from gemsnn.data import pairs
from gemsnn.data.arrays import Arrays
from gemsnn.data.events import Events, Recording
from gemsnn.data.reading import Reading
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.kernels import Kernel
from gemsnn.learn import state as states
from gemsnn.learn import train
from gemsnn.learn.online import OnlineSpec
from gemsnn.learn.state import Learner
from gemsnn.machine import devices
from gemsnn.model import network as networks
from gemsnn.model.network import Network, Params
from gemsnn.rules import optimisers
from gemsnn.runs import config, facts, modelfile, prediction
from gemsnn.runs.config import Settings
from gemsnn.runs.facts import Facts
from gemsnn.runs.modelfile import Content
from gemsnn.runs.prediction import Prediction, Winners
from gemsnn.scoring import evaluate, measure, metrics, neurobench, sampling, spike_trains, until
from gemsnn.scoring.answers import Decoder
from gemsnn.scoring.evaluate import Poll
from gemsnn.scoring.mode import Rule
from gemsnn.scoring.scores import Scores
from gemsnn.scoring.spike_trains import SpikeTrains
from gemsnn.scoring.until import Polled
from gemsnn.store.records import RunFolder
from gemsnn.types import AnyPath, Progress

if TYPE_CHECKING:
    from nir import NIRGraph

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Scored(NamedTuple):
    """Scores, the answers that they are of, and how probable each compartment finds the targets, ``[n, K]`` in nats."""

    scores: Scores
    poll: Poll
    log_weights: Tensor


@dataclass(frozen=True)
class Model:
    """A trained network with all that its answers depend on: bins, pixels, warm-up, decoder, temperatures, noise.

    :func:`gemsnn.fit` makes one, :func:`gemsnn.load` reads one.

    Attributes:
        network: the network.
        learner: its parameters, and the state of their optimiser.
        facts: what its answers depend on beside them.
        settings: those of its training.
        kernel: the code that runs it.
        kernel_name: the name of that.
        sha256: of its checkpoint's tensors, where it comes from one.

    >>> import gemsnn
    >>> model = gemsnn.load("runs/demo")  # doctest: +SKIP
    >>> model.save("digits.gemsnn.safetensors")  # doctest: +SKIP
    """

    network: Network
    learner: Learner
    facts: Facts
    settings: Settings
    kernel: Kernel
    kernel_name: str
    sha256: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """A kernel is code, which is pickled by its name."""
        kept = self.network, self.learner, self.facts, self.settings, self.kernel_name, self.sha256
        return _unpickled, kept

    @property
    def params(self) -> Params:
        """The parameters."""
        return self.learner.params

    @property
    def reading(self) -> Reading:
        """How recordings become bins."""
        return self.facts.reading

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names."""
        return self.reading.names

    @property
    def votes(self) -> int:
        """How many compartments answered at the end of its training, K_I: as many answer by default."""
        return self.settings.evaluate.votes

    def save(self, path: AnyPath) -> None:
        """Write a file that :func:`gemsnn.load` reads without any other; an existing one is replaced as a whole.

        It holds the parameters, settings and facts, but no recordings, no places of this machine, and no optimiser's
        moments: learning that goes on from it begins with fresh ones.
        """
        modelfile.save(path, self)

    def bin(
        self, recording: Recording | Events, *, x0: int | None = None, y0: int | None = None
    ) -> NDArray[Any]:
        """The bins of a recording as the training read its own, see :meth:`gemsnn.data.reading.Reading.bin`."""
        return self.reading.bin(recording, x0=x0, y0=y0)

    def poll(
        self,
        recordings: SpikeSet | Arrays,
        compartments: int | None = None,
        *,
        decoder: Decoder | None = None,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> Poll:
        """What each of K compartments says of recordings; the arguments are those of :meth:`predict`."""
        self.check_answers()
        return evaluate.predict(
            self.network,
            self.params,
            self.read(recordings),
            self.votes if compartments is None else compartments,
            kernel=self.kernel,
            seed=self.facts.seed if seed is None else seed,
            decoder=decoder or self.facts.decoder,
            readouts=self.facts.readouts,
            least_spikes=self.facts.least_spikes,
            progress=progress,
        )

    def predict(
        self,
        recordings: SpikeSet | Arrays,
        compartments: int | None = None,
        *,
        decoder: Decoder | None = None,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> Prediction:
        """Answers to recordings that were read as the training read its own.

        Args:
            recordings: :class:`gemsnn.Recordings`, or bare ones as :meth:`gemsnn.Recordings.from_arrays` and
                :meth:`gemsnn.Recordings.from_events` take them; of pairs of a recording and its label, the recordings.
                Bare ones and pairs may come from any iterable: 64 are in memory at a time.
            compartments: K, that answer; by default as many as in training (:attr:`votes`), for which a temperature is
                fitted.
            decoder: how they answer; by default as they did in training.
            seed: of their noise; by default the training's.
            progress: shows how far the work is: wraps an iterable, given its length and what its items are.

        Raises:
            InputError: the recordings do not fit, see :meth:`gemsnn.data.reading.Reading.check`.
        """
        self.check_answers()
        how: Any = {"decoder": decoder, "seed": seed}
        if isinstance(recordings, SpikeSet):
            return self._predicted(self.poll(recordings, compartments, **how, progress=progress))
        portions = prediction.portions(self.reading, recordings, progress)
        return Prediction.joined(self._predicted(self.poll(part, compartments, **how)) for part in portions)

    def _predicted(self, found: Poll) -> Prediction:
        temperature = self.temperature(found.votes.shape[1], found.decoder)
        same = prediction.said(self.names, found.answers, found.silent, temperature)
        return Prediction(**same, silent=found.silent)

    def ask(
        self, recordings: SpikeSet | Arrays, risk: float = 0.05, most: int = until.MOST, *,
        rule: Rule = "leader", held: SpikeSet | Arrays | None = None, decoder: Decoder | None = None,
        seed: int | None = None, progress: Progress | None = None,
    ) -> Winners:  # fmt: skip
        """Answers by as many compartments as needed: until their votes tell the winner of infinitely many.

        Of each recording, with probability at most ``risk``, the winner that is told is another. That says how sure the
        network is of its answer, not how often the answer is right. Whose votes tell no winner is left unanswered.

        Args:
            recordings: see :meth:`predict`.
            risk: see above.
            most: compartments that are asked at most.
            rule: how a winner is told, ``leader`` or ``ppr``, see :mod:`gemsnn.scoring.mode`.
            held: labelled recordings, which are asked alike, on which a temperature is fitted; without, none is.
            decoder: how all that were asked answer, ``votes`` or ``rates``; by default as they did in training. By
                rates the answer may differ from the winner of the votes, of which alone something is promised.
            seed: of their noise; by default the training's.
            progress: shows how far each portion of compartments has come.

        Raises:
            InputError: as :meth:`predict`, or so few compartments can never tell a winner.
        """
        self.check_answers()
        how: Any = {"most": most, "rule": rule, "decoder": decoder, "seed": seed}
        temperature = None
        if held is not None:
            found = self.polled(self._taught(held), risk, **how, progress=progress)
            temperature = metrics.fitted_temperature(found.answers.logs, found.labels)
        if isinstance(recordings, SpikeSet):
            return self._told(self.polled(recordings, risk, **how, progress=progress), temperature)
        portions = prediction.portions(self.reading, recordings, progress)
        return Winners.joined(self._told(self.polled(part, risk, **how), temperature) for part in portions)

    def polled(
        self, recordings: SpikeSet | Arrays, risk: float = 0.05, most: int = until.MOST, *,
        portion: int = until.PORTION, rule: Rule = "leader", decoder: Decoder | None = None,
        seed: int | None = None, progress: Progress | None = None,
    ) -> Polled:  # fmt: skip
        """What each compartment says that was asked; the arguments are those of :meth:`ask`."""
        self.check_answers()
        return until.predict(
            self.network,
            self.params,
            self.read(recordings),
            risk,
            kernel=self.kernel,
            seed=self.facts.seed if seed is None else seed,
            most=most,
            portion=portion,
            rule=rule,
            decoder=decoder or self.facts.decoder,
            readouts=self.facts.readouts,
            least_spikes=self.facts.least_spikes,
            progress=progress,
        )

    def _told(self, found: Polled, temperature: float | None) -> Winners:
        same = prediction.said(self.names, found.answers, ~found.decided, temperature)
        return Winners(**same, silent=found.silent, asked=found.asked, decided=found.decided)

    def temperature(self, compartments: int, decoder: Decoder | None = None) -> float | None:
        """The temperature of the answers of so many compartments; ``None`` where none was fitted."""
        found = self.facts.temperatures.get(decoder or self.facts.decoder, ())
        return found[compartments - 1] if 1 <= compartments <= len(found) else None

    def probabilities(self, poll: Poll) -> Tensor:
        """Class probabilities float64 ``[n, C]`` of a poll, at the temperature of the training.

        Raises:
            InputError: no temperature was fitted for so many compartments, or for this decoder.
        """
        compartments = poll.votes.shape[1]
        temperature = self.temperature(compartments, poll.decoder)
        if temperature is None:
            raise InputError(facts.no_temperature(self.facts, compartments, poll.decoder))
        return poll.answers.tempered(temperature).probabilities

    def score(
        self,
        recordings: SpikeSet | Arrays,
        compartments: int | None = None,
        *,
        decoder: Decoder | None = None,
        seed: int | None = None,
        held: SpikeSet | Arrays | None = None,
        progress: Progress | None = None,
    ) -> Scores:
        """All scores of the answers to labelled recordings.

        Args:
            recordings: with their labels, as a set or as pairs.
            compartments: K; by default as many as in training.
            decoder: how they answer.
            seed: of their noise.
            held: recordings on which temperatures are fitted; by default those of the training are applied, and where
                it has fitted none for so many compartments, nothing is tempered.
            progress: shows how far the work is.

        Raises:
            InputError: as :meth:`predict`.
        """
        return self.scored(
            recordings, compartments, decoder=decoder, seed=seed, held=held, progress=progress
        ).scores

    def scored(
        self,
        recordings: SpikeSet | Arrays,
        compartments: int | None = None,
        *,
        decoder: Decoder | None = None,
        seed: int | None = None,
        held: SpikeSet | Arrays | None = None,
        progress: Progress | None = None,
    ) -> Scored:
        """The scores of :meth:`score`, and what they are of."""
        self.check_answers()
        recordings = self._taught(recordings)
        compartments = self.votes if compartments is None else compartments
        decoder, seed = decoder or self.facts.decoder, self.facts.seed if seed is None else seed
        temperatures = list(self.facts.temperatures.get(decoder, ())[:compartments])
        how: Any = {"decoder": decoder, "seed": seed, "progress": progress}
        found = self.poll(recordings, compartments, **how)
        if held is not None:
            held = self._taught(held)
            temperatures = measure.fitted_temperatures(
                found if held is recordings else self.poll(held, compartments, **how)
            )
        log_weights = self.log_likelihood(recordings, compartments, seed=seed, progress=progress)
        scores = measure.score(
            self.network,
            found,
            log_weights,
            bin_us=recordings.layout.bin_us,
            temperatures=temperatures if len(temperatures) == compartments else (),
        )
        steps = float(np.diff(recordings.starts).mean())
        costs = neurobench.measure(self.network, self.params, found, steps)
        scores = dataclasses.replace(scores, names=self.reading.spoken, neurobench=costs)
        return Scored(scores, found, log_weights)

    def log_likelihood(
        self,
        recordings: SpikeSet | Arrays,
        compartments: int = 20,
        *,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """How probable K compartments find what is to be learned: ``v[n, k]`` in nats, float ``[n, K]``.

        ``v[n, k] = sum_t sum_{i visible} log p(x_i,t | u^k_i,t)`` with the visible neurons clamped to the target ``x``;
        ``log p(x_n)`` is estimated by ``logsumexp_k v[n, k] - log K``, from below on average, the tighter the larger K.

        Args:
            recordings: with labels or targets, or pairs with them.
            compartments: K.
            seed: of their noise; by default the training's.
            progress: shows how far the work is.

        Raises:
            InputError: the recordings do not fit, see :meth:`gemsnn.data.reading.Reading.check`.
        """
        return evaluate.log_likelihood(
            self.network,
            self.params,
            self._taught(recordings),
            compartments,
            kernel=self.kernel,
            seed=self.facts.seed if seed is None else seed,
            progress=progress,
        )

    def generate(
        self,
        recordings: SpikeSet | Arrays,
        compartments: int = 20,
        *,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> SpikeTrains:
        """What the visible neurons do by themselves while recordings are shown, compartment by compartment.

        ``spikes`` are uint8 ``[n, K, T, V]``, and ``rate`` is their mean over compartments, ``[n, T, V]``.

        Args:
            recordings: see :meth:`predict`; what they are to teach does not matter.
            compartments: K.
            seed: of their noise; by default the training's.
            progress: shows how far the work is.

        Raises:
            InputError: the recordings do not fit, see :meth:`gemsnn.data.reading.Reading.check`.
        """
        return spike_trains.generate(
            self.network,
            self.params,
            self.read(recordings),
            compartments,
            kernel=self.kernel,
            seed=self.facts.seed if seed is None else seed,
            progress=progress,
        )

    def to_nir(self) -> NIRGraph:
        """The network, exactly, as a graph of the Neuromorphic Intermediate Representation (``nir.write`` writes it).

        See :func:`gemsnn.bridges.nir.graph_of` for its nodes, and :meth:`nir_feed` for what it is fed with.

        Raises:
            InputError: the library nir (``pip install 'gemsnn[nir]'``) is missing, a population has neurons of a kind
                of one's own, or the graph would be too large.
        """
        return nir.graph_of(self.network, self.params, self.reading.layout.bin_us, self.names)

    def nir_feed(
        self, recordings: SpikeSet | Arrays, compartments: int = 20, *, seed: int | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """What the graph of :meth:`to_nir` is fed with to do what this model does: recordings, and its own noise.

        By the name of each ``Input`` an array ``[T, n, K, *shape]`` in float64, side by side and padded to the longest
        recording (K is 1 for ``inputs``): some recordings at a time.

        Args:
            recordings: see :meth:`predict`.
            compartments: K.
            seed: of the noise; by default the training's.

        Raises:
            InputError: the recordings do not fit, see :meth:`gemsnn.data.reading.Reading.check`.
        """
        shown = self.read(recordings)
        seed = self.facts.seed if seed is None else seed
        evaluate.check(self.network, self.params, shown, compartments, batch=1, seed=seed)
        batch = networks.batch(self.network, [shown[position] for position in range(len(shown))])
        return noise.feed(
            self.network, self.params, batch, compartments, kernel=self.kernel, seed=sampling.free_seed(seed)
        )

    def check_answers(self) -> None:
        """Raise :class:`InputError` unless the network was taught classes, so that it can answer with one."""
        if self.reading.outputs != "classes":
            raise InputError(
                "the network was taught spike trains and no classes, so it has no answers to give; ask it for spikes "
                "(Model.generate) or for the likelihood of others (Model.log_likelihood)"
            )

    def online(
        self, compartments: int = 20, *, window: int | None = None, every: int = 1, seed: int | None = None,
        address: int = 0,
    ) -> OnlineSpec:  # fmt: skip
        """How a stream answers as :meth:`predict` does: given the bins of a presentation, at its last one the same.

        With another ``window`` as many input spikes a bin are worth an answer. Votes are answered as bare shares;
        rates, which by themselves are too modest, at the training's temperature.

        Raises:
            InputError: the network was taught spike trains, or a number makes no sense.
        """
        self.check_answers()
        whole = self.facts.window
        decoder: Literal["votes", "rates"] = "rates" if self.facts.decoder == "rates" else "votes"
        window = whole if window is None else window
        return OnlineSpec(
            compartments,
            window,
            every,
            self.facts.seed if seed is None else seed,
            address,
            math.ceil(self.facts.least_spikes * window / whole),
            self.facts.readouts,
            decoder,
            self.temperature(compartments, decoder) if decoder == "rates" else None,
        )

    def read(self, recordings: SpikeSet | Arrays) -> SpikeSet:
        """Recordings as the network takes them: bare ones get labels or targets that mean nothing.

        Raises:
            InputError: they do not fit, see :meth:`gemsnn.data.reading.Reading.check`.
        """
        if not isinstance(recordings, SpikeSet):
            return prediction.untaught(self.reading, pairs.bare(recordings))
        self.reading.check(recordings)
        return recordings

    def _taught(self, recordings: SpikeSet | Arrays) -> SpikeSet:
        """Recordings that fit, with what they teach."""
        if not isinstance(recordings, SpikeSet):
            recordings = self.reading.presentations(recordings)
        self.reading.check(recordings)
        return recordings


def load_model(path: AnyPath) -> Model:
    """The network of a run folder's last checkpoint, with all that its answers depend on.

    It lies on the device that it was trained on where this machine has that, else on the CPU.

    Raises:
        InputError: ``path`` is no run folder, a file of it is damaged, or its checkpoint is not one of this network.
    """
    run = RunFolder.open(path)
    settings = config.load_run(run.path / "config.toml")
    told = facts.load_facts(run, settings)
    tensors, of_checkpoint = run.load_checkpoint()
    network = network_of(settings, told, tensors, f"the checkpoint in {run.path}")
    learner = states.state_from(network, tensors, of_checkpoint).answering
    networks.check_params(network, learner.params)
    name, kernel = kernels.choose(settings.network.kernel, network)
    return Model(network, learner, told, settings, kernel, name, of_checkpoint["sha256"])


def _unpickled(
    network: Network, learner: Learner, told: Facts, settings: Settings, name: Any, digest: str | None
) -> Model:
    name, kernel = kernels.choose(name, network)
    return Model(network, learner, told, settings, kernel, name, digest)


def load_file(path: AnyPath) -> Model:
    """The model of a file that :meth:`Model.save` has written.

    Raises:
        InputError: see :func:`gemsnn.runs.modelfile.load` and :func:`model_of`.
    """
    return model_of(modelfile.load(path), path)


def model_of(content: Content, where: object) -> Model:
    """The model that a file holds; learning goes on from the optimiser's moments where it has them, else from none.

    Raises:
        InputError: its parameters or moments are not those of its network.
    """
    settings, told, tensors = content.settings, content.facts, content.tensors
    network = network_of(settings, told, tensors, str(where))
    found = states.learner_from(network, tensors, batches=content.batches, updates=content.updates)
    networks.check_params(network, found.params)
    learner = train.start(found.params, settings.optimiser)._replace(batches=content.batches)
    if found.optimiser.updates:
        optimisers.check_state(settings.optimiser, found.optimiser, found.params)
        learner = found
    name, kernel = kernels.choose(settings.network.kernel, network)
    return Model(network, learner, told, settings, kernel, name, content.sha256)


def load(path: AnyPath) -> Model:
    """The model of a run folder, or of a file that :meth:`Model.save` has written; the kernel is chosen anew.

    Raises:
        InputError: there is neither at ``path``, or it is damaged.

    >>> import gemsnn
    >>> gemsnn.load("nothing")
    Traceback (most recent call last):
    gemsnn.errors.InputError: nothing is missing; give a run folder or a model file
    """
    return load_model(path) if Path(path).is_dir() else load_file(path)


def network_of(settings: Settings, told: Facts, tensors: dict[str, Tensor], where: str) -> Network:
    """The network that tensors are of, with the masks among them; ``where`` names their source.

    Raises:
        InputError: a mask is missing.
    """
    spec = settings.network.spec(told.reading.layout, told.warm_up)
    if "mask" not in tensors and spec.is_joint:
        raise InputError(f"{where} lacks the mask of the network; train again")
    masks = networks.masks_in(tensors)
    wanted = settings.network.device
    device = wanted if devices.is_here(wanted) else devices.CPU
    return networks.build(
        spec, masks=masks, seed=told.seed, dtype=DTYPES[settings.network.dtype], device=device
    )
