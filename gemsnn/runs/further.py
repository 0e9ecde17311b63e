"""A model that learns on in memory, from more recordings of the same kind."""

from __future__ import annotations

import dataclasses

from gemsnn import rng
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.runs import continuing, scored
from gemsnn.runs.config import Settings
from gemsnn.runs.models import Model
from gemsnn.runs.teaching import teach
from gemsnn.scoring import evaluate

FREE = ("network.kernel",)
"""What may change of a network that learns on: it is then the same one."""

HELD = ("data.warm_up", "optimiser.optimiser")
"""What may not, beside the network's own settings; another optimiser has other moments."""


def learn_further(
    model: Model, recordings: SpikeSet, settings: Settings, held: SpikeSet | None = None
) -> Model:
    """Learn on from where a model stands, with its weights, the state of its optimiser, and noise of its own.

    The seed of this training is derived from the model's and from the batches that it has learned, so the same calls
    one after the other give the same model, and no two of them meet the same noise.

    Args:
        model: what was learned so far.
        recordings: labelled, read as its training read its own.
        settings: of this training, its epochs and its schedule of the step size among them; the network stays what it
            is.
        held: recordings on which temperatures are fitted anew; without, the model keeps those it has.

    Raises:
        InputError: the recordings were read otherwise, the settings are of another network or another optimiser, or the
            weights are no longer finite.
    """
    model.reading.check(recordings)
    for name, change in continuing.changes(model.settings, settings).items():
        if (name.startswith("network.") and name not in FREE) or name in HELD:
            raise InputError(
                f"{name.split('.')[1]} was {change.before} when this network began to learn, and cannot become "
                f"{change.now} while it learns on; leave it as it was, or fit a new one"
            )
    before, seed = model.learner.batches, model.facts.seed
    own = rng.derive(seed, "further", before) >> 1  # seeds of settings have 63 bits
    now = dataclasses.replace(settings, train=dataclasses.replace(settings.train, seed=own))
    taught = teach(now, recordings, () if held is None else held, source=model)
    learner = taught.state.answering
    least = min(model.facts.least_spikes, evaluate.least_spikes_of(model.network, recordings))
    found = dataclasses.replace(
        model,
        learner=learner._replace(batches=before + learner.batches),
        facts=dataclasses.replace(model.facts, least_spikes=least),
        settings=dataclasses.replace(settings, train=dataclasses.replace(settings.train, seed=seed)),
        kernel=taught.kernel,
        kernel_name=taught.kernel_name,
    )
    return found if held is None else scored.answering(found, held)
