"""Learning in the layerwise form of the block kernel: weights rest between two updates, whatever the graph.

At an update, ``sum_{p, tau} c[p, i, tau] a[p, .., tau]`` over the steps tau that still count, with coefficients

``c[p, i, tau] = A[p, i, tau] r[p, i, tau] + w[p, i, tau] g[p, i, tau]``

of the errors r (A as in :mod:`gemsnn.kernels.block.kernel`) and, where the rule looks at single hidden spikes, of the
slopes w: ``g`` is what visible errors since the last update, each weighted by its compartment's learning signal, say of
hidden spikes up to D steps before them (:mod:`gemsnn.rules.credit`). It is the credit that wires from hidden to visible
neurons pass back, filtered backwards.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gemsnn.kernels.block import forward
from gemsnn.kernels.block.filters import filtered
from gemsnn.kernels.block.forward import History
from gemsnn.kernels.block.scores import Scores
from gemsnn.kernels.block.steps import sender_major
from gemsnn.kernels.block.terms import fades, grow
from gemsnn.kernels.block.wires import Plan, is_plain
from gemsnn.kernels.contract import Learned, Learning
from gemsnn.model import step as stepping
from gemsnn.model.network import Network, Params
from gemsnn.rules import base as rules
from gemsnn.rules import optimisers
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.types import Batch

FADING = 128
"""Steps whose signals become coefficients in one product: a bound of memory and, as that is dense, of work."""


def learn(
    network: Network, plan: Plan, params: Params, optimiser: OptimiserState, learning: Learning, batch: Batch, *,
    seed: int, lr: float,
) -> Learned:  # fmt: skip
    """See :meth:`gemsnn.kernels.contract.Kernel.learn`."""
    (presentations, total, _), rule, hidden = batch.shape, learning.rule, network.spec.hidden_neurons
    every = total if learning.update_every is None else min(learning.update_every, total)
    history = forward.begin(network, batch, learning.compartments)
    scores, error = Scores(network, learning, batch, 1.0), torch.zeros_like(history.potential)
    window, blames = rules.memory_of(rule, network.taps.dtype), "credit" in rule.value.needs
    fading = fades(rule.gamma, min(total, window + every), min(every, FADING)).to(network.taps)
    observed = batch.observed.repeat_interleave(learning.compartments, 0)[:, :, None]
    shape = (presentations, learning.compartments)
    params = _sender_by_sender(network, params)
    for start in range(0, total, every):
        steps = range(start, min(start + every, total))
        some = slice(steps.start, steps.stop)
        forward.run(network, plan, params, batch, history, steps, seed=seed, clamp=True)
        spikes, potential = history.fired[:, some], history.potential[:, some]
        error[:, some] = stepping.error(network, spikes, potential)
        error[:, some, hidden:] *= observed[:, some]
        evidence = stepping.evidence(network, spikes, potential)
        scores.judge(steps, evidence.unflatten(0, shape).permute(2, 0, 1))
        coefficient = error.new_zeros(min(steps.stop, window + len(steps)), 2, presentations * shape[1])
        grow(coefficient.flatten(1), scores.signal[some].flatten(1), fading)
        first = steps.stop - len(coefficient)
        factor = error[:, first : steps.stop].clone()
        for kind, neurons in enumerate((slice(hidden), slice(hidden, None))):
            factor[..., neurons] *= coefficient[:, kind].T[:, :, None]
        if blames:
            weighted = error[:, some, hidden:] * scores.blame[some].flatten(1).T[:, :, None]
            factor = _with_credit(network, plan, params, history, factor, weighted, steps)
        direction = _direction(network, plan, params, history, factor, steps.stop)
        optimiser, params = optimisers.update(learning.optimiser, optimiser, params, direction, lr=lr)
    chances = batch.length.to(error) * shape[1] * max(hidden, 1)
    rate = history.fired[..., :hidden].unflatten(0, shape).sum((1, 2, 3)) / chances
    return Learned(params, optimiser, scores.log_likelihood, scores.log_weights, rate)


def _sender_by_sender(network: Network, params: Params) -> Params:
    """The same, but matrices lie in memory as products with spikes want them; a view where they do already."""
    plain = {link.name for link in network.links if is_plain(link)}
    weights = {
        name: sender_major(leaf).permute(2, 0, 1) if name in plain else leaf
        for name, leaf in params.weights.items()
    }
    return params._replace(weights=weights)


def _with_credit(
    network: Network, plan: Plan, params: Params, history: History, factor: Tensor, weighted: Tensor, steps: range
) -> Tensor:  # fmt: skip
    """The coefficients with what weighted visible errors ``[P, C, V]`` of these steps say of hidden spikes added."""
    hidden, first = network.spec.hidden_neurons, steps.stop - factor.shape[1]
    early = max(0, min(first, steps.start - network.memory))
    factor = torch.nn.functional.pad(factor, (0, 0, first - early, 0))
    effect = torch.zeros_like(factor[..., :hidden])
    for wire in plan.wires:
        link = wire.link
        if link.listeners.start < hidden or link.hears_inputs or link.neurons.stop > hidden:
            continue
        error = weighted[..., link.listeners.start - hidden : link.listeners.stop - hidden]
        found = wire.blame(wire.weight(params), error)
        since = steps.start - wire.memory  # the step of its first entry, perhaps before all
        low, high = max(since, 0), steps.stop - 1
        effect[:, low - early : high - early, link.neurons] += found[:, low - since :]
    potential = history.potential[:, early : steps.stop]
    for layer in plan.layers:
        for span, population in layer.members:
            if not population.visible:
                factor[..., span] += population.neuron.slope(potential[..., span]) * effect[..., span]
    return factor


def _direction(
    network: Network, plan: Plan, params: Params, history: History, factor: Tensor, stop: int
) -> Params:  # fmt: skip
    """Coefficients ``[P, R, N]`` of the R steps before ``stop`` times traces, summed."""
    first, compartments = stop - factor.shape[1], len(history.spikes) // len(history.inputs)
    weights = {name: torch.zeros_like(leaf) for name, leaf in params.weights.items()}
    direction = Params(weights, torch.zeros_like(params.feedback), torch.zeros_like(params.bias))
    shared = factor.unflatten(0, (-1, compartments)).sum(1)
    for wire in plan.wires:
        into = wire.of(direction)
        if into is not None:
            some = (shared if wire.link.hears_inputs else factor)[..., wire.link.listeners]
            wire.gradient(some, history.sent(wire, first, stop), into)
    feedback = factor.new_zeros(len(network.own), len(network.own_taps))
    for layer in plan.layers:
        for span, population in layer.members:
            if population.feedback:
                feedback[span] = _own(network, history, factor, span, first, stop)
    small = (
        stepping.gather(network, feedback[None, None])[0, 0],
        stepping.gather(network, factor.sum((0, 1))[None, None])[0, 0],
    )
    return Params(weights, *small)


def _own(network: Network, history: History, factor: Tensor, span: slice, first: int, stop: int) -> Tensor:
    """What the coefficients and their own traces say of some neurons' feedback, ``[n, Lf]``."""
    total = factor.new_zeros(span.stop - span.start, len(network.own_taps))
    low = history.silence - network.own_taps.shape[1]
    spikes = history.spikes[:, low + first : history.silence + stop - 1, span]
    for some, sent in zip(factor[..., span].split(64), spikes.split(64), strict=True):
        total += filtered(sent, network.own_taps).mul_(some[:, :, None]).sum((0, 1)).T
    return total
