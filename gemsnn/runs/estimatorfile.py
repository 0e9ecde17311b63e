"""What a model file holds of the estimator around the model: its parameters, and its labels of whatever type."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gemsnn.errors import InputError
from gemsnn.runs.modelfile import Content
from gemsnn.runs.models import Model


class _Written(msgspec.Struct):
    """The content; labels are of the type ``dtype``."""

    params: dict[str, Any]
    classes: list[bool | int | float | str]
    dtype: str


def written(params: Mapping[str, Any], classes: NDArray[Any], model: Model) -> dict[str, Any]:
    """What a file is to hold, as JSON has it.

    A rule of a person's own is its place, and a generator the seed that was drawn from it.

    Raises:
        InputError: JSON has nothing like a parameter or a label.
    """
    found = dict(params)
    if not isinstance(found["rule"], (str, type(None))):
        found["rule"] = model.settings.rule.name
    if not isinstance(found["random_state"], (int, np.integer, type(None))):
        found["random_state"] = model.facts.seed
    return {
        "params": {name: _plain(value, name) for name, value in found.items()},
        "classes": _plain(classes.tolist(), "classes_"),
        "dtype": classes.dtype.str,
    }


def read(content: Content, where: object, *, known: Collection[str]) -> tuple[dict[str, Any], NDArray[Any]]:
    """Parameters and labels of a file; ``known`` are the parameters that an estimator has.

    Raises:
        InputError: the file is of a model alone, or its estimator is of another version.
    """
    if content.estimator is None:
        raise InputError(f"{where} is of a model and of no estimator; give it to gemsnn.load")
    try:
        told = msgspec.convert(content.estimator, _Written)
        classes = np.array(told.classes, told.dtype)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise InputError(f"{where} holds the estimator of another version ({error}); update gemsnn") from None
    other = [name for name in told.params if name not in known]
    if other:
        raise InputError(f"{where} holds the estimator of another version (with {other[0]}); update gemsnn")
    return told.params, classes


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry, name) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry, name) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(
        f"{name} holds {type(value).__name__}, which cannot be written to a file; pickle the estimator"
    )
