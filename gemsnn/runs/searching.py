"""The search of settings that a run begins with, in its folder: ``tuning.jsonl``, by which a stopped one goes on.

The first line says for how long is searched and what somebody has given, then comes a line for every trial.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec

from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.runs import config, console, tuning
from gemsnn.runs.layers import FLAGS, Layer, Layered
from gemsnn.runs.tuning import Trial, Tuned
from gemsnn.store import parsing
from gemsnn.store.records import RunFolder
from gemsnn.types import AnyPath

TUNING = "tuning.jsonl"


class Search(msgspec.Struct, frozen=True):
    """The journal's first line.

    Attributes:
        minutes: of the search.
        given: names of the settings that somebody has given.
    """

    minutes: Annotated[float, msgspec.Meta(gt=0)]
    given: tuple[str, ...]


def given_names(given: Layered) -> tuple[str, ...]:
    """The settings that somebody has given, by flags or in a file: what a recipe says is nobody's wish."""
    asked = [layer for layer in given.layers if layer.source == FLAGS or layer.source.startswith("file ")]
    return tuple(sorted({name for layer in asked for name in layer.values}))


def begin(run: RunFolder, given: Layered, minutes: float) -> None:
    """Write down that a run begins with a search, before any data is read."""
    run.write("config.toml", config.dump(given.settings))
    run.write(TUNING, _line(msgspec.to_builtins(Search(minutes, given_names(given)))))


def is_begun(run: RunFolder) -> bool:
    """Whether a run has begun with a search."""
    return (run.path / TUNING).exists()


def searched(run: RunFolder, given: Layered, splits: Splits) -> tuple[Layered, Tuned]:
    """Search, from where the journal ends; the settings with what was found as their last layer.

    Raises:
        InputError: the journal is damaged, or see :func:`gemsnn.runs.tuning.search`.
    """
    spec, trials = _read(run)
    if trials:
        console.say(f"going on with the search of settings after {len(trials)} trials")
    else:
        console.say(f"searching settings for {spec.minutes:g} minutes")

    def tell(trial: Trial) -> None:
        nonlocal trials
        trials = [*trials, trial]
        with (run.path / TUNING).open("a") as file:
            file.write(_line(msgspec.to_builtins(trial)))
        worth = trial.state if trial.nll is None else f"NLL {trial.nll:.3f}"
        if trial is tuning.best_of(trials):
            worth += ", the least so far"
        console.say(
            f"trial {len(trials)}  {worth}  ({tuning.in_words(trial.settings)}; {trial.seconds:.0f} s)"
        )

    with console.interruptible("batch") as stopped:
        found = tuning.search(
            splits.train, splits.validation, given.settings, spec.given, spec.minutes,
            trials=trials, tell=tell, stop=stopped, progress=console.bar,
        )  # fmt: skip
    if not found.ended:
        return given, found
    console.say(found.told())
    settings = tuning.with_settings(given.settings, found.settings)
    layers = (*given.layers, Layer("tuning", found.settings, asked=False))
    return Layered(settings, layers), found


def _read(run: RunFolder) -> tuple[Search, list[Trial]]:
    """The journal; a last line that was not written to its end is cut off."""
    path = run.path / TUNING
    head, *lines = parsing.read_text(path).splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        run.write(TUNING, "".join([head, *lines[:-1]]))
        lines = lines[:-1]
    try:
        spec = msgspec.json.decode(head, type=Search)
        trials = [msgspec.json.decode(line, type=Trial) for line in lines]
    except msgspec.MsgspecError as error:
        raise InputError(f"{path} is damaged ({error}); remove {run.path} and train again") from None
    return spec, [msgspec.structs.replace(trial, settings=_tuples(trial.settings)) for trial in trials]


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def _line(value: Any) -> str:
    return json.dumps(value, allow_nan=False) + "\n"


def check_resumed(path: AnyPath, given: Layered, old: Layered) -> None:
    """Raise :class:`InputError` where a run whose search has not ended is to go on with other settings."""
    if (Path(path) / TUNING).exists() and given.settings != old.settings:
        raise InputError(
            f"the settings of {path} are still being searched; go on without other settings, and change them when "
            "it is trained"
        )
