"""How ten compartments can teach under the one-hop signal, beside one: side by side at equal presentations.

    python experiments/compartments/search.py --out FOLDER --root SETS [--sets cards neurons ..] [--only NAME ..]

SETS is the folder of ``gemsnn reproduce real``; recipe ``best`` as it is there, but for five epochs of the digits,
scored on the test part (``experiments/real_grid.py``). The weight of compartment k at step t is

* path: ``softmax_k v[k, t]`` with ``v = kappa v + log p(x_t | u[k])``, kappa 0.9: what ``one-hop`` does by default;
* whole path: the same with kappa 1, the bound of the papers, ``log mean_k exp sum_t log p(x_t | u[k])``;
* step: kappa 0, the stepwise mixture ``sum_t log mean_k p(x_t | u[k, t])``: what an answer of all compartments is;
* mean: ``1 / K``, the mean of K single estimates;
* tempered: ``softmax_k (v[k, t] / 4)``, kappa 0.9.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from gemsnn.reproduce.real.sets import SETS
from gemsnn.rules.contract import Rule, Signal

sys.path.insert(0, str(Path(__file__).parents[1]))
import real_grid

CREDIT = frozenset({"signal", "credit"})


def mean(log_weights: Tensor) -> Signal:
    """Every compartment teaches as much as any other."""
    share = torch.full_like(log_weights, 1 / log_weights.shape[-1])
    return Signal(share, torch.zeros_like(share))


def tempered(log_weights: Tensor) -> Signal:
    """The better compartments teach more, but not all."""
    share = torch.softmax(log_weights / 4, -1)
    return Signal(share, torch.zeros_like(share))


SHORTER = {"digits": {"epochs": 5}}
TEN = {"compartments": 10}
CHANGES: real_grid.Changes = {
    "one": {},
    "path": TEN,
    "whole path": TEN | {"kappa": 1.0},
    "step": TEN | {"kappa": 0.0},
    "mean": TEN | {"rule": Rule("mean", CREDIT, mean)},
    "tempered": TEN | {"rule": Rule("tempered", CREDIT, tempered)},
}


if __name__ == "__main__":
    best = {name: {**its.best, **SHORTER.get(name, {})} for name, its in SETS.items()}
    usual = ["cards", "objects", "neurons", "digits"]
    real_grid.main(__doc__ or "", CHANGES, usual, quick=["step", "mean"], given=best, part="test")
