"""A network of given settings, taught recordings in memory: what a call does, and every trial of a search."""

from __future__ import annotations

from typing import NamedTuple

from gemsnn import kernels
from gemsnn.data import raw
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.unheld import Unheld
from gemsnn.kernels.contract import Kernel
from gemsnn.learn import train
from gemsnn.learn.federated import FleetSpec
from gemsnn.learn.state import TrainingState
from gemsnn.learn.train import Watcher
from gemsnn.machine import devices
from gemsnn.model import network as networks
from gemsnn.model.network import DTYPES, Network
from gemsnn.runs import fleets
from gemsnn.runs.config import Settings
from gemsnn.runs.models import Model
from gemsnn.scoring.answers import Decoder, check_decoder, provisional
from gemsnn.types import PresentationSequence, Progress


class Taught(NamedTuple):
    """A network that has learned.

    Attributes:
        network: what was taught.
        state: how far, with its weights.
        kernel_name: the kernel's.
        kernel: what ran it.
        decoder: by which the validation part was scored.
        finished: whether it came to its end; false where the watcher stopped it.
    """

    network: Network
    state: TrainingState
    kernel_name: str
    kernel: Kernel
    decoder: Decoder
    finished: bool


def teach(
    settings: Settings,
    recordings: SpikeSet | Unheld,
    validation: PresentationSequence,
    *,
    source: Model | None = None,
    watcher: Watcher | None = None,
    progress: Progress | None = None,
    fleet: FleetSpec | None = None,
) -> Taught:
    """Build the network of these settings for recordings, or take that of a model, and train it on them.

    Args:
        settings: all of them; those of recordings have no effect but for the warm-up.
        recordings: to learn from.
        validation: by which the best epoch is found; may be empty.
        source: whose network learns on, from its weights and the state of its optimiser; by default a new one learns.
        watcher: sees the training.
        progress: shows how far the reading of events is, where augmentation needs them.
        fleet: devices that learn and average; recordings are then held.

    Raises:
        InputError: the settings do not fit the recordings, or the weights are no longer finite.
    """
    spec = settings.network
    shown = raw.learned(recordings, settings.augment, settings.train.seed, progress=progress)
    devices.check_here(spec.device)
    seed, learning = settings.train.seed, settings.learning
    if source is None:
        network = networks.build(
            settings.network_spec(recordings.layout), seed=seed, dtype=DTYPES[spec.dtype], device=spec.device
        )
        learner = train.start(networks.init(network, seed), learning)
    else:
        network, learner = source.network, source.learner._replace(batches=0)
    decoder = provisional(settings.evaluate.decoder)
    check_decoder(decoder, network)
    name, kernel = kernels.choose(spec.kernel, network, learning)
    learners = None
    if fleet is not None:
        assert isinstance(recordings, SpikeSet)
        learners = fleets.made(fleet, recordings, seed)
    reached, finished = train.fit(
        network,
        learner,
        shown,
        validation,
        settings.train,
        learning,
        kernel=kernel,
        decoder=decoder,
        watcher=watcher,
        learners=learners,
    )
    return Taught(network, reached, name, kernel, decoder, finished)
