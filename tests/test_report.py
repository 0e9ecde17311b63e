"""The page of a run: whole, self-contained, honest about what is missing, in words that fit the numbers."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from synthetic_run import edit, write_run

from gemsnn.errors import InputError
from gemsnn.report import figures, read_run, render, summary, write_report
from gemsnn.report.words import mistakes, moved, percent

SECTIONS = (
    "Key figures",
    "Does it know what it does not know?",
    "How it learned",
    "One recording from the inside",
    "What it costs",
    "How to get this again",
)
FIGURES = (
    "Reliability",
    "More compartments",
    "Answering only when sure",
    "While the recording runs",
    "What it takes for what",
    "Explaining the wanted spikes",
    "Hidden activity",
    "Who teaches",
    "Held-out accuracy",
    "Spikes over time",
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


@pytest.fixture
def run(tmp_path) -> Path:
    return write_run(tmp_path / "run", presentations=60, compartments=5, updates=40)


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
    assert len(pictures) == len(FIGURES)
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in pictures)
    assert sum(tag == "figcaption" for tag, _ in page.tags) == len(FIGURES)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {(attributes["xlink:href"] or "")[1:] for tag, attributes in page.tags if tag == "use"}
    assert used <= set(ids)


def test_the_page_decides_the_colours(page):
    text = page.source
    assert not any(placeholder in text for placeholder in figures.PLACEHOLDERS)
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


@pytest.mark.parametrize("name", ["manifest.json", "metrics.json", "config.toml", "example.safetensors"])
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
    for name in ("metrics.json", "metrics.jsonl", "example.safetensors", "config.toml"):
        (run / name).unlink()
    edit(run / "manifest.json", status="interrupted", finished=None)
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.headings("h2") == list(SECTIONS)
    assert page.headings("h3") == []
    assert "This run was interrupted" in page.text
    assert "nothing to report yet" in words(run)


def test_still_running_or_killed(run):
    (run / "metrics.json").unlink()
    (run / "example.safetensors").unlink()
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
    assert "Explaining the wanted spikes" in page.headings("h3")
    assert "not evaluated while it learned" in page.text
    assert words(run).startswith("The network has learned from 96 presentations and has not been evaluated")


def test_interrupted_after_an_evaluation(run):
    (run / "metrics.json").unlink()
    assert re.search(r"last checked, after 1 280 presentations, .* \d+ % of", words(run))
    Page(write_report(run).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "key", ["by_compartments", "by_time", "reliability", "selective", "confusion", "costs", "baseline", "ece"]
)
def test_any_part_of_the_scores_may_be_missing(run, key):
    (run / "example.safetensors").unlink()
    (run / "metrics.jsonl").unlink()
    edit(run / "metrics.json", **{key: None})
    Page(write_report(run).read_text(encoding="utf-8"))


def test_all_of_the_scores_may_be_missing(run):
    (run / "metrics.json").write_text('{"schema": 1}')
    page = Page(write_report(run).read_text(encoding="utf-8"))
    assert page.headings("h2") == list(SECTIONS)


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
        (cells((0.9, 0.6, 80), (0.5, 0.5, 20)), 0.24, "too sure of itself: it claims 82 % and reaches 58 %"),
        (cells((0.6, 0.9, 100)), 0.3, "too modest: it claims 60 % and reaches 90 %"),
        (cells((0.9, 0.9, 100)), 0.0, "can be taken at its word"),
        (cells((0.9, 0.7, 50), (0.5, 0.7, 50)), 0.2, "off by about 20 percentage points"),
    ],
)
def test_words_about_honesty(run, reliability, ece, expected):
    edit(run / "metrics.json", reliability=reliability, ece=ece)
    assert expected in words(run)


def test_words_about_a_rare_confidence_use_a_common_one(run):
    edit(run / "metrics.json", reliability=cells((0.9, 0.0, 1), (0.7, 0.8, 99)))
    assert "about 70 % sure, it is right 80 % of the time (99 recordings)" in words(run)


@pytest.mark.parametrize(
    ("kept", "expected"),
    [(0.95, "knows when not to trust itself"), (0.7, "lower than for all"), (0.8, "no different")],
)
def test_words_about_abstaining(run, kept, expected):
    curve = [{"coverage": 0.8, "accuracy": kept}, {"coverage": 1.0, "accuracy": 0.8}]
    edit(run / "metrics.json", accuracy=0.8, selective=curve)
    assert expected in words(run)


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        (0.5, "which is worse"),
        (0.95, "which is better"),
        (0.81, "may be chance"),
        (0.8, "the same"),
    ],
)
def test_words_about_the_baseline(run, baseline, expected):
    edit(
        run / "metrics.json",
        accuracy=0.8,
        presentations=1000,
        baseline={"name": "logistic regression", "accuracy": baseline, "nll": 1, "brier": 1, "ece": 0},
    )
    assert expected in words(run)


def test_words_about_early_answers(run):
    times = [
        {"step": i + 1, "ms": 25.0 * (i + 1), "accuracy": a} for i, a in enumerate((0.2, 0.3, 0.79, 0.8))
    ]
    edit(run / "metrics.json", by_time=times)
    assert "after 75 ms of 100 ms" in words(run)


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
    assert mistakes([[5, 2.5], [0, 5]]) == "Most often, class 0 was taken for class 1 (2.5 times)."


# -- figures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hidden", "compartments", "classes"), [(0, 1, 1), (3, 1, 2), (0, 9, 15), (3, 9, 2)])
def test_raster_of_any_size(run, hidden, compartments, classes):
    tensors = load_file(run / "example.safetensors")
    k = compartments
    rng = np.random.default_rng(0)
    spikes = rng.integers(0, 2, (k, 7, hidden + classes), dtype=np.uint8)
    label, votes = classes - 1, rng.integers(0, classes, k)
    inputs = tensors["inputs"][:7].numpy()
    Page(figures.raster(inputs, spikes[..., :hidden], spikes[..., hidden:], label, votes, 1000))


def test_raster_of_silence(run):
    tensors = {name: value * 0 for name, value in load_file(run / "example.safetensors").items()}
    save_file(tensors, run / "example.safetensors", metadata={"bin_us": "25000", "index": "17"})
    Page(write_report(run).read_text(encoding="utf-8"))


def test_long_recordings_and_long_runs_stay_small(tmp_path):
    run = write_run(tmp_path / "run", presentations=40, compartments=5, updates=4000)
    rng = np.random.default_rng(0)
    inputs = (rng.random((5000, 2312)) < 0.02).astype(np.uint8)
    spikes = (rng.random((5, 5000, 512 + 10)) < 0.05).astype(np.uint8)
    svg = figures.raster(inputs, spikes[..., :512], spikes[..., 512:], 3, np.array([3, 3, 1, 2, 3]), 1000)
    assert len(svg) + len(render(read_run(run))) < 1_500_000


# -- decoders and temperature ------------------------------------------------------------------------------


def test_the_page_names_the_decoder_and_the_temperature(run):
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "Decoder: votes (each compartment votes" in text
    assert "kept aside chose: 1.250 (baseline: 0.950)" in text
    assert re.search(r"at temperature \d+\.\d\s%, baseline 1\.8\s%", text)
    assert re.search(
        r"(lowers|raises) its calibration error from \d+\.\d % to \d+\.\d % and (low|rais|leav)", words(run)
    )
    assert "compartments that vote" in words(run)

    edit(run / "metrics.json", decoder="likelihood")
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "Decoder: likelihood (how probable" in text
    assert "that vote" not in words(run)
    assert re.search(r"Asking several (helps|hurts|changes little): one compartment", words(run))


def test_a_run_without_a_temperature(run):
    edit(run / "metrics.json", tempered=None, decoder=None)
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "emperature" not in text
    assert "Decoder: votes" in text


def test_certain_answers_are_told_apart_by_temperature(run):
    edit(run / "metrics.json", accuracy=0.8, selective=[{"coverage": 1.0, "accuracy": 0.8}])
    assert "If it abstains on the 20 % it is least sure of, it is right on 95 % of the rest" in words(run)
    assert "at temperature" in figures.selective_curve([], [{"coverage": 1.0, "accuracy": 0.8}])


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (0.05, 0.03, "lowers its E from 5 % to 3 %"),
        (0.03, 0.05, "raises its E from 3 % to 5 %"),
        (0.031, 0.032, "leaves its E at 3 %"),
    ],
)
def test_a_temperature_is_not_praised_for_nothing(before, after, says):
    assert moved("its E", before, after, lambda value: f"{100 * value:.0f} %") == says
