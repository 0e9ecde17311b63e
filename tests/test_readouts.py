"""Networks of several readouts: what all of them say together, and how much each of them counts."""

from __future__ import annotations

from typing import Any, cast, get_args

import numpy as np
import pytest
import torch

import gemsnn
from gemsnn.errors import InputError
from gemsnn.kernels import Kernel, Rollout, reference
from gemsnn.learn.online import OnlineLearner
from gemsnn.model import network as networks
from gemsnn.model.network import NetworkSpec
from gemsnn.scoring import answers, evaluate, metrics, readouts, sampling
from gemsnn.types import Presentation, class_target

SPEC = NetworkSpec(5, 3, (4, 3), "feedforward", readouts="each-layer")
KERNEL = cast(Kernel, reference)


def presentations(count: int = 9, steps: int = 6) -> list[Presentation]:
    draw = torch.Generator().manual_seed(1)
    spikes = (torch.rand(count, steps, 5, generator=draw) < 0.5).to(torch.uint8)
    return [Presentation(row, class_target(n % 3, steps, 3), n % 3, n) for n, row in enumerate(spikes)]


def network(seed: int = 0):
    made = networks.build(SPEC, seed=seed, dtype=torch.float64)
    return made, networks.init(made, seed)


class Told:
    """A kernel whose first readout names the class in most runs, and whose second one spikes as it likes."""

    right = 0.8

    def rollout(self, net, params, batch, compartments, *, seed, clamp) -> Rollout:
        draw = torch.Generator().manual_seed(3)
        count, steps = batch.shape[:2]
        spikes = torch.zeros(count, compartments, steps, net.spec.neurons, dtype=torch.uint8)
        knows = torch.rand(count, compartments, generator=draw) < self.right
        said = torch.where(knows, batch.label[:, None], torch.randint(3, knows.shape, generator=draw))
        spikes[..., 7:10] = torch.nn.functional.one_hot(said, 3)[:, :, None].to(torch.uint8)
        spikes[..., 10:] = torch.rand(count, compartments, steps, 3, generator=draw) < 0.6
        return Rollout(spikes=spikes, potential=2.0 * spikes.double() - 1)


def test_what_readouts_say_together_by_hand():
    net, _ = network()
    spikes = torch.zeros(2, 13, dtype=torch.uint8)
    spikes[0, [0, 7, 12]] = 1  # hidden neurons do not count
    spikes[1, 7:] = 1
    assert sampling.said(net, spikes).tolist() == [[0, 0, 1], [1, 1, 1]]
    assert sampling.said(net, spikes, (3, 2)).tolist() == [[3, 0, 2], [5, 5, 5]]
    assert sampling.said(net, spikes, (0, 1)).equal(sampling.said(net, spikes))


def test_evidence_adds_up():
    net, _ = network()
    rows = networks.batch(net, presentations())
    potential = torch.randn(9, 2, 6, 13, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, last = (sampling.class_evidence(net, potential, rows, one) for one in ((1, 0), (0, 1)))
    torch.testing.assert_close(last, sampling.class_evidence(net, potential, rows))
    torch.testing.assert_close(sampling.class_evidence(net, potential, rows, (2, 3)), 2 * first + 3 * last)
    assert not torch.allclose(first, last)


@pytest.mark.parametrize("decoder", get_args(answers.Decoder))
def test_the_readout_that_knows_is_found(decoder):
    net, params = network()
    rows, kernel = presentations(60), cast(Kernel, Told())
    how: dict[str, Any] = {"kernel": kernel, "seed": 0, "decoder": decoder}
    weights = readouts.fitted(net, params, rows, 8, **how)
    assert weights[0] > 0
    alone, both = (
        evaluate.predict(net, params, rows, 8, **how, readouts=given).answers for given in ((), weights)
    )
    label = torch.tensor([row.label for row in rows])
    right = [(found.probabilities.argmax(1) == label).double().mean() for found in (alone, both)]
    assert right[0] < 0.6 < 0.9 < right[1]


def test_one_readout_needs_no_weights():
    made = networks.build(NetworkSpec(5, 3, (4,), "feedforward"), seed=0)
    params = networks.init(made, 0)
    assert readouts.fitted(made, params, presentations(), 2, kernel=KERNEL, seed=0) == ()
    with pytest.raises(InputError, match="held must be one recording or more"):
        readouts.fitted(*network(), [], 2, kernel=KERNEL, seed=0)


@pytest.mark.parametrize("wrong", [(1,), (1, -1), (0, 0), (100, 100), (1, 1, 1)])
def test_weights_that_cannot_be(wrong):
    net, params = network()
    with pytest.raises(InputError, match="readouts must be 2 whole weights"):
        evaluate.predict(net, params, presentations(), 2, kernel=KERNEL, seed=0, readouts=wrong)


def recordings(seed: int, count: int = 24) -> gemsnn.Recordings:
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    spikes = draw.random((count, 8, 6)) < 0.1 + 0.8 * (np.arange(6) // 2 == labels[:, None])[:, None]
    return gemsnn.Recordings.from_arrays(spikes, labels, bin_us=1000)


@pytest.mark.parametrize("decoder", [*answers.CHOICE, "auto"])
def test_a_model_keeps_its_weights_and_a_stream_answers_as_it(tmp_path, decoder):
    settings: dict[str, Any] = {
        "hidden": [6, 5], "readouts": "each-layer", "answer": "all", "epochs": 2, "batch": 4, "warm_up": 0.0,
        "decoder": decoder,
    }  # fmt: skip
    train, held, test = (recordings(seed) for seed in range(3))
    with pytest.raises(InputError, match="answer 'all' chooses its weights on validation recordings"):
        gemsnn.fit(train, **settings)
    model = gemsnn.fit(train, validation=held, **settings)
    assert len(model.facts.readouts) == 2
    assert model.facts.decoder in (answers.CHOICE if decoder == "auto" else (decoder,))
    model.save(tmp_path / "model.safetensors")
    read = gemsnn.load(tmp_path / "model.safetensors")
    assert read.facts == model.facts
    found = gemsnn.predict(read, test, 5)
    assert found.probabilities.equal(gemsnn.predict(model, test, 5).probabilities)
    for position in range(3):
        row = test[position]
        spec = model.online(5, address=row.address)
        said = OnlineLearner(model.network, model.params, spec).step(row.spikes)[-1]
        assert spec.decoder == model.facts.decoder
        poll = model.poll(test, 5)
        assert spec.temperature == (None if spec.decoder == "votes" else model.temperature(5))
        wanted = poll.answers.probabilities if spec.decoder == "votes" else model.probabilities(poll)
        assert said.probabilities.equal(wanted[position])


def test_the_decoder_that_answers_held_out_recordings_best_is_taken():
    """By the NLL of its answers as they are and at temperature; without such recordings the first one answers."""
    train, held, test = (recordings(seed, 60) for seed in range(3))
    settings: dict[str, Any] = {
        "hidden": [8], "memory": 4, "epochs": 4, "batch": 4, "warm_up": 0.0, "votes": 3,
    }  # fmt: skip
    model = gemsnn.fit(train, validation=held, **settings)
    nll = {}
    for decoder in answers.CHOICE:
        poll = model.poll(held, 3, decoder=decoder)
        logs = poll.answers.logs
        temperature = metrics.fitted_temperature(logs, poll.labels)
        nll[decoder] = sum(
            metrics.log_loss(metrics.tempered(logs, each), poll.labels) for each in (1.0, temperature)
        )
        if decoder == model.facts.decoder:
            assert model.temperature(3) == pytest.approx(temperature)
    assert len(set(nll.values())) == len(nll)
    assert model.facts.decoder == min(nll, key=lambda decoder: nll[decoder])
    assert gemsnn.score(model, test, 3).decoder == model.facts.decoder
    assert gemsnn.fit(train, **settings).facts.decoder == "votes"
