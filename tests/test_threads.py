"""Results do not depend on the number of threads, of the kernel's own and of the libraries beneath it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("threads_child.py")


def test_the_number_of_threads_changes_no_bit():
    """Processes begin with other numbers of threads; the second changes it on the way, twice back."""
    running = [
        subprocess.Popen(
            [sys.executable, CHILD, *numbers], stdout=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": numbers[0]},
        )
        for numbers in (["1"], ["2", "1", "3", "4"])
    ]  # fmt: skip
    outputs = [process.communicate(timeout=500)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    found = [json.loads(line) for output in outputs for line in output.splitlines()]
    assert [number for number, _ in found] == [1, 2, 1, 3, 4]
    for number, digests in found[1:]:
        assert digests == found[0][1], f"with {number} threads"


WAITING = """
import time
from gemsnn.commands.cli import main
assert main(["report", "no-such-run"]) == 2
import torch
torch.set_num_threads(2)
many = torch.zeros(10**6)
many.add(1.0)
before = time.process_time()
for _ in range(100):
    many.add(1.0)
    time.sleep(0.005)
print(time.process_time() - before)
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="threads that outnumber the cores do not look for long")
def test_threads_that_wait_leave_the_cores_to_others():
    """Of commands; against threads that are told to look for work all the time, which a user may want."""
    seconds = []
    for policy in ({}, {"OMP_WAIT_POLICY": "ACTIVE"}):
        usual = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
        done = subprocess.run(
            [sys.executable, "-c", WAITING], env=usual | policy, capture_output=True, text=True, check=True
        )
        seconds.append(float(done.stdout))
    assert seconds[0] < seconds[1] / 2
