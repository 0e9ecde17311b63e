"""A run folder in, one self-contained page out: ``report.html``.

The page loads nothing from anywhere: its style sheet and its figures (SVG, see :mod:`gemsnn.figures`) stand
inside it, and it has no script. It opens with the result in plain words, made from the numbers; a part whose
numbers are missing, as in an interrupted run, gives way to a sentence that says so.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from gemsnn import figures
from gemsnn.types import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

Row = Mapping[str, Any]
SCHEMA = 1
_NBSP, _THIN = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True)
class Run:
    """What a run folder holds; what it lacks is empty or None."""

    name: str
    manifest: Row
    config: Row
    config_text: str
    training: Sequence[Row]
    evaluations: Sequence[Row]
    scores: Row | None
    example: Mapping[str, Any] | None

    @property
    def status(self) -> str:
        """``finished``, ``interrupted`` or ``running`` (which a run that was killed says forever)."""
        return str(self.manifest.get("status"))


def write_report(run: Path) -> Path:
    """Read the run folder ``run`` and write its ``report.html``, whole or not at all; returns its path."""
    page = render(read_run(run))
    target = run / "report.html"
    handle, name = tempfile.mkstemp(dir=run, prefix=".report-", suffix=".html")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


# -- reading -----------------------------------------------------------------------------------------------


def read_run(run: Path) -> Run:
    """Read what is there of a run folder; only the manifest must be."""
    if not (run / "manifest.json").is_file():
        raise InputError(
            f"{run} is not a run folder: it holds no manifest.json; give a folder that training wrote"
        )
    history = _json_lines(run / "metrics.jsonl")
    scores = _json(run / "metrics.json") if (run / "metrics.json").is_file() else None
    if scores is not None and scores.get("schema") != SCHEMA:
        raise InputError(
            f"{run / 'metrics.json'} has schema {scores.get('schema')!r} and this version of gemsnn reads "
            f"schema {SCHEMA}; use the version that wrote the run"
        )
    text = (run / "config.toml").read_text(encoding="utf-8") if (run / "config.toml").is_file() else ""
    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{run / 'config.toml'} is not valid TOML ({error}); restore it or train again"
        ) from error
    return Run(
        name=run.resolve().name,
        manifest=_json(run / "manifest.json"),
        config=config,
        config_text=text,
        training=[row for row in history if row.get("kind") == "train"],
        evaluations=[row for row in history if row.get("kind") == "evaluation"],
        scores=scores,
        example=_example(run / "example.safetensors"),
    )


def _json(path: Path) -> Row:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); restore it or train again") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} should hold one JSON object; restore it or train again")
    return value


def _json_lines(path: Path) -> list[Row]:
    """The objects of a JSON Lines file, without lines that were cut off while being written."""
    rows: list[Row] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _example(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            names = ("inputs", "hidden", "visible", "label", "votes")
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in names} | {
                "bin_us": int(metadata.get("bin_us", 1000)),
                "index": metadata.get("index", "?"),
            }
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it or train again") from error


# -- words -------------------------------------------------------------------------------------------------


def percent(share: float) -> str:
    """``0.837`` to ``84 %``; never rounds to 0 or 100 what is neither."""
    value = 100 * share
    digits = 1 if (value > 99.5 or value < 0.5) and 0 < value < 100 else 0
    return f"{value:.{digits}f}{_NBSP}%"


def number(value: Any) -> str:
    """A number for a table, ``–`` where there is none."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return "–"
    if isinstance(value, int) or value.is_integer():
        return _typeset(f"{value:,.0f}")
    digits = 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    return _typeset(f"{value:,.{digits}f}")


def _typeset(figures: str) -> str:
    return figures.replace(",", _THIN).replace("-", "−")


def plural(count: float, singular: str, several: str | None = None) -> str:
    """``1 neuron``, ``2 neurons``."""
    return f"{number(count)} {singular if count == 1 else several or singular + 's'}"


def summary(run: Run) -> list[str]:
    """The result for somebody who knows no statistics: sentences, grouped into paragraphs."""
    scores = run.scores
    if scores is None or not _is_number(scores.get("accuracy")):
        return [_without_scores(run)]
    paragraphs = [_right_answers(run, scores)]
    classes = scores.get("classes", 0)
    if _present_classes(scores) == 1 or classes == 1:
        paragraphs.append(
            "All these recordings belong to one class. A network that always names that class would be right "
            "every time, so the numbers below say little about what it has learned."
        )
        return paragraphs
    paragraphs += [_honesty(scores), _abstaining(scores), _voting(scores)]
    return [paragraph for paragraph in paragraphs if paragraph]


def _without_scores(run: Run) -> str:
    seen = run.training[-1].get("presentations") if run.training else None
    if run.evaluations and _is_number(run.evaluations[-1].get("accuracy")):
        last = run.evaluations[-1]
        return (
            f"The run has no final evaluation. When it was last checked, after "
            f"{plural(last.get('presentations', 0), 'presentation')}, the network named the right class for "
            f"{percent(last['accuracy'])} of the recordings kept aside."
        )
    if seen:
        return (
            f"The network has learned from {plural(seen, 'presentation')} and has not been evaluated yet, so "
            "there is no telling how often it is right."
        )
    return "The run ended before its first measurement, so there is nothing to report yet."


def _right_answers(run: Run, scores: Row) -> str:
    count = scores.get("presentations", 0)
    unseen = {
        "test": "it had never seen",
        "validation": "kept aside while it learned",
        "train": "it had learned from",
    }.get(str(scores.get("split")), f"of the split “{scores.get('split')}”")
    right, baseline = scores["accuracy"], scores.get("baseline") or {}
    text = (
        f"{_network_words(run, scores)} named the right class for <strong>{percent(right)}</strong> of "
        f"{plural(count, 'recording')} {escape(unseen)}."
    )
    classes = scores.get("classes", 0)
    if classes > 1:
        text += (
            f" Guessing among {number(classes)} classes would be right {percent(1 / classes)} of the time."
        )
    if _is_number(baseline.get("accuracy")):
        other = baseline["accuracy"]
        # Two standard errors of independent samples; the same recordings score both, so this is cautious.
        margin = 2 * math.sqrt((right * (1 - right) + other * (1 - other)) / max(count, 1))
        difference = right - other
        name = escape(str(baseline.get("name", "baseline")))
        text += f" For comparison, a simple method ({name}) is right {percent(other)} of the time"
        if abs(difference) < 0.0005:
            text += ": the same."
        elif abs(difference) <= margin:
            text += "; the difference is small enough to be chance."
        else:
            text += f", which is {'worse' if difference > 0 else 'better'}."
    return text


def _network_words(run: Run, scores: Row) -> str:
    hidden = run.config.get("network", {}).get("hidden")
    neurons = sum(hidden) if isinstance(hidden, list) else hidden
    parts = []
    if _is_number(neurons):
        parts.append(plural(neurons, "hidden neuron") if neurons else "no hidden neurons")
    if _is_number(scores.get("compartments")):
        parts.append(f"{plural(scores['compartments'], 'compartment')} that vote")
    if scores.get("compartments") == 1:
        parts[-1] = "a single compartment"
    return f"The network, with {' and '.join(parts)}," if parts else "The network"


def _honesty(scores: Row) -> str:
    cells = [row for row in scores.get("reliability") or () if row.get("count")]
    total = sum(row["count"] for row in cells)
    if not cells:
        return ""
    claimed = sum(row["confidence"] * row["count"] for row in cells) / total
    reached = sum(row["accuracy"] * row["count"] for row in cells) / total
    frequent = [row for row in cells if row["count"] >= max(5, 0.03 * total)] or cells
    near = min(frequent, key=lambda row: abs(row["confidence"] - 0.9))
    text = (
        f"When it says it is about {percent(near['confidence'])} sure, it is right "
        f"<strong>{percent(near['accuracy'])}</strong> of the time ({plural(near['count'], 'recording')})."
    )
    claims = f"it claims {percent(claimed)} and reaches {percent(reached)}."
    if claimed - reached > 0.02:
        text += f" On the whole it is too sure of itself: {claims}"
    elif reached - claimed > 0.02:
        text += f" On the whole it is too modest: {claims}"
    elif scores.get("ece", 0) > 0.05:
        text += (
            " On average it is as often right as it says, but single claims are off by about "
            f"{number(round(100 * scores['ece']))} percentage points."
        )
    else:
        text += " On the whole its confidence can be taken at its word."
    return text


def _abstaining(scores: Row) -> str:
    curve = [row for row in scores.get("selective") or () if 0.55 <= row["coverage"] <= 0.95]
    if not curve:
        return ""
    near = min(curve, key=lambda row: abs(row["coverage"] - 0.8))
    gain = near["accuracy"] - scores["accuracy"]
    if gain > 0.005:
        verdict = "so it knows when not to trust itself"
    elif gain < -0.005:
        verdict = "lower than for all of them: its doubts do not point at its mistakes"
    else:
        verdict = "no different from answering all: its doubts do not point at its mistakes"
    return (
        f"If it abstains on the {percent(1 - near['coverage'])} it is least sure of, it is right on "
        f"<strong>{percent(near['accuracy'])}</strong> of the rest, {verdict}."
    )


def _voting(scores: Row) -> str:
    sentences = []
    rows = _with_accuracy(scores.get("by_compartments"))
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        gain = last["accuracy"] - first["accuracy"]
        verdict = "helps" if gain > 0.005 else "hurts" if gain < -0.005 else "changes little"
        single = first["compartments"] == 1
        who = "one compartment" if single else plural(first["compartments"], "compartment")
        sentences.append(
            f"Voting {verdict}: {who} alone would be right {percent(first['accuracy'])} of the time, "
            f"{number(last['compartments'])} together {percent(last['accuracy'])}."
        )
    times = _with_accuracy(scores.get("by_time"))
    if len(times) > 1:
        final = times[-1]
        ready = next(row for row in times if row["accuracy"] >= final["accuracy"] - 0.02)
        sentences.append(
            f"It first comes within two points of its final accuracy after {number(round(ready['ms']))} ms "
            f"of {number(round(final['ms']))} ms."
        )
    return " ".join(sentences)


def mistakes(confusion: Sequence[Sequence[float]]) -> str:
    """The most frequent confusion in words."""
    wrong = [
        (count, true, answer)
        for true, row in enumerate(confusion)
        for answer, count in enumerate(row)
        if true != answer and count > 0
    ]
    if not wrong:
        return "There was no mistake."
    count, true, answer = max(wrong, key=lambda item: item[0])
    if count < 2:
        return "No class was mistaken for another more than once."
    return f"Most often, class {true} was taken for class {answer} ({round(count, 1):g} times)."


def _with_accuracy(rows: Sequence[Row] | None) -> list[Row]:
    return [row for row in rows or () if _is_number(row.get("accuracy"))]


def _present_classes(scores: Row) -> int:
    return sum(sum(row) > 0 for row in scores.get("confusion") or ())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


# -- page --------------------------------------------------------------------------------------------------


def render(run: Run) -> str:
    """The page as text: the same run gives the same page."""
    data = str(run.config.get("data", {}).get("data", run.name))
    title = escape(f"{run.name}: gemsnn on {data}" if data != run.name else f"gemsnn on {data}")
    words = "".join(f"<p>{paragraph}</p>\n" for paragraph in summary(run))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n'
        f"<style>{_CSS}</style>\n</head>\n<body>\n<main>\n"
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
        lambda value: f"{100 * value:.1f}{_NBSP}%",
    ),
    ("nll", "Surprise (NLL)", "at the true class, in nats, given the votes; lower is better", number),
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
        value, other = (show(row[key]) if _is_number(row.get(key)) else None for row in (scores, baseline))
        versus = f"baseline {other}" if other else "no baseline"
        body += (
            f'<div class="tile"><dt>{name}</dt><dd class="value">{value or "–"}</dd>'
            f'<dd class="versus">{versus}</dd><dd class="meaning">{meaning}</dd></div>\n'
        )
    note = (
        f"Baseline: {escape(str(baseline['name']))}." if baseline.get("name") else "The run has no baseline."
    )
    return _section("Key figures", note, f'<dl class="tiles">\n{body}</dl>\n')


def _uncertainty(run: Run) -> str:
    title = "Does it know what it does not know?"
    if run.scores is None:
        return _section(title, "", _missing("There is no final evaluation to draw."))
    scores, baseline = run.scores, run.scores.get("baseline")
    classes = scores.get("classes") or 0
    chance = 1 / classes if classes else None
    reliability = [row for row in scores.get("reliability") or () if row.get("count")]
    parts = (
        _part(
            reliability,
            "The reliability diagram is missing: no cell holds a recording.",
            lambda: _figure(
                figures.reliability_diagram(scores["reliability"]),
                "Reliability",
                "Each dot gathers recordings of similar confidence; larger dots hold more. On the dashed "
                "line confidence can be taken at its word; below it the network is too sure. The bar at the "
                "far right counts unanimous votes.",
            ),
        ),
        _part(
            scores.get("by_compartments"),
            "Accuracy against the number of compartments was not measured.",
            lambda: _figure(
                figures.by_compartments(scores["by_compartments"], baseline),
                "More voters",
                "The same network asked with fewer or more compartments. Calibration error: distance between "
                "confidence and accuracy, lower is better.",
            ),
        ),
        _part(
            scores.get("selective"),
            "Accuracy with abstention was not measured.",
            lambda: _figure(
                figures.selective_curve(scores["selective"]),
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
                "The votes can be counted at any moment: accuracy if the network had to answer then.",
            ),
        ),
        _part(
            scores.get("confusion"),
            "The confusion matrix is missing.",
            lambda: _figure(
                figures.confusion(scores["confusion"]),
                "What it takes for what",
                f"{mistakes(scores['confusion'])} Rows are true classes, columns the answers; the stronger "
                "the colour, the larger the share of the row. Recordings whose votes tie are shared evenly.",
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
    rows = [
        *((f"Spikes per step, {name} neuron", spikes.get(key)) for name, key in
          (("input", "inputs"), ("hidden", "hidden"), ("output", "visible"))),
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


_CSS = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1c2024; --muted: #5f6670; --rule: #e4e2dc;
  --main: #1f6fc4; --second: #cc6318; --baseline: #217a4f; --warn: #fff3d6; --warn-ink: #5a4300;
  --serif: Charter, "Iowan Old Style", "Source Serif 4", Cambria, Georgia, "DejaVu Serif", serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1c2024; --ink: #e7e6e2; --muted: #9ca4ae; --rule: #32383f;
    --main: #6db0f5; --second: #f0974f; --baseline: #5fc797; --warn: #3a2f12; --warn-ink: #f4dca0;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font-family: var(--sans); line-height: 1.55; }
main { max-width: 1180px; margin: 0 auto; padding: 3rem clamp(1rem, 4vw, 3rem) 4rem; }
.kicker { margin: 0; color: var(--muted); font-size: .85rem; letter-spacing: .06em; overflow-wrap: anywhere; }
h1, h2, .summary, .value { font-family: var(--serif); }
h1 {
  margin: .1rem 0 1.2rem; font-size: clamp(2.2rem, 6vw, 3.4rem); font-weight: 700; line-height: 1.1;
  letter-spacing: -.02em; overflow-wrap: anywhere;
}
h2 { margin: 0 0 .8rem; font-size: 1.55rem; line-height: 1.2; letter-spacing: -.01em; }
h3 { margin: 0 0 .5rem; font-size: 1rem; font-weight: 650; }
section { margin-top: 3.2rem; padding-top: 1.4rem; border-top: 2px solid var(--ink); }
section > p { max-width: 46rem; margin: 0 0 1.2rem; color: var(--muted); }
.summary { max-width: 47rem; font-size: clamp(1.1rem, 2.2vw, 1.3rem); line-height: 1.5; }
.summary p { margin: 0 0 .8em; }
.summary p + p { font-size: .92em; }
.summary strong { color: var(--main); white-space: nowrap; }
.notice { max-width: 47rem; padding: .7rem 1rem; border-radius: 6px; }
.notice { background: var(--warn); color: var(--warn-ink); overflow-wrap: anywhere; }
.note { max-width: 47rem; color: var(--muted); overflow-wrap: anywhere; }
.missing { margin: 0; color: var(--muted); font-style: italic; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.4rem, 1fr)); gap: 1rem; margin: 0; }
.tile, figure { padding: clamp(.8rem, 2vw, 1.1rem); background: var(--card); }
.tile, figure { border: 1px solid var(--rule); border-radius: 10px; }
.tile dt { font-weight: 650; font-size: .92rem; }
.tile dd { margin: 0; }
.tile .value { font-size: 2rem; line-height: 1.3; white-space: nowrap; }
.tile .versus { color: var(--baseline); font-size: .88rem; }
.tile .meaning { margin-top: .45rem; color: var(--muted); font-size: .85rem; line-height: 1.4; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1.2rem; }
figure { margin: 0; min-width: 0; }
figcaption { max-width: 46rem; margin-top: .5rem; color: var(--muted); font-size: .88rem; line-height: 1.45; }
.solo { grid-column: 1 / -1; display: grid; column-gap: 2rem; }
.solo { grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
.solo h3 { grid-column: 1 / -1; }
.solo figcaption { align-self: center; }
svg { display: block; width: 100%; height: auto; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg text { font-family: inherit !important; }
svg image { image-rendering: pixelated; }
.plot, .scroll { overflow-x: auto; }
.wide svg { min-width: 620px; }
table { width: 100%; max-width: 46rem; border-collapse: collapse; }
th, td { padding: .5rem .4rem; border-bottom: 1px solid var(--rule); text-align: left; font-weight: 400; }
td { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
details { border-bottom: 1px solid var(--rule); }
summary { padding: .7rem 0; cursor: pointer; font-weight: 650; }
pre { margin: 0 0 1rem; padding: 1rem; overflow-x: auto; font: .82rem/1.5 var(--mono); }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; }
@media print { figure, .tile { break-inside: avoid; } }
"""
