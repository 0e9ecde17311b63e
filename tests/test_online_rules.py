"""The online rules of benchmarks/online_rules: in time's order, synapse by synapse, and against autograd."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from online_rules import RULES, decolle, eprop, lif, ottt, stllr
from online_rules.lif import Params

STEPS, BATCH, INPUTS, HIDDEN, CLASSES, DECAY = 12, 3, 5, 4, 3, 0.8
LABELS = torch.tensor([0, 2, 1])


@pytest.fixture(params=[0, 1, 2])
def case(request) -> tuple[Tensor, Tensor, Params]:
    """Inputs, observed steps and weights such that hidden neurons spike now and then; double precision."""
    draw = torch.Generator().manual_seed(request.param)
    spikes = (torch.rand(STEPS, BATCH, INPUTS, generator=draw) < 0.4).double()
    observed = torch.zeros(STEPS, BATCH, dtype=torch.float64)
    observed[4:] = 1
    observed[9:, 1] = 0  # a shorter recording
    hidden = torch.randn(HIDDEN, INPUTS + 1, generator=draw, dtype=torch.float64)
    readout = torch.randn(CLASSES, HIDDEN + 1, generator=draw, dtype=torch.float64)
    return lif.with_one(spikes), observed, Params(hidden, readout)


def stand_in(psi: Any) -> Any:
    """A spike whose derivative is psi."""

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, potential, threshold):
            ctx.save_for_backward(potential)
            return (potential >= threshold).to(potential.dtype)

        @staticmethod
        def backward(ctx, grad):  # pyright: ignore[reportIncompatibleMethodOverride]
            return grad * psi(*ctx.saved_tensors), None

    return Spike.apply


def loss(logits: list[Tensor], observed: Tensor) -> Tensor:
    """The mean over the observed steps of each recording, and over recordings."""
    each = torch.stack([torch.nn.functional.cross_entropy(y, LABELS, reduction="none") for y in logits])
    return ((each * observed).sum(0) / observed.sum(0)).mean()


def backpropagated(rule: Any, inputs: Tensor, observed: Tensor, params: Params) -> tuple[Tensor, Params]:
    """Logits and gradient by autograd through all steps, resets detached, written anew from the papers' equations."""
    weights = Params(*(leaf.clone().requires_grad_() for leaf in params))
    spike, zero = stand_in(rule.psi), torch.zeros(BATCH, HIDDEN, dtype=torch.float64)
    u, s, r, q, p, y = zero, zero, zero, 0.0, 0.0, 0.0
    logits = []
    for x in inputs:
        if rule is decolle:
            q = DECAY * q + (1 - DECAY) * x
            p = DECAY * p + (1 - DECAY) * q
            r = 0.65 * r + 0.35 * s.detach()
            s = spike(p @ weights.hidden.T - r, 0.0)
        elif rule is ottt:
            u = DECAY * (u - s.detach()) + x @ weights.hidden.T
            s = spike(u, 1.0)
        else:
            u = DECAY * u + x @ weights.hidden.T - s.detach()
            s = spike(u, 1.0)
        now = s @ weights.readout[:, :-1].T + weights.readout[:, -1]
        y = DECAY * y + now if rule in (eprop, stllr) else now
        logits.append(y)
    grads = torch.autograd.grad(loss(logits, observed), weights)
    return torch.stack(logits), Params(*grads)


@pytest.mark.parametrize("rule", [eprop, ottt, decolle], ids=lambda rule: rule.__name__)
def test_exact_gradient_of_the_loss_where_the_reset_is_taken_as_given(rule, case):
    inputs, observed, params = case
    found = rule.gradients(params, inputs, LABELS, observed, DECAY)
    logits, wanted = backpropagated(rule, inputs, observed, params)
    run = rule.forward(params, inputs, DECAY)
    assert 0.05 < run.spikes.mean() < 0.95
    torch.testing.assert_close(run.logits, logits)
    torch.testing.assert_close(found.hidden, wanted.hidden)
    assert found.hidden.abs().max() > 1e-3
    if rule is decolle:
        assert not found.readout.any()
    else:
        torch.testing.assert_close(found.readout, wanted.readout)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_sum_in_times_order_with_a_trace_for_every_synapse(rule, case):
    """What a synapse knows at a step: its own traces, and its neuron's learning signal of that step."""
    inputs, observed, params = case
    run = rule.forward(params, inputs, DECAY)
    errors = lif.step_errors(run.logits, LABELS, observed)
    total = torch.zeros_like(params.hidden)
    pre = second = eligible = torch.zeros(())
    post = torch.zeros_like(run.potential[0])
    for x, u, error in zip(inputs, run.potential, errors, strict=True):
        signal, near = error @ params.readout[:, :-1], rule.psi(u)
        if rule is eprop:
            pre = DECAY * pre + x
            eligible = DECAY * eligible + near[..., None] * pre[:, None]
        elif rule is ottt:
            pre = DECAY * pre + x
            eligible = near[..., None] * pre[:, None]
        elif rule is decolle:
            second = DECAY * second + (1 - DECAY) * x
            pre = DECAY * pre + (1 - DECAY) * second
            eligible = near[..., None] * pre[:, None]
        else:
            pre = 0.75 * pre + x
            eligible = near[..., None] * pre[:, None] - post[..., None] * x[:, None]
            post = 0.2 * post + near
        total += (signal[..., None] * eligible).sum(0)
    torch.testing.assert_close(rule.gradients(params, inputs, LABELS, observed, DECAY).hidden, total)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_each_rule_learns_when_spikes_come(rule):
    """Two classes with as many spikes, early or late: 36 of 40 right by chance, once in ten million."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    early = (torch.arange(20) < 10)[:, None] == (labels == 0)
    params = rule.init(6, 32, 2, draw)
    adam = torch.optim.Adam(params, lr=0.01)

    def shown() -> Tensor:
        chance = torch.where(early, 0.6, 0.05)[..., None].expand(-1, -1, 6)
        return lif.with_one(torch.bernoulli(chance, generator=draw))

    observed = torch.ones(20, 40)
    observed[:15] = 0
    for _ in range(100):
        for weights, step in zip(params, rule.gradients(params, shown(), labels, observed, 0.7), strict=True):
            weights.grad = step
        adam.step()
    logits = rule.forward(params, shown(), 0.7).logits
    right = (observed[..., None] * logits).sum(0).argmax(1) == labels
    assert right.sum() >= 36
