"""The reference kernel: the papers' equations, one step after the other.

It composes ``network.step`` and ``rules.update`` and holds an eligibility trace of the size of the weights for
every compartment, as the equations say. Every other kernel is tested against it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gemsnn import network as networks
from gemsnn import optimisers, rng, rules
from gemsnn.kernels.contract import Learned, Learning, Rollout, check_endless
from gemsnn.network import Network, Params
from gemsnn.optimisers import OptimiserState
from gemsnn.types import Batch


def refuses(network: Network, learning: Learning | None) -> str | None:
    """The reference serves every case."""
    return None


class _Course:
    """Presentations under way, with the parameters they have reached."""

    def __init__(
        self, network: Network, params: Params, optimiser: OptimiserState, learning: Learning, address: Tensor,
        *, seed: int, lr: float,
    ) -> None:  # fmt: skip
        self.network, self.params, self.optimiser, self.learning = network, params, optimiser, learning
        self._address, self._seed, self._lr = address, seed, lr
        self._state = networks.initial_state(network, len(address), learning.compartments)
        self.rule_state = rules.init(learning.rule, network, params, len(address), learning.compartments)
        self._pending = Params(*(torch.zeros_like(leaf) for leaf in params))
        self._clock = 0

    def step(
        self, spikes: Tensor, target: Tensor, *, alive: Tensor, observed: Tensor, read: Tensor, update: bool
    ) -> tuple[networks.Step, Tensor]:
        """One step, and its evidence ``[B, K]``."""
        learning, network, t = self.learning, self.network, self._clock
        uniform = rng.uniforms(
            self._seed, self._address, range(t, t + 1), learning.compartments, network.spec.neurons
        )
        self._state, now = networks.step(
            network, self.params, self._state, spikes, uniform[:, 0].to(network.taps),
            clamp=target, observed=observed, alive=alive,
        )  # fmt: skip
        evidence = networks.evidence(network, now.spikes, now.potential) * observed[:, None]
        self.rule_state, direction = rules.advance(
            learning.rule,
            network,
            self.params,
            self.rule_state,
            now,
            observed=observed,
            alive=alive,
            read=read,
        )
        self._pending = Params(*(total + new for total, new in zip(self._pending, direction, strict=True)))
        if update:
            self.optimiser, self.params = optimisers.update(
                learning.optimiser, self.optimiser, self.params, self._pending, lr=self._lr
            )
            self._pending = Params(*(torch.zeros_like(leaf) for leaf in self.params))
        self._clock += 1
        return now, evidence


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
    course = _Course(network, params, optimiser, learning, batch.address, seed=seed, lr=lr)
    every = steps if learning.update_every is None else learning.update_every
    alive, observed = batch.alive, batch.observed
    read = rules.read_steps(learning.rule, observed, learning.update_every)
    log_likelihood = network.taps.new_zeros(presentations, learning.compartments)
    hidden_spikes = network.taps.new_zeros(presentations)
    for t in range(steps):
        update = (t + 1) % every == 0 or t + 1 == steps
        now, evidence = course.step(
            batch.spikes[:, t], batch.target[:, t],
            alive=alive[:, t], observed=observed[:, t], read=read[:, t], update=update,
        )  # fmt: skip
        log_likelihood += evidence
        hidden_spikes += now.spikes[..., : network.spec.hidden_neurons].sum((1, 2))
    chances = batch.length * learning.compartments * max(network.spec.hidden_neurons, 1)
    log_weights = course.rule_state.log_weights
    return Learned(course.params, course.optimiser, log_likelihood, log_weights, hidden_spikes / chances)


class ReferenceStream:
    """See :class:`gemsnn.kernels.contract.Stream`; it learns in any case."""

    def __init__(
        self,
        network: Network,
        params: Params,
        *,
        address: Tensor,
        seed: int,
        learning: Learning,
        optimiser: OptimiserState,
        lr: float,
    ) -> None:
        check_endless(learning)
        self._course = _Course(network, params, optimiser, learning, address, seed=seed, lr=lr)
        self._clock = 0

    @property
    def params(self) -> Params:
        """The parameters reached by now."""
        return self._course.params

    @torch.no_grad()
    def advance(self, spikes: Tensor, target: Tensor | None = None) -> Rollout:
        """See :meth:`gemsnn.kernels.contract.Stream.advance`."""
        learning = self._course.learning
        every = learning.update_every or 1
        steps: list[networks.Step] = []
        alive = torch.ones(len(spikes), dtype=torch.bool)
        observed = alive & (target is not None)
        silent = torch.zeros(len(spikes), self._course.network.spec.visible)
        for c in range(spikes.shape[1]):
            update = (self._clock + 1) % every == 0
            now, _ = self._course.step(
                spikes[:, c], silent if target is None else target[:, c],
                alive=alive, observed=observed, update=update,
                read=observed & (update or learning.rule.readout == "every-step"),
            )  # fmt: skip
            steps.append(now)
            self._clock += 1
        return Rollout(
            torch.stack([now.spikes for now in steps], 2).to(torch.uint8),
            torch.stack([now.potential for now in steps], 2),
        )


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
            clamp=batch.target[:, t],
            observed=batch.observed[:, t] & clamp,
            alive=alive[:, t],
        )
        spikes.append(now.spikes.to(torch.uint8))
        potentials.append(now.potential)
    return Rollout(torch.stack(spikes, 2), torch.stack(potentials, 2))
