"""Nested named tuples of arrays as flat dictionaries of tensors, and back: what a stream saves and takes up again."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from gemsnn.errors import InputError

Tree = TypeVar("Tree")


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
    pairs = zip(tree._fields, tree, strict=True)
    return {path: leaf for field, part in pairs for path, leaf in flat(f"{name}.{field}", part).items()}


def filled(name: str, tree: Tree, leaves: dict[str, Tensor]) -> Tree:
    """A tree like this one, with the leaves of :func:`flat`; arrays of numpy are overwritten and stay where they are.

    Raises:
        InputError: a leaf is missing, or has another shape or type.
    """
    like: Any = tree
    if like is None:
        return tree
    if not isinstance(like, (Tensor, np.ndarray, int)):
        pairs = zip(like._fields, like, strict=True)
        return type(like)(*(filled(f"{name}.{field}", part, leaves) for field, part in pairs))
    leaf = leaves.get(name)
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
        return leaf.clone()  # pyright: ignore[reportReturnType]
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
