"""Checkpoints: tensors and facts, written so that at every moment one of the last two is whole.

A folder of checkpoints holds ``checkpoint.json``, the one before it, ``previous.json``, and the safetensors files
that they name. A JSON file has the format's number, the SHA-256 of its tensors file and of itself, and whatever facts
go with the tensors.

A checkpoint of format 1 stays readable: a newer format comes with a function in :data:`MIGRATIONS` that makes it
from the one before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.store import migrations
from gemsnn.store.files import atomic_write, make_folder, read_json

FORMAT = 2
NEWEST, PREVIOUS = "checkpoint.json", "previous.json"

Content = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors and facts."""

MIGRATIONS: dict[int, Callable[[dict[str, Tensor], dict[str, Any]], Content]] = {1: migrations.links}
"""By format: what makes a checkpoint of the next one of it."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints in the folder ``path``, which is made at the first :meth:`save`."""

    path: Path

    def __post_init__(self) -> None:
        """Take a text for a path."""
        object.__setattr__(self, "path", Path(self.path))

    @property
    def any(self) -> bool:
        """Whether there is one, whole or not."""
        return any((self.path / name).is_file() for name in (NEWEST, PREVIOUS))

    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write a checkpoint and keep the one before it."""
        make_folder(self.path)
        content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
        digest = hashlib.sha256(content).hexdigest()
        name = f"tensors-{digest[:16]}.safetensors"
        record = {"format": FORMAT, "tensors": name, "sha256": digest, **facts}
        record["facts_sha256"] = digest_of(record)
        file, newest = self.path / name, self.path / NEWEST
        if not file.exists() or file.read_bytes() != content:
            atomic_write(file, content)
        if newest.exists():
            newest.replace(self.path / PREVIOUS)
        atomic_write(newest, json.dumps(record, indent=2) + "\n")
        for path in self.path.glob("tensors-*.safetensors"):
            if path.name not in (name, self._tensors_of(PREVIOUS)):
                path.unlink()

    def load(self, *, note: Callable[[str], None] = lambda _: None) -> Content:
        """The tensors and facts of the last checkpoint that is whole; ``note`` hears of a damaged one.

        Raises:
            InputError: there is none, those there are are damaged, or a newer version wrote them.
        """
        try:
            return self._load(NEWEST)
        except InputError as error:
            if not (self.path / PREVIOUS).is_file():
                raise
            loaded = self._load(PREVIOUS)
            note(f"{error}; going on from the checkpoint before it")
            return loaded

    def _tensors_of(self, checkpoint: str) -> str | None:
        try:
            return str(json.loads((self.path / checkpoint).read_text())["tensors"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _load(self, checkpoint: str) -> Content:
        facts = read_json(self.path / checkpoint)
        known = (
            isinstance(facts, dict) and type(facts.get("format")) is int and 1 <= facts["format"] <= FORMAT
        )
        if not known:
            found = facts.get("format") if isinstance(facts, dict) else None
            raise InputError(
                f"{self.path} has checkpoint format {found}, this gemsnn reads formats 1 to {FORMAT}; update gemsnn"
            )
        claimed = facts.pop("facts_sha256", None)
        if claimed is not None and claimed != digest_of(facts):
            raise InputError(f"{self.path / checkpoint} is damaged (its own SHA-256 differs); train again")
        path = self.path / Path(str(facts.get("tensors"))).name
        try:
            content = path.read_bytes() if path.is_file() else None
        except OSError:
            content = None
        if content is None:
            raise InputError(f"{path} is missing; the checkpoint cannot be used, train again")
        if hashlib.sha256(content).hexdigest() != facts.get("sha256"):
            raise InputError(f"{path} is damaged (its SHA-256 differs from {checkpoint}); train again")
        try:
            tensors = safetensors.torch.load(content)
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(f"{path} holds no tensors that can be read ({error}); train again") from None
        while facts["format"] < FORMAT:
            tensors, facts = MIGRATIONS[facts["format"]](tensors, facts)
        return tensors, facts


def digest_of(facts: dict[str, Any]) -> str:
    """The SHA-256 of facts, whatever their order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
