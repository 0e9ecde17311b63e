"""Faults on purpose: kills, loss of power, a full disk, clocks that jump, damaged checkpoints."""

from __future__ import annotations

import datetime
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from event_files import aedat2, random_events
from power import Disk
from runs import FORMER, words_of

from gemsnn.commands.cli import main
from gemsnn.errors import InputError
from gemsnn.store.checkpoints import Checkpoints
from gemsnn.store.records import RunFolder

SMALL = ["--limit", "40", "--hidden", "4", "--epochs", "2", "--batch", "8", "--votes", "2", *words_of(FORMER)]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("victim", ["train", "stream"])
def test_killed_runs_resume_to_the_bit(victim):
    """A few kills; ``tests/faults/kills.py`` does hundreds."""
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


def tensors(number):
    return {"a": torch.full((7,), float(number)), "b": torch.arange(number + 1)}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_loss_of_power_leaves_one_of_the_last_two_checkpoints(tmp_path, monkeypatch):
    """At every step of five checkpoints: the folder as the disk may hold it, with whatever was not synced lost."""
    root, count, checked = tmp_path / "disk", itertools.count(), 0
    saved = [0]  # the last one whose saving has returned

    def check():
        nonlocal checked
        for what, image in disk.images(tmp_path / f"image{next(count)}"):
            run = RunFolder(image / "run")
            if saved[0] == 0 and not run.checkpoints.any:
                continue
            found, facts = run.load_checkpoint()
            assert facts["batches"] in (saved[0], saved[0] + 1), what
            assert all(torch.equal(leaf, found[name]) for name, leaf in tensors(facts["batches"]).items())
            run.cut_metrics(facts["metrics_bytes"])
            lines = (run.path / "metrics.jsonl").read_text().splitlines()
            assert [json.loads(line)["n"] for line in lines] == list(range(1, facts["batches"] + 1)), what
            checked += 1

    root.mkdir()
    disk = Disk(root, monkeypatch, check)
    run = RunFolder.create(root / "run")
    for number in range(1, 6):
        run.append({"n": number})
        run.save_checkpoint(tensors(number), {"batches": number})
        saved[0] = number
        check()
    assert checked > 50


def damaged(content, draw):
    """Some bytes cut off, or a bit flipped."""
    at = draw.randrange(len(content))
    if draw.random() < 0.3:
        return content[:at]
    return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]


def test_no_damage_to_a_checkpoint_goes_unnoticed(tmp_path):
    """Whatever byte is hit, what is loaded is what was saved, or the one before it, or a refusal in one sentence."""
    draw, run, fell_back, refused = random.Random(0), RunFolder.create(tmp_path / "run"), 0, 0
    run.save_checkpoint(tensors(1), {"batches": 1})
    run.save_checkpoint(tensors(2), {"batches": 2})
    files = [path for path in sorted((run.path / "checkpoint").iterdir()) if path.is_file()]
    whole = {path: path.read_bytes() for path in files}
    for _ in range(400):
        for path in draw.sample(files, draw.choice([1, 1, 1, 2])):
            path.write_bytes(damaged(whole[path], draw))
        try:
            found, facts = run.load_checkpoint()
        except InputError:
            refused += 1
        else:
            assert all(torch.equal(leaf, found[name]) for name, leaf in tensors(facts["batches"]).items())
            fell_back += facts["batches"] == 1
        for path, content in whole.items():
            path.write_bytes(content)
    assert fell_back > 50
    assert refused > 5


def gemsnn(*words, file_limit=None):
    """Run a command in a process of its own whose files may not grow beyond a size."""
    script = (
        f"import sys; from gemsnn.commands import cli; sys.exit(cli.main({[str(word) for word in words]!r}))"
    )
    if file_limit is not None:
        script = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({file_limit}, -1)); " + script
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def stopped_in_a_sentence(done):
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("gemsnn: File too large")
    assert "what was written before is whole" in last
    assert "Traceback" not in done.stderr
    return True


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on the size of files")
def test_a_full_disk_stops_a_run_in_a_sentence_and_loses_nothing(tmp_path):
    """Files may not grow to the size of a checkpoint; then they may, and training and stream go on."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert gemsnn("train", *SMALL, "--out", whole).returncode == 0
    full = max(path.stat().st_size for path in (whole / "checkpoint").iterdir()) // 2
    assert stopped_in_a_sentence(gemsnn("train", *SMALL, "--out", out, file_limit=full))
    again = gemsnn("train", "--resume", out)
    assert again.returncode == 0, again.stderr
    ours, theirs = (RunFolder(path).load_checkpoint()[1]["sha256"] for path in (out, whole))
    assert ours == theirs
    assert (out / "metrics.json").read_text() == (whole / "metrics.json").read_text()

    (tmp_path / "x.aedat").write_bytes(aedat2(random_events(np.random.default_rng(0), 20_000, 26, 9_000_000)))
    (tmp_path / "labels").write_text("label,0,1\nlabel,4000000,2\n")
    stream = (
        "stream", "--model", whole, "--input", tmp_path / "x.aedat", "--speed", "max", "--x0", 0, "--y0", 0, "--learn",
        "--labels", tmp_path / "labels", "--save-every", 100, "--state",
    )  # fmt: skip
    assert gemsnn(*stream, tmp_path / "a").returncode == 0
    assert gemsnn(*stream, tmp_path / "b", "--bins", 150).returncode == 0
    assert stopped_in_a_sentence(gemsnn(*stream, tmp_path / "b", file_limit=full))
    assert gemsnn(*stream, tmp_path / "b").returncode == 0
    ours, theirs = (Checkpoints(tmp_path / name).load()[1]["sha256"] for name in ("b", "a"))
    assert ours == theirs


def test_clocks_that_jump_change_nothing(tmp_path, monkeypatch):
    """The computer's clock of the day goes forth and back by years during a training and its resumption."""
    still, jumping, draw = tmp_path / "still", tmp_path / "jumping", random.Random(0)
    assert main(["train", *SMALL, "--out", str(still)]) == 0
    real = time.time

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.fromtimestamp(draw.randrange(2**32), tz)

    monkeypatch.setattr(time, "time", lambda: real() + draw.uniform(-1e9, 1e9))
    monkeypatch.setattr("gemsnn.runs.training.datetime", Jumping)
    assert main(["train", *SMALL, "--out", str(jumping)]) == 0
    ours, theirs = (RunFolder(path).load_checkpoint()[1]["sha256"] for path in (jumping, still))
    assert ours == theirs
    rows = [json.loads(line) for line in (jumping / "metrics.jsonl").read_text().splitlines()]
    assert all(0 <= row["seconds"] < 600 for row in rows)
