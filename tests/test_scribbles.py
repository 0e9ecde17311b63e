"""Scribbles: what is drawn, what a run keeps of them, whether confidence tells them apart, and what the page says."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from synthetic_run import write_run
from test_report import Page

from gemsnn.commands.cli import main
from gemsnn.data.binning import BinSpec
from gemsnn.data.images import digits_images, framed
from gemsnn.data.scribbles import FRAME, emulated_scribbles, scribbles
from gemsnn.errors import InputError
from gemsnn.report import read_run, render
from gemsnn.report.unknown import TITLE, words
from gemsnn.runs.loading import load_model
from gemsnn.runs.unknown import NAME, save_scribbles
from gemsnn.scoring.unknown import auroc
from gemsnn.store.records import RunFolder

# -- drawing ---------------------------------------------------------------------------------------------------


def test_scribbles_have_a_pen_and_a_place_as_digits_have():
    drawn, digits = scribbles(60), framed(digits_images().images)
    assert drawn.shape == (60, FRAME, FRAME)
    assert drawn.dtype == np.uint8
    assert drawn.max() == digits.max() == 255
    assert 0.7 < drawn.mean() / digits.mean() < 1.3  # as much ink
    for image in drawn:
        rows, columns = (np.flatnonzero(image.max(axis)) for axis in (1, 0))
        for found in (rows, columns):
            assert abs(found[0] + found[-1] - (FRAME - 1)) <= 1  # in the middle
            assert found[-1] - found[0] < 22  # no larger than the paper and its pen
    assert len({image.tobytes() for image in drawn}) == 60


def test_the_first_scribbles_are_the_same_however_many_there_are():
    assert np.array_equal(scribbles(3), scribbles(7)[:3])
    assert not np.array_equal(scribbles(3), scribbles(3, seed=1))
    with pytest.raises(InputError, match="count"):
        scribbles(0)


@pytest.mark.parametrize("bins", [BinSpec(steps=4), BinSpec(steps=4, polarity="merged", crop=(8, 8, 10, 10))])
def test_scribbles_are_binned_as_the_networks_own_recordings(bins):
    found = emulated_scribbles(2, bins, 10)
    assert found.layout == bins.layout(26, 26, 10)
    assert found.counts_per_input().sum() > 50
    assert np.array_equal(found.bins(1), emulated_scribbles(2, bins, 10).bins(1))


# -- telling apart ---------------------------------------------------------------------------------------------

levels = st.lists(st.integers(0, 4), min_size=1, max_size=9).map(lambda each: torch.tensor(each) / 4)


@given(levels, levels)
def test_the_area_counts_pairs(known, others):
    pairs = [float(c > d) + float(c == d) / 2 for c in known for d in others]
    found = auroc(known, others)
    assert found.area == pytest.approx(np.mean(pairs))
    assert auroc(others, known).area == pytest.approx(1 - found.area)
    assert found.error >= 0


def test_the_areas_error_is_that_of_repeated_drawing():
    """Of exponential confidences, for which the formula is exact; 400 draws tell a spread to 3.5 % (one error)."""
    random = np.random.default_rng(0)
    draws = [
        auroc(*(torch.from_numpy(random.exponential(scale, 60)) for scale in (2.0, 1.0))) for _ in range(400)
    ]
    areas, errors = np.array(draws).T
    assert areas.mean() == pytest.approx(2 / 3, abs=0.01)
    assert errors.mean() == pytest.approx(areas.std(), rel=0.15)


@pytest.mark.parametrize("bad", [torch.zeros(0), torch.zeros(2, 2), torch.tensor([float("nan")])])
def test_an_area_of_nothing_is_refused(bad):
    with pytest.raises(InputError, match="unknown must be one confidence a recording"):
        auroc(torch.ones(1), bad)


# -- what a run keeps ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("scribbles") / "run"
    flags = ["--limit", "60", "--epochs", "1", "--hidden", "8", "--steps", "12", "--votes", "3"]
    assert main(["train", *flags, "--decoder", "votes", "--out", str(run)]) == 0
    return run


def test_a_run_keeps_its_confidences(trained):
    found = load_file(trained / NAME)
    test = len(load_file(trained / "answers.safetensors")["labels"])
    for name in ("known", "unknown", "known_alone", "unknown_alone"):
        assert found[name].shape == (test,)
    assert set(np.unique(found["unknown_alone"])) <= {0.1, 1.0}  # one vote is certain, and silence is even
    answers = load_file(trained / "answers.safetensors")
    assert np.array_equal(found["known"], answers["probabilities"].max(1))
    assert (np.diff(found["confidence"]) <= 0).all()
    assert found["pictures"].shape == (6, 2 * 26 * 26)
    page = Page(render(read_run(trained)))
    assert TITLE in page.headings("h2")
    assert f"{test} scribbles, random strokes" in page.text


def test_what_is_not_emulated_is_shown_no_scribbles(trained, tmp_path):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    model = load_model(run)
    other = dataclasses.replace(
        model.settings, data=dataclasses.replace(model.settings.data, data="nmnist", root=tmp_path)
    )
    poll = model.poll(emulated_scribbles(2, model.settings.data.bins, 10), 3)
    save_scribbles(RunFolder(run), dataclasses.replace(model, settings=other), poll, None)
    assert not (run / NAME).exists()
    assert TITLE not in render(read_run(run))


# -- what the page says ----------------------------------------------------------------------------------------


def with_confidences(run: Path, known: float, others: float, spread: float = 0.05, **facts: str) -> str:
    """The section's words about 100 confidences around each of these."""
    around = np.linspace(-spread, spread, 100)
    tensors = {
        "known": np.clip(known + around, 0, 1),
        "unknown": np.clip(others + around, 0, 1),
        "known_alone": np.ones(100),
        "unknown_alone": np.ones(100),
        "pictures": np.ones((2, 26 * 26), np.uint16),
        "answers": np.array([3, -1]),
        "confidence": np.array([0.9, 0.3]),
    }
    told = {
        "together_area": 0.8,
        "together_error": 0.03,
        "alone_area": 0.5,
        "alone_error": 0.04,
        "compartments": 10,
    }
    save_file(tensors, run / NAME, {key: str(value) for key, value in (told | facts).items()})
    text = words(read_run(run))
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture
def run(tmp_path) -> Path:
    return write_run(tmp_path / "run", presentations=40, compartments=3, updates=10)


@pytest.mark.parametrize(
    ("known", "others", "spread", "said"),
    [
        (0.8, 0.6, 0.05, "80.0 % sure of test recordings and 60.0 % of scribbles: its confidence falls."),
        (0.6, 0.8, 0.05, "it is surer of scribbles."),
        (0.6, 0.59, 0.2, "no difference beyond the error."),
    ],
)
def test_words_about_scribbles_follow_the_numbers(run, known, others, spread, said):
    text = with_confidences(run, known, others, spread)
    assert said in text
    assert "in 80.0 ± 3.0 % of cases" in text
    assert "by 10 compartments, in 50.0 ± 4.0 % by one alone" in text


def test_words_about_scribbles_it_is_sure_of(run):
    assert "Of no scribble is it 90 % sure." in with_confidences(run, 0.8, 0.6)
    assert "Of 50 % of the scribbles it is still 90 % sure or more" in with_confidences(run, 0.9, 0.9)
    assert "by one alone" not in with_confidences(run, 0.9, 0.9, compartments="1")


def test_the_section_draws_both_and_some_of_the_scribbles(run):
    assert TITLE not in render(read_run(run))
    with_confidences(run, 0.8, 0.6)
    page = Page(render(read_run(run)))
    assert {"How sure it is", "Some scribbles, and what it takes them for"} <= set(page.headings("h3"))
    assert "“3”, 90 % sure" in page.source
    assert ">no answer<" in page.source


@pytest.mark.parametrize(
    "break_it",
    [
        lambda t, m: m.pop("together_area"),
        lambda t, m: m.update(together_area="2"),
        lambda t, m: m.update(alone_error="nan"),
        lambda t, m: t.update(known=np.full(100, 1.5)),
        lambda t, m: t.update(unknown=np.ones(99)),
        lambda t, m: t.update(answers=np.array([3, -2])),
        lambda t, m: t.update(pictures=np.ones((3, 5), np.uint16)),
    ],
)
def test_a_damaged_file_is_named(run, break_it):
    with_confidences(run, 0.8, 0.6)
    tensors = load_file(run / NAME)
    facts = {"together_area": "0.8", "together_error": "0.03", "alone_area": "0.5", "alone_error": "0.04"}
    facts["compartments"] = "10"
    break_it(tensors, facts)
    save_file(tensors, run / NAME, facts)
    with pytest.raises(InputError, match=re.escape(NAME)):
        read_run(run)
