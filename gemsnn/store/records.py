"""The run folder: what a run leaves behind, written so that a crash leaves nothing half-written.

::

    config.toml      every setting, resolved
    manifest.json    versions, seed, commit, kernel, machine, times, status
    model.json       what the network's answers depend on beside its weights (:mod:`gemsnn.runs.facts`)
    tuning.jsonl     the trials of a search of settings, where the run began with one
    metrics.jsonl    one line a training record, a fleet's round or a validation
    metrics.json     the scores on the test part
    tensorboard/     both as TensorBoard reads them, where the run was asked for it (:mod:`gemsnn.runs.curves`)
    checkpoint/      checkpoint.json and the one before it, previous.json, each with the safetensors file it names
    .lock            held by the process that writes the folder
    example-unsure.safetensors, example-sure.safetensors
                     the rasters of the test recordings whose votes differ most and least
    fields.safetensors    what some neurons hear of the sensor
    augment.safetensors   what augmentation makes of a recording, where it is on
    answers.safetensors   the answers to the test part
    unknown.safetensors   how sure it is of scribbles and of test recordings, where these are emulated
    beside.json           the scores of another run, where a report was asked to show them beside its own
    certificate.json      what is promised of its answers, once gemsnn certify has fitted it, and
    certified.json        how that fares on the test part
    report.html

What a stream saves (``--state``) is a run folder to those who only read its network: config.toml, manifest.json and, in
the folder itself, the checkpoints.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.store import parsing
from gemsnn.store.checkpoints import Checkpoints
from gemsnn.store.files import LOCK, atomic_write, locked, make_folder, read_json, sync_folder
from gemsnn.types import AnyPath

CHECKPOINT = "checkpoint"
CONFIG = "config.toml"
MANIFEST = "manifest.json"
STREAM = "stream"
"""The status of what a stream has saved."""

METRICS = "metrics.jsonl"
RUNS = Path("runs")
"""Where runs lie that are given no place."""

_PACKAGES = ("gemsnn", "torch", "numpy", "numba", "scikit-learn", "safetensors")


@dataclass(frozen=True)
class RunFolder:
    """A run folder at ``path``; make one with :meth:`create`, find one with :meth:`open`."""

    path: Path

    def __post_init__(self) -> None:
        """Take a text for a path."""
        object.__setattr__(self, "path", Path(self.path))

    @staticmethod
    def check_free(path: AnyPath) -> None:
        """Raise :class:`InputError` if there is something at ``path`` already, but for a run that never began."""
        path = Path(path)
        if path.exists() and (
            not path.is_dir() or any(not _before_the_start(file.name) for file in path.iterdir())
        ):
            raise InputError(f"{path} exists already; choose another --out or remove it first")

    @staticmethod
    def create(path: AnyPath) -> RunFolder:
        """Make a new run folder.

        Raises:
            InputError: there is something at ``path`` already, or it cannot be made.
        """
        path = Path(path)
        RunFolder.check_free(path)
        try:
            make_folder(path)
        except OSError as error:
            raise InputError(f"{path} cannot be made ({error.strerror}); choose another --out") from error
        return RunFolder(path)

    @staticmethod
    @contextlib.contextmanager
    def claimed(path: AnyPath | None) -> Iterator[RunFolder]:
        """A new run folder, held for writing; by default one in ``runs``, named by the time and like no other.

        Where nothing has been written when the work ends in an error, the folder goes away again.

        Raises:
            InputError: there is something at ``path`` already, it cannot be made, or another process holds it.
        """
        run = next_free() if path is None else RunFolder.create(path)
        with run.locked():
            RunFolder.check_free(run.path)  # who held it until now may have written
            try:
                yield run
            except BaseException:
                with contextlib.suppress(OSError):
                    if all(file.name == LOCK for file in run.path.iterdir()):
                        (run.path / LOCK).unlink(missing_ok=True)
                        run.path.rmdir()
                raise

    @staticmethod
    def open(path: AnyPath) -> RunFolder:
        """An existing run folder.

        Raises:
            InputError: ``path`` is none.
        """
        path = Path(path)
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
        """Write tensors as one safetensors file, with facts in its header; each is written, though some be the same."""
        own = {key: tensor.contiguous().clone() for key, tensor in tensors.items()}
        self.write(name, safetensors.torch.save(own, facts))

    def load_tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of one safetensors file of the run.

        Raises:
            InputError: it is missing or damaged.
        """
        try:
            return safetensors.torch.load((self.path / name).read_bytes())
        except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(f"{self.path / name} cannot be read ({error}); train again") from error

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the folder for writing, see :func:`gemsnn.store.files.locked`."""
        return locked(self.path)

    def append(self, record: dict[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``."""
        with (self.path / METRICS).open("a") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``.

        Raises:
            InputError: one of them is damaged.
        """
        found = []
        for number, line in enumerate(parsing.read_text(self.path / METRICS).splitlines(), 1):
            row = parsing.parse_json(line, f"line {number} of {self.path / METRICS}")
            if not isinstance(row, dict):
                raise InputError(f"line {number} of {self.path / METRICS} is no JSON object; restore it")
            found.append(row)
        return found

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
        """The last two checkpoints: a run has them in a folder of their own, a stream's state beside the rest."""
        here = Checkpoints(self.path)
        return here if here.any else Checkpoints(self.path / CHECKPOINT)

    def adopt(self, run: RunFolder) -> None:
        """Make this the folder of a stream's state, with the settings and the manifest of the run that it began with.

        What reads a run's network then reads the stream's.
        """
        if not (self.path / MANIFEST).exists():
            self.write(CONFIG, (run.path / CONFIG).read_bytes())
            self.write_json(MANIFEST, {**run.read_json(MANIFEST), "status": STREAM})

    def check_state(self) -> None:
        """Raise :class:`InputError` if this is the folder of a run, which a stream's state would overwrite."""
        if (self.path / MANIFEST).exists() and self.read_json(MANIFEST).get("status") != STREAM:
            raise InputError(f"{self.path} is the run folder of a training; choose another --state")

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
        """See :meth:`gemsnn.store.checkpoints.Checkpoints.load`."""
        return self.checkpoints.load(note=note)


def next_free() -> RunFolder:
    """A run folder named by the time, with a number behind it where others had the same name: made by nobody else."""
    name = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        path = RUNS / (name if number == 1 else f"{name}-{number}")
        try:
            make_folder(RUNS)
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(f"{path} cannot be made ({error.strerror}); choose an --out") from error
        return RunFolder(path)
    raise AssertionError


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
    source = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(source), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        if not git("ls-files", "--", "store/records.py"):
            return None
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None
