"""Real recordings of every kind, from the command line to a score above chance."""

from __future__ import annotations

import json
import shutil
from math import comb
from pathlib import Path

import pytest
from shared_data import shared

from gemsnn.commands.cli import main

CHANCE = 1e-4
"""How likely a network that knows nothing would pass one of these tests: seeds are fixed, so it is not drawn again."""


def by_chance(right: int, count: int, share: float) -> float:
    """How likely at least so many of ``count`` guesses are right that each are with probability ``share``."""
    return sum(comb(count, n) * share**n * (1 - share) ** (count - n) for n in range(right, count + 1))


def learned(out: Path, *words: str) -> dict:
    """The scores of the test part, and that they are not by chance."""
    small = ["--hidden", "32", "--votes", "5", "--out", str(out)]
    assert main(["train", *words, *small]) == 0
    scores = json.loads((out / "metrics.json").read_text())["best"]
    most = max(map(sum, scores["confusion"])) / scores["presentations"]
    right = round(scores["accuracy"] * scores["presentations"])
    assert by_chance(right, scores["presentations"], most) < CHANCE, scores["accuracy"]
    return scores
