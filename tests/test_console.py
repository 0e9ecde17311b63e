"""What a person sees, on a terminal of 80 columns and in a pipe."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from gemsnn.learn.train import TrainSpec
from gemsnn.runs import console
from gemsnn.scoring.scores import ValidationScores

SCORES = ValidationScores(0.87654, 0.5, 0.2, 0.0342, -15.23, 3, 1)


def update(batch: int, per_epoch: int) -> Any:
    return SimpleNamespace(
        epoch=(batch - 1) // per_epoch + 1,
        ends_epoch=batch % per_epoch == 0,
        loss=123.456,
        bound=-1234.56,
        hidden_rate=0.1234,
        ess=12.34,
        learner=SimpleNamespace(batches=batch),
    )


@pytest.fixture(params=[True, False], ids=["terminal", "pipe"])
def seen(request, monkeypatch):
    """What is written, and whether to a terminal."""
    written = io.StringIO()
    monkeypatch.setattr(
        console,
        "CONSOLE",
        Console(
            file=written, force_terminal=request.param, width=80, highlight=False, soft_wrap=True,
            color_system=None, legacy_windows=False,
        ),
    )  # fmt: skip
    return written, request.param


def plain_lines(text: str) -> list[str]:
    """Lines without the codes that move a cursor."""
    return [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in re.split(r"[\r\n]", text)]


def test_a_course_tells_how_fast_it_goes(seen, monkeypatch):
    """On a terminal as a bar; in a pipe as a line, now and then."""
    written, terminal = seen
    clock = iter([0.0, 10.0, 40.0, 41.0])
    if not terminal:
        monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with console.course(1000, "recordings") as passed:
        for _ in range(3):
            passed(200)
    lines = [line for line in plain_lines(written.getvalue()) if line.strip()]
    assert max(map(len, lines)) <= 80
    if terminal:
        assert "600/1000" in lines[-1]
    else:
        assert lines == ["400 of 1000 recordings, 10 a second, 0:01:00 left"]


def test_the_result_of_an_epoch_fits_80_columns_and_is_whole(seen):
    written, terminal = seen
    with console.training_display(cast(TrainSpec, SimpleNamespace(epochs=100)), 5) as display:
        for batch in range(1, 11):
            display.show(update(batch, 5), SCORES if batch == 10 else None)
    lines = plain_lines(written.getvalue())
    assert max(map(len, lines)) <= 80
    for whole in (
        "epoch   1/100  loss  123.46  bound -1234.56  hidden 0.123  ESS 12.34",
        "               validation: 87.7% right, ECE 0.034, log-likelihood -15.2",
        "               hidden neurons: 3 quiet, 1 saturated",
    ):
        assert [line.rstrip() for line in lines].count(whole) == 1
    assert "-:--" not in written.getvalue()
    if not terminal:
        assert "" not in lines[:-1]
        assert len(lines[:-1]) == 4


def test_bars_and_spinners_leave_a_pipe_alone(seen):
    written, terminal = seen
    assert list(console.bar(range(3), 3, "reading")) == [0, 1, 2]
    with console.status("waiting"):
        console.say("done")
    assert "-:--" not in written.getvalue()
    if not terminal:
        assert written.getvalue() == "waiting\ndone\n"


def test_compiling_is_told_when_something_compiles(seen):
    from numba import njit

    written, _ = seen
    add = njit(lambda a, b: a + b)
    with console.compiling("compiling, which takes a while"):
        assert add(1, 2) == 3
        assert add(1.0, 2.0) == 3
    assert written.getvalue().count("compiling, which takes a while") >= 1
    before = written.getvalue()
    with console.compiling("compiling, which takes a while"):
        assert add(3, 4) == 7
    assert written.getvalue() == before


LOADS = """
import contextlib, io, sys
from gemsnn.commands.cli import main

def loaded(*names):
    return [name for name in names if name in sys.modules]

heavy = ("torch", "numba", "sklearn", "matplotlib", "scipy", "rich")
import gemsnn
assert dir(gemsnn) and not loaded("tyro", "numpy", *heavy), loaded("tyro", "numpy", *heavy)
assert main(["--version"]) == 0
assert not loaded("tyro", "numpy", *heavy), loaded("tyro", "numpy", *heavy)
for words in (["--help"], ["info", "--help"], ["report", "--help"], ["evaluate", "--help"], ["stream", "--help"]):
    if words[0] == "info":
        with open(sys.argv[1], "wb") as file:
            file.write(bytes(5 * 7))
        assert main(["info", sys.argv[1]]) == 0
    if words[0] == "report":
        assert main(["report", "no-such-run"]) == 2
    with contextlib.suppress(SystemExit):
        main(words)
    if words[0] in ("--help", "info"):
        assert not loaded(*heavy), (words, loaded(*heavy))
    if words[0] == "report":  # it draws, and computes nothing
        assert not loaded("torch", "numba", "sklearn", "scipy"), (words, loaded(*heavy))
        for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
            del sys.modules[name]
    if words[0] in ("evaluate", "stream"):
        assert not loaded("sklearn", "matplotlib"), (words, loaded(*heavy))
"""


def test_a_command_loads_what_it_needs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LOADS, str(tmp_path / "00001.bin")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
