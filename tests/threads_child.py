"""Every path of the cpu kernel, run with as many threads as the arguments say: a digest of the results of each.

Used by ``test_threads.py`` in fresh processes, where libraries are loaded in the order in which a user's are.
"""

import hashlib
import json
import sys

import threadpoolctl
import torch

from gemsnn.kernels import Learning
from gemsnn.kernels.cpu import kernel as cpu
from gemsnn.model import network as networks
from gemsnn.model.batches import collate
from gemsnn.model.network import NetworkSpec
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees
from gemsnn.types import Presentation

STEPS = 40


def digest(*leaves):
    """A short name for the bits of tensors."""
    found = hashlib.sha256()
    for leaf in leaves:
        found.update(leaf.contiguous().numpy().tobytes())
    return found.hexdigest()[:12]


def network(topology, hidden, output="independent"):
    """A network whose sizes are multiples of nothing; of convolutions with a readout for each layer."""
    readouts = "each-layer" if topology == "conv" else "last"
    spec = NetworkSpec(
        inputs=101,
        visible=10,
        hidden=hidden,
        topology=topology,
        output=output,
        readouts=readouts,
        sheet=(1, 1, 101),
    )
    built = networks.build(spec, dtype=torch.float32)
    return built, networks.init(built, 3)


def presentations(count, readouts=1):
    """Noise with a target, in a batch."""
    draw = torch.Generator().manual_seed(count)
    rows = []
    for index in range(count):
        target = torch.zeros(STEPS, 10, dtype=torch.uint8)
        target[:, index % 10] = 1
        spikes = (torch.rand(STEPS, 101, generator=draw) < 0.2).to(torch.uint8)
        rows.append(Presentation(spikes, target, index % 10, index))
    batch = collate(rows)
    return batch._replace(target=batch.target.repeat(1, 1, readouts))


def learned(topology, hidden, count, compartments, rule, optimiser, every, output="independent"):
    """Learn a batch."""
    net, params = network(topology, hidden, output)
    spec = OptimiserSpec(optimiser)
    learning = Learning(RuleSpec(rule), spec, compartments, every)
    batch, state = presentations(count, net.spec.visible_neurons // 10), optimisers.init(spec, params)
    done = cpu.learn(net, params, state, learning, batch, seed=1, lr=0.02)
    return digest(*trees.leaves(done.params), done.log_likelihood, done.log_weights)


def rolled(count, compartments, topology="full", hidden=(67,)):
    """Run a batch freely."""
    net, params = network(topology, hidden)
    return digest(*cpu.rollout(net, params, presentations(count), compartments, seed=1, clamp=False))


def streamed(compartments, learning, topology="full", hidden=(67,), every=1):
    """A stream in pieces, longer than a segment."""
    net, params = network(topology, hidden)
    spec = OptimiserSpec("sgd")
    how = Learning(RuleSpec(kappa=0.9, gamma=0.8), spec, compartments, every) if learning else None
    stream = cpu.CpuStream(
        net, params, compartments, address=torch.tensor([5]), seed=1, learning=how,
        optimiser=optimisers.init(spec, params) if learning else None, lr=0.02,
    )  # fmt: skip
    seen = []
    for _ in range(5):
        batch = presentations(1, net.spec.visible_neurons // 10)
        seen += [*stream.advance(batch.dense(), batch.target if learning else None)]
    return digest(*seen, *trees.leaves(stream.params))


def every_path():
    """Digests by path."""
    full, conv = ("full", (67,)), ("conv", ("3x5s2", "7x3", 20))
    return {
        "online": learned(*full, 1, 5, "gem", "sgd", 1),
        "online, large": learned("full", (256,), 1, 20, "gem", "sgd", 1),
        "online, shared": learned(*full, 1, 21, "gem", "sgd", 1),
        "online, shared, some steps": learned("layered", (40, 27), 3, 7, "gem-cv", "sgd", 3),
        "online, circuit": learned(*full, 1, 17, "gem", "sgd", 1, "winner-take-all"),
        "between updates": learned(*full, 1, 20, "gem", "adam", 4),
        "batch": learned(*full, 19, 3, "gem", "adam", None),
        "batch, sgd": learned("feedforward", (67,), 5, 5, "gem", "sgd", None),
        "batch, at rest, shared": learned(*full, 1, 20, "gem", "sgd", None),
        "one-hop": learned(*full, 9, 3, "one-hop", "adam", None),
        "one-hop, shared": learned(*full, 1, 18, "one-hop", "sgd", 1),
        "rollout": rolled(11, 4),
        "rollout, shared": rolled(1, 20),
        "graph, online": learned(*conv, 3, 5, "gem", "sgd", 1),
        "graph, between updates": learned(*conv, 3, 5, "one-hop-gem", "adam", 11),
        "graph, batch": learned(*conv, 19, 3, "one-hop", "adam", None, "winner-take-all"),
        "graph, rollout": rolled(11, 4, *conv),
        "graph, stream": streamed(5, True, *conv),
        "graph, stream between updates": streamed(5, True, *conv, every=150),
        "graph, stream at rest": streamed(5, False, *conv),
        "stream": streamed(3, True),
        "stream, shared": streamed(20, True),
        "stream, at rest": streamed(20, False),
    }


if __name__ == "__main__":
    for number in map(int, sys.argv[1:]):
        torch.set_num_threads(number)
        with threadpoolctl.threadpool_limits(number, "blas"):
            print(json.dumps([number, every_path()]))
