"""As many compartments as it takes: portions against a fixed number of compartments, and the public way to ask."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from cases import make_network, make_presentation

import gemsnn
from gemsnn.errors import InputError
from gemsnn.kernels import KERNELS
from gemsnn.scoring import evaluate, metrics, mode, sampling, until
from gemsnn.types import class_target

CLASSES = 3


def labelled(steps, *, index):
    drawn = make_presentation(steps, 3, CLASSES, index=index)
    return drawn._replace(target=class_target(drawn.label, steps, CLASSES))


@pytest.fixture(scope="module")
def rows():
    found = [labelled(steps, index=i) for i, steps in enumerate((6, 9, 4, 9, 7, 12, 8, 5))]
    found[3] = found[3]._replace(spikes=torch.zeros(9, 3, dtype=torch.uint8))
    return found


@pytest.fixture(scope="module", params=["full", "layered"])
def net(request):
    return make_network(hidden=(3,), visible=CLASSES, topology=request.param)


def ask(net, rows, kernel="cpu", **how):
    given = {"risk": 0.4, "most": 23, "portion": 4, "seed": 3} | how
    return until.predict(*net, rows, given.pop("risk"), kernel=KERNELS[kernel], **given)


# -- portions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", list(KERNELS))
@pytest.mark.parametrize("decoder", ["votes", "rates"])
@pytest.mark.parametrize("rule", ["leader", "ppr"])
def test_answers_are_those_of_so_many_compartments(net, rows, kernel, decoder, rule):
    """To the bit those of the first ones of a fixed number, for every recording, whatever was asked of the others."""
    found = ask(net, rows, kernel, decoder=decoder, rule=rule)
    fixed = evaluate.predict(*net, rows, 23, kernel=KERNELS[kernel], seed=3, decoder=decoder)
    numbers = found.asked - 1
    everyone = torch.arange(len(rows))
    assert torch.equal(found.answers.probabilities, fixed.by_compartments.probabilities[numbers, everyone])
    assert torch.equal(found.answers.logs, fixed.by_compartments.logs[numbers, everyone])
    assert torch.equal(found.labels, fixed.labels)
    assert torch.equal(found.silent, fixed.silent)
    for row, asked in enumerate(found.asked.tolist()):
        assert torch.equal(found.votes[row, :asked], fixed.votes[row, :asked, -1])
        assert (found.votes[row, asked:] == -1).all()


@pytest.mark.parametrize("rule", ["leader", "ppr"])
def test_it_stops_where_the_rule_stops(net, rows, rule):
    """After the portions of the module, and never in silence, which the first portion alone is asked about."""
    found = ask(net, rows, rule=rule)
    fixed = evaluate.predict(*net, rows, 23, kernel=KERNELS["cpu"], seed=3)
    looks = [numbers.stop for numbers in until.portions(CLASSES, 0.4, 23, 4, rule)]
    stops = mode.stops(fixed.votes[:, :, -1], CLASSES, 0.4, rule, looks)
    heard = ~found.silent
    assert torch.equal(found.asked[heard], stops.asked[heard])
    assert torch.equal(found.decided[heard], stops.decided[heard])
    assert found.silent.tolist() == [i == 3 for i in range(len(rows))]
    assert int(found.asked[3]) == looks[0]
    assert not found.decided[3]
    assert found.answers.probabilities[3].tolist() == [1 / CLASSES] * CLASSES
    assert {*found.asked[heard].tolist()} - {looks[0]}  # some take more than the first portion


def test_batches_do_not_change_the_numbers(net, rows):
    one, many = ask(net, rows, batch=1), ask(net, rows, batch=5)
    assert torch.equal(one.votes, many.votes)
    assert torch.equal(one.answers.logs, many.answers.logs)


def test_nothing_is_asked_twice(net, rows):
    """The kernel runs every compartment of a recording once, and of those that are told no more."""
    ran = []

    class Counting:
        refuses, learn = (staticmethod(getattr(KERNELS["cpu"], name)) for name in ("refuses", "learn"))

        def rollout(self, network, params, batch, compartments, *, first=0, **how):
            numbers = range(first, first + compartments)
            ran.extend((a, k) for a in batch.address.tolist() for k in numbers)
            return KERNELS["cpu"].rollout(network, params, batch, compartments, first=first, **how)

    found = until.predict(*net, rows, 0.4, kernel=Counting(), seed=3, most=23, portion=4)  # type: ignore[arg-type]
    assert len(ran) == len(set(ran)) == int(found.asked.sum())


def test_portions_by_hand():
    assert until.portions(10, 0.05, 20, 5, "leader") == [
        range(8), range(8, 13), range(13, 18), range(18, 20),
    ]  # fmt: skip
    assert until.portions(10, 0.05, 12, 5, "ppr") == [range(12)]
    assert until.portions(1, 0.05, 3, 5, "leader") == [range(1), range(1, 3)]


def test_the_end_of_presentations_is_that_of_the_whole_course(net, rows):
    """Votes, their ties and spikes, without what was said at every step."""
    batch = gemsnn.model.network.batch(net[0], rows)
    whole = sampling.free(*net, batch, 9, kernel=KERNELS["cpu"], seed=1)
    found = sampling.ended(*net, batch, range(2, 9), kernel=KERNELS["cpu"], seed=1)
    assert torch.equal(found.votes, whole.votes[:, 2:, -1])
    assert torch.equal(found.counts, whole.counts[:, 2:, -1])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"risk": 0.0}, "risk must be above 0 and below 1"),
        (
            {"risk": 0.001, "most": 5},
            "most must be at least 14, not 5: with fewer votes no winner of 3 classes",
        ),
        ({"portion": 0}, "portion must be at least 1"),
        ({"most": 0}, "must be at least 1"),
        ({"decoder": "likelihood"}, "by the decoders votes and rates alone|needs a network in which"),
        ({"rule": "mode"}, "rule must be one of"),
    ],
)
def test_messages(net, rows, wrong, said):
    with pytest.raises(InputError, match=said):
        ask(net, rows, **wrong)


# -- a model asked -----------------------------------------------------------------------------------------


def arrays(count=24, steps=20, inputs=6, seed=0):
    """Recordings of two classes: in the second the first inputs spike more."""
    spikes = np.random.default_rng(seed).random((count, steps, inputs)) < 0.15
    spikes[1::2, :, :3] |= np.random.default_rng(seed + 1).random((count // 2, steps, 3)) < 0.4
    return spikes, ["calm", "lively"] * (count // 2)


@pytest.fixture(scope="module")
def recordings():
    return gemsnn.Recordings.from_arrays(*arrays(), bin_us=1000)


@pytest.fixture(scope="module")
def model(recordings):
    return gemsnn.fit(recordings, validation=recordings, votes=5, hidden=[4], epochs=8)


@pytest.mark.parametrize("decoder", ["votes", "rates"])
def test_a_model_answers_where_a_winner_is_told(model, recordings, decoder):
    found = gemsnn.ask(model, recordings, 0.05, 12, decoder=decoder)
    polled = model.polled(recordings, 0.05, 12, decoder=decoder)
    assert torch.equal(found.asked, polled.asked)
    assert torch.equal(found.decided, polled.decided)
    assert 0 < int(found.decided.sum()) < len(recordings)
    for label, index, decided, shares in zip(
        found.labels, found.indices.tolist(), found.decided.tolist(), found.probabilities, strict=True
    ):
        assert (label is None) == (index == -1) == (not decided)
        assert not decided or label == model.names[int(shares.argmax())]
    expected = -(found.probabilities * found.probabilities.log()).nansum(1)
    torch.testing.assert_close(found.entropy, expected)
    assert found.temperature is None
    assert torch.equal(found.probabilities, polled.answers.probabilities)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.asked = None  # type: ignore[misc]


def test_the_temperature_is_that_of_recordings_asked_alike(model, recordings):
    found = model.ask(recordings, 0.05, 12, held=recordings)
    polled = model.polled(recordings, 0.05, 12)
    whole = metrics.fitted_temperature(polled.answers.logs, polled.labels)
    assert found.temperature == whole
    assert torch.equal(found.probabilities, polled.answers.tempered(whole).probabilities)
    bare = model.ask(arrays()[0], 0.05, 12, held=recordings)
    assert torch.equal(bare.probabilities, found.probabilities)
    assert bare.temperature == whole


def test_bare_arrays_and_pairs_are_asked_alike(model, recordings):
    spikes, labels = arrays()
    whole = model.ask(recordings, most=12)
    for given in (spikes, list(zip(spikes, labels, strict=True))):
        found = model.ask(given, most=12)
        assert found.labels == whole.labels
        assert torch.equal(found.probabilities, whole.probabilities)


def test_silence_gets_no_answer(model):
    found = model.ask(np.zeros((2, 20, 6), int))
    assert found.labels == (None, None)
    assert found.silent.all()
    assert not found.decided.any()
    assert found.asked.tolist() == [mode.least(2, 0.05)] * 2
    assert found.probabilities.tolist() == [[0.5, 0.5]] * 2
    with pytest.raises(InputError, match="one or more"):
        model.ask([])
