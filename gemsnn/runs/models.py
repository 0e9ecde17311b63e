"""A model: a trained network, and how it is asked.

:mod:`gemsnn.runs.loading` reads one from a run folder or from a file.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from gemsnn.data.arrays import Arrays
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.learn.decisions import OnlineSpec, Streaming
from gemsnn.runs import facts, prediction
from gemsnn.runs.prediction import Prediction, Winners
from gemsnn.runs.trained import Trained
from gemsnn.scoring import evaluate, measure, metrics, neurobench, until
from gemsnn.scoring.answers import COUNTED, Decoder
from gemsnn.scoring.evaluate import Poll
from gemsnn.scoring.mode import Rule
from gemsnn.scoring.scores import Scores
from gemsnn.scoring.until import Polled
from gemsnn.types import Progress


class Scored(NamedTuple):
    """Scores, the answers that they are of, and how probable each compartment finds the targets, ``[n, K]`` in nats."""

    scores: Scores
    poll: Poll
    log_weights: Tensor


@dataclass(frozen=True)
class Model(Trained):
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
            decoder: how all that were asked answer, ``votes`` or ``rates``; by default as they did in training, or by
                rates where that was by potentials. By rates the answer may differ from the winner of the votes, of
                which alone something is promised.
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
            decoder=decoder or (self.facts.decoder if self.facts.decoder in COUNTED else "rates"),
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

        With another ``window`` as many input spikes a bin are worth an answer. Votes are answered as bare shares, all
        else at the training's temperature; by likelihood a stream cannot answer, so it votes.

        Raises:
            InputError: the network was taught spike trains, or a number makes no sense.
        """
        self.check_answers()
        whole = self.facts.window
        decoder: Streaming = "votes" if self.facts.decoder == "likelihood" else self.facts.decoder
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
            None if decoder == "votes" else self.temperature(compartments, decoder),
        )
