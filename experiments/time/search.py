"""How far back neurons should hear, and when answers should begin: recordings of several durations, recipe best.

    python experiments/time/search.py --out FOLDER --root SETS [--sets touch braille ..] [--only NAME ..] [--seeds 2]

SETS is the folder of ``gemsnn reproduce real``; see ``experiments/real_grid.py`` for how it is scored.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import real_grid

CHANGES: real_grid.Changes = {
    "memory 10": {},
    "memory 1/4": {"memory": 0.25},
    "memory 1/2": {"memory": 0.5},
    "memory 1": {"memory": 1.0},
    "memory 1/2, 8 filters": {"memory": 0.5, "basis_count": 8},
    "memory 1, 8 filters": {"memory": 1.0, "basis_count": 8},
    "memory 1/2, 8 filters, warm-up 1/4": {"memory": 0.5, "basis_count": 8, "warm_up": 0.25},
    "memory 1/2, 8 filters, warm-up 1/10": {"memory": 0.5, "basis_count": 8, "warm_up": 0.1},
    "memory 1/2, 8 filters, warm-up 3/4": {"memory": 0.5, "basis_count": 8, "warm_up": 0.75},
    "memory 1/2, 8 filters, 30 epochs": {"memory": 0.5, "basis_count": 8, "epochs": 30},
    "memory 1/2, 8 filters, lr 0.003": {"memory": 0.5, "basis_count": 8, "lr": 0.003},
    "memory 1/2, 8 filters, 10 compartments": {"memory": 0.5, "basis_count": 8, "compartments": 10},
    "memory 10, 10 compartments": {"compartments": 10},
    "memory 1/2, 8 filters, 512 hidden": {"memory": 0.5, "basis_count": 8, "hidden": [512]},
}


if __name__ == "__main__":
    real_grid.main(
        __doc__ or "", CHANGES, ["touch", "braille", "neurons", "nmnist"], quick=["memory 10", "memory 1/2"]
    )
