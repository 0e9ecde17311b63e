"""A run folder, looked at: its settings, its scores, and the model that it left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemsnn.data import datasets
from gemsnn.data.arrays import Arrays
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.runs import certificate, config, loading
from gemsnn.runs.certificate import Promised
from gemsnn.runs.config import Settings
from gemsnn.runs.models import Model
from gemsnn.scoring.promise import Certificate
from gemsnn.scoring.scores import Scores
from gemsnn.store.records import RunFolder
from gemsnn.types import AnyPath, Progress


@dataclass(frozen=True)
class Run:
    """What a training has left in its folder; every part is read when it is asked for.

    Attributes:
        path: the folder.

    Raises:
        InputError: there is no run at ``path``; or, when it is read, a file of it is missing or damaged.

    >>> import gemsnn
    >>> run = gemsnn.Run("runs/demo")  # doctest: +SKIP
    >>> run.status, run.scores.accuracy  # doctest: +SKIP
    ('finished', 0.963)
    """

    path: Path

    def __init__(self, path: AnyPath) -> None:
        object.__setattr__(self, "path", RunFolder.open(path).path)

    @property
    def status(self) -> str:
        """``finished``, ``interrupted`` or ``running`` (which a run that was killed says forever)."""
        return str(self.manifest.get("status"))

    @property
    def manifest(self) -> dict[str, Any]:
        """What made it: versions, seed, kernel, machine, times, notes."""
        return RunFolder(self.path).read_json("manifest.json")

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return config.load_run(self.path / "config.toml")

    @property
    def scores(self) -> Scores:
        """The scores on the test part, at its end."""
        return Scores.from_json(
            RunFolder(self.path).read_json("metrics.json"), str(self.path / "metrics.json")
        )

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines that it wrote while it learned: training records, rounds of a fleet, scores of validation."""
        return RunFolder(self.path).history()

    @property
    def certificate(self) -> Certificate | None:
        """What ``gemsnn certify`` promises of its answers; ``None`` where it has not been asked."""
        return certificate.load(self.path)

    def promised(self, recordings: SpikeSet | Arrays, *, progress: Progress | None = None) -> Promised:
        """What it says of recordings under its certificate: sets, answers before the end, and what is strange.

        Args:
            recordings: as :func:`gemsnn.predict` takes them.
            progress: shows how far the work is.

        Raises:
            InputError: it has no certificate, the recordings do not fit, or it was trained further since.
        """
        made = certificate.of_run(self.path)
        familiar = certificate.familiar_of(self.path, made)
        return certificate.promised(self.model(), made, recordings, familiar=familiar, progress=progress)

    def data(self, *, progress: Progress | None = None) -> Splits:
        """The recordings that it learned and was tested on, read as it read them: ``train``, ``validation``, ``test``.

        Args:
            progress: shows how far the work is.

        Raises:
            InputError: they are no longer where they were, or cannot be read.
        """
        return datasets.load(self.settings.data, progress=progress)

    def model(self) -> Model:
        """The network of its last checkpoint, with all that its answers depend on."""
        return loading.load_model(self.path)
