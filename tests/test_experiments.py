"""Every experiment and benchmark runs in its quick form: not what it finds, only that it still works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

ROOT = Path(__file__).parents[1]
QUICK = [
    ("experiments/federated/run.py", "--quick", "--out", "OUT"),
    ("experiments/gradient/run.py", "--quick", "--out", "OUT/results.json"),
    ("experiments/memorisation/run.py", "--quick", "--out", "OUT"),
    ("experiments/online/run.py", "--quick", "--out", "OUT/results.json"),
    ("experiments/recipe-search/search.py", "--quick", "--root", "OUT/images.npz", "--out", "OUT"),
    ("experiments/resampling/run.py", "--quick", "--out", "OUT"),
    ("experiments/rules/search.py", "--quick", "--jobs", "2", "--out", "OUT"),
    ("experiments/compartments/search.py", "--quick", "--out", "OUT"),
    ("experiments/compartments/masks.py", "--quick", "--out", "OUT"),
    ("experiments/decoders/run.py", "--quick", "--out", "OUT"),
    ("experiments/time/search.py", "--quick", "--jobs", "2", "--out", "OUT"),
    ("experiments/filters/search.py", "--quick", "--jobs", "2", "--out", "OUT"),
    ("experiments/views/search.py", "--quick", "--out", "OUT"),
    ("experiments/tune/run.py", "--quick", "--out", "OUT"),
    ("experiments/certificates/run.py", "--quick", "--out", "OUT"),
    ("experiments/certificates/before.py", "--quick", "--out", "OUT"),
    ("experiments/alarms/run.py", "--quick", "--out", "OUT"),
    ("experiments/asking/run.py", "--quick", "--out", "OUT"),
    ("experiments/unknown-inputs/run.py", "--quick", "--out", "OUT/results.json"),
    ("experiments/unknown-inputs/areas.py", "--quick", "--out", "OUT"),
    ("benchmarks/real_peers.py", "--quick", "--sets", "digits", "--peers", "ottt", "--out", "OUT/bench"),
    ("benchmarks/stream.py", "keep-up", "--quick"),
    ("benchmarks/stream.py", "endless", "--quick", "--figure", "OUT/memory.png"),
]


@pytest.mark.slow
@pytest.mark.parametrize("words", QUICK, ids=lambda words: " ".join(words[:2]))
def test_it_runs(words, tmp_path):
    digits = load_digits()
    images = (digits.images[:300] * 15).astype(np.uint8)
    np.savez(tmp_path / "images.npz", images=images, labels=digits.target[:300])
    script, *arguments = (word.replace("OUT", str(tmp_path)) for word in words)
    done = subprocess.run(
        [sys.executable, ROOT / script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.strip()
