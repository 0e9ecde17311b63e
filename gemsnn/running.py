"""A training from its settings to its run folder, and a run folder back to a model."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import torch

from gemsnn import baseline, config, console, evaluate, kernels, metrics, optimisers, parsing, report, train
from gemsnn import network as networks
from gemsnn.config import Settings
from gemsnn.data import datasets
from gemsnn.data.spikeset import SpikeSet, Splits
from gemsnn.errors import INTERRUPTED, InputError
from gemsnn.evaluate import Answers, Decoder, Prediction
from gemsnn.kernels import Kernel
from gemsnn.network import Network, Params
from gemsnn.records import RunFolder, provenance
from gemsnn.train import Learner, Progress, Watcher
from gemsnn.types import Layout, layout_from


class Begun(TypedDict):
    """What going on needs of a run's manifest."""

    status: str
    kernel: str
    data_sha256: str
    seconds: dict[str, float]


class Model(NamedTuple):
    """A network ready to run."""

    network: Network
    params: Params
    kernel: Kernel
    kernel_name: str


@contextmanager
def interruptible(what: str) -> Iterator[Callable[[], bool]]:
    """While inside, the first Ctrl-C or SIGTERM only raises a flag, and says what is waited for; a second ends all."""
    raised = False

    def handle(number: int, frame: Any) -> None:
        nonlocal raised
        if raised:
            raise KeyboardInterrupt
        raised = True
        console.say(f"stopping after this {what} (Ctrl-C again to stop at once)")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: raised
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def start_training(settings: Settings, out: Path) -> int:
    """Train in a new run folder, score, write the report; the exit code."""
    RunFolder.check_free(out)
    return _run_training(settings, out, None)


def resume(out: Path) -> int:
    """Go on with a run that was stopped, to its end; the exit code."""
    if (out / "config.toml").is_file() and not (out / "manifest.json").exists():
        return start_training(config.load(out / "config.toml"), out)  # it was stopped before it began
    run = RunFolder.open(out)
    manifest = parsing.conform(run.read_json("manifest.json"), Begun, str(out / "manifest.json"))
    if manifest.get("status") == "finished":
        raise InputError(f"{out} is finished; there is nothing to resume")
    return _run_training(config.load(out / "config.toml"), out, dict(manifest))


def _run_training(settings: Settings, out: Path, before: dict[str, Any] | None) -> int:
    """Train in the folder ``out``, from the start or, with the manifest of ``before``, from its last checkpoint."""
    began = time.perf_counter()
    splits = datasets.load(settings.data, progress=console.bar)
    for note in splits.notes:
        console.say(f"note: {note}")
    for part in ("train", "validation", "test"):
        part_of(splits, part)
    digest = splits.train.digest()
    if before is not None and before.get("data_sha256") != digest:
        raise InputError(
            f"the training data is not what {out} began with; restore it under {settings.data.root or 'the cache'}"
        )
    loaded = time.perf_counter()

    dtype = {"float32": torch.float32, "float64": torch.float64}[settings.network.dtype]
    seed, layout = settings.train.seed, splits.train.layout
    network = networks.build(settings.network.spec(layout), seed=seed, dtype=dtype)
    evaluate.check_decoder(settings.evaluate.decoder, network)
    wanted = settings.network.kernel if before is None else before["kernel"]
    name, kernel = kernels.choose(wanted, network, settings.learning)
    with console.status(
        f"preparing the {name} kernel (its first use compiles it, which takes half a minute)"
    ):
        kernels.warm_up(kernel, dtype)

    run = RunFolder.create(out) if before is None else RunFolder.open(out)
    with run.locked():
        if before is None:
            run.write("config.toml", config.dump(settings))
            manifest = {
                **provenance(),
                "seed": seed,
                "kernel": name,
                "decoder": settings.evaluate.decoder,
                "presentations": {
                    "train": len(splits.train),
                    "validation": len(splits.validation),
                    "test": len(splits.test),
                },
                "layout": layout._asdict(),
                "data_sha256": digest,
                "started": _now(),
                "finished": None,
                "status": "running",
                "seconds": {"data": round(loaded - began, 3)},
                "notes": list(splits.notes),
                "events": {part: tally._asdict() for part, tally in splits.tallies.items()},
            }
        else:
            manifest = before | {"status": "running", "resumed": [*before.get("resumed", []), _now()]}
        progress = _progress(run, settings, network)
        run.write_json("manifest.json", manifest)
        return _train_in(
            run, manifest, settings, splits, Model(network, progress.learner.params, kernel, name), progress
        )


def _progress(run: RunFolder, settings: Settings, network: Network) -> Progress:
    """What the last checkpoint of a run holds, or the beginning."""
    if not run.checkpoints.any:
        run.cut_metrics(0)
        return Progress(train.start(networks.init(network, settings.train.seed), settings.learning))
    tensors, facts = run.load_checkpoint(note=console.say)
    progress = train.progress_from(tensors, facts)
    networks.check_params(network, progress.learner.params)
    optimisers.check_state(settings.optimiser, progress.learner.optimiser, progress.learner.params)
    run.cut_metrics(facts.get("metrics_bytes"))
    console.say(f"going on after batch {progress.learner.batches}")
    return progress


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
        learner = progress.learner
        run.save_checkpoint(
            {**train.learner_tensors(learner), "mask": network.mask.to(torch.uint8)},
            {
                "batches": learner.batches,
                "updates": learner.optimiser.updates,
                "seed": seed,
                "window": list(progress.window),
                "seconds": progress.seconds,
            },
        )

    with interruptible("batch") as stopped:
        per_epoch = -(-len(splits.train) // settings.train.batch)
        with console.training_display(settings.train, per_epoch) as display:
            watcher = Watcher(run.append, display.show, save, stopped)
            learner, finished = train.fit(
                network, progress, splits.train, splits.validation, settings.train, settings.learning, kernel,
                decoder=settings.evaluate.decoder, watcher=watcher,
            )  # fmt: skip
        trained = time.perf_counter()
        model = model._replace(params=learner.params)
        scores = scores_of(
            model, splits, "test", settings.evaluate.vote_compartments, settings.evaluate.decoder, seed
        )
        scores = {"schema": 1, "status": "finished" if finished else "interrupted", "split": "test", **scores}
        scores["costs"]["scalars_per_step"] = evaluate.scalars_per_step(network, settings.train.compartments)
        scores["baseline"] = _baseline(splits)
        run.write_json("metrics.json", scores)
        _save_example(run, model, splits, settings.evaluate.vote_compartments, seed)
        manifest["seconds"] |= {
            "train": round(progress.seconds + trained - started, 3),
            "evaluate": round(time.perf_counter() - trained, 3),
        }
        manifest |= {"finished": _now(), "status": scores["status"]}
        run.write_json("manifest.json", manifest)
        page = report.write_report(run.path)
    warning = metrics.Mute(**scores["costs"]["mute_hidden_neurons"]).warning(network.spec.hidden_neurons)
    if warning is not None:
        console.say(f"note: {warning}")
    print_scores(scores)
    print(f"report: {page}")
    return 0 if finished else INTERRUPTED


def part_of(splits: Splits, name: str) -> SpikeSet:
    """A part of the data, which must not be empty."""
    presentations: SpikeSet = getattr(splits, name)
    if not len(presentations):
        raise InputError(f"the {name} part of the data is empty; give more recordings or a larger --limit")
    return presentations


def scores_of(
    model: Model, splits: Splits, part: str, compartments: int, decoder: Decoder, seed: int
) -> dict[str, Any]:
    """All scores of a model on a part of the data, at temperatures fitted on the validation part."""
    presentations = part_of(splits, part)
    given = (model.kernel, model.network, model.params)

    def predict(name: str) -> Prediction:
        parts = (part_of(splits, name), compartments)
        return evaluate.predict(*given, *parts, seed=seed, decoder=decoder, progress=console.bar)

    prediction = predict(part)
    held = prediction if part == "validation" else predict("validation")
    log_weights = evaluate.log_likelihood(
        *given, presentations, compartments, seed=seed, progress=console.bar
    )
    return evaluate.score(
        model.network,
        prediction,
        log_weights,
        bin_us=presentations.layout.bin_us,
        temperatures=evaluate.fitted_temperatures(held),
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
        "tempered": evaluate.tempered_scores(answers, labels, temperature),
    }


def _save_example(run: RunFolder, model: Model, splits: Splits, compartments: int, seed: int) -> None:
    shown = evaluate.example(
        model.kernel, model.network, model.params, splits.test, 0, min(compartments, 10), seed=seed
    )
    tensors = {name: getattr(shown, name) for name in ("inputs", "hidden", "visible", "votes")}
    tensors["label"] = torch.tensor([shown.label])
    run.save_tensors(
        "example.safetensors",
        tensors,
        {"bin_us": str(splits.test.layout.bin_us), "index": str(shown.address)},
    )


def print_scores(scores: dict[str, Any]) -> None:
    """Scores as a small table on standard output."""
    print(
        f"{scores['split']}: {scores['presentations']} presentations, {scores['compartments']} compartments, "
        f"decoder {scores['decoder']}, log-likelihood {scores['log_likelihood']:.2f} nats"
    )
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


class Trained(NamedTuple):
    """What a run folder's checkpoint holds."""

    network: Network
    learner: Learner
    layout: Layout


def load_trained(run: RunFolder, settings: Settings) -> Trained:
    """The network of a run folder's checkpoint, and what it has learned.

    Raises:
        InputError: the checkpoint is missing, damaged, or not one of this network.
    """
    tensors, facts = run.load_checkpoint()
    learner, mask = train.progress_from(tensors, facts).learner, tensors.get("mask")
    if mask is None:
        raise InputError(f"the checkpoint in {run.path} lacks the mask of the network; train again")
    manifest = run.read_json("manifest.json")
    layout = layout_from(manifest.get("layout"), f"the layout in {run.path / 'manifest.json'}")
    dtype = {"float32": torch.float32, "float64": torch.float64}[settings.network.dtype]
    network = networks.build(settings.network.spec(layout), mask=mask.bool(), dtype=dtype)
    networks.check_params(network, learner.params)
    return Trained(network, learner, layout)


def load_model(run: RunFolder, settings: Settings) -> Model:
    """The network of a run folder's checkpoint, ready to run."""
    network, learner, _ = load_trained(run, settings)
    name, kernel = kernels.choose(settings.network.kernel, network)
    with console.status(f"preparing the {name} kernel"):
        kernels.warm_up(kernel, learner.params.weight.dtype)
    return Model(network, learner.params, kernel, name)
