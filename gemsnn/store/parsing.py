"""JSON and TOML that anybody may have edited: plain values, or a refusal in one sentence.

What comes out can be handled without surprises: whole numbers fit 64 bits, texts can be encoded, nothing is nested
more than :data:`DEEPEST` levels.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gemsnn.errors import InputError
from gemsnn.types import AnyPath

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

DEEPEST = 50
LARGEST_TOML = 2**16
"""TOML of more characters is refused: settings have about a thousand."""

LONGEST_LINE = 2**13
"""TOML with a longer line is refused: the time to parse a dotted key grows with the square of its parts."""

_Kind = TypeVar("_Kind")


def read_text(path: AnyPath) -> str:
    """A file's text.

    Raises:
        InputError: it is missing, cannot be read, or is no UTF-8.
    """
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} is missing; restore it or give another path") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); check the path and permissions"
        ) from None
    except ValueError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}); restore it") from None


def parse_json(text: str, where: str) -> Any:
    """The value of a JSON text. NaN and infinity, which JSON has not but some programs write, become ``None``."""
    try:
        value = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where} is not valid JSON, it is damaged ({_reason(error)}); restore it or train again"
        ) from None
    _check(value, where)
    return value


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The tables of a TOML text."""
    if len(text) > LARGEST_TOML or max(map(len, text.splitlines()), default=0) > LONGEST_LINE:
        raise InputError(
            f"{where} is no settings file: it has more than {LARGEST_TOML} characters, or more than {LONGEST_LINE} in "
            "a line; give a TOML file of settings"
        )
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid TOML ({_reason(error)}); correct or restore it") from None
    _check(tables, where)
    return tables


def conform(value: Any, kind: type[_Kind], where: str) -> _Kind:
    """``value`` as it is, if it has the given type as msgspec understands types; keys beyond it may be there."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{where} holds what it should not ({error}); restore it or train again") from None
    return value


def _finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


def _reason(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _check(value: Any, where: str) -> None:
    level, depth = [value], 0
    while level:
        below: list[Any] = []
        for entry in level:
            if isinstance(entry, dict):
                below += [*entry.keys(), *entry.values()]
            elif isinstance(entry, list):
                below += entry
            elif isinstance(entry, int) and not -(2**63) <= entry < 2**63:
                raise InputError(f"{where} holds a whole number beyond 64 bits; correct or restore it")
            elif isinstance(entry, str) and not _encodes(entry):
                raise InputError(f"{where} holds half a character (a lone surrogate); correct or restore it")
        level, depth = below, depth + 1
        if depth > DEEPEST:
            raise InputError(f"{where} is nested more than {DEEPEST} levels deep; correct or restore it")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
