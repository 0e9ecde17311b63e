"""What several compartments change, in answering and in learning: the page's first picture, and its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from gemsnn.report import figures_together
from gemsnn.report.comparing import NAMES, NO_DIFFERENCE, decoder, error, filled, moved, with_accuracy
from gemsnn.report.numbers import NBSP, error_percent, is_number, measured, number, plural
from gemsnn.report.parts import figure, missing, section
from gemsnn.report.reading import Row, Run
from gemsnn.scoring import chance


def asking_several(scores: Row) -> str:
    """What answering with all compartments changes beside answering with the first alone."""
    rows, count = with_accuracy(scores.get("by_compartments")), scores["presentations"]
    if len(rows) < 2:
        return ""
    first, last = rows[0], rows[-1]
    verdict = {1: "helps", -1: "hurts", 0: "makes no difference beyond the error"}[
        chance.compare_shares(last["accuracy"], count, first["accuracy"], count)
    ]
    subject = "Voting" if decoder(scores) == "votes" else "Asking several"
    who = "one compartment" if first["compartments"] == 1 else plural(first["compartments"], "compartment")
    text = (
        f"{subject} {verdict}: {who} alone would be right on {measured(first['accuracy'], count)}, "
        f"{number(last['compartments'])} together on {measured(last['accuracy'], count)}."
    )
    if verdict.startswith("makes no"):
        text = text.replace(f"{verdict}:", f"{verdict} to how often it is right:")
    changes = [change for change in (_change(scores, first, last, key) for key in NAMES) if change]
    return f"{text} It {' and '.join(changes)}." if changes else text


def _change(scores: Row, first: Row, last: Row, key: str) -> str | None:
    if not (is_number(first.get(key)) and is_number(last.get(key))):
        return None
    name, show = NAMES[key]
    return moved(name, first[key], last[key], _sign(scores, first, last, key), show)


def _sign(scores: Row, first: Row, last: Row, key: str) -> int | None:
    """1 where a score was larger with one compartment beyond the error, -1 smaller, 0 neither, None unknown.

    The error is that of the paired difference, as the run tells it.
    """
    wide = error({"errors": scores.get("alone")}, key, scores, "change")
    return None if wide is None else chance.compare_means(first[key], wide, last[key], 0.0)


def together(run: Run) -> str:
    """One compartment beside several: the picture, the numbers, and a recording they differ on."""
    rows = with_accuracy((run.scores or {}).get("by_compartments"))
    if run.scores is None or len(rows) < 2:
        why = (
            "The final evaluation is missing."
            if run.scores is None
            else "How one compartment answers and how several do was not measured beside one another."
        )
        return section("One compartment beside several", "", missing(why))
    several = number(rows[-1]["compartments"])
    other = run.beside
    drawn = figures_together.lines(run.scores, None if other is None else other["scores"], _names(run, other))
    body = figure(
        figures_together.one_beside_several(drawn),
        "What they are sure of, and what that is worth",
        _caption(run),
        "two",
    )
    body += figure(
        figures_together.surprise(drawn),
        "How surprised they are by the truth",
        "Surprise (NLL) at the true class, by how many compartments are asked; lower is better.",
    )
    body += f'<div class="scroll wide">{_table(run)}</div>\n'
    example = run.examples.get("unsure")
    if example is not None:
        body += _recording(run, example)
    return section(f"One compartment beside {several}", _intro(run), f'<div class="grid">\n{body}</div>\n')


def _names(run: Run, other: Mapping[str, Any] | None) -> tuple[str, str]:
    """What the networks are called in the picture: by how many compartments taught them, else by their runs."""
    if other is None:
        return "this network", ""
    mine, theirs = taught_by(run.config), other.get("compartments")
    if mine is not None and theirs is not None and mine != theirs:
        return f"taught by {mine}", f"taught by {theirs}"
    return run.name, str(other["name"])


def taught_by(config: Row) -> int | None:
    """How many compartments learned."""
    table = config.get("train")
    found = table.get("compartments") if isinstance(table, dict) else None
    return found if type(found) is int and found > 0 else None


def _intro(run: Run) -> str:
    assert run.scores is not None
    text = _claims(run.scores) or asking_several(run.scores)
    other = run.beside
    if other is None:
        return text
    own, names = run.scores, _names(run, other)
    told = ", ".join(each for each in (_learned(own, other, key) for key in _LEARNED) if each)
    both = with_accuracy(own["by_compartments"])[-1]["compartments"]
    return (
        f"<strong>Answering.</strong> {text} <strong>Learning.</strong> Where {number(both)} answer, the network "
        f"{escape(names[0])}, beside that {escape(names[1])}, {told}."
    )


def _claims(scores: Row) -> str | None:
    """How sure one compartment is and how sure all of them are, and how often they are right."""
    cells = [filled((scores.get("alone") or {}).get("reliability")), filled(scores.get("reliability"))]
    if not all(cells):
        return None
    claimed = [
        sum(cell["confidence"] * cell["count"] for cell in each) / sum(cell["count"] for cell in each)
        for each in cells
    ]
    rows, count = with_accuracy(scores["by_compartments"]), scores["presentations"]
    right = [measured(row["accuracy"], count) for row in (rows[0], rows[-1])]
    return (
        f"One compartment alone says that it is {error_percent(claimed[0])} sure, on average, and is right on "
        f"{right[0]}; {number(rows[-1]['compartments'])} together say {error_percent(claimed[1])} and are right on "
        f"{right[1]}."
    )


_WORDS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("accuracy", "Right answers", error_percent),
    ("ece", "Calibration error", error_percent),
    ("nll", "Surprise (NLL), nats", number),
    ("log_likelihood", "Log-likelihood, nats", number),
)


_LEARNED: dict[str, tuple[str, Callable[[Any], str], str]] = {
    "accuracy": ("is right on", error_percent, ""),
    "ece": ("has a calibration error of", error_percent, ""),
    "nll": ("a surprise of", number, f"{NBSP}nats"),
    "log_likelihood": ("and a log-likelihood of", number, f"{NBSP}nats a recording"),
}
"""What is said of a network that learned otherwise: the words before a number, and its unit."""


def _learned(own: Row, other: Mapping[str, Any], key: str) -> str | None:
    """One score of this network beside that of another, to which as many compartments answer.

    The error is that of the paired difference over the recordings, which both were asked about.
    """
    scores = other["scores"]
    if not (is_number(own.get(key)) and is_number(scores.get(key))):
        return None
    name, show, unit = _LEARNED[key]
    wide = ((other.get("change") or {}) if own["presentations"] >= chance.ENOUGH else {}).get(key)
    sign = None if wide is None else chance.compare_means(own[key], wide, scores[key], 0.0)
    verdict = {1: "more", -1: "less", 0: NO_DIFFERENCE, None: "no error is known"}[sign]
    return f"{name} {show(own[key])}{unit} instead of {show(scores[key])} ({verdict})"


def _caption(run: Run) -> str:
    assert run.scores is not None
    text = (
        "Dots gather recordings of similar confidence, larger ones more of them, against how many of those were right. "
        "On the dashed line confidence is worth what it says. Bars: two standard errors on either side."
    )
    if decoder(run.scores) == "votes":
        text += " A single vote is always certain, so one compartment has one dot."
    return text


def _table(run: Run) -> str:
    """Scores by who taught and who answers."""
    assert run.scores is not None
    names = _names(run, run.beside)
    networks = (
        [(names[0], run.scores)]
        if run.beside is None
        else [(names[1], run.beside["scores"]), (names[0], run.scores)]
    )
    head = "".join(f'<th scope="col" class="number">{title}</th>' for _, title, _ in _WORDS)
    body = ""
    for name, scores in networks:
        rows = with_accuracy(scores["by_compartments"])
        for row in (rows[0], rows[-1]):
            cells = "".join(
                f"<td>{show(row[key]) if is_number(row.get(key)) else '–'}</td>" for key, _, show in _WORDS
            )
            title = f"{escape(name)}, answered by {number(row['compartments'])}"
            body += f'<tr><th scope="row" class="whole">{title[0].upper()}{title[1:]}</th>{cells}</tr>\n'
    return f'<table>\n<tr><th scope="col"></th>{head}</tr>\n{body}</table>\n'


def _recording(run: Run, example: Mapping[str, Any]) -> str:
    votes, label = example["votes"], int(example["label"][0])
    shown, right = min(len(example["visible"]), figures_together.DRAWN), int((votes == label).sum())
    caption = (
        f"Recording {escape(str(example['index']))}, class {escape(run.class_name(label))}: of {number(len(votes))} "
        f"compartments {number(right)} {'votes' if right == 1 else 'vote'} for it (blue) and "
        f"{number(len(votes) - right)} for something else (orange)"
    )
    caption += "; the first ten are drawn." if len(votes) > shown else "."
    caption += (
        " Every compartment has the same weights and hears the same events; its noise is its own. Each box: its output "
        "spikes, a row a class; the class it votes for is shaded."
    )
    if example["begin"]:
        caption += " Spikes count from the dashed line on."
    svg = figures_together.divided(example, run.layout, run.names)
    return figure(svg, "The test recording that their votes differ on most", caption, "wide")
