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
import hashlib
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gemsnn import parsing
from gemsnn.types import InputError

CHECKPOINT_FORMAT = 1
CHECKPOINT, NEWEST, PREVIOUS = "checkpoint", "checkpoint.json", "previous.json"
METRICS = "metrics.jsonl"
_PACKAGES = ("gemsnn", "torch", "numpy", "numba", "scikit-learn", "safetensors")


def atomic_write(path: Path, content: bytes | str) -> None:
    """Replace a file's content as a whole: written beside it, synced, renamed over it, and the folder synced."""
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Make renames in a folder last through a loss of power, where the system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
            path.mkdir(parents=True, exist_ok=True)
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
        path = self.path / name
        if not path.exists():
            raise InputError(f"{path} is missing; the run may have been stopped before it was written")
        return parsing.conform(
            parsing.parse_json(parsing.read_text(path), str(path)), dict[str, Any], str(path)
        )

    def save_tensors(self, name: str, tensors: dict[str, Tensor], facts: dict[str, str]) -> None:
        """Write tensors as one safetensors file, with facts in its header."""
        self.write(name, safetensors.torch.save({key: t.contiguous() for key, t in tensors.items()}, facts))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for writing; the system lets go of it when the process ends, however it ends.

        Raises:
            InputError: another process holds it.
        """
        lock = filelock.FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise InputError(f"{self.path} is in use by another process; wait for it or stop it") from None
        try:
            yield
        finally:
            lock.release()

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

    def save_checkpoint(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write a checkpoint and keep the one before it; at every moment one of the two is whole."""
        folder = self.path / CHECKPOINT
        folder.mkdir(exist_ok=True)
        metrics = self.path / METRICS
        metrics.touch()
        with metrics.open("rb") as file:
            os.fsync(file.fileno())
        content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
        digest = hashlib.sha256(content).hexdigest()
        name = f"tensors-{digest[:16]}.safetensors"
        record = {
            "format": CHECKPOINT_FORMAT,
            "tensors": name,
            "sha256": digest,
            "metrics_bytes": metrics.stat().st_size,
            **facts,
        }
        record["facts_sha256"] = _digest(record)
        if not (folder / name).exists() or (folder / name).read_bytes() != content:
            atomic_write(folder / name, content)
        newest = folder / NEWEST
        if newest.exists():
            newest.replace(folder / PREVIOUS)
        atomic_write(newest, json.dumps(record, indent=2) + "\n")
        for path in folder.glob("tensors-*.safetensors"):
            if path.name not in (name, self._tensors_of(PREVIOUS)):
                path.unlink()

    def _tensors_of(self, checkpoint: str) -> str | None:
        try:
            return str(json.loads((self.path / CHECKPOINT / checkpoint).read_text())["tensors"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def load_checkpoint(
        self, *, note: Callable[[str], None] = lambda _: None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors and facts of the last checkpoint that is whole; ``note`` hears of a damaged one.

        Raises:
            InputError: there is none, those there are are damaged, or a newer version wrote them.
        """
        try:
            return self._load(NEWEST)
        except InputError as error:
            if not (self.path / CHECKPOINT / PREVIOUS).is_file():
                raise
            loaded = self._load(PREVIOUS)
            note(f"{error}; going on from the checkpoint before it")
            return loaded

    def _load(self, checkpoint: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        facts, where = self.read_json(f"{CHECKPOINT}/{checkpoint}"), self.path / CHECKPOINT
        if facts.get("format") != CHECKPOINT_FORMAT:
            raise InputError(
                f"{where} has checkpoint format {facts.get('format')}, this gemsnn reads format "
                f"{CHECKPOINT_FORMAT}; update gemsnn"
            )
        claimed = facts.pop("facts_sha256", None)
        if claimed is not None and claimed != _digest(facts):
            raise InputError(f"{where / checkpoint} is damaged (its own SHA-256 differs); train again")
        path = where / Path(str(facts.get("tensors"))).name
        try:
            content = path.read_bytes() if path.is_file() else None
        except OSError:
            content = None
        if content is None:
            raise InputError(f"{path} is missing; the checkpoint cannot be used, train again")
        if hashlib.sha256(content).hexdigest() != facts.get("sha256"):
            raise InputError(f"{path} is damaged (its SHA-256 differs from {checkpoint}); train again")
        try:
            return safetensors.torch.load(content), facts
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(f"{path} holds no tensors that can be read ({error}); train again") from None


def _before_the_start(name: str) -> bool:
    """Whether a run folder may hold this file before its manifest."""
    return name == "config.toml" or name.startswith(".")


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


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
