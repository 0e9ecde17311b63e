"""One of several workers that simulate a fleet, for tests/test_federate.py: writes what it has reached."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from fleet_cases import FLEETS

from gemsnn.machine.group import joined

if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined() as group:
        for name, make in FLEETS.items():
            simulated = make()
            fleet = simulated.fleet(group)
            updates = list(simulated.course(fleet))
            torch.save((updates, fleet.tensors()), Path(sys.argv[1]) / f"{name}-{group.size}-{group.rank}.pt")
