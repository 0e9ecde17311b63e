"""Rules of one's own: a function or a small class in one's own file, checked, and remembered by its place.

A place is ``module:name`` or ``path/to/file.py:name``. Nothing is imported here: what a run, a model or a stream's
state tells of its rule stays a place (:class:`Own` without its rule) until somebody asks for it by its place again
(:mod:`gemsnn.rules.loading`).
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

import gemsnn
from gemsnn.errors import InputError
from gemsnn.rules.contract import NEEDS, Need, Rule, Signal
from gemsnn.rules.named import NAMED, NAMES, RuleName
from gemsnn.specs import checks

KINDS = (
    "a function from log-weights [.., K] to the signals of visible and hidden neurons, or a class with needs"
)


class Source(NamedTuple):
    """The file that a rule stands in.

    Attributes:
        file: its path.
        sha256: of its bytes, when the rule was taken from it.
    """

    file: str
    sha256: str


@runtime_checkable
class Needing(Protocol):
    """A rule as a small class: what it needs, and the methods of :class:`gemsnn.rules.contract.Rule` for that."""

    @property
    def needs(self) -> Collection[str]:
        """Some of signal, credit and synapse."""
        ...


class Own:
    """A rule of one's own, as a setting.

    Two are equal if they have the same place; of two that are both there, if they are the same function or object too.

    Attributes:
        place: where it stands, as a person would name it.
        source: its file, where there is one.
    """

    __slots__ = ("_given", "_rule", "place", "source")

    def __init__(
        self, place: str, rule: Rule | None = None, given: object = None, source: Source | None = None
    ) -> None:
        self.place, self.source, self._rule, self._given = place, source, rule, given

    @property
    def known(self) -> bool:
        """Whether the rule is there, and not only its place."""
        return self._rule is not None

    @property
    def rule(self) -> Rule:
        """The rule.

        Raises:
            InputError: only its place is known.
        """
        if self._rule is None:
            raise InputError(
                f"the rule {self.place} is not part of gemsnn, and settings that were saved import no code: to learn "
                f"with it, give --rule {self.place} again"
            )
        return self._rule

    def __str__(self) -> str:
        return self.place

    def __repr__(self) -> str:
        return f"Own({self.place!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Own):
            return NotImplemented
        both = self.known and other.known
        return self.place == other.place and (not both or self._given == other._given)

    def __hash__(self) -> int:
        return hash(self.place)

    def __deepcopy__(self, memo: object) -> Own:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """What was given is pickled, and the rule made of it anew."""
        return _unpickled, (self.place, self._given, self.source)


def _unpickled(place: str, given: Any, source: Source | None) -> Own:
    return Own(place, None if given is None else made(given, place), given, source)


Given = RuleName | Rule | Own | Needing | Callable[[Tensor], tuple[Tensor, Tensor]]
"""What a person may give as a rule: a name, a function from log-weights to signals, or an object with ``needs``."""


def setting(given: Any) -> RuleName | Own:
    """A rule as a setting keeps it. A text with a colon is a place, of which nothing is imported.

    Raises:
        InputError: it is no rule; of a name, the message has the nearest one.
    """
    if isinstance(given, Own):
        return given
    if isinstance(given, str):
        return Own(given) if ":" in given else checks.choice(given, RuleName, "rule")
    for name in NAMES:
        if given is NAMED[name]:
            return name
    if not (callable(given) or isinstance(given, Needing)):
        raise InputError(f"rule must be a name, {KINDS}, not {checks.told(given)}")
    what = given.signal if isinstance(given, Rule) else given
    holder = what if hasattr(what, "__qualname__") else type(what)
    named = given.name if isinstance(given, Rule) else getattr(holder, "__qualname__", "rule")
    place = f"{getattr(holder, '__module__', None) or 'python'}:{named}"
    return Own(place, made(given, place), given, source_of(what))


def made(given: Any, place: str) -> Rule:
    """The rule that a function, an object or a class of objects is.

    Raises:
        InputError: it is none.
    """
    if isinstance(given, type):
        try:
            given = given()
        except Exception as error:
            raise InputError(
                f"the rule {place} is a class that cannot be made without arguments ({told(error)}); give it "
                "defaults, or name an object of it"
            ) from error
    if isinstance(given, Needing):
        return _of_object(given, place)
    if callable(given):
        return Rule(place, frozenset({"signal"}), _signals(given))
    raise InputError(f"the rule {place} must be {KINDS}, not {checks.told(given)}")


def _of_object(given: Needing, place: str) -> Rule:
    needs = (given.needs,) if isinstance(given.needs, str) else tuple(given.needs)
    if not needs or not all(need in NEEDS for need in needs):
        raise InputError(
            f"the rule {place} has needs {', '.join(map(str, needs)) or 'of nothing'}; they must be some of "
            f"{', '.join(NEEDS)}"
        )
    if "credit" in needs and "signal" not in needs:
        raise InputError(f"the rule {place} needs credit, which a signal weighs: it must need signal too")
    methods: dict[str, Any] = {}
    for name, need in (("signal", "signal"), ("init", "synapse"), ("advance", "synapse")):
        if need in needs:
            methods[name] = getattr(given, name, None)
            if not callable(methods[name]):
                raise InputError(f"the rule {place} needs {need} and has no method {name}; add it")
    if "signal" in methods:
        methods["signal"] = _signals(methods["signal"])
    return Rule(place, frozenset(cast("tuple[Need, ...]", needs)), **methods)


def _signals(function: Callable[[Tensor], Any]) -> Callable[[Tensor], Signal]:
    """The function, its results named."""

    @functools.wraps(function, updated=())
    def signal(log_weights: Tensor) -> Signal:
        visible, hidden = function(log_weights)
        return Signal(visible, hidden)

    return signal


def probe(rule: Rule, compartments: int) -> None:
    """Ask a rule for signals once, of three steps and two presentations, and see whether they can be used.

    Raises:
        InputError: they have another shape or type than the log-weights, depend on more than their own row, or it
            changes what it is given, or fails.
    """
    if "signal" not in rule.needs:
        return
    for dtype in (torch.float64, torch.float32):
        log_weights = -torch.linspace(0.5, 8, 6 * compartments, dtype=dtype).reshape(3, 2, compartments)
        known = log_weights.clone()
        whole = _asked(rule, log_weights)
        if not torch.equal(known, log_weights):
            raise InputError(
                f"the rule {rule.name} changes the log-weights that it is given; let it make new ones"
            )
        for step, row in enumerate(known):
            for part, alone in zip(whole, _asked(rule, row), strict=True):
                if not torch.allclose(part[step], alone, rtol=1e-4, atol=1e-5, equal_nan=True):
                    raise InputError(
                        f"the rule {rule.name} answers otherwise for log-weights {list(known.shape)} than for each "
                        f"{list(row.shape)} of them; a signal must follow from its own row [K] alone (dim=-1)"
                    )


def _asked(rule: Rule, log_weights: Tensor) -> Signal:
    try:
        with torch.no_grad():
            signal = rule.signal(log_weights)
    except Exception as error:
        raise InputError(
            f"the rule {rule.name} fails for log-weights {list(log_weights.shape)}{line_of(error)}: {told(error)}"
        ) from error
    for name, part in signal._asdict().items():
        if not isinstance(part, Tensor) or part.shape != log_weights.shape or part.dtype != log_weights.dtype:
            raise InputError(
                f"the rule {rule.name} gives {checks.told(part)} as the signal of {name} neurons for log-weights "
                f"{checks.told(log_weights)}; it must have their shape and type"
            )
    return signal


def source_of(given: Any) -> Source | None:
    """The file that a function or an object's class stands in; ``None`` where there is none."""
    holder = given if inspect.isroutine(given) or inspect.isclass(given) else type(given)
    try:
        return source_in(inspect.getsourcefile(inspect.unwrap(holder)))
    except TypeError:
        return None


def source_in(file: str | None) -> Source | None:
    """A file as the source of a rule; ``None`` where it cannot be read."""
    if file is None:
        return None
    try:
        return Source(file, hashlib.sha256(Path(file).read_bytes()).hexdigest())
    except OSError:
        return None


def line_of(error: BaseException) -> str:
    """Where in a person's own code an error arose."""
    frames = traceback.extract_tb(error.__traceback__)
    others = (gemsnn.__file__, torch.__file__, importlib.__file__)
    inside = ("<frozen importlib", *(str(Path(each).parent) for each in others if each))
    last = next((each for each in reversed(frames) if not each.filename.startswith(inside)), None)
    return "" if last is None else f" (line {last.lineno} of {last.filename})"


def told(error: BaseException) -> str:
    """An error of a person's own code."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
