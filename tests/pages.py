"""What the documents tell a reader to type: their code, and their commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALL = ((r'dataset\("digits".*?\)', 'dataset("digits", limit=40)'), (r"gemsnn\.fit\(", "small("))


def blocks(page: str, language: str = "python") -> list[str]:
    """The blocks of a page in a language, in order; those without any are commands, or what they print."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def cells(page: str) -> list[str]:
    """The cells of a tutorial."""
    return blocks(page, r"\{code-cell\} ipython3")


def commands(page: str) -> list[list[str]]:
    """The words of the lines that call gemsnn, as they stand in a page's blocks."""
    lines = [line for block in blocks(page, "") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("gemsnn ")]


def smaller(code: str) -> str:
    """Code on forty digits, that calls ``small`` in place of ``gemsnn.fit``."""
    for found, instead in SMALL:
        code = re.sub(found, instead, code)
    return code
