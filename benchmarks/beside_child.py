"""A process of ``beside.py``: the kernel of the checkout that it finds on its path, one repeat whenever it is asked.

The first line from standard input is a job in JSON (``task``, ``index``, ``kernel``, ``bins``); ``ready`` answers it
once all is compiled. Every further line is answered with the seconds of a presentation.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from gemsnn.bench import cases, measure


def main() -> None:
    job = json.loads(sys.stdin.readline())
    case = cases.cases(job["task"])[job["index"]]
    # names of the bench itself, which are the same in every commit that has one
    kernel, network = measure.KERNELS[job["kernel"]], measure.networks.build(case.network)
    params, learning = measure.networks.init(network, 0), case.learning
    state = None if learning is None else measure.optimisers.init(learning.optimiser, params)
    batches = measure._batches(case, Path(job["bins"]))

    def once() -> float:
        nonlocal params, state
        began = time.perf_counter()
        for batch in batches:
            if learning is None:
                kernel.rollout(network, params, batch, case.compartments, seed=0, clamp=False)
            else:
                lr = learning.optimiser.lr
                learned = kernel.learn(network, params, state, learning, batch, seed=0, lr=lr)
                params, state = learned.params, learned.optimiser
        return (time.perf_counter() - began) / sum(len(batch.label) for batch in batches)

    once()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(once(), flush=True)


if __name__ == "__main__":
    main()
