"""The command line: parse, wire data to network, call, exit."""

from __future__ import annotations

import dataclasses
import json as json_module
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

import torch
import tyro

from gemsnn import (
    baseline,
    config,
    console,
    evaluate,
    kernels,
    metrics,
    optimisers,
    parsing,
    recipes,
    report,
    train,
)
from gemsnn import network as networks
from gemsnn.bench import figures as bench_figures
from gemsnn.bench import suite as bench_suite
from gemsnn.config import Groups, Settings
from gemsnn.data import datasets
from gemsnn.data.readers import describe
from gemsnn.data.spikeset import SpikeSet, Splits
from gemsnn.evaluate import Answers, Decoder, Prediction
from gemsnn.kernels import Kernel
from gemsnn.network import Network, Params
from gemsnn.recipes import RecipeName
from gemsnn.records import RunFolder, provenance
from gemsnn.reproduce import figures as sweep_figures
from gemsnn.reproduce import k_sweep
from gemsnn.reproduce.k_sweep import SweepSpec
from gemsnn.train import Learner, Progress, Watcher
from gemsnn.types import InputError, layout_from


class Begun(TypedDict):
    """What going on needs of a run's manifest."""

    status: str
    kernel: str
    data_sha256: str
    seconds: dict[str, float]


INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it."""


class Model(NamedTuple):
    """A network ready to run."""

    network: Network
    params: Params
    kernel: Kernel
    kernel_name: str


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """While inside, the first Ctrl-C or SIGTERM only raises a flag, which is told; the second one ends all."""
    raised = False

    def handle(number: int, frame: Any) -> None:
        nonlocal raised
        if raised:
            raise KeyboardInterrupt
        raised = True
        console.say("stopping after this batch (Ctrl-C again to stop at once)")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: raised
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _train(settings: Settings, out: Path) -> int:
    RunFolder.check_free(out)
    return _run_training(settings, out, None)


def _resume(out: Path) -> int:
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
        _part(splits, part)
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
    checkpoint = run.path / "checkpoint"
    if not checkpoint.is_dir() or not any(checkpoint.glob("*.json")):
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

    with interruptible() as stopped:
        per_epoch = -(-len(splits.train) // settings.train.batch)
        with console.training_display(settings.train, per_epoch) as display:
            watcher = Watcher(run.append, display.show, save, stopped)
            learner, finished = train.fit(
                network, progress, splits.train, splits.validation, settings.train, settings.learning, kernel,
                decoder=settings.evaluate.decoder, watcher=watcher,
            )  # fmt: skip
        trained = time.perf_counter()
        model = model._replace(params=learner.params)
        scores = _scores(
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
    _print_scores(scores)
    print(f"report: {page}")
    return 0 if finished else INTERRUPTED


def _part(splits: Splits, name: str) -> SpikeSet:
    presentations: SpikeSet = getattr(splits, name)
    if not len(presentations):
        raise InputError(f"the {name} part of the data is empty; give more recordings or a larger --limit")
    return presentations


def _scores(
    model: Model, splits: Splits, part: str, compartments: int, decoder: Decoder, seed: int
) -> dict[str, Any]:
    presentations = _part(splits, part)
    given = (model.kernel, model.network, model.params)

    def predict(name: str) -> Prediction:
        parts = (_part(splits, name), compartments)
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


def _print_scores(scores: dict[str, Any]) -> None:
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


def restore(run: RunFolder, settings: Settings) -> tuple[Network, Learner]:
    """The network and the learner of a run folder's checkpoint.

    Raises:
        InputError: the checkpoint is damaged, or does not belong to the settings and the manifest.
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
    return network, learner


def load_model(run: RunFolder, settings: Settings) -> Model:
    """The network of a run folder's checkpoint."""
    network, learner = restore(run, settings)
    name, kernel = kernels.choose(settings.network.kernel, network)
    with console.status(f"preparing the {name} kernel"):
        kernels.warm_up(kernel, learner.params.weight.dtype)
    return Model(network, learner.params, kernel, name)


def _evaluate(
    run: Path, compartments: int, split: str, decoder: Decoder | None, seed: int | None, json: bool
) -> int:
    folder = RunFolder.open(run)
    settings = config.load(run / "config.toml")
    model = load_model(folder, settings)
    decoder = decoder or settings.evaluate.decoder
    evaluate.check_decoder(decoder, model.network)
    splits = datasets.load(settings.data, progress=console.bar)
    layout, spec = splits.train.layout, model.network.spec
    if (layout.inputs, layout.classes) != (spec.inputs, spec.visible):
        raise InputError(
            f"the data has {layout.inputs} inputs and {layout.classes} classes where the network of {run} has "
            f"{spec.inputs} and {spec.visible}; restore the data or the run's config.toml"
        )
    seed = settings.train.seed if seed is None else seed
    scores = {
        "split": split,
        "kernel": model.kernel_name,
        **_scores(model, splits, split, compartments, decoder, seed),
    }
    if json:
        print(json_module.dumps(scores, allow_nan=False))
    else:
        _print_scores(scores)
    return 0


def _bench(
    task: str, names: str | None, json: bool, repeat: int, quick: bool, figures: Path | None, with_peers: bool
) -> int:
    if figures is not None:
        bench_figures.check(task)
    presentations = datasets.load(datasets.DataSpec(), progress=console.bar).train
    rows = []
    try:
        for row in bench_suite.run(
            presentations, task, names, repeat=repeat, quick=quick, with_peers=with_peers
        ):
            rows.append(row)
            if json:
                print(bench_suite.write_json(row), flush=True)
    finally:
        if rows and not json:
            bench_suite.print_table(rows)
        if rows and figures is not None:
            for path in bench_figures.draw(rows, figures):
                console.say(f"figure: {path}")
    return 0


QUICK_SWEEP = SweepSpec(compartments=(1, 3), seeds=2, votes=6)
"""A sweep to see that all works."""


def _reproduce(settings: Settings, sweep: SweepSpec, out: Path, quick: bool) -> int:
    if quick:
        sweep = dataclasses.replace(QUICK_SWEEP, jobs=sweep.jobs)
        settings = dataclasses.replace(
            settings,
            data=dataclasses.replace(settings.data, limit=settings.data.limit or 64),
            train=dataclasses.replace(settings.train, epochs=1),
        )
    splits = datasets.load(settings.data, progress=console.bar)  # made here once, then read by every part
    for part in ("train", "validation", "test"):
        _part(splits, part)
    with console.status("compiling and running; a line for every part that is done"):
        results = k_sweep.run(settings, sweep, out, say=console.say)
    print(k_sweep.table(results))
    for path in sweep_figures.draw(results, out):
        print(f"figure: {path}")
    print(f"numbers: {out / 'results.json'}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 2 for bad input, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except InputError as error:
        print(f"gemsnn: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"gemsnn: {error.strerror or error}{where}; what was written before is whole", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(
            error
        ):  # torch has no type for it
            raise
        print("gemsnn: this needs more memory than there is; take fewer or smaller parts", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gemsnn: stopped", file=sys.stderr)
        return INTERRUPTED


def _dispatch(words: list[str]) -> int:
    defaults = Settings()
    if words[:1] == ["train"]:
        defaults = _settings_of(words)
    elif words[:1] == ["reproduce"]:
        defaults = _settings_of(words, "paper")

    def train_command(
        settings: Settings = defaults,
        out: Path | None = None,
        config: Path | None = None,
        recipe: RecipeName | None = None,
        resume: Path | None = None,
    ) -> int:
        """Train a network, score it on the test part and write a report.

        Args:
            settings: every setting; a recipe or a TOML file gives them, flags override it.
            out: the run folder to make; by default runs/ and the time.
            config: a TOML file of settings.
            recipe: settings that have been measured, by name.
            resume: a run folder whose training was stopped: go on to its end, with its settings.
        """
        if resume is not None:
            if len(words) > 3 or out is not None:
                raise InputError("--resume takes all settings from the run; leave out the other flags")
            return _resume(resume)
        return _train(settings, out or Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S"))

    def evaluate_command(
        run: tyro.conf.Positional[Path],
        compartments: int = 20,
        split: Literal["test", "validation", "train"] = "test",
        decoder: Decoder | None = None,
        seed: int | None = None,
        json: bool = False,
    ) -> int:
        """Score a trained network.

        Args:
            run: the run folder.
            compartments: how many compartments answer.
            split: the part of the data.
            decoder: how they answer, votes or likelihood; by default as the run does.
            seed: the seed of the noise; by default the run's.
            json: print one JSON object with all numbers.
        """
        if compartments < 1:
            raise InputError(f"compartments must be at least 1, not {compartments}")
        return _evaluate(run, compartments, split, decoder, seed, json)

    def info_command(file: tyro.conf.Positional[Path], json: bool = False) -> int:
        """Say what a file of events or images holds.

        Args:
            file: the file.
            json: print one JSON object.
        """
        found = describe(file)
        if json:
            print(json_module.dumps(found, allow_nan=False))
        else:
            for name, value in found.items():
                print(f"{name}: {value}")
        return 0

    def report_command(run: tyro.conf.Positional[Path]) -> int:
        """Write the report of a run folder anew.

        Args:
            run: the run folder.
        """
        print(report.write_report(run))
        return 0

    def bench_command(
        task: Literal["paper", "batch", "infer", "digits", "growth", "peers", "all"] = "paper",
        kernels: str | None = None,
        json: bool = False,
        repeat: int = 5,
        quick: bool = False,
        figures: Path | None = None,
        with_peers: bool = False,
    ) -> int:
        """Measure time and memory of the kernels, against the reference and this machine's matrix products.

        Args:
            task: the sizes to measure.
            kernels: names with commas between them; by default all.
            json: print one JSON object a line.
            repeat: repeats of which the best counts.
            quick: tiny sizes, to see that all works.
            figures: a folder for figures of time against K, T, H and M.
            with_peers: task peers: measure other libraries too, in an environment of their own (made at first use).
        """
        return _bench(task, kernels, json, repeat, quick, figures, with_peers)

    def reproduce_command(
        experiment: tyro.conf.Positional[Literal["k-sweep"]],
        settings: Settings = defaults,
        compartments_list: Groups = SweepSpec.compartments,
        seeds: int = SweepSpec.seeds,
        votes: int = SweepSpec.votes,
        jobs: int = SweepSpec.jobs,
        out: Path = Path("runs") / "k-sweep",
        config: Path | None = None,
        recipe: RecipeName = "paper",
        quick: bool = False,
    ) -> int:
        """Run an experiment of the paper: train with K compartments, answer with K_I, over several seeds.

        A sweep that was stopped goes on where the same command finds its folder.

        Args:
            experiment: which one.
            settings: every setting; a recipe or a TOML file gives them, flags override it. Compartments and seed are
                the sweep's.
            compartments_list: the K of training, with commas between them.
            seeds: how many seeds, from 0 on.
            votes: the largest K_I.
            jobs: networks trained at a time, each with one thread.
            out: the folder of parts, results.json and figures.
            config: a TOML file of settings.
            recipe: settings that have been measured, by name.
            quick: two K, two seeds, few presentations, to see that it works.
        """
        return _reproduce(settings, SweepSpec(compartments_list, seeds, votes, jobs), out, quick)

    return tyro.extras.subcommand_cli_from_dict(
        {
            "train": train_command,
            "evaluate": evaluate_command,
            "info": info_command,
            "report": report_command,
            "bench": bench_command,
            "reproduce": reproduce_command,
        },
        prog="gemsnn",
        description="Probabilistic spiking neural networks that learn online and know what they do not know.",
        args=words,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )


def _settings_of(words: list[str], recipe: RecipeName | None = None) -> Settings:
    """The settings of the TOML file that ``--config`` names or of the recipe, which flags then override."""
    named = _word_after("--config", words)
    if named is not None:
        return config.load(Path(named))
    wanted = _word_after("--recipe", words) or recipe
    if wanted is None:
        return Settings()
    if wanted not in recipes.RECIPES:
        raise InputError(f"there is no recipe {wanted!r}; choose from {', '.join(recipes.RECIPES)}")
    return recipes.load(wanted)


def _word_after(flag: str, words: list[str]) -> str | None:
    for position, word in enumerate(words):
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
        if word == flag and position + 1 < len(words):
            return words[position + 1]
    return None
