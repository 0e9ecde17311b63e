"""A training from its settings to its run folder: begun, resumed, trained further, or from another run's weights."""

from __future__ import annotations

import dataclasses
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypedDict

import torch

from gemsnn import kernels, report
from gemsnn.data import datasets
from gemsnn.data.spikeset import SpikeSet, Splits
from gemsnn.errors import INTERRUPTED, InputError
from gemsnn.learn import train
from gemsnn.learn.train import Progress, Watcher
from gemsnn.machine import devices
from gemsnn.model import network as networks
from gemsnn.model.network import Network
from gemsnn.model.receptive import receptive_fields
from gemsnn.rules import optimisers
from gemsnn.rules.own import Own
from gemsnn.runs import config, console, continuing, layers
from gemsnn.runs.config import Settings
from gemsnn.runs.layers import Layered
from gemsnn.runs.models import DTYPES, Model, facts_of, load_model, save_facts
from gemsnn.scoring import baseline, evaluate, metrics
from gemsnn.scoring.evaluate import Answers, Decoder
from gemsnn.store import parsing
from gemsnn.store.records import STREAM, RunFolder, provenance
from gemsnn.types import AnyPath, Layout, first_observed


class Begun(TypedDict):
    """What going on needs of a run's manifest."""

    status: str
    kernel: str
    data_sha256: str
    seconds: dict[str, float]


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def start_training(given: Layered, out: AnyPath | None, *, from_run: AnyPath | None = None) -> int:
    """Train in a new run folder, by default one of its own name, score, write the report; the exit code.

    With ``from_run``, another run's folder, training begins with its weights. Its optimiser's state stays behind: the
    moments are of other data or another rule, and the schedule of the step size begins anew.
    """
    from_run = None if from_run is None else Path(from_run)
    if out is not None:
        layers.writable(Path(out), "--out")
    check(given.settings)
    with RunFolder.claimed(out) as run:
        return _run_training(given, run, from_run=from_run)


def check(settings: Settings) -> None:
    """Raise :class:`InputError` where no data could make these settings work: before any is loaded."""
    devices.check_here(settings.network.device)
    if settings.network.graph is not None:
        return  # which the data's own size decides
    side = 64 if settings.network.topology == "conv" else 1
    layout = Layout(1, 2 * side, side, 2, 1)
    network = networks.build(settings.network_spec(layout), seed=0, device=settings.network.device)
    evaluate.check_decoder(settings.evaluate.decoder, network)
    kernels.choose(settings.network.kernel, network, settings.learning)


def prepare(model: Model) -> None:
    """Compile what a model needs, or load it."""
    with console.compiling(
        f"compiling the {model.kernel_name} kernel, which takes half a minute at its first use"
    ):
        kernels.warm_up(model.kernel, model.network.taps)


def resume(out: AnyPath, given: Layered | None = None) -> int:
    """Go on with a run that was stopped, to its end, or to that of ``given`` settings of more epochs; the exit code."""
    out = Path(out)
    if (out / "config.toml").is_file() and not (out / "manifest.json").exists():
        run = RunFolder(out)  # it was stopped before it began
        with run.locked():
            return _run_training(given or Layered(config.load(out / "config.toml")), run)
    run = RunFolder.open(out)
    if run.read_json("manifest.json").get("status") == STREAM:
        raise InputError(f"{out} is the state of a stream; go on with it by gemsnn stream --state {out}")
    old = config.load(out / "config.toml")
    given = given or Layered(old)
    check(given.settings)
    with run.locked():
        manifest = parsing.conform(run.read_json("manifest.json"), Begun, str(out / "manifest.json"))
        continuing.check_unedited(old, dict(manifest), out)
        continuing.check_resumed(continuing.changes(old, given.settings), out)
        if manifest.get("status") == "finished" and given.settings.train.epochs == old.train.epochs:
            raise InputError(
                f"{out} is finished; there is nothing to resume, but --epochs with more than {old.train.epochs} "
                "trains it further"
            )
        return _run_training(given, run, dict(manifest), old)


def _run_training(
    given: Layered,
    run: RunFolder,
    before: dict[str, Any] | None = None,
    old: Settings | None = None,
    *,
    from_run: Path | None = None,
) -> int:
    """Train in a run folder, which is held: from the start, or from its last checkpoint.

    Args:
        given: the settings of the training.
        run: its folder.
        before: the manifest of a run that goes on.
        old: the settings it had.
        from_run: another run, whose weights a new one begins with.
    """
    began, settings = time.perf_counter(), given.settings
    learning = settings.learning  # a rule that is not known is refused before any data is read
    source = None if from_run is None else load_model(from_run)
    splits = datasets.load(settings.data, progress=console.bar)
    for note in splits.notes:
        console.say(f"note: {note}")
    for part in ("train", "validation", "test"):
        part_of(splits, part)
    digest = splits.train.digest()
    if before is not None and before.get("data_sha256") != digest:
        raise InputError(
            f"the training data is not what {run.path} began with; restore it under "
            f"{settings.data.root or 'the cache'}"
        )
    loaded = time.perf_counter()

    seed, layout = settings.train.seed, splits.train.layout
    dtype = DTYPES[settings.network.dtype]
    device = settings.network.device
    network = networks.build(settings.network_spec(layout), seed=seed, dtype=dtype, device=device)
    evaluate.check_decoder(settings.evaluate.decoder, network)
    if source is not None:
        continuing.check_fits(source, network, layout, from_run)
    wanted = settings.network.kernel if before is None else before["kernel"]
    name, kernel = kernels.choose(wanted, network, learning)
    with console.compiling(f"compiling the {name} kernel, which takes half a minute at its first use"):
        kernels.warm_up(kernel, network.taps, learning)

    if before is None:
        if source is not None and from_run is not None:
            first = Progress(train.start(source.params, settings.learning))
            _save(run, network, seed, first, origin=continuing.origin_of(source, from_run.absolute()))
        run.write("config.toml", config.dump(settings))
    progress, origin = _progress(run, settings, network)
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
            "data_sha256": digest,
            **({"from": origin["origin"]} if "origin" in origin else {}),
            "started": _now(),
            "finished": None,
            "status": "running",
            "seconds": {"data": round(loaded - began, 3)},
            "notes": list(splits.notes),
            "events": {part: tally._asdict() for part, tally in splits.tallies.items()},
        }
    else:
        manifest = continuing.resumed(before, settings, _now())
        note = continuing.rule_note(before, settings.rule)
        if note is not None:
            console.say(f"note: {note}")
            manifest["notes"] = [*manifest.get("notes", []), note]
        if progress.learner.batches >= settings.train.epochs * _per_epoch(splits, settings):
            console.say("all steps were made before; what is left is to score the network")
    changed = {} if old is None else continuing.changes(old, settings)
    if old is not None and changed:
        note = continuing.schedule_note(old, settings, progress.learner.batches, _per_epoch(splits, settings))
        if note is not None:
            console.say(f"note: {note}")
            manifest["notes"] = [*manifest.get("notes", []), note]
        told = {each: [_plain(value) for value in change] for each, change in changed.items()}
        manifest["changed"] = [*manifest.get("changed", []), {"at": _now(), **told}]
    run.write_json("manifest.json", manifest)
    if changed:
        run.write("config.toml", config.dump(settings))
    least = evaluate.least_spikes_of(network, splits.train)
    facts = dataclasses.replace(facts_of(settings, layout), least_spikes=least)
    save_facts(run, facts)
    model = Model(network, progress.learner, facts, kernel, name)
    return _train_in(run, manifest, settings, splits, model, progress)


def _per_epoch(splits: Splits, settings: Settings) -> int:
    """Batches of an epoch."""
    return -(-len(splits.train) // settings.train.batch)


def _plain(value: Any) -> Any:
    """A setting's value as JSON has it."""
    return str(value) if isinstance(value, (Path, Own)) else value


def _progress(run: RunFolder, settings: Settings, network: Network) -> tuple[Progress, dict[str, Any]]:
    """What the last checkpoint of a run holds, with its facts, or the beginning, without any."""
    if not run.checkpoints.any:
        run.cut_metrics(0)
        return Progress(train.start(networks.init(network, settings.train.seed), settings.learning)), {}
    tensors, facts = run.load_checkpoint(note=console.say)
    progress = train.progress_from(network, tensors, facts)
    networks.check_params(network, progress.learner.params)
    optimisers.check_state(settings.optimiser, progress.learner.optimiser, progress.learner.params)
    run.cut_metrics(facts.get("metrics_bytes"))
    if progress.learner.batches:
        console.say(f"going on after batch {progress.learner.batches}")
    return progress, facts


def _save(run: RunFolder, network: Network, seed: int, progress: Progress, **more: Any) -> None:
    learner = progress.learner
    run.save_checkpoint(
        train.learner_tensors(network, learner) | networks.masks(network),
        {
            "batches": learner.batches,
            "updates": learner.optimiser.updates,
            "seed": seed,
            "window": list(progress.window),
            "seconds": progress.seconds,
            **more,
        },
    )


def _train_in(
    run: RunFolder,
    manifest: dict[str, Any],
    settings: Settings,
    splits: Splits,
    model: Model,
    progress: Progress,
) -> int:
    network, kernel, seed, started = model.network, model.kernel, settings.train.seed, time.perf_counter()

    def save(progress: Progress) -> None:
        _save(run, network, seed, progress)

    with console.interruptible("batch") as stopped:
        with console.training_display(settings.train, _per_epoch(splits, settings)) as display:
            watcher = Watcher(run.append, display.show, save, stopped)
            learner, finished = train.fit(
                network, progress, splits.train, splits.validation, settings.train, settings.learning, kernel,
                decoder=settings.evaluate.decoder, watcher=watcher,
            )  # fmt: skip
        trained = time.perf_counter()
        model = dataclasses.replace(model, learner=learner)
        scores = scores_of(model, splits, "test", settings.evaluate.votes, settings.evaluate.decoder, seed)
        scores = {"schema": 1, "status": "finished" if finished else "interrupted", "split": "test", **scores}
        scores["costs"]["scalars_per_step"] = evaluate.scalars_per_step(network, settings.train.compartments)
        scores["baseline"] = _baseline(splits)
        found = tuple(row["tempered"]["temperature"] for row in scores["by_compartments"])
        save_facts(run, dataclasses.replace(model.facts, temperatures={model.facts.decoder: found}))
        run.write_json("metrics.json", scores)
        _save_examples(run, model, splits.test, settings.evaluate.votes, seed, scores["extremes"])
        _save_fields(run, model)
        manifest["seconds"] |= {
            "train": round(progress.seconds + trained - started, 3),
            "evaluate": round(time.perf_counter() - trained, 3),
        }
        manifest |= {"finished": _now(), "status": scores["status"]}
        run.write_json("manifest.json", manifest)
        page = _report(run)
    warning = metrics.Mute(**scores["costs"]["mute_hidden_neurons"]).warning(network.spec.hidden_neurons)
    if warning is not None:
        console.say(f"note: {warning}")
    print_scores(scores)
    print(f"report: {page}")
    return 0 if finished else INTERRUPTED


def _report(run: RunFolder) -> Path:

    return report.write_report(run.path)


def part_of(splits: Splits, name: str) -> SpikeSet:
    """A part of the data, which must not be empty."""
    presentations: SpikeSet = getattr(splits, name)
    if not len(presentations):
        raise InputError(f"the {name} part of the data is empty; give more recordings or a larger --limit")
    return presentations


def scores_of(
    model: Model, splits: Splits, part: str, compartments: int, decoder: Decoder, seed: int
) -> dict[str, Any]:
    """All scores of a model on a part of its own data, at temperatures fitted on the validation part.

    Those of the training are that already, where it had the same noise and as many compartments.
    """
    fitted = seed == model.facts.seed and model.temperature(compartments, decoder) is not None
    return model.scores(
        part_of(splits, part),
        compartments,
        decoder=decoder,
        seed=seed,
        held=None if fitted else part_of(splits, "validation"),
        progress=console.bar,
    )


def _baseline(splits: Splits) -> dict[str, Any]:
    train_part, validation, test = (
        baseline.Counts(part.counts_per_input(), part.labels)
        for part in (splits.train, splits.validation, splits.test)
    )
    model = baseline.fit(train_part, validation, splits.train.layout.classes)
    found, held = (baseline.predict(model, part.counts) for part in (test, validation))
    temperature = metrics.fitted_temperature(held.log(), torch.from_numpy(validation.labels))
    answers, labels = Answers(found, found.log()), torch.from_numpy(test.labels)
    return {
        "name": baseline.NAME,
        **evaluate.answer_scores(answers, labels),
        "errors": evaluate.score_errors(answers, labels, temperature),
        "tempered": evaluate.tempered_scores(answers, labels, temperature),
    }


LARGEST_EXAMPLE = 10
"""Compartments whose spikes are kept of an example; all votes are."""


def _save_examples(
    run: RunFolder,
    model: Model,
    presentations: SpikeSet,
    compartments: int,
    seed: int,
    extremes: dict[str, dict[str, float]],
) -> None:
    """Keep the spikes of the presentations that the votes were most and least divided on; of one, if they are one."""
    for kind, found in extremes.items():
        name, position = f"example-{kind}.safetensors", int(found["position"])
        (run.path / name).unlink(missing_ok=True)
        if kind == "unsure" and position == extremes["sure"]["position"]:
            continue
        shown = evaluate.example(
            model.kernel, model.network, model.params, presentations, position, compartments, seed=seed
        )
        tensors = {
            "inputs": shown.inputs,
            "hidden": shown.hidden[:LARGEST_EXAMPLE],
            "visible": shown.visible[:LARGEST_EXAMPLE],
            "votes": shown.votes,
            "label": torch.tensor([shown.label]),
        }
        facts = {
            "bin_us": presentations.layout.bin_us,
            "index": shown.address,
            "answer": found["answer"],
            "entropy": found["entropy"],
            "begin": first_observed(model.network.spec.warm_up, len(shown.inputs)),
        }
        run.save_tensors(name, tensors, {key: str(value) for key, value in facts.items()})


MOST_FIELDS = 12


def _save_fields(run: RunFolder, model: Model) -> None:
    """Keep some receptive fields, for the report to draw without the network's code."""
    kind, *found = receptive_fields(model.network, model.params, MOST_FIELDS)
    run.save_tensors(
        "fields.safetensors", dict(zip(("field", "neuron", "lag"), found, strict=True)), {"kind": kind}
    )


def print_scores(scores: dict[str, Any]) -> None:
    """Scores as a small table on standard output."""
    print(
        f"{scores['split']}: {scores['presentations']} presentations, {scores['compartments']} compartments, "
        f"decoder {scores['decoder']}"
    )
    print(f"log-likelihood {scores['log_likelihood']:.2f} nats a presentation")
    named = [("network", scores)]
    if scores.get("baseline"):
        named.append((scores["baseline"]["name"], scores["baseline"]))
    rows = []
    for name, found in named:
        warmth = found["tempered"]
        rows.append((name, found))
        rows.append(
            (f"  at temperature {warmth['temperature']:.2f}", {"accuracy": found["accuracy"], **warmth})
        )
    width = max(len(name) for name, _ in rows)
    print(f"{'':{width}}  accuracy    ECE    NLL  Brier")
    for name, row in rows:
        print(
            f"{name:{width}}  {row['accuracy']:8.3f}  {row['ece']:5.3f}  {row['nll']:5.3f}  {row['brier']:5.3f}"
        )
