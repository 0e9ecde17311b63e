"""A small executor of NIR graphs, step by step in float64: what an exported graph does, said without our kernels.

It knows the nodes that :mod:`gemsnn.bridges.nir` makes, and reads them as NIR's own definitions have them
(https://neuroir.org/docs/primitives): what several edges bring to a node is added, a ``Delay`` of d steps gives what
came d steps ago and 0 before, and a ``Threshold`` gives 1 where its input is above it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d

from gemsnn.errors import InputError

if TYPE_CHECKING:
    from nir import NIRGraph


def execute(
    graph: NIRGraph, fed: Mapping[str, NDArray[Any]], *, dt: float | None = None
) -> dict[str, NDArray[np.float64]]:
    """Run a graph.

    Args:
        graph: the graph, as ``nir.read`` gives it.
        fed: for every ``Input`` what comes in, ``[T, .., *shape]``; the dimensions between are broadcast.
        dt: the width of a step in the unit of the delays; by default what the graph's metadata say.

    Returns:
        For every ``Output`` and every ``Threshold`` what comes out, float64 ``[T, .., *shape]``.

    Raises:
        InputError: an input is missing or has another shape, a node is of another kind, a delay is no whole number of
            steps, or a loop has no delay.
    """
    dt = graph.metadata.get("dt") if dt is None else dt
    if dt is None:
        raise InputError("the graph does not say how long a step is; give dt, in the unit of its delays")
    nodes = {name: _function(name, node, float(dt)) for name, node in graph.nodes.items()}
    order, before = _order(graph, {name for name, made in nodes.items() if isinstance(made, _Delay)})
    inputs = _checked(graph, fed)
    batch = torch.broadcast_shapes(
        *(each.shape[1 : 1 + _between(graph, name, each)] for name, each in inputs.items())
    )
    steps = len(next(iter(inputs.values())))
    out: dict[str, list[Tensor]] = {
        name: [] for name, node in graph.nodes.items() if type(node).__name__ in ("Output", "Threshold")
    }
    for t in range(steps):
        values: dict[str, Tensor] = {}
        for name in order:
            made, node = nodes[name], graph.nodes[name]
            if name in inputs:
                shape = torch.Size(np.array(node.output_type["output"]).tolist())
                values[name] = inputs[name][t].expand(*batch, *shape)
            elif isinstance(made, _Delay):
                values[name] = made.given(batch)
            else:
                values[name] = made(_sum(values, before[name], name))
        for name, made in nodes.items():
            if isinstance(made, _Delay):
                made.take(_sum(values, before[name], name))
        for name, kept in out.items():
            kept.append(values[name])
    return {name: torch.stack(kept).numpy() for name, kept in out.items()}


class _Delay:
    """What came so many steps ago."""

    def __init__(self, name: str, node: Any, dt: float) -> None:
        late = np.unique(np.asarray(node.delay, np.float64)) / dt
        if len(late) != 1 or abs(late[0] - np.rint(late[0])) > 1e-6 or np.rint(late[0]) < 1:
            raise InputError(
                f"the node {name!r} must delay everything by one whole number of steps, 1 or more, not by "
                f"{', '.join(f'{each:g}' for each in late[:4])}; give the width of a step as dt"
            )
        self.shape = node.delay.shape
        self.late: deque[Tensor] = deque(maxlen=int(np.rint(late[0])))

    def given(self, batch: torch.Size) -> Tensor:
        if len(self.late) == self.late.maxlen:
            return self.late[0]
        return torch.zeros(*batch, *self.shape, dtype=torch.float64)

    def take(self, value: Tensor) -> None:
        self.late.append(value)


def _function(name: str, node: Any, dt: float) -> Callable[[Tensor], Tensor] | _Delay:
    kind = type(node).__name__
    if kind == "Delay":
        return _Delay(name, node, dt)
    if kind in ("Input", "Output"):
        return lambda value: value
    if kind in ("Linear", "Affine"):
        weight = _tensor(node.weight)
        bias = _tensor(node.bias) if kind == "Affine" else weight.new_zeros(())
        return lambda value: value @ weight.mT + bias
    if kind == "Scale":
        scale = _tensor(node.scale)
        return lambda value: value * scale
    if kind == "Threshold":
        threshold = _tensor(node.threshold)
        return lambda value: (value > threshold).double()
    if kind == "Flatten":
        shape, start, end = node.input_type["input"], int(node.start_dim), int(node.end_dim)
        first = start - len(shape) if start >= 0 else start
        last = end - len(shape) if end >= 0 else end
        return lambda value: value.flatten(value.ndim + first, value.ndim + last)
    if kind == "Conv2d":
        weight, bias = _tensor(node.weight), _tensor(node.bias)
        how: Any = {key: _pair(getattr(node, key)) for key in ("stride", "padding", "dilation")}
        return lambda value: _of_pictures(
            lambda some: conv2d(some, weight, bias, groups=int(node.groups), **how), value
        )
    if kind == "SumPool2d":
        return _pooling(node)
    raise InputError(
        f"the node {name!r} is a {kind}, which this executor does not know; run the graph with another"
    )


def _pooling(node: Any) -> Callable[[Tensor], Tensor]:
    ones = torch.ones(1, 1, *_pair(node.kernel_size), dtype=torch.float64)
    how: Any = {key: _pair(getattr(node, key)) for key in ("stride", "padding")}

    def pooled(some: Tensor) -> Tensor:
        channels = some.shape[1]
        return conv2d(some, ones.expand(channels, -1, -1, -1), groups=channels, **how)

    return lambda value: _of_pictures(pooled, value)


def _of_pictures(function: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    found = function(value.reshape(-1, *value.shape[-3:]))
    return found.reshape(*value.shape[:-3], *found.shape[1:])


def _tensor(value: Any) -> Tensor:
    return torch.from_numpy(np.array(value, np.float64))


def _pair(value: Any) -> tuple[int, int]:
    first, second = np.broadcast_to(np.asarray(value), 2).tolist()
    return int(first), int(second)


def _order(graph: NIRGraph, delays: set[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The nodes in an order in which each comes after those it hears within a step, and whom each hears."""
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        before[target].append(source)
    waits = {name: [] if name in delays else heard for name, heard in before.items()}
    try:
        return list(TopologicalSorter(waits).static_order()), before
    except CycleError as error:
        raise InputError(
            f"a loop of the graph has no delay: {' -> '.join(error.args[1])}; NIR does not say what that means"
        ) from None


def _checked(graph: NIRGraph, fed: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    wanted = [name for name, node in graph.nodes.items() if type(node).__name__ == "Input"]
    if set(fed) != set(wanted):
        raise InputError(f"the graph's inputs are {', '.join(wanted)}, not {', '.join(fed) or 'none'}")
    found = {name: _tensor(fed[name]) for name in wanted}
    for name, each in found.items():
        shape = np.array(graph.nodes[name].output_type["output"]).tolist()
        if _between(graph, name, each) < 0 or list(each.shape[each.ndim - len(shape) :]) != shape:
            raise InputError(
                f"the input {name!r} must have the shape [T, .., {shape}], not {list(each.shape)}"
            )
    if len({len(each) for each in found.values()}) != 1:
        raise InputError("all inputs must have as many steps")
    return found


def _between(graph: NIRGraph, name: str, values: Tensor) -> int:
    """How many dimensions lie between the steps and the shape of an input."""
    return values.ndim - 1 - len(graph.nodes[name].output_type["output"])


def _sum(values: Mapping[str, Tensor], names: list[str], of: str) -> Tensor:
    if not names:
        raise InputError(f"nothing leads to the node {of!r}; connect it or leave it out")
    total = values[names[0]]
    for name in names[1:]:
        total = total + values[name]
    return total
