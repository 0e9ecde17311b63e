"""The block kernel: the reference's numbers from a few matrix products a block, in torch.

Between two updates the weights rest, so nothing of the size of the weights needs to exist per compartment.
An eligibility trace is a sum of rank-one terms, error times trace; a direction read from it is

``sum_{k, tau} c[k, i, tau] r[k, i, tau] a[k, j, l, tau]`` with errors r and coefficients
``c[k, i, tau] = sum_{t >= tau, t read} gamma^(t - tau) signal[k, i, t]``.

The inputs' traces are the same for all compartments, so their factors are summed over k first;
and since filtering is linear, neither the forward product nor the update forms an input trace at all: spikes
are multiplied with the weights, then filtered (and errors filtered, then multiplied with spikes).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn import basis, glm, optimisers, rng, rules
from gemsnn import network as networks
from gemsnn.kernels.contract import Learned, Learning, Rollout
from gemsnn.network import Network, Params
from gemsnn.optimisers import OptimiserState
from gemsnn.types import Batch


def refuses(network: Network, learning: Learning | None) -> str | None:
    """The block kernel serves every rule, topology and update interval."""
    return None


class _Run(NamedTuple):
    """A presentation in progress; time is the third dimension, after ``memory`` steps of silence.

    Attributes:
        inputs: ``[B, memory + T, M]``.
        spikes: ``[B, K, memory + T, N]``.
        error: ``[B, K, T, N]``, zero in the padding.
        neuron_trace: ``[B, K, T, S, L]`` of the S neurons that somebody listens to.
        own_trace: ``[B, K, T, N, Lf]``.
        potential: ``[B, K, T, N]``.
    """

    inputs: Tensor
    spikes: Tensor
    error: Tensor
    neuron_trace: Tensor
    own_trace: Tensor
    potential: Tensor


def _senders(network: Network) -> slice:
    """The learnable neurons from the first to the last that somebody listens to."""
    heard = torch.nonzero(network.mask[:, network.spec.inputs :].any(0)).flatten()
    return slice(int(heard[0]), int(heard[-1]) + 1) if len(heard) else slice(0, 0)


def _memory(network: Network) -> int:
    return max(network.taps.shape[1], network.own_taps.shape[1])


def _start(network: Network, batch: Batch, compartments: int) -> _Run:
    presentations, steps, inputs = batch.spikes.shape
    neurons, memory = network.spec.neurons, _memory(network)
    senders = _senders(network)
    new, leading = network.taps.new_zeros, (presentations, compartments)
    padded = new(presentations, memory + steps, inputs)
    padded[:, memory:] = batch.spikes * batch.alive[:, :, None]
    return _Run(
        inputs=padded,
        spikes=new(*leading, memory + steps, neurons),
        error=new(*leading, steps, neurons),
        neuron_trace=new(*leading, steps, senders.stop - senders.start, network.taps.shape[0]),
        own_trace=new(*leading, steps, neurons, network.own_taps.shape[0]),
        potential=new(*leading, steps, neurons),
    )


def _lag_matrix(taps: Tensor, steps: int) -> Tensor:
    """``[C, C + D - 1, L]``: entry ``(c, e, l)`` is ``f_l(c - e + D)``, from step e - D of a block to step c."""
    memory = taps.shape[1]
    lag = torch.arange(steps)[:, None] - torch.arange(steps + memory - 1)[None, :] + memory
    inside = (lag >= 1) & (lag <= memory)
    values = taps.T[(lag.clamp(1, memory) - 1).to(taps.device)]
    return values * inside[:, :, None].to(values)


def _input_drive(network: Network, params: Params, run: _Run, block: range) -> Tensor:
    """What the inputs add to the potentials of a block, ``[B, C, N]``."""
    memory, taps = _memory(network), network.taps.shape[1]
    rows = run.inputs[:, memory + block.start - taps : memory + block.stop - 1]
    weight = params.weight[:, : network.spec.inputs].permute(1, 2, 0).flatten(1)
    sent = (rows @ weight).unflatten(-1, (network.taps.shape[0], -1))
    lag = _lag_matrix(network.taps, len(block))
    return lag.flatten(1) @ sent.flatten(1, 2)


def _advance(
    network: Network, params: Params, run: _Run, batch: Batch, block: range, *, seed: int, clamp: bool
) -> None:
    """Run the steps of a block under fixed parameters, writing into ``run``."""
    memory, d, d_own = _memory(network), network.taps.shape[1], network.own_taps.shape[1]
    hidden, senders = network.spec.hidden_neurons, _senders(network)
    compartments = run.spikes.shape[1]
    recurrent = params.weight[:, network.spec.inputs :][:, senders]
    still = _input_drive(network, params, run, block) + params.bias
    uniform = rng.uniforms(seed, batch.address, block, compartments, network.spec.neurons).to(network.taps)
    alive = batch.alive.to(network.taps)
    target = batch.target.to(network.taps)
    for c, t in enumerate(block):
        now = memory + t
        neuron_trace = basis.trace(run.spikes[:, :, now - d : now, senders], network.taps)
        own_trace = basis.trace(run.spikes[:, :, now - d_own : now], network.own_taps)
        potential = still[:, c, None] + glm.drive(recurrent, neuron_trace)
        potential = potential + glm.feedback(params.feedback, own_trace)
        spikes = glm.spike(uniform[:, c], potential)
        if clamp:
            spikes[:, :, hidden:] = target[:, t, None]
        run.spikes[:, :, now] = spikes * alive[:, t, None, None]
        run.potential[:, :, t] = potential
        run.neuron_trace[:, :, t] = neuron_trace
        run.own_trace[:, :, t] = own_trace


def _coefficients(spec: rules.RuleSpec, reading: Tensor, window: range, block: range) -> Tensor:
    """``c[tau] = sum_{t in block, t >= tau} gamma^(t - tau) reading[t]``, ``[B, K, W, N]`` for tau in the window."""
    rows = []
    carried = torch.zeros_like(reading[:, :, 0])
    for tau in reversed(window):
        carried = spec.gamma * carried
        if tau >= block.start:
            carried = carried + reading[:, :, tau - block.start]
        rows.append(carried)
    return torch.stack(rows[::-1], 2)


def _direction(network: Network, run: _Run, coefficient: Tensor, window: range) -> Params:
    """The direction of the factors of a window, summed over presentations and compartments."""
    memory, taps, m = _memory(network), network.taps.shape[1], network.spec.inputs
    steps = slice(window.start, window.stop)
    factor = coefficient * run.error[:, :, steps]
    shared = factor.sum(1)

    filtered = _lag_matrix(network.taps, len(window)).flatten(1).T @ shared
    rows = run.inputs[:, memory + window.start - taps : memory + window.stop - 1]
    filtered = filtered.unflatten(1, (rows.shape[1], -1)).flatten(0, 1).flatten(1)
    from_inputs = (filtered.T @ rows.flatten(0, 1)).unflatten(0, (network.taps.shape[0], -1))

    flat = factor.flatten(0, 2).T
    trace = run.neuron_trace[:, :, steps]
    from_neurons = (flat @ trace.flatten(3).flatten(0, 2)).unflatten(1, trace.shape[3:])

    weight = torch.zeros(network.mask.shape[0], network.mask.shape[1], network.taps.shape[0]).to(flat)
    weight[:, :m] = from_inputs.permute(1, 2, 0)
    senders = _senders(network)
    weight[:, m + senders.start : m + senders.stop] = from_neurons
    return Params(
        weight * network.mask[:, :, None],
        torch.einsum("bktn,bktnl->nl", factor, run.own_trace[:, :, steps]) * network.own[:, None],
        flat.sum(1),
    )


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
    presentations, total, _ = batch.spikes.shape
    rule, memory = learning.rule, _memory(network)
    alive = batch.alive
    read = rules.read_steps(rule, alive, learning.update_every)
    run = _start(network, batch, learning.compartments)
    log_weights = network.taps.new_zeros(presentations, learning.compartments)
    log_likelihood = torch.zeros_like(log_weights)
    reach = rules.memory_of(rule, network.taps.dtype)
    every = total if learning.update_every is None else learning.update_every
    for start in range(0, total, every):
        block = range(start, min(start + every, total))
        _advance(network, params, run, batch, block, seed=seed, clamp=True)
        steps = slice(block.start, block.stop)
        spikes = run.spikes[:, :, memory + block.start : memory + block.stop]
        potential = run.potential[:, :, steps]
        evidence = networks.evidence(network, spikes, potential) * alive[:, None, steps]
        log_likelihood += evidence.sum(2)
        fresh = 1 - rule.gamma if rule.average else 1.0
        run.error[:, :, steps] = fresh * glm.error(spikes, potential) * alive[:, None, steps, None]
        readings = []
        for c, t in enumerate(block):
            log_weights = rules.advance_log_weights(rule, log_weights, evidence[:, :, c], alive[:, t])
            signal = rules.learning_signal(rule, network, log_weights)
            readings.append(signal * read[:, t, None, None] / presentations)
        window = range(max(0, block.start - reach), block.stop)
        coefficient = _coefficients(rule, torch.stack(readings, 2), window, block)
        direction = _direction(network, run, coefficient, window)
        optimiser, params = optimisers.update(learning.optimiser, optimiser, params, direction, lr=lr)
    hidden_spikes = run.spikes[..., : network.spec.hidden_neurons].sum((1, 2, 3))
    chances = batch.length * learning.compartments * max(network.spec.hidden_neurons, 1)
    return Learned(params, optimiser, log_likelihood, log_weights, hidden_spikes / chances)


@torch.no_grad()
def rollout(
    network: Network, params: Params, batch: Batch, compartments: int, *, seed: int, clamp: bool
) -> Rollout:
    """See :meth:`gemsnn.kernels.contract.Kernel.rollout`."""
    run = _start(network, batch, compartments)
    _advance(network, params, run, batch, range(batch.spikes.shape[1]), seed=seed, clamp=clamp)
    return Rollout(run.spikes[:, :, _memory(network) :].to(torch.uint8), run.potential)
