"""Addressed randomness: a random number is a pure function of where it is used.

The generator is Philox4x32-10 (J. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011),
a block function from a 128-bit counter and a 64-bit key to 128 random bits. Here

* key = the seed (64 bits),
* counter = (neuron // 4, compartment, step, presentation), each 32 bits,
* the neuron takes word ``neuron % 4`` of the block.

So the noise of compartment ``k`` depends neither on how many compartments there are nor on batching, on
the order of computation or on the kernel; runs resume exactly and comparisons across K share their noise.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = 0x9E3779B9
_WEYL_1 = 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
ROUNDS = 10


class Words(NamedTuple):
    """The four 32-bit words of a Philox block, each held in a uint64 array."""

    w0: NDArray[np.uint64]
    w1: NDArray[np.uint64]
    w2: NDArray[np.uint64]
    w3: NDArray[np.uint64]


def philox(counter: Words, seed: int) -> Words:
    """Philox4x32-10 of ``counter`` under the 64-bit key ``seed`` (low word first)."""
    c0, c1, c2, c3 = counter
    key_0, key_1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for _ in range(ROUNDS):
        product_0, product_1 = _MULTIPLIER_0 * c0, _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (
            (product_1 >> _SHIFT) ^ c1 ^ np.uint64(key_0),
            product_1 & _LOW,
            (product_0 >> _SHIFT) ^ c3 ^ np.uint64(key_1),
            product_0 & _LOW,
        )
        key_0, key_1 = (key_0 + _WEYL_0) & 0xFFFFFFFF, (key_1 + _WEYL_1) & 0xFFFFFFFF
    return Words(c0, c1, c2, c3)


def to_unit(words: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Map 32-bit words to the centres of 2^23 equal cells of (0, 1).

    The centres are exact in float32 and in float64, so both precisions compare potentials with the same
    numbers; 0 and 1 never occur.
    """
    return ((words >> np.uint64(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def uniforms(seed: int, presentation: Tensor | int, steps: range, compartments: int, neurons: int) -> Tensor:
    """Uniform numbers in (0, 1) for a block of steps.

    Args:
        seed: 64-bit seed; see :func:`derive`.
        presentation: int64 ``[B]`` (or one number, taken as ``B = 1``), the presentations' indices.
        steps: the steps of the block, ``C`` of them.
        compartments: K.
        neurons: N.

    Returns:
        float32 ``[B, C, K, N]``; entry ``(b, c, k, n)`` depends only on the seed, ``presentation[b]``,
        ``steps[c]``, ``k`` and ``n``.
    """
    index = np.atleast_1d(np.asarray(presentation, dtype=np.int64)).astype(np.uint64) & _LOW
    quads = -(-neurons // 4)
    shape = (len(index), len(steps), compartments, quads)
    counter = Words(
        np.broadcast_to(np.arange(quads, dtype=np.uint64), shape),
        np.broadcast_to(np.arange(compartments, dtype=np.uint64)[:, None], shape),
        np.broadcast_to(np.asarray(steps, dtype=np.uint64)[:, None, None], shape),
        np.broadcast_to(index[:, None, None, None], shape),
    )
    words = np.stack(philox(counter, seed), axis=-1).reshape(*shape[:-1], 4 * quads)
    return torch.from_numpy(to_unit(words[..., :neurons]))


def derive(seed: int, *path: str | int) -> int:
    """A 64-bit child seed for a purpose, such as ``derive(seed, "train", epoch)``.

    Children of different paths are independent for all practical purposes (they are 64 bits of SHA-256).
    """
    text = "/".join([str(int(seed)), *(f"{type(part).__name__}:{part}" for part in path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """A sequential numpy generator for work outside the network (shuffling, emulation), by seed and path."""
    return np.random.Generator(np.random.Philox(key=derive(seed, *path)))
