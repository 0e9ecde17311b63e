"""What is measured: networks and batches by name, and the arithmetic each of them takes.

========== ==========================================================================================
``paper``  256 hidden and 10 visible neurons, ``full``, 1352 inputs, L 8, D 10, T 80; one presentation at
           a time, sgd after every step, rule ``gem-cv`` with kappa = gamma = 0.9; K = 1, 2, 5, 10, 20, 50
``batch``  the same with 32 presentations in parallel and one update a presentation; K = 1, 10
``infer``  the same network running freely with fixed weights, K = 20, one presentation and 32 at a time
``digits`` the default settings of ``gemsnn train``
``growth`` ``paper`` with K = 5 and one size changed at a time: M, H, T, K
``peers``  676-256-10 ``feedforward`` on merged polarities, L 4, T 80, 64 presentations in parallel, adam
           once a batch; K = 1, 10
``conv``   convolutions 16x5s2 and 32x5s2 on 34 x 34 places of both polarities, with readouts of 10 neurons behind
           each, L 8, T 80, 16 presentations in parallel, rule ``one-hop``, adam once a batch; K = 1, 10
========== ==========================================================================================
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch

from gemsnn.kernels import Learning
from gemsnn.model import network as networks
from gemsnn.model.basis import BasisSpec
from gemsnn.model.network import NetworkSpec
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.runs.config import FORMER
from gemsnn.specs import checks
from gemsnn.specs.checks import Count
from gemsnn.types import Layout, PresentationSequence

TaskName = Literal["paper", "batch", "infer", "digits", "growth", "peers", "conv"]
TASKS: tuple[TaskName, ...] = get_args(TaskName)

SENSOR = Layout(channels=2, height=26, width=26, classes=10, bin_us=25_000)
"""Of the emulated digits."""


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes:
        task: the name it is shown under.
        network: the network.
        compartments: K.
        batch: presentations in parallel, B.
        steps: bins of a presentation, T.
        learning: how it learns; ``None`` where it runs freely with fixed weights.
        merged: whether ON and OFF are merged into one channel.
    """

    task: str
    network: NetworkSpec
    compartments: Count
    batch: Count
    steps: Count
    learning: Learning | None
    merged: bool = False

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)


def written(case: Case) -> dict[str, Any]:
    """A case as JSON can hold it; its network is one of a topology, and its rule one by name."""
    assert case.network.custom is None
    return dataclasses.asdict(case)


def read(told: dict[str, Any]) -> Case:
    """The case of :func:`written`."""
    network = dict(told["network"])
    bases: dict[str, Any] = {name: BasisSpec(**network.pop(name)) for name in ("synapse", "self_filter")}
    learning = told["learning"]
    if learning is not None:
        rule, optimiser = RuleSpec(**learning["rule"]), OptimiserSpec(**learning["optimiser"])
        learning = Learning(**learning | {"rule": rule, "optimiser": optimiser})
    return Case(**told | {"network": NetworkSpec(**network, **bases), "learning": learning})


class _Sizes:
    """The sizes of the tasks, or the tiny ones of ``--quick``."""

    def __init__(self, quick: bool) -> None:
        self.hidden = 8 if quick else 256
        self.inputs = 52 if quick else SENSOR.inputs
        self.peer_inputs = 26 if quick else SENSOR.inputs // 2
        self.count = 2 if quick else 8
        self.steps = 6 if quick else 80
        self.batch = 2 if quick else 32
        self.peer_batch = 3 if quick else 64
        self.compartments = (1, 2) if quick else (1, 2, 5, 10, 20, 50)
        self.few = (1, 2) if quick else (1, 10)
        self.conv_batch = 2 if quick else 16
        self.conv_side = 7 if quick else 34
        self.convolutions = ("2x3s2", "3x3s2") if quick else ("16x5s2", "32x5s2")
        self.votes = 3 if quick else 20
        self.middle = 2 if quick else 5
        self.growth: dict[str, tuple[int, ...]] = {
            "M": (26, 52, 104) if quick else (338, 676, 1352, 2704),
            "H": (4, 8) if quick else (64, 128, 256, 512),
            "T": (3, 6, 12) if quick else (20, 40, 80, 160),
            "K": (1, 2) if quick else (1, 2, 5, 10, 20),
        }


def cases(task: TaskName, *, quick: bool = False) -> list[Case]:
    """The cases of a task; see the module's table. With ``quick``, all sizes are tiny."""
    sizes = _Sizes(quick)
    if task == "paper":
        return [_paper(sizes, compartments) for compartments in sizes.compartments]
    if task == "batch":
        return [
            _with_learning(replace(_paper(sizes, k), task="batch", batch=sizes.batch), update_every=None)
            for k in sizes.few
        ]
    if task == "infer":
        free = replace(_paper(sizes, sizes.votes), task="infer", learning=None)
        return [free, replace(free, batch=sizes.batch)]
    if task == "growth":
        return [_grown(sizes, factor, value) for factor, values in sizes.growth.items() for value in values]
    if task == "peers":
        return [_peers(sizes, compartments) for compartments in sizes.few]
    if task == "conv":
        return [_conv(sizes, compartments) for compartments in sizes.few]
    settings = FORMER
    network = settings.network_spec(SENSOR._replace(width=1) if quick else SENSOR)
    train = settings.train
    return [Case("digits", network, train.compartments, train.batch, sizes.steps, settings.learning)]


def _paper(sizes: _Sizes, compartments: int) -> Case:
    rule = RuleSpec("gem-cv", kappa=0.9, gamma=0.9, readout="every-step")
    learning = Learning(rule, OptimiserSpec("sgd", lr=1e-4), compartments, update_every=1)
    network = NetworkSpec(
        sizes.inputs, 10, (sizes.hidden,), topology="full", synapse=BasisSpec(count=sizes.count)
    )
    return Case("paper", network, compartments, 1, sizes.steps, learning)


def _with_learning(case: Case, *, update_every: int | None) -> Case:
    assert case.learning is not None
    return replace(case, learning=replace(case.learning, update_every=update_every))


def _grown(sizes: _Sizes, factor: str, value: int) -> Case:
    base = _paper(sizes, value if factor == "K" else sizes.middle)
    if factor == "M":
        base = replace(base, network=replace(base.network, inputs=value))
    elif factor == "H":
        base = replace(base, network=replace(base.network, hidden=(value,)))
    elif factor == "T":
        base = replace(base, steps=value)
    return replace(base, task=f"growth-{factor}")


def _peers(sizes: _Sizes, compartments: int) -> Case:
    network = NetworkSpec(
        sizes.peer_inputs, 10, (sizes.hidden,), topology="feedforward", synapse=BasisSpec(count=4)
    )
    learning = Learning(RuleSpec(), OptimiserSpec("adam"), compartments)
    return Case("peers", network, compartments, sizes.peer_batch, sizes.steps, learning, merged=True)


def _conv(sizes: _Sizes, compartments: int) -> Case:
    sheet = (SENSOR.channels, sizes.conv_side, sizes.conv_side)
    network = NetworkSpec(
        math.prod(sheet), 10, sizes.convolutions, topology="conv", synapse=BasisSpec(count=sizes.count), sheet=sheet,
        readouts="each-layer",
    )  # fmt: skip
    learning = Learning(RuleSpec("one-hop"), OptimiserSpec("adam"), compartments)
    return Case("conv", network, compartments, sizes.conv_batch, sizes.steps, learning)


def bins(presentations: PresentationSequence, case: Case, count: int) -> torch.Tensor:
    """Real binned events in the sizes of a case, uint8 ``[count, T, M]``.

    Fewer inputs than the sensor has are its middle columns, more are the columns of several recordings side
    by side; fewer steps are a recording's first, more are several recordings one after the other. Where the inputs
    lie on a sheet, the sensor is in the middle of it.
    """
    wanted = case.network.inputs
    if case.network.sheet is not None:
        return torch.stack([_placed(_tiled(presentations, number, case, 0), case) for number in range(count)])
    rows = []
    for number in range(count):
        row = _tiled(presentations, number, case, 0)
        for more in range(1, -(-wanted // row.shape[1])):
            row = torch.cat([row, _tiled(presentations, number, case, more)], 1)
        first = (row.shape[1] - wanted) // 2
        rows.append(row[:, first : first + wanted])
    return torch.stack(rows)


def _placed(spikes: torch.Tensor, case: Case) -> torch.Tensor:
    """Spikes of the sensor ``[T, M]`` in the middle of the case's sheet, cut where that is smaller."""
    assert case.network.sheet is not None
    channels, height, width = case.network.sheet
    x, y = width - SENSOR.width, height - SENSOR.height
    around = (0, 0, y // 2, y - y // 2, x // 2, x - x // 2)
    picture = spikes.unflatten(1, (SENSOR.width, SENSOR.height, channels))
    return torch.nn.functional.pad(picture, around).flatten(1)


def _tiled(presentations: PresentationSequence, number: int, case: Case, shift: int) -> torch.Tensor:
    """Recording after recording, until there are T steps."""
    pieces, steps = [], 0
    while steps < case.steps:
        spikes = presentations[(number + 37 * shift + 101 * len(pieces)) % len(presentations)].spikes
        pieces.append(spikes[:, 0::2] | spikes[:, 1::2] if case.merged else spikes)
        steps += len(spikes)
    return torch.cat(pieces)[: case.steps]


def gflop(case: Case) -> float:
    """Dense arithmetic of the blockwise algorithm, in 10^9 operations a presentation.

    A multiplication and an addition count as two operations. Counted are the matrix products of
    exact online learning in one block a presentation, in their cheaper order, where the synapses
    from inputs are ``S_in`` and those from neurons ``S_rec`` (of the topology: N M and N (N - 1) for ``full``):

    ================================================== =========================================
    inputs' product, ``W`` times spikes, once for all k ``2 T L S_in``
    recurrent product, at each step for each k          ``2 T L S_rec K``
    inputs' Gram matrix, spikes with spikes             ``2 P B M``
    recurrent Gram matrix, each k with each k           ``2 P B K^2 N``
    errors weighted and summed over k                   ``2 P K N``
    pending updates added to the potentials             ``2 P B N + 2 P B K^2 N``
    update of the inputs' weights, summed over k        ``2 T L S_in``
    update of the neurons' weights                      ``2 T L S_rec K``
    ================================================== =========================================

    ``P`` is the number of pairs (tau, t) of steps with an update after tau and not after t: T (T - 1) / 2
    for an update a step, none for an update a presentation. Weights are shared, so each of B presentations
    feels what all B have learned. Running with fixed weights takes the first two lines. Of a convolution every place's
    synapses count: that is the arithmetic of a dense convolution of all filters' traces.

    Left out is what is no matrix product: filters, sigmoids, noise, the optimiser. Zeros count as any number,
    so a kernel that skips them can pass the machine's peak.
    """
    network = networks.build(case.network)
    if network.is_joint:
        heard = int(network.mask[:, : case.network.inputs].sum())
        recurrent = int(network.mask.sum()) - heard
    else:
        heard, recurrent = (
            sum(link.synapses for link in network.links if link.hears_inputs == inputs)
            for inputs in (True, False)
        )
    return 1e-9 * operations(case, synapses_from_inputs=heard, synapses_from_neurons=recurrent)


def operations(case: Case, *, synapses_from_inputs: int, synapses_from_neurons: int) -> int:
    """What :func:`gflop` counts, from the numbers of synapses."""
    steps, k, b = case.steps, case.compartments, case.batch
    neurons, inputs, count = case.network.neurons, case.network.inputs, case.network.synapse.count
    products = 2 * steps * count * (synapses_from_inputs + synapses_from_neurons * k)
    if case.learning is None:
        return products
    every = case.learning.update_every or steps
    pairs = sum(t // every * every for t in range(steps))
    gram = 2 * pairs * b * (inputs + k * k * neurons)
    pending = 2 * pairs * (k * neurons + b * neurons + b * k * k * neurons)
    return 2 * products + gram + pending


def eligibility_bytes(case: Case, element: int = 4) -> int:
    """What the step-by-step rule keeps: a trace of the size of the weights for every presentation and k."""
    return case.network.weights * case.compartments * case.batch * element


def shortened(case: Case, *, steps: int, memory: int) -> Case:
    """A case of few steps, and of as many presentations as fit into memory, for the step-by-step reference.

    Its cost a step and presentation is constant, so that of the whole follows.
    """
    one = eligibility_bytes(replace(case, batch=1))
    return replace(case, steps=min(steps, case.steps), batch=max(1, min(case.batch, memory // one)))


def size(case: Case) -> Sequence[tuple[str, int]]:
    """The letters of a case."""
    spec = case.network
    return (
        ("M", spec.inputs),
        ("H", spec.hidden_neurons),
        ("V", spec.visible),
        ("L", spec.synapse.count),
        ("D", spec.synapse.taps),
        ("T", case.steps),
    )
