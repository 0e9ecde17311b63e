"""What augmentation does for the recipe best: one change at a time, scored on the validation part.

    python experiments/augment/search.py --out FOLDER --root FOLDER_OF_N-MNIST --seeds 3 [--only NAME ...]

Every finished run is one line of FOLDER/results.jsonl, and a run that stands there is not repeated.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import grid

START: grid.Changes = {
    "data.data": "nmnist",
    "data.warm_up": 0.5,
    "network.hidden": (256,),
    "network.topology": "feedforward",
    "network.memory": 10,
    "network.output": "winner-take-all",
    "rule.rule": "one-hop",
    "optimiser.lr": 1e-3,
    "train.compartments": 1,
}
"""The settings of the recipe best; with ``--root``, of N-MNIST."""

SHIFT: grid.Changes = {"augment.shift": 3, "train.epochs": 25}
CHANGES: dict[str, grid.Changes] = {
    "nothing, 10 epochs": {"train.epochs": 10},
    "nothing, 25 epochs": {"train.epochs": 25},
    "shift 3": SHIFT,
    "shift 2": SHIFT | {"augment.shift": 2},
    "shift 4": SHIFT | {"augment.shift": 4},
    "shift 3, drop events 0.3": SHIFT | {"augment.drop_events": 0.3},
    "shift 3, stretch 0.1": SHIFT | {"augment.time_stretch": 0.1},
    "shift 3, time shift 0.05": SHIFT | {"augment.time_shift": 0.05},
    "shift 3, drop region 0.1": SHIFT | {"augment.drop_region": 0.1},
    "shift 3, noise 0.1": SHIFT | {"augment.noise_events": 0.1},
    "shift 3, 40 epochs": SHIFT | {"train.epochs": 40},
    "shift 3, drop events 0.3, stretch 0.1, 40 epochs": SHIFT
    | {"augment.drop_events": 0.3, "augment.time_stretch": 0.1, "train.epochs": 40},
    "shift 3, lr 0.002": SHIFT | {"optimiser.lr": 2e-3},
}
TURNED: grid.Changes = {"augment.rotate": 10.0, "augment.zoom": 0.1}
CHANGES |= {
    "shift 3, 100 epochs, lr 0.002": SHIFT | {"train.epochs": 100, "optimiser.lr": 2e-3},
    "shift 3, turned, 60 epochs, lr 0.003": SHIFT | TURNED | {"train.epochs": 60, "optimiser.lr": 3e-3},
    "shift 3, turned, 100 epochs, lr 0.002": SHIFT | TURNED | {"train.epochs": 100, "optimiser.lr": 2e-3},
}
DIGITS: grid.Changes = {"data.data": "digits"}
CHANGES |= {
    f"digits: {name}": change | DIGITS for name, change in CHANGES.items() if name.split(",")[0] in (
        "nothing", "shift 2", "shift 3"
    )
}  # fmt: skip
CHANGES["digits: shift 2, turned, 50 epochs, lr 0.002"] = (
    SHIFT | TURNED | DIGITS | {"augment.shift": 2, "train.epochs": 50, "optimiser.lr": 2e-3}
)


if __name__ == "__main__":
    grid.main(__doc__ or "", START, CHANGES, quick=["digits: nothing, 10 epochs", "digits: shift 2"])
