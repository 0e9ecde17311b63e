"""In the peers' environment: snnTorch's networks layer by layer are those step by step, and spikes' synapses count."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from peer_learners.backpropagated import Backpropagated, fan_out
from peer_learners.shown import Batch, Settings, Shape

STEPS, SHAPE = 12, Shape(2, 7, 8, 9, 3)


def step_by_step(learner: Backpropagated, batch: Batch, *, convolutional: bool) -> torch.Tensor:
    """Potentials of the readout; input ``m`` of pixel ``(x, y)`` and channel c is ``c + 2 (7 x + y)``."""
    potentials, last = [neurons.init_leaky() for neurons in learner.neurons], learner.out.init_leaky()
    found = []
    for step in range(STEPS):
        now = torch.from_numpy(batch.spikes[:, step]).float()
        if convolutional:
            picture = torch.zeros(len(now), 2, 7, 8)
            for m in range(SHAPE.inputs):
                picture[:, m % 2, m // 2 % 7, m // 14] = now[:, m]
            now = picture
        for at, (each, neurons) in enumerate(zip(learner.maps, learner.neurons, strict=True)):
            now, potentials[at] = neurons(each(now), potentials[at])
        _, last = learner.out(learner.readout(now.flatten(1)), last)
        found.append(last)
    return torch.stack(found)


for kind in ("snntorch", "snntorch-conv"):
    learner = Backpropagated(kind, SHAPE, Settings(0.01, 0.9), 0)
    spikes = (np.random.default_rng(0).random((4, STEPS, SHAPE.inputs)) < 0.3).astype(np.uint8)
    batch = Batch(spikes, np.ones((4, STEPS), bool), np.arange(4) % 3)
    with torch.no_grad():
        for weights in learner.maps.parameters():
            weights *= 4  # so that all layers spike
        potentials, given = learner.forward(batch)
        wanted = step_by_step(learner, batch, convolutional=kind.endswith("conv"))
        torch.testing.assert_close(potentials, wanted)
    assert given[-1].any()
    for _ in range(60):
        learner.learn(batch, 0.01)
    assert learner.answer(batch).logits[:, -1].argmax(1).tolist() == batch.labels.tolist()

some = nn.Conv2d(2, 3, 5, stride=3, padding=2)
each = torch.eye(2 * 7 * 8).view(-1, 2, 7, 8)
heard = nn.functional.conv2d(each, torch.ones_like(some.weight), stride=3, padding=2)
assert torch.equal(fan_out(some, each[0]).flatten(), heard.sum((1, 2, 3)))
