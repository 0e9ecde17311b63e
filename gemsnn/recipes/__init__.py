"""Settings that have been measured, by name: TOML files beside this one, each with its results in its comments."""

from __future__ import annotations

from importlib import resources
from typing import Literal, get_args

from gemsnn import config
from gemsnn.config import Settings

RecipeName = Literal["paper", "best"]
RECIPES: tuple[RecipeName, ...] = get_args(RecipeName)


def load(name: RecipeName) -> Settings:
    """The settings of a recipe."""
    with resources.as_file(resources.files(__name__) / f"{name}.toml") as path:
        return config.load(path)
