"""A few kills of a training run; ``tests/faults/kills.py`` does hundreds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_killed_runs_resume_to_the_bit():
    script = Path(__file__).parent / "faults" / "kills.py"
    done = subprocess.run(
        [sys.executable, script, "--kills", "4"], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("4 kills in")
