"""Fleets in runs: whose recordings are whose, what a manifest tells of it, and who may go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.learn.federated import FleetSpec, dealt
from gemsnn.learn.fleet import Fleet
from gemsnn.machine.group import Group
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.specs import fields as specs
from gemsnn.specs import needs


def made(
    spec: FleetSpec,
    recordings: SpikeSet,
    seed: int,
    group: Group | None = None,
    kept: dict[str, Tensor] | None = None,
) -> Fleet:
    """The fleet among whose devices recordings are dealt out; ``kept`` are the tensors of a checkpoint to go on from.

    Raises:
        InputError: a device would have none, or classes are dealt and there are none.
    """
    if recordings.trains is not None and (spec.alpha or spec.classes_per_device):
        raise InputError(
            "alpha and classes_per_device deal out classes, and these recordings teach spike trains; leave them out"
        )
    kept = {name: leaf for name, leaf in (kept or {}).items() if name.startswith("fleet.")}
    return Fleet(spec, dealt(recordings.labels, spec, seed), group, kept)


def caution(spec: FleetSpec, optimiser: OptimiserSpec) -> str | None:
    """What there is to say of a fleet before it learns; ``None`` for nothing."""
    if optimiser.optimiser == "sgd" or (spec.alpha is None and spec.classes_per_device is None):
        return None
    return (
        f"devices with different classes have learned badly by {optimiser.optimiser}, which makes each device's steps "
        "equally large, also those of devices that never see a class: give the optimiser sgd, with an lr for it"
    )


def recorded(fleet: Fleet, recordings: SpikeSet) -> dict[str, Any]:
    """For a manifest: the fleet, and how many recordings of each class each device has."""
    classes = recordings.layout.classes
    table = [np.bincount(recordings.labels[own], minlength=classes).tolist() for own in fleet.owned]
    return {"fleet": {**dataclasses.asdict(fleet.spec), "recordings": table}}


def of_manifest(manifest: Mapping[str, Any], where: object) -> FleetSpec | None:
    """The fleet that a run was learned by; ``None`` where it was none.

    Raises:
        InputError: what is told of it is damaged.
    """
    told = manifest.get("fleet")
    if told is None:
        return None
    names = specs.declarations(FleetSpec)
    if not isinstance(told, dict) or not set(names) <= set(told):
        raise InputError(f"{where} tells of a fleet and not which one; restore the file or train again")
    return FleetSpec(**{name: told[name] for name in names})


def check_resumed(where: object, fleet: FleetSpec | None, manifest: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` unless the run was learned by this very fleet, or by none where that is ``None``."""
    before = of_manifest(manifest, where)
    if before is None and fleet is not None:
        raise InputError(f"{where} was learned by no fleet; go on with gemsnn train --resume {where}")
    if before is not None and fleet is None:
        raise InputError(f"{where} was learned by a fleet; go on with gemsnn federate --resume {where}")
    if before is None or fleet is None:
        return
    for name in specs.declarations(FleetSpec):
        if getattr(fleet, name) != getattr(before, name):
            raise InputError(
                f"{where} was learned with {name} {getattr(before, name)}, and a run goes on as it began: leave out "
                f"{needs.flag(name)}"
            )


def told(cost: Mapping[str, float]) -> str:
    """What a device has sent and received, as a line to be said."""
    sent, received = (_size(cost[name]) for name in ("sent_bytes", "received_bytes"))
    return (
        f"{cost['rounds']} rounds: on average a device sent {sent} ({cost['scalars_per_step']:.0f} numbers for each "
        f"batch) and received {received}"
    )


def _size(number: float) -> str:
    return f"{number / 2**20:.2f} MiB" if number >= 2**20 else f"{number / 2**10:.1f} KiB"
