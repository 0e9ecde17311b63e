"""The cpu kernel: exact online learning without traces of the size of the weights.

The weights that an online rule has reached at step t are those of the segment's beginning plus rank-one terms,
``W_t = W + sum_{p, tau} A_t[p, tau] r[p, tau] phi[p, tau]^T``, one for every past step tau of every run p (a presentation's
compartment), with errors r, traces phi and coefficients A that grow as the rule reads its eligibilities. So

``W_t phi = W phi + sum_{p, tau} A_t[p, tau] <phi[p, tau], phi> r[p, tau]``

needs the weights of the segment's beginning, inner products of traces, and nothing else; at the segment's end the
terms are added to the weights. Inner products of traces are inner products of spikes, filtered twice; products with
spikes visit only the spikes there are. docs/kernels.md derives all this.

Weights lie sender by sender (``[J, L, N]``) in memory, so that a spike reads and writes one stretch of it; a ``Params.weight``
that this kernel returns is a view of such memory, and costs no copy when it comes back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import optimisers, rng, rules
from gemsnn.kernels import fused
from gemsnn.kernels.contract import Learned, Learning, Rollout
from gemsnn.network import Network, Params
from gemsnn.optimisers import OptimiserState
from gemsnn.types import Batch

SEGMENT = 128
"""Steps after which pending terms are added to the weights."""


class Group(NamedTuple):
    """Neurons with the same senders.

    Attributes:
        start: the first neuron.
        stop: one past the last.
        inputs: whether they listen to the inputs.
        first: the first learnable neuron they listen to.
        last: one past the last one; ``first == last`` if there is none.
    """

    start: int
    stop: int
    inputs: bool
    first: int
    last: int


def groups_of(network: Network) -> list[Group] | None:
    """The groups of a mask that is made of whole blocks (but for self-synapses); ``None`` if it is not."""
    mask = network.mask.cpu().numpy()
    m, n = network.spec.inputs, network.spec.neurons
    edges = np.cumsum([0, *network.spec.hidden, network.spec.visible])
    groups = []
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        heard_inputs = mask[start:stop, :m]
        heard = mask[start:stop, m:].copy()
        own = np.arange(start, stop)
        if stop - start > 1:
            heard[own - start, own] = heard[(own - start + 1) % (stop - start), own]
        inside = np.flatnonzero(heard[0])
        first, last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
        if stop - start == 1 and first <= start < last:
            heard[0, start] = True
        whole = np.zeros(n, bool)
        whole[first:last] = True
        if (heard != whole).any() or heard_inputs.any() != heard_inputs.all():
            return None
        groups.append(Group(int(start), int(stop), bool(heard_inputs.all()), first, last))
    return groups


def refuses(network: Network, learning: Learning | None) -> str | None:
    """The cpu kernel serves block-structured topologies on the CPU."""
    if network.mask.device.type != "cpu":
        return f"the network lies on {network.mask.device}, and this kernel runs on the CPU only; use block"
    if groups_of(network) is None:
        return "its mask is not made of whole blocks of synapses between groups; use block"
    return None


class _Batch(NamedTuple):
    """A batch in the layout of the fused code; time leads, after ``memory`` steps of silence for spikes.

    Attributes:
        row: int64 ``[events]``, ``t * B + b`` of every non-zero input, sender by sender.
        value: ``[events]``.
        starts: int64 ``[M + 1]``, where each sender's events begin.
        target: ``[T, B, V]``.
        length: int64 ``[B]``.
    """

    row: NDArray[np.int64]
    value: NDArray
    starts: NDArray[np.int64]
    target: NDArray
    length: NDArray[np.int64]


def _layout(batch: Batch, dtype: np.dtype) -> _Batch:
    spikes = batch.spikes.numpy()
    spikes = spikes * batch.alive.numpy()[:, :, None].astype(spikes.dtype)
    presentations, steps, inputs = spikes.shape
    row, sender = np.nonzero(spikes.transpose(1, 0, 2).reshape(steps * presentations, inputs))
    order = np.argsort(sender, kind="stable")
    value = spikes.transpose(1, 0, 2).reshape(steps * presentations, inputs)[row, sender]
    return _Batch(
        row=row[order],
        value=value[order].astype(dtype),
        starts=np.searchsorted(sender[order], np.arange(inputs + 1)),
        target=np.ascontiguousarray(batch.target.numpy().transpose(1, 0, 2), dtype),
        length=batch.length.numpy(),
    )


def _input_gram(network: Network, batch: Batch) -> NDArray:
    """``<phi_in[tau, b'], phi_in[t, b]>``, ``[T, B, T, B]``: the same for all compartments."""
    dtype = network.taps.dtype
    spikes = (batch.spikes * batch.alive[:, :, None]).to(dtype).transpose(0, 1)
    steps, presentations, _ = spikes.shape
    flat = spikes.flatten(0, 1)
    gram = (flat @ flat.T).reshape(steps, presentations, steps, presentations)
    lag = torch.arange(steps)[:, None] - torch.arange(steps)[None, :]
    inside = (lag >= 1) & (lag <= network.taps.shape[1])
    out = torch.zeros_like(gram)
    for tap in network.taps:
        lagged = tap[lag.clamp(1, network.taps.shape[1]) - 1] * inside
        half = (lagged @ gram.flatten(1)).reshape(gram.shape)
        out += torch.einsum("su,tbuc->tbsc", lagged, half)
    return out.numpy()


class _Run:
    """Scratch of one batch: what has happened so far. Lives as long as one call."""

    def __init__(self, network: Network, params: Params, batch: Batch, compartments: int) -> None:
        groups = groups_of(network)
        assert groups is not None
        self.network = network
        self.dtype = network.taps.numpy().dtype
        self.batch = _layout(batch, self.dtype)
        self.address = batch.address
        self.compartments = compartments
        self.groups = np.array([[*group] for group in groups], np.int64)
        presentations, steps, _ = batch.spikes.shape
        neurons, runs = network.spec.neurons, presentations * compartments
        count, taps = network.taps.shape
        self.memory = max(taps, network.own_taps.shape[1])
        self.spikes = np.zeros((self.memory + steps, runs, neurons), self.dtype)
        self.potential = np.empty((steps, runs, neurons), self.dtype)
        self.error = np.zeros((steps, runs, neurons), self.dtype)
        self.log_weights = np.zeros((presentations, compartments), self.dtype)
        self.log_likelihood = np.zeros((presentations, compartments), self.dtype)
        # eligibilities of what is small: bias, feedback, and the diagonal that no synapse has
        self.bias = np.zeros((runs, neurons), self.dtype)
        self.feedback = np.zeros((runs, network.own_taps.shape[0], neurons), self.dtype)
        self.diagonal = np.zeros((runs, count, neurons), self.dtype)
        self.params = params
        self.weight = sender_major(params.weight)


def sender_major(weight: Tensor) -> Tensor:
    """``[N, J, L]`` as ``[J, L, N]``, contiguous: a view where memory already lies so, else a copy."""
    return weight.permute(1, 2, 0).contiguous()


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
    rule, compartments = learning.rule, learning.compartments
    presentations, steps, _ = batch.spikes.shape
    every = steps if learning.update_every is None else learning.update_every
    online = learning.optimiser.optimiser == "sgd"
    # between two updates of a method that is not linear in the direction, the weights rest: no pending terms
    gram = online and every < steps
    segment = min(steps, max(every, SEGMENT // every * every)) if online else every
    run = _Run(network, params, batch, compartments)
    read = rules.read_steps(rule, batch.alive, learning.update_every).numpy()
    input_gram = _input_gram(network, batch) if gram else np.zeros((0, 0, 0, 0), run.dtype)
    window = rules.memory_of(rule, network.taps.dtype)
    small = Params(run.weight[:0], params.feedback.clone().contiguous(), params.bias.clone())
    weight = run.weight.clone() if online else run.weight
    updates = 0
    for start in range(0, steps, segment):
        stop = min(start + segment, steps)
        coefficient = np.zeros((stop, presentations * compartments, 2), run.dtype)
        moved = Params(run.weight[:0], torch.zeros_like(small.feedback), torch.zeros_like(small.bias))
        _advance(
            run, weight, small, start, stop, seed=seed, clamp=True,
            learning=fused.Rule(
                kappa=rule.kappa, gamma=rule.gamma, fresh_evidence=1 - rule.kappa if rule.average else 1.0,
                fresh_error=1 - rule.gamma if rule.average else 1.0, cv=float(rule.rule == "gem-cv"),
                every=every, eta=lr if online else 1.0, online=online, gram=gram, window=window,
            ),
            read=read, coefficient=coefficient, moved=moved, input_gram=input_gram,
        )  # fmt: skip
        first = max(0, start - window)
        if online:
            _add_terms(run, weight, coefficient, first)
            updates += -(-(stop - start) // every)
        else:
            direction = torch.zeros_like(weight)
            _add_terms(run, direction, coefficient, first)
            optimiser, params = optimisers.update(
                learning.optimiser,
                optimiser,
                params,
                Params(direction.permute(2, 0, 1), moved.feedback, moved.bias),
                lr=lr,
            )
            weight = sender_major(params.weight)
            small = Params(small.weight, params.feedback.contiguous().clone(), params.bias.clone())
    if online:
        params = Params(weight.permute(2, 0, 1), small.feedback, small.bias)
        optimiser = optimiser._replace(updates=optimiser.updates + updates)
    hidden = run.spikes[..., : network.spec.hidden_neurons].reshape(len(run.spikes), presentations, -1)
    chances = batch.length * compartments * max(network.spec.hidden_neurons, 1)
    return Learned(
        params,
        optimiser,
        torch.from_numpy(run.log_likelihood),
        torch.from_numpy(run.log_weights),
        torch.from_numpy(hidden.sum((0, 2))) / chances,
    )


@torch.no_grad()
def rollout(
    network: Network, params: Params, batch: Batch, compartments: int, *, seed: int, clamp: bool
) -> Rollout:
    """See :meth:`gemsnn.kernels.contract.Kernel.rollout`."""
    run = _Run(network, params, batch, compartments)
    presentations, steps, _ = batch.spikes.shape
    small = Params(run.weight[:0], params.feedback.contiguous(), params.bias.contiguous())
    _advance(run, run.weight, small, 0, steps, seed=seed, clamp=clamp)

    def arranged(values: NDArray) -> Tensor:
        split = values.reshape(steps, presentations, compartments, -1)
        return torch.from_numpy(split).permute(1, 2, 0, 3)

    spikes = run.spikes[run.memory :].astype(np.uint8)
    return Rollout(arranged(spikes).contiguous(), arranged(run.potential).contiguous())


REST = fused.Rule(1.0, 1.0, 1.0, 1.0, 0.0, 1, 0.0, False, False, 0)


def _advance(
    run: _Run,
    weight: Tensor,
    small: Params,
    start: int,
    stop: int,
    *,
    seed: int,
    clamp: bool,
    learning: fused.Rule | None = None,
    read: NDArray | None = None,
    coefficient: NDArray | None = None,
    moved: Params | None = None,
    input_gram: NDArray | None = None,
) -> None:
    """Run the steps of a segment, writing into ``run`` and, where it learns, into ``coefficient`` and ``moved``."""
    network, batch = run.network, run.batch
    presentations, neurons = run.log_weights.shape[0], network.spec.neurons
    runs = presentations * run.compartments
    uniform = rng.uniforms(seed, run.address, range(start, stop), run.compartments, neurons).numpy()
    weights = weight.numpy()
    taps, own_taps = network.taps.numpy(), network.own_taps.numpy()
    drive = fused.input_drive(
        weights, taps, batch.row, batch.value, batch.starts, presentations, start, stop
    )
    empty = np.zeros((0, runs, 2), run.dtype)
    fused.advance(
        weights,
        network.spec.inputs,
        taps,
        own_taps,
        small.feedback.numpy(),
        small.bias.numpy(),
        drive,
        uniform,
        batch.target,
        clamp,
        batch.length,
        run.groups,
        network.own.numpy(),
        network.spec.hidden_neurons,
        run.memory,
        start,
        stop,
        run.spikes,
        run.potential,
        run.error,
        learning is not None,
        learning or REST,
        np.zeros((0, 0), np.bool_) if read is None else read,
        empty if coefficient is None else coefficient,
        small.feedback.numpy() if moved is None else moved.feedback.numpy(),
        small.bias.numpy() if moved is None else moved.bias.numpy(),
        np.zeros((0, 0, 0, 0), run.dtype) if input_gram is None else input_gram,
        run.log_weights,
        run.log_likelihood,
        run.bias,
        run.feedback,
        run.diagonal,
    )


def _add_terms(run: _Run, target: Tensor, coefficient: NDArray, first: int) -> None:
    """Add ``sum_{p, tau} A[p, tau] r[p, tau] phi[p, tau]^T`` over the steps from ``first`` on to ``[J, L, N]``."""
    network, batch = run.network, run.batch
    fused.add_input_terms(
        target.numpy(),
        network.taps.numpy(),
        run.error,
        coefficient,
        first,
        network.spec.hidden_neurons,
        run.groups,
        batch.row,
        batch.value,
        batch.starts,
        run.log_weights.shape[0],
    )
    fused.add_neuron_terms(
        target.numpy(),
        network.spec.inputs,
        network.taps.numpy(),
        run.spikes,
        run.memory,
        run.error,
        coefficient,
        first,
        network.spec.hidden_neurons,
        run.groups,
    )
