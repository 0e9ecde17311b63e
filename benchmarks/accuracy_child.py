"""Train snnTorch's LIF network on binned recordings to its best epoch, in the environment of ``peers.py``.

python accuracy_child.py JOB.json BINS.npz OUT.npz

The network of ``peers_child.py`` (inputs - 256 - 10 leaky integrate-and-fire neurons, arctangent surrogate), whose
output spike counts are the logits of a cross-entropy; backpropagation through time, Adam. After every epoch the
validation part is scored; training ends when neither score has improved for ``patience`` epochs, or after ``epochs``.
OUT.npz holds, for each score, the log-probabilities at the epoch that was best by it, of validation and test.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from peers_child import HIDDEN, Forward, snntorch_network
from torch import Tensor, nn


class Part(NamedTuple):
    """Packed bits ``[n, T, ceil(M / 8)]``, labels ``[n]``, and M."""

    packed: np.ndarray
    labels: Tensor
    inputs: int

    def batch(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Spikes float32 ``[T, B, M]``, and labels."""
        bits = np.unpackbits(self.packed[chosen], axis=2, count=self.inputs)
        spikes = torch.from_numpy(bits).float().transpose(0, 1).contiguous()
        return spikes, self.labels[torch.from_numpy(chosen)]


def log_probabilities(forward: Forward, part: Part, size: int) -> Tensor:
    with torch.no_grad():
        rows = np.array_split(np.arange(len(part.labels)), -(-len(part.labels) // size))
        return torch.cat([torch.log_softmax(forward(part.batch(r)[0]).double(), 1) for r in rows])


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    with np.load(sys.argv[2]) as held:
        train, validation, test = (
            Part(held[f"{name}_spikes"], torch.from_numpy(held[f"{name}_labels"]), int(held["inputs"]))
            for name in ("train", "validation", "test")
        )
    torch.manual_seed(job["seed"])
    order = np.random.default_rng(job["seed"])
    net, forward = snntorch_network(train.inputs, first_at_once=True)
    optimiser = torch.optim.Adam(net.parameters(), lr=job["lr"])
    size, seconds, history = job["batch"], 0.0, []
    best = {}
    for epoch in range(1, job["epochs"] + 1):
        began = time.perf_counter()
        permutation = order.permutation(len(train.labels))
        for start in range(0, len(permutation), size):
            spikes, labels = train.batch(permutation[start : start + size])
            optimiser.zero_grad()
            nn.functional.cross_entropy(forward(spikes), labels).backward()
            optimiser.step()
        seconds += time.perf_counter() - began

        logs = log_probabilities(forward, validation, size)
        now = {
            "nll": float(nn.functional.nll_loss(logs, validation.labels)),
            "accuracy": float((logs.argmax(1) == validation.labels).double().mean()),
        }
        history.append(now)
        print(f"seed {job['seed']}, epoch {epoch}: {now}, {seconds:.0f} s", file=sys.stderr, flush=True)
        for name, sign in (("nll", -1), ("accuracy", 1)):
            if name not in best or sign * now[name] > sign * best[name]["value"]:
                state = copy.deepcopy(net.state_dict())
                best[name] = {"value": now[name], "epoch": epoch, "state": state, "validation": logs}
        if epoch - max(found["epoch"] for found in best.values()) >= job["patience"]:
            break

    arrays, running = {}, 0.0
    for name, found in best.items():
        net.load_state_dict(found["state"])
        began = time.perf_counter()
        arrays[f"{name}_test"] = log_probabilities(forward, test, size).numpy()
        running += time.perf_counter() - began
        arrays[f"{name}_validation"] = found["validation"].numpy()
    np.savez(sys.argv[3], **arrays)
    row = {
        "library": f"snnTorch {metadata.version('snntorch')}",
        "hidden": HIDDEN,
        "epochs": len(history),
        "best_epoch": {name: found["epoch"] for name, found in best.items()},
        "training_seconds": seconds / len(history) / len(train.labels),
        "inference_seconds": running / len(best) / len(test.labels),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
