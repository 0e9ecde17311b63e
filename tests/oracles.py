"""Slow exact answers on tiny networks, written from the equations and sharing no code with the library.

Hidden paths are enumerated: with T steps and H hidden neurons there are 2^(T H) of them, and so the exact
log-likelihood, the exact expected K-sample bound, and by autograd their exact gradients.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from gemsnn.model.network import Network, Params
from gemsnn.store import trees
from gemsnn.types import Presentation


def potential(network: Network, params: Params, inputs: Tensor, spikes: Tensor, t: int) -> Tensor:
    """``u[i, t]`` for all neurons by plain loops over senders, lags and basis functions, ``[N]``."""
    m, n = inputs.shape[1], spikes.shape[1]
    senders = torch.cat([inputs, spikes], 1)
    rows = []
    for i in range(n):
        u = params.bias[i]
        for d in range(1, network.taps.shape[1] + 1):
            if t - d < 0:
                continue
            for j in range(m + n):
                if network.mask[i, j] and senders[t - d, j]:
                    u = u + (params.weights["joint"][i, j] * network.taps[:, d - 1]).sum()
        for d in range(1, network.own_taps.shape[1] + 1):
            if t - d >= 0 and network.own[i] and spikes[t - d, i]:
                u = u + (params.feedback[i] * network.own_taps[:, d - 1]).sum()
        rows.append(u)
    return torch.stack(rows)


def hidden_paths(network: Network, steps: int) -> Tensor:
    """Every hidden path, ``[2^(T H), T, H]``, in the order of :func:`path_log_probs`."""
    hidden = network.spec.hidden_neurons
    bits = list(itertools.product((0.0, 1.0), repeat=steps * hidden))
    return torch.tensor(bits, dtype=torch.float64).reshape(-1, steps, hidden)


def path_log_probs(network: Network, params: Params, presentation: Presentation) -> tuple[Tensor, Tensor]:
    """``log p(h || x)`` of every hidden path and ``log p(x || h)`` under it, each ``[2^(T H)]``, differentiable."""
    inputs, target = presentation.spikes.double(), presentation.target.double()
    steps, hidden = inputs.shape[0], network.spec.hidden_neurons
    priors, likelihoods = [], []
    for path in hidden_paths(network, steps):
        spikes = torch.cat([path, target], 1)
        prior = likelihood = torch.zeros((), dtype=torch.float64)
        for t in range(steps):
            u = potential(network, params, inputs, spikes, t)
            p = 1 / (1 + torch.exp(-u))
            log_p = torch.log(torch.where(spikes[t] > 0, p, 1 - p))
            prior = prior + log_p[:hidden].sum()
            likelihood = likelihood + _visible(network, spikes[t, hidden:], u[hidden:], log_p[hidden:])
        priors.append(prior)
        likelihoods.append(likelihood)
    return torch.stack(priors), torch.stack(likelihoods)


def _visible(network: Network, spikes: Tensor, u: Tensor, log_p: Tensor) -> Tensor:
    """``log p(x | u)``: independent, or in a circuit one of the neurons or none, with odds ``exp(u)`` to 1."""
    if network.spec.output == "independent":
        return log_p.sum()
    assert spikes.sum() <= 1
    return (spikes * u).sum() - torch.log(1 + torch.exp(u).sum())


def log_likelihood(network: Network, params: Params, presentation: Presentation) -> Tensor:
    """``log p(x) = log sum_h p(h || x) p(x || h)``."""
    priors, likelihoods = path_log_probs(network, params, presentation)
    return torch.logsumexp(priors + likelihoods, 0)


def gradient(objective: Callable[[Params], Tensor], params: Params) -> Params:
    """The gradient of an objective of the parameters, by autograd; zero for what it does not depend on."""
    leaves = trees.map(lambda leaf: leaf.clone().requires_grad_(), params)
    flat = list(trees.leaves(leaves))
    found = dict(
        zip(map(id, flat), torch.autograd.grad(objective(leaves), flat, materialize_grads=True), strict=True)
    )
    return trees.map(lambda leaf: found[id(leaf)], leaves)


def expected_bound(network: Network, params: Params, presentation: Presentation, compartments: int) -> Tensor:
    """``E log (1/K) sum_k exp v^k`` over all K-tuples of hidden paths."""
    priors, likelihoods = path_log_probs(network, params, presentation)
    total = torch.zeros((), dtype=torch.float64)
    for paths in itertools.product(range(len(priors)), repeat=compartments):
        chosen = torch.tensor(paths)
        bound = torch.logsumexp(likelihoods[chosen], 0) - torch.log(torch.tensor(float(compartments)))
        total = total + priors[chosen].sum().exp() * bound
    return total


def expected_reward(
    network: Network, params: Params, presentation: Presentation, sparsity: float, rate: float
) -> Tensor:
    """``E log p(x || h) - sparsity KL(p(h || x) || r)``, where r lets every hidden neuron spike at ``rate``."""
    priors, likelihoods = path_log_probs(network, params, presentation)
    paths = hidden_paths(network, len(presentation.spikes))
    chance = torch.where(paths > 0, torch.full_like(paths, rate), torch.full_like(paths, 1 - rate))
    divergence = priors - torch.log(chance).sum((1, 2))
    return (priors.exp() * (likelihoods - sparsity * divergence)).sum()
