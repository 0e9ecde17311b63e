"""A command's flags: read from its signature, and refused in one sentence where they cannot be used."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import io
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import docstring_parser
import tyro

from gemsnn.errors import InputError
from gemsnn.specs import fields as specs
from gemsnn.specs import needs
from gemsnn.specs.needs import Given

OPEN_SWITCH = bool | None
"""What is on, off, or for the program to choose."""

POSITIONAL = typing.get_args(tyro.conf.Positional[int])[1:]

MEANT = {
    "learning-rate": "lr", "step-size": "lr", "eta": "lr", "batch-size": "batch", "epoch": "epochs", "bs": "batch",
    "iterations": "epochs", "optimizer": "optimiser", "dataset": "data", "data-dir": "root", "path": "root",
    "folder": "root", "output-dir": "out", "out-dir": "out", "hidden-size": "hidden", "layers": "hidden",
    "vote-compartments": "votes", "compartments": "votes", "samples": "votes", "particles": "compartments",
    "random-seed": "seed", "model": "run", "precision": "dtype", "backend": "kernel",
}  # fmt: skip
"""What flags are called elsewhere or were called before, and their name here; the nearest name comes after these."""


class Group(Protocol):
    """A parameter that is a flag for each field of a dataclass."""

    @property
    def kind(self) -> type:
        """The dataclass."""
        ...

    def base(self, usual: Usual) -> Any:
        """The values that the flags override, as an unchecked dataclass."""
        ...

    def finish(self, usual: Usual, values: Mapping[str, Any], given: Collection[str]) -> Any:
        """The parameter's value, from all values by name and the names of those that flags gave."""
        ...


class Usual(NamedTuple):
    """What a parameter's value is without flags of its own.

    Attributes:
        default: the parameter's default.
        words: all words of the command line, for a group that looks for more defaults there.
        defaults: those of all parameters.
    """

    default: Any
    words: Sequence[str]
    defaults: Mapping[str, Any]


@dataclass(frozen=True)
class Plain:
    """A parameter that is a dataclass."""

    kind: type

    def base(self, usual: Usual) -> Any:
        """Its default."""
        return specs.filled(specs.unchecked(self.kind), specs.flat(usual.default))

    def finish(self, usual: Usual, values: Mapping[str, Any], given: Collection[str]) -> Any:
        """With its checks; that each flag has an effect is asked of the whole command."""
        return specs.filled(self.kind, values)


class Flag(NamedTuple):
    """A flag, for whoever lists them.

    Attributes:
        word: as it stands on the command line.
        takes: what comes after it.
        values: words that may.
        about: what is said of it, up to the first stop.
    """

    word: str
    takes: Literal["nothing", "word", "file"]
    values: tuple[str, ...]
    about: str


class Listing(list[str]):
    """Words that ask a command for its flags: it leaves them here, and does nothing else."""

    flags: tuple[Flag, ...] = ()


HELP, ALL = ("-h", "--help"), "--help-all"


def bind(
    name: str, command: Callable[..., int], words: Sequence[str], basic: Sequence[str] = ()
) -> partial[int]:
    """A command with the values of its flags, ready to be called.

    A parameter that is a dataclass is a flag for each of its fields, and so is one annotated with a :class:`Group`.

    Args:
        name: the command's.
        command: the function.
        words: of the command line.
        basic: the flags that ``--help`` shows of a command with more than fit a screen; ``--help-all`` shows all.

    Raises:
        InputError: a flag is unknown, comes twice, has no value that it could have, or has no effect.
        SystemExit: help was asked for and shown.
    """
    prog, parameters = f"gemsnn {name}", inspect.signature(command).parameters
    defaults = {key: each.default for key, each in parameters.items()}
    hints = {key: kind for key, kind in needs.hints_of(command).items() if key != "return"}
    groups = {key: group for key, kind in hints.items() if (group := _group(kind)) is not None}
    leaves = _leaves(hints, groups)
    if isinstance(words, Listing):
        words.flags = _listed(leaves, _told(command, hints, groups))
        return partial(int)
    if ALL in words:
        words = ["--help"]
    elif basic and any(word in HELP for word in words):
        values, kinds = dict(defaults), dict(hints)
        for key, group in groups.items():
            base = group.base(Usual(defaults[key], (), defaults))
            values, kinds = values | specs.flat(base), kinds | specs.declarations(type(base))
        _show(prog, command, {key: kinds[key] for key in basic}, values, _told(command, hints, groups))
    given = _given(prog, words, _flags(leaves))
    bases = {key: group.base(Usual(defaults[key], words, defaults)) for key, group in groups.items()}
    parsed = _parse(prog, command, hints, bases, _spelled(words, leaves))
    values: dict[str, Any] = {}
    for key, value in parsed.items():
        values |= specs.flat(value) if key in groups else {key: value}
    for key, group in groups.items():
        parsed[key] = group.finish(Usual(defaults[key], words, defaults), values, given)
    by_flag = {key: Given(1, needs.flag(key)) for key in given}
    needs.settle(needs.declared(leaves), values, by_flag, dict.fromkeys(given, 1), values)
    return partial(command, **parsed)


def _group(kind: Any) -> Group | None:
    for mark in getattr(kind, "__metadata__", ()):
        if hasattr(mark, "finish"):
            return mark
    return Plain(kind) if specs.is_group(kind) else None


def _leaves(hints: Mapping[str, Any], groups: Mapping[str, Group]) -> dict[str, Any]:
    """The annotations of all that is a flag or a positional word, by name."""
    found: dict[str, Any] = {}
    for key, kind in hints.items():
        found |= specs.declarations(groups[key].kind) if key in groups else {key: kind}
    return found


def _flags(leaves: Mapping[str, Any]) -> dict[str, str]:
    """The names of settings, by the words that stand for them on the command line."""
    known = {}
    for name, kind in leaves.items():
        marks = getattr(kind, "__metadata__", ())
        if any(mark in POSITIONAL for mark in marks):
            continue
        word = next((mark.name for mark in marks if getattr(mark, "name", None)), name)
        known[needs.flag(word)] = name
        if _bare(kind) in (bool, OPEN_SWITCH):
            known[f"--no-{needs.flag(word)[2:]}"] = name
    return known


def _listed(leaves: Mapping[str, Any], told: Mapping[str, str]) -> tuple[Flag, ...]:
    """All flags, with what each takes: a number is completed by nobody, any other text may be a file's name."""
    found = []
    for word, name in _flags(leaves).items():
        about = re.split(r"[.;:] ", told.get(name, ""))[0].rstrip(".")
        kinds, values = set(), []
        coming = [leaves[name]]
        while coming:
            kind = coming.pop(0)
            if hasattr(kind, "__metadata__"):
                coming.append(_bare(kind))
            elif typing.get_origin(kind) is Literal:
                values += map(str, typing.get_args(kind))
            elif typing.get_origin(kind) in (typing.Union, types.UnionType):
                coming += typing.get_args(kind)
            elif kind is not type(None):
                kinds.add(kind)
        if bool in kinds:
            takes = "nothing"
        else:
            takes = "word" if kinds <= {int, float} else "file"
        found.append(Flag(word, takes, tuple(values), about))
    return tuple(found)


def _bare(kind: Any) -> Any:
    """An annotation without its marks."""
    return typing.get_args(kind)[0] if hasattr(kind, "__metadata__") else kind


def _spelled(words: Sequence[str], leaves: Mapping[str, Any]) -> list[str]:
    """The words with those of switches that may be left open spelled as values: ``--no-pad`` is ``--pad False``."""
    values = {}
    for name, kind in leaves.items():
        if _bare(kind) == OPEN_SWITCH:
            word = needs.flag(name)
            values |= {word: [word, "True"], f"--no-{word[2:]}": [word, "False"]}
    spelled: list[str] = []
    for position, word in enumerate(words):
        told = position + 1 < len(words) and words[position + 1] in ("True", "False", "None")
        spelled += [word] if told else values.get(word.replace("_", "-"), [word])
    return spelled


def _given(prog: str, words: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """The settings whose flags are among the words."""
    found: list[str] = []
    for word in words:
        if not word.startswith("--") or word in ("--", "--help"):
            continue
        flag = word.partition("=")[0].replace("_", "-")
        if flag not in known:
            raise InputError(f"{prog} has no flag {flag}{_meant(flag, known)}; see {prog} --help")
        if known[flag] in found:
            raise InputError(f"{needs.flag(known[flag])} is given twice; give it once")
        found.append(known[flag])
    return found


def _meant(flag: str, known: Mapping[str, str]) -> str:
    meant = needs.flag(MEANT.get(flag[2:], ""))
    near = [meant] if meant in known else difflib.get_close_matches(flag, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def word_after(flag: str, words: Sequence[str]) -> str | None:
    """The value of a flag among the words."""
    for position, word in enumerate(words):
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
        if word == flag and position + 1 < len(words):
            return words[position + 1]
    return None


def _told(
    command: Callable[..., int], hints: Mapping[str, Any], groups: Mapping[str, Group]
) -> dict[str, str]:
    """What is said of each flag: of parameters, and of fields of dataclasses and of those within them."""
    found = _documented(command)
    kinds: list[Any] = [groups[key].kind if key in groups else kind for key, kind in hints.items()]
    while kinds:
        kind = kinds.pop()
        if specs.is_group(kind):
            found |= _documented(kind)
            kinds += needs.hints_of(kind).values()
    return found


def _documented(thing: Any) -> dict[str, str]:
    """The parameters or attributes that a docstring describes."""
    read = docstring_parser.parse(specs.plain(inspect.getdoc(thing) or ""))
    return {each.arg_name: " ".join((each.description or "").split()) for each in read.params}


def _show(
    prog: str, command: Callable[..., int], leaves: Mapping[str, Any], values: Mapping[str, Any],
    told: Mapping[str, str],
) -> None:  # fmt: skip
    """Show the help of some flags, and leave."""

    def some(**values: Any) -> None:
        del values

    shown = {
        key: Annotated[hint, tyro.conf.arg(help=told.get(key, ""), help_behavior_hint=_usual(values[key]))]
        for key, hint in leaves.items()
    }
    some.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
        [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=values[key], annotation=hint)
            for key, hint in shown.items()
        ]
    )
    some.__annotations__ = shown
    about = docstring_parser.parse(specs.plain(inspect.getdoc(command) or "")).description or ""
    some.__doc__ = f"{about}\n\n{prog} {ALL} shows all flags, and what each is by default."
    tyro.cli(some, prog=prog, args=["--help"])


def _usual(value: Any) -> str:
    """What is said of a default."""
    if value is inspect.Parameter.empty:
        return "(required)"
    if value is None or value is False:
        return ""
    return f"({','.join(map(str, value)) if isinstance(value, tuple) else value})"


def _parse(
    prog: str,
    command: Callable[..., int],
    hints: Mapping[str, Any],
    bases: Mapping[str, Any],
    words: Sequence[str],
) -> dict[str, Any]:
    """The values of all parameters; groups are still unchecked."""

    def collect(**values: Any) -> dict[str, Any]:
        return values

    signature = inspect.signature(command)
    shown = {key: type(bases[key]) if key in bases else kind for key, kind in hints.items()}
    collect.__signature__ = signature.replace(  # pyright: ignore[reportFunctionMemberAccess]
        parameters=[
            each.replace(
                kind=inspect.Parameter.KEYWORD_ONLY,
                annotation=shown[key],
                default=bases.get(key, each.default),
            )
            for key, each in signature.parameters.items()
        ]
    )
    collect.__annotations__ = {**shown, "return": dict}
    collect.__doc__ = specs.plain(inspect.getdoc(command) or "")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                collect,
                prog=prog,
                args=list(words),
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(f"{one_sentence(said.getvalue())}; see {prog} --help") from None


def one_sentence(said: str) -> str:
    """What a parser says in a box, drawn with or without Unicode: what stands after the title up to the first rule."""
    lines = [line.strip("│╭╮╰╯|+ \n") for line in said.splitlines()][1:]
    kept: list[str] = []
    for line in lines:
        if set(line) <= set("─-"):
            if kept:
                break
            continue
        kept.append(line)
    text = re.sub(r"\s+", " ", " ".join(kept)).strip().replace(" (required)", "").rstrip(".")
    return text[:1].lower() + text[1:]
