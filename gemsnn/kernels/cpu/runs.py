"""A batch's runs as the compiled steps see them: histories, scratch, and the blocks they are advanced by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.kernels import threads
from gemsnn.kernels.contract import Rollout
from gemsnn.kernels.cpu import fused, products, signals
from gemsnn.kernels.cpu.inputs import Inputs
from gemsnn.kernels.cpu.pending import PendingTerms
from gemsnn.kernels.cpu.work import Given, Past, Rule, Scratch, Small, Wiring, Work
from gemsnn.kernels.wiring import Group, columns, groups_of, merged
from gemsnn.model.network import Network
from gemsnn.model.neurons import CIRCUIT
from gemsnn.rules.contract import Signal
from gemsnn.store import trees as states

GAP = 64
"""Weights that do not exist, but cost less to go through than around."""

FILTERED_BYTES = 500_000
"""Of filtered factors that are gone through at random, so that they stay in the second cache."""

SHARED = 16
"""Runs from which on two threads share every step. One thread, where there is no other, makes products in halves."""


class Block(NamedTuple):
    """A block of C steps of B presentations.

    Attributes:
        inputs: ``D + index + C`` rows of each presentation: the block's inputs, and all that histories still hold.
        target: uint8 ``[B, C, V]``.
        alive: bool ``[B, C]``, false in padding, where everything rests.
        observed: bool ``[B, C]``, whether visible neurons are clamped to the target, which is evidence then.
        read: bool ``[B, C]``, whether the direction is read.
        updates: bool ``[C]``, whether the step ends with an update.
        address: int64 ``[B]``.
        seed: of the noise.
        first: the number of the first compartment.
    """

    inputs: Inputs
    target: Tensor
    alive: Tensor
    observed: Tensor
    read: Tensor
    updates: Tensor
    address: Tensor
    seed: int
    first: int = 0


class _Open(NamedTuple):
    """A block of steps that signals are to be asked for."""

    work: Work
    given: Given
    steps: int


class _Terms(NamedTuple):
    """What some steps have learned.

    Attributes:
        factor: ``[steps, P, N]``, coefficients times errors, and the one-hop signal.
        shared: ``[B, steps, N]``, their sums over compartments, of those that hear inputs.
        small: what they add to the small parameters.
        neuron: who spiked, row by row and run by run, from D steps before the first on.
        starts: where each row and run begins in ``neuron``.
    """

    factor: NDArray
    shared: NDArray
    small: Small
    neuron: NDArray
    starts: NDArray


def _wiring(network: Network, groups: list[Group]) -> tuple[Wiring, list[tuple[bool, int, int]]]:
    """The network in arrays, and what each kind of ear hears: inputs?, first, last neuron."""
    hidden = network.spec.hidden_neurons
    ears = list(dict.fromkeys((group.inputs, group.first, group.last) for group in groups))
    rows = [
        (g.start, g.stop, ears.index((g.inputs, g.first, g.last)), int(g.start >= hidden)) for g in groups
    ]
    wiring = Wiring(
        inputs=network.spec.inputs,
        hidden=hidden,
        taps=network.taps.numpy(),
        own_taps=network.own_taps.numpy(),
        own=network.own.numpy(),
        circuits=np.array(
            [(span.start, span.stop) for span, neuron in network.visible_stretches if neuron == CIRCUIT],
            np.int64,
        ).reshape(-1, 2),
        links=merged([(g.start, g.stop, g.first, g.last) for g in groups if g.first < g.last]),
        listeners=merged([(g.start, g.stop) for g in groups if g.inputs], gap=GAP),
        deaf=merged([(g.start, g.stop) for g in groups if not g.inputs]),
        groups=np.array(rows, np.int64),
    )
    return wiring, ears


class Runs:
    """Histories and scratch of B presentations times K compartments.

    Args:
        network: its mask made of whole blocks.
        presentations: B.
        compartments: K.
        rule: the rule in numbers.
        capacity: steps that histories hold; blocks beyond need :meth:`shift` first.
        potentials: whether potentials are kept as well.

    Attributes:
        index: steps that histories hold by now.
        clock: steps that have been shifted out.
        events: the inputs that histories hold.
        receivers: the neurons that hear neurons, where these are few; else ``None``.
    """

    def __init__(
        self, network: Network, presentations: int, compartments: int, rule: Rule, capacity: int,
        *, potentials: bool = False,
    ) -> None:  # fmt: skip
        groups = groups_of(network)
        assert groups is not None
        self.rule = rule
        self.index = self.clock = 0
        self.wiring, ears = _wiring(network, groups)
        dtype = network.taps.numpy().dtype
        neurons, runs, steps = network.spec.neurons, presentations * compartments, capacity
        (count, memory), own_count = network.taps.shape, network.own_taps.shape[0]
        self.silence = max(memory, network.own_taps.shape[1])

        def new(*shape: int) -> NDArray:
            return np.zeros(shape, dtype)

        self.past = Past(
            spikes=new(self.silence + steps, runs, neurons),
            error=new(steps, runs, neurons),
            coefficient=new(2, steps * runs),
            unread=new(2, steps * runs),
            reach=new(steps, runs, self.wiring.hidden) if rule.one_hop else new(0, 0, 0),
            log_weights=new(presentations, compartments),
            log_likelihood=new(presentations, compartments),
            bias=new(runs, neurons),
            feedback=new(runs, own_count, neurons),
            diagonal=new(runs, count, neurons) if rule.online else new(0, 0, 0),
            fired=np.zeros(runs, np.int64),
        )
        window, links = min(rule.window, steps), self.wiring.links
        receivers = slice(int(links[0, 0]), int(links[-1, 1])) if len(links) else slice(0, 0)
        few = count * (receivers.stop - receivers.start) <= fused.NARROW
        self.receivers = receivers if few else None
        self.scratch = Scratch(
            potential=new(steps if potentials else 1, runs, neurons),
            coming=new(memory, runs, receivers.stop - receivers.start),
            active=np.zeros((runs, neurons + 1), np.int64),
            spiked=np.zeros(runs, np.int64),
            uniform=np.zeros((runs, neurons), np.float32),
            own_trace=new(runs, own_count, neurons),
            self_trace=new(runs, count, neurons) if rule.online else new(0, 0, 0),
            evidence=new(runs),
            signal=new(1 if rule.online else steps, 2, runs),
            asked=new(steps, presentations, compartments) if rule.signal == signals.ASKED else new(0, 0, 0),
            fade=(rule.fresh_error * rule.gamma ** np.arange(window + 1)).astype(dtype),
            back=new(count, self.wiring.hidden),
            direction=Small(new(own_count, neurons), new(neurons)),
            diagonal=new(count, neurons) if rule.online else new(0, 0),
        )
        words = -(-neurons // 64)
        felt = steps * runs if rule.online else 0
        self.pending = PendingTerms(
            bits=np.zeros((words, felt + memory * runs), np.uint64),
            ears=np.array([_bits(range(first, last), words) for _, first, last in ears]),
            hears_inputs=np.array([inputs for inputs, _, _ in ears]),
            products=np.zeros((len(ears), memory, runs, felt + memory * runs if felt else 0), np.uint16),
            lags=np.pad(self.wiring.taps.T @ self.wiring.taps, (0, -memory % 4)),
            quarters=new(2, 4, felt + (2 * memory + 8) * runs if felt else 0),
            from_inputs=new(2, felt),
            gram=new(runs, felt),
            weighted=new(runs * felt),
            errors=new(felt * neurons),
            diagonal=new(count, neurons) if rule.online else new(0, 0),
        )
        self.see(Inputs.silent(presentations, memory, network.spec.inputs))
        self._stale, self._terms, self._open = True, None, None

    def prepare(self, weight: NDArray, small: Small, block: Block) -> tuple[Work, Given]:
        """What can be known of a block before it begins: the inputs' part, for all compartments at once."""
        steps, memory = block.alive.shape[1], self.wiring.taps.shape[1]
        self.see(block.inputs)
        drive = np.empty((len(block.alive), steps, weight.shape[2]), weight.dtype)
        taps, listeners = self.wiring.taps, self.wiring.listeners
        products.drive(weight, taps, self.events, memory + self.index, listeners, drive)
        gram = drive[None, :0, :0]
        if self.rule.online:
            gram = _input_gram(self.wiring.taps, block.inputs, steps)
        given = Given(
            start=self.index,
            clock=self.clock,
            drive=drive,
            input_gram=gram,
            target=_time_first(block.target).astype(weight.dtype),
            alive=_time_first(block.alive),
            observed=_time_first(block.observed),
            read=_time_first(block.read),
            updates=block.updates.numpy(),
            address=rng.index(block.address),
            key=rng.key(block.seed),
            first=block.first,
        )
        hidden, inputs = self.wiring.hidden, self.wiring.inputs
        outgoing = np.ascontiguousarray(weight[inputs : inputs + hidden, :, hidden:].transpose(2, 1, 0))
        sending, origin = weight[inputs:], 0
        if self.receivers is not None:
            sending, origin = np.ascontiguousarray(sending[:, :, self.receivers]), self.receivers.start
        work = Work(
            self.wiring,
            weight,
            outgoing,
            sending,
            origin,
            small,
            self.rule,
            self.past,
            self.scratch,
            self.pending,
        )
        return work, given

    def see(self, inputs: Inputs) -> None:
        """Take note of the inputs of the histories and of what comes."""
        self.events = inputs.events(self.wiring.taps.dtype.type(1))

    def advance(self, weight: NDArray, small: Small, block: Block, *, share: bool) -> None:
        """Run a block of steps under ``weight`` and ``small``, which an online rule moves on the way.

        With ``share``, threads share the steps where that pays; else this may run beside others. Where signals are
        asked for, the block stays open until :meth:`learn`.
        """
        work, given = self.prepare(weight, small, block)
        steps, runs = block.alive.shape[1], len(self.scratch.spiked)
        halves = np.array(threads.ranges(runs, 2 if share and runs >= SHARED else 1))
        if len(halves) == 1 or threads.workers() == 1:
            fused.advance(work, given, steps, self._stale, halves)
        else:
            arrived = np.zeros(1, np.int64)
            threads.each(
                lambda half: fused.advance_half(work, given, steps, self._stale, half, arrived),
                [(halves[1:],), (halves[:1],)],
            )
        self.index += steps
        self._stale = False
        self._terms = None
        if self.rule.signal == signals.ASKED:
            self._open = _Open(work, given, steps)
        elif self.rule.learns and not self.rule.online and block.updates[-1]:
            self._terms = self._weigh()  # while the other parts are busy too

    @property
    def asked(self) -> Tensor:
        """A copy of the log-weights after every step of the open block, ``[C, B, K]``."""
        assert self._open is not None
        return torch.from_numpy(self.scratch.asked[self.index - self._open.steps : self.index].copy())

    def learn(self, signal: Signal) -> None:
        """Close the block that is open, with the signals of its log-weights, ``[C, B, K]``."""
        assert self._open is not None
        (work, given, steps), self._open = self._open, None
        read = torch.from_numpy(given.read & given.alive)[..., None]
        kept = torch.from_numpy(self.scratch.signal[self.index - steps : self.index])
        for kind, values in enumerate((signal.hidden, signal.visible)):
            kept[:, kind] = torch.where(read, values / self.rule.batch, 0.0).flatten(1)
        fused.learn(work, given, steps)
        if given.updates[-1]:
            self._terms = self._weigh()

    def last(self, steps: int) -> Rollout:
        """What the runs did in the last steps."""
        rows, presentations = slice(self.index - steps, self.index), len(self.past.log_weights)

        def arranged(values: NDArray) -> Tensor:
            runs = torch.from_numpy(values).unflatten(1, (presentations, -1)).permute(1, 2, 0, 3)
            return runs.clone(memory_format=torch.contiguous_format)

        spikes = self.past.spikes[self.silence :][rows].astype(np.uint8)
        return Rollout(arranged(spikes), arranged(self.scratch.potential[rows]))

    def _weigh(self) -> _Terms:
        """What the steps so far have learned, before it is multiplied with spikes."""
        wiring, past, steps = self.wiring, self.past, self.index
        factor = products.weigh_errors(past.error[:steps], past.coefficient, wiring.hidden)
        if self.rule.one_hop:
            factor[:, :, : wiring.hidden] += past.reach[:steps]
        shared = products.sum_compartments(factor, len(past.log_weights), wiring.deaf)
        small = Small(
            np.zeros((len(wiring.own_taps), factor.shape[2]), factor.dtype),
            np.zeros(factor.shape[2], factor.dtype),
        )
        if not self.rule.online:
            spikes = past.spikes[: self.silence + steps]
            products.small_terms(factor, spikes, wiring.own_taps, *small, 0, factor.shape[2])
            small.feedback[:] *= wiring.own
        memory = wiring.taps.shape[1]
        spiked = products.list_spikes(past.spikes[self.silence - memory : self.silence + steps])
        return _Terms(factor, shared, small, *spiked)

    def filters_at_once(self) -> int:
        """Under how many filters :func:`add_all_terms` should work at a time, so that a cache holds what it needs."""
        neurons = self.past.error.shape[2] * self.past.error.itemsize
        return max(1, FILTERED_BYTES // (len(self.events.rows) * neurons))

    def terms(self) -> _Terms:
        """What is to be added, before it is multiplied with spikes. Not to be called by two threads at once."""
        if self._terms is None:
            self._terms = self._weigh()
        return self._terms

    def forget(self) -> Small:
        """Forget the terms' coefficients, once they are added.

        Returns what they add to the small parameters, where an online rule has not moved these before.
        """
        small, self._terms, self._stale = self.terms().small, None, True
        self.past.coefficient[:] = 0
        self.pending.diagonal[:] = 0
        self.past.reach[:] = 0
        return small

    def _going_on(self) -> dict[str, Any]:
        """What one step leaves to the next; the rest of the scratch means nothing between steps."""
        scratch, pending = self.scratch, self.pending
        kept = {"coming", "active", "spiked", "own_trace", "self_trace", "signal", "direction", "diagonal"}
        return {
            "past": self.past,
            **{f"scratch.{name}": getattr(scratch, name) for name in sorted(kept)},
            **{
                f"pending.{name}": getattr(pending, name)
                for name in ("bits", "products", "errors", "diagonal")
            },
        }

    def state(self) -> dict[str, Tensor]:
        """A copy of all that goes on."""
        numbers = {"index": self.index, "past_steps": self.clock, "stale": int(self._stale)}
        trees = self._going_on() | numbers
        return {path: leaf for name, tree in trees.items() for path, leaf in states.flat(name, tree).items()}

    def restore(self, leaves: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` has returned.

        Raises:
            InputError: it is the state of something else.
        """
        for name, tree in self._going_on().items():
            states.filled(name, tree, leaves)
        self.index, self.clock, stale = (
            states.filled(name, 0, leaves) for name in ("index", "past_steps", "stale")
        )
        if not 0 <= self.index <= len(self.past.error) or self.clock < 0:
            raise InputError("the saved state's counters are out of range; it is damaged")
        self._stale, self._terms = bool(stale), None

    def shift(self, keep: int) -> None:
        """Forget all but the last steps of the histories. What was read of it must have been added."""
        keep = min(keep, self.index)
        gone, runs = self.index - keep, len(self.scratch.spiked)
        if gone == 0:
            return
        past = self.past
        past.spikes[: self.silence + keep] = past.spikes[gone : self.silence + self.index].copy()
        past.error[:keep] = past.error[gone : self.index].copy()
        past.unread[:, : keep * runs] = past.unread[:, gone * runs : self.index * runs].copy()
        if self.rule.one_hop:
            past.reach[:keep] = past.reach[gone : self.index].copy()
            past.reach[keep:] = 0
        past.error[keep:] = 0
        past.unread[:, keep * runs :] = 0
        self.index, self.clock, self._stale = keep, self.clock + gone, True
        if self.rule.online:
            fused.recall(self.wiring, past, self.scratch, self.pending, keep)


def add_all_terms(
    parts: Sequence[Runs], all_terms: Sequence[_Terms], target: NDArray, low: int, high: int
) -> None:
    """Add all terms of all parts to ``target [J, L, N]``, weights or a direction, under the filters ``low .. high``.

    ``sum_{p, tau} A[p, tau] r[p, tau] phi[p, tau]^T``: errors are filtered backwards, then added where spikes were.
    """
    wiring, receivers, neurons = parts[0].wiring, parts[0].receivers, target.shape[2]
    taps, links, flat = wiring.taps, wiring.links, target.reshape(len(target), -1)
    listeners = columns(wiring.listeners, neurons, low, high, GAP)
    for part, terms in zip(parts, all_terms, strict=True):
        products.add_input_terms(flat, terms.shared, taps, part.events, listeners, low, high)
    if not len(links):
        return
    out = target[wiring.inputs :]
    if receivers is not None:  # where they are few, in a copy with their filters side by side
        links = links - [receivers.start, receivers.start, 0, 0]
        out = np.zeros((len(out), len(taps), receivers.stop - receivers.start), out.dtype)
    flat, stretches = out.reshape(len(out), -1), columns(links, out.shape[2], low, high)
    for terms in all_terms:
        factor = terms.factor if receivers is None else np.ascontiguousarray(terms.factor[:, :, receivers])
        spikes = (terms.neuron, terms.starts)
        products.add_neuron_terms(flat, taps, *spikes, factor, links, stretches, low, high)
    if receivers is not None:
        target[wiring.inputs :, low:high, receivers] += out[:, low:high]
    own = np.arange(neurons)
    target[wiring.inputs + own, low:high, own] = 0  # no neuron has a synapse with itself


def _bits(members: range, words: int) -> NDArray:
    out = np.zeros(words, np.uint64)
    for n in members:
        out[n // 64] |= np.uint64(1) << np.uint64(n % 64)
    return out


def _time_first(values: Tensor) -> NDArray:
    return np.ascontiguousarray(values.transpose(0, 1).numpy())


def _lag_matrix(taps: NDArray, steps: int) -> NDArray:
    """``[L, C, D + C]``: entry ``(l, c, r)`` is ``f_l(c + D - r)``, from row r, D rows before step 0, to step c."""
    count, memory = taps.shape
    out = np.zeros((count, steps, memory + steps), taps.dtype)
    step = np.arange(steps)
    for d in range(1, memory + 1):
        out[:, step, step + memory - d] = taps[:, d - 1, None]
    return out


def _input_gram(taps: NDArray, inputs: Inputs, steps: int) -> NDArray:
    """``<phi_in[tau, b'], phi_in[t, b]>`` as ``[C, B, steps, B]``, for the last C steps t."""
    (count, memory), presentations = taps.shape, inputs.presentations
    spikes = inputs.heard(taps.dtype)
    rows = spikes.shape[1]
    new = spikes[:, rows - steps - memory :].reshape(presentations * (memory + steps), -1)
    raw = new @ spikes.reshape(presentations * rows, -1).T
    raw = raw.reshape(presentations, memory + steps, presentations, rows).transpose(0, 2, 1, 3)
    half = _lag_matrix(taps, steps).reshape(count * steps, -1) @ raw
    half = half.reshape(presentations, presentations, count, steps, rows).swapaxes(2, 3)
    whole = _lag_matrix(taps, rows - memory).transpose(0, 2, 1).reshape(count * rows, -1)
    gram = half.reshape(presentations, presentations, steps, count * rows) @ whole
    return np.ascontiguousarray(gram.transpose(2, 0, 3, 1))
