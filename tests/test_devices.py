"""Networks on every device there is, and on ``meta``, whose tensors have no values, so that reading one back fails."""

from __future__ import annotations

import pytest
import test_block_graph as graphs
import torch
from cases import make_presentation
from hypothesis import given, settings
from hypothesis import strategies as st

from gemsnn import kernels, rng
from gemsnn.errors import InputError
from gemsnn.kernels import Learning, reference
from gemsnn.kernels.block import kernel as block
from gemsnn.kernels.cpu import kernel as cpu
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.learn.online import OnlineLearner
from gemsnn.machine import devices
from gemsnn.model import network as networks
from gemsnn.model.basis import BasisSpec
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.runs.config import NetworkChoice
from gemsnn.scoring import evaluate
from gemsnn.store import trees

REAL = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
GRAPHS = ("conv", "recurrent", "dense with feedback", "full")
every_kernel = pytest.mark.parametrize("kernel", [reference, block], ids=["reference", "block"])


@settings(deadline=None)  # the first draw may have to be compiled
@given(
    seed=st.integers(0, 2**64 - 1),
    address=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3),
    start=st.one_of(st.integers(0, 50), st.integers(2**32 - 5, 2**32 + 5), st.integers(0, 2**62)),
    length=st.integers(1, 6),
    compartments=st.integers(1, 4),
    neurons=st.integers(1, 9),
)
def test_noise_is_the_same_on_every_device(seed, address, start, length, compartments, neurons):
    steps, rows = range(start, start + length), torch.tensor(address)
    want = rng.uniforms(seed, rows, steps, compartments, neurons)
    for device in REAL:
        got = rng.uniforms_of_torch(seed, rows, steps, compartments, neurons, device=device)
        assert got.device.type == device
        assert torch.equal(got.cpu(), want)
        assert torch.equal(rng.uniforms(seed, rows, steps, compartments, neurons, device=device).cpu(), want)


def test_noise_of_a_single_presentation():
    want = rng.uniforms(3, 2**40 + 7, range(4), 2, 5, first=6)
    assert torch.equal(rng.uniforms_of_torch(3, 2**40 + 7, range(4), 2, 5, first=6, device="cpu"), want)
    assert rng.uniforms(3, 7, range(4), 2, 5, device="meta").is_meta


@pytest.mark.parametrize("device", [*REAL, "meta"])
@pytest.mark.parametrize("graph", GRAPHS)
@every_kernel
def test_learning_and_rollouts_stay_on_the_device(kernel, graph, device):
    network, params, batch = graphs.make(graphs.Case(graph), device=device)
    assert all(leaf.device.type == device for leaf in (*batch[1:], *trees.leaves(params)))
    for rule, optimiser, every in (("gem-cv", "adam", None), ("one-hop-gem", "sgd", 3), ("iw", "sgd", 1)):
        spec = OptimiserSpec(optimiser, lr=0.05)
        learning = Learning(RuleSpec(rule), spec, 2, every)
        found = kernel.learn(network, params, optimisers.init(spec, params), learning, batch, seed=5, lr=0.05)
        told = [leaf for leaf in found[2:] if leaf is not None]
        assert all(leaf.device.type == device for leaf in (*trees.leaves(found.params), *told))
    for clamp in (True, False):
        run = kernel.rollout(network, params, batch, 3, seed=5, clamp=clamp)
        assert all(leaf.device.type == device for leaf in run)
        assert run.potential.shape == (3, 3, batch.shape[1], network.spec.neurons)


@pytest.mark.parametrize("device", REAL)
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("decoder", ["votes", "likelihood"])
def test_scores_are_those_of_the_cpu(device, graph, decoder):
    found = []
    for where in ("cpu", device):
        network, params, _ = graphs.make(graphs.Case(graph), device=where)
        if graph in ("dense with feedback", "full") and decoder == "likelihood":
            return  # somebody hears visible neurons
        rows = [shown(network, i) for i in range(4)]
        told = evaluate.predict(network, params, rows, 3, kernel=block, seed=2, decoder=decoder, batch=3)
        found.append((*told.by_time, *told.by_compartments, told.votes, told.labels, told.silent))
        found[-1] += (evaluate.log_likelihood(network, params, rows, 3, kernel=block, seed=2, batch=3),)
        found[-1] += evaluate.example(network, params, rows, 1, 3, kernel=block, seed=2)[:4]
    assert all(leaf.device.type == "cpu" for leaf in found[1])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want)


def shown(network, number):
    row = make_presentation(9, network.spec.inputs, graphs.CLASSES, index=number)
    target = torch.zeros_like(row.target)
    target[:, row.label] = 1
    return row._replace(target=target)


@pytest.mark.parametrize("device", REAL)
def test_a_learner_goes_on_from_a_state_on_its_device(device):
    network, params, _ = graphs.make(graphs.Case("recurrent"), device=device)
    learning = Learning(RuleSpec(), OptimiserSpec("adam"), 2, 2)
    one, other = (
        OnlineLearner(network, params, OnlineSpec(compartments=2, window=3, every=1), learning=learning)
        for _ in range(2)
    )
    spikes = shown(network, 0).spikes
    one.step(spikes[:5], 1)
    other.restore({name: leaf.cpu() for name, leaf in one.state().items()})
    answers = [learner.step(spikes[5:]) for learner in (one, other)]
    assert [answer.label for answer in answers[0]] == [answer.label for answer in answers[1]]
    assert len(answers[0]) == 4
    for a, b in zip(trees.leaves(one.params), trees.leaves(other.params), strict=True):
        assert a.device.type == device
        assert torch.equal(a, b)


@pytest.mark.parametrize("device", REAL)
def test_parameters_come_back_from_the_cpu(device):
    for graph in GRAPHS:
        network, params, _ = graphs.make(graphs.Case(graph), device=device)
        saved = {name: leaf.cpu() for name, leaf in networks.named(network, params).items()}
        again = networks.from_named(network, saved)
        assert again is not None
        for a, b in zip(trees.leaves(again), trees.leaves(params), strict=True):
            assert a.device.type == device
            assert torch.equal(a, b)


def test_the_cpu_kernel_serves_the_cpu_alone():
    network, _, _ = graphs.make(graphs.Case("dense"), device="meta")
    assert "the network lies on meta" in (cpu.refuses(network, None) or "")
    assert kernels.choose("auto", network)[0] == "block"
    with pytest.raises(InputError, match="runs on the CPU only; use block or reference"):
        kernels.choose("cpu", network)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:01", "CPU", "meta", "", 0])
def test_unknown_devices_are_refused(name):
    with pytest.raises(InputError, match="device"):
        NetworkChoice(device=name)


def test_a_device_that_is_not_here_is_refused(monkeypatch):
    assert NetworkChoice(device="cuda:99").device == "cuda:99"
    for here, count in ((False, 0), (True, 1)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda here=here: here)
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        assert devices.is_here("cuda") == here
        with pytest.raises(InputError, match="the device cuda:1 is not here"):
            networks.build(graphs.make(graphs.Case("dense"))[0].spec, device="cuda:1")


def test_every_basis_lies_on_the_device():
    spec = graphs.make(graphs.Case("recurrent"))[0].spec
    network = networks.build(spec, device="meta")
    assert all(bank.is_meta for bank in (*network.banks, network.own_taps, network.own))
    assert all(link.taps.is_meta and (link.mask is None or link.mask.is_meta) for link in network.links)
    assert BasisSpec() == spec.self_filter or spec.self_filter.count == 1
