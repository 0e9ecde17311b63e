"""The code of docs/extending.md runs, and its rules train from the command line."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from runs import command

from gemsnn.commands.cli import main
from gemsnn.runs.loading import load_model

pytestmark = pytest.mark.usefixtures("undrawn")

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
BLOCKS = re.findall(r"```python(?: title=(\S+))?\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files of the page, in a folder of their own."""
    for name, code in BLOCKS:
        if name:
            with (tmp_path / name).open("a") as file:
                file.write(code + "\n\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    modules = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == tmp_path:
            del sys.modules[name]


def test_every_block_runs(folder):
    assert len(BLOCKS) >= 4
    scope: dict = {}
    for name, code in BLOCKS:
        exec(compile(code, name or "a block of docs/extending.md", "exec"), scope)


def test_the_function_is_as_short_as_it_is_said_to_be(folder):
    (first, *_) = [code for name, code in BLOCKS if name]
    assert "def sharp" in first
    assert len(first.splitlines()) <= 15


@pytest.mark.parametrize(
    ("rule", "kernel"),
    [("mine:sharp", "cpu"), ("mine.py:SharpAndOneHop", "cpu"), ("mine:Impatient", "reference")],
)
def test_its_rules_train(folder, nmnist_root, rule, kernel):
    few = ("--limit", "20", "--epochs", "1", "--compartments", "2")
    assert main(command(nmnist_root, "run", "--rule", rule, *few)) == 0
    assert json.loads(Path("run/manifest.json").read_text())["kernel"] == kernel
    assert load_model("run").learner.batches > 0
