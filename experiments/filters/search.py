"""How filters lie in a long memory, and inputs that are dead in a presentation: touch and Braille, recipe best.

    python experiments/filters/search.py --out FOLDER --root SETS [--sets touch braille] [--only NAME ..] [--seeds 2]

SETS is the folder of ``gemsnn reproduce real``; see ``experiments/real_grid.py`` for how it is scored. Each change is
one from what the recipe has for the set; the validation part is scored.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import real_grid

CHANGES: real_grid.Changes = {
    "as it is": {},
    "filters crowded at short lags": {"basis_offset": 1.0},
    "half of the memory": {"memory": 0.5},
    "no input dead": {"drop_pixels": 0.0},
}


if __name__ == "__main__":
    real_grid.main(
        __doc__ or "", CHANGES, ["touch", "braille"], quick=["as it is", "no input dead"], given={}
    )
