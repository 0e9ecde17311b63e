import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gemsnn import rng

# From the known-answer tests of Random123 (kat_vectors, philox4x32-10): counter, key, result.
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "result"), VECTORS)
def test_published_vectors(counter, key, result):
    words = rng.philox(*(np.uint64(word) for word in (*counter, *key)))
    assert tuple(int(word) for word in words) == result


def test_uniforms_are_the_words_of_their_address():
    seed, presentation, step, compartment = (0x299F31D0 << 32) | 0xA4093822, 7, 5, 3
    out = rng.uniforms(seed, presentation, range(step, step + 1), 4, 9)[0, 0, compartment]
    for neuron in range(9):
        words = rng.philox(
            *(np.uint64(v) for v in (neuron // 4, compartment, step, presentation, 0xA4093822, 0x299F31D0))
        )
        assert out[neuron] == ((int(words[neuron % 4]) >> 9) + 0.5) * 2.0**-23


@given(
    seed=st.integers(0, 2**64 - 1),
    compartments=st.integers(1, 5),
    neurons=st.integers(1, 9),
    start=st.integers(0, 20),
    length=st.integers(1, 6),
)
def test_the_address_is_all_that_counts(seed, compartments, neurons, start, length):
    index = torch.tensor([4, 11])
    block = rng.uniforms(seed, index, range(start, start + length), compartments, neurons)
    wider = rng.uniforms(seed, index, range(start, start + length), compartments + 3, neurons + 5)
    assert torch.equal(block, wider[:, :, :compartments, :neurons])
    later = rng.uniforms(seed, index, range(start, start + length), 2, neurons, first=compartments + 1)
    assert torch.equal(later, wider[:, :, compartments + 1 :, :neurons])
    alone = rng.uniforms(seed, 11, range(start + length - 1, start + length), compartments, neurons)
    assert torch.equal(block[1, -1], alone[0, 0])


def test_uniforms_are_uniform():
    draws = rng.uniforms(1, torch.arange(20), range(50), 10, 10).flatten().double().numpy()
    assert draws.min() > 0
    assert draws.max() < 1
    # fails for one seed in a million if the numbers are uniform
    assert stats.kstest(draws, "uniform").pvalue > 1e-6
    assert np.array_equal(draws.astype(np.float32).astype(np.float64), draws)


def test_children_of_a_seed():
    assert rng.derive(1, "a", 2) == rng.derive(1, "a", 2)
    paths = [
        rng.derive(1, "a", 2),
        rng.derive(1, "a", "2"),
        rng.derive(2, "a", 2),
        rng.derive(1, "a"),
        rng.derive(1),
    ]
    assert len(set(paths)) == len(paths)
    assert all(0 <= child < 2**64 for child in paths)
    assert np.array_equal(rng.generator(3, "x").random(4), rng.generator(3, "x").random(4))


def test_steps_beyond_32_bits_go_on_in_the_next_presentation():
    late = rng.uniforms(7, 5, range(2**32 - 2, 2**32 + 2), 2, 6)
    expected = [rng.uniforms(7, 5, range(2**32 - 2, 2**32), 2, 6), rng.uniforms(7, 6, range(2), 2, 6)]
    assert torch.equal(late, torch.cat(expected, 1))
