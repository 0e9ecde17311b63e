"""Measures of cost under the names that NeuroBench gives them.

J. Yik et al., "NeuroBench: A Framework for Benchmarking Neuromorphic Computing Algorithms and Systems", arXiv
2304.04640. Operations are those of the network as equations, not of a kernel: a spike that arrives at a synapse adds a
weight to a potential at every lag of the synapse's memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gemsnn.model.network import Network, Params
from gemsnn.scoring.evaluate import Poll
from gemsnn.store import trees

JOULES_AN_ADDITION = 0.9e-12
"""Of two numbers in float32, in 45 nm (M. Horowitz, "Computing's energy problem", ISSCC 2014)."""


@dataclass(frozen=True)
class SynapticOperations:
    """Additions and multiplications with weights for one answer, on average, of all compartments.

    Attributes:
        effective_macs: multiplications with additions: none, for what arrives are spikes.
        effective_acs: additions because a spike arrived, also those at lags beyond the recording's end.
        dense: the additions were all synapses there that projections can have, and all inputs and neurons spiking.
    """

    effective_macs: float
    effective_acs: float
    dense: float


@dataclass(frozen=True)
class NeuroBench:
    """What answers cost.

    Attributes:
        footprint: bytes of the parameters and filters, and of the spikes that are remembered, a bit each.
        connection_sparsity: the share of absent synapses among those that the projections can have, 0 to 1.
        activation_sparsity: the share of steps without a spike, over hidden and visible neurons, 0 to 1.
        synaptic_operations: for one answer.
        energy_joules: an estimate for one answer: the additions alone, each of :data:`JOULES_AN_ADDITION`; without
            memory accesses, which on most machines take more, and without filters, noise and sigmoids.
    """

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    synaptic_operations: SynapticOperations
    energy_joules: float


def measure(network: Network, params: Params, poll: Poll, steps: float) -> NeuroBench:
    """The measures of K compartments.

    Args:
        network: the network.
        params: its parameters.
        poll: what they said, from :func:`gemsnn.scoring.evaluate.predict`.
        steps: of a recording, on average.
    """
    spec, graph, activity = network.spec, network.graph, poll.activity
    compartments = poll.votes.shape[1]
    held = [*trees.leaves(params), *network.banks, network.own_taps]
    own = max(network.memory, network.own_taps.shape[1])
    spikes = spec.inputs * network.memory + compartments * spec.neurons * own
    sheets = {each.name: (graph.sheet(each.source), graph.sheet(each.target)) for each in graph.projections}
    allowed = {each.name: each.kind.synapses(*sheets[each.name]) for each in graph.projections}
    allowed = {name: many * sheets[name][1].size for name, many in allowed.items()}
    dense = sum(many * network.banks[spec.banks[1][name]].shape[1] for name, many in allowed.items())
    dense += int(network.own.sum()) * network.own_taps.shape[1]
    most, present = sum(allowed.values()), sum(link.synapses for link in network.links)
    fired = activity.hidden * spec.hidden_neurons + activity.visible * spec.visible_neurons
    additions = activity.additions * compartments * steps
    return NeuroBench(
        footprint=sum(leaf.numel() * leaf.element_size() for leaf in held) + math.ceil(spikes / 8),
        connection_sparsity=1 - present / most if most else 0.0,
        activation_sparsity=1 - fired / spec.neurons,
        synaptic_operations=SynapticOperations(0.0, additions, dense * compartments * steps),
        energy_joules=additions * JOULES_AN_ADDITION,
    )
