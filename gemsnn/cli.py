"""The command line: parse, wire data to network, call, exit."""

from __future__ import annotations

import dataclasses
import json as json_module
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import tyro

from gemsnn import config, console, evaluate, recipes, report, running, streaming
from gemsnn.bench import figures as bench_figures
from gemsnn.bench import suite as bench_suite
from gemsnn.config import Groups, Settings
from gemsnn.data import datasets
from gemsnn.data.readers import describe
from gemsnn.evaluate import Decoder
from gemsnn.recipes import RecipeName
from gemsnn.records import RunFolder
from gemsnn.reproduce import figures as sweep_figures
from gemsnn.reproduce import k_sweep
from gemsnn.reproduce.k_sweep import SweepSpec
from gemsnn.streaming import StreamSpec
from gemsnn.types import InputError


def _evaluate(
    run: Path, compartments: int, split: str, decoder: Decoder | None, seed: int | None, json: bool
) -> int:
    folder = RunFolder.open(run)
    settings = config.load(run / "config.toml")
    model = running.load_model(folder, settings)
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
        **running.scores_of(model, splits, split, compartments, decoder, seed),
    }
    if json:
        print(json_module.dumps(scores, allow_nan=False))
    else:
        running.print_scores(scores)
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
        running.part_of(splits, part)
    with console.status("compiling and running; a line for every part that is done"):
        results = k_sweep.run(settings, sweep, out, say=console.say, quick=quick)
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
        return running.INTERRUPTED


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
            return running.resume(resume)
        return running.start_training(
            settings, out or Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S")
        )

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

    def stream_command(
        model: Path,
        input: str,
        stream: StreamSpec = StreamSpec(),  # noqa: B008
    ) -> int:
        """Run a trained network on events as they come, a line of JSON an answer.

        Args:
            model: the run folder of a training.
            input: a file of events, - for lines of text on standard input, or udp://127.0.0.1:PORT.
            stream: how it runs.
        """
        return streaming.run(model, input, stream)

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
            quick: two K, two seeds, few presentations, to see that it works; the numbers then show nothing.
        """
        return _reproduce(settings, SweepSpec(compartments_list, seeds, votes, jobs), out, quick)

    return tyro.extras.subcommand_cli_from_dict(
        {
            "train": train_command,
            "evaluate": evaluate_command,
            "stream": stream_command,
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
