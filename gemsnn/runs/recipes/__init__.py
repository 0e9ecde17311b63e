"""Settings that have been measured, by name: TOML files beside this one, each with its results in its comments.

A recipe may say more of single data sets, under ``[on.NAME]``: what helps there, and would not everywhere.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal, get_args

from gemsnn.runs import config
from gemsnn.runs.config import Settings
from gemsnn.store import parsing

RecipeName = Literal["paper", "best"]
RECIPES: tuple[RecipeName, ...] = get_args(RecipeName)


def tables(name: str, data: str | None = None) -> dict[str, dict[str, Any]]:
    """The settings that a recipe gives, by table and key; of ``data``, what it says of this data set besides."""
    text = (resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8")
    where = f"the recipe {name}"
    parsed = parsing.parse_toml(text, where)
    on = parsed.pop("on", {})
    return config.read_tables(parsed if data is None else on.get(data, {}), where)


def load(name: RecipeName) -> Settings:
    """The settings of a recipe, whatever the data."""
    return config.of_tables(tables(name))
