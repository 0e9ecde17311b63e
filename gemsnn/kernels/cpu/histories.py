"""What runs of a graph have done, as far back as it still matters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gemsnn.kernels.cpu import stretches
from gemsnn.kernels.cpu.layout import Plan


class History:
    """What runs have done: row r is step ``r - silence``.

    Attributes:
        inputs: uint64 ``[planes, B, words, M]``, the inputs' bits, one plane for each binary digit of theirs.
        spikes: for each population uint8 ``[P, places, rows, C]``.
        error: likewise.
        bits: for each population uint64 ``[P, words, n]``, the same spikes.
    """

    def __init__(
        self, plan: Plan, presentations: int, compartments: int, steps: int, planes: int = 1
    ) -> None:
        rows, runs = plan.silence + steps, presentations * compartments
        words, dtype = -(-rows // 64), plan.network.taps.numpy().dtype
        sizes = [plan.size(n) for n in range(len(plan.populations))]
        self.inputs = np.zeros((planes, presentations, words, plan.network.spec.inputs), np.uint64)
        self.spikes = [np.zeros((runs, places, rows, width), np.uint8) for places, width in sizes]
        self.error = [np.zeros((runs, places, rows, width), dtype) for places, width in sizes]
        self.bits = [np.zeros((runs, words, places * width), np.uint64) for places, width in sizes]

    def clear(self) -> None:
        """Forget; rows are written before they are read."""
        self.inputs[:] = 0
        for bits in self.bits:
            bits[:] = 0

    def widen(self, planes: int) -> None:
        """Make room for inputs of so many binary digits."""
        if planes > len(self.inputs):
            more = np.zeros((planes - len(self.inputs), *self.inputs.shape[1:]), np.uint64)
            self.inputs = np.concatenate([self.inputs, more])

    def shift(self, rows: int, used: int) -> None:
        """Forget the first rows after the silence of those used."""
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

    def kept(self, first: int, last: int, *, errors: bool) -> dict[str, Any]:
        """A copy of some rows as a tree: spikes as bits, and errors where they are wanted."""
        return {
            "inputs": _packed(self.inputs, first, last),
            "spikes": tuple(_packed(bits, first, last) for bits in self.bits),
            "error": tuple(error[:, :, first:last].copy() for error in self.error if errors),
        }

    def blank(self, rows: int, planes: int, *, errors: bool) -> dict[str, Any]:
        """Such a tree of so many rows, in which nothing has happened."""
        size = -(-rows // 8)
        return {
            "inputs": np.zeros((planes, self.inputs.shape[1], self.inputs.shape[3], size), np.uint8),
            "spikes": tuple(np.zeros((len(bits), bits.shape[2], size), np.uint8) for bits in self.bits),
            "error": tuple(
                np.zeros((*error.shape[:2], rows, error.shape[3]), error.dtype)
                for error in self.error
                if errors
            ),
        }

    def take(self, tree: dict[str, Any], rows: int) -> None:
        """Have done what such a tree holds, and nothing else."""
        self.widen(len(tree["inputs"]))
        self.inputs = self.inputs[: len(tree["inputs"])]
        _unpack(tree["inputs"], rows, self.inputs)
        for packed, bits, spikes in zip(tree["spikes"], self.bits, self.spikes, strict=True):
            _unpack(packed, rows, bits)
            runs, places, _, width = spikes.shape
            found = np.unpackbits(packed, axis=-1, count=rows, bitorder="little")
            spikes[:, :, :rows] = found.reshape(runs, places, width, rows).swapaxes(2, 3)
        for saved, error in zip(tree["error"], self.error, strict=False):
            error[:, :, :rows] = saved


def note_inputs(history: History, b: int, inputs: NDArray, row: int) -> None:
    """Keep a presentation's inputs, from this row on."""
    for plane in range(len(history.inputs)):
        stretches.mark(inputs, plane, row, history.inputs[plane, b])


def _packed(bits: NDArray, first: int, last: int) -> NDArray:
    """Some rows of bits ``[.., words, n]``, eight in a byte: uint8 ``[.., n, bytes]``."""
    words = np.ascontiguousarray(bits.swapaxes(-1, -2), "<u8").view(np.uint8)
    rows = np.unpackbits(words, axis=-1, bitorder="little")[..., first:last]
    return np.packbits(rows, axis=-1, bitorder="little")


def _unpack(packed: NDArray, rows: int, bits: NDArray) -> None:
    """The inverse: so many rows become the first ones of ``bits``, and there are no others."""
    found = np.unpackbits(packed, axis=-1, count=rows, bitorder="little")
    room = np.zeros((*found.shape[:-1], 64 * bits.shape[-2]), np.uint8)
    room[..., :rows] = found
    words = np.packbits(room, axis=-1, bitorder="little").view("<u8")
    bits[:] = words.swapaxes(-1, -2)
