"""All settings as flags of a command, over the layers that ``--recipe`` and ``--config`` name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from gemsnn.commands.flags import Usual, word_after
from gemsnn.runs import layers
from gemsnn.runs.config import Settings
from gemsnn.runs.layers import FLAGS, Layer, Layered
from gemsnn.specs import fields as specs

DEFAULT = "best"
"""The recipe whose settings are the defaults."""


class FromLayers:
    """See :class:`gemsnn.commands.flags.Group`: the parameter's default, then the recipe, then the file;
    of a command that goes on from a run, the run's settings instead of both.
    """

    kind = Settings

    def base(self, usual: Usual) -> Any:
        """What the flags override."""
        values = layers.merged(usual.default.settings, _below(usual))
        return specs.filled(specs.unchecked(Settings), values)

    def finish(self, usual: Usual, values: Mapping[str, Any], given: Collection[str]) -> Layered:
        """What the layers come to."""
        names = specs.declarations(Settings)
        top = Layer(FLAGS, {name: values[name] for name in given if name in names})
        below = _below(usual)
        return layers.resolve(usual.default.settings, [*below, top] if top.values else below)


def _below(usual: Usual) -> list[Layer]:
    recipe = word_after("--recipe", usual.words) or usual.defaults["recipe"]
    file = word_after("--config", usual.words)
    run = word_after("--resume", usual.words)
    if run is None and recipe is None and file is None:
        run = word_after("--from", usual.words)
    if run is not None:
        return [layers.of_run(Path(run))]
    named = [] if recipe is None else [layers.of_recipe(recipe)]
    given = [] if file is None else [layers.of_file(Path(file))]
    told = layers.merged(usual.default.settings, [*named, *given])
    data = word_after("--data", usual.words) or str(told["data"])
    return [*named, *layers.of_data(recipe or DEFAULT, data), *given]


AllSettings = Annotated[Layered, FromLayers()]
"""The annotation of a parameter that is all settings."""
