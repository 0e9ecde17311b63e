"""The page: figures, tables and words of a run, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from importlib import resources
from typing import Any

from gemsnn.report import figures
from gemsnn.report.reading import Row, Run
from gemsnn.report.words import decoder, error_percent, is_number, mistakes, number, percent, summary


def render(run: Run) -> str:
    """The page as text: the same run gives the same page."""
    data = str(run.config.get("data", {}).get("data", run.name))
    title = escape(f"{run.name}: gemsnn on {data}" if data != run.name else f"gemsnn on {data}")
    css = resources.files("gemsnn.report").joinpath("style.css").read_text(encoding="utf-8")
    words = "".join(f"<p>{paragraph}</p>\n" for paragraph in summary(run))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n'
        f"<style>{css}</style>\n</head>\n<body>\n<main>\n"
        f'<header>\n<p class="kicker">gemsnn {escape(str(run.manifest.get("gemsnn", "")))}'
        f" · run {escape(run.name)}</p>\n<h1>{escape(data)}</h1>\n"
        f'{_notice(run)}<div class="summary">\n{words}</div>\n</header>\n'
        + "".join(section(run) for section in (_tiles, _uncertainty, _learning, _recording, _costs, _details))
        + "</main>\n</body>\n</html>\n"
    )


def _notice(run: Run) -> str:
    warning = {
        "finished": "",
        "interrupted": "This run was interrupted: what follows is what it had reached.",
    }.get(run.status, "This run has not finished, or it was cut off: what follows is what it had reached.")
    notes = " ".join(escape(str(note)) for note in run.manifest.get("notes") or ())
    return (f'<p class="notice">{warning}</p>\n' if warning else "") + (
        f'<p class="note">Note: {notes}</p>\n' if notes else ""
    )


def _section(title: str, intro: str, body: str) -> str:
    anchor = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    intro = f"<p>{intro}</p>\n" if intro else ""
    return f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}">{title}</h2>\n{intro}{body}</section>\n'


def _figure(svg: str, title: str, caption: str, kind: str = "") -> str:
    return (
        f'<figure class="{kind}">\n<h3>{title}</h3>\n<div class="plot">{svg}</div>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>\n"
    )


def _missing(sentence: str) -> str:
    return f'<p class="missing">{sentence}</p>\n'


def _part(rows: Any, missing: str, draw: Callable[[], str]) -> str:
    return draw() if rows else _missing(missing)


_TILES: tuple[tuple[str, str, str, Callable[[Any], str]], ...] = (
    ("accuracy", "Accuracy", "recordings named correctly; higher is better", percent),
    (
        "ece",
        "Calibration error",
        "how far confidence is from the truth, on average; lower is better",
        error_percent,
    ),
    ("nll", "Surprise (NLL)", "at the true class, in nats; lower is better", number),
    ("brier", "Brier score", "squared error of the probabilities, 0 to 2; lower is better", number),
    (
        "log_likelihood",
        "Log-likelihood",
        "of the wanted output spikes, nats per recording; higher is better",
        number,
    ),
)


def _tiles(run: Run) -> str:
    if run.scores is None:
        return _section(
            "Key figures", "", _missing("There are no key figures: the final evaluation is missing.")
        )
    scores, baseline = run.scores, run.scores.get("baseline") or {}
    body = ""
    for key, name, meaning, show in _TILES:
        value, other, warm, other_warm = (
            show(row[key]) if is_number(row.get(key)) else None
            for row in (scores, baseline, scores.get("tempered") or {}, baseline.get("tempered") or {})
        )
        versus = f"baseline {other}" if other else "no baseline"
        beside = f", baseline {other_warm}" if other_warm else ""
        tempered = f'<dd class="warm">at temperature {warm}{beside}</dd>' if warm else ""
        body += (
            f'<div class="tile"><dt>{name}</dt><dd class="value">{value or "–"}</dd>'
            f'<dd class="versus">{versus}</dd>{tempered}<dd class="meaning">{meaning}</dd></div>\n'
        )
    return _section("Key figures", _how_told(scores), f'<dl class="tiles">\n{body}</dl>\n')


_DECODERS = {
    "votes": "votes (each compartment votes for the output neuron that spiked most)",
    "likelihood": "likelihood (how probable each class’s output spikes are, given the hidden spikes)",
}


def _how_told(scores: Row) -> str:
    """The decoder, the temperatures and the baseline, in words."""
    baseline, used = scores.get("baseline") or {}, decoder(scores)
    name = baseline.get("name")
    text = f"Baseline: {escape(str(name))}." if name else "The run has no baseline."
    text += f" Decoder: {_DECODERS.get(used, escape(used))}."
    warm, other = ((row.get("tempered") or {}).get("temperature") for row in (scores, baseline))
    if is_number(warm):
        text += (
            " At temperature: with the logarithms of the probabilities divided by one number, which recordings kept "
            f"aside chose: {number(warm)}{f' (baseline: {number(other)})' if is_number(other) else ''}. It "
            "corrects confidence and leaves the answers as they are."
        )
    return text


def _uncertainty(run: Run) -> str:
    title = "Does it know what it does not know?"
    if run.scores is None:
        return _section(title, "", _missing("There is no final evaluation to draw."))
    scores, baseline, tempered = run.scores, run.scores.get("baseline"), run.scores.get("tempered") or {}
    classes = scores.get("classes") or 0
    chance = 1 / classes if classes else None
    reliability = [row for row in scores.get("reliability") or () if row.get("count")]
    parts = (
        _part(
            reliability,
            "The reliability diagram is missing: no cell holds a recording.",
            lambda: _figure(
                figures.reliability_diagram(scores["reliability"], tempered.get("reliability")),
                "Reliability",
                "Each dot gathers recordings of similar confidence; larger dots hold more. On the dashed "
                "line confidence can be taken at its word; below it the network is too sure. The bar at the "
                "far right counts answers given with certainty, as unanimous votes are.",
            ),
        ),
        _part(
            scores.get("by_compartments"),
            "Accuracy against the number of compartments was not measured.",
            lambda: _figure(
                figures.by_compartments(scores["by_compartments"], baseline),
                "More compartments",
                "The same network asked with fewer or more compartments. Calibration error: distance between "
                "confidence and accuracy, lower is better.",
            ),
        ),
        _part(
            scores.get("selective"),
            "Accuracy with abstention was not measured.",
            lambda: _figure(
                figures.selective_curve(scores["selective"], tempered.get("selective")),
                "Answering only when sure",
                "Towards the left the network answers only the recordings it is surest of. If it knows what "
                "it does not know, the line rises to the left.",
            ),
        ),
        _part(
            scores.get("by_time"),
            "Accuracy against time was not measured.",
            lambda: _figure(
                figures.by_time(scores["by_time"], chance, baseline),
                "While the recording runs",
                "The network can be asked at any moment: accuracy if it had to answer then.",
            ),
        ),
        _part(
            scores.get("confusion"),
            "The confusion matrix is missing.",
            lambda: _figure(
                figures.confusion(scores["confusion"]),
                "What it takes for what",
                f"{mistakes(scores['confusion'])} Rows are true classes, columns the answers; the stronger "
                "the colour, the larger the share of the row. Answers that tie are shared evenly.",
                "solo",
            ),
        ),
    )
    return _section(title, "", f'<div class="grid">\n{"".join(parts)}</div>\n')


def _learning(run: Run) -> str:
    classes = (run.scores or {}).get("classes")
    curves = _part(
        run.training,
        "No learning curve: the run ended before its first measurement.",
        lambda: (
            _figure(
                figures.evidence_curve(run.training),
                "Explaining the wanted spikes",
                "Log-likelihood of the target spikes per presentation, higher is better. The bound scores "
                "the compartments as a team, and never lies below their mean.",
            )
            + _figure(
                figures.activity_curve(run.training),
                "Hidden activity",
                "How often a hidden neuron spikes. Zero would be a silent network; fewer spikes cost less.",
            )
            + _figure(
                figures.effective_compartments(run.training),
                "Who teaches",
                "Among how many compartments the learning signal is shared: near 1, one decides alone.",
            )
        ),
    )
    validation = _part(
        run.evaluations,
        "The network was not evaluated while it learned.",
        lambda: _figure(
            figures.validation_curve(run.evaluations, 1 / classes if classes else None),
            "Held-out accuracy",
            "Share of recordings named correctly among those kept aside while learning.",
        ),
    )
    return _section("How it learned", "", f'<div class="grid">\n{curves}{validation}</div>\n')


def _recording(run: Run) -> str:
    title = "One recording from the inside"
    example = run.example
    if example is None:
        return _section(title, "", _missing("The run kept no example recording."))
    label, votes = int(example["label"][0]), example["votes"]
    agreeing, asked = int((votes == label).sum()), len(votes)
    svg = figures.raster(
        example["inputs"], example["hidden"], example["visible"], label, votes, example["bin_us"]
    )
    shown = min(asked, len(figures.COMPARTMENTS))
    caption = (
        f"Recording {escape(str(example['index']))}. Every compartment has the same weights and its own "
        f"noise; each has a colour{'' if shown == asked else f' (the first {shown} of {asked} are drawn)'}. "
        f"Each dot is the vote of one compartment: {number(agreeing)} of {number(asked)} for the true class, "
        "which is shaded."
    )
    return _section(title, "", _figure(svg, "Spikes over time", caption, "wide"))


def _costs(run: Run) -> str:
    costs = (run.scores or {}).get("costs")
    if not costs:
        return _section("What it costs", "", _missing("Costs were not measured."))
    spikes, scalars = costs.get("spikes_per_neuron_step") or {}, costs.get("scalars_per_step") or {}
    mute = costs.get("mute_hidden_neurons") or {}
    rows = [
        *((f"Spikes per step, {name} neuron", spikes.get(key)) for name, key in
          (("input", "inputs"), ("hidden", "hidden"), ("output", "visible"))),
        ("Hidden neurons that hardly ever spike", mute.get("quiet")),
        ("Hidden neurons that nearly always spike", mute.get("saturated")),
        ("Synaptic operations per step", costs.get("synaptic_operations_per_step")),
        ("Numbers sent up per step (evidence of the compartments)", scalars.get("up")),
        ("Numbers sent down per step (learning signals)", scalars.get("down")),
    ]  # fmt: skip
    seconds = run.manifest.get("seconds") or {}
    rows += [(f"Time for {key}, in seconds", seconds[key]) for key in sorted(seconds)]
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{number(value)}</td></tr>\n' for name, value in rows
    )
    intro = (
        "A synaptic operation is one spike arriving at one synapse. On neuromorphic hardware, spikes and "
        "operations are what takes energy; a smaller number is a cheaper network."
    )
    return _section("What it costs", intro, f'<div class="scroll"><table>\n{body}</table></div>\n')


def _details(run: Run) -> str:
    manifest = json.dumps(run.manifest, indent=2, ensure_ascii=False, sort_keys=True)
    config = run.config_text or "(config.toml is missing)"
    body = (
        f"<details>\n<summary>Configuration</summary>\n<pre>{escape(config)}</pre>\n</details>\n"
        f"<details>\n<summary>Manifest: versions, seed, times</summary>\n<pre>{escape(manifest)}</pre>\n"
        "</details>\n"
    )
    return _section("How to get this again", "", body)
