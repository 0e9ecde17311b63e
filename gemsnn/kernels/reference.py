"""The reference kernel: the papers' equations, one step after the other.

It composes ``network.step`` and ``rules.update`` and holds an eligibility trace of the size of the weights for
every compartment, as the equations say. Every other kernel is tested against it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gemsnn import network as networks
from gemsnn import optimisers, rng, rules
from gemsnn.kernels.contract import Learned, Learning, Rollout
from gemsnn.network import Network, Params
from gemsnn.optimisers import OptimiserState
from gemsnn.types import Batch


def refuses(network: Network, learning: Learning | None) -> str | None:
    """The reference serves every case."""
    return None


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
) -> Learned:
    """See :meth:`gemsnn.kernels.contract.Kernel.learn`."""
    presentations, steps, _ = batch.spikes.shape
    compartments, neurons = learning.compartments, network.spec.neurons
    state = networks.initial_state(network, presentations, compartments)
    rule_state = rules.init(network, params, presentations, compartments)
    every = steps if learning.update_every is None else learning.update_every
    alive = batch.alive
    read = rules.read_steps(learning.rule, alive, learning.update_every)
    pending = Params(*(torch.zeros_like(leaf) for leaf in params))
    log_likelihood = torch.zeros_like(rule_state.log_weights)
    hidden_spikes = log_likelihood.new_zeros(presentations)
    for t in range(steps):
        uniform = rng.uniforms(seed, batch.address, range(t, t + 1), compartments, neurons)[:, 0].to(
            network.taps
        )
        state, now = networks.step(
            network, params, state, batch.spikes[:, t], uniform, clamp=batch.target[:, t], alive=alive[:, t]
        )
        evidence = networks.evidence(network, now.spikes, now.potential)
        log_likelihood += evidence * alive[:, t, None]
        hidden_spikes += now.spikes[..., : network.spec.hidden_neurons].sum((1, 2))
        rule_state, direction = rules.update(
            learning.rule,
            network,
            rule_state,
            evidence,
            networks.local_gradient(network, now),
            alive=alive[:, t],
            read=read[:, t],
        )
        pending = Params(*(total + new for total, new in zip(pending, direction, strict=True)))
        if (t + 1) % every == 0 or t + 1 == steps:
            optimiser, params = optimisers.update(learning.optimiser, optimiser, params, pending, lr=lr)
            pending = Params(*(torch.zeros_like(leaf) for leaf in params))
    chances = batch.length * compartments * max(network.spec.hidden_neurons, 1)
    return Learned(params, optimiser, log_likelihood, rule_state.log_weights, hidden_spikes / chances)


@torch.no_grad()
def rollout(
    network: Network, params: Params, batch: Batch, compartments: int, *, seed: int, clamp: bool
) -> Rollout:
    """See :meth:`gemsnn.kernels.contract.Kernel.rollout`."""
    state = networks.initial_state(network, len(batch.label), compartments)
    spikes: list[Tensor] = []
    potentials: list[Tensor] = []
    alive = batch.alive
    for t in range(batch.spikes.shape[1]):
        uniform = rng.uniforms(seed, batch.address, range(t, t + 1), compartments, network.spec.neurons)[:, 0]
        state, now = networks.step(
            network,
            params,
            state,
            batch.spikes[:, t],
            uniform.to(network.taps),
            clamp=batch.target[:, t] if clamp else None,
            alive=alive[:, t],
        )
        spikes.append(now.spikes.to(torch.uint8))
        potentials.append(now.potential)
    return Rollout(torch.stack(spikes, 2), torch.stack(potentials, 2))
