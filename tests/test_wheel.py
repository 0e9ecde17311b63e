"""The wheel: it holds the whole package and nothing else, and works where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
DEMO = """
import numpy as np
import gemsnn

print(gemsnn.__file__)
spikes = np.random.default_rng(0).random((12, 20, 6)) < 0.15
spikes[1::2, :, :3] = True
recordings = gemsnn.Recordings.from_arrays(spikes, ["calm", "lively"] * 6, bin_us=1000)
model = gemsnn.fit(recordings, recipe="best", hidden=[4], epochs=2)
print(len(gemsnn.predict(model, spikes[:3], 2).labels))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the sources, so that nothing is left in the checkout."""
    pytest.importorskip("setuptools", minversion="77")
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "gemsnn", copy / "gemsnn", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, copy / name)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD, str(out)],
        cwd=copy, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (found,) = out.iterdir()
    return found


def test_it_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as held:
        names = set(held.namelist())
        (told,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(held.read(told))
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "gemsnn").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == package
    assert {"gemsnn/py.typed", "gemsnn/report/style.css", "gemsnn/runs/recipes/best.toml"} <= package
    assert metadata["Requires-Python"] == ">=3.10"
    assert {"nir", "tensorboard", "tonic", "tune"} <= set(metadata.get_all("Provides-Extra", []))
    assert wheel.name.endswith("-py3-none-any.whl")


def test_it_works_outside_the_checkout(wheel, tmp_path):
    """Unpacked, which is all that installing does to a wheel without compiled parts."""
    with zipfile.ZipFile(wheel) as held:
        held.extractall(tmp_path / "site")
    (tmp_path / "demo.py").write_text(DEMO)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "demo.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    where, count = done.stdout.splitlines()
    assert Path(where).is_relative_to(tmp_path)
    assert count == "3"
