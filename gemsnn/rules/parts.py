"""Trees like a network's parameters, of which hidden and visible neurons' parts are taught in different ways.

Leaves may have leading dimensions ``[B, K]`` of runs. A joint link's rows, and the feedback and biases, begin with
those of the hidden neurons; any other link's weights belong to the one or the other as its receivers do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gemsnn.model.network import Network, Params
from gemsnn.store import trees


def _is_hidden(network: Network, name: str) -> bool:
    link = next(link for link in network.links if link.name == name)
    return link.listeners.stop <= network.spec.hidden_neurons


def zeros_of_runs(params: Params, batch: int, compartments: int) -> Params:
    """A tree of zeros for every run, led by ``[B, K]``."""
    return trees.map(lambda leaf: leaf.new_zeros(batch, compartments, *leaf.shape), params)


def of_hidden(network: Network, tree: Params, lead: int = 2) -> Params:
    """The hidden neurons' part of a tree whose leaves have so many leading dimensions."""
    hidden, before = network.spec.hidden_neurons, (slice(None),) * lead
    weights = {
        name: leaf[(*before, slice(hidden))] if network.is_joint else leaf
        for name, leaf in tree.weights.items()
        if network.is_joint or _is_hidden(network, name)
    }
    sites = (*before, slice(network.hidden_sites))
    return Params(weights, tree.feedback[sites], tree.bias[sites])


def whole(network: Network, tree: Params, hidden: Params, lead: int = 2) -> Params:
    """The tree with this part for the hidden neurons."""
    rows, before = network.spec.hidden_neurons, (slice(None),) * lead

    def patched(leaf: Tensor, part: Tensor, count: int) -> Tensor:
        return torch.cat([part, leaf[(*before, slice(count, None))]], lead)

    weights = {
        name: patched(leaf, hidden.weights[name], rows)
        if network.is_joint
        else hidden.weights.get(name, leaf)
        for name, leaf in tree.weights.items()
    }
    sites = network.hidden_sites
    return Params(
        weights, patched(tree.feedback, hidden.feedback, sites), patched(tree.bias, hidden.bias, sites)
    )


def summed(weight: Tensor, tree: Params) -> Params:
    """``sum_{b, k} weight[b, k] leaf[b, k]``."""
    return trees.map(lambda leaf: torch.einsum("bk,bk...->...", weight, leaf), tree)


def taught(network: Network, hidden: Tensor, visible: Tensor, tree: Params) -> Params:
    """``sum_{b, k} c[b, k] leaf[b, k]`` with learning signals ``[B, K]`` of hidden and of visible neurons."""

    def rows(leaf: Tensor, count: int) -> Tensor:
        signal = torch.cat(
            [
                hidden[..., None].expand(-1, -1, count),
                visible[..., None].expand(-1, -1, leaf.shape[2] - count),
            ],
            -1,
        )
        return torch.einsum("bkn,bkn...->n...", signal, leaf)

    def link(name: str, leaf: Tensor) -> Tensor:
        if network.is_joint:
            return rows(leaf, network.spec.hidden_neurons)
        return torch.einsum("bk,bk...->...", hidden if _is_hidden(network, name) else visible, leaf)

    weights = {name: link(name, leaf) for name, leaf in tree.weights.items()}
    sites = network.hidden_sites
    return Params(weights, rows(tree.feedback, sites), rows(tree.bias, sites))


def nothing_for_visible(network: Network, params: Params, hidden: Params) -> Params:
    """The hidden neurons' part, and zeros for the visible ones."""
    return whole(network, trees.map(torch.zeros_like, params), hidden, 0)
