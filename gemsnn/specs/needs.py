"""Settings that another setting gives their effect, told where they are declared.

A field or parameter is annotated with what it needs::

    density: Annotated[float, needs(one_of("topology", "sparse"))] = 0.1

and whoever takes such settings from a person refuses the given ones that would have no effect (:func:`settle`).
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gemsnn.errors import InputError


@dataclass(frozen=True)
class Condition:
    """Something that holds of another setting.

    Attributes:
        other: its name.
        holds: whether its value is one that fulfils the condition.
        words: the condition as a person would fulfil it.
    """

    other: str
    holds: Callable[[Any], bool]
    words: str


@dataclass(frozen=True)
class Needs:
    """Conditions of which one must hold."""

    conditions: tuple[Condition, ...]

    def met(self, values: Mapping[str, Any]) -> bool:
        """Whether one of them does."""
        return any(condition.holds(values[condition.other]) for condition in self.conditions)

    @property
    def words(self) -> str:
        """All of them, as a person would fulfil one."""
        return " or ".join(condition.words for condition in self.conditions)


def needs(*conditions: Condition) -> Needs:
    """For ``Annotated``: the setting has an effect only where one of these holds."""
    return Needs(conditions)


def one_of(other: str, *values: Any) -> Condition:
    """The other setting has one of these values."""
    return Condition(other, lambda value: value in values, f"{flag(other)} {' or '.join(map(str, values))}")


def other_than(other: str, value: Any) -> Condition:
    """The other setting is not this value."""
    return Condition(other, lambda found: found != value, f"{flag(other)} other than {value}")


def above(other: str, bound: float) -> Condition:
    """The other setting is a number above this one."""
    return Condition(other, lambda value: value > bound, f"{flag(other)} above {bound}")


def given(other: str) -> Condition:
    """The other setting is on, or not empty."""
    return Condition(other, bool, flag(other))


def without(other: str) -> Condition:
    """The other setting is off, or not given."""
    return Condition(other, lambda value: not value, f"no {flag(other)}")


def flag(name: str) -> str:
    """A setting's flag on the command line."""
    return f"--{name.replace('_', '-')}"


def of(hint: Any) -> tuple[Needs, ...]:
    """What an annotation declares."""
    return tuple(each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Needs))


def declared(hints: Mapping[str, Any]) -> dict[str, tuple[Needs, ...]]:
    """What several annotations declare, by name; those that declare nothing are left out."""
    return {name: found for name, hint in hints.items() if (found := of(hint))}


def hints_of(holder: Any) -> dict[str, Any]:
    """The annotations of a dataclass or a function, with all that they declare."""
    return typing.get_type_hints(holder, include_extras=True)


@dataclass(frozen=True)
class Given:
    """Who gave a setting.

    Attributes:
        level: layers are numbered from 1 on, each overriding those before it.
        named: the setting as that layer writes it, for a message.
    """

    level: int
    named: str


def settle(
    declared: Mapping[str, tuple[Needs, ...]],
    values: Mapping[str, Any],
    given: Mapping[str, Given],
    decided: Mapping[str, int],
    defaults: Mapping[str, Any],
) -> list[str]:
    """Refuse what was given without effect; the names of what a later layer has left without effect.

    A later layer may choose what leaves a setting of an earlier one without effect (``--topology full`` over a file
    with a density): that one rests, and is no mistake.

    Args:
        declared: what settings need, by name.
        values: all settings.
        given: who gave them, for those that were.
        decided: the last layer that chose a setting, for those that one did.
        defaults: what a setting is while it rests.

    Raises:
        InputError: a setting was given where it has no effect.
    """
    values, given, decided, resting = dict(values), dict(given), dict(decided), []
    while (found := _unmet(declared, values, given)) is not None:
        name, unmet = found
        level = max(decided.get(condition.other, 0) for condition in unmet.conditions)
        if level <= given[name].level:
            raise InputError(
                f"{given[name].named} has no effect: it needs {unmet.words}; leave it out, or give what it needs"
            )
        del given[name]
        resting.append(name)
        values[name], decided[name] = defaults[name], level
    return resting


def _unmet(
    declared: Mapping[str, tuple[Needs, ...]], values: Mapping[str, Any], given: Mapping[str, Given]
) -> tuple[str, Needs] | None:
    """The first setting that was given and has no effect, with what it needs."""
    for name in given:
        for each in declared.get(name, ()):
            if not each.met(values):
                return name, each
    return None
