"""The cpu kernel: exact online learning without traces of the size of the weights.

The weights that an online rule has reached at step t are those of the segment's beginning plus rank-one terms,
``W_t = W + sum_{p, tau} A_t[p, tau] r[p, tau] phi[p, tau]^T``, one for every past step tau of every run p (a
presentation's compartment), with errors r, traces phi and coefficients A that grow as the rule reads its
eligibilities. So

``W_t phi = W phi + sum_{p, tau} A_t[p, tau] <phi[p, tau], phi> r[p, tau]``

needs the weights of the segment's beginning, inner products of traces, and nothing else; at the segment's end the
terms are added to the weights. Inner products of traces are inner products of spikes, filtered twice; products with
spikes visit only the spikes there are. docs/kernels.md derives all this.

Weights lie sender by sender (``[J, L, N]``) in memory, so that a spike reads and writes one stretch of it; a
``Params.weight`` that this kernel returns is a view of such memory, and is not rearranged when it comes back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import optimisers, rules
from gemsnn.kernels import threads
from gemsnn.kernels.contract import Learned, Learning, Rollout
from gemsnn.kernels.fused import Rule, Small
from gemsnn.kernels.runs import Block, Runs
from gemsnn.kernels.wiring import groups_of
from gemsnn.network import Network, Params
from gemsnn.optimisers import OptimiserState
from gemsnn.types import Batch

SEGMENT = 128
"""Steps after which pending terms are added to the weights."""

PARTS = 4
"""Into how many parts a batch is split that may be: a constant, so that sums are the same on every machine."""

PENDING_BYTES = 2**30
"""What inner products may take; beyond it, terms are added to the weights at every update instead."""


def refuses(network: Network, learning: Learning | None) -> str | None:
    """The cpu kernel serves block-structured topologies on the CPU."""
    if network.mask.device.type != "cpu":
        return f"the network lies on {network.mask.device}, and this kernel runs on the CPU only; use block"
    if groups_of(network) is None:
        return "its mask is not made of whole blocks of synapses between groups; use block"
    return None


class Plan(NamedTuple):
    """How a batch is worked through.

    Attributes:
        every: steps between updates.
        online: whether updates are felt through pending terms; else weights rest between two updates.
        keep: steps that still matter after an update.
        capacity: steps that histories hold.
    """

    every: int
    online: bool
    keep: int
    capacity: int


def plan(network: Network, learning: Learning, presentations: int, steps: int) -> Plan:
    """The plan for a batch of presentations of so many steps."""
    every = steps if learning.update_every is None else min(learning.update_every, steps)
    keep = min(steps, max(every, rules.memory_of(learning.rule, network.taps.dtype)))
    capacity = min(steps, keep + max(every, SEGMENT))
    runs = presentations * learning.compartments
    products_bytes = 2 * len(network.spec.hidden) * network.taps.shape[1] * capacity * runs**2
    # only where updates are linear in the direction can they be pending
    online = (
        learning.optimiser.optimiser == "sgd"
        and every < steps
        and products_bytes <= PENDING_BYTES
        and network.spec.neurons < 2**16  # products of spikes are counted in 16 bits
    )
    return Plan(every, online, keep, capacity)


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
    way = plan(network, learning, presentations, steps)
    rule = rule_in_numbers(network, learning, way, lr, presentations)
    # pending terms tie all runs together; where there are none, parts of the batch run side by side
    batches = split(batch, 1 if way.online else PARTS)
    parts = [Runs(network, len(piece.label), learning.compartments, rule, way.capacity) for piece in batches]
    reads = [rules.read_steps(learning.rule, piece.alive, learning.update_every) for piece in batches]
    weight, small = sender_major(params.weight), small_of(params)
    weight = weight.clone() if way.online else weight
    updates = (torch.arange(1, steps + 1) % way.every == 0).index_fill(0, torch.tensor(steps - 1), True)
    start = 0
    while start < steps:
        if parts[0].index == way.capacity or not way.online:
            for part in parts:
                part.shift(way.keep)
        stop = min(steps, start + (way.capacity - parts[0].index if way.online else way.every))
        blocks = [
            block_of(piece, part, range(start, stop), read=read, updates=updates, seed=seed, clamp=True)
            for piece, part, read in zip(batches, parts, reads, strict=True)
        ]
        advance(parts, weight, small, blocks)
        target = weight if way.online else torch.zeros_like(weight)
        moved = [leaf.copy() for leaf in parts[0].moved]
        for part in parts[1:]:
            moved = [total + leaf for total, leaf in zip(moved, part.moved, strict=True)]
        for part in parts:
            part.fold(target.numpy())
        if not way.online:
            direction = params_of(target, Small(*moved))
            optimiser, params = optimisers.update(learning.optimiser, optimiser, params, direction, lr=lr)
            weight, small = sender_major(params.weight), small_of(params)
        start = stop
    if way.online:
        params = params_of(weight, small)
        optimiser = optimiser._replace(updates=optimiser.updates + int(updates.sum()))
    fired = np.concatenate([part.past.fired.reshape(-1, learning.compartments).sum(1) for part in parts])
    chances = batch.length * learning.compartments * max(network.spec.hidden_neurons, 1)
    return Learned(
        params,
        optimiser,
        torch.from_numpy(np.concatenate([part.past.log_likelihood for part in parts])),
        torch.from_numpy(np.concatenate([part.past.log_weights for part in parts])),
        torch.from_numpy(fired).to(network.taps) / chances,
    )


@torch.no_grad()
def rollout(
    network: Network, params: Params, batch: Batch, compartments: int, *, seed: int, clamp: bool
) -> Rollout:
    """See :meth:`gemsnn.kernels.contract.Kernel.rollout`."""
    steps = batch.spikes.shape[1]
    batches = split(batch, PARTS)
    parts = [Runs(network, len(piece.label), compartments, Rule(), steps) for piece in batches]
    no = torch.zeros(steps, dtype=torch.bool)
    blocks = [
        block_of(piece, part, range(steps), read=piece.alive, updates=no, seed=seed, clamp=clamp)
        for piece, part in zip(batches, parts, strict=True)
    ]
    advance(parts, sender_major(params.weight), small_of(params), blocks)

    def arranged(values: list[NDArray]) -> Tensor:
        pieces = [piece.reshape(steps, -1, compartments, piece.shape[2]) for piece in values]
        return torch.from_numpy(np.concatenate(pieces, 1)).permute(1, 2, 0, 3).contiguous()

    spikes = [part.past.spikes[part.silence :].astype(np.uint8) for part in parts]
    return Rollout(arranged(spikes), arranged([part.scratch.potential for part in parts]))


def split(batch: Batch, parts: int) -> list[Batch]:
    """The batch in at most this many parts of consecutive presentations."""
    sizes = [high - low for low, high in threads.ranges(len(batch.label), parts)]
    pieces = zip(*(torch.split(leaf, sizes) for leaf in batch), strict=True)
    return [Batch(*piece) for piece in pieces]


def block_of(
    batch: Batch, runs: Runs, steps: range, *, read: Tensor, updates: Tensor, seed: int, clamp: bool
) -> Block:
    """Some steps of a batch, and of its inputs all that the histories hold."""
    memory, inside = runs.wiring.taps.shape[1], slice(steps.start, steps.stop)
    begin = runs.clock - memory
    inputs = batch.spikes[:, max(0, begin) : steps.stop] * batch.alive[:, max(0, begin) : steps.stop, None]
    if begin < 0:
        inputs = torch.nn.functional.pad(inputs, (0, 0, -begin, 0))
    alive = batch.alive[:, inside]
    return Block(
        inputs=inputs,
        target=batch.target[:, inside],
        clamp=clamp,
        alive=alive,
        taught=alive,
        read=read[:, inside],
        updates=updates[inside],
        address=batch.address,
        seed=seed,
    )


def advance(parts: list[Runs], weight: Tensor, small: Small, blocks: list[Block]) -> None:
    """Run the parts of a batch side by side; a single one has the threads for itself."""
    # the products of a step are too small to be worth waking BLAS's other threads
    with threads.blas().limit(limits=1, user_api="blas"):
        if len(parts) == 1:
            parts[0].advance(weight.numpy(), small, blocks[0], share=True)
        else:
            threads.each(
                lambda part, block: part.advance(weight.numpy(), small, block, share=False),
                list(zip(parts, blocks, strict=True)),
            )


def sender_major(weight: Tensor) -> Tensor:
    """``[N, J, L]`` as ``[J, L, N]``, contiguous: a view where memory already lies so, else a copy."""
    return weight.permute(1, 2, 0).contiguous()


def small_of(params: Params) -> Small:
    """A copy of the small parameters, as the compiled steps want them."""
    return Small(params.feedback.T.clone().contiguous().numpy(), params.bias.clone().numpy())


def params_of(weight: Tensor, small: Small) -> Params:
    """Parameters whose weights are a view of ``[J, L, N]``."""
    feedback, bias = map(torch.from_numpy, small)
    return Params(weight.permute(2, 0, 1), feedback.T.contiguous(), bias)


def rule_in_numbers(network: Network, learning: Learning, way: Plan, lr: float, presentations: int) -> Rule:
    """A rule for the compiled steps."""
    rule = learning.rule
    return Rule(
        learns=True,
        online=way.online,
        kappa=rule.kappa,
        gamma=rule.gamma,
        fresh_evidence=1 - rule.kappa if rule.average else 1.0,
        fresh_error=1 - rule.gamma if rule.average else 1.0,
        cv=float(rule.rule == "gem-cv"),
        every=way.every,
        eta=lr if way.online else 1.0,
        window=min(way.capacity, rules.memory_of(rule, network.taps.dtype)),
        batch=presentations,
    )
