"""What the library computed once it computes still, to the bit, on the kernels ``reference`` and ``cpu``.

``tests/golden`` holds the cases, and what they ended with before the library's core was rebuilt.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from golden import runner
from golden.keeping import Goldens

GOLDEN = Path(__file__).parent / "golden"
GOLDENS = Goldens.load(GOLDEN / "goldens.safetensors")
RESULTS = {name: (run, arguments) for name, run, arguments in runner.results()}

# Bits are those of a processor and of library versions: other BLAS libraries and wider vectors add up in another
# order, and other exponential functions round otherwise. Elsewhere numbers are near, within 1e-10 in float64 and 1e-4
# in float32, and so spikes and votes are the same: in float64 always, in float32 unless a potential lies within a
# rounding of its random number.
EXACT = GOLDENS.here


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(runner.THREADS)
    yield
    torch.set_num_threads(before)


def test_all_results_are_made_again():
    assert list(RESULTS) == list(GOLDENS.leaves)


@pytest.mark.parametrize("name", RESULTS)
def test_bits_are_what_they_were(name):
    run, arguments = RESULTS[name]
    assert GOLDENS.differences(name, run(*arguments), exact=EXACT) == []


@pytest.mark.parametrize("leaf", ["params.weight", "params.bias", "first.weight", "votes.votes"])
def test_a_single_unit_in_the_last_place_is_seen(leaf):
    run, arguments = RESULTS["gem/reference"]
    result = run(*arguments)
    value = result[leaf].flatten()
    place = int(value.abs().argmax())
    if value.dtype.is_floating_point:
        value[place] = torch.nextafter(value[place], torch.tensor(torch.inf))
    else:
        value[place] -= 1
    result[leaf] = value.reshape(result[leaf].shape)
    told = GOLDENS.differences("gem/reference", result, exact=True)
    assert any(line.startswith(f"gem/reference/{leaf} differs") for line in told)
    if EXACT:
        assert len(told) == 1
