"""Numbers as lines: scores against compartments and against time, and how a network learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gemsnn.plots.confidence import asked_of
from gemsnn.plots.given import Row, at, column, rows_of
from gemsnn.plots.looks import canvas, look
from gemsnn.plots.strokes import around, band, from_zero, legend, marker, share_axis, smoothed, window
from gemsnn.scoring.chance import BEYOND, half_width
from gemsnn.specs import checks

Score = Literal["accuracy", "ece", "nll", "brier", "log_likelihood", "set_size"]


class _Told(NamedTuple):
    label: str
    factor: float


_SCORES = {
    "accuracy": _Told("right answers, %", 100),
    "ece": _Told("calibration error, %", 100),
    "nll": _Told("surprise (NLL), nats", 1),
    "brier": _Told("Brier score", 1),
    "log_likelihood": _Told("log-likelihood, nats", 1),
    "set_size": _Told("classes in the set", 1),
}


def against_compartments(
    scores: Row | Sequence[Row],
    score: Score = "accuracy",
    *,
    recordings: int | None = None,
    chance: float | None = None,
    label: str | None = None,
    colour: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A score against the number of compartments that are asked.

    The band of the accuracy is Wilson's interval of two standard errors; that of the calibration error is as wide as
    the accuracy's, which is cautious (:func:`gemsnn.scoring.chance.half_width`). Others have none.

    Args:
        scores: of :func:`gemsnn.score`, or what it calls ``by_compartments``.
        score: ``accuracy``, ``ece``, ``nll``, ``brier`` or ``log_likelihood``.
        recordings: how many were asked; by default what the scores say. Without it there is no band.
        chance: the share that guessing gets right, from which the axis begins; by default the scores' classes tell it.
        label: in a legend, where several are drawn.
        colour: of the line.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: the scores do not hold them, or there is no such score.
    """
    rows = rows_of(scores, "by_compartments")
    how = {"recordings": recordings, "chance": chance, "label": label, "colour": colour}
    with canvas(ax) as axes:
        _scored(axes, scores, rows, "compartments", score, **how)
        axes.set(xlabel="compartments asked")
        # another line may stand there already; and where no score is known there is none at all
        most = int(max(axes.dataLim.x1, *column(rows, "compartments")))
        rest = MaxNLocator(5, integer=True).tick_values(0, most)
        axes.set_xticks([1, *(tick for tick in rest if 1 < tick <= most)])
    return axes


def over_time(
    scores: Row | Sequence[Row],
    score: Score = "accuracy",
    *,
    warm_up_ms: float = 0.0,
    recordings: int | None = None,
    chance: float | None = None,
    label: str | None = None,
    colour: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A score against the time since the recordings began, were they answered then.

    Bands are those of :func:`against_compartments`.

    Args:
        scores: of :func:`gemsnn.score`, or what it calls ``by_time``.
        score: ``accuracy``, ``ece``, ``nll``, ``brier``, or ``set_size``: how many of the likeliest classes together
            have 95 % of the probability, on average.
        warm_up_ms: the time in which no answer counts; it is shaded, and what is drawn begins after it.
        recordings: see :func:`against_compartments`.
        chance: see :func:`against_compartments`.
        label: in a legend, where several are drawn.
        colour: of the line.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: the scores do not hold them, or there is no such score.
    """
    rows = rows_of(scores, "by_time")
    # before the end of the warm-up there is no answer that could be right or wrong
    after = [row for row in rows if at(row, "ms") > warm_up_ms] or rows
    how = {"recordings": recordings, "chance": chance, "label": label, "colour": colour}
    with canvas(ax) as axes:
        _scored(axes, scores, after, "ms", score, **how)
        if warm_up_ms:
            axes.axvspan(0, warm_up_ms, color=look().faint, alpha=0.6, linewidth=0, zorder=0)
            axes.text(
                0.5 * warm_up_ms, 0.5, "warm-up", ha="center", va="center", rotation=90, fontsize="small",
                color=look().muted, transform=axes.get_xaxis_transform(),
            )  # fmt: skip
        axes.set(xlabel="time since the recording began, ms")
        axes.set_xlim(left=0)
    return axes


def _scored(
    ax: Axes, scores: Any, rows: Sequence[Row], against: str, score: Score, *, recordings: int | None,
    chance: float | None, label: str | None, colour: str | None,
) -> None:  # fmt: skip
    checks.choice(score, Score, "score")
    told, colour = _SCORES[score], colour or look().main
    recordings, chance = asked_of(scores, recordings, chance)
    rows = [row for row in rows if at(row, score) is not None]
    x, y = column(rows, against), column(rows, score)
    edges = _edges(rows, y, score, recordings)
    if edges is not None:
        band(ax, x, told.factor * edges[0], told.factor * edges[1], colour)
    ax.plot(x, told.factor * y, color=colour, label=label, **marker(len(rows)))
    ax.set(ylabel=told.label)
    if score == "accuracy":
        share_axis(ax, chance)
    elif score != "log_likelihood":
        from_zero(ax)
    legend(ax)


def _edges(
    rows: Sequence[Row], y: NDArray[np.float64], score: Score, recordings: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Of a score whose error the number of recordings tells, two standard errors below and above it."""
    if not recordings or score not in ("accuracy", "ece"):
        return None
    if score == "accuracy":
        return around(y, recordings)
    error = BEYOND * np.array([half_width(p, recordings) for p in column(rows, "accuracy")])
    return np.maximum(y - error, 0), y + error


def reference(
    ax: Axes,
    value: float | None,
    label: str | None = None,
    *,
    percent: bool = True,
    colour: str | None = None,
) -> Axes:
    """A dashed line across: what another method reaches, or guessing.

    Args:
        ax: to draw into.
        value: where; ``None`` draws nothing.
        label: in the legend.
        percent: whether it is a share, which is drawn in percent as accuracies are.
        colour: of the line.
    """
    with canvas(ax) as axes:
        if value is not None:
            at_height = 100 * value if percent else value
            axes.axhline(at_height, color=colour or look().muted, linestyle="--", linewidth=1, label=label)
            bottom, top = axes.get_ylim()
            axes.set_ylim(bottom, max(top, at_height + 0.02 * (top - bottom)))
            legend(axes)
    return axes


Course = Literal["log_likelihood", "hidden_rate", "ess", "accuracy", "nll"]


def learning(
    history: Sequence[Row],
    course: Course = "log_likelihood",
    *,
    recordings: int | None = None,
    chance: float | None = None,
    kept: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """How a network learned, from the lines that a run wrote: :attr:`gemsnn.Run.history`.

    =================== ========================================================================================
    ``log_likelihood``  of the target spikes of a presentation before it is learned, nats: the mean of the
                        compartments, and their bound, which scores them together
    ``hidden_rate``     spikes of a hidden neuron a step
    ``ess``             among how many compartments the learning signal is shared
    ``accuracy``        of answers to the validation part, in between
    ``nll``             of answers to the validation part after every epoch, at the temperature that suits them
    =================== ========================================================================================

    Args:
        history: its lines.
        course: see above.
        recordings: of the validation part, for a band of the accuracy (Wilson's interval of two standard errors).
        chance: the share that guessing gets right, from which the axis of accuracy begins.
        kept: the epoch whose weights were kept, which is marked.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: the lines hold no such course.
    """
    checks.choice(course, Course, "course")
    kind = {"accuracy": "evaluation", "nll": "epoch"}.get(course, "train")
    rows = rows_of([row for row in history if at(row, "kind") in (kind, None)], f"lines of kind {kind!r}")
    with canvas(ax) as axes:
        if course == "nll":
            _epochs(axes, rows, kept)
        elif course == "accuracy":
            x, share = column(rows, "presentations"), column(rows, "accuracy")
            if recordings:
                low, high = around(share, recordings)
                band(axes, x, 100 * low, 100 * high, look().main)
            axes.plot(x, 100 * share, "o-", color=look().main, markersize=3)
            axes.set(ylabel="right answers, %", xlabel="presentations seen")
            axes.set_xlim(left=0)
            share_axis(axes, chance)
        else:
            _taught(axes, rows, course)
            axes.set(xlabel="presentations seen")
        legend(axes)
    return axes


def _taught(ax: Axes, rows: Sequence[Row], course: Course) -> None:
    x = column(rows, "presentations")
    if course == "log_likelihood":
        mean, bound = -column(rows, "loss"), column(rows, "bound")
        several = bool(
            np.nanmax(np.abs(bound - mean), initial=0.0) > 1e-9
        )  # one compartment is its own bound
        if several:
            smoothed(ax, x, bound, look().second, "together (bound)")
        smoothed(ax, x, mean, look().main, "each alone (mean)" if several else None)
        ax.set(ylabel="log-likelihood, nats")
        window(ax, np.concatenate([bound, mean]))
        return
    smoothed(ax, x, column(rows, course), look().main)
    ax.set(ylabel={"hidden_rate": "spikes per neuron and bin", "ess": "effective compartments"}[course])
    from_zero(ax)


def _epochs(ax: Axes, rows: Sequence[Row], kept: int | None) -> None:
    x, nll = column(rows, "epoch"), column(rows, "nll")
    ax.plot(x, nll, "o-", color=look().main, markersize=3)
    if kept is not None:
        ax.plot(x[x == kept], nll[x == kept], "o", color=look().second, markersize=7, label="kept")
    ax.set(xlabel="epoch", ylabel="surprise (NLL), nats")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    from_zero(ax)
