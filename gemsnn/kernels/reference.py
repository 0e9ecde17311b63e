"""The reference kernel: the papers' equations, one step after the other.

It composes ``network.step`` and ``rules.advance`` and holds an eligibility trace of the size of the weights for
every compartment, as the equations say. Every other kernel is tested against it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.kernels.contract import Learned, Learning, Rollout, check_endless
from gemsnn.kernels.team import ALONE, Team
from gemsnn.model import step as stepping
from gemsnn.model.network import Network, Params
from gemsnn.rules import advance as advancing
from gemsnn.rules import base as rules
from gemsnn.rules import resampling
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.rules.resampling import Replaced
from gemsnn.store import trees
from gemsnn.types import Batch


def refuses(network: Network, learning: Learning | None) -> str | None:
    """The reference serves every case."""
    return None


class _Steps:
    """Presentations under way, with the parameters they have reached."""

    def __init__(
        self, network: Network, params: Params, optimiser: OptimiserState | None, learning: Learning | None,
        compartments: int, address: Tensor, *, seed: int, lr: float, team: Team = ALONE,
    ) -> None:  # fmt: skip
        self.network, self.params, self.optimiser, self.learning = network, params, optimiser, learning
        self._address, self._seed, self._lr, self._compartments = address, seed, lr, compartments
        self._team = team
        self._state = stepping.initial_state(network, len(address), compartments)
        self.rule_state = learning and advancing.init(
            learning.rule, network, params, len(address), compartments
        )
        self._pending = trees.map(torch.zeros_like, params)
        self._clock = 0

    def step(
        self, spikes: Tensor, target: Tensor, *, alive: Tensor, observed: Tensor, read: Tensor, update: bool
    ) -> tuple[stepping.Step, Tensor, Replaced | None]:
        """One step, its evidence ``[B, K]``, and which compartments were replaced after it."""
        learning, network, t = self.learning, self.network, self._clock
        uniform = rng.uniforms(
            self._seed,
            self._address,
            range(t, t + 1),
            self._compartments,
            network.spec.neurons,
            first=self._team.first,
            device=network.taps.device,
        )
        self._state, now = stepping.step(
            network, self.params, self._state, spikes, uniform[:, 0].to(network.taps),
            clamp=target, observed=observed, alive=alive,
        )  # fmt: skip
        self._clock += 1
        evidence = stepping.evidence(network, now.spikes, now.potential) * observed[:, None]
        if learning is None or self.rule_state is None or self.optimiser is None:
            return now, evidence, None
        self.rule_state, direction = advancing.advance(
            learning.rule,
            network,
            self.params,
            self.rule_state,
            now,
            observed=observed,
            alive=alive,
            read=read,
            signal=self._team.signal(learning.rule.value),
        )
        self._pending = trees.map(torch.add, self._pending, direction)
        if update:
            self.optimiser, self.params = self._team.update(
                learning.optimiser, self.optimiser, self.params, self._pending, lr=self._lr
            )
            self._pending = trees.map(torch.zeros_like, self.params)
        return now, evidence, self._resampled(learning, observed, t) if learning.resamples else None

    def _resampled(self, learning: Learning, observed: Tensor, t: int) -> Replaced | None:
        """Replace compartments after step t where too few of them count."""
        state: Any = self.rule_state
        found = resampling.replaced(
            learning.rule, state.log_weights, observed, self._address, t, seed=self._seed
        )
        if found is not None:
            self._state = resampling.of_network(found, self._state)
            self.rule_state = resampling.of_rule(found, state)
        return found

    def state(self) -> dict[str, Tensor]:
        """A copy of all that goes on."""
        return {
            path: leaf
            for name, tree in self._trees().items()
            for path, leaf in trees.flat(name, tree).items()
        }

    def restore(self, leaves: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` has returned.

        Raises:
            InputError: it is the state of something else.
        """
        found = {name: trees.filled(name, tree, leaves) for name, tree in self._trees().items()}
        self._clock, self.params, self.optimiser, self._state, self.rule_state, self._pending = found.values()

    def _trees(self) -> dict[str, Any]:
        return {
            "clock": self._clock,
            "params": self.params,
            "optimiser": self.optimiser,
            "network": self._state,
            "rule": self.rule_state,
            "pending": self._pending,
        }


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
    team: Team = ALONE,
) -> Learned:
    """See :meth:`gemsnn.kernels.contract.Kernel.learn`."""
    presentations, steps, _ = batch.shape
    spikes = batch.dense()
    course = _Steps(
        network,
        params,
        optimiser,
        learning,
        learning.compartments,
        batch.address,
        seed=seed,
        lr=lr,
        team=team,
    )
    every = steps if learning.update_every is None else learning.update_every
    alive, observed = batch.alive, batch.observed
    read = rules.read_steps(learning.rule, observed, learning.update_every)
    log_likelihood = network.taps.new_zeros(presentations, learning.compartments)
    log_estimates = log_likelihood.clone() if learning.resamples else None
    hidden_spikes = network.taps.new_zeros(presentations)
    for t in range(steps):
        update = (t + 1) % every == 0 or t + 1 == steps
        now, evidence, found = course.step(
            spikes[:, t], batch.target[:, t],
            alive=alive[:, t], observed=observed[:, t], read=read[:, t], update=update,
        )  # fmt: skip
        log_likelihood += evidence
        if log_estimates is not None:
            log_estimates += evidence
            log_estimates = log_estimates if found is None else resampling.reweighted(found, log_estimates)
        hidden_spikes += now.spikes[..., : network.spec.hidden_neurons].sum((1, 2))
    chances = batch.length * learning.compartments * max(network.spec.hidden_neurons, 1)
    assert course.rule_state is not None
    assert course.optimiser is not None
    log_weights = course.rule_state.log_weights
    rate = hidden_spikes / chances
    return Learned(course.params, course.optimiser, log_likelihood, log_weights, rate, log_estimates)


class ReferenceStream:
    """See :class:`gemsnn.kernels.contract.Stream`; without ``learning``, parameters stay as they are."""

    def __init__(
        self,
        network: Network,
        params: Params,
        compartments: int,
        *,
        address: Tensor,
        seed: int,
        learning: Learning | None = None,
        optimiser: OptimiserState | None = None,
        lr: float = 0.0,
    ) -> None:
        if learning is not None:
            check_endless(learning)
        self._course = _Steps(network, params, optimiser, learning, compartments, address, seed=seed, lr=lr)
        self._clock = 0

    @property
    def params(self) -> Params:
        """See :meth:`gemsnn.kernels.contract.Stream.params`."""
        return self._course.params  # which are never moved in place

    @property
    def optimiser(self) -> OptimiserState | None:
        """See :meth:`gemsnn.kernels.contract.Stream.optimiser`."""
        return self._course.optimiser

    @torch.no_grad()
    def advance(self, spikes: Tensor, target: Tensor | None = None) -> Rollout:
        """See :meth:`gemsnn.kernels.contract.Stream.advance`."""
        learning, steps = self._course.learning, []
        alive = torch.ones(len(spikes), dtype=torch.bool, device=spikes.device)
        observed = alive & (target is not None)
        silent = spikes.new_zeros(len(spikes), self._course.network.spec.visible_neurons)
        for c in range(spikes.shape[1]):
            self._clock += 1
            update = learning is not None and self._clock % (learning.update_every or 1) == 0
            now, _, _ = self._course.step(
                spikes[:, c], silent if target is None else target[:, c],
                alive=alive, observed=observed, update=update,
                read=observed & (update or (learning is not None and learning.rule.readout == "every-step")),
            )  # fmt: skip
            steps.append(now)
        return Rollout(
            torch.stack([now.spikes for now in steps], 2).to(torch.uint8),
            torch.stack([now.potential for now in steps], 2),
        )

    def state(self) -> dict[str, Tensor]:
        """See :meth:`gemsnn.kernels.contract.Stream.state`."""
        return {"steps": torch.tensor(self._clock), **self._course.state()}

    def restore(self, leaves: dict[str, Tensor]) -> None:
        """See :meth:`gemsnn.kernels.contract.Stream.restore`."""
        self._clock = trees.filled("steps", 0, leaves)
        self._course.restore(leaves)


@torch.no_grad()
def rollout(
    network: Network,
    params: Params,
    batch: Batch,
    compartments: int,
    *,
    seed: int,
    clamp: bool,
    first: int = 0,
) -> Rollout:
    """See :meth:`gemsnn.kernels.contract.Kernel.rollout`."""
    state = stepping.initial_state(network, len(batch.label), compartments)
    inputs = batch.dense()
    spikes: list[Tensor] = []
    potentials: list[Tensor] = []
    alive = batch.alive
    for t in range(inputs.shape[1]):
        uniform = rng.uniforms(
            seed,
            batch.address,
            range(t, t + 1),
            compartments,
            network.spec.neurons,
            first=first,
            device=network.taps.device,
        )[:, 0]
        state, now = stepping.step(
            network,
            params,
            state,
            inputs[:, t],
            uniform.to(network.taps),
            clamp=batch.target[:, t],
            observed=batch.observed[:, t] & clamp,
            alive=alive[:, t],
        )
        spikes.append(now.spikes.to(torch.uint8))
        potentials.append(now.potential)
    return Rollout(torch.stack(spikes, 2), torch.stack(potentials, 2))
