"""Results do not depend on the number of threads, of the kernel's own and of the libraries beneath it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
