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

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import threadpoolctl
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import optimisers, rng, rules
from gemsnn.kernels import fused, products
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
    for start, stop in pairwise(edges.tolist()):
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
    """Scratch of (a part of) a batch: what has happened so far. Lives as long as one call."""

    def __init__(self, network: Network, batch: Batch, compartments: int) -> None:
        groups = groups_of(network)
        assert groups is not None
        self.network = network
        self.dtype = network.taps.numpy().dtype
        self.length = batch.length.numpy()
        self.address = batch.address
        self.row, self.value, self.starts = products.find_events(
            batch.spikes.contiguous().numpy(), self.length
        )
        self.target = np.ascontiguousarray(batch.target.numpy().transpose(1, 0, 2), self.dtype)
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
    # only where updates are linear in the direction can they be pending; else the weights rest between two updates
    online = learning.optimiser.optimiser == "sgd" and every < steps
    segment = min(steps, max(every, SEGMENT // every * every)) if online else every
    weight = sender_major(params.weight)
    weight = weight.clone() if online else weight
    # pending terms tie all runs together; where there are none, parts of the batch run side by side
    parts = [_Run(network, part, compartments) for part in _split(batch, 1 if online else PARTS)]
    read = [
        rules.read_steps(rule, part.alive, learning.update_every).numpy()
        for part in _split(batch, len(parts))
    ]
    input_gram = _input_gram(network, batch) if online else np.zeros((0, 0, 0, 0), parts[0].dtype)
    window = rules.memory_of(rule, network.taps.dtype)
    small = Small(params.feedback.clone().contiguous().numpy(), params.bias.clone().numpy())
    numbers = fused.Rule(
        kappa=rule.kappa,
        gamma=rule.gamma,
        fresh_evidence=1 - rule.kappa if rule.average else 1.0,
        fresh_error=1 - rule.gamma if rule.average else 1.0,
        cv=float(rule.rule == "gem-cv"),
        every=every,
        eta=lr if online else 1.0,
        online=online,
        window=window,
        batch=presentations,
    )
    updates = 0
    for start in range(0, steps, segment):
        stop = min(start + segment, steps)
        first = max(0, start - window)
        jobs = [
            _Segment(
                run, weight, small, start, stop, True, seed, numbers, mask, _terms(run, stop), input_gram
            )
            for run, mask in zip(parts, read, strict=True)
        ]
        list(_POOL.map(_advance, jobs))
        target = weight if online else torch.zeros_like(weight)
        for job in jobs:
            _add_terms(job, target.numpy(), first)
        if online:
            updates += -(-(stop - start) // every)
            continue
        moved = (np.sum([getattr(job.terms, name) for job in jobs], axis=0) for name in Small._fields)
        direction = Params(target.permute(2, 0, 1), *map(torch.from_numpy, moved))
        optimiser, params = optimisers.update(learning.optimiser, optimiser, params, direction, lr=lr)
        weight = sender_major(params.weight)
        small = Small(params.feedback.contiguous().numpy(), params.bias.numpy())
    if online:
        params = Params(
            weight.permute(2, 0, 1), torch.from_numpy(small.feedback), torch.from_numpy(small.bias)
        )
        optimiser = optimiser._replace(updates=optimiser.updates + updates)
    hidden = network.spec.hidden_neurons
    spikes = [
        run.spikes[..., :hidden].reshape(len(run.spikes), len(run.length), -1).sum((0, 2)) for run in parts
    ]
    chances = batch.length * compartments * max(hidden, 1)
    return Learned(
        params,
        optimiser,
        torch.from_numpy(np.concatenate([run.log_likelihood for run in parts])),
        torch.from_numpy(np.concatenate([run.log_weights for run in parts])),
        torch.from_numpy(np.concatenate(spikes)) / chances,
    )


@torch.no_grad()
def rollout(
    network: Network, params: Params, batch: Batch, compartments: int, *, seed: int, clamp: bool
) -> Rollout:
    """See :meth:`gemsnn.kernels.contract.Kernel.rollout`."""
    steps = batch.spikes.shape[1]
    weight = sender_major(params.weight)
    small = Small(params.feedback.contiguous().numpy(), params.bias.contiguous().numpy())
    nothing = np.zeros((0, 0, 0, 0), network.taps.numpy().dtype)
    jobs = [
        _Segment(
            run,
            weight,
            small,
            0,
            steps,
            clamp,
            seed,
            None,
            np.zeros((0, 0), np.bool_),
            _terms(run, 0),
            nothing,
        )
        for run in (_Run(network, part, compartments) for part in _split(batch, PARTS))
    ]
    list(_POOL.map(_advance, jobs))

    def arranged(values: list[NDArray]) -> Tensor:
        split = [part.reshape(steps, -1, compartments, part.shape[2]) for part in values]
        return torch.from_numpy(np.concatenate(split, 1)).permute(1, 2, 0, 3).contiguous()

    spikes = [job.run.spikes[job.run.memory :].astype(np.uint8) for job in jobs]
    return Rollout(arranged(spikes), arranged([job.run.potential for job in jobs]))


class Small(NamedTuple):
    """The parameters that need no tricks: feedback ``[N, Lf]`` and bias ``[N]``."""

    feedback: NDArray
    bias: NDArray


class Terms(NamedTuple):
    """What a segment learned.

    Attributes:
        coefficient: ``[stop, P, 2]``, A of every step for hidden and for visible neurons.
        feedback: ``[N, Lf]``, the direction of the feedback where it has not been applied on the way.
        bias: ``[N]``, likewise.
    """

    coefficient: NDArray
    feedback: NDArray
    bias: NDArray


def _terms(run: _Run, stop: int) -> Terms:
    neurons = run.spikes.shape[2]
    return Terms(
        np.zeros((stop, run.spikes.shape[1], 2), run.dtype),
        np.zeros((neurons, run.network.own_taps.shape[0]), run.dtype),
        np.zeros(neurons, run.dtype),
    )


class _Segment(NamedTuple):
    """One call of the compiled loops."""

    run: _Run
    weight: Tensor
    small: Small
    start: int
    stop: int
    clamp: bool
    seed: int
    rule: fused.Rule | None
    read: NDArray
    terms: Terms
    input_gram: NDArray


PARTS = 4
"""Into how many parts a batch is split that may be: a constant, so that sums are the same on every machine."""

_WORKERS = torch.get_num_threads()
_POOL = ThreadPoolExecutor(_WORKERS, thread_name_prefix="gemsnn")
REST = fused.Rule(1.0, 1.0, 1.0, 1.0, 0.0, 1, 0.0, False, 0, 1)


def _split(batch: Batch, parts: int) -> list[Batch]:
    """The batch in at most this many parts of consecutive presentations."""
    sizes = [len(chunk) for chunk in np.array_split(np.arange(len(batch.label)), parts) if len(chunk)]
    pieces = zip(*(torch.split(leaf, sizes) for leaf in batch), strict=True)
    return [Batch(*piece) for piece in pieces]


def _ranges(total: int, parts: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, total, parts + 1).astype(int).tolist()
    return [(low, high) for low, high in pairwise(edges) if high > low]


def _advance(job: _Segment) -> None:
    """Run the steps of a segment, writing into the job's run and terms."""
    run, network, start, stop = job.run, job.run.network, job.start, job.stop
    presentations, neurons = run.log_weights.shape[0], network.spec.neurons
    uniform = rng.uniforms(job.seed, run.address, range(start, stop), run.compartments, neurons).numpy()
    weights = job.weight.numpy()
    taps, own_taps = network.taps.numpy(), network.own_taps.numpy()
    first = max(0, start - taps.shape[1])
    rows = (stop - first) * presentations
    sent = np.zeros((rows, taps.shape[0], neurons), run.dtype)
    base = first * presentations
    products.send_inputs(weights, run.row, run.value, run.starts, base, sent, base, base + rows)
    drive = np.zeros((stop - start, presentations, neurons), run.dtype)
    products.filter_forward(sent, taps, presentations, start, first, drive, start, stop)
    # the products of a step are too small to be worth waking BLAS's other threads
    with _blas().limit(limits=1, user_api="blas") if job.rule and job.rule.online else nullcontext():
        fused.advance(
            weights,
            network.spec.inputs,
            taps,
            own_taps,
            job.small.feedback,
            job.small.bias,
            drive,
            uniform,
            run.target,
            job.clamp,
            run.length,
            run.groups,
            network.own.numpy(),
            network.spec.hidden_neurons,
            run.memory,
            start,
            stop,
            run.spikes,
            run.potential,
            run.error,
            job.rule is not None,
            job.rule or REST,
            job.read,
            job.terms.coefficient,
            job.terms.feedback,
            job.terms.bias,
            job.input_gram,
            run.log_weights,
            run.log_likelihood,
            run.bias,
            run.feedback,
            run.diagonal,
        )


@cache
def _blas() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController()


def _add_terms(job: _Segment, target: NDArray, first: int) -> None:
    """Add ``sum_{p, tau} A[p, tau] r[p, tau] phi[p, tau]^T`` over the steps from ``first`` on to ``[J, L, N]``."""
    run, network, stop = job.run, job.run.network, job.stop
    taps, presentations = network.taps.numpy(), len(run.length)
    base = max(0, first - taps.shape[1])
    factor = products.weigh_errors(run.error, job.terms.coefficient, first, network.spec.hidden_neurons)
    shared = products.sum_compartments(factor, presentations, run.groups)
    filtered = np.empty((stop - base, presentations, *taps.shape[:1], network.spec.neurons), run.dtype)
    workers = _WORKERS

    def over(total: int, work: Callable[[int, int], None]) -> None:
        list(_POOL.map(lambda bounds: work(*bounds), _ranges(total, workers)))

    over(stop - base, lambda low, high: products.filter_back(shared, taps, first, base, filtered, low, high))
    over(
        network.spec.inputs,
        lambda low, high: products.add_input_terms(
            target, filtered, run.row, run.value, run.starts, base, low, high
        ),
    )
    over(
        network.spec.neurons,
        lambda low, high: products.add_neuron_terms(
            target, network.spec.inputs, taps, run.spikes, run.memory, factor, first, run.groups, low, high
        ),
    )
