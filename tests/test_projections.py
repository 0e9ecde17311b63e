"""Kinds of projections against plain loops over their synapses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from oracles import number_of, synapses

from gemsnn.data.binning import BinSpec, bin_events
from gemsnn.data.events import EVENT
from gemsnn.errors import InputError
from gemsnn.model.projections import Convolutional, Dense, Masked, Pooling, Sheet

CASES = {
    "dense": (Dense(), Sheet(2, 3, 2), Sheet(4, 1, 1)),
    "dense from inputs": (Dense(), Sheet(2, 3, 2, of_inputs=True), Sheet(1, 2, 2)),
    "masked": (Masked(0.5), Sheet(5, 1, 1), Sheet(3, 1, 1)),
    "plain": (Convolutional(3), Sheet(2, 4, 5), Sheet(3, 4, 5)),
    "from inputs": (Convolutional(3), Sheet(2, 4, 5, of_inputs=True), Sheet(3, 4, 5)),
    "one channel": (Convolutional(3), Sheet(1, 4, 3), Sheet(1, 4, 3)),
    "a stride that does not divide": (Convolutional(3, 2, 0), Sheet(2, 6, 4), Sheet(2, 2, 1)),
    "a stride beyond the kernel": (Convolutional(1, 3), Sheet(1, 5, 8, of_inputs=True), Sheet(2, 2, 3)),
    "a kernel wider than the picture": (Convolutional(5), Sheet(2, 2, 3), Sheet(1, 2, 3)),
    "an even kernel": (Convolutional(2), Sheet(1, 3, 3), Sheet(2, 4, 4)),
    "a wide border": (Convolutional(2, 2, 3), Sheet(1, 2, 1), Sheet(1, 4, 3)),
    "pooling": (Pooling(2, 0.5), Sheet(3, 4, 6), Sheet(3, 2, 3)),
    "a window that does not divide": (Pooling(2), Sheet(1, 5, 3, of_inputs=True), Sheet(1, 2, 1)),
    "a window of one": (Pooling(1, -2.0), Sheet(2, 2, 3), Sheet(2, 2, 3)),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def weights(kind, senders, receivers, count, seed=0):
    shape = kind.shape(senders, receivers)
    return None if shape is None else normal(*shape, count, seed=seed)


def looped(kind, senders, receivers, weight, trace):
    """The drive, synapse by synapse, ``[n]``."""
    found = [torch.zeros((), dtype=torch.float64) for _ in range(receivers.size)]
    for n, m, place, gain in synapses(kind, senders, receivers):
        found[n] = found[n] + (gain * trace[m] if place is None else weight[place] * trace[m]).sum()
    return torch.stack(found)


@st.composite
def cases(draw):
    """A kind with sheets that fit, and how many functions the basis has."""
    number = st.integers(1, 3)
    senders = Sheet(draw(number), draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.booleans()))
    which = draw(st.sampled_from(["dense", "convolutional", "pooling"]))
    if which == "dense":
        kind, shape = Dense(), (draw(number), draw(number), draw(number))
    elif which == "convolutional":
        kind = Convolutional(draw(st.integers(1, 5)), draw(number), draw(st.none() | st.integers(0, 3)))
        assume(min(kind.places(senders.height), kind.places(senders.width)) > 0)
        shape = kind.result(senders, draw(st.integers(1, 2)))
    else:
        kind = Pooling(draw(number), draw(st.floats(-2, 2)))
        assume(min(senders.height, senders.width) >= kind.window)
        shape = kind.result(senders)
    return kind, senders, Sheet(*shape), draw(st.integers(1, 3))


@each_case
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_drive_is_a_sum_over_synapses(case, lead):
    kind, senders, receivers = case
    weight, trace = weights(*case, 2), normal(*lead, senders.size, 2, seed=1)
    found = kind.drive(weight, trace, senders, receivers)
    assert found.shape == (*lead, receivers.size)
    rows = trace.reshape(-1, senders.size, 2)
    want = torch.stack([looped(*case, weight, row) for row in rows]).reshape(found.shape)
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)


@given(cases(), st.integers(0, 100))
def test_any_drive_is_a_sum_over_synapses(case, seed):
    kind, senders, receivers, count = case
    weight = weights(kind, senders, receivers, count, seed)
    trace = normal(1, senders.size, count, seed=seed + 1)
    want = looped(kind, senders, receivers, weight, trace[0])
    torch.testing.assert_close(kind.drive(weight, trace, senders, receivers)[0], want, rtol=1e-12, atol=1e-12)


@each_case
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_credit_is_the_transpose_synapse_by_synapse(case, lead):
    kind, senders, receivers = case
    weight, error = weights(*case, 2), normal(*lead, receivers.size, seed=1)
    found = kind.credit(weight, error, senders, receivers, 2)
    assert found.shape == (*lead, senders.size, 2)
    want = torch.zeros(*lead, senders.size, 2, dtype=torch.float64)
    for n, m, place, gain in synapses(*case):
        want[..., m, :] += error[..., n, None] * (gain if place is None else weight[place])
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)


@given(cases(), st.integers(0, 100))
def test_credit_is_the_adjoint_of_drive(case, seed):
    kind, senders, receivers, count = case
    weight = weights(kind, senders, receivers, count, seed)
    trace = normal(2, senders.size, count, seed=seed + 1)
    error = normal(2, receivers.size, seed=seed + 2)
    forth = (error * kind.drive(weight, trace, senders, receivers)).sum()
    back = (kind.credit(weight, error, senders, receivers, count) * trace).sum()
    torch.testing.assert_close(forth, back, rtol=1e-10, atol=1e-10)


@given(cases(), st.integers(1, 3), st.integers(1, 3), st.integers(0, 100))
def test_gradient_is_that_of_error_times_drive(case, groups, together, seed):
    """Of each group g by itself, summed over what it has together."""
    kind, senders, receivers, count = case
    weight = weights(kind, senders, receivers, count, seed)
    assume(weight is not None)
    trace = normal(groups, together, senders.size, count, seed=seed + 1)
    error = normal(groups, together, receivers.size, seed=seed + 2)
    found = kind.gradient(error, trace, senders, receivers)
    assert found.shape == (groups, *weight.shape)
    for g in range(groups):
        leaf = weight.clone().requires_grad_()
        (error[g] * kind.drive(leaf, trace[g], senders, receivers)).sum().backward()
        torch.testing.assert_close(found[g], leaf.grad, rtol=1e-10, atol=1e-10)


@each_case
def test_gradient_is_a_sum_over_synapses(case):
    kind, senders, receivers = case
    weight, trace, error = weights(*case, 2), normal(2, 3, senders.size, 2), normal(2, 3, receivers.size)
    if weight is None:
        with pytest.raises(AssertionError, match="no weights"):
            kind.gradient(error, trace, senders, receivers)
        return
    want = torch.zeros(2, *weight.shape, dtype=torch.float64)
    for n, m, place, _ in synapses(*case):
        want[(slice(None), *place)] += (error[:, :, n, None] * trace[:, :, m]).sum(1)
    found = kind.gradient(error, trace, senders, receivers)
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)


@each_case
def test_the_counted_synapses_are_those_of_a_neuron_far_from_the_border(case):
    kind, senders, receivers = case
    heard = [0] * receivers.size
    for synapse in synapses(*case):
        heard[synapse.receiver] += 1
    most = senders.channels * kind.kernel**2 if isinstance(kind, Convolutional) else max(heard)
    assert kind.synapses(senders, receivers) == most
    assert max(heard) <= most


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_a_picture_shows_everybody_in_place(channels, height, width, of_inputs):
    """Inputs in the order of the recordings' bins, neurons channel by channel; and back."""
    sheet = Sheet(channels, height, width, of_inputs)
    values = torch.arange(2 * sheet.size * 3).reshape(2, sheet.size, 3)
    picture = sheet.picture(values)
    assert picture.shape == (2, channels, 3, height, width)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                assert torch.equal(picture[:, c, :, y, x], values[:, number_of(sheet, c, y, x)])
    assert torch.equal(sheet.flat(picture), values)


@pytest.mark.parametrize(("x", "y", "on"), [(0, 0, 0), (3, 0, 1), (0, 2, 1), (2, 1, 0)])
def test_inputs_have_the_order_of_binned_events(x, y, on):
    events = np.array([(500, x, y, on)], dtype=EVENT)
    bins = bin_events(events, BinSpec(1000, 1), width=4, height=3)
    picture = Sheet(2, 3, 4, of_inputs=True).picture(torch.from_numpy(bins)[..., None])
    assert picture[0, on, 0, y, x] == 1
    assert picture.sum() == 1


REFUSED = {
    "a kernel that does not fit": (
        lambda: Convolutional(5, padding=0).result(Sheet(1, 4, 9), 2),
        "a kernel of 5 x 5 with padding 0 does not fit into 4 x 9 places",
    ),
    "receivers of another shape": (
        lambda: Convolutional(3, 2).shape(Sheet(2, 6, 6), Sheet(4, 6, 6)),
        "gives 4 x 3 x 3, not 4 x 6 x 6; give the population that shape",
    ),
    "receivers without places": (
        lambda: Convolutional(3).shape(Sheet(2, 6, 6), Sheet(72, 1, 1)),
        "gives 72 x 6 x 6, not 72 x 1 x 1",
    ),
    "a window that does not fit": (
        lambda: Pooling(3).result(Sheet(1, 2, 9)),
        "a window of 3 x 3 does not fit into 2 x 9 places",
    ),
    "pooling into other channels": (
        lambda: Pooling(2).shape(Sheet(2, 4, 4), Sheet(3, 2, 2)),
        "gives 2 x 2 x 2, not 3 x 2 x 2; give the population that shape",
    ),
    "a kernel of none": (lambda: Convolutional(0), "kernel must be at least 1"),
    "a stride of none": (lambda: Convolutional(3, 0), "stride must be at least 1"),
    "a border that is none": (lambda: Convolutional(3, 1, -1), "padding must be at least 0"),
    "half a kernel": (lambda: Convolutional(2.5), "kernel must be a whole number"),
    "no synapses": (lambda: Masked(0.0), "density must be above 0"),
    "more than all synapses": (lambda: Masked(1.5), "at most 1, not 1.5"),
    "a window of none": (lambda: Pooling(0), "window must be at least 1"),
    "a gain that is no number": (lambda: Pooling(2, float("nan")), "gain must be a finite number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_told_in_a_sentence(name):
    make, said = REFUSED[name]
    with pytest.raises(InputError) as told:
        make()
    assert said in str(told.value)
    assert "\n" not in str(told.value)
