"""A training from its settings to its run folder: begun, resumed, trained further, or from another run's weights."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypedDict

from torch import Tensor

from gemsnn import kernels, report
from gemsnn.data import datasets
from gemsnn.data.raw import learned
from gemsnn.data.splits import Splits
from gemsnn.errors import INTERRUPTED, InputError
from gemsnn.learn import federated, train
from gemsnn.learn import state as states
from gemsnn.learn.federated import FleetSpec
from gemsnn.learn.fleet import Fleet
from gemsnn.learn.state import TrainingState
from gemsnn.learn.train import Watcher
from gemsnn.machine import devices, group
from gemsnn.model import network as networks
from gemsnn.model.network import DTYPES, Network
from gemsnn.rules import optimisers
from gemsnn.rules.own import Own
from gemsnn.runs import (
    augmented,
    beside,
    config,
    console,
    continuing,
    curves,
    fleets,
    layers,
    scored,
    searching,
    tuning,
    unknown,
)
from gemsnn.runs.assisting import Together
from gemsnn.runs.config import Settings
from gemsnn.runs.curves import Curves
from gemsnn.runs.facts import facts_of, save_facts
from gemsnn.runs.layers import Layered
from gemsnn.runs.loading import load_model
from gemsnn.runs.models import Model
from gemsnn.runs.tuning import Minutes
from gemsnn.scoring import evaluate
from gemsnn.scoring.answers import check_decoder, provisional
from gemsnn.specs import checks
from gemsnn.store import parsing
from gemsnn.store.records import STREAM, RunFolder, provenance
from gemsnn.types import AnyPath, Layout


class Begun(TypedDict):
    """What going on needs of a run's manifest."""

    status: str
    kernel: str
    data_sha256: str
    seconds: dict[str, float]


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def start_training(
    given: Layered,
    out: AnyPath | None,
    *,
    from_run: AnyPath | None = None,
    tune: float | None = None,
    tensorboard: bool = False,
    together: Together | None = None,
    fleet: FleetSpec | None = None,
) -> int:
    """Train in a new run folder, by default one of its own name, score, write the report; the exit code.

    With ``from_run``, another run's folder, training begins with its weights. Its optimiser's state stays behind: the
    moments are of other data or another rule, and the schedule of the step size begins anew. With ``tune``, minutes,
    settings that nobody has given are searched before (:mod:`gemsnn.runs.tuning`). With ``tensorboard`` the run's
    numbers are written for TensorBoard, too (:mod:`gemsnn.runs.curves`). With ``together``, others learn
    with this process (:mod:`gemsnn.runs.assisting`). With a ``fleet``, its devices learn and average
    (:mod:`gemsnn.learn.federated`).
    """
    if tensorboard:
        curves.library()  # where it is missing, that is said before anything is trained
    from_run = None if from_run is None else Path(from_run)
    if out is not None:
        layers.writable(Path(out), "--out")
    check(given.settings, together)
    if tune is not None:
        checks.number(tune, Minutes, "--tune")
        tuning.library()  # where it is missing, that is said before any data is read
    with RunFolder.claimed(out) as run:
        if tune is not None:
            searching.begin(run, given, tune)
        return _run_training(
            given, run, from_run=from_run, tensorboard=tensorboard, together=together, fleet=fleet
        )


def check(settings: Settings, together: Together | None = None) -> None:
    """Raise :class:`InputError` where no data could make these settings work: before any is loaded."""
    devices.check_here(settings.network.device)
    if together is not None:
        together.check(settings)
    if settings.network.graph is not None:
        return  # which the data's own size decides
    side = 64 if settings.network.topology == "conv" else 1
    layout = Layout(1, 2 * side, side, 2, 1)
    network = networks.build(settings.network_spec(layout), seed=0, device=settings.network.device)
    check_decoder(provisional(settings.evaluate.decoder), network)
    kernels.choose(settings.network.kernel, network, settings.learning)


def resume(
    out: AnyPath, given: Layered | None = None, *, tensorboard: bool = False, together: Together | None = None,
    fleet: FleetSpec | None = None,
) -> int:  # fmt: skip
    """Go on with a run that was stopped, to its end, or to that of ``given`` settings of more epochs; the exit code.

    Curves for TensorBoard go on where the run has them, or begin with all that it has learned. Workers that the
    launcher has started anew find nothing to do where the run was finished before.
    """
    out = Path(out)
    tensorboard = tensorboard or curves.kept(RunFolder(out))
    if tensorboard:
        curves.library()
    if (out / "config.toml").is_file() and not (out / "manifest.json").exists():
        run, old = RunFolder(out), Layered(config.load_run(out / "config.toml"))
        searching.check_resumed(out, given or old, old)
        with run.locked():  # it was stopped before it began, or in its search
            return _run_training(given or old, run, tensorboard=tensorboard, together=together, fleet=fleet)
    run = RunFolder.open(out)
    if run.read_json("manifest.json").get("status") == STREAM:
        raise InputError(f"{out} is the state of a stream; go on with it by gemsnn stream --state {out}")
    old = config.load_run(out / "config.toml")
    given = given or Layered(old)
    check(given.settings, together)
    with run.locked():
        manifest = parsing.conform(run.read_json("manifest.json"), Begun, str(out / "manifest.json"))
        continuing.check_unedited(old, dict(manifest), out)
        fleets.check_resumed(out, fleet, dict(manifest))
        continuing.check_resumed(continuing.changes(old, given.settings), out)
        if manifest.get("status") == "finished" and given.settings.train.epochs == old.train.epochs:
            if group.restarts():  # a worker was lost on its way home
                print(f"report: {report.write_report(run.path)}")
                return 0
            raise InputError(
                f"{out} is finished; there is nothing to resume, but --epochs with more than {old.train.epochs} "
                "trains it further"
            )
        return _run_training(
            given, run, dict(manifest), old, tensorboard=tensorboard, together=together, fleet=fleet
        )


def _run_training(
    given: Layered,
    run: RunFolder,
    before: dict[str, Any] | None = None,
    old: Settings | None = None,
    *,
    from_run: Path | None = None,
    tensorboard: bool = False,
    together: Together | None = None,
    fleet: FleetSpec | None = None,
) -> int:
    """Train in a run folder, which is held: from the start, or from its last checkpoint.

    Args:
        given: the settings of the training.
        run: its folder.
        before: the manifest of a run that goes on.
        old: the settings it had.
        from_run: another run, whose weights a new one begins with.
        tensorboard: whether its numbers are written for TensorBoard, too.
        together: others who learn with this process.
        fleet: devices that learn and average.
    """
    began, settings = time.perf_counter(), given.settings
    learning = settings.learning  # a rule that is not known is refused before any data is read
    source = None if from_run is None else load_model(from_run)
    splits = datasets.load(settings.data, progress=console.bar)
    cautions = [config.caution(settings), fleet and fleets.caution(fleet, settings.optimiser)]
    for note in (*splits.notes, *filter(None, cautions)):
        console.say(f"note: {note}")
    for part in ("train", "validation", "test"):
        scored.part_of(splits, part)
    found = None
    if before is None and searching.is_begun(run):
        given, found = searching.searched(run, given, splits)
        if not found.ended:
            console.say(
                f"stopped in the search of settings; gemsnn train --resume {run.path} goes on with it"
            )
            return INTERRUPTED
        settings, learning = given.settings, given.settings.learning
    if before is not None and not splits.train.is_of(str(before.get("data_sha256"))):
        raise InputError(
            f"the training data is not what {run.path} began with; restore it under "
            f"{settings.data.root or 'the cache'}"
        )
    loaded = time.perf_counter()

    seed, layout, reading = settings.train.seed, splits.train.layout, splits.reading
    assert reading is not None
    dtype = DTYPES[settings.network.dtype]
    device = settings.network.device
    network = networks.build(settings.network_spec(layout), seed=seed, dtype=dtype, device=device)
    check_decoder(provisional(settings.evaluate.decoder), network)
    if source is not None:
        continuing.check_fits(source, network, layout, from_run)
    wanted = settings.network.kernel if before is None else before["kernel"]
    name, kernel = kernels.choose(wanted, network, learning)
    with console.compiling(f"compiling the {name} kernel, which takes a minute or two at its first use"):
        kernels.warm_up(kernel, network.taps, learning)

    if before is None:
        if source is not None and from_run is not None:
            first = TrainingState(train.start(source.params, settings.learning))
            _save(run, network, seed, first, {}, origin=continuing.origin_of(source, from_run.absolute()))
        run.write("config.toml", config.dump(settings))
    state, origin, kept = _state(run, settings, network)
    whole = settings.train if fleet is None else fleet.together(settings.train)
    per_epoch = -(-len(splits.train) // whole.batch)
    learners = None
    if fleet is not None:
        learners = fleets.made(fleet, splits.train, seed, None if together is None else together.group, kept)
    if before is None:
        manifest = {
            **provenance(),
            "seed": seed,
            "kernel": name,
            "decoder": settings.evaluate.decoder,
            "settings": config.tables(settings),
            "layers": given.record(),
            **continuing.recorded(settings.rule),
            "presentations": {
                "train": len(splits.train),
                "validation": len(splits.validation),
                "test": len(splits.test),
            },
            "layout": layout._asdict(),
            "data_sha256": splits.train.digest(),
            **({"from": origin["origin"]} if "origin" in origin else {}),
            **({} if learners is None else fleets.recorded(learners, splits.train)),
            "started": _now(),
            "finished": None,
            "status": "running",
            "seconds": {"data": round(loaded - began, 3)},
            "notes": [*splits.notes, *(() if found is None else (found.told(),))],
            "events": {part: tally._asdict() for part, tally in splits.tallies.items()},
        }
    else:
        manifest = continuing.resumed(before, settings, _now())
        note = continuing.rule_note(before, settings.rule)
        if note is not None:
            console.say(f"note: {note}")
            manifest["notes"] = [*manifest.get("notes", []), note]
        if state.learner.batches >= settings.train.epochs * per_epoch:
            console.say("all steps were made before; what is left is to score the network")
    changed = {} if old is None else continuing.changes(old, settings)
    if old is not None and changed:
        note = continuing.schedule_note(old, settings, state.learner.batches, per_epoch)
        if note is not None:
            console.say(f"note: {note}")
            manifest["notes"] = [*manifest.get("notes", []), note]
        told = {each: [_plain(value) for value in change] for each, change in changed.items()}
        manifest["changed"] = [*manifest.get("changed", []), {"at": _now(), **told}]
    run.write_json("manifest.json", manifest)
    if changed:
        run.write("config.toml", config.dump(settings))
    least = evaluate.least_spikes_of(network, splits.train)
    facts = dataclasses.replace(facts_of(settings, reading), least_spikes=least)
    save_facts(run, facts)
    model = Model(network, state.learner, facts, settings, kernel, name)
    with contextlib.ExitStack() as stack:
        drawn = stack.enter_context(curves.drawn(run, manifest["started"])) if tensorboard else None
        return _train_in(run, manifest, settings, splits, model, state, drawn, together, learners, per_epoch)


def _plain(value: Any) -> Any:
    """A setting's value as JSON has it."""
    return str(value) if isinstance(value, (Path, Own)) else value


def _state(
    run: RunFolder, settings: Settings, network: Network
) -> tuple[TrainingState, dict[str, Any], dict[str, Tensor]]:
    """What the last checkpoint of a run holds, with its facts and tensors, or the beginning, without any."""
    if not run.checkpoints.any:
        run.cut_metrics(0)
        return (
            TrainingState(train.start(networks.init(network, settings.train.seed), settings.learning)),
            {},
            {},
        )
    tensors, facts = run.load_checkpoint(note=console.say)
    state = states.state_from(network, tensors, facts)
    networks.check_params(network, state.learner.params)
    optimisers.check_state(settings.optimiser, state.learner.optimiser, state.learner.params)
    run.cut_metrics(facts.get("metrics_bytes"))
    if state.learner.batches:
        console.say(f"going on after batch {state.learner.batches}")
    return state, facts, tensors


def _save(
    run: RunFolder, network: Network, seed: int, state: TrainingState, kept: dict[str, Tensor], **more: Any
) -> None:
    run.save_checkpoint(
        states.learner_tensors(network, state.learner, state.best) | networks.masks(network) | kept,
        {**states.facts_of(state), "seed": seed, **more},
    )


def _train_in(
    run: RunFolder,
    manifest: dict[str, Any],
    settings: Settings,
    splits: Splits,
    model: Model,
    state: TrainingState,
    drawn: Curves | None,
    together: Together | None,
    learners: Fleet | None,
    per_epoch: int,
) -> int:
    network, kernel, seed, started = model.network, model.kernel, settings.train.seed, time.perf_counter()

    def save(state: TrainingState) -> None:
        _save(run, network, seed, state, {} if learners is None else learners.tensors())

    def record(line: dict[str, Any]) -> None:
        run.append(line)
        if drawn is not None:
            drawn.line(line)

    with console.interruptible("batch") as stopped:
        shown = learned(splits.train, settings.augment, seed, progress=console.bar)
        with console.training_display(settings.train, per_epoch) as display:
            watcher = Watcher(record, display.show, save, stopped)
            crew = together and together.begin(
                settings, model.kernel_name, splits.train.digest(), state, learners
            )
            reached, finished = train.fit(
                network, state, shown, splits.validation, settings.train, settings.learning,
                kernel=kernel, decoder=model.facts.decoder, watcher=watcher, crew=crew, learners=learners,
            )  # fmt: skip
        trained = time.perf_counter()
        learned_model = dataclasses.replace(model, learner=reached.answering)
        model = scored.answering(learned_model, splits.validation, progress=console.bar)
        found = scored.final(model, splits)
        scores = found.scores
        status = "finished" if finished else "interrupted"
        save_facts(run, model.facts)
        run.write_json("metrics.json", {"schema": 1, "status": status, **scores.to_json()})
        if drawn is not None:
            drawn.scores(scores.to_json())
        scored.save_pictures(run, model, splits.test, scores)
        augmented.save_example(run, splits, settings.augment, seed)
        beside.save_answers(run, splits.test, found)
        unknown.save_scribbles(run, model, found.poll)
        manifest["seconds"] |= {
            "train": round(state.seconds + trained - started, 3),
            "evaluate": round(time.perf_counter() - trained, 3),
        }
        manifest |= {"finished": _now(), "status": status, "decoder": model.facts.decoder}
        if learners is not None:
            manifest["fleet"]["cost"] = cost = federated.cost(run.history(), learners.spec.devices)
            console.say(fleets.told(cost))
        if reached.best is not None:
            ended = reached.learner.batches // per_epoch
            manifest["kept"] = {"epoch": reached.best.epoch if reached.ahead else ended, "of": ended}
            if reached.ahead:
                console.say(
                    f"kept: the weights of epoch {reached.best.epoch} of {ended}, the best by validation"
                )
        run.write_json("manifest.json", manifest)
        page = report.write_report(run.path)
    mute = scores.costs.mute_hidden_neurons
    warning = None if mute is None else mute.warning(network.spec.hidden_neurons)
    if warning is not None:
        console.say(f"note: {warning}")
    scored.print_scores(scores)
    print(f"report: {page}")
    return 0 if finished else INTERRUPTED
