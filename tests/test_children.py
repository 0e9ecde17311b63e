"""Processes that are started: what surrounds them does not matter to them, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gemsnn.errors import InputError
from gemsnn.machine import children
from gemsnn.machine.children import Children
from gemsnn.reproduce import k_sweep
from gemsnn.reproduce.k_sweep import SweepSpec
from gemsnn.runs import config

HERE = Path(__file__).parent
PARENT = """
from gemsnn.machine import children
with children.Children() as running:
    running.run(children.module("sleeper"))
"""
SLEEPER = """
import os, time
print(os.getpid(), flush=True)
time.sleep(300)
"""
SWEEP = """
import sys
from pathlib import Path
from gemsnn.runs import config
from gemsnn.reproduce import k_sweep
out, given = map(Path, sys.argv[1:])
k_sweep.run(config.parse(given.read_text(), "test"), k_sweep.SweepSpec((1, 2), 1, 2, 2), out)
"""
SETTINGS = """
[data]
data = "digits"
limit = 200
[train]
epochs = 10000
"""
FORK = """
import os, sys
import torch
torch.set_num_threads(2)
import threads_child
before = threads_child.learned("full", (67,), 8, 5, "gem", "adam", None)
child = os.fork()
if not child:
    same = threads_child.learned("full", (67,), 8, 5, "gem", "adam", None) == before
    os._exit(0 if same else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def runs(number: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{number}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def soon(holds, seconds: float = 60) -> bool:
    """Whether something becomes true within some seconds."""
    end = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_files_in_the_current_folder_do_not_matter(tmp_path, monkeypatch):
    """A module of the name of one of Python's, where it would be found first."""
    (tmp_path / "queue.py").write_text("raise RuntimeError('the wrong queue')\n")
    monkeypatch.chdir(tmp_path)
    with Children() as running:
        assert running.run(children.module("queue")) == (0, b"")
        assert running.run([sys.executable, "-m", "queue"])[0] == 1


def test_a_child_gets_its_job_and_is_heard():
    with Children() as running:
        words = [sys.executable, "-c", "print(input()[::-1])"]
        assert running.run(words, b"a job", output=True) == (0, b"boj a\n")
        assert running.run([sys.executable, "-c", "raise SystemExit(3)"], bytes(10**6))[0] == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_child_outlives_its_parent(tmp_path, number):
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )  # fmt: skip
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    assert runs(child)
    parent.send_signal(number)
    assert parent.wait(60) == (128 + number if number == signal.SIGTERM else -number)
    assert soon(lambda: not runs(child))


def parts_of(number: int) -> list[int]:
    """The processes that a sweep has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == number and b"gemsnn.reproduce.part" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find the parts")
def test_a_sweep_that_is_stopped_takes_its_parts_with_it_and_holds_its_folder(tmp_path):
    (tmp_path / "settings.toml").write_text(SETTINGS)
    (tmp_path / "sweep.py").write_text(SWEEP)
    out = tmp_path / "out"
    words = [sys.executable, "sweep.py", str(out), "settings.toml"]
    sweep = subprocess.Popen(words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        assert soon(lambda: len(parts_of(sweep.pid)) == 2)
        parts = parts_of(sweep.pid)
        with pytest.raises(InputError, match="is in use by another process"):
            k_sweep.run(config.parse(SETTINGS, "test"), SweepSpec((1, 2), 1, 2, 2), out)
    finally:
        sweep.terminate()
    assert sweep.wait(60) == 128 + signal.SIGTERM
    assert soon(lambda: not any(map(runs, parts)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_learns_as_its_parent_does():
    done = subprocess.run([sys.executable, "-c", FORK], cwd=HERE, timeout=120, check=False)
    assert done.returncode == 0
