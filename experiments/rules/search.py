"""How fast each rule learns: the same network, compartments, step sizes and noise, another rule.

    python experiments/rules/search.py --out FOLDER --seeds 3 --epochs 5 [--only NAME ...]

Every finished run is one line of FOLDER/results.jsonl, and a run that stands there is not repeated.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import grid

# digits; the settings of the recipe best, with five compartments and evidence at every step
START: grid.Changes = {
    "network.hidden": (64,),
    "network.topology": "feedforward",
    "network.memory": 10,
    "train.compartments": 5,
    "optimiser.lr": 1e-3,
}
RULES = ("gem", "gem-cv", "iw", "iw-ovis", "mb", "one-hop", "one-hop-gem")
CHANGES: dict[str, grid.Changes] = {
    "no hidden neurons": {"network.hidden": (), "network.topology": "layered"}
}
CHANGES |= {rule: {"rule.rule": rule} for rule in RULES}
CHANGES |= {f"{rule}, lr 0.003": {"rule.rule": rule, "optimiser.lr": 3e-3} for rule in RULES}


if __name__ == "__main__":
    grid.main(__doc__ or "", START, CHANGES, quick=["gem-cv", "one-hop"])
