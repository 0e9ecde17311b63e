"""A few kills of a training run and of a stream; ``tests/faults/kills.py`` does hundreds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("victim", ["train", "stream"])
def test_killed_runs_resume_to_the_bit(victim):
    script = Path(__file__).parent / "faults" / "kills.py"
    done = subprocess.run(
        [sys.executable, script, victim, "--kills", "4"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("4 kills in")
