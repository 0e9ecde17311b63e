"""Trainings that several workers share, against the same training in one process: equal to the rounding of sums."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from crew_cases import CASES, EPOCHS, PRESENTATIONS, TOGETHER, course

from gemsnn.errors import InputError
from gemsnn.learn import crew
from gemsnn.store import trees

CHOSEN = [
    *((2, name, split) for name in CASES for split in ("presentations", "compartments")),
    *(
        (4, name, split)
        for name in CASES
        if "reference" not in name
        for split in ("presentations", "compartments", "both")
    ),
    *((workers, name, "presentations") for workers in (2, 4) for name in TOGETHER),
]
"""Workers, case, split; two workers cannot divide both, and four of the slowest kernel are no other test than two."""


def launch(workers: int, out: Path, chosen: list[tuple[str, str]]) -> None:
    """Start so many workers by torchrun, and wait for them."""
    words = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    words += ["--nproc-per-node", str(workers), "tests/crew_worker.py", str(out), json.dumps(chosen)]
    root = Path(__file__).parents[1]
    done = subprocess.run(
        words,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def reached(tmp_path_factory, alone):
    """What each worker of a crew has reached; what is compiled, one process has compiled before."""
    out = tmp_path_factory.mktemp("crew")
    for workers in (2, 4):
        launch(workers, out, [(name, split) for number, name, split in CHOSEN if number == workers])
    return {
        (workers, name, split): [
            torch.load(out / f"{name}-{split}-{workers}-{rank}.pt", weights_only=False)
            for rank in range(workers)
        ]
        for workers, name, split in CHOSEN
    }


@pytest.fixture(scope="module")
def alone():
    """What one process reaches, by case."""
    return {name: list(course(make()))[-1] for name, make in {**CASES, **TOGETHER}.items()}


@pytest.mark.parametrize(("workers", "name", "split"), CHOSEN)
def test_crew_reaches_what_one_process_reaches(reached, alone, workers, name, split):
    """After 54 presentations, weights, moments and all numbers that are told."""
    assert PRESENTATIONS * EPOCHS >= 50
    want, found = alone[name], reached[workers, name, split]
    moved = trees.leaves(want.learner.params)
    start = trees.leaves({**CASES, **TOGETHER}[name]().params)
    assert sum(float((a - b).abs().sum()) for a, b in zip(moved, start, strict=True)) > 0.1, "it has learned"
    for update in found:
        for a, b in zip(trees.leaves(update.learner), trees.leaves(want.learner), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)
        for key in ("epoch", "ends_epoch", "presentations"):
            assert getattr(update, key) == getattr(want, key)
        for key in ("loss", "bound", "hidden_rate", "ess"):
            assert getattr(update, key) == pytest.approx(getattr(want, key), rel=1e-10)


@pytest.mark.parametrize(("workers", "name", "split"), CHOSEN)
def test_all_workers_hold_the_same_to_the_bit(reached, workers, name, split):
    first, *others = reached[workers, name, split]
    for update in others:
        for a, b in zip(trees.leaves(update.learner), trees.leaves(first.learner), strict=True):
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("name", TOGETHER)
def test_what_must_be_together_is_not_divided(name):
    learning = TOGETHER[name]().learning
    with pytest.raises(InputError, match="--split presentations"):
        crew.divided("compartments", 2, learning)
    assert crew.divided("presentations", 4, learning) == (4, 1)


@pytest.mark.parametrize(
    ("workers", "table"), [(1, (1, 1)), (2, (2, 1)), (4, (2, 2)), (6, (3, 2)), (7, (7, 1))]
)
def test_both_is_near_to_a_square(workers, table):
    assert crew.divided("both", workers, CASES["dense, cpu"]().learning) == table


@pytest.mark.parametrize("count", [0, 1, 5, 8])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shares_are_all_there_is_once_and_differ_by_one_at_most(count, parts):
    shares = [crew.share(range(count), part, parts) for part in range(parts)]
    assert [item for each in shares for item in each] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
