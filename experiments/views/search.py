"""Ten compartments that each see a presentation in a version of their own, beside one that sees one: recipe best.

    python experiments/views/search.py --out FOLDER --root SETS [--sets nmnist digits ..] [--only NAME ..] [--seeds 3]

SETS is the folder of ``gemsnn reproduce real``; see ``experiments/real_grid.py`` for how it is scored. Shifts are given
for cameras; recordings of other sensors lose events instead. All learn from equally many presentations.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import real_grid

CAMERA, OTHER = {"shift": 2}, {"drop_events": 0.5}
CHANGES: real_grid.Changes = {
    "1 compartment": CAMERA,
    "10 compartments": CAMERA | {"compartments": 10},
    "10 views": CAMERA | {"views": 10},
    "events lost, 1 compartment": OTHER,
    "events lost, 10 compartments": OTHER | {"compartments": 10},
    "events lost, 10 views": OTHER | {"views": 10},
}


if __name__ == "__main__":
    real_grid.main(__doc__ or "", CHANGES, ["nmnist", "cards", "digits"], quick=["1 compartment", "10 views"])
