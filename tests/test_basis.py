import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gemsnn.errors import InputError
from gemsnn.model import basis
from gemsnn.model.basis import BasisSpec


def test_raised_cosines_are_the_formula():
    count, taps, c = 4, 12, 1.5
    a = (count + 1) * math.pi / 2 / (math.log(taps + 1 + c) - math.log(1 + c))
    for number, row in enumerate(basis.raised_cosine(count, taps, c)):
        phi = a * math.log(1 + c) + number * math.pi / 2
        for lag, value in enumerate(row.tolist(), start=1):
            x = a * math.log(lag + c) - phi
            assert value == pytest.approx((math.cos(x) + 1) / 2 if abs(x) <= math.pi else 0, abs=1e-12)


def test_raised_cosines_begin_at_one_and_end_at_the_memory():
    bank = basis.raised_cosine(5, 30)
    assert bank[0, 0] == 1
    assert bank[0].argmax() == 0
    # a bump that peaks between two taps keeps its order
    assert (bank.argmax(1).diff() > 0).all()
    assert 0 < bank[-1, -1] < 0.05


def test_a_large_offset_spaces_raised_cosines_evenly():
    count, taps = 7, 80
    bank = basis.raised_cosine(count, taps, 1e7)
    gap = taps / (count + 1)
    lags = torch.arange(1, taps + 1, dtype=torch.float64)
    for number, row in enumerate(bank):
        x = (lags - 1 - number * gap) * math.pi / 2 / gap
        torch.testing.assert_close(
            row, torch.where(x.abs() <= math.pi, (1 + x.cos()) / 2, 0.0), atol=1e-5, rtol=0
        )


def test_exponentials_are_the_formula():
    bank = basis.exponential(3, 30)
    for row, tau in zip(bank, (1, math.sqrt(10), 10), strict=True):
        want = torch.tensor([math.exp(-(lag - 1) / tau) for lag in range(1, 31)], dtype=torch.float64)
        torch.testing.assert_close(row, want)


@given(
    kind=st.sampled_from(["raised-cosine", "exponential"]),
    count=st.integers(1, 6),
    extra=st.integers(0, 20),
    steps=st.integers(1, 12),
)
def test_traces_are_the_sum_over_lags(kind, count, extra, steps):
    taps = count + extra
    bank = basis.bank(BasisSpec(kind, count, taps))
    assert bank.shape == (count, taps)
    spikes = torch.bernoulli(torch.full((steps, 3), 0.5, dtype=torch.float64), generator=torch.manual_seed(0))
    history = torch.zeros(taps, 3, dtype=torch.float64)
    for t in range(steps):
        found = basis.trace(history, bank)
        for j in range(3):
            for number in range(count):
                want = sum(bank[number, d - 1] * spikes[t - d, j] for d in range(1, taps + 1) if t - d >= 0)
                assert found[j, number] == pytest.approx(float(want), abs=1e-12)
        history = torch.cat([history[1:], spikes[t : t + 1]])


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"count": 0}, "count must be at least 1"),
        ({"count": 5, "taps": 4}, "count <= taps"),
        ({"offset": -1.0}, "offset must be above -1"),
    ],
)
def test_a_bad_basis_is_refused(numbers, said):
    with pytest.raises(InputError, match=said):
        BasisSpec(**numbers)
