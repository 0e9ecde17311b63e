"""What a run's answers are worth, as figures. Bars and bands are two standard errors on either side."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gemsnn import plots
from gemsnn.plots.curves import Score
from gemsnn.report.svg import BASELINE, MAIN, SECOND, Row, page, panel, to_svg


def reliability_diagram(rows: Sequence[Row], tempered: Sequence[Row] | None = None) -> str:
    """Accuracy against confidence with the diagonal of perfect calibration, above the count in each cell.

    ``tempered`` cells, those at a temperature, are dots without bars.
    """
    with page():
        figure = Figure(figsize=(5, 4.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        warm = any(row["count"] for row in tempered or ())
        plots.reliability(rows, label="as voted" if warm else None, ax=upper)
        if tempered and warm:
            plots.reliability(tempered, bands="none", label="at temperature", colour=SECOND, ax=upper)
        upper.set_xlabel("")
        plots.confidences(rows, ax=lower)
        figure.align_ylabels()
    return to_svg(figure, "reliability", "How often the network is right against how sure it says it is")


def against_compartments(scores: Row, score: Score) -> str:
    """A score against the number of compartments asked, beside the baseline's."""
    with page():
        figure, axes = panel()
        plots.against_compartments(scores, score, label="network", ax=axes)
        _beside(axes, scores, score)
    return to_svg(figure, f"compartments-{score}", f"{_NAMES[score]} against compartments asked")


def over_time(scores: Row, score: Score, warm_up_ms: float = 0.0) -> str:
    """A score against the time since the recording began; the warm-up, in which no answer counts, is shaded."""
    with page():
        figure, axes = panel()
        plots.over_time(scores, score, warm_up_ms=warm_up_ms, label="network", ax=axes)
        _beside(axes, scores, score, " at the end")
        if score == "accuracy":
            plots.reference(axes, _guessing(scores), "guessing")
    return to_svg(figure, f"time-{score}", f"{_NAMES[score]} against elapsed time")


_NAMES = {"accuracy": "Accuracy", "ece": "Calibration error", "nll": "Surprise", "set_size": "Classes left"}


def _beside(axes: Axes, scores: Row, score: Score, when: str = "") -> None:
    baseline = (scores.get("baseline") or {}).get(score)
    plots.reference(axes, baseline, f"baseline{when}", percent=score != "nll", colour=BASELINE)


def _guessing(scores: Row) -> float | None:
    return 1 / scores["classes"] if scores.get("classes") else None


def selective_curve(scores: Row) -> str:
    """Accuracy on the recordings answered, against the share answered; also for the confidences at a temperature."""
    with page():
        figure, axes = panel()
        tempered = scores.get("tempered") or {}
        last = None  # of all recordings, which both know
        for part, label, colour in ((tempered, "at temperature", SECOND), (scores, "as voted", MAIN)):
            if part.get("selective"):
                plots.selective(
                    part, recordings=scores.get("presentations"), chance=_guessing(scores), bands=part is scores,
                    label=label, colour=colour, ax=axes,
                )  # fmt: skip
                last = part["selective"][-1]["accuracy"]
        plots.reference(axes, last, "all answered")
    return to_svg(figure, "selective", "Accuracy on the recordings answered against the share answered")


def confusion(matrix: Sequence[Sequence[float]], names: Sequence[str] = ()) -> str:
    """Rows: the true class; columns: the answer. The shade is the share of the row. Few classes are shown by name."""
    with page(axes_grid=False):
        figure, axes = panel(5, 4.6)
        plots.confusion(matrix, names=names, ax=axes)
    return to_svg(figure, "confusion", "Confusion matrix: true class against answer")
