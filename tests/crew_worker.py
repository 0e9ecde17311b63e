"""One of several workers that learn together, for tests/test_crew.py: writes what it has reached."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from crew_cases import CASES, TOGETHER, course

from gemsnn.learn.crew import Crew
from gemsnn.machine.group import joined

if __name__ == "__main__":
    out, chosen = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(1)
    with joined() as group:
        for name, split in chosen:
            of = {**CASES, **TOGETHER}[name]()
            *_, last = course(of, Crew(group, split, of.learning))
            torch.save(last, out / f"{name}-{split}-{group.size}-{group.rank}.pt")
