"""Which settings learn: one change at a time from a common start, scored on the validation part of `digits`.

    python experiments/defaults/search.py --out FOLDER [--seeds 3] [--epochs 10] [--only NAME ...] [--quick]

Every finished run is one line of FOLDER/results.jsonl, and a run that stands there is not repeated.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import grid

# name: changes, as "part.key"; the first is the common start
START: grid.Changes = {
    "train.epochs": 10,
    "train.batch": 16,
    "train.schedule": "cosine",
    "rule.rule": "gem-cv",
    "rule.kappa": 1.0,
    "rule.gamma": 1.0,
    "rule.readout": "last-step",
    "optimiser.lr": 1e-3,
    "network.memory": 10,
    "network.hidden": (64,),
}
CHANGES: dict[str, grid.Changes] = {
    "start": {},
    "merged polarity": {"data.polarity": "merged"},
    "no hidden neurons": {"network.hidden": ()},
    "hidden 128": {"network.hidden": (128,)},
    "rule gem": {"rule.rule": "gem"},
    "every step, 0.9": {"rule.kappa": 0.9, "rule.gamma": 0.9, "rule.readout": "every-step"},
    "every step, 0.98": {"rule.kappa": 0.98, "rule.gamma": 0.98, "rule.readout": "every-step"},
    "kappa 0.9, last step": {"rule.kappa": 0.9},
    "lr 0.0003": {"optimiser.lr": 3e-4},
    "lr 0.003": {"optimiser.lr": 3e-3},
    "sgd lr 0.02": {"optimiser.optimiser": "sgd", "optimiser.lr": 2e-2},
    "batch 8": {"train.batch": 8},
    "batch 32": {"train.batch": 32},
    "memory 20": {"network.memory": 20},
    "memory 40": {"network.memory": 40},
    "memory 40, 6 filters": {"network.memory": 40, "network.basis_count": 6},
    "2 filters": {"network.basis_count": 2},
    "8 filters": {"network.basis_count": 8},
    "exponential": {"network.basis": "exponential"},
    "weight scale 0.3": {"network.weight_scale": 0.3},
    "weight scale 3": {"network.weight_scale": 3.0},
    "hidden rate 0.02": {"network.hidden_rate": 0.02},
    "hidden rate 0.3": {"network.hidden_rate": 0.3},
    "constant step size": {"train.schedule": "constant"},
    "memory 20, lr 0.0005": {"network.memory": 20, "optimiser.lr": 5e-4},
    "memory 40, lr 0.0003": {"network.memory": 40, "optimiser.lr": 3e-4},
}
# what helped, together
BETTER = {"optimiser.lr": 3e-3, "network.memory": 40}
RECENT = {"rule.kappa": 0.9, "rule.gamma": 0.9, "rule.readout": "every-step"}
CHOSEN = BETTER | RECENT | {"network.memory": 20}
CHANGES |= {
    "better": BETTER,
    "better, every step 0.9": BETTER | RECENT,
    "better, every step 0.98": BETTER | RECENT | {"rule.kappa": 0.98, "rule.gamma": 0.98},
    "better, every step 0.9, no hidden": BETTER | RECENT | {"network.hidden": ()},
    "better, every step 0.9, lr 0.001": BETTER | RECENT | {"optimiser.lr": 1e-3},
    "better, every step 0.9, lr 0.006": BETTER | RECENT | {"optimiser.lr": 6e-3},
    "better, every step 0.9, hidden 128": BETTER | RECENT | {"network.hidden": (128,)},
    "better, every step 0.9, merged": BETTER | RECENT | {"data.polarity": "merged"},
    "better, every step 0.9, memory 60": BETTER | RECENT | {"network.memory": 60},
    "better, every step 0.9, rule gem": BETTER | RECENT | {"rule.rule": "gem"},
    "chosen": CHOSEN,
    "chosen, rule gem": CHOSEN | {"rule.rule": "gem"},
    "chosen, no hidden neurons": CHOSEN | {"network.hidden": ()},
    "chosen, batch GEM": CHOSEN | {"rule.kappa": 1.0, "rule.gamma": 1.0, "rule.readout": "last-step"},
    "chosen, one compartment": CHOSEN | {"train.compartments": 1},
    "better, every step 0.7": BETTER | RECENT | {"rule.kappa": 0.7, "rule.gamma": 0.7},
}


if __name__ == "__main__":
    grid.main(__doc__ or "", START, CHANGES, quick=["start", "merged polarity"])
