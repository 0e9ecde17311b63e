"""The exact mean of what a rule does with a presentation: the reference, forced through every hidden path."""

from __future__ import annotations

from unittest import mock

import torch
from oracles import hidden_paths, path_log_probs, tuples

from gemsnn import rng
from gemsnn.kernels import Learning, reference
from gemsnn.model import network as networks
from gemsnn.model.network import Network, Params
from gemsnn.rules import base, optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees
from gemsnn.types import Presentation

PLAIN = OptimiserSpec("sgd", lr=1.0)


def expected_step(
    network: Network, params: Params, presentation: Presentation, rule: RuleSpec, compartments: int
) -> Params:
    """What one presentation adds to the parameters at lr = 1, in the mean over hidden spikes.

    All tuples are presentations of one batch. A batch's direction is the mean over its presentations of those that are
    read, so a reading of ``R chance`` in place of true weighs each of R tuples with its chance.
    """
    paths = hidden_paths(network, len(presentation.spikes))
    priors, _ = path_log_probs(network, params, presentation)
    chosen = tuples(len(paths), compartments)
    chance = priors.detach()[chosen].sum(1).exp()
    # a uniform number of 0 makes a neuron spike, one of 1 keeps it silent
    silent = torch.nn.functional.pad(1 - paths[chosen], (0, network.spec.visible_neurons)).transpose(1, 2)
    read_steps = base.read_steps

    def forced(seed, address, steps, *shape, **more):
        return silent[:, steps.start : steps.stop]

    def weighted(*given):
        return read_steps(*given) * (chance * len(chance))[:, None]

    batch = networks.batch(network, [presentation._replace(address=at) for at in range(len(chosen))])
    learning, start = Learning(rule, PLAIN, compartments), optimisers.init(PLAIN, params)
    with mock.patch.object(rng, "uniforms", forced), mock.patch.object(base, "read_steps", weighted):
        learned = reference.learn(network, params, start, learning, batch, seed=0, lr=1.0)
    return trees.map(torch.sub, learned.params, params)


def flat(tree: Params) -> torch.Tensor:
    """All numbers of a tree."""
    return torch.cat([leaf.flatten() for leaf in trees.leaves(tree)])
