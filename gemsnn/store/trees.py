"""Trees: named tuples, tuples and dictionaries within each other, whose leaves are tensors, arrays or numbers.

:func:`map` makes a tree of others leaf by leaf; :func:`flat` and :func:`filled` turn a tree into a flat dictionary of
tensors and back, which is how anything is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from gemsnn.errors import InputError

Tree = TypeVar("Tree")


def map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """The tree of what the function makes of the leaves of several trees; ``None`` stays."""
    first: Any = tree
    rest: Any = others
    made: Any
    if first is None:
        made = None
    elif isinstance(first, dict):
        made = {name: map(function, part, *(other[name] for other in rest)) for name, part in first.items()}
    elif isinstance(first, tuple):
        parts = [map(function, *same) for same in zip(first, *rest, strict=True)]
        made = type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    else:
        made = function(first, *rest)
    return made


def leaves(tree: Any) -> Iterator[Any]:
    """All leaves, in order."""
    if isinstance(tree, (dict, tuple)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves(part)
    elif tree is not None:
        yield tree


def _branches(tree: Any) -> Iterator[tuple[str, Any]] | None:
    """The parts of a tree with their names; ``None`` for a leaf."""
    if isinstance(tree, dict):
        return iter(tree.items())
    if isinstance(tree, tuple):
        return zip(getattr(tree, "_fields", [str(at) for at in range(len(tree))]), tree, strict=True)
    return None


def flat(name: str, tree: Any) -> dict[str, Tensor]:
    """A copy of all leaves, by their path: ``flat("a", Pair(x, None)) == {"a.first": x}``."""
    if tree is None:
        return {}
    if isinstance(tree, Tensor):
        return {name: tree.clone(memory_format=torch.contiguous_format)}
    if isinstance(tree, np.ndarray):
        return {name: torch.from_numpy(np.array(tree, order="C"))}
    if isinstance(tree, int):
        return {name: torch.tensor(tree)}
    pairs = _branches(tree)
    assert pairs is not None
    return {path: leaf for field, part in pairs for path, leaf in flat(f"{name}.{field}", part).items()}


def filled(name: str, tree: Tree, saved: dict[str, Tensor]) -> Tree:
    """A tree like this one, with the leaves of :func:`flat`; arrays of numpy are overwritten and stay where they are.

    Raises:
        InputError: a leaf is missing, or has another shape or type.
    """
    like: Any = tree
    if like is None:
        return tree
    pairs = _branches(like)
    if pairs is not None:
        parts = {field: filled(f"{name}.{field}", part, saved) for field, part in pairs}
        if isinstance(like, dict):
            return parts  # pyright: ignore[reportReturnType]
        return type(like)(*parts.values()) if hasattr(like, "_fields") else type(like)(parts.values())
    leaf = saved.get(name)
    if leaf is None:
        raise InputError(
            f"the saved state lacks {name}; it was written by a stream with other settings, or by another version of "
            "gemsnn, so begin a new state"
        )
    if isinstance(like, int):
        whole = leaf.dtype == torch.int64 and leaf.dim() == 0
        if not whole:
            raise InputError(f"the saved state's {name} is no whole number; it is damaged")
        return int(leaf)  # pyright: ignore[reportReturnType]
    if isinstance(like, Tensor):
        _check(name, leaf, tuple(like.shape), like.dtype)
        return leaf.to(like.device, copy=True)  # pyright: ignore[reportReturnType]
    found = leaf.numpy()
    _check(name, found, like.shape, like.dtype)
    like[...] = found
    return tree


def _check(name: str, found: Any, shape: tuple[int, ...], dtype: Any) -> None:
    if tuple(found.shape) != tuple(shape) or found.dtype != dtype:
        raise InputError(
            f"the saved state's {name} is {found.dtype} {list(found.shape)} where {dtype} {list(shape)} is expected; "
            "it was written by a stream with other settings"
        )
