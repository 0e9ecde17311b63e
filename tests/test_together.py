"""One compartment beside several, and one run beside another: the scores, the picture, and the words."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from synthetic_run import answers, draw_votes, edit, write_run
from test_report import Page, cells, words

from gemsnn.commands.cli import main
from gemsnn.errors import InputError
from gemsnn.report import read_run, render
from gemsnn.report.reading import BESIDE
from gemsnn.report.together import together
from gemsnn.runs.beside import NAME, keep
from gemsnn.scoring import measure, metrics
from gemsnn.scoring.answers import Answers

SPACES = str.maketrans("\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}", "  ")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "small", presentations=60, compartments=5, updates=10)


@pytest.fixture
def run(small, tmp_path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "run"))


def said(run: Path) -> str:
    return Page(together(read_run(run))).text.translate(SPACES)


# -- scores ----------------------------------------------------------------------------------------------------


def by_compartments(votes: torch.Tensor) -> Answers:
    prefixes = metrics.vote_shares_by_compartments(votes, 10)
    each = [answers(shares, k) for k, shares in enumerate(prefixes, 1)]
    return Answers(*(torch.stack(parts) for parts in zip(*each, strict=True)))


def test_what_one_compartment_says_alone():
    votes, labels = draw_votes(300, 5, 2.0, torch.Generator().manual_seed(0))
    found = measure.alone(by_compartments(votes), labels)
    (certain,) = [cell for cell in found.reliability if cell.count]
    assert certain.confidence == 1.0  # a single vote has no doubt
    assert certain.accuracy == pytest.approx(float((votes[:, 0] == labels).double().mean()))


def test_errors_of_a_change_are_those_of_paired_differences():
    """Nothing changes where both are the same; accuracies differ as the mean of paired differences does."""
    votes, labels = draw_votes(400, 5, 2.0, torch.Generator().manual_seed(1))
    every = by_compartments(votes)
    one, five = every.at(0), every.at(4)
    assert measure.change_errors(five, five, labels).nll == 0.0
    found = measure.change_errors(one, five, labels)
    picked = torch.arange(len(labels))
    differing = five.logs[picked, labels] - one.logs[picked, labels]
    wanted = float(differing.std()) / len(labels) ** 0.5
    assert found.nll == pytest.approx(wanted, rel=0.3)  # 100 resamples tell a spread to 7 % (one error)


# -- one compartment beside several ----------------------------------------------------------------------------


def compartments(
    run: Path, first: dict, last: dict, wide: float | None = 0.01, count: int = 400, **more
) -> None:
    rows = [
        {"compartments": k, "brier": 1.0, "log_likelihood": -5.0, **row} for k, row in ((1, first), (9, last))
    ]
    change = None if wide is None else {"accuracy": wide, "nll": wide, "brier": wide, "ece": wide}
    alone = {"reliability": cells((1.0, first["accuracy"], count)), "change": change}
    edit(run / "metrics.json", presentations=count, by_compartments=rows, alone=alone, **more)


ONE, NINE = {"accuracy": 0.8, "ece": 0.2, "nll": 1.2}, {"accuracy": 0.81, "ece": 0.05, "nll": 0.6}


@pytest.mark.parametrize(
    ("wide", "expected"),
    [
        (
            0.01,
            "lowers its calibration error from 20.0 % to 5.0 % and lowers its surprise from 1.200 nats to 0.600",
        ),
        (
            0.1,
            "makes no difference to its calibration error beyond the error (20.0 % before, 5.0 % after) and lowers",
        ),
        (
            0.5,
            "and makes no difference to its surprise beyond the error (1.200 nats before, 0.600 nats after)",
        ),
        (None, "takes its calibration error from 20.0 % to 5.0 % (no error is known)"),
    ],
)
def test_words_say_where_the_surprise_falls_though_accuracy_does_not(run, wide, expected):
    compartments(run, ONE, NINE, wide)
    text = words(run)
    assert (
        "Voting makes no difference beyond the error to how often it is right: one compartment alone" in text
    )
    assert expected in text


def test_words_say_where_voting_hurts(run):
    compartments(run, NINE, ONE)
    assert "raises its calibration error from 5.0 % to 20.0 % and raises its surprise" in words(run)


def test_the_section_tells_what_is_claimed_and_what_is_reached(run):
    compartments(run, ONE, NINE, reliability=cells((0.9, 0.9, 200), (0.7, 0.72, 200)))
    text = said(run)
    assert (
        "One compartment alone says that it is 100.0 % sure, on average, and is right on 80.0 ± 2.0 %" in text
    )
    assert "9 together say 80.0 % and are right on 81.0 ± 2.0 %" in text
    page = Page(together(read_run(run)))
    assert page.headings("h2") == ["One compartment beside 9"]
    assert "answered by 1" in page.source
    assert "answered by 9" in page.source


def test_a_run_that_tells_nothing_of_one_alone_is_drawn_without(run):
    """As earlier versions wrote them."""
    page = Page(together(read_run(run)))
    assert "answered by 5" in page.source
    assert ">answered by 1<" not in page.source
    assert "one compartment alone would be right on" in page.text


def test_a_single_compartment_has_nothing_beside_it(run):
    edit(run / "metrics.json", by_compartments=[{"compartments": 1, **ONE}])
    assert "was not measured beside" in said(run)


def test_the_divided_recording_is_drawn_with_its_votes(run):
    text = said(run)
    example = load_file(run / "example-unsure.safetensors")
    right = int((example["votes"] == example["label"]).sum())
    assert f"of 5 compartments {right} vote for it (blue) and {5 - right} for something else (orange)" in text
    source = together(read_run(run))
    assert re.findall(r"\d: votes (\d)", source) == [str(int(vote)) for vote in example["votes"]]


# -- one run beside another ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    flags = ["train", "--limit", "60", "--epochs", "1", "--hidden", "8", "--steps", "12", "--votes", "3"]
    flags += ["--decoder", "votes", "--rule", "gem"]
    for name, learned in (("one", "1"), ("several", "4")):
        assert main([*flags, "--compartments", learned, "--out", str(folder / name)]) == 0
    return folder / "several", folder / "one"


@pytest.fixture
def both(pair, tmp_path) -> tuple[Path, Path]:
    several, one = (Path(shutil.copytree(each, tmp_path / each.name)) for each in pair)
    return several, one


def test_a_report_shows_another_run_beside(both, capsys):
    several, one = both
    assert main(["report", str(several), "--beside", str(one)]) == 0
    shutil.rmtree(one)  # what is shown of it is kept
    page = Page(render(read_run(several)))
    text = page.text.translate(SPACES)
    for who in ("Taught by 1, answered by 1", "Taught by 4, answered by 3"):
        assert who in text
    assert "Where 3 answer, the network taught by 4, beside that taught by 1, is right on" in text
    kept, own = json.loads((several / BESIDE).read_text()), load_file(several / NAME)
    assert kept["compartments"] == 1
    picked = torch.arange(len(own["labels"]))
    nll = -float(own["logs"][picked, own["labels"]].mean())
    assert nll == pytest.approx(json.loads((several / "metrics.json").read_text())["nll"])
    assert f"a surprise of {nll:.3f} nats instead of {kept['scores']['nll']:.3f}" in text


@pytest.mark.parametrize(
    ("wide", "verdict"),
    [(0.001, "(less)"), (10.0, "(no difference beyond the error)"), (None, "(no error is known)")],
)
def test_words_about_learning_go_by_the_paired_error(both, wide, verdict):
    several, one = both
    keep(several, one)
    kept, scores = (json.loads((several / name).read_text()) for name in (BESIDE, "metrics.json"))
    kept["change"] = None if wide is None else dict.fromkeys(kept["change"], wide)
    kept["scores"]["log_likelihood"] = scores["log_likelihood"] + 1
    (several / BESIDE).write_text(json.dumps(kept))
    edit(several / "metrics.json", presentations=100)
    assert (
        said(several)
        .split("a log-likelihood of")[1]
        .split("instead of")[1]
        .split(".", 2)[1]
        .endswith(verdict)
    )


def test_the_error_of_the_likelihood_is_that_of_paired_differences(both):
    several, one = both
    mine, its = (load_file(each / NAME)["likelihood"] for each in both)
    keep(several, one)
    kept = json.loads((several / BESIDE).read_text())
    wanted = np.std((mine - its).numpy(), ddof=1) / np.sqrt(len(mine))
    assert kept["change"]["log_likelihood"] == pytest.approx(wanted)


def test_runs_that_do_not_compare_are_refused(both):
    several, one = both
    with pytest.raises(InputError, match="not a folder"):
        keep(several, one / "absent")
    other = load_file(one / NAME)
    save_file(other | {"address": other["address"] + 1}, one / NAME)
    with pytest.raises(InputError, match="they were asked about other recordings"):
        keep(several, one)
    edit(one / "metrics.json", decoder="rates")
    with pytest.raises(InputError, match="its decoder is 'rates', not 'votes'"):
        keep(several, one)
    (one / NAME).unlink()
    with pytest.raises(InputError, match="keeps no final answers"):
        keep(several, one)
    assert not (several / BESIDE).exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "x"}', '{"name": 1, "scores": {}, "compartments": 1}'])
def test_a_damaged_file_is_named(run, text):
    (run / BESIDE).write_text(text)
    with pytest.raises(InputError, match=re.escape(BESIDE)):
        read_run(run)


def test_names_of_another_run_are_escaped(both):
    several, one = both
    keep(several, one)
    kept = json.loads((several / BESIDE).read_text())
    (several / BESIDE).write_text(json.dumps(kept | {"name": "<b>bold", "compartments": None}))
    page = Page(render(read_run(several)))
    assert "b" not in {tag for tag, _ in page.tags}
    assert "<b>bold" in page.text
