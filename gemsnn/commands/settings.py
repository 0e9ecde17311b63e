"""The settings that a recipe or a TOML file among a command's words gives, which its flags then override."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gemsnn import config, recipes
from gemsnn.config import Settings
from gemsnn.errors import InputError
from gemsnn.recipes import RecipeName


def settings_of(words: Sequence[str], recipe: RecipeName | None = None) -> Settings:
    """The settings of the TOML file that ``--config`` names or of the recipe, by default of ``recipe``."""
    named = _word_after("--config", words)
    if named is not None:
        return config.load(Path(named))
    wanted = _word_after("--recipe", words) or recipe
    if wanted is None:
        return Settings()
    if wanted not in recipes.RECIPES:
        raise InputError(f"there is no recipe {wanted!r}; choose from {', '.join(recipes.RECIPES)}")
    return recipes.load(wanted)


def _word_after(flag: str, words: Sequence[str]) -> str | None:
    for position, word in enumerate(words):
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
        if word == flag and position + 1 < len(words):
            return words[position + 1]
    return None
