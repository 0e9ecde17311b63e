"""A run's result in plain words, made from its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from gemsnn.report.reading import Row, Run

NBSP, THIN = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"


def percent(share: float) -> str:
    """``0.837`` to ``84 %``; never rounds to 0 or 100 what is neither."""
    value = 100 * share
    digits = 1 if (value > 99.5 or value < 0.5) and 0 < value < 100 else 0
    return f"{value:.{digits}f}{NBSP}%"


def error_percent(value: Any) -> str:
    """A calibration error, ``0.0344`` to ``3.4 %``."""
    return f"{100 * value:.1f}{NBSP}%"


def number(value: Any) -> str:
    """A number for a table, ``–`` where there is none."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return "–"
    if isinstance(value, int) or value.is_integer():
        return _typeset(f"{value:,.0f}")
    digits = 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    return _typeset(f"{value:,.{digits}f}")


def _typeset(figures: str) -> str:
    return figures.replace(",", THIN).replace("-", "−")


def plural(count: float, singular: str, several: str | None = None) -> str:
    """``1 neuron``, ``2 neurons``."""
    return f"{number(count)} {singular if count == 1 else several or singular + 's'}"


def summary(run: Run) -> list[str]:
    """The result for somebody who knows no statistics: sentences, grouped into paragraphs."""
    scores = run.scores
    if scores is None or not is_number(scores.get("accuracy")):
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
    if run.evaluations and is_number(run.evaluations[-1].get("accuracy")):
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
    if is_number(baseline.get("accuracy")):
        other = baseline["accuracy"]
        # Two standard errors of independent samples; the same recordings score both, so this is cautious.
        margin = 2 * math.sqrt((right * (1 - right) + other * (1 - other)) / max(count, 1))
        difference = right - other
        name = escape(str(baseline.get("name", "baseline")))
        text += f" For comparison, a simple method ({name}) is right {percent(other)} of the time"
        if abs(difference) < 0.0005:
            text += ": the same."
        elif abs(difference) <= margin:
            text += "; a difference that may be chance."
        else:
            text += f", which is {'worse' if difference > 0 else 'better'}."
    return text


def _network_words(run: Run, scores: Row) -> str:
    hidden = run.config.get("network", {}).get("hidden")
    neurons = sum(hidden) if isinstance(hidden, list) else hidden
    parts = []
    if is_number(neurons):
        parts.append(plural(neurons, "hidden neuron") if neurons else "no hidden neurons")
    if is_number(scores.get("compartments")):
        votes = " that vote" if decoder(scores) == "votes" else ""
        parts.append(f"{plural(scores['compartments'], 'compartment')}{votes}")
    if scores.get("compartments") == 1:
        parts[-1] = "a single compartment"
    return f"The network, with {' and '.join(parts)}," if parts else "The network"


def _honesty(scores: Row) -> str:
    cells = [
        row
        for row in _with_accuracy(scores.get("reliability"))
        if row["count"] and is_number(row["confidence"])
    ]
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
    warm = scores.get("tempered") or {}
    if all(is_number(row.get(key)) for row in (scores, warm) for key in ("ece", "nll")):
        ece = moved("its calibration error", scores["ece"], warm["ece"], error_percent)
        nll = moved("its surprise", scores["nll"], warm["nll"], lambda value: f"{number(value)} nats")
        text += f" A temperature chosen on recordings kept aside {ece} and {nll}."
    return text


def moved(what: str, before: float, after: float, shown: Callable[[float], str]) -> str:
    """What became of a number where smaller is better, as far as it shows."""
    if shown(before) == shown(after):
        return f"leaves {what} at {shown(after)}"
    return f"{'lowers' if after < before else 'raises'} {what} from {shown(before)} to {shown(after)}"


def _abstaining(scores: Row) -> str:
    # Where certainty alone covers more than that, the confidences at the temperature still tell answers apart.
    for rows in (scores.get("selective"), (scores.get("tempered") or {}).get("selective")):
        curve = [row for row in rows or () if 0.55 <= row["coverage"] <= 0.95]
        if curve:
            break
    else:
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
        subject = "Voting" if decoder(scores) == "votes" else "Asking several"
        who = "one compartment" if single else plural(first["compartments"], "compartment")
        sentences.append(
            f"{subject} {verdict}: {who} alone would be right {percent(first['accuracy'])} of the time, "
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


def decoder(scores: Row) -> str:
    """The decoder of the scores; older runs, which do not name it, voted."""
    return str(scores.get("decoder") or "votes")


def _with_accuracy(rows: Sequence[Row] | None) -> list[Row]:
    return [row for row in rows or () if is_number(row.get("accuracy"))]


def _present_classes(scores: Row) -> int:
    return sum(sum(row) > 0 for row in scores.get("confusion") or ())


def is_number(value: Any) -> bool:
    """Whether the value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
