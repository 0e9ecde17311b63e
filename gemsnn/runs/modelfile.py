"""A model as one file that a person can send: safetensors, with its settings and facts in the header.

The header's ``gemsnn`` is a JSON object: the ``format``'s number, the ``settings`` and ``facts`` (as ``config.toml``
and ``model.json`` of a run have them), how many ``batches`` were learned, what an ``estimator`` knows beside (its own
parameters and labels; then there are the moments of the optimiser, too, and how many ``updates`` made them), and the
SHA-256 of all this and of the tensors. Reading it runs no code but this package's own: a rule of a person's own stays
a name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.learn import state as states
from gemsnn.model import network as networks
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.runs import config, facts
from gemsnn.runs.config import Settings
from gemsnn.runs.facts import Facts
from gemsnn.store import parsing
from gemsnn.store.checkpoints import digest_of
from gemsnn.store.files import atomic_write
from gemsnn.types import AnyPath

if TYPE_CHECKING:
    from gemsnn.runs.trained import Trained

FORMAT = 1
KEY = "gemsnn"
NOWHERE = Path()
"""The place of the data set of a model that was sent: none, for it lies elsewhere."""


class Content(NamedTuple):
    """What a model file holds.

    Attributes:
        settings: of the training.
        facts: what answers depend on.
        tensors: parameters and masks, as a checkpoint has them.
        batches: learned so far.
        sha256: of all this.
        updates: that have made the moments of the optimiser among the tensors; 0 where there are none.
        estimator: what :class:`gemsnn.runs.estimator.GEMClassifier` knows beside the model, where it has saved it.
    """

    settings: Settings
    facts: Facts
    tensors: dict[str, Tensor]
    batches: int
    sha256: str
    updates: int
    estimator: dict[str, Any] | None


def save(path: AnyPath, model: Trained, estimator: dict[str, Any] | None = None) -> None:
    """Write a model; an existing file is replaced as a whole.

    Args:
        path: the file.
        model: what is written, without the moments of its optimiser.
        estimator: what an estimator knows beside it, as JSON has it; the moments are then written, too.

    Raises:
        InputError: the file cannot be written.
    """
    path, data = Path(path), model.settings.data
    if data.root is not None:
        data = dataclasses.replace(data, root=NOWHERE, labels=None)
    learner, beside = model.learner, {}
    if estimator is None:
        learner = learner._replace(optimiser=OptimiserState(0, None, None))
    else:
        beside = {"updates": learner.optimiser.updates, "estimator": estimator}
    tensors = states.learner_tensors(model.network, learner) | networks.masks(model.network)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    told = {
        "format": FORMAT,
        "version": metadata.version("gemsnn"),
        "settings": config.tables(dataclasses.replace(model.settings, data=data)),
        "facts": facts.written(model.facts),
        "batches": model.learner.batches,
        **beside,
    }
    header = json.dumps(told | {"sha256": _digest(told, tensors)}, allow_nan=False)
    try:
        atomic_write(path, safetensors.torch.save(tensors, {KEY: header}))
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another place") from None


def load(path: AnyPath) -> Content:
    """Read a model file.

    Raises:
        InputError: it is missing, damaged, or no model file, or a newer version wrote it.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing; give a run folder or a model file") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); check the path and permissions"
        ) from None
    told, tensors = _told(content, path), _tensors(content, path)
    version = told.get("format")
    if type(version) is int and version > FORMAT:
        raise InputError(
            f"{path} has model format {version}, this gemsnn reads format {FORMAT}; update gemsnn"
        )
    claimed = told.pop("sha256", None)
    if claimed != _digest(told, tensors):
        raise InputError(f"{path} is damaged (its own SHA-256 differs); have it sent or saved again")
    settings, of_model, batches = told.get("settings"), told.get("facts"), told.get("batches")
    if not (isinstance(settings, dict) and isinstance(of_model, dict) and type(batches) is int):
        raise InputError(f"{path} lacks settings or facts; have it sent or saved again")
    updates, estimator = told.get("updates", 0), told.get("estimator")
    if type(updates) is not int or not (estimator is None or isinstance(estimator, dict)):
        raise InputError(f"{path} holds no estimator's facts; have it sent or saved again")
    return Content(
        config.from_tables(settings, f"the settings in {path}", usual=config.FORMER),
        facts.read(of_model, f"the facts in {path}"),
        tensors,
        batches,
        claimed,
        updates,
        estimator,
    )


def _told(content: bytes, path: Path) -> dict[str, Any]:
    """What the header says of a model."""
    foreign = InputError(
        f"{path} is no model file of gemsnn; give what Model.save has written, or a run folder"
    )
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > len(content) - 8:
        raise foreign
    try:
        header = parsing.parse_json(content[8 : 8 + size].decode(), str(path))
    except (UnicodeDecodeError, InputError):
        raise foreign from None
    entries = header.get("__metadata__") if isinstance(header, dict) else None
    text = entries.get(KEY) if isinstance(entries, dict) else None
    if not isinstance(text, str):
        raise foreign
    told = parsing.parse_json(text, f"the header of {path}")
    if not isinstance(told, dict):
        raise foreign
    return told


def _tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{path} is damaged (it holds no tensors that can be read: {error}); have it sent or saved again"
        ) from None


def _digest(told: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """The SHA-256 of what a header tells, and of all tensors."""
    found = hashlib.sha256(digest_of(told).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
