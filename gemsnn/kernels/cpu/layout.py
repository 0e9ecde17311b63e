"""How the cpu kernel lays out a graph's parameters: weights row by row, and what is added up to move them.

A wire's rows are those of :mod:`gemsnn.kernels.cpu.patches`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gemsnn.kernels.cpu.firing import Neurons
from gemsnn.kernels.cpu.memory import zeros
from gemsnn.kernels.cpu.patches import Patch, Wire, stages_of, turned, wires_of
from gemsnn.model.graph import Population
from gemsnn.model.network import Network, Params
from gemsnn.model.neurons import CIRCUIT


class Plan(NamedTuple):
    """A network, laid out.

    Attributes:
        network: the network.
        populations: its populations.
        wires: its projections.
        heard: for each population the wires to it.
        stages: populations by number, each group after all that it hears.
        turned: for wires whose spikes are sent step by step, the patch by sender.
        silence: how many steps back anything is heard.
    """

    network: Network
    populations: tuple[Population, ...]
    wires: list[Wire]
    heard: list[list[int]]
    stages: list[list[int]]
    turned: dict[int, Patch]
    silence: int

    def size(self, number: int) -> tuple[int, int]:
        """A population's ``(places, channels)``."""
        sheet = self.populations[number].sheet
        return sheet.height * sheet.width, sheet.channels

    def hears_inputs(self, number: int) -> bool:
        """Whether a population hears the inputs."""
        return any(self.wires[w].source < 0 for w in self.heard[number])


def plan_of(network: Network, *, endless: bool = False) -> Plan:
    """Lay out a network.

    With ``endless``, all wires may send step by step; else those within a group of populations that hears itself.
    """
    populations, wires = network.graph.populations, wires_of(network)
    heard = [[w for w, wire in enumerate(wires) if wire.target == n] for n in range(len(populations))]
    stages = stages_of(wires, len(populations))
    by_sender = {
        w: turned(wire.patch, wire.places)
        for w, wire in enumerate(wires)
        if endless or any(wire.target in stage and wire.source in stage for stage in stages)
    }
    silence = max(network.memory, network.own_taps.shape[1])
    return Plan(network, populations, wires, heard, stages, by_sender, silence)


class Weights(NamedTuple):
    """Parameters, laid out.

    Attributes:
        rows: for each wire ``[rows, D, C]``.
        neurons: for each population its own.
    """

    rows: list[NDArray]
    neurons: list[Neurons]


def laid_out(plan: Plan, params: Params) -> Weights:
    """Parameters as the compiled steps want them."""
    found, site = [], 0
    by_lag = (params.feedback @ plan.network.own_taps).contiguous()
    for population in plan.populations:
        sites = slice(site, site + population.sheet.channels)
        lags = by_lag[sites].T if population.feedback else by_lag[:0].T[:0]
        own = lags.reshape(-1, population.sheet.channels).contiguous().numpy()
        bias = params.bias[sites].clone().numpy()
        found.append(Neurons(population.neuron == CIRCUIT, population.visible, bias, own))
        site = sites.stop
    return Weights([wire.rows(params.weights.get(wire.link.name)) for wire in plan.wires], found)


class Blame(NamedTuple):
    """What is added up in the parameters' layout: a tree.

    Attributes:
        rows: for each wire ``[rows, D, C]``; nothing of wires that do not learn.
        bias: for each population ``[C]``.
        feedback: for each population ``[Df, C]``.
    """

    rows: tuple[NDArray, ...]
    bias: tuple[NDArray, ...]
    feedback: tuple[NDArray, ...]


def no_blame(plan: Plan, weights: Weights) -> Blame:
    """Zeros."""
    pairs = zip(weights.rows, plan.wires, strict=True)
    return Blame(
        tuple(zeros(rows.shape if wire.learns else (0, 0, 0), rows.dtype) for rows, wire in pairs),
        tuple(np.zeros_like(each.bias) for each in weights.neurons),
        tuple(np.zeros_like(each.feedback) for each in weights.neurons),
    )


def direction_of(plan: Plan, blame: Blame) -> Params:
    """The direction in the parameters' natural shapes."""
    weights = {
        wire.link.name: wire.natural(rows)
        for wire, rows in zip(plan.wires, blame.rows, strict=True)
        if wire.learns
    }
    own = plan.network.own_taps
    feedback = [
        torch.from_numpy(lags).T @ own.T if len(lags) else own.new_zeros(lags.shape[1], len(own))
        for lags in blame.feedback
    ]
    return Params(weights, torch.cat(feedback), torch.cat([torch.from_numpy(bias) for bias in blame.bias]))
