"""Training that goes on from another: with more epochs in its own folder, or from its weights in a new one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gemsnn.errors import InputError
from gemsnn.learn import train
from gemsnn.model import network as networks
from gemsnn.model.network import Network
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.own import Own
from gemsnn.runs import config
from gemsnn.runs.config import Settings
from gemsnn.runs.models import Model
from gemsnn.store.records import provenance
from gemsnn.types import AnyPath, Layout

HARMLESS = ("data.root", "train.evaluate_every", "train.checkpoint_every", "evaluate.votes")
"""The settings that leave what is learned what it is; of data at another place, the digest is compared."""

MAY_CHANGE = (*HARMLESS, "train.epochs")
"""What flags may change of a run that goes on."""


class Change(NamedTuple):
    """A setting that is another now."""

    before: Any
    now: Any


def changes(before: Settings, now: Settings) -> dict[str, Change]:
    """The settings that differ, by ``part.name``."""
    found = {}
    for part in dataclasses.fields(Settings):
        old, new = getattr(before, part.name), getattr(now, part.name)
        for item in dataclasses.fields(old):
            pair = Change(getattr(old, item.name), getattr(new, item.name))
            if pair.before != pair.now:
                found[f"{part.name}.{item.name}"] = pair
    return found


def check_resumed(changed: dict[str, Change], where: object) -> None:
    """Whether a run can go on with these settings in place of its own.

    Raises:
        InputError: what it has learned would not be what they say.
    """
    for name, change in changed.items():
        if name == "rule.rule" and isinstance(change.before, Own):
            raise InputError(
                f"{where} was trained with the rule {change.before}, and a run goes on as it began: give --rule "
                f"{change.before}, or begin a new run from its weights with --from {where}"
            )
        if name not in MAY_CHANGE:
            flag = name.split(".")[1].replace("_", "-")
            raise InputError(
                f"{where} was trained with {flag} {change.before}, and a run goes on as it began: leave out --{flag}, "
                f"or begin a new run from its weights with --from {where}"
            )
    epochs = changed.get("train.epochs")
    if epochs is not None and epochs.now < epochs.before:
        raise InputError(
            f"{where} is a training of {epochs.before} epochs, which cannot become {epochs.now}; give more, or leave "
            "out --epochs"
        )


def recorded(spec: RuleSpec) -> dict[str, Any]:
    """For a manifest: where a rule of one's own stands, and what its file held; of the package's rules nothing."""
    if not isinstance(spec.rule, Own):
        return {}
    source = spec.rule.source
    return {"rule": {"place": spec.name, **({} if source is None else source._asdict())}}


def rule_note(manifest: Mapping[str, Any], spec: RuleSpec) -> str | None:
    """What there is to say of a rule that was learned with before; ``None`` where its file is the same."""
    before, now = manifest.get("rule"), recorded(spec).get("rule")
    if not isinstance(before, dict) or now is None or before.get("sha256") == now.get("sha256"):
        return None
    return (
        f"the source of the rule {spec.name} has changed since the run began with it ({now.get('file')}), so what is "
        "learned from here on may be another rule's"
    )


def schedule_note(before: Settings, now: Settings, batches: int, per_epoch: int) -> str | None:
    """What more epochs make of the step size of a training that stands after so many batches; ``None`` for nothing."""
    spec, old = now.train, before.train
    if spec.schedule == "constant" or spec.epochs == old.epochs:
        return None
    share, stood = (
        train.rate_factor(spec.schedule, batches / (epochs * per_epoch))
        for epochs in (spec.epochs, old.epochs)
    )
    return (
        f"the {spec.schedule} schedule is now that of {spec.epochs} epochs: the step size goes on at {share:.2f} of "
        f"lr, where in {old.epochs} epochs it stood at {stood:.2f}"
    )


def check_fits(source: Model, network: Network, layout: Layout, where: object) -> None:
    """Whether a network can begin with the weights of another.

    Raises:
        InputError: it has other inputs, classes or synapses; what differs is named.
    """
    ours, theirs = layout._asdict(), source.reading.layout._asdict()
    for name in ("channels", "width", "height", "classes"):
        if ours[name] != theirs[name]:
            raise InputError(
                f"the weights of {where} are of a network for {name} {theirs[name]}, and this data has {ours[name]}; "
                "give data of the same kind, or train without --from"
            )
    spec, old = network.spec, source.network.spec
    for item in dataclasses.fields(spec):
        a, b = getattr(spec, item.name), getattr(old, item.name)
        if a != b and item.name != "warm_up":
            raise InputError(
                f"the weights of {where} are of a network with {item.name} {b}, not {a}; leave that setting as it was, "
                "or train without --from"
            )
    if network.taps.dtype != source.network.taps.dtype:
        raise InputError(
            f"the weights of {where} are {source.network.taps.dtype}, not {network.taps.dtype}; leave out --dtype"
        )
    here, there = networks.masks(network), networks.masks(source.network)
    if here.keys() != there.keys() or not all(torch.equal(mask, there[name]) for name, mask in here.items()):
        raise InputError(
            f"the synapses of {where} were drawn with another seed; keep its --seed {source.facts.seed}, or train "
            "without --from"
        )


def origin_of(source: Model, where: object) -> dict[str, Any]:
    """Where a training's first weights come from, for its manifest."""
    return {"run": str(where), "checkpoint_sha256": source.sha256, "batches": source.learner.batches}


def check_unedited(settings: Settings, manifest: dict[str, Any], out: AnyPath) -> None:
    """Raise :class:`InputError` where a run's settings are not those that its manifest tells.

    A manifest of an older version tells none.
    """
    out = Path(out)
    before, now, usual = manifest.get("settings"), config.tables(settings), config.tables(config.FORMER)
    if not isinstance(before, dict):
        return

    def was(table: str, key: str) -> Any:
        # a run of an older version tells nothing of what came later, which then is what it usually is
        return _of(before, table).get(key, usual[table].get(key))

    changed = [
        f"[{table}] {key} is {now[table].get(key)!r} and was {was(table, key)!r}"
        for table in now
        for key in {**_of(before, table), **now[table]}
        if f"{table}.{key}" not in HARMLESS and now[table].get(key) != was(table, key)
    ]
    if changed:
        raise InputError(
            f"{out / 'config.toml'} was edited since the run began: {'; '.join(changed)}; undo that, or train anew "
            "with --config"
        )


def _of(tables: dict[str, Any], name: str) -> dict[str, Any]:
    table = tables.get(name)
    return table if isinstance(table, dict) else {}


def resumed(before: dict[str, Any], settings: Settings, when: str) -> dict[str, Any]:
    """The manifest of a run that goes on: ``resumed`` holds when, and by which versions and machine, each time."""
    history = before.get("resumed")
    return before | {
        "status": "running",
        "settings": config.tables(settings),
        "resumed": [*(history if isinstance(history, list) else []), {"when": when, **provenance()}],
    }
