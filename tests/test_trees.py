"""Trees of tensors, and their way into flat dictionaries and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gemsnn.errors import InputError
from gemsnn.store import trees


class Pair(NamedTuple):
    first: object
    second: object = None


def is_same(a, b):
    """Whether two trees have the same shape, and the same leaves to the bit and the type."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(is_same(a[name], b[name]) for name in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(is_same, a, b))
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b


tensors = st.builds(
    lambda shape, dtype, start: (torch.arange(int(np.prod(shape))) + start).reshape(shape).to(dtype),
    st.lists(st.integers(1, 3), max_size=3),
    st.sampled_from([torch.float64, torch.float32, torch.int64, torch.uint8, torch.bool]),
    st.integers(0, 9),
)
arrays = tensors.map(lambda tensor: tensor.numpy().copy())
names = st.text("abc->", min_size=1, max_size=4)


def made_of(leaves):
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Pair, inner, inner),
            st.lists(inner, min_size=1, max_size=3).map(tuple),
            st.dictionaries(names, inner, min_size=1, max_size=3),
        ),
        max_leaves=6,
    )


def empty_like(tree):
    """The same tree with other leaves."""
    if isinstance(tree, dict):
        return {name: empty_like(part) for name, part in tree.items()}
    if isinstance(tree, tuple):
        parts = [empty_like(part) for part in tree]
        return Pair(*parts) if isinstance(tree, Pair) else tuple(parts)
    if isinstance(tree, torch.Tensor):
        return torch.zeros_like(tree)
    if isinstance(tree, np.ndarray):
        return np.zeros_like(tree)
    return None if tree is None else -1


@given(made_of(st.one_of(tensors, arrays, st.integers(0, 2**60), st.none())))
def test_what_was_flat_is_filled_again(tree):
    flat = trees.flat("name", tree)
    assert all(isinstance(leaf, torch.Tensor) and path.startswith("name") for path, leaf in flat.items())
    assert is_same(trees.filled("name", empty_like(tree), flat), tree)


@given(made_of(st.one_of(tensors, st.none())))
def test_map_goes_leaf_by_leaf(tree):
    kept = trees.map(lambda leaf: leaf, tree)
    assert is_same(kept, tree)
    assert all(a is b for a, b in zip(trees.leaves(kept), trees.leaves(tree), strict=True))
    mean = trees.map(lambda a, b: (a.double() + b.double()) / 2, tree, tree)
    assert is_same(mean, trees.map(lambda leaf: leaf.double(), tree))


def test_leaves_stand_in_order_and_none_is_none():
    tree = {"b": Pair(1, None), "a": (2, {"x": 3}), "c": None}
    assert list(trees.leaves(tree)) == [1, 2, 3]
    ten = trees.map(lambda leaf: 10 * leaf, tree)
    assert is_same(ten, {"b": Pair(10, None), "a": (20, {"x": 30}), "c": None})


def test_paths_are_those_of_fields_keys_and_places():
    x = torch.ones(2)
    tree = {"inputs->a": Pair(x, None), "b": (x, Pair(3, x))}
    assert list(trees.flat("t", tree)) == ["t.inputs->a.first", "t.b.0", "t.b.1.first", "t.b.1.second"]
    assert trees.flat("t", None) == {}


def test_trees_of_other_shapes_have_no_map():
    with pytest.raises(ValueError, match="zip"):
        trees.map(lambda a, b: a, (1, 2), (1,))
    with pytest.raises(KeyError):
        trees.map(lambda a, b: a, {"x": 1}, {"y": 1})


def test_a_copy_is_made_both_ways():
    x, y = torch.ones(2), np.ones(2)
    flat = trees.flat("t", Pair(x, y))
    x += 1
    y += 1
    assert flat["t.first"].tolist() == flat["t.second"].tolist() == [1, 1]
    found = trees.filled("t", Pair(x, y), flat)
    flat["t.first"] += 5
    flat["t.second"] += 5
    assert found.first.tolist() == [1, 1]
    assert found.second is y  # compiled code holds on to its arrays
    assert y.tolist() == [1, 1]


def test_a_transposed_leaf_lies_in_order_in_the_flat_tree():
    x = torch.arange(6).reshape(2, 3).T
    for given_ in (x, x.numpy()):
        (leaf,) = trees.flat("t", given_).values()
        assert leaf.is_contiguous()
        assert torch.equal(leaf, x)


@pytest.mark.parametrize(
    ("tree", "saved", "said"),
    [
        ({"a": torch.ones(2)}, {}, "lacks t.a;"),
        (
            torch.ones(2),
            {"t": torch.ones(3)},
            r"t is torch.float32 \[3\] where torch.float32 \[2\] is expected",
        ),
        (torch.ones(2), {"t": torch.ones(2).double()}, "t is torch.float64"),
        (np.ones(2), {"t": torch.ones(2)}, "t is float32"),
        (np.ones(2), {"t": torch.ones(1, 2).double()}, r"t is float64 \[1, 2\]"),
        (Pair(1), {"t.first": torch.ones(())}, "t.first is no whole number"),
        (Pair(1), {"t.first": torch.tensor([1])}, "t.first is no whole number"),
        ((torch.ones(1), 1), {"t.0": torch.ones(1)}, "lacks t.1"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(tree, saved, said):
    with pytest.raises(InputError, match=said) as told:
        trees.filled("t", tree, saved)
    assert "\n" not in str(told.value)
