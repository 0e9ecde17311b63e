"""A trained model, read from the folder of its run or from a file that a person has sent."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from gemsnn import kernels
from gemsnn.errors import InputError
from gemsnn.learn import state as states
from gemsnn.learn import train
from gemsnn.machine import devices
from gemsnn.model import network as networks
from gemsnn.model.network import DTYPES, Network
from gemsnn.rules import optimisers
from gemsnn.runs import config, facts, modelfile
from gemsnn.runs.config import Settings
from gemsnn.runs.facts import Facts
from gemsnn.runs.modelfile import Content
from gemsnn.runs.models import Model
from gemsnn.store.records import RunFolder
from gemsnn.types import AnyPath


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


def load_file(path: AnyPath) -> Model:
    """The model of a file that :meth:`gemsnn.Model.save` has written.

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
    """The model of a run folder, or of a file that :meth:`gemsnn.Model.save` has written; the kernel is chosen anew.

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
