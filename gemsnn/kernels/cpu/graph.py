"""The cpu kernel for graphs: convolutions, poolings, masks, several readouts, populations that recur.

Which graphs are served, and how batches of them are cut; :mod:`gemsnn.kernels.cpu.graph_course` runs them.
"""

from __future__ import annotations

import numpy as np
import torch

from gemsnn.kernels.contract import Learned, Learning, Rollout
from gemsnn.kernels.cpu.forwards import PARTS
from gemsnn.kernels.cpu.graph_course import Course
from gemsnn.kernels.cpu.patches import KINDS
from gemsnn.kernels.team import ALONE, Team
from gemsnn.model.network import Network, Params
from gemsnn.model.neurons import Bernoulli, Circuit
from gemsnn.rules import base as rules
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.types import Batch

GROUP_BYTES = 2**25
"""What the histories of runs may take that are worked through together, where nothing needs them afterwards."""

SEARCHED = 15
"""How many times the steps between two updates a rule may remember before streams are slow: that of convolutions."""

HISTORY_BYTES = 2**30
"""What the histories of a stream may take, unless this kernel was asked for."""


def refuses(network: Network) -> str | None:
    """The graphs that are compiled have the projections and neurons of this package."""
    if any(type(link.kind) not in KINDS for link in network.links):
        return "it has projections of a kind that is not compiled; use block"
    for population in network.graph.populations:
        if type(population.neuron) not in (Bernoulli, Circuit):
            return "its neurons are of kinds that are not compiled; use block"
        if isinstance(population.neuron, Circuit) and population.sheet.height * population.sheet.width > 1:
            return "it has a circuit with places; use block"
    return None


def is_slow(network: Network, learning: Learning) -> bool:
    """Whether a stream that learns like this costs less with ``reference``, or has a history too large to hold.

    An update goes through all steps that the rule remembers; there it goes through an eligibility for every synapse
    and compartment at every step, however many these are.
    """
    every, window = learning.update_every or 1, rules.memory_of(learning.rule, network.taps.dtype)
    size = learning.compartments * network.spec.neurons * (network.taps.element_size() + 1)
    return window > SEARCHED * every or 2 * window * size > HISTORY_BYTES


def groups_of(network: Network, batch: Batch, compartments: int, *, whole: bool) -> list[Batch]:
    """A batch's presentations in groups: all of them, or as many at a time as there is memory for."""
    count, steps, _ = batch.shape
    silence = max(network.memory, network.own_taps.shape[1])
    one = compartments * network.spec.neurons * (steps + silence) * (network.taps.element_size() + 1)
    size = count if whole else max(1, min(count, GROUP_BYTES // one))
    if size > PARTS:
        size -= size % PARTS  # so that all threads have as much to do
    return [batch.some(slice(low, low + size)) for low in range(0, count, size)]


@torch.no_grad()
def learn(
    network: Network,
    params: Params,
    optimiser: OptimiserState,
    learning: Learning,
    batch: Batch,
    *,
    seed: int,
    lr: float,
    team: Team = ALONE,
) -> Learned:
    """See :meth:`gemsnn.kernels.contract.Kernel.learn`."""
    steps = batch.shape[1]
    every = learning.update_every or steps
    updates = torch.arange(1, steps + 1) % every == 0
    updates[-1] = True
    pieces = groups_of(network, batch, team.widest(learning.compartments), whole=every < steps)
    course = Course(
        network, params, learning, optimiser, learning.compartments, [len(piece.label) for piece in pieces], steps,
        seed=seed, lr=lr, first=team.first, team=team,
    )  # fmt: skip
    reads = [rules.read_steps(learning.rule, piece.observed, learning.update_every) for piece in pieces]
    course.advance(pieces, reads, updates, clamp=True)
    assert course.optimiser is not None
    fired = np.concatenate([group.fired.sum(1) for group in course.groups])
    chances = batch.length * learning.compartments * max(network.spec.hidden_neurons, 1)
    return Learned(
        course.finish(),
        course.optimiser,
        torch.from_numpy(np.concatenate([group.log_likelihood for group in course.groups])),
        torch.from_numpy(np.concatenate([group.log_weights for group in course.groups])),
        torch.from_numpy(fired).to(network.taps) / chances,
    )


@torch.no_grad()
def rollout(
    network: Network,
    params: Params,
    batch: Batch,
    compartments: int,
    *,
    seed: int,
    clamp: bool,
    first: int = 0,
) -> Rollout:
    """See :meth:`gemsnn.kernels.contract.Kernel.rollout`."""
    steps = batch.shape[1]
    pieces = groups_of(network, batch, compartments, whole=False)
    course = Course(
        network, params, None, None, compartments, [len(piece.label) for piece in pieces], steps, seed=seed,
        potentials=True, first=first,
    )  # fmt: skip
    reads = [piece.alive for piece in pieces]
    done = course.advance(pieces, reads, torch.zeros(steps, dtype=torch.bool), clamp=clamp)
    assert done is not None
    return done


def endless(
    network: Network, params: Params, learning: Learning | None, optimiser: OptimiserState | None, compartments: int,
    presentations: int, *, seed: int, lr: float,
) -> Course:  # fmt: skip
    """A course of presentations without an end."""
    return Course(
        network, params, learning, optimiser, compartments, [presentations], None, seed=seed, lr=lr, potentials=True
    )  # fmt: skip
