"""Compiled code on disk: made anew when it is old or damaged, and done without where there is no place for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gemsnn
from gemsnn.machine import compiled

PACKAGE = Path(gemsnn.__file__).parent
SIGNAL = """
import numpy as np
from gemsnn.machine.compiled import njit
from gemsnn.kernels.cpu import signals

@njit(nogil=True)
def caller(weights, hidden, visible):
    signals.fill(1, weights, hidden, visible)

hidden, visible = np.zeros(3), np.zeros(3)
caller(np.array([0.5, 1.0, 2.0]), hidden, visible)
print(hidden.tolist(), len(caller.stats.cache_hits))
"""
"""A compiled function of another file becomes part of the caller's code. At the end: how often it came from disk."""


class Copy:
    """A copy of the package, with what surrounds a process that uses it."""

    def __init__(self, folder: Path) -> None:
        self.package, self.cache, self.temporary = folder / "gemsnn", folder / "cache", folder / "tmp"
        shutil.copytree(PACKAGE, self.package, ignore=shutil.ignore_patterns("__pycache__"))
        (self.package / "kernels" / "__init__.py").write_text("")  # without torch
        (self.package / "caller.py").write_text(SIGNAL)
        self.temporary.mkdir()

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it with nothing in the environment but what is said; Python's own files are found as here."""
        environment = {"GEMSNN_CACHE": str(self.cache)} | environment
        given = {"PYTHONPATH": str(self.package.parent), "TMPDIR": str(self.temporary)} | environment
        return subprocess.run(
            [sys.executable, *(words or ("-m", "gemsnn.caller"))],
            capture_output=True, text=True, timeout=300, check=False, cwd=self.package.parent,
            env={name: value for name, value in given.items() if value} | {"PATH": os.environ["PATH"]},
        )  # fmt: skip

    def files(self, ending: str) -> list[Path]:
        """What is kept, of all sources."""
        return sorted(self.cache.rglob(f"*.{ending}"))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Nothing compiled yet."""
    return Copy(tmp_path)


def test_code_is_kept_and_made_anew_when_it_is_old_or_damaged(copy: Copy) -> None:
    first, again = copy.run(), copy.run()
    assert (first.returncode, first.stderr, again.stderr) == (0, "", "")
    signal = first.stdout.rsplit(" ", 1)[0]
    assert (first.stdout, again.stdout) == (f"{signal} 0\n", f"{signal} 1\n")
    assert not list(copy.package.rglob("*.nbi"))

    for file in copy.files("nbi"):
        file.write_bytes(b"")  # as after a loss of power
    for file in copy.files("nbc"):
        file.write_bytes(file.read_bytes()[:-100])
    emptied = copy.run()
    assert (emptied.returncode, emptied.stdout, emptied.stderr) == (0, f"{signal} 0\n", "")
    for file in copy.files("nbc"):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2] + bytes(100) + whole[len(whole) // 2 + 100 :])
    holed = copy.run()
    assert (holed.returncode, holed.stdout, holed.stderr) == (0, f"{signal} 0\n", "")

    source = copy.package / "kernels" / "cpu" / "signals.py"
    text = source.read_text()
    assert text.count("hidden[k] = share - 1 / count") == 1
    source.write_text(text.replace("hidden[k] = share - 1 / count", "hidden[k] = share - 2 / count"))
    edited = copy.run()
    assert edited.returncode == 0
    assert edited.stdout != first.stdout
    assert edited.stdout.endswith(" 0\n")


def test_where_there_is_no_place(copy: Copy) -> None:
    """A file is where the folder should be: nobody can write there, root neither."""
    copy.cache.write_text("")
    other = copy.run()
    assert other.returncode == 0
    assert other.stderr.count("\n") == 1
    assert other.stderr.startswith(f"gemsnn: {copy.cache} cannot be written (")
    assert list(copy.temporary.rglob("*.nbi"))
    (copy.temporary / f"gemsnn-{os.getuid()}" / "compiled").chmod(0o777)  # whose code would run?
    none = copy.run()
    assert none.returncode == 0
    assert none.stdout == other.stdout
    assert none.stderr.count("\n") == 1
    assert "so code is compiled and data emulated anew each time" in none.stderr
    own = copy.run(NUMBA_CACHE_DIR=str(copy.temporary / "mine"))
    assert (own.returncode, own.stderr) == (0, "")
    assert list((copy.temporary / "mine" / "gemsnn").rglob("*.nbi"))


def test_python_cannot_run_it(copy: Copy) -> None:
    done = copy.run("-m", "gemsnn", "train", NUMBA_DISABLE_JIT="1")
    assert done.returncode == 2
    assert done.stderr.startswith("gemsnn: NUMBA_DISABLE_JIT is set, but")
    assert done.stderr.count("\n") == 1


def test_old_folders_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMSNN_CACHE", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    old, recent = tmp_path / "compiled" / "old", tmp_path / "compiled" / "recent"
    for folder, days in ((old, compiled.UNUSED_DAYS + 1), (recent, compiled.UNUSED_DAYS - 1)):
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - days * 86400,) * 2)
    assert compiled.folder.__wrapped__() == tmp_path / "compiled" / compiled.fingerprint()
    assert (old.exists(), recent.exists()) == (False, True)


def test_all_that_is_compiled_is_in_the_name() -> None:
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "numba" in path.read_text() or "njit" in path.read_text()
    ]
    assert {"rng.py", "kernels/cpu/fused.py", "data/emulator.py"} < set(found)
    for path in set(found) - {
        "runs/console.py",
        "store/records.py",
    }:  # which tell that numba compiles, and its version
        assert path.startswith(compiled.SOURCES), path
