"""Real recordings for the tests: where they lie, and a skip with a reason where they do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("GEMSNN_SHARED", Path(__file__).parents[2] / "shared" / "data"))


def shared(*parts: str) -> Path:
    """A file or folder of the real recordings; skips the test where there is none."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the real recordings at {path} (set GEMSNN_SHARED)")
    return path
