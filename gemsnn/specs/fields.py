"""Dataclasses of settings, field by field: flat, filled, and unchecked while they are not complete."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeGuard

from gemsnn.specs import needs


@dataclass(frozen=True)
class Written:
    """For ``Annotated``: in files and on the command line the setting is written as this type."""

    kind: type


def is_group(hint: Any) -> TypeGuard[type]:
    """Whether an annotation is a dataclass: a group of settings, not one."""
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


@functools.cache
def unchecked(kind: type) -> type:
    """A dataclass of the same fields that takes any values, for settings that are not complete yet.

    Its docstring, which is shown to people, has no marks.
    """
    fields: list[Any] = []
    for name, hint in needs.hints_of(kind).items():
        item = kind.__dataclass_fields__[name]
        if is_group(hint):
            inner = unchecked(hint)
            fields.append((name, inner, field(default_factory=inner)))
        else:
            fields.append((name, _as_written(hint), field(default=item.default)))
    made = dataclasses.make_dataclass(kind.__name__, fields, frozen=True)
    made.__doc__ = plain(kind.__doc__ or "")
    made.__module__ = kind.__module__
    return made


def _as_written(hint: Any) -> Any:
    """An annotation, its type that of what is written."""
    marks = getattr(hint, "__metadata__", ())
    kind = next((mark.kind for mark in marks if isinstance(mark, Written)), None)
    return hint if kind is None else Annotated[(kind, *marks)]


def plain(text: str) -> str:
    """A docstring without the marks of reStructuredText."""
    return re.sub(r":[a-z]+:`~?([^`]*)`|``([^`]*)``", lambda found: found[1] or found[2], text)


def flat(value: Any) -> dict[str, Any]:
    """The fields of a dataclass and of those within it, by name."""
    found: dict[str, Any] = {}
    for item in dataclasses.fields(value):
        entry = getattr(value, item.name)
        found |= flat(entry) if dataclasses.is_dataclass(entry) else {item.name: entry}
    return found


def filled(kind: type, values: Mapping[str, Any]) -> Any:
    """A dataclass, and those within it, with these values of its fields."""
    hints = needs.hints_of(kind)
    return kind(
        **{name: filled(hint, values) if is_group(hint) else values[name] for name, hint in hints.items()}
    )


def declarations(kind: type) -> dict[str, Any]:
    """The annotations of a dataclass' fields and of those within it, by name."""
    found: dict[str, Any] = {}
    for name, hint in needs.hints_of(kind).items():
        found |= declarations(hint) if is_group(hint) else {name: hint}
    return found
