"""``gemsnn federate``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from gemsnn.commands import flags
from gemsnn.commands.flags import Usual, word_after
from gemsnn.commands.settings import AllSettings
from gemsnn.commands.together import Restarts, Workers, begun, bound, check_group, launch
from gemsnn.errors import InputError
from gemsnn.learn.federated import FleetSpec
from gemsnn.learn.fleet import check_workers
from gemsnn.machine import group
from gemsnn.runs import assisting, fleets
from gemsnn.runs import training as running
from gemsnn.runs.assisting import Together
from gemsnn.runs.layers import Layered
from gemsnn.runs.recipes import RecipeName
from gemsnn.specs import checks
from gemsnn.specs import fields as specs
from gemsnn.store.records import RunFolder

BASIC = (
    "devices", "every", "missing", "alpha", "classes_per_device", "send", "share", "workers",
    "data", "root", "out", "recipe", "resume", "hidden", "epochs", "lr", "batch", "seed",
)  # fmt: skip
"""What most fleets are told, if anything."""


class _Fleet:
    """See :class:`gemsnn.commands.flags.Group`: the defaults, or of a run that goes on its own fleet."""

    kind = FleetSpec

    def base(self, usual: Usual) -> Any:
        """What the flags override."""
        run, found = word_after("--resume", usual.words), None
        if run is not None and (Path(run) / "manifest.json").is_file():
            found = fleets.of_manifest(RunFolder(Path(run)).read_json("manifest.json"), run)
        return specs.filled(specs.unchecked(FleetSpec), specs.flat(found or usual.default))

    def finish(self, usual: Usual, values: Mapping[str, Any], given: Collection[str]) -> FleetSpec:
        """With its checks."""
        return specs.filled(FleetSpec, values)


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return bound(words, flags.bind("federate", federate, words, BASIC), _launch)


def _launch(
    words: Sequence[str], *, fleet: FleetSpec, workers: int, max_restarts: int, out: Path | None = None,
    resume: Path | None = None, **_: Any,
) -> int:  # fmt: skip
    checks.number(workers, Workers, "workers")
    check_workers(fleet, workers)
    return launch("federate", words, workers, max_restarts, out, resume)


def federate(
    settings: AllSettings = Layered(),  # noqa: B008
    fleet: Annotated[FleetSpec, _Fleet()] = FleetSpec(),  # noqa: B008
    out: Path | None = None,
    config: Path | None = None,
    recipe: RecipeName | None = None,
    resume: Path | None = None,
    from_run: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    tensorboard: bool = False,
    workers: Workers | None = None,
    max_restarts: Restarts = 0,
) -> int:
    """Train a network by devices that learn on recordings of their own and now and then average their weights.

    Settings are those of gemsnn train, and so is the run that it leaves; batch is that of each device.

    Args:
        settings: every setting.
        fleet: the devices.
        out: the run folder to make; by default runs/ and the time.
        config: a TOML file of settings.
        recipe: settings that have been measured, by name.
        resume: a run folder: go on with its training, with its settings, to its end or to more epochs.
        from_run: a run folder: begin a new run with its weights and, but for other flags, its settings.
        tensorboard: write the numbers of the training for TensorBoard, too, into the run's folder tensorboard.
        workers: processes of this machine that divide the devices; the weights are the same, to the bit.
        max_restarts: how many times the workers may be started anew, from the last checkpoint, where one is lost.
    """
    if not group.is_launched():
        if max_restarts:
            raise InputError("--max-restarts is for several workers; give --workers, or leave it out")
        return _federate(None, settings, fleet, out, config, recipe, resume, from_run, tensorboard)
    check_group(workers)
    run = begun(out)
    if run is not None:
        return assisting.work(partial(_again, run, fleet, tensorboard), "presentations")
    return assisting.work(
        lambda together: _federate(
            together, settings, fleet, out, config, recipe, resume, from_run, tensorboard
        ),
        "presentations",
    )


def _again(run: Path, fleet: FleetSpec, tensorboard: bool, together: Together) -> int:
    return running.resume(run, tensorboard=tensorboard, together=together, fleet=fleet)


def _federate(
    together: Together | None, settings: Layered, fleet: FleetSpec, out: Path | None, config: Path | None,
    recipe: RecipeName | None, resume: Path | None, from_run: Path | None, tensorboard: bool,
) -> int:  # fmt: skip
    how: Any = {"tensorboard": tensorboard, "together": together, "fleet": fleet}
    if resume is None:
        return running.start_training(settings, out, from_run=from_run, **how)
    if any(other is not None for other in (out, from_run, config, recipe)):
        raise InputError(
            "--resume goes on in the run's folder with its settings; leave out --out, --from, --config and --recipe"
        )
    return running.resume(resume, settings, **how)
