"""Settings in layers: the defaults, a recipe (and what it says of the data set), a TOML file, the flags; each overrides
the ones before it.

What a layer says is checked by itself (its keys and types); whether the numbers make sense, and whether each has an
effect, is asked of what they come to together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from gemsnn.errors import InputError
from gemsnn.rules import loading
from gemsnn.runs import config, recipes
from gemsnn.runs.config import Settings
from gemsnn.specs import fields as specs
from gemsnn.specs import needs
from gemsnn.specs.needs import Given
from gemsnn.store import parsing
from gemsnn.types import AnyPath

FLAGS = "flags"
CALL = "call"
"""The keywords of a function."""


class Layer(NamedTuple):
    """What one source says.

    Attributes:
        source: ``recipe NAME``, ``recipe NAME on DATA``, ``file PATH``, ``run FOLDER``, ``flags`` or ``call``.
        values: settings by name.
        asked: whether somebody asked for these very values; a run has them all, wanted or not.
    """

    source: str
    values: Mapping[str, Any]
    asked: bool = True


@dataclass(frozen=True)
class Layered:
    """Settings, and where they came from.

    Attributes:
        settings: what the layers come to.
        layers: from the first to the last; the defaults lie below them all.
    """

    settings: Settings = field(default_factory=Settings)
    layers: tuple[Layer, ...] = ()

    def record(self) -> list[dict[str, Any]]:
        """For a manifest: each layer, and the settings that it gave (a later layer's count)."""
        return [{"source": layer.source, "settings": sorted(layer.values)} for layer in self.layers]


def of_recipe(name: str) -> Layer:
    """The layer of a recipe.

    Raises:
        InputError: there is none of this name.
    """
    if name not in recipes.RECIPES:
        raise InputError(f"there is no recipe {name!r}; choose from {', '.join(recipes.RECIPES)}")
    return Layer(f"recipe {name}", _flat(recipes.tables(name)))


def of_data(name: str, data: str) -> list[Layer]:
    """What a recipe says of this data set besides, if anything."""
    values = _flat(recipes.tables(name, data))
    return [Layer(f"recipe {name} on {data}", values, asked=False)] if values else []


def of_file(path: AnyPath) -> Layer:
    """The layer of a TOML file.

    Raises:
        InputError: it is missing or no TOML, or a key or a type is not one of ours.
    """
    path = Path(path)
    parsed = parsing.parse_toml(parsing.read_text(path), str(path))
    return Layer(f"file {path}", _flat(config.read_tables(parsed, str(path))))


def of_run(run: AnyPath) -> Layer:
    """The layer of a run's settings.

    Raises:
        InputError: there is no such run, or its settings are not ours.
    """
    run = Path(run)
    if not (run / "config.toml").is_file():
        raise InputError(
            f"{run} is not a run folder (it lacks config.toml); give the folder that gemsnn train wrote"
        )
    written = of_file(run / "config.toml")
    return Layer(f"run {run}", {**specs.flat(config.FORMER), **written.values}, asked=False)


def _flat(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Settings by name alone: no two tables have the same."""
    return {key: value for part in parts.values() for key, value in part.items()}


def merged(defaults: Settings, layers: Sequence[Layer]) -> dict[str, Any]:
    """All settings by name, as far as these layers go; nothing is checked yet."""
    values = specs.flat(defaults)
    for layer in layers:
        values |= layer.values
    return values


def resolve(defaults: Settings, layers: Sequence[Layer]) -> Layered:
    """The settings that layers come to.

    A value that equals the default counts as given by a flag, but not by a file: the file of a run holds every
    setting. A path becomes absolute, so that a run can be used from any folder. A rule of one's own that
    somebody asked for is imported; one that a run had stays a place.

    Raises:
        InputError: a setting has no effect, a number makes no sense, a path cannot be written down, or a rule cannot be
            imported.
    """
    values, usual = merged(defaults, layers), specs.flat(defaults)
    chosen = next((layer for layer in reversed(layers) if "rule" in layer.values), None)
    if chosen is not None and chosen.asked:
        values["rule"] = loading.given(values["rule"])
    given, decided = {}, {}
    for level, layer in enumerate(layers, 1):
        for name, value in layer.values.items():
            decided[name] = level
            if layer.source in (FLAGS, CALL):
                given[name] = Given(level, needs.flag(name) if layer.source == FLAGS else name)
            elif layer.asked and value != usual[name]:
                given[name] = Given(level, f"{name} in the {layer.source}")
            else:
                given.pop(name, None)
    resting = needs.settle(needs.declared(specs.declarations(Settings)), values, given, decided, usual)
    values |= {name: usual[name] for name in resting}
    return Layered(
        specs.filled(Settings, {name: _kept(name, value) for name, value in values.items()}), tuple(layers)
    )


def _kept(name: str, value: Any) -> Any:
    """A value as it can be kept: paths absolute, and such as can be written down."""
    if not isinstance(value, Path):
        return value
    writable(value, needs.flag(name))
    return Path(os.path.abspath(value))  # noqa: PTH100  (links stay as they are)


def writable(path: AnyPath, named: str) -> None:
    """Raise :class:`InputError` where a path is no UTF-8, so that no file of a run can name it."""
    path = Path(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{named} {str(path).encode('utf-8', 'backslashreplace').decode()} is not valid UTF-8, so it cannot be "
            "written down; rename it or make a link to it"
        ) from None
