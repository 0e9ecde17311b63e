"""What README and the documents say: their numbers, commands and examples are those of the project."""

import ast
import re
from functools import partial
from pathlib import Path

import pytest
from pages import blocks, smaller

import gemsnn
from gemsnn.commands.cli import COMMANDS, main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]
DOCUMENTS = [ROOT / "README.md", *PAGES]
MEASURED = re.compile(r"-?\d+\.\d+ ± \d+\.\d+")


def test_the_first_sentence_claims_no_more_than_is_measured():
    """That it knew what it does not know would be refuted by what it says of noise (docs/results.md)."""
    first = README.split("\n\n")[1]
    assert first.endswith("votes.")
    assert not re.search(r"know|sure|uncertain|calibrat", first)
    assert "sure of noise" in (ROOT / "docs" / "results.md").read_text()


def test_what_best_is_stands_beside_its_numbers():
    """It has one compartment in training and learns in batches: not what README opens with, nor online."""
    (row,) = [line for line in README.splitlines() if line.startswith("| recipe `best`")]
    assert "online" not in row
    assert "one compartment learns" in row
    text = " ".join(README.split())
    for said in ("batches of 16", "mostly of voting"):
        assert said in text, said


def test_numbers_of_the_readme_stand_beside_their_commands():
    results = "\n".join(path.read_text() for path in ROOT.glob("docs/*.md"))
    results += "\n".join(path.read_text() for path in ROOT.glob("experiments/*/README.md"))
    found = MEASURED.findall(README.replace("**", ""))
    assert len(found) > 10
    assert [number for number in found if number not in results.replace("**", "")] == []


def test_recipes_tell_the_numbers_of_the_results():
    results = (ROOT / "docs" / "results.md").read_text().replace("**", "")
    for path in ROOT.glob("gemsnn/runs/recipes/*.toml"):
        text = re.sub(r"log-likelihood +\S+ \+- \S+", "", path.read_text())
        found = [each.replace("+-", "±") for each in re.findall(r"\d+\.\d+ \+- \d+\.\d+", text)]
        assert len(found) > 8
        assert [number for number in found if number not in results] == [], path


def test_commands_of_the_documents_exist(capsys):
    known = {}
    for name in (*COMMANDS, "reproduce real"):
        with pytest.raises(SystemExit) as stop:
            main([*name.split(), "--help-all"])
        assert stop.value.code == 0
        known[name] = set(re.findall(r"--[a-z0-9-]+", capsys.readouterr().out))
    seen = 0
    for path in DOCUMENTS:
        for name, words in re.findall(
            r"^(?:.*\| )?gemsnn (reproduce real|[a-z]+)(.*?)(?:  +#.*)?$", path.read_text(), re.MULTILINE
        ):
            flags = set(re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", words))
            assert name in known, (path, name)
            assert flags <= known[name], (path, name, flags - known[name])
            seen += 1
    assert seen > 15


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    """On forty digits and one epoch, as everything else of them is."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--limit", "40", "--epochs", "1", "--hidden", "4", "--out", "runs/demo"]) == 0
    scope = {"small": partial(gemsnn.fit, epochs=1)}
    found = blocks(README)
    assert len(found) == 6
    said = []
    for block in found:
        assert len(block.strip().splitlines()) < 10, block
        capsys.readouterr()
        exec(smaller(block), scope)
        said.append(capsys.readouterr().out.splitlines())
    assert scope["probabilities"].shape == (len(scope["data"].test), 10)
    assert [len(lines) for lines in said] == [1, 1, 1, 0, 1, 80]
    assert set(ast.literal_eval(said[1][0])) <= {"calm", "lively", None}
    assert Path("digits.gemsnn.safetensors").is_file()
