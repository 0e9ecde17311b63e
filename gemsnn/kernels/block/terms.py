"""Terms of the block kernel: what steps add to the weights, and how it is felt before it is in them.

Time is the first dimension, and runs p are presentations times compartments, ``p = b K + k``. There is a term
``A[tau, p] r[tau, p] phi[tau, p]^T`` for every step tau and run p, of coefficient A, errors r and traces phi. As long
as terms are pending, they add ``sum_{tau, p'} A[tau, p'] r[tau, p', n] <phi[tau, p'], phi[t, p]>`` to the potential of
neuron n at step t.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gemsnn.kernels.block.spikes import Spikes
from gemsnn.kernels.block.steps import History, Moment, Segment, bank, longest
from gemsnn.kernels.wiring import Group
from gemsnn.model.network import Network

PAIRS = 2**20
"""Inner products that are filtered at a time: a bound of scratch memory."""

ROWS = 2048
"""Rows of spikes (a step of a run) that are added to the weights in one product: a bound of scratch memory."""


def fades(gamma: float, rows: int, steps: int) -> Tensor:
    """``gamma^(t - tau)`` of the last steps tau and t before some moment, ``[rows, steps]``; 0 where tau > t."""
    age = torch.arange(-steps, 0) - torch.arange(-rows, 0)[:, None]
    return torch.where(age >= 0, gamma ** age.clamp(min=0).double(), 0.0)


def grow(coefficient: Tensor, signal: Tensor, fading: Tensor) -> None:
    """``A[tau] += sum_{t >= tau} gamma^(t - tau) signal[t]``, in place.

    Args:
        coefficient: A, ``[R, 2 P]``.
        signal: ``[C, 2 P]``, of the last C of the R steps.
        fading: see :func:`fades`.
    """
    for low in range(0, len(signal), fading.shape[1]):
        piece = signal[low : low + fading.shape[1]]
        rows = len(coefficient) - len(signal) + low + len(piece)
        coefficient[:rows].addmm_(fading[-rows:, -len(piece) :], piece)


def _filter_back(factor: Tensor, filters: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """``z[u, x, f] = sum_d filters[f, d] factor[u + d, x]``, piece by piece: some rows u, and their ``[u x, F, N]``.

    Args:
        factor: ``[U + D - 1, X, N]``; its first row is that of u = 0, d = 1.
        filters: ``[F, D]``.
    """
    (_, width, neurons), memory = factor.shape, filters.shape[1]
    rows, piece = len(factor) - memory + 1, max(1, ROWS // width)
    for low in range(0, rows, piece):
        count = min(piece, rows - low)
        windows = factor[low:].as_strided((count * width, memory, neurons), (neurons, width * neurons, 1))
        yield slice(low, low + count), torch.bmm(filters.expand(count * width, -1, -1), windows)


def add_terms(
    network: Network, history: History, coefficient: Tensor, stop: int, weight: Tensor, *, whole: bool
) -> tuple[Tensor, Tensor]:
    """Add ``sum_{p, tau} A r phi^T`` over some steps to weights.

    Args:
        network: the network.
        history: what has happened.
        coefficient: A, ``[R, 2, P]``, for hidden and for visible neurons.
        stop: one past the last of these R steps.
        weight: ``[J, L, N]``, changed in place.
        whole: whether every neuron hears all of the inputs or none.

    Returns:
        What the same terms add to the feedback, ``[N, Lf]``, and to the bias, ``[N]``.
    """
    m, hidden, memory = network.spec.inputs, network.spec.hidden_neurons, longest(network)
    taps, own_taps = bank(network).split([len(network.taps), len(network.own_taps)])
    first = stop - len(coefficient)
    error = history.error[first:stop]
    padded = error.new_zeros(len(error) + 2 * (memory - 1), *error.shape[1:])
    factor = padded[memory - 1 :][: len(error)]
    for kind, some in enumerate((slice(0, hidden), slice(hidden, None))):
        torch.mul(error[..., some], coefficient[:, kind, :, None], out=factor[..., some])

    inputs, spikes = history.inputs[first:], history.spikes[first:]
    shared = padded.unflatten(1, (inputs.shape[1], -1)).sum(2) * network.mask[:, :m].any(1)
    for rows, back in _filter_back(shared, taps):
        weight[:m].flatten(1).add_(
            Spikes(inputs[rows]).outer(back.flatten(1).unflatten(0, (-1, inputs.shape[1])))
        )
    for rows, back in _filter_back(padded, taps):
        weight[m:].flatten(1).addmm_(spikes[rows].flatten(0, 1).T, back.flatten(1))
    masked = slice(m if whole else 0, None)
    weight[masked] *= network.mask.T[masked, None]
    feedback = error.new_zeros(len(own_taps), len(network.own))
    for rows, back in _filter_back(padded, own_taps):
        feedback += (spikes[rows].flatten(0, 1)[:, None] * back).sum(0)
    return (feedback * network.own).T, factor.sum((0, 1))


class Gram:
    """``1 + <phi[tau, p'], phi[t, p]>`` for all tau since ``first``; the 1 is that of a bias, whose trace is 1.

    Inner products of traces are inner products of spikes, filtered twice: with ``G[d, e] = sum_l f_l(d) f_l(e)``,

    ``<phi[tau, p'], phi[t, p]> = sum_{d, e} G[d, e] <s[tau - d, p'], s[t - e, p]>``.

    So it keeps the products of the last D steps' spikes with those of all steps since ``first - D``.

    Args:
        lag_products: G, ``[D, D]``.
        heard: spikes of the neurons listened to, ``[R, P, S]``; row 0 is step ``first - D``.
        known: rows that have already happened, at least D.
        shared: what is to be added to the products of spikes, ``[R - known + D, B, R, B]``: those of
            row ``known - D`` and later ones with all rows.
    """

    def __init__(self, lag_products: Tensor, heard: Tensor, known: int, shared: Tensor) -> None:
        memory, (rows, runs, _), presentations = len(lag_products), heard.shape, shared.shape[1]
        lag = torch.arange(memory, device=heard.device)
        # the products of row r lie in slot r % D: seen from the newest slot, the order of lags goes round
        turned = [lag_products[:, (slot - lag) % memory] for slot in range(memory)]
        self._lag_products = [products.expand(runs, -1, -1) for products in turned]
        self._memory, self._runs, self._origin = memory, runs, known - memory
        self._heard, self._newest = heard.flatten(0, 1).T, heard.unbind(0)
        self._shared = shared[:, :, None, :, :, None].unbind(0)
        # [slot, p, row, p'], for long rows multiply faster
        self._products = heard.new_empty(memory, runs, rows, runs)
        self._by_row, self._by_lag = (
            self._products.flatten(2).unbind(0),
            self._products.flatten(2).transpose(0, 1),
        )
        split = self._products.unflatten(3, (presentations, -1)).unflatten(1, (presentations, -1))
        self._split, self._at_row = split.unbind(0), self._products.unbind(2)
        self._by_slot = self._products.permute(0, 2, 3, 1).unbind(0)
        self._filtered = heard.new_empty(runs * (rows - memory) * runs)
        for row in range(known - memory, known):
            self._multiply(row, known)

    def _multiply(self, row: int, rows: int) -> None:
        """The products of the spikes of a row with those of the first rows."""
        slot, span = row % self._memory, rows * self._runs
        torch.mm(self._newest[row], self._heard[:, :span], out=self._by_row[slot][:, :span])
        self._split[slot][:, :, :rows].add_(self._shared[row - self._origin][:, :, :rows])

    def add(self, row: int) -> None:
        """Take in the spikes of the next row."""
        slot, others = row % self._memory, self._memory - 1
        self._multiply(row, row + 1)
        mirrored, new = self._by_slot[slot][row - others : row], self._at_row[row]
        new[slot + 1 :].copy_(mirrored[: others - slot])
        new[:slot].copy_(mirrored[others - slot :])

    def now(self, span: int) -> Tensor:
        """Those of step ``t = first + span`` with all steps before it, ``[P, span, P]``; overwritten by the next."""
        memory, runs = self._memory, self._runs
        lag_products = self._lag_products[(span - 1) % memory]
        filtered = self._filtered[: runs * span * runs].view(runs, span * runs)
        piece = max(2 * memory, PAIRS // runs**2)
        for low in range(0, span, piece):
            count = min(piece, span - low)
            rows = count + memory - 1
            half = torch.bmm(lag_products, self._by_lag[:, :, low * runs : (low + rows) * runs])
            # row tau - d at lag d, for all d: a diagonal
            lagged = half.as_strided(
                (memory, runs, count * runs),
                ((rows - 1) * runs, memory * rows * runs, 1),
                (memory - 1) * runs,
            )
            torch.sum(lagged, 0, out=filtered[:, low * runs : (low + count) * runs])
        return filtered.view(runs, span, runs)


class Pending:
    """The terms of a segment while its weights rest: what potentials feel of them.

    Gram rows contain a synapse from every neuron to itself, which no network has, and no feedback, whose trace is
    the neuron's own. Both are small, so they are learned as they are, from eligibilities, and the segment's parameters
    are corrected: the feedback by what it learned, a self-synapse by less what it would have learned.

    Args:
        network: the network.
        groups: its groups of neurons with the same senders.
        gamma: how much of the eligibilities survives a step.
        history: all that happened before the segment; the caller continues it.
        segment: the segment.
        steps: its steps.
        coefficient: A, ``[R, 2, P]``, for hidden and for visible neurons, of the R steps until the segment's end;
            the caller lets it grow.
        eligibility: ``[P, L + Lf, N]`` of self-synapses and feedback, continued.
    """

    def __init__(
        self, network: Network, groups: list[Group], gamma: float, history: History, segment: Segment, steps: range,
        coefficient: Tensor, eligibility: Tensor,
    ) -> None:  # fmt: skip
        hidden, memory, filters = network.spec.hidden_neurons, longest(network), bank(network)
        first = steps.stop - len(coefficient)
        self._gamma, self._first, self._memory, self._runs = gamma, first, memory, len(eligibility)
        self._trace, self._eligibility, self._flat = segment.trace, eligibility, eligibility.flatten(1)
        self._diagonal, self._feedback = segment.recurrent.diagonal(dim1=0, dim2=2), segment.feedback
        self._has_feedback = network.own.to(filters)
        self._hears_itself = torch.zeros_like(self._has_feedback)
        self._is_hidden = torch.arange(network.spec.neurons, device=filters.device) < hidden
        self._learned = filters.new_zeros(2, self._flat.shape[1])
        self._learned_by = self._learned.view(2, len(filters), -1).unbind(0)
        self._is_felt, self._keeps = False, 0.0

        rows, known = slice(first, steps.stop + memory), steps.start - first + memory
        inputs, taps = history.inputs[rows], filters[: len(network.taps)]
        lag_products = taps.T @ taps
        between = inputs[known - memory :].flatten(0, 1) @ inputs.flatten(0, 1).T
        between = between.view(-1, inputs.shape[1], *inputs.shape[:2])
        self._grams: list[Gram] = []
        self._listeners: list[tuple[int, slice, Tensor, Tensor]] = []
        known_as: dict[tuple[bool, int, int], int] = {}
        for group in groups:
            senders = (group.inputs, group.first, group.last)
            if senders not in known_as:
                # filtering makes of this constant the products of a bias, which are 1
                shared = between * group.inputs + 1 / lag_products.sum()
                heard = history.spikes[rows, :, group.first : group.last]
                known_as[senders] = len(self._grams)
                self._grams.append(Gram(lag_products, heard, known, shared))
            neurons = slice(group.start, group.stop)
            error = history.error[first : steps.stop, :, neurons].flatten(0, 1)
            share = coefficient[:, int(group.start >= hidden)]
            self._listeners.append((known_as[senders], neurons, share, error))
            self._hears_itself[max(group.start, group.first) : min(group.stop, group.last)] = 1

    def feel(self, t: int, potential: Tensor) -> None:
        """Add to the potentials of step t, ``[P, N]``, what the terms of all steps before it make of them."""
        if not self._is_felt:
            return
        span = t - self._first
        inner = [gram.now(span) for gram in self._grams]
        for gram, neurons, coefficient, error in self._listeners:
            weighted = (inner[gram] * coefficient[:span]).view(self._runs, -1)
            potential[:, neurons].addmm_(weighted, error[: span * self._runs])

    def add(self, t: int, now: Moment, signal: Tensor) -> None:
        """Take in step t, and its learning signals ``[2, P]``."""
        for gram in self._grams:
            gram.add(t - self._first + self._memory)
        self._eligibility.mul_(self._gamma).addcmul_(now.error[:, None], self._trace)
        self._learned.addmm_(signal, self._flat, beta=self._keeps)
        self._keeps = 1.0

    def update(self) -> None:
        """From now on, what has been learned is felt."""
        learned, synapses = torch.where(self._is_hidden, *self._learned_by), len(self._diagonal)
        self._diagonal.addcmul_(learned[:synapses], self._hears_itself, value=-1)
        self._feedback.addcmul_(learned[synapses:], self._has_feedback)
        self._is_felt, self._keeps = True, 0.0
