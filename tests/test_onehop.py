"""The one-hop signal against autograd."""

from __future__ import annotations

import pytest
import torch
from cases import make_network, make_presentation

from gemsnn.errors import InputError
from gemsnn.kernels import Learning, reference
from gemsnn.model import basis, glm
from gemsnn.model import step as stepping
from gemsnn.model.batches import collate
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees

STEPS = 6


def history(values, t, memory):
    """The ``memory`` rows before step t, zeros before the first."""
    padded = torch.cat([values.new_zeros(memory, values.shape[1]), values[:t]])
    return padded[-memory:]


def evidence(network, params, presentation, spikes, begin=0):
    """``log p(x || h)`` where visible neurons hear hidden probabilities that have the value of the spikes.

    Straight through: ``s + (sigmoid(u) - sigmoid(u) held fixed)``; hidden neurons hear spikes.
    """
    m, hidden = network.spec.inputs, network.spec.hidden_neurons
    taps, own_taps = network.taps, network.own_taps
    inputs, fixed = presentation.spikes.double(), spikes.double()
    soft, total = [], 0.0
    for t in range(STEPS):
        input_trace = basis.trace(history(inputs, t, taps.shape[1]), taps)
        own_trace = basis.trace(history(fixed, t, own_taps.shape[1]), own_taps)
        rest = (
            glm.drive(params.weights["joint"][:, :m], input_trace)
            + glm.feedback(params.feedback, own_trace)
            + params.bias
        )
        heard = basis.trace(history(fixed, t, taps.shape[1]), taps)
        u_hidden = (rest + glm.drive(params.weights["joint"][:, m:], heard))[:hidden]
        p = torch.sigmoid(u_hidden)
        through = torch.stack(soft) if soft else fixed[:0]
        felt = basis.trace(history(through, t, taps.shape[1]), taps)
        u_visible = (rest + glm.drive(params.weights["joint"][:, m:], felt))[hidden:]
        soft.append(torch.cat([fixed[t, :hidden] + p - p.detach(), fixed[t, hidden:]]))
        if t >= begin:
            whole = torch.cat([u_hidden.detach(), u_visible])
            total = total + stepping.evidence(network, fixed[t], whole)
    return total


@pytest.mark.parametrize("output", ["independent", "winner-take-all"])
@pytest.mark.parametrize("topology", ["layered", "full", "feedforward"])
@pytest.mark.parametrize("begin", [0, 3])
def test_it_is_the_gradient_through_one_synapse(output, topology, begin):
    network, params = make_network(hidden=(3,), topology=topology, output=output, taps=3)
    presentation = make_presentation(STEPS, 3, 2)
    batch = collate([presentation])._replace(begin=torch.tensor([begin]))
    spec = OptimiserSpec("sgd")
    learning = Learning(RuleSpec("one-hop", kappa=1.0, gamma=1.0), spec, 1)
    state = optimisers.init(spec, params)
    learned = reference.learn(network, params, state, learning, batch, seed=5, lr=1.0)
    spikes = reference.rollout(network, params, batch, 1, seed=5, clamp=True).spikes[0, 0]
    leaves = trees.map(lambda leaf: leaf.clone().requires_grad_(), params)
    evidence(network, leaves, presentation, spikes, begin).backward()
    hidden = slice(network.spec.hidden_neurons)
    there = (network.mask[:, :, None], network.own[:, None], 1)
    for after, before, leaf, exists in zip(
        *map(trees.leaves, (learned.params, params, leaves)), there, strict=True
    ):
        want = (leaf.grad * exists)[hidden]
        torch.testing.assert_close((after - before)[hidden], want, rtol=1e-9, atol=1e-9)
    assert (learned.params.bias - params.bias)[hidden].abs().min() > 1e-6


def test_it_is_read_as_it_comes():
    with pytest.raises(InputError, match="needs readout every-step"):
        RuleSpec("one-hop", readout="last-step")
