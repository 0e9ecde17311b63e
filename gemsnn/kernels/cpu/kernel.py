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

import numpy as np
import torch
from torch import Tensor

from gemsnn.kernels.contract import Learned, Learning, Rollout, check_endless
from gemsnn.kernels.cpu import graph
from gemsnn.kernels.cpu.course import PARTS, DenseCourse, Plan, endless, plan, split
from gemsnn.kernels.cpu.work import Rule
from gemsnn.kernels.team import ALONE, Team
from gemsnn.kernels.wiring import groups_of
from gemsnn.model.network import Network, Params
from gemsnn.model.neurons import BERNOULLI, CIRCUIT
from gemsnn.rows import SpikeRows
from gemsnn.rules import base as rules
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.store import trees as states
from gemsnn.types import Batch


def refuses(network: Network, learning: Learning | None) -> str | None:
    """The cpu kernel serves block-structured topologies on the CPU, and rules that need a signal, and a credit."""
    if network.own.device.type != "cpu":
        return f"the network lies on {network.own.device}, and this kernel runs on the CPU only; use block or reference"
    why = learning and learning.rule.value.unserved({"signal", "credit"})
    if why:
        return f"{why}, which this kernel does not hold; use reference"
    if learning is not None and learning.resamples:
        return "compartments that replace others (resample above 0) are not compiled; use block or reference"
    if not network.is_joint:
        return graph.refuses(network)
    if groups_of(network) is None:
        return "its mask is not made of whole blocks of synapses between groups; use block"
    kinds = {neuron for _, neuron in network.visible_stretches}
    if (
        not kinds <= {BERNOULLI, CIRCUIT}
        or len(kinds) > 1
        or any(p.neuron != BERNOULLI for p in network.graph.hidden)
    ):
        return "its neurons are of kinds that are not compiled, or in an order that is not; use block"
    return None


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
    if not network.is_joint:
        return graph.learn(network, params, optimiser, learning, batch, seed=seed, lr=lr, team=team)
    presentations, steps, _ = batch.shape
    way = plan(network, learning, presentations, steps, lr, team)
    # pending terms tie all runs together; where there are none, parts of the batch run side by side
    pieces = split(batch, 1 if way.rule.online else PARTS)
    course = DenseCourse(
        network, params, learning, optimiser, way, [len(piece.label) for piece in pieces],
        learning.compartments, seed=seed, lr=lr, first=team.first, team=team,
    )  # fmt: skip
    reads = [rules.read_steps(learning.rule, piece.observed, learning.update_every) for piece in pieces]
    updates = torch.arange(1, steps + 1) % way.rule.every == 0
    updates[-1] = True
    course.advance(pieces, reads, updates, clamp=True)
    after = course.optimiser
    assert after is not None
    if way.rule.online:
        after = after._replace(updates=after.updates + int(updates.sum()))
    past = [part.past for part in course.parts]
    fired = np.concatenate([each.fired.reshape(-1, learning.compartments).sum(1) for each in past])
    chances = batch.length * learning.compartments * max(network.spec.hidden_neurons, 1)
    return Learned(
        course.finish(),
        after,
        torch.from_numpy(np.concatenate([each.log_likelihood for each in past])),
        torch.from_numpy(np.concatenate([each.log_weights for each in past])),
        torch.from_numpy(fired).to(network.taps) / chances,
    )


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
    if not network.is_joint:
        return graph.rollout(network, params, batch, compartments, seed=seed, clamp=clamp, first=first)
    steps = batch.shape[1]
    pieces = split(batch, PARTS)
    course = DenseCourse(
        network, params, None, None, Plan(Rule(), 0, steps), [len(piece.label) for piece in pieces],
        compartments, seed=seed, potentials=True, first=first,
    )  # fmt: skip
    reads = [piece.alive for piece in pieces]
    done = course.advance(pieces, reads, torch.zeros(steps, dtype=torch.bool), clamp=clamp)
    assert done is not None
    return done


class CpuStream:
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
        self._network, self._address, self._learning = network, address, learning
        make = endless if network.is_joint else graph.endless
        self._course = make(
            network, params, learning, optimiser, compartments, len(address), seed=seed, lr=lr
        )
        self._clock = 0

    @property
    def params(self) -> Params:
        """See :meth:`gemsnn.kernels.contract.Stream.params`."""
        return self._course.params

    @property
    def optimiser(self) -> OptimiserState | None:
        """See :meth:`gemsnn.kernels.contract.Stream.optimiser`."""
        return self._course.optimiser

    @torch.no_grad()
    def advance(self, spikes: Tensor, target: Tensor | None = None) -> Rollout:
        """See :meth:`gemsnn.kernels.contract.Stream.advance`."""
        presentations, steps, _ = spikes.shape
        silent = torch.zeros(presentations, steps, self._network.spec.visible_neurons, dtype=torch.uint8)
        length = torch.full((presentations,), steps)
        batch = Batch(
            SpikeRows.of(spikes.flatten(0, 1).numpy()),
            silent if target is None else target,
            length,
            self._address,
            self._address,
            0 * length,
        )
        updates = torch.zeros(steps, dtype=torch.bool)
        read = torch.zeros(presentations, steps, dtype=torch.bool)
        if self._learning is not None and self._learning.update_every is not None:
            step = torch.arange(self._clock + 1, self._clock + steps + 1)
            updates = step % self._learning.update_every == 0
            if target is not None:
                read |= updates if self._learning.rule.readout == "last-step" else True
        done = self._course.advance([batch], [read], updates, clamp=target is not None)
        self._clock += steps
        assert done is not None
        return done

    def state(self) -> dict[str, Tensor]:
        """See :meth:`gemsnn.kernels.contract.Stream.state`."""
        return {"clock": torch.tensor(self._clock), **self._course.state()}

    def restore(self, leaves: dict[str, Tensor]) -> None:
        """See :meth:`gemsnn.kernels.contract.Stream.restore`."""
        self._clock = states.filled("clock", 0, leaves)
        self._course.restore(leaves)
