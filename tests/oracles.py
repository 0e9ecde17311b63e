"""Slow exact answers on tiny networks, written from the equations and sharing no code with the library.

Every network is a list of synapses here, a convolution too. Hidden paths are enumerated: with T steps and H hidden
neurons there are 2^(T H) of them, and so the exact log-likelihood, the exact expected K-sample bound, and by autograd
their exact gradients.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gemsnn.model import basis
from gemsnn.model.graph import Population
from gemsnn.model.network import Network, Params, named
from gemsnn.store import trees
from gemsnn.types import Presentation


class Synapse(NamedTuple):
    """One synapse of a projection.

    Attributes:
        receiver: its number in the population that listens.
        sender: its number in the population, or among the inputs, that is heard.
        place: where its weight ``[L]`` stands in the projection's; ``None`` where it has no weight.
        gain: what it counts without one.
    """

    receiver: int
    sender: int
    place: tuple[int, ...] | None
    gain: float = 1.0


def number_of(sheet: Any, channel: int, y: int, x: int) -> int:
    """The number of what lies there: inputs go column by column with the channel first, neurons channel by channel."""
    if sheet.of_inputs:
        return channel + sheet.channels * (x * sheet.height + y)
    return (channel * sheet.height + y) * sheet.width + x


@functools.cache
def synapses(kind: Any, senders: Any, receivers: Any) -> tuple[Synapse, ...]:
    """All synapses of a projection of a kind of the library, between sheets of neurons."""
    channels, height, width = range(receivers.channels), range(receivers.height), range(receivers.width)
    found = []
    if kind.name in ("dense", "masked"):
        for n in range(receivers.channels * receivers.height * receivers.width):
            for m in range(senders.channels * senders.height * senders.width):
                found.append(Synapse(n, m, (n, m)))
    elif kind.name == "convolutional":
        border = kind.kernel // 2 if kind.padding is None else kind.padding
        patch = range(kind.kernel)
        for c, y, x in itertools.product(channels, height, width):
            for sent, dy, dx in itertools.product(range(senders.channels), patch, patch):
                from_y, from_x = kind.stride * y + dy - border, kind.stride * x + dx - border
                if 0 <= from_y < senders.height and 0 <= from_x < senders.width:
                    heard = number_of(senders, sent, from_y, from_x)
                    found.append(Synapse(number_of(receivers, c, y, x), heard, (c, sent, dy, dx)))
    elif kind.name == "pooling":
        window = range(kind.window)
        for c, y, x, dy, dx in itertools.product(channels, height, width, window, window):
            heard = number_of(senders, c, kind.window * y + dy, kind.window * x + dx)
            found.append(Synapse(number_of(receivers, c, y, x), heard, None, kind.gain))
    else:
        raise AssertionError(f"no list of synapses for {kind}")
    return tuple(found)


bank = functools.cache(basis.bank)


def filtered(spikes: Tensor, taps: Tensor, t: int) -> list[Tensor | None]:
    """``a[x, l, t] = sum_d f_l(d) s[t - d, x]`` of every sender, ``[L]``; ``None`` of those that were silent."""
    lags = range(1, min(t, taps.shape[1]) + 1)
    rows = [spikes[t - d] if spikes.requires_grad else spikes[t - d].tolist() for d in lags]
    found: list[Tensor | None] = []
    for x in range(spikes.shape[1]):
        sent = [
            row[x] * taps[:, d - 1]
            for d, row in zip(lags, rows, strict=True)
            if spikes.requires_grad or row[x]
        ]
        found.append(sum(sent[1:], sent[0]) if sent else None)
    return found


class Wires(NamedTuple):
    """A projection's synapses.

    Attributes:
        source: whom they hear.
        to_visible: whether visible neurons have them.
        taps: ``[L, D]``.
        each: receivers among all neurons, senders among their population, and weights ``[L]``.
    """

    source: str
    to_visible: bool
    taps: Tensor
    each: list[tuple[int, int, Tensor]]


def wired(network: Network, params: Params) -> list[Wires]:
    """All projections, but for synapses of dense and masked ones whose weight is zero, or from a neuron to itself."""
    graph, leaves, where = network.graph, named(network, params), spans(network)
    found = []
    for projection in graph.projections:
        weight, start = leaves.get(f"weights.{projection.name}"), where[projection.target].start
        taps = bank(projection.basis or network.spec.synapse)
        plain, loop = projection.kind.name in ("dense", "masked"), projection.source == projection.target
        there = None if weight is None else weight.detach().any(-1)
        each = []
        for n, m, place, gain in synapses(
            projection.kind, graph.sheet(projection.source), graph.sheet(projection.target)
        ):
            if place is None or weight is None or there is None:
                each.append((start + n, m, torch.full_like(taps[:, 0], gain)))
            elif not plain or (there[place] and not (loop and n == m)):
                each.append((start + n, m, weight[place]))
        visible = next(p.visible for p in graph.populations if p.name == projection.target)
        found.append(Wires(projection.source, visible, taps, each))
    return found


def spans(network: Network) -> dict[str, slice]:
    """The neurons of every population."""
    found, start = {}, 0
    for population in network.graph.populations:
        size = torch.Size(population.shape).numel()
        found[population.name] = slice(start, start + size)
        start += size
    return found


def potential(
    network: Network,
    params: Params,
    inputs: Tensor,
    spikes: Tensor,
    t: int,
    *,
    felt: Tensor | None = None,
    wires: list[Wires] | None = None,
) -> Tensor:
    """``u[i, t]`` of all neurons by plain loops over synapses, lags and basis functions, ``[N]``.

    Args:
        network: says which populations and projections there are.
        params: the parameters.
        inputs: ``[T, M]``.
        spikes: ``[T, N]``, of which those before t count.
        t: the step.
        felt: ``[T, N]``, what visible neurons hear in place of spikes.
        wires: those of :func:`wired`, so that they need not be made again.
    """
    leaves, where = named(network, params), spans(network)
    rows: list[Tensor] = []
    for population in network.graph.populations:
        span = where[population.name]
        bias, feedback = (leaves[f"{leaf}.{population.name}"] for leaf in ("bias", "feedback"))
        places = (span.stop - span.start) // len(bias)
        own = filtered(spikes[:, span], network.own_taps, t)
        for i, trace in enumerate(own):
            felt_itself = population.feedback and trace is not None
            rows.append(
                bias[i // places] + (feedback[i // places] * trace).sum()
                if felt_itself
                else bias[i // places]
            )
    for source, to_visible, taps, each in wires or wired(network, params):
        heard = felt if felt is not None and to_visible else spikes
        traces = filtered(inputs if source == "inputs" else heard[:, where[source]], taps, t)
        for i, sender, weight in each:
            trace = traces[sender]
            if trace is not None:
                rows[i] = rows[i] + (weight * trace).sum()
    return torch.stack(rows)


def log_prob(population: Population, spikes: Tensor, u: Tensor) -> Tensor:
    """``log p(s | u)``: independent, or in a circuit one of the neurons or none, with odds ``exp(u)`` to 1."""
    if population.neuron.name == "independent":
        p = 1 / (1 + torch.exp(-u))
        return torch.log(torch.where(spikes > 0, p, 1 - p)).sum()
    assert population.neuron.name == "winner-take-all"
    assert spikes.sum() <= 1
    return (spikes * u).sum() - torch.log(1 + torch.exp(u).sum())


def hidden_paths(network: Network, steps: int) -> Tensor:
    """Every hidden path, ``[2^(T H), T, H]``, in the order of :func:`path_log_probs`."""
    assert all(each.visible or each.neuron.name == "independent" for each in network.graph.populations)
    hidden = network.spec.hidden_neurons
    bits = list(itertools.product((0.0, 1.0), repeat=steps * hidden))
    return torch.tensor(bits, dtype=torch.float64).reshape(-1, steps, hidden)


def path_log_probs(network: Network, params: Params, presentation: Presentation) -> tuple[Tensor, Tensor]:
    """``log p(h || x)`` of every hidden path and ``log p(x || h)`` under it, each ``[2^(T H)]``, differentiable."""
    populations, where = network.graph.populations, spans(network)
    inputs, target = presentation.spikes.double(), presentation.target.double()
    target = target.repeat(1, sum(each.visible for each in populations))
    priors, likelihoods, wires = [], [], wired(network, params)
    for path in hidden_paths(network, len(inputs)):
        spikes = torch.cat([path, target], 1)
        prior = likelihood = torch.zeros((), dtype=torch.float64)
        for t in range(len(inputs)):
            u = potential(network, params, inputs, spikes, t, wires=wires)
            for each in populations:
                span = where[each.name]
                log_p = log_prob(each, spikes[t, span], u[span])
                prior, likelihood = (
                    (prior, likelihood + log_p) if each.visible else (prior + log_p, likelihood)
                )
        priors.append(prior)
        likelihoods.append(likelihood)
    return torch.stack(priors), torch.stack(likelihoods)


def log_likelihood(network: Network, params: Params, presentation: Presentation) -> Tensor:
    """``log p(x) = log sum_h p(h || x) p(x || h)``."""
    priors, likelihoods = path_log_probs(network, params, presentation)
    return torch.logsumexp(priors + likelihoods, 0)


def gradient(objective: Callable[[Params], Tensor], params: Params) -> Params:
    """The gradient of an objective of the parameters, by autograd; zero for what it does not depend on."""
    leaves = trees.map(lambda leaf: leaf.clone().requires_grad_(), params)
    flat = list(trees.leaves(leaves))
    slopes = torch.autograd.grad(objective(leaves), flat, materialize_grads=True)
    found = dict(zip(map(id, flat), slopes, strict=True))
    return trees.map(lambda leaf: found[id(leaf)], leaves)


def expected_bound(network: Network, params: Params, presentation: Presentation, compartments: int) -> Tensor:
    """``E log (1/K) sum_k exp v^k`` over all K-tuples of hidden paths."""
    priors, likelihoods = path_log_probs(network, params, presentation)
    chosen = tuples(len(priors), compartments)
    bound = torch.logsumexp(likelihoods[chosen], 1) - torch.log(torch.tensor(float(compartments)))
    return (priors[chosen].sum(1).exp() * bound).sum()


def tuples(paths: int, compartments: int) -> Tensor:
    """All K-tuples of numbers of paths, ``[P^K, K]``."""
    return torch.tensor(list(itertools.product(range(paths), repeat=compartments)))


def expected_gem(network: Network, params: Params, presentation: Presentation, compartments: int) -> Params:
    """``E sum_k q^k grad log p(x, h^k)`` over all K-tuples of hidden paths, ``q = softmax_k log p(x || h^k)``."""
    leaves = trees.map(lambda leaf: leaf.clone().requires_grad_(), params)
    priors, likelihoods = path_log_probs(network, leaves, presentation)
    flat = list(trees.leaves(leaves))
    rows = torch.autograd.grad(
        priors + likelihoods,
        flat,
        torch.eye(len(priors), dtype=torch.float64),
        is_grads_batched=True,
        materialize_grads=True,
    )
    scores = dict(zip(map(id, flat), rows, strict=True))  # of every path, [P, ..]
    priors, likelihoods = priors.detach(), likelihoods.detach()
    chosen = tuples(len(priors), compartments)
    share = priors[chosen].sum(1, keepdim=True).exp() * torch.softmax(likelihoods[chosen], 1)
    of_path = torch.zeros_like(priors).index_add(0, chosen.flatten(), share.flatten())
    return trees.map(lambda leaf: torch.einsum("p,p...->...", of_path, scores[id(leaf)]), leaves)


def expected_reward(
    network: Network, params: Params, presentation: Presentation, sparsity: float, rate: float
) -> Tensor:
    """``E log p(x || h) - sparsity KL(p(h || x) || r)``, where r lets every hidden neuron spike at ``rate``."""
    priors, likelihoods = path_log_probs(network, params, presentation)
    paths = hidden_paths(network, len(presentation.spikes))
    chance = torch.where(paths > 0, torch.full_like(paths, rate), torch.full_like(paths, 1 - rate))
    divergence = priors - torch.log(chance).sum((1, 2))
    return (priors.exp() * (likelihoods - sparsity * divergence)).sum()
