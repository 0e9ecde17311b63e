"""Addressed randomness: a random number is a pure function of where it is used.

The generator is Philox4x32-10 (J. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011),
a block function from a 128-bit counter and a 64-bit key to 128 random bits. Here

* key = the seed (64 bits),
* counter = (neuron // 4, compartment, step, presentation), each 32 bits; a stream that has run for more than 2^32
  steps goes on with the step's remainder and the next presentation,
* the neuron takes word ``neuron % 4`` of the block.

So the noise of compartment ``k`` depends neither on how many compartments there are nor on batching, on
the order of computation or on the kernel; runs resume exactly and comparisons across K share their noise.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gemsnn.machine.compiled import njit

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_ROUNDS = 10
_TO_CELL = np.uint64(9)
_WORD = 0xFFFFFFFF


@njit(nogil=True, inline="always")
def philox(c0, c1, c2, c3, key_0, key_1):
    """Philox4x32-10: four 32-bit counter words and two key words to four random words, all held in uint64."""
    for _ in range(_ROUNDS):
        product_0, product_1 = _MULTIPLIER_0 * c0, _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (
            (product_1 >> _SHIFT) ^ c1 ^ key_0,
            product_1 & _LOW,
            (product_0 >> _SHIFT) ^ c3 ^ key_1,
            product_0 & _LOW,
        )
        key_0, key_1 = (key_0 + _WEYL_0) & _LOW, (key_1 + _WEYL_1) & _LOW
    return c0, c1, c2, c3


@njit(nogil=True, inline="always")
def to_unit(word):
    """Map a 32-bit word to the centre of one of 2^23 equal cells of (0, 1).

    The centres are exact in float32 and in float64, so both precisions compare potentials with the same
    numbers; 0 and 1 never occur.
    """
    return (np.float32(word >> _TO_CELL) + np.float32(0.5)) * np.float32(2.0**-23)


@njit(nogil=True)
def fill_row(out, presentation, step, compartment, key_0, key_1):
    """The uniforms of all neurons of one compartment at one step, into float32 ``out [N]``; words are uint64."""
    whole = len(out) // 4
    presentation, step = (presentation + (step >> _SHIFT)) & _LOW, step & _LOW
    for quad in range(whole):
        a, b, c, d = philox(np.uint64(quad), compartment, step, presentation, key_0, key_1)
        out[4 * quad] = to_unit(a)
        out[4 * quad + 1] = to_unit(b)
        out[4 * quad + 2] = to_unit(c)
        out[4 * quad + 3] = to_unit(d)
    rest = philox(np.uint64(whole), compartment, step, presentation, key_0, key_1)
    for word in range(len(out) - 4 * whole):
        out[4 * whole + word] = to_unit(rest[word])


@njit(nogil=True)
def _fill(out, key_0, key_1, index, first_step, first):
    presentations, steps, compartments, _ = out.shape
    for b in range(presentations):
        for c in range(steps):
            for k in range(compartments):
                step, compartment = np.uint64(first_step + c), np.uint64(first + k)
                fill_row(out[b, c, k], index[b], step, compartment, key_0, key_1)


def key(seed: int) -> NDArray[np.uint64]:
    """A 64-bit seed as the generator's two key words."""
    return np.array([int(seed) & 0xFFFFFFFF, (int(seed) >> 32) & 0xFFFFFFFF], np.uint64)


def index(presentation: Tensor | int) -> NDArray[np.uint64]:
    """Presentations' addresses (int64 ``[B]``, or one number) as counter words: the lower 32 bits."""
    return np.atleast_1d(np.asarray(presentation, dtype=np.int64)).astype(np.uint64) & _LOW


def uniforms(
    seed: int,
    presentation: Tensor | int,
    steps: range,
    compartments: int,
    neurons: int,
    *,
    first: int = 0,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Uniform numbers in (0, 1) for a block of consecutive steps.

    Args:
        seed: 64-bit seed; see :func:`derive`.
        presentation: int64 ``[B]`` (or one number, taken as ``B = 1``), the presentations' indices.
        steps: the steps of the block, ``C`` of them.
        compartments: K.
        neurons: N.
        first: the number of the first compartment.
        device: where they are drawn; the numbers are the same everywhere.

    Returns:
        float32 ``[B, C, K, N]``; entry ``(b, c, k, n)`` depends only on the seed, ``presentation[b]``,
        ``steps[c]``, ``first + k`` and ``n``.
    """
    if torch.device(device).type != "cpu":
        return uniforms_of_torch(seed, presentation, steps, compartments, neurons, first=first, device=device)
    rows, (key_0, key_1) = index(presentation), key(seed)
    out = np.empty((len(rows), len(steps), compartments, neurons), np.float32)
    _fill(out, key_0, key_1, rows, steps.start, first)
    return torch.from_numpy(out)


def uniforms_of_torch(
    seed: int,
    presentation: Tensor | int,
    steps: range,
    compartments: int,
    neurons: int,
    *,
    first: int = 0,
    device: torch.device | str,
) -> Tensor:
    """The numbers of :func:`uniforms`, bit by bit, from torch's operations alone, on any device."""

    def axis(values: Tensor, at: int) -> Tensor:
        return values.reshape([-1 if dim == at else 1 for dim in range(4)])

    rows = torch.as_tensor(presentation, dtype=torch.int64).to(device).reshape(-1)
    step = torch.arange(steps.start, steps.stop, device=device)
    words = (
        axis(torch.arange(-(-neurons // 4), device=device), 3),
        axis(torch.arange(first, first + compartments, device=device), 2),
        axis(step & _WORD, 1),
        (axis(rows & _WORD, 0) + axis(step >> 32, 1)) & _WORD,
    )
    key_0, key_1 = (int(word) for word in key(seed))
    found = torch.stack(torch.broadcast_tensors(*_philox_of_torch(*words, key_0, key_1)), -1)
    unit = ((found >> int(_TO_CELL)).to(torch.float32) + 0.5) * 2.0**-23
    return unit.flatten(3)[..., :neurons]


def _philox_of_torch(
    c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor, key_0: int, key_1: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`philox` in int64, whose products overflow into the sign, but keep all their 64 bits."""
    for _ in range(_ROUNDS):
        product_0, product_1 = c0 * int(_MULTIPLIER_0), c2 * int(_MULTIPLIER_1)
        c0, c1, c2, c3 = (
            ((product_1 >> 32) & _WORD) ^ c1 ^ key_0,
            product_1 & _WORD,
            ((product_0 >> 32) & _WORD) ^ c3 ^ key_1,
            product_0 & _WORD,
        )
        key_0, key_1 = (key_0 + int(_WEYL_0)) & _WORD, (key_1 + int(_WEYL_1)) & _WORD
    return c0, c1, c2, c3


def derive(seed: int, *path: str | int) -> int:
    """A 64-bit child seed for a purpose, such as ``derive(seed, "train", epoch)``.

    Children of different paths are independent for all practical purposes (they are 64 bits of SHA-256).
    """
    text = "/".join([str(int(seed)), *(f"{type(part).__name__}:{part}" for part in path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """A sequential numpy generator for work outside the network (shuffling, emulation), by seed and path."""
    return np.random.Generator(np.random.Philox(key=derive(seed, *path)))
