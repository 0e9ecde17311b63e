"""Topologies by name: functions that return a graph.

======================= ==================================================================================
``layered``             inputs to all; a hidden group to itself, to later groups and to the visible neurons
``full``                everything to everything, visible to visible included
``feedforward``         inputs to the first group, each group to the next, the last to the visible neurons
``sparse``              ``layered`` with each synapse kept with probability ``density``
``conv``                ``feedforward``, where a group ``"16x5s2"`` is 16 channels of a convolution 5 x 5, stride 2
======================= ==================================================================================

No topology has a synapse from a neuron to itself: what a neuron's own spikes do is its feedback filter's work.
Where visible neurons listen to visible ones, training (which clamps them to the target) shows them their own
answer, and free-running prediction suffers; no topology but ``full`` has such synapses.

In ``feedforward`` and ``conv`` only the last group is heard by the visible neurons. With ``readouts="each-layer"``
every group has visible neurons of its own, with the same target (a local readout): each layer learns from its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from gemsnn.errors import InputError
from gemsnn.model.basis import BasisSpec
from gemsnn.model.graph import INPUTS, Graph, Population, Projection
from gemsnn.model.neurons import NEURONS
from gemsnn.model.projections import DENSE, Convolutional, Kind, Masked, Sheet
from gemsnn.specs import checks

TopologyName = Literal["layered", "full", "feedforward", "sparse", "conv"]
Readouts = Literal["last", "each-layer"]
DEEP: tuple[TopologyName, ...] = ("feedforward", "conv")
"""Those in which a group is heard by the next alone."""


class Convolution(NamedTuple):
    """A hidden group of neurons behind a convolution.

    Attributes:
        channels: neurons at every place.
        kind: the convolution.
    """

    channels: int
    kind: Convolutional


def convolution(text: str) -> Convolution:
    """What ``"16x5s2"`` says: 16 channels, a kernel of 5 x 5, stride 2; ``"16x5s2p0"`` says the padding too.

    Raises:
        InputError: it says no such thing.
    """
    found = re.fullmatch(r"(\d+)x(\d+)(?:s(\d+))?(?:p(\d+))?", text.strip())
    if not found:
        raise InputError(
            "a hidden group must be a number of neurons or a convolution such as 16x5s2 (16 channels, kernel "
            "5 x 5, stride "
            f"2; p0 behind it for no padding), not {text[:80]!r}"
        )
    channels, kernel, stride, padding = (None if part is None else int(part) for part in found.groups())
    checks.number(channels, checks.Count, "the channels of a convolution")
    assert channels is not None
    assert kernel is not None
    return Convolution(channels, Convolutional(kernel, 1 if stride is None else stride, padding))


def graph(
    name: TopologyName,
    inputs: tuple[int, int, int],
    hidden: Sequence[int | str],
    classes: int,
    *,
    density: float = 1.0,
    readouts: Readouts = "last",
    readout: BasisSpec | None = None,
    **neurons: Any,
) -> Graph:
    """The graph of a named topology.

    Args:
        name: see the module's table.
        inputs: how the inputs lie, ``(channels, height, width)``.
        hidden: sizes of the hidden groups, or convolutions (``conv``); may be empty.
        classes: visible neurons of a readout.
        density: for ``sparse``, the share of synapses kept.
        readouts: ``each-layer`` gives every hidden group visible neurons of its own.
        readout: the basis of the synapses onto visible neurons; ``None`` for the network's.
        neurons: ``output`` (the name of the visible neurons' kind), ``feedback``, ``hidden_rate`` and
            ``visible_rate``; see :class:`gemsnn.model.network.NetworkSpec`.

    Raises:
        InputError: there is no such topology, or it cannot have such groups.
    """
    checks.choice(name, TopologyName, "topology")
    checks.choice(readouts, Readouts, "readouts")
    if name != "conv" and (wrong := [size for size in hidden if isinstance(size, str)]):
        raise InputError(
            f"the topology {name} has no convolutions; take topology conv for hidden {wrong[0]!r}"
        )
    if readouts == "each-layer" and name not in DEEP:
        raise InputError(f"readouts each-layer need the topology {' or '.join(DEEP)}, not {name}")
    groups, kinds = _hidden(inputs, hidden, neurons)
    many = max(len(groups), 1) if readouts == "each-layer" else 1
    outputs = [
        Population(
            "output" if at == many else f"readout{at}", (classes,), NEURONS[neurons.get("output", "independent")],
            visible=True, feedback=neurons.get("feedback") == "all", rate=neurons.get("visible_rate"),
        )
        for at in range(1, many + 1)
    ]  # fmt: skip
    names, visible = [group.name for group in groups], [output.name for output in outputs]
    kind: Kind = Masked(density) if name == "sparse" else DENSE
    if name == "full":
        wires = [Projection(a, b) for a in [INPUTS, *names, *visible] for b in [*names, *visible]]
    elif name in DEEP:
        chain = [INPUTS, *names]
        wires = [Projection(a, b, k) for a, b, k in zip(chain, names, kinds, strict=False)]
        heard = names if len(visible) > 1 else chain[-1:]
        wires += [Projection(a, b) for a, b in zip(heard, visible, strict=True)]
    else:
        wires = [Projection(INPUTS, b, kind) for b in [*names, *visible]]
        for at, a in enumerate(names):
            wires += [Projection(a, b, kind) for b in [*names[at:], *visible]]
    wires = [replace(wire, basis=readout) if wire.target in visible else wire for wire in wires]
    return Graph(inputs, (*groups, *outputs), tuple(wires))


def _hidden(
    inputs: tuple[int, int, int], hidden: Sequence[int | str], neurons: dict[str, Any]
) -> tuple[list[Population], list[Kind]]:
    """The hidden populations, and how each hears the one before it."""
    groups: list[Population] = []
    kinds: list[Kind] = []
    before = Sheet(*inputs, of_inputs=True)
    for at, size in enumerate(hidden, 1):
        found = convolution(size) if isinstance(size, str) else None
        shape = (int(size),) if found is None else found.kind.result(before, found.channels)
        name = "hidden" if len(hidden) == 1 else f"hidden{at}"
        group = Population(
            name,
            shape,
            feedback=neurons.get("feedback", "hidden") != "none",
            rate=neurons.get("hidden_rate", 0.1),
        )  # pyright: ignore[reportArgumentType]
        groups.append(group)
        kinds.append(DENSE if found is None else found.kind)
        before = group.sheet
    return groups, kinds
