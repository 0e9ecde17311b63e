"""``gemsnn train --workers``: the run of one process, whoever divides what; and what happens when a worker dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from runs import command

from gemsnn import Run
from gemsnn.commands.cli import main
from gemsnn.errors import REFUSED
from gemsnn.machine import group
from gemsnn.store.records import RunFolder

ROOT = Path(__file__).parents[1]
EXACT = ("--dtype", "float64", "--compartments", "4", "--hidden", "4", "--keep", "best", "--batch", "5")
SECONDS = 500
"""No training here takes as long, on the busiest machine."""


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """Those of a run's last checkpoint."""
    return RunFolder(run).load_checkpoint()[0]


def start(words: list[str]) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gemsnn", *words], cwd=ROOT, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    STARTED.append(process)
    return process


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """A launcher that still runs when a test has failed is ended, and its workers with it."""
    yield
    for process in STARTED:
        process.kill()
        process.communicate()
    STARTED.clear()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes that the launcher has started, by rank."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    found = {}
    for word in children.read_text().split() if children.exists() else []:
        environment = Path(f"/proc/{word}/environ").read_bytes().split(b"\0")
        rank = next((entry.partition(b"=")[2] for entry in environment if entry.startswith(b"RANK=")), None)
        if rank is not None:
            found[int(rank)] = int(word)
    return [found[rank] for rank in sorted(found)]


def ended(pid: int) -> bool:
    """Whether there is no such process, or only what is left of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture(scope="module")
def alone(nmnist_root, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "run"
    assert main(command(nmnist_root, out, *EXACT)) == 0
    return out


@pytest.mark.slow
@pytest.mark.parametrize("split", ["presentations", "compartments", "both"])
def test_workers_leave_the_run_of_one_process(alone, nmnist_root, tmp_path, split):
    out = tmp_path / "run"
    workers = "4" if split == "both" else "2"
    process = start([*command(nmnist_root, out, *EXACT), "--workers", workers, "--split", split])
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    want, found = tensors(alone), tensors(out)
    assert want.keys() == found.keys()
    for name, leaf in want.items():
        torch.testing.assert_close(found[name], leaf, rtol=1e-9, atol=1e-11)
    assert Run(out).scores.accuracy == Run(alone).scores.accuracy
    assert [row["kind"] for row in Run(out).history] == [row["kind"] for row in Run(alone).history]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_worker_ends_all_and_is_named(nmnist_root, tmp_path, lost):
    """And what was saved before is gone on with, to the run of one process."""
    out = tmp_path / "run"
    words = command(nmnist_root, out, *EXACT, "--epochs", "400", "--checkpoint-every", "1")
    process = start([*words, "--workers", "2"])
    begun = time.monotonic()
    while not (out / "checkpoint" / "previous.json").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - begun < SECONDS
        time.sleep(0.05)
    pids = workers_of(process)
    assert len(pids) == 2
    os.kill(pids[lost], signal.SIGKILL)
    _, said = process.communicate(timeout=90)
    assert process.returncode == REFUSED
    assert f"worker {lost} of 2 was ended by SIGKILL" in said
    assert f"gemsnn train --resume {out}" in said
    assert "Traceback" not in said
    assert all(map(ended, pids))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_workers_are_started_anew_and_reach_the_same(alone, nmnist_root, tmp_path):
    out = tmp_path / "run"
    words = [*command(nmnist_root, out, *EXACT), "--checkpoint-every", "1"]
    process = start([*words, "--workers", "2", "--max-restarts", "1"])
    begun = time.monotonic()
    while not (out / "checkpoint" / "previous.json").exists() and process.poll() is None:
        assert time.monotonic() - begun < SECONDS
        time.sleep(0.01)
    for pid in workers_of(process)[1:]:
        os.kill(pid, signal.SIGKILL)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    want, found = tensors(alone), tensors(out)
    for name, leaf in want.items():
        torch.testing.assert_close(found[name], leaf, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
def test_bad_input_is_told_once(nmnist_root, tmp_path):
    """Workers that are started anew would meet it again."""
    process = start(
        [*command(nmnist_root / "nowhere", tmp_path / "run"), "--workers", "2", "--max-restarts", "3"]
    )
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == REFUSED
    assert said.count("gemsnn: ") == said.count("nowhere") == 1, said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--split", "both"], "give --workers"),
        (["--max-restarts", "2"], "give --workers"),
        (
            ["--workers", "2", "--split", "compartments", "--compartments", "1"],
            "cannot be divided over 2 workers",
        ),
        (["--workers", "0"], "workers must be"),
    ],
)
def test_what_cannot_be_divided_is_refused_before_anything_is_started(
    nmnist_root, tmp_path, capsys, words, sentence
):
    assert (
        main(
            ["train", "--data", "nmnist", "--root", str(nmnist_root), "--out", str(tmp_path / "run"), *words]
        )
        == 2
    )
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_process_is_no_group(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    assert not group.is_launched()
    assert (group.rank(), group.size(), group.restarts()) == (0, 1, 0)
