"""What the compiled steps of the cpu kernel work on, in arrays.

Runs p are presentations times compartments (``p = b * K + k``), weights are ``[J, L, N]``, histories are time first.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy.typing import NDArray

from gemsnn.kernels.cpu import signals
from gemsnn.kernels.cpu.pending import PendingTerms


class Rule(NamedTuple):
    """A rule in numbers.

    Attributes:
        learns: whether there is one; else the other numbers mean nothing.
        online: updates apply and are felt within the segment; else they only add up.
        kappa: decay of the log-weights.
        gamma: decay of the eligibilities.
        fresh_evidence: factor of new evidence.
        fresh_error: factor of new scores.
        signal: the learning signal's code in :mod:`.signals`; with ``ASKED`` never online.
        one_hop: whether hidden neurons learn from :mod:`gemsnn.rules.credit` too; never online.
        every: steps between updates.
        eta: step size of what is applied within the segment.
        window: steps after which an eligibility is below the resolution.
        batch: presentations that an update averages over.
    """

    learns: bool = False
    online: bool = False
    kappa: float = 1.0
    gamma: float = 1.0
    fresh_evidence: float = 1.0
    fresh_error: float = 1.0
    signal: int = signals.GEM
    one_hop: bool = False
    every: int = 1
    eta: float = 0.0
    window: int = 0
    batch: int = 1


class Wiring(NamedTuple):
    """The network in arrays.

    Attributes:
        inputs: M.
        hidden: H; neurons from here on are visible.
        taps: ``[L, D]``.
        own_taps: ``[Lf, Df]``.
        own: bool ``[N]``, who feels its own spikes.
        circuits: int64 ``[.., 2]``, ranges of neurons that make a winner-take-all circuit: all visible ones or none.
        links: int64 ``[.., 4]``: receivers ``start .. stop`` and the neurons ``first .. last`` they hear, of all
            receivers that hear any.
        listeners: int64 ``[.., 2]``, ranges with all neurons that hear the inputs.
        deaf: int64 ``[.., 2]``, ranges of neurons that do not hear them.
        groups: int64 ``[.., 4]``: neurons ``start .. stop``, their ear (see :class:`.pending.PendingTerms`) and
            1 for visible ones; together all neurons.
    """

    inputs: int
    hidden: int
    taps: NDArray
    own_taps: NDArray
    own: NDArray
    circuits: NDArray
    links: NDArray
    listeners: NDArray
    deaf: NDArray
    groups: NDArray


class Small(NamedTuple):
    """The parameters that need no tricks: feedback ``[Lf, N]`` and bias ``[N]``; also a direction to move them."""

    feedback: NDArray
    bias: NDArray


class Given(NamedTuple):
    """What is known of a block of C steps before it begins.

    Attributes:
        start: the block's first step, counted from the beginning of the histories.
        clock: the step's number in the presentation when that count is 0.
        drive: ``[B, C, N]``, what the inputs add to the potentials.
        input_gram: ``[C, B, steps, B]``, inner products of the inputs' traces with all of the histories.
        target: ``[C, B, V]``.
        alive: bool ``[C, B]``, false in padding, where everything rests.
        observed: bool ``[C, B]``, whether visible neurons are clamped to the target, which is evidence then.
        read: bool ``[C, B]``, whether the direction is read.
        updates: bool ``[C]``, whether the step ends with an update.
        address: uint64 ``[B]``, the presentations' address in the noise.
        key: uint64 ``[2]``, the seed.
        first: the number of the first compartment.
    """

    start: int
    clock: int
    drive: NDArray
    input_gram: NDArray
    target: NDArray
    alive: NDArray
    observed: NDArray
    read: NDArray
    updates: NDArray
    address: NDArray
    key: NDArray
    first: int


class Past(NamedTuple):
    """What has happened; lives as long as the kernel's call or stream.

    Attributes:
        spikes: ``[silence + steps, P, N]``, step t in row ``silence + t``.
        error: ``[steps, P, N]``.
        coefficient: ``[2, steps * P]``, A of hidden and of visible neurons: what an update has read of
            the errors and traces of each step.
        unread: the same for what has been read, but not yet moved anything.
        reach: ``[steps, P, H]``, the coefficients of the one-hop signal, where the rule has it.
        log_weights: ``[B, K]``.
        log_likelihood: ``[B, K]``.
        bias: ``[P, N]``, eligibility.
        feedback: ``[P, Lf, N]``, eligibility.
        diagonal: ``[P, L, N]``, eligibility of the synapses that neurons do not have with themselves.
        fired: int64 ``[P]``, how many spikes of hidden neurons there were.
    """

    spikes: NDArray
    error: NDArray
    coefficient: NDArray
    unread: NDArray
    reach: NDArray
    log_weights: NDArray
    log_likelihood: NDArray
    bias: NDArray
    feedback: NDArray
    diagonal: NDArray
    fired: NDArray


class Scratch(NamedTuple):
    """What a step needs beside.

    Attributes:
        potential: ``[steps or 1, P, N]``.
        coming: ``[D, P, X]``, what spikes so far will add to the potentials of the next D steps, step t in slot
            ``(silence + t) % D``; of the X receivers from the first to the last that hear any neuron.
        active: int64 ``[P, N + 1]``, the neurons that spiked last.
        spiked: int64 ``[P]``, how many.
        uniform: float32 ``[P, N]``.
        own_trace: ``[P, Lf, N]``, neurons' traces of themselves through their feedback filters.
        self_trace: ``[P, L, N]``, likewise through the synapses' filters.
        evidence: ``[P]``.
        signal: ``[steps, 2, P]``, of one step where directions are read online.
        asked: ``[steps, B, K]``, the log-weights of every step, where signals are asked for at a block's end.
        fade: ``[window]``, ``fresh_error * gamma^age``.
        back: ``[L, H]``, visible errors times the weights of the synapses to visible neurons.
        direction: feedback and bias directions read since the last update, where the rule is online.
        diagonal: ``[L, N]``, likewise for the diagonal.
    """

    potential: NDArray
    coming: NDArray
    active: NDArray
    spiked: NDArray
    uniform: NDArray
    own_trace: NDArray
    self_trace: NDArray
    evidence: NDArray
    signal: NDArray
    asked: NDArray
    fade: NDArray
    back: NDArray
    direction: Small
    diagonal: NDArray


class Work(NamedTuple):
    """All of it; ``outgoing [V, L, H]`` are the weights from hidden to visible neurons."""

    wiring: Wiring
    weight: NDArray
    outgoing: NDArray
    sending: NDArray
    origin: int
    small: Small
    rule: Rule
    past: Past
    scratch: Scratch
    pending: PendingTerms
