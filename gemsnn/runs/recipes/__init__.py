"""Settings that have been measured, by name: TOML files beside this one, each with its results in its comments."""

from __future__ import annotations

from importlib import resources
from typing import Literal, get_args

from gemsnn.runs import config
from gemsnn.runs.config import Settings

RecipeName = Literal["paper", "best"]
RECIPES: tuple[RecipeName, ...] = get_args(RecipeName)


def read(name: str) -> str:
    """The TOML of a recipe."""
    return (resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8")


def load(name: RecipeName) -> Settings:
    """The settings of a recipe."""
    return config.parse(read(name), f"the recipe {name}")
