"""The block kernel: the reference's numbers from a few matrix products, in torch, on any device.

An eligibility trace is a sum of rank-one terms, error times trace. So what a segment of steps adds to the weights is

``sum_{p, tau} A[p, i, tau] r[p, i, tau] a[p, j, l, tau]`` with errors r of runs p (a presentation's compartment) and
coefficients ``A[p, i, tau] = sum_{t >= tau, t read} gamma^(t - tau) signal[p, i, t]``.

It has two forms. Layer by layer (:mod:`gemsnn.kernels.block.forward`, :mod:`gemsnn.kernels.block.learn`) it serves
every graph, with all steps of a segment at once where nothing recurs. Step by step (this module) it serves joint
networks in which populations hear themselves, and those whose updates come so often that it pays to let them be
pending.

While a segment lasts its weights rest, and nothing of their size is touched. Updates that are linear in the direction
are felt meanwhile through inner products of traces (:mod:`gemsnn.kernels.block.terms`), where the mask is made of whole
blocks of synapses; else every update ends a segment.

The inputs' traces are the same for all compartments, so their factors are summed over k first;
and since filtering is linear, neither the forward product nor the update forms an input trace at all: spikes
are multiplied with the weights, then filtered (and errors filtered, then multiplied with spikes).

Weights lie sender by sender (``[J, L, N]``) in memory. A ``Params.weight`` that this kernel returns is a view of such
memory, and is not rearranged when it comes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gemsnn.kernels.block import forward
from gemsnn.kernels.block import learn as layerwise
from gemsnn.kernels.block.scores import Scores
from gemsnn.kernels.block.steps import Segment, bank, begin, sender_major
from gemsnn.kernels.block.terms import Pending, add_terms, fades, grow
from gemsnn.kernels.block.wires import plan_of
from gemsnn.kernels.contract import Learned, Learning, Rollout
from gemsnn.kernels.joint import Joint, apart, apart_state, joined, joined_state
from gemsnn.kernels.team import ALONE, Team
from gemsnn.kernels.wiring import Group, groups_of
from gemsnn.model import step as stepping
from gemsnn.model.network import Network, Params
from gemsnn.rules import base as rules
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec, OptimiserState
from gemsnn.types import Batch

SEGMENT = 128
"""Steps after which pending terms are added to the weights."""

PASSES = 40
"""What an update costs for each weight besides its product, in multiplications of a product that take as long."""

PRODUCTS = 2**28
"""Inner products that pending terms may keep; where they need more, terms are added to the weights at every update."""

SMALL = 2**24
"""Multiplications of a step below which one thread of the CPU is quicker than waking the others."""


def refuses(network: Network, learning: Learning | None) -> str | None:
    """The block kernel serves every network on every device, and rules without state for every synapse."""
    why = learning and learning.rule.value.unserved({"signal", "credit"})
    if why:
        return f"{why}, which this kernel does not hold; use reference"
    return None


def _pays(network: Network, learning: Learning, presentations: int, steps: int) -> bool:
    """Whether pending terms are less work than adding terms to the weights at every update, and fit into memory."""
    spec, (count, memory), runs = network.spec, network.taps.shape, presentations * learning.compartments
    every, window = learning.update_every or steps, rules.memory_of(learning.rule, network.taps.dtype)
    held = min(steps, window + max(every, SEGMENT))
    felt = steps * held / 2 * runs**2 * (2 * spec.neurons + memory**2)
    terms = (every + min(steps, window + every)) / 2 * (runs * spec.neurons + presentations * spec.inputs)
    added = steps / every * count * spec.neurons * (terms + PASSES * network.mask.shape[1])
    return felt < added and memory * held * runs**2 <= PRODUCTS


@contextmanager
def _threads(network: Network, runs: int) -> Iterator[None]:
    """One thread where steps are small: where others keep the machine busy, a second one is long to be waited for."""
    usual = torch.get_num_threads()
    small = runs * network.spec.neurons**2 * len(network.taps) < SMALL
    torch.set_num_threads(1 if small and network.taps.device.type == "cpu" else usual)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _run(network: Network, segment: Segment) -> None:
    """All steps of a segment under its parameters."""
    with _threads(network, len(segment.trace)):
        for moment in segment.moments:
            segment.drive(moment)
            segment.fire(moment)


class _Segments:
    """A batch under way.

    Args:
        network: the network.
        learning: how it learns.
        batch: the presentations.
        seed: of the noise.
        length: steps of a segment.
        size: what learning signals are multiplied with.
        team: with whom.
    """

    def __init__(
        self,
        network: Network,
        learning: Learning,
        batch: Batch,
        *,
        seed: int,
        length: int,
        size: float,
        team: Team,
    ) -> None:
        self.network, self.batch, self.length, self._seed = network, batch, length, seed
        self.team = team
        self.history = begin(network, batch, learning.compartments)
        self.scores = Scores(network, learning, batch, size, team)
        self.total, self.runs, _ = self.history.error.shape
        self._window = rules.memory_of(learning.rule, network.taps.dtype)
        rows = min(self.total, self._window + length)
        self.fading = fades(learning.rule.gamma, rows, min(length, SEGMENT)).to(network.taps)

    def enter(self, start: int, params: Joint) -> tuple[range, Segment, Tensor]:
        """The steps of the next segment, what it takes, and coefficients ``[R, 2, P]`` of all terms until its end."""
        steps = range(start, min(start + self.length, self.total))
        segment = Segment(
            self.network,
            params,
            self.batch,
            self.history,
            steps,
            seed=self._seed,
            clamp=True,
            first=self.team.first,
        )
        rows = min(steps.stop, self._window + len(steps))
        return steps, segment, self.network.taps.new_zeros(rows, 2, self.runs)

    def learned(self, params: Joint, optimiser: OptimiserState) -> Learned:
        """What it came to, with these parameters."""
        hidden, scores = self.network.spec.hidden_neurons, self.scores
        spikes = self.history.fired[..., :hidden].unflatten(1, scores.log_weights.shape).sum((0, 2, 3))
        chances = self.batch.length.to(spikes) * scores.log_weights.shape[1] * max(hidden, 1)
        return Learned(
            apart(params), apart_state(optimiser), scores.log_likelihood, scores.log_weights, spikes / chances
        )


def _learn_at_rest(
    course: _Segments, params: Joint, optimiser: OptimiserState, spec: OptimiserSpec, lr: float, whole: bool
) -> tuple[Joint, OptimiserState]:
    """Every update ends a segment."""
    history, scores = course.history, course.scores
    for start in range(0, course.total, course.length):
        steps, segment, coefficient = course.enter(start, params)
        _run(course.network, segment)
        some = slice(steps.start, steps.stop)
        evidence = stepping.evidence(course.network, history.fired[some], history.potential[some])
        scores.judge(steps, evidence.unflatten(1, scores.log_weights.shape))
        grow(coefficient.flatten(1), scores.signal[some].flatten(1), course.fading)
        weight = torch.zeros_like(params.weight.permute(1, 2, 0))
        small = add_terms(course.network, history, coefficient, steps.stop, weight, whole=whole)
        direction = Joint(weight.permute(2, 0, 1), *small)
        optimiser, params = course.team.update(spec, optimiser, params, direction, lr=lr)
    return params, optimiser


def _learn_pending(
    course: _Segments, params: Joint, groups: list[Group], rule: RuleSpec, every: int
) -> Joint:
    """Updates are felt at once, and added to the weights, in place, at the end of a segment."""
    scores, total, signal = course.scores, course.total, course.scores.signal.flatten(1)
    weight = params.weight.permute(1, 2, 0)
    eligibility = weight.new_zeros(course.runs, len(bank(course.network)), weight.shape[2])
    for start in range(0, total, course.length):
        steps, segment, coefficient = course.enter(start, params)
        pending = Pending(
            course.network, groups, rule.gamma, course.history, segment, steps, coefficient, eligibility
        )
        flat = coefficient.flatten(1)
        for t, now in zip(steps, segment.moments, strict=True):
            segment.drive(now)
            pending.feel(t, now.potential)
            segment.fire(now)
            evidence = stepping.evidence(course.network, now.spikes, now.potential)
            scores.judge(range(t, t + 1), evidence.view(1, *scores.log_weights.shape))
            pending.add(t, now, signal[t].view(2, -1))
            if (t + 1) % every == 0 or t + 1 == total:
                rows = len(flat) - steps.stop + t + 1
                grow(flat[:rows], signal[t // every * every : t + 1], course.fading)
                pending.update()
        feedback, bias = add_terms(
            course.network, course.history, coefficient, steps.stop, weight, whole=True
        )
        params = params._replace(feedback=params.feedback + feedback, bias=params.bias + bias)
    return params


def _here(network: Network, batch: Batch) -> Batch:
    """The batch on the network's device."""
    return batch.to(network.taps.device)


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
    presentations, total, _ = batch.shape
    every = total if learning.update_every is None else learning.update_every
    batch, plan = _here(network, batch), plan_of(network)
    if not network.is_joint or "credit" in learning.rule.value.needs or learning.resamples:
        return layerwise.learn(network, plan, params, optimiser, learning, batch, seed=seed, lr=lr, team=team)
    groups, spec = groups_of(network), learning.optimiser
    joint, state = joined(params), joined_state(optimiser)
    # only where updates are linear in the direction can they be pending; else the weights rest between two updates
    linear = spec.optimiser == "sgd" and every < total and team.alone
    if groups is not None and linear and _pays(network, learning, presentations, total):
        with _threads(network, presentations * learning.compartments):
            weight = sender_major(joint.weight)
            if weight.data_ptr() == joint.weight.data_ptr():
                weight = weight.clone()
            joint = joint._replace(weight=weight.permute(2, 0, 1))
            length = max(every, SEGMENT // every * every)
            course = _Segments(network, learning, batch, seed=seed, length=length, size=lr, team=team)
            joint = _learn_pending(course, joint, groups, learning.rule, every)
            return course.learned(joint, state._replace(updates=state.updates - (-total // every)))
    if plan.is_forward:
        return layerwise.learn(network, plan, params, optimiser, learning, batch, seed=seed, lr=lr, team=team)
    joint = joint._replace(weight=sender_major(joint.weight).permute(2, 0, 1))
    course = _Segments(network, learning, batch, seed=seed, length=every, size=1.0, team=team)
    return course.learned(*_learn_at_rest(course, joint, state, spec, lr, groups is not None))


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
    batch, plan = _here(network, batch), plan_of(network)
    if not network.is_joint or plan.is_forward:
        course = forward.begin(network, batch, compartments)
        steps = range(course.potential.shape[1])
        forward.run(network, plan, params, batch, course, steps, seed=seed, clamp=clamp, first=first)
        shape = (-1, compartments)
        return Rollout(course.fired.to(torch.uint8).unflatten(0, shape), course.potential.unflatten(0, shape))
    history = begin(network, batch, compartments)
    steps = range(len(history.error))
    segment = Segment(network, joined(params), batch, history, steps, seed=seed, clamp=clamp, first=first)
    _run(network, segment)
    spikes, potential = (
        values.unflatten(1, (-1, compartments)).permute(1, 2, 0, 3).contiguous()
        for values in (history.fired.to(torch.uint8), history.potential)
    )
    return Rollout(spikes, potential)
