"""Rules of one's own, imported from their places.

This runs the code that it finds. It is for what a person has just typed and for a file that a person has just named,
never for what a run, a model or a stream's state tells of itself.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from gemsnn.errors import InputError
from gemsnn.rules.named import RuleName
from gemsnn.rules.own import Own, line_of, made, setting, source_in, source_of, told

FORM = "module:name or path/to/file.py:name"


def given(rule: RuleName | Own | str) -> RuleName | Own:
    """A rule that a person has just named: imported, where it is one of their own.

    Raises:
        InputError: as :func:`load`, and as :func:`gemsnn.rules.own.setting`.
    """
    named = setting(rule)
    return load(named.place) if isinstance(named, Own) and not named.known else named


def load(place: str) -> Own:
    """Import a rule from its place.

    Modules are looked up in the current folder first, then as Python does; a file can import its neighbours.

    Raises:
        InputError: there is no such module, file or name, it is no rule, or importing it ends in an error.
    """
    where, _, name = place.rpartition(":")
    if not where or not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"the rule {place!r} must be {FORM}")
    if where.endswith(".py"):
        path = Path(where).absolute()
        module, place = _file(path), f"{path}:{name}"
    else:
        module = _module(where)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = (each for each in dir(found) if not each.startswith("_"))
            raise InputError(f"{where} has no {part!r}{_near(part, public)}")
        found = getattr(found, part)
    return Own(place, made(found, place), found, source_of(found) or source_in(module.__file__))


def _module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"{name!r} is no name of a module; a rule is {FORM}")
    with _looked_up_in(Path.cwd()):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise _failed(name, error) from error
            here = (path.stem for path in Path().glob("*.py"))
            raise InputError(
                f"there is no module {name!r} in this folder or on Python's path{_near(name, here)}"
            ) from None
        except (Exception, SystemExit) as error:
            raise _failed(name, error) from error


def _file(path: Path) -> ModuleType:
    try:
        content = path.read_bytes()
    except OSError as error:
        beside = (each.name for each in path.parent.glob("*.py"))
        raise InputError(f"{path} cannot be read ({error.strerror}){_near(path.name, beside)}") from None
    # a name like no other module's; the same for as long as the file is
    name = f"{path.stem}_{hashlib.sha256(str(path).encode() + content).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    with _looked_up_in(path.parent):
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise _failed(str(path), error) from error
    return module


@contextlib.contextmanager
def _looked_up_in(folder: Path) -> Iterator[None]:
    """Look for modules in this folder first; afterwards last, so that what a rule imports later is found as well."""
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def _near(wanted: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(wanted, sorted(known), n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _failed(what: str, error: BaseException) -> InputError:
    return InputError(f"{what} cannot be imported{line_of(error)}: {told(error)}; correct it")
