"""The formulas of benchmarks/cost_model.py: what is fitted comes back, and one worker exchanges nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import cost_model
from cost_model import Division, Line, Load

LOAD, LINE = Load(1000, 80, 0.05, 0.002, 0.001), Line(1e6, 0.001, 0.0005)
SHAPES = [(16, 1), (64, 1), (16, 10), (64, 10)]


def test_what_one_core_takes_is_found_from_batches():
    rows = [
        {"batch": batch, "compartments": k, "weights": 1000, "steps": 80,
         "seconds_alone": cost_model.batch_seconds(LOAD, batch, k, Division(1), LINE)}
        for batch, k in SHAPES
    ]  # fmt: skip
    assert cost_model.load_of(rows) == pytest.approx(LOAD)


@pytest.mark.parametrize("what", ["directions", "signals", "told"])
def test_handling_is_found_from_messages(what):
    rows = [
        {"what": what, "numbers": 1000, "hosts": hosts, "mbit": 8.0, "delay_ms": 1.0,
         "seconds": cost_model.message(what, 1000, hosts, LINE)}
        for hosts in (2, 4, 8)
    ]  # fmt: skip
    assert cost_model.handling(rows) == pytest.approx(LINE.handling)
    assert cost_model.message(what, 1000, 1, LINE) == 0


def test_a_divided_batch_by_hand():
    """Four workers, two by two: 8 presentations of 3 compartments each, all three kinds of messages."""
    step = 2 * 0.001 + 0.0005
    computed = 0.05 + 8 * 0.002 + 8 * 3 * 0.001
    directions = 4 * step + 2 * 3 / 4 * 4 * 1000 / 1e6
    signals = step + 8 * 80 * 5 / 2 * 4 / 1e6
    found = cost_model.batch_seconds(LOAD, 16, 5, Division(2, 2), LINE)
    assert found == pytest.approx(computed + directions + signals + 4 * 3 * step)
    sent = cost_model.bytes_sent(LOAD, 16, 5, Division(2, 2))
    assert sent == {"directions": 6000, "signals": 4 * 8 * 80 * 5 / 2}
