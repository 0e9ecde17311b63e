"""Which rule, outputs, target coding and memory learn best on emulated MNIST images, scored on the validation part.

    python experiments/recipe-search/search.py --root IMAGES.npz --out FOLDER [--seeds 3] [--epochs 4] [--only NAME ...]

Every finished run is one line of FOLDER/results.jsonl, and a run that stands there is not repeated.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import grid

# the default settings
START: grid.Changes = {"data.data": "images", "network.hidden": (128,)}
ONE_HOP: grid.Changes = {"rule.rule": "one-hop"}
CIRCUIT: grid.Changes = {"network.output": "winner-take-all"}
LATE: grid.Changes = {"data.warm_up": 0.5}
BIG: grid.Changes = {"network.hidden": (256,), "train.compartments": 2}
LONG: grid.Changes = {"network.memory": 40}
FORWARD: grid.Changes = ONE_HOP | LATE | BIG | {"network.topology": "feedforward", "optimiser.lr": 1e-3}
CANDIDATE: grid.Changes = (
    FORWARD
    | CIRCUIT
    | {
        "data.warm_up": 0.0,
        "network.memory": 10,
        "train.compartments": 1,
    }
)
CHANGES: dict[str, grid.Changes] = {
    "gem-cv": {},
    "no hidden neurons": {"network.hidden": ()},
    "one-hop": ONE_HOP,
    "one-hop-gem": {"rule.rule": "one-hop-gem"},
    "one-hop, circuit": ONE_HOP | CIRCUIT,
    "one-hop, late": ONE_HOP | LATE,
    "one-hop, long": ONE_HOP | LONG,
    "gem-cv, late": LATE,
    "one-hop, late, long": ONE_HOP | LATE | LONG,
    "one-hop, late, hidden 256": ONE_HOP | LATE | {"network.hidden": (256,)},
    "one-hop, late, ten compartments": ONE_HOP | LATE | {"train.compartments": 10},
    "one-hop, late, one compartment": ONE_HOP | LATE | {"train.compartments": 1},
    "one-hop, circuit, late": ONE_HOP | CIRCUIT | LATE,
    "one-hop, circuit, late, long": ONE_HOP | CIRCUIT | LATE | LONG,
    "gem-cv, circuit, late, long": CIRCUIT | LATE | LONG,
    "all, hidden 256": ONE_HOP | CIRCUIT | LATE | LONG | {"network.hidden": (256,)},
    "all, one compartment": ONE_HOP | CIRCUIT | LATE | LONG | {"train.compartments": 1},
    "all, feedforward": ONE_HOP | CIRCUIT | LATE | LONG | {"network.topology": "feedforward"},
    "late, 256": ONE_HOP | LATE | BIG,
    "late, 256, lr 0.01": ONE_HOP | LATE | BIG | {"optimiser.lr": 1e-2},
    "late, 256, lr 0.001": ONE_HOP | LATE | BIG | {"optimiser.lr": 1e-3},
    "late, 256, feedforward": ONE_HOP | LATE | BIG | {"network.topology": "feedforward"},
    "late, 256, circuit": ONE_HOP | LATE | BIG | CIRCUIT,
    "late, 256, long": ONE_HOP | LATE | BIG | LONG,
    "late, 256, batch 64": ONE_HOP | LATE | BIG | {"train.batch": 64},
    "late, 256, rate 0.3": ONE_HOP | LATE | BIG | {"network.hidden_rate": 0.3},
    "late, 256, rate 0.03": ONE_HOP | LATE | BIG | {"network.hidden_rate": 0.03},
    "later, 256": ONE_HOP | BIG | {"data.warm_up": 0.75},
    "late, 256, merged": ONE_HOP | LATE | BIG | {"data.polarity": "merged"},
    "forward": FORWARD,
    "forward, lr 0.0005": FORWARD | {"optimiser.lr": 5e-4},
    "forward, lr 0.002": FORWARD | {"optimiser.lr": 2e-3},
    "forward, hidden 512": FORWARD | {"network.hidden": (512,)},
    "forward, early": FORWARD | {"data.warm_up": 0.0},
    "forward, circuit": FORWARD | CIRCUIT,
    "forward, long": FORWARD | LONG,
    "forward, short": FORWARD | {"network.memory": 10},
    "forward, one compartment": FORWARD | {"train.compartments": 1},
    "forward, gem-cv": FORWARD | {"rule.rule": "gem-cv", "train.compartments": 5},
    "forward, one-hop-gem": FORWARD | {"rule.rule": "one-hop-gem", "train.compartments": 5},
    "forward, two groups": FORWARD | {"network.hidden": (256, 128)},
    "forward, batch 64": FORWARD | {"train.batch": 64, "optimiser.lr": 2e-3},
    "forward, rate 0.3": FORWARD | {"network.hidden_rate": 0.3},
    "forward, no feedback": FORWARD | {"network.feedback": "none"},
    "candidate": CANDIDATE,
    "candidate, late": CANDIDATE | LATE,
    "candidate, independent": CANDIDATE | {"network.output": "independent"},
    "candidate, two compartments": CANDIDATE | {"train.compartments": 2},
    "candidate, five compartments": CANDIDATE | {"train.compartments": 5},
    "candidate, no feedback": CANDIDATE | {"network.feedback": "none"},
    "candidate, lr 0.002": CANDIDATE | {"optimiser.lr": 2e-3},
    "candidate, batch 32": CANDIDATE | {"train.batch": 32, "optimiser.lr": 2e-3},
    "candidate, gem-cv": CANDIDATE | {"rule.rule": "gem-cv", "train.compartments": 5},
    "candidate, layered": CANDIDATE | {"network.topology": "layered"},
    "layered, lr 0.001": ONE_HOP | LATE | BIG | {"optimiser.lr": 1e-3},
    "all, lr 0.001": ONE_HOP | CIRCUIT | LATE | LONG | {"optimiser.lr": 1e-3},
}


if __name__ == "__main__":
    grid.main(__doc__ or "", START, CHANGES, quick=["gem-cv", "one-hop, circuit, late, long"])
