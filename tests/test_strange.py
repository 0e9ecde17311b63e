"""Scores of strangeness: the entropy's parts, and the number of events."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import make_network, make_presentation
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gemsnn import kernels
from gemsnn.errors import InputError
from gemsnn.scoring import evaluate, strange

SEEDS = st.integers(0, 2**31)


def mixture(seed, count=4, compartments=3, classes=5, sparse=0.3):
    """Answers of compartments, some of them certain of their classes, and weights, some of them zero."""
    draw = np.random.default_rng(seed)
    shares = draw.random((count, compartments, classes)) * (
        draw.random((count, compartments, classes)) > sparse
    )
    shares[..., 0] += 1e-3
    weights = draw.random((count, compartments)) * (draw.random((count, compartments)) > sparse)
    weights[:, 0] += 1e-3
    return tuple(torch.from_numpy(each / each.sum(-1, keepdims=True)) for each in (shares, weights))


# -- disagreement ------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.integers(1, 6), st.integers(1, 6), st.sampled_from([0.0, 0.3, 0.8]))
def test_noise_and_disagreement_are_the_whole(seed, compartments, classes, sparse):
    shares, weights = mixture(seed, 4, compartments, classes, sparse)
    found = strange.entropy(shares, weights)
    torch.testing.assert_close(found.noise + found.disagreement, found.whole, atol=1e-12, rtol=0)
    assert all(bool((part >= 0).all()) for part in found)
    limit = torch.special.entr(weights).sum(1)  # an answer tells no more than which compartment gave it
    assert bool((found.disagreement <= limit + 1e-12).all())
    assert bool((found.whole <= math.log(classes) + 1e-12).all())
    wanted = [stats.entropy(w @ p) for p, w in zip(shares.numpy(), weights.numpy(), strict=True)]
    np.testing.assert_allclose(found.whole, wanted, atol=1e-12)


def test_parts_of_answers_that_can_be_worked_out():
    even = torch.full((2,), 0.5)
    agreed = strange.entropy(torch.tensor([[0.5, 0.5], [0.5, 0.5]]), even)
    assert [float(part) for part in agreed] == pytest.approx([math.log(2), math.log(2), 0])
    apart = strange.entropy(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), even)
    assert [float(part) for part in apart] == pytest.approx([math.log(2), 0, math.log(2)])
    unheard = strange.entropy(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([1.0, 0.0]))
    assert [float(part) for part in unheard] == [0, 0, 0]
    # a quarter of the answer is certain of the first class, the rest is even: m = (5/8, 3/8)
    mixed = strange.entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([0.25, 0.75]))
    whole = -(5 / 8 * math.log(5 / 8) + 3 / 8 * math.log(3 / 8))
    noise = 3 / 4 * math.log(2)
    assert [float(part) for part in mixed] == pytest.approx([whole, noise, whole - noise])


@pytest.fixture(scope="module")
def polls():
    """Eight recordings by rates and by votes, one of them without any spikes."""
    network, params = make_network(hidden=(3,), visible=3, feedback="hidden")
    rows = [make_presentation(6, 3, 3, index=i) for i in range(8)]
    kernel = kernels.choose("auto", network)[1]
    return {
        decoder: evaluate.predict(
            network, params, rows, 5, kernel=kernel, seed=1, decoder=decoder, least_spikes=0
        )
        for decoder in ("rates", "votes")
    }


def test_compartments_by_themselves_make_the_answer_of_all(polls):
    """Exactly by rates; by votes but for the order of those that lead together."""
    by_rates = strange.alone("rates", polls["rates"])
    answer = (by_rates.weights[..., None] * by_rates.shares).sum(1)
    torch.testing.assert_close(answer, polls["rates"].answers.probabilities)
    votes = strange.alone("votes", polls["votes"])
    answer = (votes.weights[..., None] * votes.shares).sum(1)
    torch.testing.assert_close(answer, polls["votes"].answers.probabilities, atol=1e-6, rtol=0)
    assert float(strange.entropy(*votes).noise.max()) == 0
    # whatever the decoder of the poll was
    assert all(map(torch.equal, by_rates, strange.alone("rates", polls["votes"])))


def test_compartments_without_spikes_are_even_and_count_nothing(polls):
    spoken = torch.tensor([[[2, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]])
    shares, weights = strange.alone("rates", polls["rates"]._replace(spoken=spoken))
    third = 1 / 3
    assert shares.tolist() == [[[1, 0, 0], [third] * 3], [[third] * 3] * 2]
    assert weights.tolist() == [[1, 0], [0.5, 0.5]]


# -- number of events --------------------------------------------------------------------------------------


def test_too_few_and_too_many_events_are_as_unusual():
    usual = strange.usual_number(torch.tensor([9, 99, 999]))
    assert usual == pytest.approx(math.log(100))
    found = strange.unusual_number(torch.tensor([99, 9, 999, 0]), usual)
    assert found.tolist() == pytest.approx([0, math.log(10), math.log(10), math.log(100)])


# -- what is refused ---------------------------------------------------------------------------------------

HALVES = torch.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: strange.entropy(2 * HALVES, HALVES[0]), "the shares must sum to one"),
        (lambda: strange.entropy(HALVES, HALVES), "one for each of"),
        (lambda: strange.entropy(HALVES, 2 * HALVES[0]), "the weights must sum to one"),
        (lambda: strange.usual_number(torch.tensor([0.5])), "whole ones"),
        (lambda: strange.unusual_number(torch.tensor([-1]), 0.0), "not negative"),
    ],
)
def test_what_makes_no_sense_is_refused(ask, message):
    with pytest.raises(InputError, match=message):
        ask()


def test_compartments_have_no_likelihood_by_themselves(polls):
    with pytest.raises(InputError, match="decoder must be one of 'votes', 'rates'"):
        strange.alone("likelihood", polls["rates"])  # type: ignore[arg-type]
