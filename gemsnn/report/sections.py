"""The parts of the page that hold figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from gemsnn.plots.curves import Score
from gemsnn.report import figures_learning, figures_recording, figures_uncertainty
from gemsnn.report.comparing import NO_DIFFERENCE, filled, with_accuracy
from gemsnn.report.numbers import error_percent, measured, number, percent
from gemsnn.report.parts import figure, missing, plot, section
from gemsnn.report.reading import Row, Run
from gemsnn.report.words import mistakes
from gemsnn.scoring import chance

BANDS = "Bands: two standard errors on either side"


def _part(rows: Any, otherwise: str, draw: Callable[[], str]) -> str:
    return draw() if rows else missing(otherwise)


def uncertainty(run: Run) -> str:
    """What the answers are worth."""
    title = "Accuracy and uncertainty"
    if run.scores is None:
        return section(title, "", missing("There is no final evaluation to draw."))
    scores, tempered = run.scores, run.scores.get("tempered") or {}
    parts = (
        _part(
            filled(scores.get("reliability")),
            "The reliability diagram is missing: no cell holds a recording.",
            lambda: figure(
                figures_uncertainty.reliability_diagram(scores["reliability"], tempered.get("reliability")),
                "Reliability diagram",
                _reliability_caption(scores),
            ),
        ),
        _part(
            scores.get("selective"),
            "Accuracy with abstention was not measured.",
            lambda: figure(
                figures_uncertainty.selective_curve(scores),
                "Answering only when sure",
                _selective_caption(scores),
            ),
        ),
        _part(
            scores.get("by_compartments"),
            "Accuracy against the number of compartments was not measured.",
            lambda: _by_compartments(scores),
        ),
        _part(
            scores.get("by_time"), "Accuracy against time was not measured.", lambda: _by_time(run, scores)
        ),
        _part(
            scores.get("confusion"),
            "The confusion matrix is missing.",
            lambda: figure(
                figures_uncertainty.confusion(scores["confusion"], run.names),
                "Confusion matrix",
                f"{mistakes(scores['confusion'], run.names)} Rows are true classes, columns the answers; the stronger "
                "the colour, the larger the share of the row. Answers that tie are shared evenly.",
            ),
        ),
    )
    return section(title, "", f'<div class="grid">\n{"".join(parts)}</div>\n')


_BY_COMPARTMENTS: tuple[tuple[Score, str], ...] = (
    ("accuracy", "Right answers"),
    ("ece", "Calibration error"),
)
_BY_TIME: tuple[tuple[Score, str], ...] = (
    *_BY_COMPARTMENTS[:1],
    ("nll", "Surprise"),
    *_BY_COMPARTMENTS[1:],
    ("set_size", "Classes left"),
)


def _by_compartments(scores: Row) -> str:
    """Right answers and calibration error by compartments asked, a picture each."""
    drawn = ""
    for score, title in _BY_COMPARTMENTS:
        if any(row.get(score) is not None for row in scores["by_compartments"]):
            drawn += figure(
                figures_uncertainty.against_compartments(scores, score),
                f"{title}, by compartments asked",
                _compartments_caption(scores, score),
            )
    return drawn


def _by_time(run: Run, scores: Row) -> str:
    """Right answers, surprise and calibration error of early answers, a picture each."""
    drawn = ""
    for score, title in _BY_TIME:
        if any(row.get(score) is not None for row in scores["by_time"]):
            drawn += figure(
                figures_uncertainty.over_time(scores, score, run.warm_up_ms),
                f"{title}, while the recording runs",
                _time_caption(run, score),
            )
    return drawn


def _selective_caption(scores: Row) -> str:
    left_out = (
        f"; shares of less than {chance.ENOUGH} recordings are left out."
        if (scores.get("presentations") or 0) >= chance.ENOUGH
        else "."
    )
    return (
        "Towards the left the network answers only the recordings it is surest of. Where its doubts point at its "
        f"mistakes, the line rises to the left, beyond the band.{_risk_area(scores)} {BANDS}{left_out}"
    )


def _risk_area(scores: Row) -> str:
    area, share = (scores.get("calibration") or {}).get("risk_area"), scores.get("accuracy")
    if area is None or share is None:
        return ""
    return (
        f" On average over all shares {error_percent(area)} of the answers are wrong; of doubts that tell nothing it "
        f"would be {error_percent(1 - share)}."
    )


def _reliability_caption(scores: Row) -> str:
    cells = filled(scores["reliability"])
    text = (
        "Each dot gathers recordings of similar confidence; larger dots hold more. Below the dashed line the network "
        "is too sure, above it too modest. Bars: two standard errors on either side (Wilson’s interval); a dot whose "
        "bar crosses the line shows nothing."
    )
    off = 0
    for cell in cells:
        low, high = chance.wilson(cell["accuracy"], cell["count"])
        off += not low <= cell["confidence"] <= high
    text += f" {number(off)} of {number(len(cells))} dots are off the line beyond their bars."
    beside, found = scores.get("calibration") or {}, scores.get("ece")
    if found is not None and beside.get("by_chance") is not None and beside.get("debiased") is not None:
        text += (
            f" The calibration error is {error_percent(found)}; of claims that are right, on so few recordings it "
            f"would be {error_percent(beside['by_chance'])} by chance. Without what chance adds to it, it is "
            f"{error_percent(beside['debiased'])}."
        )
    if any(cell["low"] == cell["high"] for cell in cells):
        text += " The bar at the far right counts answers given with certainty, as unanimous votes are."
    return text


def _compartments_caption(scores: Row, score: str) -> str:
    rows, count = with_accuracy(scores["by_compartments"]), scores.get("presentations")
    told = ""
    if len(rows) > 1 and count and all(row.get(score) is not None for row in (rows[0], rows[-1])):
        first, last = rows[0], rows[-1]
        if score == "accuracy":
            sign = chance.compare_shares(last[score], count, first[score], count)
            values = [measured(row[score], count) for row in (last, first)]
        else:
            errors = [chance.half_width(row["accuracy"], count) for row in (last, first)]
            sign = chance.compare_means(last[score], errors[0], first[score], errors[1])
            values = [error_percent(row[score]) for row in (last, first)]
        verdict = {1: "more", -1: "less", 0: NO_DIFFERENCE}[sign]
        name = {"accuracy": "Accuracy", "ece": "Calibration error"}[score]
        told = (
            f" {name} with {number(last['compartments'])} instead of {number(first['compartments'])}: "
            f"{values[0]} instead of {values[1]}, {verdict}."
        )
    if score == "accuracy":
        axis = " The axis reaches from guessing to 100 %." if scores.get("classes") else ""
        return f"The same network, asked with fewer or more compartments.{told}{axis} {BANDS}."
    return (
        f"How far confidence is from the truth, on average; lower is better.{told} {BANDS}: those of the accuracy, "
        "which is cautious."
    )


def _time_caption(run: Run, score: str) -> str:
    if score == "nll":
        return (
            "How surprised its answers would be by the true class, if it had to answer then; lower is better."
        )
    if score == "set_size":
        return (
            "How many of the likeliest classes it takes to have 95 % of the probability, on average, if it had to "
            "answer then; nothing is promised of these sets."
        )
    if score == "ece":
        return (
            "How far its confidence would be from the truth, on average, if it had to answer then; lower is better. "
            f"{BANDS}: those of the accuracy, which is cautious."
        )
    if run.warm_up_ms:
        return (
            "Accuracy if the network had to answer then. No answer counts before the end of the warm-up, the first "
            f"{percent(run.warm_up)} of each recording (shaded). {BANDS}."
        )
    return f"The network can be asked at any moment: accuracy if it had to answer then. {BANDS}."


def learning(run: Run) -> str:
    """How it learned."""
    classes = (run.scores or {}).get("classes")
    table = run.config.get("train")
    compartments = table.get("compartments") if isinstance(table, dict) else None

    def curves() -> str:
        alone = compartments == 1
        rule = run.config.get("rule")
        replaced = isinstance(rule, dict) and rule.get("resample")
        # where they are replaced the mean is over places, and no law holds it down
        law = "" if replaced else ", and never lies below their mean"
        team = "" if alone else f" The bound scores the compartments as a team{law}."
        drawn = figure(
            figures_learning.evidence_curve(run.training),
            "Log-likelihood during training",
            f"Log-likelihood of the target spikes per presentation, before it is learned; higher is better.{team}",
        )
        drawn += figure(
            figures_learning.activity_curve(run.training),
            "Hidden activity",
            "How often a hidden neuron spikes. Zero would be a silent network; fewer spikes cost less.",
        )
        if not alone:  # of one compartment the curve would be 1 throughout
            drawn += figure(
                figures_learning.effective_compartments(run.training),
                "Who teaches",
                "Among how many compartments the learning signal is shared: near 1, one decides alone.",
            )
        return drawn

    body = _part(run.training, "No learning curve: the run ended before its first measurement.", curves)
    recordings = run.recordings("validation")
    body += _part(
        run.evaluations,
        "The network was not evaluated while it learned.",
        lambda: figure(
            figures_learning.validation_curve(run.evaluations, 1 / classes if classes else None, recordings),
            "Accuracy during training",
            f"Share of {number(recordings) if recordings else 'the'} recordings kept aside that were named correctly."
            + (f" {BANDS}." if recordings else ""),
        ),
    )
    kept = run.manifest.get("kept") or {}
    if run.epochs:
        body += figure(
            figures_learning.epochs_curve(run.epochs, kept.get("epoch")),
            "Which weights answer",
            "How surprised answers were by the right class of the recordings kept aside, at the temperature that suits "
            "them; lower is better." + _kept(kept),
        )
    return section("How it learned", "", f'<div class="grid">\n{body}</div>\n')


def _kept(kept: Mapping[str, int]) -> str:
    """Which epoch's weights are those of the run, where it tells."""
    if not kept:
        return ""
    if kept["epoch"] == kept["of"]:
        return " No epoch was lower than the last by more than chance makes it, so the last one's weights answer here."
    return (
        f" It was lowest after epoch {kept['epoch']} of {kept['of']}, and lower than after the last by more than "
        "chance makes it: its weights answer here."
    )


def recordings(run: Run) -> str:
    """Recordings from the inside: events, spikes, votes."""
    title = "Two recordings from the inside" if len(run.examples) == 2 else "One recording from the inside"
    if not run.examples:
        return section(title, "", missing("The run kept no example recording."))
    intro = "Every compartment has the same weights and its own noise."
    if len(run.examples) == 2:
        intro += (
            " Of the test recordings, these are one whose votes differ most and one whose votes differ least, by their "
            "entropy (of several the first)."
        )
    body = "".join(_example(kind, example, run) for kind, example in run.examples.items())
    return section(title, intro, f'<div class="grid">\n{body}</div>\n')


_KINDS = {"unsure": "Least sure", "sure": "Surest", "any": "An example"}


def _example(kind: str, example: Mapping[str, Any], run: Run) -> str:
    layout, label, votes, answer = run.layout, int(example["label"][0]), example["votes"], example["answer"]
    asked, agreeing = len(votes), int((votes == label).sum())
    title = f"{_KINDS[kind]}: class {escape(run.class_name(label))}"
    if answer is not None:
        title += f", answered {escape(run.class_name(answer))} ({'right' if answer == label else 'wrong'})"
    drawn = figures_recording.shown(len(example["visible"]))
    caption = f"Recording {escape(str(example['index']))}."
    pictures = ""
    if layout is not None and layout.inputs == example["inputs"].shape[1]:
        events = figures_recording.frames(example["inputs"], layout, example["bin_us"], kind)
        pictures = plot(events)
        caption += " Pictures: what the sensor saw, summed over equal stretches of time"
        caption += " (ON events blue, OFF events orange)." if layout.channels == 2 else "."
    caption += (
        f" Below: spikes{'' if drawn == asked else f' of the first {drawn} of {asked} compartments'}, a colour a "
        f"compartment. Each dot is the vote of one compartment: {number(agreeing)} of {number(asked)} for the true "
        "class, which is shaded blue"
    )
    caption += ", the wrong answer orange." if answer is not None and answer != label else "."
    if example["begin"]:
        caption += " Votes count from the dashed line on; before it is the warm-up."
    if example["entropy"] is not None:
        caption += f" Entropy of the votes: {number(example['entropy'])} nats."
    drawings = plot(figures_recording.raster(example, kind, run.names))
    if example.get("course") is not None:  # older runs lack it
        drawings += plot(figures_recording.course(example, kind, run.names))
        caption += f" At the bottom: how the votes of all {asked} compartments fall as the recording runs."
    return (
        f'<figure class="example">\n<h3>{title}</h3>\n{pictures}{drawings}'
        f"<figcaption>{caption}</figcaption>\n</figure>\n"
    )


def weights(run: Run) -> str:
    """Some receptive fields."""
    title, fields, layout = "What neurons look for", run.fields, run.layout
    if fields is None or layout is None or layout.inputs != fields["field"].shape[1]:
        return section(title, "", missing("The run kept no weights to draw."))
    difference = "of ON minus that of OFF events" if layout.channels == 2 else "of events"
    chosen = (
        "the hidden neurons with the strongest synapses to the outputs, the strongest first"
        if fields["kind"] == "hidden"
        else "output neurons, by class"
    )
    caption = (
        f"Shown are {chosen}. A picture is the effect {difference} at each pixel on the neuron’s potential, at the "
        "delay at which its effects are largest: above it are the neuron’s number and that delay. Blue drives it, "
        "orange silences it; each picture has a scale of its own."
    )
    drawn = figure(
        figures_recording.receptive_fields(fields, layout, run.names),
        "Weights from the sensor",
        caption,
        "fields",
    )
    return section(title, "", f'<div class="grid">\n{drawn}</div>\n')


def augmentation(run: Run) -> str:
    """What augmentation made of one recording; nothing where the run had none."""
    found = run.augmented
    if found is None:
        return ""
    colours = "ON events blue, OFF events orange"
    lasting = f"the {number(found['duration_us'] / 1000)} ms of a presentation"
    caption = f"Recording {number(found['index'])}. "
    if found["kind"] == "sensor":
        caption += (
            f"Pictures: its events, summed over {lasting} ({colours}). Below each: how many there are as time passes, "
            "ON upwards, OFF downwards."
        )
    else:
        caption += f"Pictures: its events by channel, from above, and time, over {lasting} ({colours})."
    caption += " All of them share one scale."
    if "all" in found["settings"]:
        caption += (
            " After the epochs with all that is on comes each setting alone, in the first epoch in which it changes "
            "this recording. A value is the most that may happen, and how much does is drawn anew each time; of flip "
            "and swap polarity it is the share of recordings."
        )
    intro = (
        "In every epoch each recording is learned a little different from what it is, as the settings of its "
        "augmentation allow. Those it is tested on stay as they are."
    )
    drawn = figure(
        figures_recording.augmented(found), "A recording, as it is and as it is learned", caption, "fields"
    )
    return section("What augmentation does", intro, f'<div class="grid">\n{drawn}</div>\n')
