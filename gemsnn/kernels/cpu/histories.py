"""What runs of a graph have done, as far back as it still matters."""

from __future__ import annotations

from typing import Any

import numpy as np

from gemsnn.kernels.cpu import stretches
from gemsnn.kernels.cpu.layout import Plan
from gemsnn.rows import SpikeRows


class History:
    """What runs have done: row r is step ``r - silence``.

    Attributes:
        inputs: uint64 ``[planes, B, words, M]``, the inputs' bits, one plane for each binary digit of theirs.
        spikes: for each population uint8 ``[P, places, rows, C]``.
        error: likewise.
        bits: for each population uint64 ``[P, words, n]``, the same spikes.
    """

    def __init__(self, plan: Plan, presentations: int, compartments: int, steps: int) -> None:
        rows, runs = plan.silence + steps, presentations * compartments
        words, dtype = -(-rows // 64), plan.network.taps.numpy().dtype
        sizes = [plan.size(n) for n in range(len(plan.populations))]
        self.inputs = np.zeros((1, presentations, words, plan.network.spec.inputs), np.uint64)
        self.spikes = [np.zeros((runs, places, rows, width), np.uint8) for places, width in sizes]
        self.error = [np.zeros((runs, places, rows, width), dtype) for places, width in sizes]
        self.bits = [np.zeros((runs, words, places * width), np.uint64) for places, width in sizes]

    def clear(self) -> None:
        """Forget; rows are written before they are read."""
        self.inputs[:] = 0
        for bits in self.bits:
            bits[:] = 0

    def widen(self, largest: int) -> None:
        """Make room for inputs up to this number."""
        more = largest.bit_length() - len(self.inputs)
        if more > 0:
            self.inputs = np.concatenate([self.inputs, np.zeros((more, *self.inputs.shape[1:]), np.uint64)])

    def shift(self, rows: int, used: int) -> None:
        """Forget the first of the rows used, so many of them."""
        for kept in (*self.spikes, *self.error):
            kept[:, :, : used - rows] = kept[:, :, rows:used].copy()
        for bits in (self.inputs, *self.bits):
            words, rest = rows // 64, np.uint64(rows % 64)
            moved = np.zeros_like(bits)
            moved[..., : bits.shape[-2] - words, :] = bits[..., words:, :] >> rest
            if rest:
                moved[..., : bits.shape[-2] - words - 1, :] |= bits[..., words + 1 :, :] << (
                    np.uint64(64) - rest
                )
            bits[:] = moved

    def first(self, rows: int, *, errors: bool) -> dict[str, Any]:
        """A tree of the first rows, and nothing of others: spikes as bits, and errors where these are wanted.

        Its arrays are views: what is written there has happened, once :meth:`spell_out` is called.
        """
        words = -(-rows // 64)
        return {
            "inputs": self.inputs[:, :, :words].view(np.int64),
            "bits": tuple(bits[:, :words].view(np.int64) for bits in self.bits),
            "error": tuple(error[:, :, :rows] for error in self.error if errors),
        }

    def spell_out(self, rows: int) -> None:
        """Set the first rows of :attr:`spikes` to what their bits say."""
        for bits, spikes in zip(self.bits, self.spikes, strict=True):
            runs, places, _, width = spikes.shape
            by_neuron = np.ascontiguousarray(bits.swapaxes(1, 2), "<u8").view(np.uint8)
            found = np.unpackbits(by_neuron, axis=2, count=rows, bitorder="little")
            spikes[:, :, :rows] = found.reshape(runs, places, width, rows).swapaxes(2, 3)


def note_inputs(history: History, b: int, inputs: SpikeRows, row: int) -> None:
    """Keep a presentation's inputs, from this row on."""
    indices, begin = inputs.held.astype(np.int64), inputs.indptr - inputs.indptr[0]
    for plane, bits in enumerate(history.inputs[:, b]):
        stretches.mark(indices, (inputs.sizes >> plane) & 1, begin, row, bits)
