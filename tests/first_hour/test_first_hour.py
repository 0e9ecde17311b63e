"""README, the demo, recordings of one's own, predictions in Python, the tutorials: as a newcomer goes through them."""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from pages import ROOT, blocks, cells, commands, smaller

README = (ROOT / "README.md").read_text()
TUTORIALS = ROOT / "docs" / "tutorials"
FAULTS = re.compile(r"Traceback|Warning|Error\b")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder, in which one step follows the other."""
    return tmp_path_factory.mktemp("first-hour")


def run(folder: Path, words: list[str]) -> str:
    """What a process says on standard output; it must end well and tell of no fault."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (words, done.stderr)
    assert not FAULTS.search(done.stderr), (words, done.stderr)
    return done.stdout


def gemsnn(folder: Path, words: list[str], **smaller: str) -> str:
    """A command, with other values of some flags, which are given where they were not."""
    assert words[0] == "gemsnn"
    words = words[1:]
    for name, value in smaller.items():
        flag = f"--{name}"
        if flag in words:
            words[words.index(flag) + 1] = value
        else:
            words += [flag, value]
    return run(folder, ["-m", "gemsnn", *words])


def told(start: str, **places: str) -> list[str]:
    """The command of README that begins so, with places of the reader's own."""
    found = [words for words in commands(README) if " ".join(words).startswith(f"gemsnn {start}")]
    assert found, f"README has no command that begins with gemsnn {start}"
    return [places.get(word, word) for word in found[0]]


def tables(said: str) -> dict[str, float]:
    """The accuracy of each line of a table of scores."""
    return {
        name.strip(): float(accuracy)
        for name, accuracy in re.findall(r"^(\S.*?)  +(\d\.\d{3}) ", said, re.MULTILINE)
    }


def test_the_start_names_what_there_is():
    """Each target of ``make`` exists, and the reader is told how the shell finds gemsnn before it is first called."""
    start = README.split("## Start")[1].split("## Use")[0]
    (block,) = blocks(start, "")
    targets = re.findall(r"^make (\w+)", block, re.MULTILINE)
    assert targets[0] == "demo"
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    assert ". .venv/bin/activate" in block
    pinned = dict(re.findall(r"^(torch)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert f"torch=={pinned['torch']} " in start


def test_the_demo(folder):
    """What ``make demo`` would run, on few digits: a table each, and one page of both."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    dry = subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    steps = [line.split()[1:] for line in dry.splitlines() if line.startswith(".venv/bin/gemsnn ")]
    assert [step[0] for step in steps] == ["train", "train", "report"]
    for step in steps:
        few = {"limit": "40", "epochs": "1"} if step[0] == "train" else {}
        said = gemsnn(folder, ["gemsnn", *step], **few)
        if step[0] == "train":
            assert 0 < tables(said)["network"] < 1
            assert said.splitlines()[-1] == f"report: {step[-1]}/report.html"
    assert said == "runs/demo/report.html\n"
    page = (folder / "runs" / "demo" / "report.html").read_text()
    assert re.search(r"<h2[^>]*>One compartment beside 10<", page)
    assert not re.search(r"""(src|href)=["']?http""", page), "the page needs no network"


def test_the_lines_of_python(folder):
    """Those of README, in the folder in which the demo has left its run."""
    if not (folder / "runs" / "demo").is_dir():
        pytest.skip("the demo has not been run")
    lines = [
        "from functools import partial", "import gemsnn", "small = partial(gemsnn.fit, epochs=1)",
        *(smaller(block) for block in blocks(README)),
        "assert model.votes == 10",
        "assert gemsnn.predict(model, data.test).temperature == model.temperature(10)",
    ]  # fmt: skip
    (folder / "readme.py").write_text("\n".join(lines))
    said = run(folder, ["readme.py"]).splitlines()
    assert 0 <= float(said[0]) <= 1
    assert set(ast.literal_eval(said[1])) <= {"calm", "lively", None}
    assert [line.split()[0] for line in said[4:]] == [str(bin) for bin in range(20)]


@pytest.fixture(scope="module")
def own(folder):
    """The tutorial of one's own events, which makes files, learns them, and answers others; what it prints."""
    code = "\n".join(cells((TUTORIALS / "own-events.md").read_text()))
    (folder / "own.py").write_text(code.replace("range(90)", "range(45)"))
    return run(folder, ["own.py"])


def test_recordings_of_one_s_own(own, folder):
    assert "classes: bar 15, cross 15, ring 15" in own
    assert tables(own)["network"] > 0.7
    assert own.splitlines()[-1].startswith("('ring',)")
    with (folder / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["recording", "answer", "entropy", "p_bar", "p_cross", "p_ring", "error"]
    assert [row["answer"] for row in rows] == ["ring", "bar", "cross", "bar"]
    assert (folder / "run" / "report.html").is_file()


def test_the_commands_on_them(own, folder):
    """Those of README under "Use" that need nothing but recordings of one's own, in their order."""
    places = {"FOLDER": "recordings", "RUN": "mine", "RUN2": "other", "FILE": "new/200.csv"}
    few = {"epochs": "2", "hidden": "16", "decoder": "rates"}  # so that RUN2 surely answers alike
    said = gemsnn(folder, told("train --data events --root FOLDER --out RUN", **places), **few)
    assert "report: mine/report.html" in said
    gemsnn(folder, told("train --from RUN", **places), epochs="1")
    found = json.loads(gemsnn(folder, told("evaluate RUN", **places)))
    assert {"accuracy", "ece", "nll", "costs", "neurobench"} <= set(found)
    assert found["names"] == ["bar", "cross", "ring"]
    said = gemsnn(folder, told("certify RUN", **places), risk="0.6")
    assert "certificate: mine/certificate.json" in said
    answers = told("predict RUN FOLDER", **(places | {"FOLDER": "new", "answers.csv": "again.csv"}))
    gemsnn(folder, answers)
    assert len((folder / "again.csv").read_text().splitlines()) == 5
    lines = gemsnn(folder, told("stream --model RUN", **places)).splitlines()
    assert "set" in json.loads(lines[-1])
    assert json.loads(gemsnn(folder, told("info FILE", **places)))["events"] > 100
    if find_spec("nir") is not None:
        assert gemsnn(folder, told("export RUN", **places)).startswith("digits.nir: ")
    assert gemsnn(folder, told("report RUN --beside RUN2", **places)) == "mine/report.html\n"


def test_the_first_tutorial(folder):
    code = "\n".join(cells((TUTORIALS / "start.md").read_text()))
    assert "limit=400" in code
    few = code.replace("limit=400", "limit=60").replace("epochs=5", "epochs=1")
    (folder / "start.py").write_text(few)
    said = run(folder, ["start.py"]).splitlines()
    assert re.fullmatch(r"\d+ train, \d+ validate, \d+ test", said[0])
    assert said[-1] == "True"
