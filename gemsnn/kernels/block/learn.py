"""Learning in the layerwise form of the block kernel: weights rest between two updates, whatever the graph.

At an update, ``sum_{p, tau} c[p, i, tau] a[p, .., tau]`` over the steps tau that still count, with coefficients

``c[p, i, tau] = A[p, i, tau] r[p, i, tau] + w[p, i, tau] g[p, i, tau]``

of the errors r (A as in :mod:`gemsnn.kernels.block.kernel`) and, where the rule looks at single hidden spikes, of the
slopes w: ``g`` is what visible errors since the last update, each weighted by its compartment's learning signal, say of
hidden spikes up to D steps before them (:mod:`gemsnn.rules.credit`). It is the credit that wires from hidden to visible
neurons pass back, filtered backwards.

Where compartments replace others (:mod:`gemsnn.rules.resampling`), that sum is taken with the histories as they were at
each step: at a replacement the terms so far are added to the direction, and the runs' errors, potentials and spikes
become those of their ancestors.
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
from gemsnn.kernels.team import Team
from gemsnn.model import step as stepping
from gemsnn.model.network import Network, Params
from gemsnn.rules import base as rules
from gemsnn.rules.optimisers import OptimiserState
from gemsnn.rules.resampling import Replaced
from gemsnn.store import trees
from gemsnn.types import Batch

AHEAD = 8
"""Steps that are run at once, at most, where compartments may be replaced after any of them.

What comes after a replacement is run again, so after one it is a single step, then twice as many each time.
"""

FADING = 128
"""Steps whose signals become coefficients in one product: a bound of memory and, as that is dense, of work."""


def learn(
    network: Network, plan: Plan, params: Params, optimiser: OptimiserState, learning: Learning, batch: Batch, *,
    seed: int, lr: float, team: Team,
) -> Learned:  # fmt: skip
    """See :meth:`gemsnn.kernels.contract.Kernel.learn`."""
    every = batch.shape[1] if learning.update_every is None else min(learning.update_every, batch.shape[1])
    course = _Layerwise(network, plan, learning, batch, every, seed, team)
    params = _sender_by_sender(network, params)
    for start in range(0, course.total, every):
        stop, direction, done = min(start + every, course.total), None, start
        while done < stop:
            done, found = course.advance(params, range(done, stop))
            if found is None and done < stop:
                continue
            steps, start = range(start, done), done
            if direction is None:
                direction = course.direction(params, steps)
            elif course.has_read(steps):
                direction = trees.map(torch.add, direction, course.direction(params, steps))
            if found is not None:
                course.replace(found, done)
        assert direction is not None
        optimiser, params = team.update(learning.optimiser, optimiser, params, direction, lr=lr)
    scores, hidden = course.scores, network.spec.hidden_neurons
    chances = batch.length.to(network.taps) * learning.compartments * max(hidden, 1)
    rate = course.fired / chances
    return Learned(params, optimiser, scores.log_likelihood, scores.log_weights, rate, scores.log_estimates)


class _Layerwise:
    """A batch under way.

    Args:
        network: the network.
        plan: of it.
        learning: how it learns.
        batch: the presentations.
        every: steps between two updates.
        seed: of the noise.
        team: with whom.

    Attributes:
        total: T.
        history: what has happened, where compartments were replaced to the ancestors of those that are there now.
        error: ``[P, T, N]``, likewise; zero of visible neurons that are not observed.
        scores: how the compartments do.
        fired: ``[B]``, spikes of hidden neurons so far.
    """

    def __init__(
        self,
        network: Network,
        plan: Plan,
        learning: Learning,
        batch: Batch,
        every: int,
        seed: int,
        team: Team,
    ) -> None:
        self._network, self._plan, self._learning, self._batch, self._seed = (
            network, plan, learning, batch, seed,
        )  # fmt: skip
        self._team = team
        presentations, self.total, _ = batch.shape
        self._shape = (presentations, learning.compartments)
        self.history = forward.begin(network, batch, learning.compartments)
        self.scores, self.error = (
            Scores(network, learning, batch, 1.0, team),
            torch.zeros_like(self.history.potential),
        )
        self.fired, self._ahead = network.taps.new_zeros(presentations), AHEAD
        self._window = rules.memory_of(learning.rule, network.taps.dtype)
        rows = min(self.total, self._window + every)
        self._fading = fades(learning.rule.gamma, rows, min(every, FADING)).to(network.taps)
        self._observed = batch.observed.repeat_interleave(learning.compartments, 0)[:, :, None]

    def advance(self, params: Params, steps: range) -> tuple[int, Replaced | None]:
        """Go on under these parameters by these steps, or by the first ones where compartments may be replaced.

        Returns:
            The first step that has not happened, and which compartments are to be replaced before it.
        """
        if self._learning.resamples:
            steps = steps[: self._ahead]
            self._ahead = min(2 * self._ahead, AHEAD)
        network, history, some = self._network, self.history, slice(steps.start, steps.stop)
        forward.run(
            network,
            self._plan,
            params,
            self._batch,
            history,
            steps,
            seed=self._seed,
            clamp=True,
            first=self._team.first,
        )  # fmt: skip
        spikes, potential = history.fired[:, some], history.potential[:, some]
        evidence = stepping.evidence(network, spikes, potential).unflatten(0, self._shape).permute(2, 0, 1)
        found = None
        if self._learning.resamples:
            for at, t in enumerate(steps):
                self.scores.judge(range(t, t + 1), evidence[at : at + 1])
                found = self.scores.resample(t, seed=self._seed)
                if found is not None:  # what was run beyond this step is run again
                    steps, self._ahead = range(steps.start, t + 1), 1
                    break
        else:
            self.scores.judge(steps, evidence)
        spikes, potential = spikes[:, : len(steps)], potential[:, : len(steps)]
        some, hidden = slice(steps.start, steps.stop), network.spec.hidden_neurons
        self.error[:, some] = stepping.error(network, spikes, potential)
        self.error[:, some, hidden:] *= self._observed[:, some]
        self.fired += spikes[..., :hidden].unflatten(0, self._shape).sum((1, 2, 3))
        return steps.stop, found

    def has_read(self, steps: range) -> bool:
        """Whether these steps have a learning signal."""
        return bool(self.scores.signal[steps.start : steps.stop].any())

    def direction(self, params: Params, steps: range) -> Params:
        """What the learning signals of these steps, the last ones, say."""
        network, plan, some = self._network, self._plan, slice(steps.start, steps.stop)
        history, scores, hidden = self.history, self.scores, network.spec.hidden_neurons
        runs = self._shape[0] * self._shape[1]
        coefficient = self.error.new_zeros(min(steps.stop, self._window + len(steps)), 2, runs)
        grow(coefficient.flatten(1), scores.signal[some].flatten(1), self._fading)
        first = steps.stop - len(coefficient)
        factor = self.error[:, first : steps.stop].clone()
        for kind, neurons in enumerate((slice(hidden), slice(hidden, None))):
            factor[..., neurons] *= coefficient[:, kind].T[:, :, None]
        if "credit" in self._learning.rule.value.needs:
            weighted = self.error[:, some, hidden:] * scores.blame[some].flatten(1).T[:, :, None]
            factor = _with_credit(network, plan, params, history, factor, weighted, steps)
        return _direction(network, plan, params, history, factor, steps.stop)

    def replace(self, found: Replaced, stop: int) -> None:
        """Let runs go on from what their ancestors have done before step ``stop``, as far as it still counts."""
        batch, compartments = found.ancestor.shape
        ancestor = (
            found.ancestor + compartments * torch.arange(batch, device=found.where.device)[:, None]
        ).flatten()
        low = max(0, stop - max(self._window, self.history.silence))
        for leaf, end in (
            (self.history.spikes, self.history.silence + stop), (self.history.potential, stop), (self.error, stop),
        ):  # fmt: skip
            leaf[:, low:end] = leaf[ancestor, low:end]


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
