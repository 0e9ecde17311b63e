"""A trained network with all that its answers depend on, whatever it was taught: kept, shown recordings, exported.

What answers depend on beside the parameters are its :class:`gemsnn.runs.facts.Facts`; what a network that was taught
classes answers is in :mod:`gemsnn.runs.models`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import kernels
from gemsnn.bridges import nir, noise
from gemsnn.data import pairs
from gemsnn.data.arrays import Arrays
from gemsnn.data.events import Events, Recording
from gemsnn.data.reading import Reading
from gemsnn.data.spikeset import SpikeSet
from gemsnn.kernels import Kernel
from gemsnn.learn.state import Learner
from gemsnn.model import network as networks
from gemsnn.model.network import Network, Params
from gemsnn.runs import modelfile, prediction
from gemsnn.runs.config import Settings
from gemsnn.runs.facts import Facts
from gemsnn.scoring import evaluate, sampling, spike_trains
from gemsnn.scoring.evaluate import Example
from gemsnn.scoring.spike_trains import SpikeTrains
from gemsnn.types import AnyPath, Progress

if TYPE_CHECKING:
    from nir import NIRGraph


@dataclass(frozen=True)
class Trained:
    """What :class:`gemsnn.runs.models.Model` has of its training, before it is asked; its fields are told there."""

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
        return _unpickled, (type(self), *kept)

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

    def spikes(
        self,
        recordings: SpikeSet | Arrays,
        position: int = 0,
        compartments: int = 20,
        *,
        seed: int | None = None,
    ) -> Example:
        """The spikes of all neurons while one recording is shown, with the very noise of :meth:`predict`.

        ``inputs`` are uint8 ``[T, M]``, ``hidden`` ``[K, T, H]``, ``visible`` ``[K, T, V]``, and ``votes`` int64
        ``[K]``; :mod:`gemsnn.plots` draws them.

        Args:
            recordings: see :meth:`predict`.
            position: which of them.
            compartments: K.
            seed: of their noise; by default the training's.

        Raises:
            InputError: the recordings do not fit, see :meth:`gemsnn.data.reading.Reading.check`, or there is no such
                position.
        """
        return evaluate.example(
            self.network,
            self.params,
            self.read(recordings),
            position,
            compartments,
            kernel=self.kernel,
            seed=self.facts.seed if seed is None else seed,
            readouts=self.facts.readouts,
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


AnyTrained = TypeVar("AnyTrained", bound=Trained)


def _unpickled(
    kind: type[AnyTrained], network: Network, learner: Learner, told: Facts, settings: Settings, name: Any,
    digest: str | None,
) -> AnyTrained:  # fmt: skip
    name, kernel = kernels.choose(name, network)
    return kind(network, learner, told, settings, kernel, name, digest)
