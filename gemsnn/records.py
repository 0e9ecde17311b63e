"""The run folder: what a run leaves behind, written so that a crash leaves nothing half-written.

::

    config.toml      every setting, resolved
    manifest.json    versions, seed, commit, kernel, machine, times, status
    metrics.jsonl    one line a training record or validation
    metrics.json     the scores on the test part
    checkpoint/      checkpoint.json and the one before it, previous.json, each with the safetensors file it names
    .lock            held by the process that writes the folder
    example.safetensors   one recording's raster
    report.html
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from gemsnn.checkpoints import Checkpoints
from gemsnn.errors import InputError
from gemsnn.files import atomic_write, locked, make_folder, read_json, sync_folder

CHECKPOINT = "checkpoint"
METRICS = "metrics.jsonl"
_PACKAGES = ("gemsnn", "torch", "numpy", "numba", "scikit-learn", "safetensors")


@dataclass(frozen=True)
class RunFolder:
    """A run folder at ``path``; make one with :meth:`create`, find one with :meth:`open`."""

    path: Path

    @staticmethod
    def check_free(path: Path) -> None:
        """Raise :class:`InputError` if there is something at ``path`` already, but for a run that never began."""
        if path.exists() and (
            not path.is_dir() or any(not _before_the_start(file.name) for file in path.iterdir())
        ):
            raise InputError(f"{path} exists already; choose another --out or remove it first")

    @staticmethod
    def create(path: Path) -> RunFolder:
        """Make a new run folder.

        Raises:
            InputError: there is something at ``path`` already, or it cannot be made.
        """
        RunFolder.check_free(path)
        try:
            make_folder(path)
        except OSError as error:
            raise InputError(f"{path} cannot be made ({error.strerror}); choose another --out") from error
        return RunFolder(path)

    @staticmethod
    def open(path: Path) -> RunFolder:
        """An existing run folder.

        Raises:
            InputError: ``path`` is none.
        """
        if not path.is_dir():
            raise InputError(f"{path} is not a folder; give the folder that gemsnn train wrote")
        if not (path / "config.toml").is_file() or not (path / "manifest.json").is_file():
            raise InputError(f"{path} is not a run folder (it lacks config.toml or manifest.json)")
        return RunFolder(path)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file of the run as a whole."""
        atomic_write(self.path / name, content)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the run as a whole. NaN and infinity are refused: JSON has none."""
        self.write(name, json.dumps(value, indent=2, allow_nan=False) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the run, which holds one object.

        Raises:
            InputError: it is missing or damaged.
        """
        return read_json(self.path / name)

    def save_tensors(self, name: str, tensors: dict[str, Tensor], facts: dict[str, str]) -> None:
        """Write tensors as one safetensors file, with facts in its header."""
        self.write(name, safetensors.torch.save({key: t.contiguous() for key, t in tensors.items()}, facts))

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the folder for writing, see :func:`gemsnn.files.locked`."""
        return locked(self.path)

    def append(self, record: dict[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``."""
        with (self.path / METRICS).open("a") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")

    def cut_metrics(self, size: Any) -> None:
        """Cut ``metrics.jsonl`` back to the size it had when a checkpoint was written.

        Raises:
            InputError: it is no size that the file can be cut to.
        """
        path = self.path / METRICS
        held = path.stat().st_size if path.exists() else 0
        if not isinstance(size, int) or not 0 <= size <= held:
            raise InputError(
                f"{path} has {held} bytes where the checkpoint tells of {size}; restore it or train again"
            )
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(size)

    @property
    def checkpoints(self) -> Checkpoints:
        """The run's last two checkpoints."""
        return Checkpoints(self.path / CHECKPOINT)

    def save_checkpoint(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write a checkpoint, with the size that ``metrics.jsonl`` has by now."""
        metrics = self.path / METRICS
        metrics.touch()
        with metrics.open("rb") as file:
            os.fsync(file.fileno())
        sync_folder(self.path)
        self.checkpoints.save(tensors, {"metrics_bytes": metrics.stat().st_size, **facts})

    def load_checkpoint(
        self, *, note: Callable[[str], None] = lambda _: None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See :meth:`gemsnn.checkpoints.Checkpoints.load`."""
        return self.checkpoints.load(note=note)


def _before_the_start(name: str) -> bool:
    """Whether a run folder may hold this file before its manifest."""
    return name == "config.toml" or name.startswith(".")


def provenance() -> dict[str, Any]:
    """What made the numbers: versions, commit of the source, machine."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    return {
        "gemsnn": versions.pop("gemsnn"),
        "python": platform.python_version(),
        **versions,
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "git_commit": _git_commit(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """The commit of the package's source where it runs from a checkout, with ``+`` if files differ from it."""
    source = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(source), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        if not git("ls-files", "--", Path(__file__).name):
            return None
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None
