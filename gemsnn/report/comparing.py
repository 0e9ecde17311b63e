"""Whether two numbers of a run differ by more than their error, and the words for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gemsnn.report.numbers import error_percent, is_number, number
from gemsnn.report.reading import Row
from gemsnn.scoring import chance

NO_DIFFERENCE = "no difference beyond the error"

NAMES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "ece": ("its calibration error", error_percent),
    "nll": ("its surprise", lambda value: f"{number(value)} nats"),
}


def moved(what: str, before: float, after: float, sign: int | None, shown: Callable[[float], str]) -> str:
    """A change in words: ``sign`` is 1 where the number was larger before, beyond the error, -1 smaller, 0 neither."""
    numbers = f"from {shown(before)} to {shown(after)}"
    if sign is None:
        return f"takes {what} {numbers} (no error is known)"
    if sign == 0:
        return (
            f"makes no difference to {what} beyond the error ({shown(before)} before, {shown(after)} after)"
        )
    return f"{'lowers' if sign > 0 else 'raises'} {what} {numbers}"


def changed_words(sign: int | None) -> str:
    """What a temperature made of a score where smaller is better: the words of :func:`moved`, in short."""
    return {None: "no error is known", 0: NO_DIFFERENCE, 1: "lower", -1: "higher"}[sign]


def compare(scores: Row, baseline: Row, key: str) -> int | None:
    """1 where a score is larger than the baseline's beyond the error, -1 smaller, 0 neither, None unknown."""
    if not (is_number(scores.get(key)) and is_number(baseline.get(key))):
        return None
    one, other, count = scores[key], baseline[key], scores.get("presentations")
    if key == "accuracy" and count:
        return chance.compare_shares(one, count, other, count)
    errors = error(scores, key, scores), error(baseline, key, scores)
    if errors[0] is None or errors[1] is None:
        return None
    return chance.compare_means(one, errors[0], other, errors[1])


def error(row: Row, key: str, scores: Row, part: str = "plain") -> float | None:
    """The standard error of a score of a row, as far as the run tells it; ``scores`` has the number of recordings."""
    count = scores.get("presentations") or 0
    if key == "accuracy":
        return chance.half_width(row[key], count) if count and is_number(row.get(key)) else None
    found = ((row.get("errors") or {}).get(part) or {}).get(key)
    return found if is_number(found) and count >= chance.ENOUGH else None


def decoder(scores: Row) -> str:
    """The decoder of the scores; older runs, which do not name it, voted."""
    return str(scores.get("decoder") or "votes")


def with_accuracy(rows: Sequence[Row] | None) -> list[Row]:
    """The rows that tell an accuracy."""
    return [row for row in rows or () if is_number(row.get("accuracy"))]


def filled(cells: Sequence[Row] | None) -> list[Row]:
    """The cells of a reliability diagram that hold recordings."""
    return [row for row in with_accuracy(cells) if row["count"] and is_number(row["confidence"])]
