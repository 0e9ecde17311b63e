"""Every public function that is told a place takes a text as well as a path."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import gemsnn
from gemsnn.data.datasets import DataSpec
from gemsnn.runs.config import load
from gemsnn.runs.loading import load_model
from gemsnn.store.checkpoints import Checkpoints
from gemsnn.store.records import RunFolder
from gemsnn.streaming.spec import StreamSpec

RUN = Path(__file__).parent / "format1" / "run"


def public_functions():
    """Functions and methods by name; those of the command line are given paths by it."""
    for found in pkgutil.walk_packages(gemsnn.__path__, "gemsnn."):
        if found.name.endswith("__main__") or found.name.startswith("gemsnn.commands"):
            continue
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != found.name:
                continue
            members = vars(value).items() if inspect.isclass(value) else [(name, value)]
            for member, function in members:
                if member.startswith("_") and member != "__init__":
                    continue
                if isinstance(function, staticmethod | classmethod):
                    function = function.__func__
                if inspect.isfunction(function):
                    yield f"{found.name}.{name}.{member}", value, function


def test_places_may_be_texts():
    """By their annotations, which the type checker holds against their bodies; fields of dataclasses are converted."""
    wrong, seen = [], 0
    for name, owner, function in public_functions():
        for parameter, kind in function.__annotations__.items():
            if parameter == "return" or "Path" not in str(kind):
                continue
            seen += 1
            field = name.endswith("__init__") and hasattr(owner, "__dataclass_fields__")
            if not field and "AnyPath" not in str(kind):
                wrong.append(f"{name}({parameter}: {kind})")
    assert seen > 40
    assert not wrong


def test_fields_that_are_places_are_paths():
    assert DataSpec(data="nmnist", root=str(RUN)) == DataSpec(data="nmnist", root=RUN)  # type: ignore[arg-type]
    assert StreamSpec(labels="a", state="b") == StreamSpec(labels=Path("a"), state=Path("b"))  # type: ignore[arg-type]
    assert Checkpoints("a") == Checkpoints(Path("a"))  # type: ignore[arg-type]
    assert RunFolder("a") == RunFolder(Path("a"))  # type: ignore[arg-type]


def test_a_run_is_found_by_its_name():
    assert load_model(str(RUN)).facts == load_model(RUN).facts
    assert load(str(RUN / "config.toml")) == load(RUN / "config.toml")
    assert RunFolder.open(str(RUN)) == RunFolder.open(RUN)
