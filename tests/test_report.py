"""The page of a run: whole, self-contained, honest about what is missing, in words that fit the numbers."""

from __future__ import annotations

import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from synthetic_run import edit, write_run

from gemsnn.errors import InputError
from gemsnn.plots.looks import COLOURS
from gemsnn.report import (
    figures_learning,
    figures_recording,
    figures_together,
    figures_uncertainty,
    read_run,
    render,
    summary,
    svg,
    write_report,
)
from gemsnn.report.comparing import moved
from gemsnn.report.numbers import percent
from gemsnn.report.reading import Layout
from gemsnn.report.words import mistakes
from gemsnn.scoring import chance

OF_WORDS = (
    "test_words",
    "test_no_words",
    "test_a_temperature_is_told",
    "test_a_calibration_error_is",
    "test_a_cell_of_few",
)
"""Tests with these names look at the page's sentences alone."""

DRAWN = {
    figures_uncertainty: (
        "against_compartments",
        "confusion",
        "over_time",
        "reliability_diagram",
        "selective_curve",
    ),
    figures_learning: ("activity_curve", "effective_compartments", "evidence_curve", "validation_curve"),
    figures_recording: ("augmented", "course", "frames", "raster", "receptive_fields"),
    figures_together: ("divided", "one_beside_several", "surprise"),
}


@pytest.fixture(autouse=True)
def figures_where_they_are_looked_at(request, monkeypatch):
    """Drawing takes a second, and most tests here look at sentences."""
    if request.node.name.startswith(OF_WORDS):
        for module, names in DRAWN.items():
            for name in names:
                monkeypatch.setattr(module, name, lambda *_, **__: "<svg></svg>")


SECTIONS = (
    "One compartment beside 20",
    "Key figures",
    "Accuracy and uncertainty",
    "Two recordings from the inside",
    "How it learned",
    "What neurons look for",
    "What it costs",
    "How to get this again",
)
FIGURES = (
    "What they are sure of, and what that is worth",
    "How surprised they are by the truth",
    "The test recording that their votes differ on most",
    "Reliability diagram",
    "Answering only when sure",
    "Right answers, by compartments asked",
    "Calibration error, by compartments asked",
    "Right answers, while the recording runs",
    "Surprise, while the recording runs",
    "Calibration error, while the recording runs",
    "Confusion matrix",
    "Least sure: class 3, answered 8 (wrong)",
    "Surest: class 3, answered 3 (right)",
    "Log-likelihood during training",
    "Hidden activity",
    "Who teaches",
    "Accuracy during training",
    "Weights from the sensor",
)
VOID = {"meta", "link", "br", "img", "hr"}


class Page(HTMLParser):
    """Checks that tags balance, and keeps what the tests ask about."""

    def __init__(self, text: str):
        super().__init__()
        self.source = text
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data

    def headings(self, tag: str) -> list[str]:
        return re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", self.source)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "digits-k20")


@pytest.fixture(scope="module")
def page(finished) -> Page:
    return Page(render(read_run(finished)))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "small", presentations=60, compartments=5, updates=40)


@pytest.fixture
def run(small, tmp_path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "run"))


def words(run: Path) -> str:
    """The summary, without tags and with plain spaces."""
    text = re.sub("<[^>]*>", "", " ".join(summary(read_run(run))))
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")


def test_page_is_whole(finished):
    target = write_report(finished)
    assert target == finished / "report.html"
    text = target.read_text(encoding="utf-8")
    page = Page(text)
    assert page.headings("h2") == list(SECTIONS)
    assert page.headings("h3") == list(FIGURES)
    assert "Baseline: logistic regression on event counts per pixel." in page.text
    assert len(text) < 1_500_000
    assert sorted(path.name for path in finished.iterdir() if path.name.startswith(".")) == []


def test_page_loads_nothing(page):
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed"}
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
    assert "://" not in page.source
    assert "@import" not in page.source
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", page.source))


def test_every_figure_has_a_name_a_caption_and_ids_of_its_own(page):
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) > len(FIGURES) + 2  # an example is events as pictures, and spikes
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in pictures)
    assert sum(tag == "figcaption" for tag, _ in page.tags) == len(FIGURES)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {(attributes["xlink:href"] or "")[1:] for tag, attributes in page.tags if tag == "use"}
    assert used <= set(ids)


def test_the_page_decides_the_colours(page):
    text = page.source
    assert not any(placeholder in text for placeholder in svg.PLACEHOLDERS)
    assert "var(--main)" in text
    assert "prefers-color-scheme: dark" in text


def test_same_run_same_page_and_matplotlib_stays_as_it_was(finished, page):
    before = dict(mpl.rcParams)
    assert render(read_run(finished)) == page.source
    assert dict(mpl.rcParams) == before


def test_words_of_users_are_escaped(tmp_path):
    run = write_run(tmp_path / "<b>bold&", presentations=40, compartments=3, updates=10)
    edit(run / "manifest.json", notes=["<script>alert(1)</script>"], gemsnn="<i>")
    scores = json.loads((run / "metrics.json").read_text())
    scores["baseline"]["name"], scores["split"] = "<u>$x^2$</u>", "<s>"
    (run / "metrics.json").write_text(json.dumps(scores))
    config = (run / "config.toml").read_text().replace('"digits"', '"<em>digits</em>"')
    (run / "config.toml").write_text(config)
    text = render(read_run(run))
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"b", "i", "u", "s", "em", "script"}
    for shown in ("<b>bold&", "<script>", "<i>", "<u>$x^2$</u>", "<s>", "<em>digits</em>"):
        assert shown in page.text


# -- what is missing ---------------------------------------------------------------------------------------


def test_a_folder_that_is_no_run(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="is not a run folder"):
            write_report(folder)


@pytest.mark.parametrize(
    "name", ["manifest.json", "metrics.json", "config.toml", "example-sure.safetensors", "fields.safetensors"]
)
def test_a_damaged_file_is_named(run, name):
    (run / name).write_text("{ not this")
    with pytest.raises(InputError, match=re.escape(name)):
        write_report(run)
    assert not list(run.glob("*report*"))


def test_another_schema_is_refused(run):
    edit(run / "metrics.json", schema=2)
    with pytest.raises(InputError, match="schema 2"):
        write_report(run)


def test_interrupted_before_anything(run):
    for path in run.iterdir():
        if path.name != "manifest.json":
            path.unlink()
    edit(run / "manifest.json", status="interrupted", finished=None)
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert len(page.headings("h2")) == len(SECTIONS)
    assert page.headings("h3") == []
    assert "This run was interrupted" in page.text
    assert "nothing to report yet" in words(run)


def test_still_running_or_killed(run):
    (run / "metrics.json").unlink()
    (run / "example-sure.safetensors").unlink()
    edit(run / "manifest.json", status="running", notes=["Some files were skipped."])
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "has not finished, or it was cut off" in text
    assert "Note: Some files were skipped." in text


def test_interrupted_while_learning(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()[:3]
    (run / "metrics.jsonl").write_text("\n".join([*lines, '{"kind": "train", "upd']))
    (run / "metrics.json").unlink()
    edit(run / "manifest.json", status="interrupted", finished=None)
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert "Log-likelihood during training" in page.headings("h3")
    assert "not evaluated while it learned" in page.text
    assert words(run).startswith("The network has learned from 96 presentations and has not been evaluated")


def test_interrupted_after_an_evaluation(run):
    (run / "metrics.json").unlink()
    assert re.search(
        r"last checked, after 1 280 presentations, .* \d+\.\d ± 2\.\d % of the 240 recordings", words(run)
    )
    Page(write_report(run).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "key",
    [
        "by_compartments",
        "by_time",
        "reliability",
        "selective",
        "confusion",
        "costs",
        "neurobench",
        "baseline",
        "ece",
    ],
)
def test_any_part_of_the_scores_may_be_missing(run, key):
    (run / "example-unsure.safetensors").unlink()
    (run / "metrics.jsonl").unlink()
    edit(run / "metrics.json", **{key: None})
    Page(write_report(run).read_text(encoding="utf-8"))


def test_all_of_the_scores_may_be_missing(run):
    (run / "metrics.json").write_text('{"schema": 1}')
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.headings("h2") == ["One compartment beside several", *SECTIONS[1:]]


def test_numbers_that_are_not_numbers(run):
    (run / "metrics.jsonl").write_text(
        '{"kind": "train", "presentations": 32, "loss": NaN, "bound": null, "hidden_rate": 0.1, "ess": 1}\n'
    )
    edit(run / "metrics.json", nll=float("inf"), log_likelihood=float("nan"))
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert "inf" not in re.findall(r'class="value">([^<]*)<', page.source)


# -- words that fit the numbers ----------------------------------------------------------------------------


def cells(*rows: tuple[float, float, int]) -> list[dict[str, float]]:
    return [
        {"low": claimed, "high": claimed + 1 / 15, "confidence": claimed, "accuracy": reached, "count": count}
        for claimed, reached, count in rows
    ]


@pytest.mark.parametrize(
    ("reliability", "ece", "expected"),
    [
        (
            cells((0.9, 0.6, 800), (0.5, 0.5, 200)),
            0.24,
            "too sure of itself: overall it claims 82.0 % and reaches 58",
        ),
        (cells((0.6, 0.9, 100)), 0.3, "too modest: overall it claims 60.0 % and reaches 90.0 ± 3.0 %"),
        (
            cells((0.9, 0.9, 100)),
            0.0,
            "Overall it claims 90.0 % and reaches 90.0 ± 3.0 %: no difference beyond the error.",
        ),
        (
            cells((0.9, 0.6, 6)),
            0.3,
            "6 recordings are too few to tell whether its confidence can be trusted.",
        ),
        (
            cells((0.9, 0.86, 100)),
            0.04,
            "claims 90.0 % and reaches 86.0 ± 3.5 %: no difference beyond the error.",
        ),
        (
            cells((0.9, 0.7, 500), (0.5, 0.7, 500)),
            0.2,
            "beyond the error. Single claims are off by 20.0 % on average, where chance alone would make 1.4 %",
        ),
    ],
)
def test_words_about_honesty(run, reliability, ece, expected):
    edit(run / "metrics.json", reliability=reliability, ece=ece)
    assert expected in words(run)


def test_a_run_with_a_cell_for_certainty_alone_is_still_drawn(run):
    """As earlier versions wrote them."""
    certain = {"low": 1.0, "high": 1.0, "confidence": 1.0, "accuracy": 0.97, "count": 40}
    rows = [*cells((0.6, 0.5, 20), (0.9, 0.8, 40)), certain]
    edit(run / "metrics.json", reliability=rows, ece=0.05)
    assert "reliability diagram is missing" not in write_report(run).read_text()


@pytest.mark.parametrize(
    ("reliability", "expected"),
    [
        (
            cells((0.86, 0.33, 60)),
            "Of the 60 recordings of which it is 86 to 93 % sure (86.0 % on average) it is right on 33.0",
        ),
        (cells((0.86, 0.33, 60)), "less often than it says"),
        (cells((0.86, 0.99, 60)), "more often than it says"),
        (cells((0.86, 0.84, 60)), "84.0 ± 4.7 %: no difference beyond the error"),
    ],
)
def test_words_about_a_cell_name_it_and_its_error(run, reliability, expected):
    edit(run / "metrics.json", reliability=reliability)
    assert expected in words(run)


@pytest.mark.parametrize("reliability", [cells((0.86, 0.33, 6), (0.5, 0.5, 94)), cells((0.6, 0.33, 94))])
def test_a_cell_of_few_recordings_or_of_another_confidence_is_not_spoken_of(run, reliability):
    """A sentence about 90 % of sureness once rested on six recordings."""
    edit(run / "metrics.json", reliability=reliability)
    assert "of which it is" not in words(run)


@pytest.mark.parametrize(
    ("kept", "count", "expected"),
    [
        (0.95, 1000, "its doubts point at its mistakes"),
        (0.7, 1000, "its doubts point away from its mistakes"),
        (0.8, 1000, "no difference beyond the error, so nothing shows that its doubts point at its mistakes"),
        (0.83, 60, "no difference beyond the error"),
        (0.95, 20, None),
    ],
)
def test_words_about_abstaining(run, kept, count, expected):
    curve = [{"coverage": 0.8, "accuracy": kept}, {"coverage": 1.0, "accuracy": 0.8}]
    edit(run / "metrics.json", accuracy=0.8, presentations=count, selective=curve)
    assert expected is None or expected in words(run)
    assert ("abstains" in words(run)) == (expected is not None)


def test_words_about_abstaining_tell_both_parts(run):
    curve = [{"coverage": 0.75, "accuracy": 0.9}, {"coverage": 1.0, "accuracy": 0.8}]
    edit(run / "metrics.json", accuracy=0.8, presentations=400, selective=curve)
    assert "right on 90.0 ± 1.7 % of the rest. Of those it would have been right on 50.0 ± 5.0 %" in words(
        run
    )


@pytest.mark.parametrize(
    ("baseline", "expected", "colour"),
    [
        (0.5, "which is worse", "better"),
        (0.95, "which is better", "worse"),
        (0.81, "no difference beyond the error", "same"),
        (0.8, "no difference beyond the error", "same"),
    ],
)
def test_words_about_the_baseline(run, baseline, expected, colour):
    edit(
        run / "metrics.json",
        accuracy=0.8,
        presentations=1000,
        baseline={"name": "logistic regression", "accuracy": baseline, "nll": 1, "brier": 1, "ece": 0},
    )
    assert expected in words(run).split("A simple method")[1].split(". ")[0]
    tiles = re.findall(r'class="versus ([a-z]+)">', render(read_run(run)))
    assert tiles == [colour, *["unknown"] * 3]  # this baseline tells no errors


@pytest.mark.parametrize(
    ("other", "kind"), [(0.05, "worse"), (0.5, "better"), (0.105, "same"), (0.12, "same"), (None, None)]
)
def test_a_calibration_error_is_coloured_by_its_error(run, other, kind):
    scores = json.loads((run / "metrics.json").read_text())
    for row in (scores, scores["baseline"]):
        row["errors"]["plain"]["ece"] = 0.01
    scores["baseline"]["ece"] = other
    edit(run / "metrics.json", **scores | {"ece": 0.1})
    tile = next(
        part for part in render(read_run(run)).split('class="tile"')[1:] if "Calibration error" in part
    )
    assert re.findall(r'class="versus ([a-z]+)">', tile) == ([kind] if kind else [])


def test_words_about_guessing(run):
    edit(run / "metrics.json", accuracy=0.12, presentations=60)
    assert "would be right 10 % of the time: no difference beyond the error." in words(run)
    assert "stays within" not in words(run)
    edit(run / "metrics.json", accuracy=0.12, presentations=60_000)
    assert "would be right 10 % of the time. " in words(run)


@pytest.mark.parametrize(
    ("first", "last", "count", "verdict"),
    [
        (0.6, 0.8, 500, "helps"),
        (0.8, 0.6, 500, "hurts"),
        (0.955, 0.961, 357, "makes no difference beyond the error"),
        (0.8, 1.0, 5, "makes no difference beyond the error"),
    ],
)
def test_words_about_voting(run, first, last, count, verdict):
    rows = [
        {"compartments": k, "accuracy": a, "ece": 0.1, "nll": 1.0, "brier": 1.0}
        for k, a in ((1, first), (9, last))
    ]
    edit(run / "metrics.json", presentations=count, by_compartments=rows)
    told = f"{verdict} to how often it is right" if verdict.startswith("makes") else verdict
    assert f"Voting {told}: one compartment alone" in words(run)
    text = Page(render(read_run(run))).text
    said = {"helps": ", more.", "hurts": ", less."}.get(verdict, ", no difference beyond the error.")
    assert said in text.split("Accuracy with 9 instead of 1")[1].split("Calibration error")[0]


def test_words_about_early_answers(run):
    times = [
        {"step": i + 1, "ms": 25.0 * (i + 1), "accuracy": a}
        for i, a in enumerate((0.1, 0.1, 0.79, 0.3, 0.79, 0.8))
    ]
    edit(run / "metrics.json", accuracy=0.8, presentations=1000, by_time=times)
    assert (
        "It begins to answer after 75 ms (the warm-up). From 125 ms of 150 ms on its accuracy stays"
        in words(run)
    )


@pytest.mark.parametrize("warm_up", [True, False])
def test_the_warm_up_is_told_and_shaded(run, warm_up):
    if not warm_up:
        config = (run / "config.toml").read_text()
        (run / "config.toml").write_text(config.replace("warm_up = 0.5", ""))
    text = Page(render(read_run(run))).text
    assert ("at any moment" in text) != warm_up
    assert (
        "No answer counts before the end of the warm-up, the first 50\N{NO-BREAK SPACE}%" in text
    ) == warm_up
    scores = {"by_time": [{"ms": 25.0 * i, "accuracy": 0.1} for i in range(1, 9)], "classes": 10}
    drawn = figures_uncertainty.over_time(scores, "accuracy", 100.0 if warm_up else 0.0)
    assert ("warm-up" in drawn) == warm_up


unit = st.floats(0, 1)
counted = st.integers(1, 3000)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    right=unit, other=unit, count=counted, one=unit, kept=unit, share=st.floats(0.56, 0.94), claimed=unit,
    eces=st.tuples(unit, unit, st.floats(0, 0.1)), nlls=st.tuples(st.floats(0, 9), st.floats(0, 9), st.floats(0, 1)),
)  # fmt: skip
def test_no_sentence_claims_what_its_numbers_do_not_show(
    run, right, other, count, one, kept, share, claimed, eces, nlls
):
    """The errors here are plain binomial ones, not wider than what the words go by."""

    def apart(p, n, q, m):
        return abs(p - q) > math.sqrt(p * (1 - p) / n + q * (1 - q) / m)

    edit(
        run / "metrics.json",
        accuracy=right, presentations=count, ece=eces[0], nll=nlls[0],
        baseline={"name": "other", "accuracy": other},
        by_compartments=[{"compartments": k, "accuracy": a} for k, a in ((1, one), (5, right))],
        selective=[{"coverage": share, "accuracy": kept}, {"coverage": 1.0, "accuracy": right}],
        reliability=cells((claimed, right, count)),
        errors={"change": {"ece": eces[2], "nll": nlls[2]}},
        tempered={"temperature": 2.0, "ece": eces[1], "nll": nlls[1]},
    )  # fmt: skip
    text = words(run)
    assert "which is better" not in text or (other > right and apart(other, count, right, count))
    assert "which is worse" not in text or (other < right and apart(other, count, right, count))
    assert "Voting helps" not in text or (right > one and apart(right, count, one, count))
    assert "Voting hurts" not in text or (right < one and apart(right, count, one, count))
    by_chance = 2 * math.sqrt(claimed * (1 - claimed) / count) - 1e-9  # were it as often right as it claims
    assert "too sure of itself" not in text or claimed - right > by_chance
    assert "too modest" not in text or right - claimed > by_chance
    assert "point at its mistakes." not in text.replace(
        "nothing shows that its doubts point at its mistakes.", ""
    ) or (kept > right)
    for name, (before, after, wide) in (("its calibration error", eces), ("its surprise", nlls)):
        assert f"lowers {name}" not in text or before - after > 2 * wide
        assert f"raises {name}" not in text or after - before > 2 * wide
    if count < chance.ENOUGH:
        assert not re.search("of which it is|abstains|too sure|too modest|lowers|raises", text)


@given(share=unit, count=st.integers(1, 10_000), z=st.floats(0.5, 3))
def test_wilsons_interval(share, count, z):
    low, high = chance.wilson(share, count, z)
    assert 0 <= low <= share <= high <= 1
    assert high - low > 0
    for edge in (low, high):  # its ends are the shares from which the measured one is z errors away
        if 1e-9 < edge < 1 - 1e-9:
            assert abs(share - edge) == pytest.approx(
                z * math.sqrt(edge * (1 - edge) / count), rel=1e-6, abs=1e-9
            )


def test_what_chance_makes_of_a_calibration_error():
    """Against the sum over all outcomes."""
    rows = cells((0.9, 0.5, 7), (0.3, 0.5, 4), (1.0, 1.0, 9))
    outcomes = {}
    for a in range(8):
        for b in range(5):
            p = math.comb(7, a) * 0.9**a * 0.1 ** (7 - a) * math.comb(4, b) * 0.3**b * 0.7 ** (4 - b)
            outcomes[a, b] = (p, (7 * abs(a / 7 - 0.9) + 4 * abs(b / 4 - 0.3)) / 20)
    mean = sum(p * x for p, x in outcomes.values())
    spread = math.sqrt(sum(p * (x - mean) ** 2 for p, x in outcomes.values()))
    assert chance.calibration_by_chance(rows) == pytest.approx((mean, spread))


def test_words_about_a_single_class(run):
    edit(
        run / "metrics.json", confusion=[[60.0 if i == j == 2 else 0.0 for j in range(10)] for i in range(10)]
    )
    assert "All these recordings belong to one class" in words(run)
    Page(write_report(run).read_text(encoding="utf-8"))


def test_words_without_hidden_neurons_and_with_one_compartment(run):
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(re.sub(r"hidden = \[[^]]*\]", "hidden = []", config))
    edit(run / "metrics.json", compartments=1)
    assert words(run).startswith("The network, with no hidden neurons and a single compartment, named")


def test_percent_never_rounds_to_certainty():
    shown = [percent(share).replace("\N{NO-BREAK SPACE}", " ") for share in (0, 0.004, 0.5, 0.996, 1)]
    assert shown == ["0 %", "0.4 %", "50 %", "99.6 %", "100 %"]
    assert percent(0.9999) != percent(1)
    assert percent(0.0001) != percent(0)


def test_words_about_mistakes():
    assert mistakes([[5, 0], [0, 5]]) == "There was no mistake."
    assert "more than once" in mistakes([[5, 1], [0, 5]])
    assert (
        mistakes([[5, 2.5], [0, 5]])
        == "Most often, class 0 was taken for class 1 (2.5 times of 7.500), which may be chance."
    )
    assert mistakes([[50, 20], [3, 50]]) == "Most often, class 0 was taken for class 1 (20 times of 70)."
    assert mistakes([[5, 3], [3, 5]]) == "No confusion stands out: 2 of them happened 3 times each."


# -- figures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hidden", "compartments", "classes"), [(0, 1, 1), (3, 1, 2), (0, 9, 15), (3, 9, 2)])
def test_raster_of_any_size(hidden, compartments, classes):
    rng = np.random.default_rng(0)
    spikes = rng.integers(0, 2, (compartments, 7, hidden + classes), dtype=np.uint8)
    found = {
        "inputs": rng.integers(0, 2, (7, 12), dtype=np.uint8),
        "hidden": spikes[..., :hidden],
        "visible": spikes[..., hidden:],
        "label": np.array([classes - 1]),
        "votes": rng.integers(0, classes, compartments + 2),
        "bin_us": 1000,
        "answer": 0,
        "begin": 3,
    }
    Page(figures_recording.raster(found))


@pytest.mark.parametrize("kind", ["sure", "unsure"])
def test_raster_of_silence(run, kind):
    path = run / f"example-{kind}.safetensors"
    tensors = {name: value * 0 for name, value in load_file(path).items()}
    save_file(tensors, path, metadata={"bin_us": "25000", "index": "17"})
    Page(write_report(run).read_text(encoding="utf-8"))


def test_frames_put_every_event_at_its_pixel(monkeypatch):
    """Input c + channels * (x * height + y) is channel c of pixel (x, y); ON is blue and OFF orange."""
    layout = Layout(channels=2, height=3, width=4)
    inputs = np.zeros((8, layout.inputs), np.uint8)
    inputs[0, 1 + 2 * (3 * 3 + 1)] = 1  # ON at x = 3, y = 1, in the first frame
    inputs[7, 0 + 2 * (0 * 3 + 2)] = 1  # OFF at x = 0, y = 2, in the last
    drawn = []
    monkeypatch.setattr(Axes, "imshow", lambda axes, image, **_: drawn.append(image))
    titles = re.findall(r"\d to \d ms", "".join(figures_recording.frames(inputs, layout, 1000, "x")))
    assert titles[::2] == [f"{i} to {i + 1} ms" for i in range(8)]
    assert [image.shape for image in drawn] == [(3, 4, 4)] * 8
    assert [int((image[..., 3] > 0).sum()) for image in drawn] == [1, 0, 0, 0, 0, 0, 0, 1]
    assert drawn[0][1, 3].tolist() == pytest.approx([*to_rgb(COLOURS["blue"]), 1])
    assert drawn[7][2, 0].tolist() == pytest.approx([*to_rgb(COLOURS["vermillion"]), 1])


def test_fields_are_on_minus_off_at_their_pixels(monkeypatch):
    layout = Layout(channels=2, height=3, width=4, bin_us=5000)
    field = np.zeros((2, layout.inputs), np.float32)
    field[0, 1 + 2 * (3 * 3 + 1)] = 0.5
    field[1, 0 + 2 * (0 * 3 + 2)] = 0.25
    drawn = []
    monkeypatch.setattr(Axes, "imshow", lambda axes, image, **_: drawn.append(image))
    first, second = figures_recording.receptive_fields(
        {"kind": "hidden", "field": field, "neuron": np.array([7, 9]), "lag": np.array([1, 3])}, layout
    )
    assert "7, 5 ms" in first
    assert "9, 15 ms" in second
    assert (drawn[0][1, 3], drawn[1][2, 0]) == (0.5, -0.25)
    assert [np.count_nonzero(image) for image in drawn] == [1, 1]


def drawn_axes(monkeypatch, draw):
    """The axes of the figure that a function draws."""
    seen = []
    monkeypatch.setattr(figures_uncertainty, "to_svg", lambda figure, *_: seen.extend(figure.axes) or "")
    draw()
    return seen


def test_noise_is_not_drawn_as_structure(monkeypatch):
    """95.5 to 96.1 % of 357 recordings lie within a tenth of an axis that begins at guessing, inside their bands."""
    rows = [{"compartments": k, "accuracy": a, "ece": 0.03} for k, a in ((1, 0.955), (2, 0.961), (3, 0.957))]
    scores = {"by_compartments": rows, "presentations": 357, "classes": 10}
    upper, lower = (
        drawn_axes(monkeypatch, lambda score=score: figures_uncertainty.against_compartments(scores, score))[
            0
        ]
        for score in ("accuracy", "ece")
    )
    low, high = upper.get_ylim()
    assert low <= 10
    assert high >= 100
    assert lower.get_ylim()[0] == 0
    for axes in (upper, lower):
        (area,) = axes.collections
        middle = axes.lines[0].get_ydata()
        inside = area.get_paths()[0].vertices[:, 1]
        assert inside.min() < middle.min()
        assert inside.max() > middle.max()


@pytest.mark.parametrize("certain", [True, False])
def test_a_reliability_diagram_has_a_bar_for_every_cell(monkeypatch, certain):
    """Cells of older runs end with one without width; new ones do not."""
    rows = cells((0.5, 0.5, 10), (0.9, 0.8, 100))
    if certain:
        rows.append({"low": 1.0, "high": 1.0, "confidence": 1.0, "accuracy": 0.99, "count": 200})
    upper, lower = drawn_axes(monkeypatch, lambda: figures_uncertainty.reliability_diagram(rows))
    bars = next(c for c in upper.collections if isinstance(c, LineCollection)).get_segments()
    for cell, ((x, bottom), (_, top)) in zip(rows, bars, strict=True):
        assert (x, bottom, top) == pytest.approx(
            (
                100 * cell["confidence"],
                *(100 * edge for edge in chance.wilson(cell["accuracy"], cell["count"])),
            )
        )
    assert all(patch.get_width() > 0 for patch in lower.patches)
    assert np.asarray(upper.lines[0].get_xydata()).tolist() == [[0, 0], [100, 100]]  # perfect calibration


def test_a_run_of_one_compartment_has_no_curves_of_a_team(run):
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace("compartments = 5", "compartments = 1"))
    page = Page(render(read_run(run)))
    assert "Who teaches" not in page.headings("h3")
    assert "as a team" not in page.text


def test_runs_of_older_versions_show_what_they_kept(run):
    """One example without an answer; no layout, errors, fields."""
    for path in run.glob("*.safetensors"):
        if "unsure" not in path.name:
            path.unlink()
    old = run / "example-unsure.safetensors"
    tensors = load_file(old)
    old.unlink()
    save_file(tensors, run / "example.safetensors", metadata={"bin_us": "25000", "index": "17"})
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["layout"], manifest["presentations"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    scores = json.loads((run / "metrics.json").read_text())
    del scores["errors"], scores["baseline"]["errors"]
    (run / "metrics.json").write_text(json.dumps(scores))
    page = Page(render(read_run(run)))
    assert "An example: class 3" in page.headings("h3")
    assert "One recording from the inside" in page.headings("h2")
    assert "The run kept no weights to draw." in page.text
    assert "no error is known" in page.text


def test_the_oldest_run_is_read():
    page = Page(render(read_run(Path(__file__).parent / "format1" / "run")))
    assert "This run was interrupted" in page.text


def test_long_recordings_and_long_runs_stay_small(tmp_path):
    run = write_run(tmp_path / "run", presentations=40, compartments=5, updates=4000)
    rng = np.random.default_rng(0)
    inputs = (rng.random((5000, 2312)) < 0.02).astype(np.uint8)
    spikes = (rng.random((5, 5000, 512 + 10)) < 0.05).astype(np.uint8)
    found = {"inputs": inputs, "hidden": spikes[..., :512], "visible": spikes[..., 512:], "bin_us": 1000}
    found |= {"label": np.array([3]), "votes": np.array([3, 3, 1, 2, 3])}
    pictures = figures_recording.raster(found)
    pictures += "".join(figures_recording.frames(inputs, Layout(2, 34, 34), 1000, "x"))
    assert 2 * len(pictures) + len(render(read_run(run))) < 2_000_000


# -- decoders and temperature ------------------------------------------------------------------------------


def test_the_page_names_the_decoder_and_the_temperature(run):
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "Decoder: votes (each compartment votes" in text
    assert "kept aside chose: 1.250 (baseline: 0.950)" in text
    assert re.search(r"at temperature \d+\.\d\s% \(baseline 1\.8\s%\): (higher|lower|no difference)", text)
    assert "A temperature chosen on recordings kept aside" in words(run)
    assert "compartments that vote" in words(run)

    edit(run / "metrics.json", decoder="likelihood")
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "Decoder: likelihood (how probable" in text
    assert "that vote" not in words(run)
    assert re.search(
        r"Asking several (helps|hurts|makes no difference beyond the error to how often it is right): one compartment",
        words(run),
    )


def test_a_run_without_a_temperature(run):
    edit(run / "metrics.json", tempered=None, decoder=None)
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "emperature" not in text
    assert "Decoder: votes" in text


def test_certain_answers_are_told_apart_by_temperature(run):
    edit(
        run / "metrics.json", accuracy=0.8, presentations=400, selective=[{"coverage": 1.0, "accuracy": 0.8}]
    )
    assert "If it abstains on the 20 % it is least sure of (by its confidence at temperature)" in words(run)
    tempered = {"selective": [{"coverage": 1.0, "accuracy": 0.8}]}
    assert "at temperature" in figures_uncertainty.selective_curve({"selective": [], "tempered": tempered})


@pytest.mark.parametrize(
    ("before", "after", "sign", "says"),
    [
        (0.05, 0.03, 1, "lowers its E from 5 % to 3 %"),
        (0.03, 0.05, -1, "raises its E from 3 % to 5 %"),
        (0.03, 0.05, 0, "makes no difference to its E beyond the error (3 % before, 5 % after)"),
        (0.03, 0.05, None, "takes its E from 3 % to 5 % (no error is known)"),
    ],
)
def test_a_temperature_is_not_praised_for_nothing(before, after, sign, says):
    assert moved("its E", before, after, sign, lambda value: f"{100 * value:.0f} %") == says


@pytest.mark.parametrize(
    ("before", "after", "wide", "sentence", "tile"),
    [
        (0.08, 0.03, 0.01, "lowers its calibration error from 8.0 % to 3.0 %", "lower"),
        (0.035, 0.036, 0.0001, "raises its calibration error from 3.5 % to 3.6 %", "higher"),
        (
            0.035,
            0.036,
            0.01,
            "makes no difference to its calibration error beyond the error",
            "no difference beyond",
        ),
    ],
)
def test_a_temperature_is_told_the_same_way_everywhere(run, before, after, wide, sentence, tile):
    scores = json.loads((run / "metrics.json").read_text())
    scores["errors"]["change"]["ece"] = wide
    edit(
        run / "metrics.json",
        errors=scores["errors"],
        ece=before,
        tempered={**scores["tempered"], "ece": after},
    )
    assert sentence in words(run)
    text = Page(render(read_run(run))).text.replace("\N{NO-BREAK SPACE}", " ")
    assert f"at temperature {100 * after:.1f} % (baseline 1.8 %): {tile}" in text


def test_courses_are_drawn_where_the_run_kept_them(tmp_path):
    """Votes as a recording runs, and how many classes are left; older runs lack both."""
    run = write_run(tmp_path / "run")
    page = render(read_run(run))
    assert "as the recording runs" not in page
    assert "Classes left" not in page
    scores = json.loads((run / "metrics.json").read_text())
    rows = [row | {"set_size": 10 - 0.1 * row["step"]} for row in scores["by_time"]]
    edit(run / "metrics.json", by_time=rows)
    path = run / "example-unsure.safetensors"
    with safe_open(path, framework="pt") as file:
        kept, told = load_file(path), file.metadata()
    course = torch.randint(0, 10, (20, 80), dtype=torch.int32)
    save_file(kept | {"course": course}, path, told)
    page = render(read_run(run))
    assert page.count("how the votes of all 20 compartments fall as the recording runs.") == 1
    assert page.count("Shares of the votes over time") == 1
    assert page.count("<h3>Classes left, while the recording runs</h3>") == 1
    for wrong in (course[:19], course[:, :79], course + 1, course.float()):
        save_file(kept | {"course": wrong.contiguous()}, path, told)
        with pytest.raises(InputError, match="holds no spikes"):
            read_run(run)
