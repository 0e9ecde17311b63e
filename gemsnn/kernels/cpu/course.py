"""Dense networks under way: runs, and the parameters that they have reached."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.kernels import threads
from gemsnn.kernels.contract import Learning, Rollout
from gemsnn.kernels.cpu import signals
from gemsnn.kernels.cpu.inputs import Inputs
from gemsnn.kernels.cpu.runs import Block, Runs, add_all_terms
from gemsnn.kernels.cpu.sender_major import laid_out, params_of, sender_major, small_of, state_laid_out
from gemsnn.kernels.cpu.work import Rule, Small
from gemsnn.kernels.joint import apart, apart_state, joined, joined_state
from gemsnn.kernels.team import ALONE, Team
from gemsnn.model.network import Network, Params
from gemsnn.rules import base as rules
from gemsnn.rules.contract import Signal
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.store import trees as states
from gemsnn.types import Batch

SEGMENT = 128
"""Steps after which pending terms are added to the weights."""

PARTS = 8
"""Into how many parts a batch is split that may be: a constant, so that sums are the same on every machine."""

FILTER_RANGES = 2
"""In how many ranges of filters, at least, terms are added to the weights: a constant for the same reason."""

PENDING_BYTES = 2**30
"""What inner products may take; beyond it, terms are added to the weights at every update instead."""


class Plan(NamedTuple):
    """How runs are worked through.

    Attributes:
        rule: the rule in numbers; one that learns nothing where they run under fixed parameters.
        keep: steps that still matter after an update.
        capacity: steps that histories hold.
    """

    rule: Rule
    keep: int
    capacity: int


def plan(
    network: Network, learning: Learning, presentations: int, steps: int, lr: float, team: Team = ALONE
) -> Plan:
    """The plan for learning a batch of presentations of so many steps."""
    rule, every = learning.rule, steps if learning.update_every is None else min(learning.update_every, steps)
    window, credit = rules.memory_of(rule, network.taps.dtype), "credit" in rule.value.needs
    signal = signals.CODES.get(team.signal(rule.value), signals.ASKED)
    keep = min(steps, max(every, window, network.taps.shape[1]))
    capacity = min(steps, keep + max(every, SEGMENT))
    runs = presentations * learning.compartments
    products_bytes = 2 * len(network.graph.populations) * network.taps.shape[1] * capacity * runs**2
    # only where updates are linear in the direction can they be pending
    online = (
        learning.optimiser.optimiser == "sgd"
        and team.alone
        and not credit  # which needs the weights of now, not only products with them
        and signal != signals.ASKED  # for which the steps would have to stop
        and every < steps
        and products_bytes <= PENDING_BYTES
        and network.spec.neurons < 2**16  # products of spikes are counted in 16 bits
    )
    numbers = Rule(
        learns=True,
        online=online,
        kappa=rule.kappa,
        gamma=rule.gamma,
        fresh_evidence=1 - rule.kappa if rule.average else 1.0,
        fresh_error=1 - rule.gamma if rule.average else 1.0,
        signal=signal,
        one_hop=credit,
        every=every,
        eta=lr if online else 1.0,
        window=min(capacity, window),
        batch=presentations,
    )
    return Plan(numbers, keep, capacity)


class DenseCourse:
    """Runs under way, with the parameters they have reached: what batches and streams have in common.

    Args:
        network: the network.
        params: parameters to begin with.
        learning: how they learn; ``None`` if they do not.
        optimiser: its state.
        way: the plan.
        presentations: how many in each part; parts run side by side.
        compartments: K.
        seed: of the noise.
        lr: step size.
        potentials: whether potentials are kept.
        first: the number of the first compartment.
        team: with whom they learn.
    """

    def __init__(
        self,
        network: Network,
        params: Params,
        learning: Learning | None,
        optimiser: OptimiserState | None,
        way: Plan,
        presentations: list[int],
        compartments: int,
        *,
        seed: int,
        lr: float = 0.0,
        potentials: bool = False,
        first: int = 0,
        team: Team = ALONE,
    ) -> None:
        self.network, self.learning, self.way = network, learning, way
        self.seed, self.lr, self._potentials, self._first = seed, lr, potentials, first
        self._team = team
        with threads.one_for_blas():
            self.parts = [
                Runs(network, size, compartments, way.rule, way.capacity, potentials=potentials)
                for size in presentations
            ]
        inputs, memory = network.spec.inputs, network.taps.shape[1]
        self._inputs = [Inputs.silent(size, memory, inputs) for size in presentations]
        # one order in memory from the first update on, for sums round as the order has it
        self._params = laid_out(joined(params))
        self._optimiser = None if optimiser is None else state_laid_out(joined_state(optimiser))
        weight = sender_major(self._params.weight)
        self._weight = weight.clone() if way.rule.online else weight
        self._small = small_of(self._params)

    @property
    def optimiser(self) -> OptimiserState | None:
        """The optimiser's state by now."""
        return None if self._optimiser is None else apart_state(self._optimiser)

    @property
    def params(self) -> Params:
        """A copy of the parameters reached, with all that is pending, which stays pending."""
        weight = self._weight.clone()
        if self.way.rule.online:
            self._add(weight)
        return apart(params_of(weight, Small(*(leaf.copy() for leaf in self._small))))

    def finish(self) -> Params:
        """The parameters reached, without a copy. The course ends here."""
        if self.way.rule.online:
            self._settle()
        return apart(params_of(self._weight, self._small))

    def advance(
        self, pieces: list[Batch], reads: list[Tensor], updates: Tensor, *, clamp: bool
    ) -> Rollout | None:
        """Run all parts for the steps of these batches, and return what they did, if potentials are kept.

        Args:
            pieces: a batch for each part.
            reads: bool ``[B, C]`` for each part, whether directions are read.
            updates: bool ``[C]``, whether steps end with an update.
            clamp: whether visible neurons are clamped to the target where observed; else they are free.
        """
        rule, memory, capacity = self.way.rule, self.network.taps.shape[1], self.way.capacity
        for at, piece in enumerate(pieces):
            self._inputs[at] = self._inputs[at].then(piece.rows)
        done, steps, seen = 0, len(updates), []
        while done < steps:
            # where weights rest between two updates, a block ends with one
            ahead = updates[done:].nonzero().flatten()
            want = steps - done if rule.online or not len(ahead) else int(ahead[0]) + 1
            index = self.parts[0].index
            if index == capacity or (not rule.online and index + want > capacity):
                index = self._shift()
            stop = done + min(want, capacity - index)
            inside = slice(done, stop)
            blocks = [
                Block(
                    inputs=inputs.between(0, memory + index + stop - done),
                    target=piece.target[:, inside],
                    alive=piece.alive[:, inside],
                    observed=piece.observed[:, inside] & clamp,
                    read=read[:, inside],
                    updates=updates[inside],
                    address=piece.address,
                    seed=self.seed,
                    first=self._first,
                )
                for piece, inputs, read in zip(pieces, self._inputs, reads, strict=True)
            ]
            self._run(blocks)
            if self._potentials:
                seen.append(join([part.last(stop - done) for part in self.parts], 0))
            if not rule.online and updates[stop - 1]:
                self._update()
            done = stop
        return join(seen, 2) if self._potentials else None

    def _run(self, blocks: list[Block]) -> None:
        """Parts run side by side; a single one has the threads for itself."""
        weight = self._weight.numpy()
        with threads.one_for_blas():
            if len(blocks) == 1:
                self.parts[0].advance(weight, self._small, blocks[0], share=True)
            else:
                threads.each(
                    lambda part, block: part.advance(weight, self._small, block, share=False),
                    list(zip(self.parts, blocks, strict=True)),
                )
            if self.way.rule.signal == signals.ASKED:
                self._ask()

    def _ask(self) -> None:
        """Ask the rule for the signals of all parts' blocks at once, and let them learn with these."""
        assert self.learning is not None
        sizes = [len(part.past.log_weights) for part in self.parts]
        signal = self._team.signal(self.learning.rule.value)(
            torch.cat([part.asked for part in self.parts], 1)
        )
        each = zip(*(leaf.split(sizes, 1) for leaf in signal), strict=True)
        threads.each(
            lambda part, own: part.learn(own),
            [(p, Signal(*s)) for p, s in zip(self.parts, each, strict=True)],
        )

    def _settle(self) -> None:
        """Add pending terms to the weights."""
        self._fold(self._weight)

    def _fold(self, target: Tensor) -> list[Small]:
        """Add all parts' terms to weights or a direction, and forget them; what they add to the small parameters."""
        self._add(target)
        return [part.forget() for part in self.parts]

    def _add(self, target: Tensor) -> None:
        """Add all parts' terms to weights or a direction; threads share the filters, so that sums keep their order."""
        count, terms = len(self.network.taps), [part.terms() for part in self.parts]
        threads.each(
            lambda low, high: add_all_terms(self.parts, terms, target.numpy(), low, high),
            threads.ranges(count, max(FILTER_RANGES, -(-count // self.parts[0].filters_at_once()))),
        )

    def _update(self) -> None:
        """Form the direction of all parts and let the optimiser move the parameters."""
        assert self.learning is not None
        assert self._optimiser is not None
        target = torch.zeros_like(self._weight)
        moved = zip(*self._fold(target), strict=True)
        direction = params_of(target, Small(*(np.sum(leaves, 0) for leaves in moved)))
        self._optimiser, self._params = self._team.update(
            self.learning.optimiser, self._optimiser, self._params, direction, lr=self.lr
        )
        self._weight, self._small = sender_major(self._params.weight), small_of(self._params)

    def state(self) -> dict[str, Tensor]:
        """A copy of all that goes on, of a course with one part."""
        (runs,) = self.parts
        return {
            "inputs": torch.from_numpy(self._inputs[0].dense()),
            **states.flat("weight", self._weight),
            **states.flat("small", self._small),
            **states.flat("optimiser", self._optimiser),
            **runs.state(),
        }

    def restore(self, leaves: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` has returned.

        Raises:
            InputError: it is the state of something else.
        """
        (runs,) = self.parts
        self._weight = states.filled("weight", self._weight, leaves)
        self._small = states.filled("small", self._small, leaves)
        optimiser = states.filled("optimiser", self._optimiser, leaves)
        self._optimiser = None if optimiser is None else state_laid_out(optimiser)
        self._params = params_of(self._weight, Small(*(leaf.copy() for leaf in self._small)))
        inputs, memory = leaves.get("inputs"), self.network.taps.shape[1]
        runs.restore(leaves)
        shape = (self._inputs[0].presentations, memory + runs.index, self.network.spec.inputs)
        if inputs is None or inputs.dtype != torch.uint8 or tuple(inputs.shape) != shape:
            raise InputError("the saved state's inputs are missing or have another shape; it is damaged")
        self._inputs[0] = Inputs.of(inputs.numpy())
        runs.see(self._inputs[0])

    def _shift(self) -> int:
        """Make room in the histories; how many steps they still hold."""
        if self.way.rule.online:
            self._settle()
        for at, part in enumerate(self.parts):
            gone = part.index
            part.shift(self.way.keep)
            self._inputs[at] = self._inputs[at].between(gone - part.index, None)
        return self.parts[0].index


def join(pieces: list[Rollout], dimension: int) -> Rollout:
    """Rollouts side by side (0) or one after the other (2)."""
    if len(pieces) == 1:
        return pieces[0]
    return Rollout(*(torch.cat(leaves, dimension) for leaves in zip(*pieces, strict=True)))


def split(batch: Batch, parts: int) -> list[Batch]:
    """The batch in at most this many parts of consecutive presentations."""
    return [batch.some(slice(low, high)) for low, high in threads.ranges(len(batch.label), parts)]


def endless(
    network: Network, params: Params, learning: Learning | None, optimiser: OptimiserState | None, compartments: int,
    presentations: int, *, seed: int, lr: float,
) -> DenseCourse:  # fmt: skip
    """A course of presentations without an end."""
    way = Plan(Rule(), 0, SEGMENT)
    if learning is not None:
        way = plan(network, learning, presentations, 2**31 - 1, lr)
    return DenseCourse(
        network, params, learning, optimiser, way, [presentations], compartments, seed=seed, lr=lr, potentials=True
    )  # fmt: skip
