"""Measures of cost under the names that NeuroBench gives them.

J. Yik et al., "NeuroBench: A Framework for Benchmarking Neuromorphic Computing Algorithms and Systems", arXiv
2304.04640. Operations are those of the network as equations, not of a kernel: a spike that arrives at a synapse adds a
weight to a potential at every lag of the synapse's memory.
"""

from __future__ import annotations

import math

from gemsnn.model.network import Network, Params
from gemsnn.scoring.evaluate import Poll
from gemsnn.scoring.scores import NeuroBench, SynapticOperations
from gemsnn.store import trees

JOULES_AN_ADDITION = 0.9e-12
"""Of two numbers in float32, in 45 nm (M. Horowitz, "Computing's energy problem", ISSCC 2014)."""

ASSUMED = (
    f"{JOULES_AN_ADDITION * 1e12:g} pJ an addition (float32, 45 nm: Horowitz, ISSCC 2014), and nothing for memory "
    "accesses, filters, noise and sigmoids"
)
"""What the estimate of the energy rests on, for whoever reads the number."""


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
        energy_assumes=ASSUMED,
    )
