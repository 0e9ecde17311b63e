"""The potentials of a stream's next steps: a spike is added at once to those of all steps that it reaches.

Where bins come one by one, a spike would else be looked for, and added, in each of the steps after it. What was sent
holds as long as the weights do: after an update it is made anew from the histories.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gemsnn.kernels import threads
from gemsnn.kernels.cpu import firing, layers, stretches
from gemsnn.kernels.cpu.firing import Given
from gemsnn.kernels.cpu.histories import History
from gemsnn.kernels.cpu.layout import Plan, Weights
from gemsnn.kernels.cpu.memory import zeros
from gemsnn.rows import SpikeRows

AHEAD = 32
"""Steps after which potentials are moved to the beginning of their memory."""

FEW = 3
"""Where updates are so many steps apart, or fewer, it costs less to make potentials for the next steps alone."""


class Coming:
    """Of each population, in two parts that add up to its potentials.

    Args:
        plan: the network.
        presentations: B.
        compartments: K.

    Attributes:
        own: for each population ``[P, places, rows, c]``, what neurons have sent.
        heard: for each population ``[B, places, rows, c]``, biases and what inputs have sent to all compartments.
        at: the row of the very next step in both.
        known: whether all that was sent before it is in them.
    """

    def __init__(self, plan: Plan, presentations: int, compartments: int) -> None:
        self._plan, rows = plan, plan.silence + AHEAD
        sizes = [plan.size(n) for n in range(len(plan.populations))]
        dtype = plan.network.taps.numpy().dtype

        def some(count: int) -> list[NDArray]:
            return [zeros((count, places, rows, width), dtype) for places, width in sizes]

        self.own, self.heard = some(presentations * compartments), some(presentations)
        self.at, self.known = 0, False

    @property
    def tails(self) -> tuple[NDArray, ...]:
        """What is known of the next steps, ``[.., places, silence, c]``."""
        inside = slice(self.at, self.at + self._plan.silence)
        return tuple(each[:, :, inside] for each in (*self.own, *self.heard))

    def make_room(self, steps: int, weights: Weights, history: History, row: int) -> None:
        """Know what there is to know of the steps from a row of the history on, so many at least."""
        if not self.known:
            self._look_back(weights, history, row)
        elif self.at + steps + self._plan.silence > self.own[0].shape[2]:
            tails, self.at = self.tails, 0
            for here, tail in zip(self.tails, tails, strict=True):
                here[:] = tail
            self.blank_beyond(weights)

    def blank_beyond(self, weights: Weights) -> None:
        """Nothing was sent that reaches farther than filters do."""
        beyond = self.at + self._plan.silence
        for own, heard, neurons in zip(self.own, self.heard, weights.neurons, strict=True):
            own[:, :, beyond:] = 0
            heard[:, :, beyond:] = neurons.bias

    def _look_back(self, weights: Weights, history: History, row: int) -> None:
        """Look in the history for all that was sent."""
        plan, self.at, self.known = self._plan, 0, True

        def hear(b: int) -> None:
            for n, heard in enumerate(self.heard):
                layers.hear_inputs(plan, weights, history, b, row, row, n, heard[b])

        def feel(p: int) -> None:
            for n, own in enumerate(self.own):
                own[p] = 0
                layers.hear_neurons(plan, weights, history, p, row, row, n, plan.heard[n], own[p])
                firing.recall(weights.neurons[n], history.spikes[n][p], row - plan.silence, row, row, own[p])

        threads.each(hear, [(b,) for b in range(len(self.heard[0]))])
        threads.each(feel, [(p,) for p in range(len(self.own[0]))])

    def hear(self, weights: Weights, b: int, inputs: SpikeRows, row: int) -> None:
        """Add what the inputs of a presentation's next steps send, from this row of the history on."""
        indices, sizes, begin = inputs.held.astype(np.int64), inputs.sizes, inputs.indptr - inputs.indptr[0]
        for w, wire in enumerate(self._plan.wires):
            if wire.source < 0:
                for t in range(len(inputs)):
                    some = slice(begin[t], begin[t + 1])
                    stretches.send_inputs(
                        weights.rows[w], self._plan.turned[w], wire.channels, indices[some], sizes[some], row + t,
                        row - self.at, self.heard[wire.target][b],
                    )  # fmt: skip

    def forward(
        self, weights: Weights, history: History, run: tuple[int, int], row: int, given: Sequence[Given],
        potential: Sequence[NDArray], evidence: NDArray,
    ) -> int:  # fmt: skip
        """The next steps of a run, ``(b, p)``: see :func:`.layers.forward`; here ``potential`` has anything in it."""
        (b, p), plan, fired = run, self._plan, 0
        for t in range(potential[0].shape[1]):
            for n, population in enumerate(plan.populations):
                here, spikes = potential[n], history.spikes[n][p]
                np.add(self.own[n][p, :, self.at + t], self.heard[n][b, :, self.at + t], out=here[:, t])
                count = firing.fire(
                    weights.neurons[n], given[n], t, t + 1, here, spikes, history.error[n][p], row, history.bits[n][p],
                    evidence,
                )  # fmt: skip
                fired += 0 if population.visible else count
                if population.feedback:
                    firing.recall(
                        weights.neurons[n], spikes, row + t, row + t + 1, row - self.at, self.own[n][p]
                    )
            for w, wire in enumerate(plan.wires):
                if wire.source >= 0:
                    stretches.send(
                        weights.rows[w], plan.turned[w], history.spikes[wire.source][p], row + t, row - self.at,
                        self.own[wire.target][p],
                    )  # fmt: skip
        return fired
