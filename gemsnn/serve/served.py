"""What is served: a trained network with all that an answer needs, loaded and checked once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.kernels import STREAMS, KernelName, Learning
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.learn.online import OnlineLearner
from gemsnn.model.network import Params
from gemsnn.rules.optimisers import OptimiserSpec, OptimiserState
from gemsnn.runs import certificate, choosing, console, loading
from gemsnn.runs.models import Model
from gemsnn.scoring.answers import Decoder
from gemsnn.scoring.familiar import Familiar
from gemsnn.scoring.promise import Certificate
from gemsnn.serve.sensing import Camera, camera_of
from gemsnn.types import AnyPath, first_observed

COMPARTMENTS = 20
"""That answer, where nobody says how many and no certificate does."""

MOST_RECORDINGS = 500
"""Of a test part, the first so many are offered."""


GENTLE = 0.25
"""A lesson is one recording and not a batch: its step is smaller by this."""


class Weights(NamedTuple):
    """The weights of a network that is taught, which are never changed in place.

    Attributes:
        params: the parameters.
        optimiser: the state of their optimiser.
        lessons: how many recordings have been taught since the training.
    """

    params: Params
    optimiser: OptimiserState
    lessons: int = 0


class Served(NamedTuple):
    """A trained network with all that an answer needs.

    Attributes:
        model: the network, how it reads and answers.
        compartments: that answer, K.
        certificate: what is promised of its answers, or ``None``.
        familiar: what it has seen in training, or ``None``.
        camera: what sees drawings; ``None`` where it has learned from recordings that no emulated camera makes.
        recordings: some that it has not learned from, or ``None``.
        optimiser: how a lesson changes the weights.
        unteachable: why it cannot be taught, or ``None``.
        notes: what a person should know.
    """

    model: Model
    compartments: int
    certificate: Certificate | None
    familiar: Familiar | None
    camera: Camera | None
    recordings: SpikeSet | None
    optimiser: OptimiserSpec
    unteachable: str | None
    notes: tuple[str, ...]

    @property
    def weights(self) -> Weights:
        """Those of the training."""
        learner = self.model.learner
        return Weights(learner.params, learner.optimiser)

    @property
    def decoder(self) -> Decoder:
        """How compartments answer while a recording goes on."""
        return self.model.online(self.compartments).decoder

    @property
    def temperatures(self) -> Tensor | None:
        """Of the answers of the first 1, 2, .., K compartments, ``[K, 1, 1]``; ``None`` where they were not fitted."""
        numbers = range(1, self.compartments + 1)
        found = [self.model.temperature(number, self.decoder) for number in numbers]
        known = [each for each in found if each is not None]
        return torch.tensor(known, dtype=torch.float64)[:, None, None] if len(known) == len(found) else None

    @property
    def steps(self) -> int:
        """Bins of a recording."""
        return self.model.reading.steps

    def online(self, number: int) -> OnlineSpec:
        """How a recording of this number is answered."""
        return self.model.online(self.compartments, address=number)

    def learner(self, weights: Weights, number: int, *, taught: bool, steps: int) -> OnlineLearner:
        """The network before a recording of so many bins, with the noise of this number.

        Taught, it makes one update, at the recording's end, unless its training made them after so many bins. What is
        promised is promised of the weights of the training alone.
        """
        model, settings = self.model, self.model.settings
        learning = None
        if taught:
            every = settings.train.update_steps or steps
            learning = Learning(settings.rule, self.optimiser, self.compartments, every)
        promised = self.certificate if weights.lessons == 0 and not taught else None
        return OnlineLearner(
            model.network,
            weights.params,
            self.online(number),
            learning=learning,
            optimiser=weights.optimiser if taught else None,
            kernel=kernel_of(model),
            certificate=promised,
            familiar=None if promised is None else self.familiar,
        )

    def filled(self, rows: Tensor) -> Tensor:
        """Bins ``[T, M]``, filled up to a recording's where the training filled its own."""
        missing = self.steps - len(rows)
        if missing <= 0 or not self.model.reading.pad:
            return rows
        return torch.cat([rows, torch.zeros(missing, rows.shape[1], dtype=rows.dtype)])

    def begins(self, steps: int) -> int:
        """The first of so many bins whose output spikes count, and are taught."""
        return first_observed(self.model.facts.warm_up, steps)


def kernel_of(model: Model) -> KernelName:
    """The run's kernel, where it has a stream."""
    name = model.settings.network.kernel
    return name if name in STREAMS else "auto"


def load(run: AnyPath, compartments: int | None = None, lr: float | None = None) -> Served:
    """Load what is to be served.

    Args:
        run: a run folder or a model file.
        compartments: that answer; by default as many as the certificate is about, else :data:`COMPARTMENTS`.
        lr: the step size of a lesson; by default the run's times :data:`GENTLE`.

    Raises:
        InputError: there is no model, it gives no answers, or its certificate is damaged.
    """
    model, notes = loading.load(run), []
    model.check_answers()
    made = certificate.load(run) if Path(run).is_dir() else None
    if made is not None:
        certificate.check_weights(model, made)
    wanted = compartments or (COMPARTMENTS if made is None else made.compartments)
    if made is not None and made.compartments != wanted:
        notes.append(
            f"the certificate is about {made.compartments} compartments and not about {wanted}, so nothing is promised"
        )
        made = None
    if model.facts.decoder == "likelihood":
        notes.append(
            "the run answers by likelihood, and a network that runs on by votes; nothing is promised of those"
        )
        made = None
    familiar = None if made is None else certificate.familiar_of(run, made)
    if made is None:
        notes.append(
            f"gemsnn certify {run} would tell sets that keep a promise, and what is like nothing learned"
        )
    camera, recordings = camera_of(model.settings.data, model.reading), None
    try:
        recordings = choosing.choose(model, run, "test").part.first(MOST_RECORDINGS)
    except (InputError, OSError) as error:
        notes.append(f"no recordings are offered: {error}")
    optimiser = model.settings.optimiser
    optimiser = dataclasses.replace(optimiser, lr=GENTLE * optimiser.lr if lr is None else lr)
    served = Served(model, wanted, made, familiar, camera, recordings, optimiser, None, tuple(notes))
    return served._replace(unteachable=_warmed_up(served))


def _warmed_up(served: Served) -> str | None:
    """Compile all that will be needed, on networks that are thrown away; why it cannot be taught."""
    silent = torch.zeros(2, served.model.network.spec.inputs, dtype=torch.uint8)
    with console.compiling("compiling the network, which takes half a minute at its first use"):
        served.learner(served.weights, 0, taught=False, steps=2).step(silent)
        try:
            served.learner(served.weights, 0, taught=True, steps=2).step(silent, 0)
        except InputError as error:
            return str(error)
    return None
