"""A run's result in plain words, made from its numbers: what they do not show beyond their error is not said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from gemsnn.report.comparing import NAMES, NO_DIFFERENCE, decoder, error, filled, moved, with_accuracy
from gemsnn.report.numbers import error_percent, is_number, measured, number, percent, plural
from gemsnn.report.reading import Row, Run
from gemsnn.report.together import asking_several
from gemsnn.scoring import chance


def summary(run: Run) -> list[str]:
    """The result for somebody who knows no statistics: sentences, grouped into paragraphs."""
    scores = run.scores
    if scores is None or not is_number(scores.get("accuracy")) or not scores.get("presentations"):
        return [_without_scores(run)]
    paragraphs = [_right_answers(run, scores)]
    if _present_classes(scores) == 1 or scores.get("classes", 0) == 1:
        paragraphs.append(
            "All these recordings belong to one class. A network that always names that class would be right "
            "every time, so the numbers below say little about what it has learned."
        )
        return paragraphs
    paragraphs += [asking_several(scores), _confidence(scores), _abstaining(scores), _in_time(run, scores)]
    return [paragraph for paragraph in paragraphs if paragraph]


def _without_scores(run: Run) -> str:
    seen = run.training[-1].get("presentations") if run.training else None
    if run.evaluations and is_number(run.evaluations[-1].get("accuracy")):
        last, count = run.evaluations[-1], run.recordings("validation")
        share = measured(last["accuracy"], count) if count else percent(last["accuracy"])
        return (
            f"The run has no final evaluation. When it was last checked, after "
            f"{plural(last.get('presentations', 0), 'presentation')}, the network named the right class for "
            f"{share} of the {f'{number(count)} ' if count else ''}recordings kept aside."
        )
    if seen:
        return (
            f"The network has learned from {plural(seen, 'presentation')} and has not been evaluated yet, so "
            "there is no telling how often it is right."
        )
    return "The run ended before its first measurement, so there is nothing to report yet."


def _right_answers(run: Run, scores: Row) -> str:
    count, right, baseline = scores["presentations"], scores["accuracy"], scores.get("baseline") or {}
    unseen = {
        "test": "it had never seen",
        "validation": "kept aside while it learned",
        "train": "it had learned from",
    }.get(str(scores.get("split")), f"of the split “{scores.get('split')}”")
    text = (
        f"{_network_words(run, scores)} named the right class for <strong>{measured(right, count)}</strong> of "
        f"{plural(count, 'recording')} {escape(unseen)}."
    )
    classes = scores.get("classes", 0)
    if classes > 1:
        guessing = 1 / classes
        text += f" Guessing among {number(classes)} classes would be right {percent(guessing)} of the time"
        text += "." if _beats(scores, guessing) else f": {NO_DIFFERENCE}."
    if is_number(baseline.get("accuracy")):
        other, name = baseline["accuracy"], escape(str(baseline.get("name", "baseline")))
        verdict = {1: "which is worse", -1: "which is better", 0: NO_DIFFERENCE}[
            chance.compare_shares(right, count, other, count)
        ]
        text += f" A simple method ({name}) is right on {measured(other, count)} of them, {verdict}."
    return text


def _beats(scores: Row, guessing: float) -> bool:
    """Whether the network is right more often than by guessing, beyond the error."""
    return chance.wilson(scores["accuracy"], scores["presentations"])[0] > guessing


def _network_words(run: Run, scores: Row) -> str:
    hidden = run.config.get("network", {}).get("hidden")
    neurons = hidden
    if isinstance(hidden, list):  # how many neurons a convolution has, the data decides
        neurons = sum(size for size in hidden if not isinstance(size, str))
        neurons = None if any(isinstance(size, str) for size in hidden) else neurons
    parts = []
    if is_number(neurons):
        parts.append(plural(neurons, "hidden neuron") if neurons else "no hidden neurons")
    if is_number(scores.get("compartments")):
        votes = " that vote" if decoder(scores) == "votes" else ""
        parts.append(f"{plural(scores['compartments'], 'compartment')}{votes}")
    if scores.get("compartments") == 1:
        parts[-1] = "a single compartment"
    return f"The network, with {' and '.join(parts)}," if parts else "The network"


def _confidence(scores: Row) -> str:
    cells = filled(scores.get("reliability"))
    total = sum(row["count"] for row in cells)
    if not total:
        return ""
    if total < chance.ENOUGH:
        return (
            f"{plural(total, 'recording')} {'is' if total == 1 else 'are'} too few to tell whether its confidence can "
            "be trusted."
        )
    return " ".join(
        part for part in (_a_cell(cells), _on_average(scores, cells), _temperature(scores)) if part
    )


def _a_cell(cells: Sequence[Row]) -> str:
    """What a confidence near 90 % is worth, if a cell there holds enough recordings to tell."""
    known = [row for row in cells if row["count"] >= chance.ENOUGH and 0.8 <= row["confidence"] <= 1]
    if not known:
        return ""
    near = min(known, key=lambda row: abs(row["confidence"] - 0.9))
    low, high = chance.wilson(near["accuracy"], near["count"])
    verdict = (
        ", less often than it says"
        if near["confidence"] > high
        else ", more often than it says"
        if near["confidence"] < low
        else f": {NO_DIFFERENCE}"
    )
    return (
        f"Of the {number(near['count'])} recordings of which it is {sureness(near)} sure "
        f"({error_percent(near['confidence'])} on average) it is right on "
        f"<strong>{measured(near['accuracy'], near['count'])}</strong>{verdict}."
    )


def sureness(cell: Row) -> str:
    """The confidences of a cell: ``87 to 93 %``."""
    low, high = round(100 * cell["low"]), round(100 * min(cell["high"], 1.0))
    return percent(1.0) if low == high else f"{low} to {percent(high / 100)}"


def _on_average(scores: Row, cells: Sequence[Row]) -> str:
    total = sum(row["count"] for row in cells)
    claimed = sum(row["confidence"] * row["count"] for row in cells) / total
    reached = sum(row["accuracy"] * row["count"] for row in cells) / total
    low, high = chance.wilson(reached, total)
    claims = f"overall it claims {error_percent(claimed)} and reaches {measured(reached, total)}"
    if claimed > high:
        return f"It is too sure of itself: {claims}."
    if claimed < low:
        return f"It is too modest: {claims}."
    text = f"{claims[0].upper()}{claims[1:]}: {NO_DIFFERENCE}."
    mean, spread = chance.calibration_by_chance(cells)
    if is_number(scores.get("ece")) and scores["ece"] > mean + chance.BEYOND * spread:
        text += (
            f" Single claims are off by {error_percent(scores['ece'])} on average, where chance alone would make "
            f"{error_percent(mean)}."
        )
    return text


def _temperature(scores: Row) -> str:
    changes = [changed(scores, key) for key in ("ece", "nll")]
    shown = " and ".join(change for change in changes if change)
    return f"A temperature chosen on recordings kept aside {shown}." if shown else ""


def changed(scores: Row, key: str) -> str | None:
    """What the temperature made of a score where smaller is better, as far as it is beyond the error."""
    warm = scores.get("tempered") or {}
    if not (is_number(scores.get(key)) and is_number(warm.get(key))):
        return None
    name, show = NAMES[key]
    return moved(name, scores[key], warm[key], temperature_sign(scores, key), show)


def temperature_sign(scores: Row, key: str) -> int | None:
    """1 where a score was larger without the temperature beyond the error, -1 smaller, 0 neither, None unknown."""
    before, after = scores.get(key), (scores.get("tempered") or {}).get(key)
    wide = error(scores, key, scores, "change")
    if wide is None or before is None or after is None:
        return None
    return chance.compare_means(before, wide, after, 0.0)


def _abstaining(scores: Row) -> str:
    # Where certainty alone covers more than that, the confidences at the temperature still tell answers apart.
    curves = [
        [row for row in rows or () if 0.55 <= row["coverage"] <= 0.95]
        for rows in (scores.get("selective"), (scores.get("tempered") or {}).get("selective"))
    ]
    curve = curves[0] or curves[1]
    if not curve:
        return ""
    where = "" if curves[0] else " (by its confidence at temperature)"
    near = min(curve, key=lambda row: abs(row["coverage"] - 0.8))
    count, right = scores["presentations"], scores["accuracy"]
    kept = near["coverage"] * count
    left = count - kept
    if kept < chance.ENOUGH or left < chance.ENOUGH / 3:
        return ""
    missed = min(max((right * count - near["accuracy"] * kept) / left, 0.0), 1.0)
    verdict = {
        1: "its doubts point at its mistakes",
        -1: "its doubts point away from its mistakes",
        0: f"{NO_DIFFERENCE}, so nothing shows that its doubts point at its mistakes",
    }[chance.compare_shares(near["accuracy"], kept, missed, left)]
    return (
        f"If it abstains on the {percent(1 - near['coverage'])} it is least sure of{where}, it is right on "
        f"<strong>{measured(near['accuracy'], kept)}</strong> of the rest. Of those it would have been right on "
        f"{measured(missed, left)}: {verdict}."
    )


def _in_time(run: Run, scores: Row) -> str:
    """From when on its answer is as good as at the end."""
    times, classes, count = (
        with_accuracy(scores.get("by_time")),
        scores.get("classes", 0),
        scores["presentations"],
    )
    if len(times) < 2 or classes < 2 or not _beats(scores, 1 / classes):
        return ""
    final, warm = times[-1], run.warm_up_ms
    margin = chance.BEYOND * chance.half_width(final["accuracy"], count)
    last_below = max(
        (i for i, row in enumerate(times) if row["accuracy"] < final["accuracy"] - margin), default=-1
    )
    begin = f"It begins to answer after {number(round(warm))} ms (the warm-up). " if warm else ""
    return (
        f"{begin}From {number(round(times[last_below + 1]['ms']))} ms of {number(round(final['ms']))} ms on its "
        f"accuracy stays within two standard errors ({100 * margin:.1f} points) of that at the end."
    )


def mistakes(confusion: Sequence[Sequence[float]], names: Sequence[str] = ()) -> str:
    """The most frequent confusion in words, if one is more frequent than all others; classes by their names, if any."""
    wrong = [
        (count, true, answer)
        for true, row in enumerate(confusion)
        for answer, count in enumerate(row)
        if true != answer and count > 0
    ]
    if not wrong:
        return "There was no mistake."
    most = max(count for count, _, _ in wrong)
    if most < 2:
        return "No class was mistaken for another more than once."
    worst = [(true, answer) for count, true, answer in wrong if count == most]
    if len(worst) > 1:
        return f"No confusion stands out: {len(worst)} of them happened {round(most, 1):g} times each."
    of = number(round(sum(confusion[worst[0][0]]), 1))
    true, answer = (escape(names[label]) if label < len(names) else str(label) for label in worst[0])
    text = f"Most often, class {true} was taken for class {answer} ({round(most, 1):g} times of {of})"
    others = max((count for count, *pair in wrong if tuple(pair) != worst[0]), default=0.0)
    if (
        chance.compare_means(most, math.sqrt(most), others, math.sqrt(others)) <= 0
    ):  # counts err by their root
        text += ", which may be chance"
    return f"{text}."


def _present_classes(scores: Row) -> int:
    return sum(sum(row) > 0 for row in scores.get("confusion") or ())
