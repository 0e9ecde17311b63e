"""Seconds a presentation of a training step of another library's LIF network, in the environment of ``peers.py``.

python peers_child.py BINS.npz REPEAT NAME [CHANNELS HEIGHT WIDTH]

A network of inputs - 256 - 10 leaky integrate-and-fire neurons sees the bins of a batch; the output neurons'
spike counts over the presentation are the logits of a cross-entropy; backpropagation through time with the
library's arctangent surrogate; Adam. One training step (forward, backward, update) of the whole batch is timed
after two that are not; the best of the repeats counts.

``snntorch-conv`` has convolutions 16 x 5 x 5 and 32 x 5 x 5 of stride 2 in place of the hidden layer, on inputs that
lie on a sheet as told (its tutorial on convolutional networks, with strides for poolings).

Each library runs as its documentation shows: snnTorch step by step, SpikingJelly in multi-step mode.
snnTorch is measured once more with its first linear layer applied to all steps at once, which is faster.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

HIDDEN, CLASSES = 256, 10
Forward = Callable[[Tensor], Tensor]


def snntorch_network(inputs: int, first_at_once: bool) -> tuple[nn.Module, Forward]:
    import snntorch
    from snntorch import surrogate

    net = nn.ModuleDict(
        {
            "fc1": nn.Linear(inputs, HIDDEN),
            "lif1": snntorch.Leaky(beta=0.9, spike_grad=surrogate.atan()),
            "fc2": nn.Linear(HIDDEN, CLASSES),
            "lif2": snntorch.Leaky(beta=0.9, spike_grad=surrogate.atan()),
        }
    )

    def forward(x: Tensor) -> Tensor:
        """``x`` is ``[T, B, M]``."""
        mem1, mem2 = net["lif1"].init_leaky(), net["lif2"].init_leaky()
        current = net["fc1"](x) if first_at_once else None
        out = []
        for t in range(len(x)):
            spk1, mem1 = net["lif1"](net["fc1"](x[t]) if current is None else current[t], mem1)
            spk2, mem2 = net["lif2"](net["fc2"](spk1), mem2)
            out.append(spk2)
        return torch.stack(out).sum(0)

    return net, forward


def snntorch_convolutions(inputs: int, sheet: tuple[int, int, int]) -> tuple[nn.Module, Forward]:
    import snntorch
    from snntorch import surrogate

    channels, height, width = sheet
    assert channels * height * width == inputs

    def leaky() -> nn.Module:
        return snntorch.Leaky(beta=0.9, spike_grad=surrogate.atan())

    rows, columns = ((((side + 1) // 2) + 1) // 2 for side in (height, width))
    net = nn.ModuleDict(
        {
            "conv1": nn.Conv2d(channels, 16, 5, stride=2, padding=2),
            "lif1": leaky(),
            "conv2": nn.Conv2d(16, 32, 5, stride=2, padding=2),
            "lif2": leaky(),
            "fc": nn.Linear(32 * rows * columns, CLASSES),
            "lif3": leaky(),
        }
    )

    def forward(x: Tensor) -> Tensor:
        """``x`` is ``[T, B, M]``."""
        pictures = x.unflatten(2, (width, height, channels)).permute(0, 1, 4, 3, 2).contiguous()
        mem1, mem2, mem3 = (net[f"lif{n}"].init_leaky() for n in (1, 2, 3))
        out = []
        for picture in pictures:
            spk1, mem1 = net["lif1"](net["conv1"](picture), mem1)
            spk2, mem2 = net["lif2"](net["conv2"](spk1), mem2)
            spk3, mem3 = net["lif3"](net["fc"](spk2.flatten(1)), mem3)
            out.append(spk3)
        return torch.stack(out).sum(0)

    return net, forward


def spikingjelly_network(inputs: int) -> tuple[nn.Module, Forward]:
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    net = nn.Sequential(
        layer.Linear(inputs, HIDDEN),
        neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
        layer.Linear(HIDDEN, CLASSES),
        neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()),
    )
    functional.set_step_mode(net, "m")

    def forward(x: Tensor) -> Tensor:
        functional.reset_net(net)
        return net(x).sum(0)

    return net, forward


def peak_mb() -> float | None:
    """Highest resident memory of this process, in 10^6 bytes (Linux)."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def times(net: nn.Module, forward: Forward, x: Tensor, label: Tensor, repeat: int) -> list[float]:
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    found = []
    for _ in range(repeat + 2):
        began = time.perf_counter()
        optimiser.zero_grad()
        nn.functional.cross_entropy(forward(x), label).backward()
        optimiser.step()
        found.append((time.perf_counter() - began) / x.shape[1])
    return found[2:]


NETWORKS: dict[str, tuple[str, str, Callable[[int], tuple[nn.Module, Forward]]]] = {
    "snntorch": ("snntorch", "step by step", lambda inputs: snntorch_network(inputs, False)),
    "snntorch-at-once": ("snntorch", "first layer at once", lambda inputs: snntorch_network(inputs, True)),
    "spikingjelly": ("spikingjelly", "multi-step", spikingjelly_network),
}
CONVOLUTIONS = "snntorch-conv"


def main() -> None:
    path, repeat, name, sheet = sys.argv[1], int(sys.argv[2]), sys.argv[3], tuple(map(int, sys.argv[4:]))
    with np.load(path) as held:
        x = torch.from_numpy(held["spikes"]).float().transpose(0, 1).contiguous()
        label = torch.from_numpy(held["labels"]).long()
    steps, batch, inputs = x.shape
    torch.manual_seed(0)
    if name == CONVOLUTIONS:
        library, manner, network = "snntorch", "convolutions", snntorch_convolutions(inputs, sheet)
    else:
        library, manner, build = NETWORKS[name]
        network = build(inputs)
    found = times(*network, x, label, repeat)
    row = {
        "library": f"{library} {metadata.version(library)}, {manner}",
        "B": batch,
        "M": inputs,
        **({} if sheet else {"H": HIDDEN}),
        "V": CLASSES,
        "T": steps,
        "seconds_per_presentation": min(found),
        "median_seconds": median(found),
        "repeats": repeat,
        "peak_mb": peak_mb(),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
