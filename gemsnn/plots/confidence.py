"""What confidence is worth: reliability diagrams, how many are how sure, accuracy with abstention, and confusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from gemsnn.plots.given import Row, array, at, column, rows_of
from gemsnn.plots.looks import canvas, look
from gemsnn.plots.strokes import around, band, called, legend, marker, share_axis
from gemsnn.scoring.chance import ENOUGH, consistent
from gemsnn.specs import checks

Bands = Literal["bars", "consistent", "none"]

_DIAGONAL = "_calibrated"


def reliability(
    scores: Row | Sequence[Row],
    *,
    bands: Bands = "bars",
    label: str | None = None,
    colour: str | None = None,
    beside: float = 0.0,
    ax: Axes | None = None,
) -> Axes:
    """How often answers are right against how sure they are: a dot for each cell, the larger the more recordings.

    Above the dashed line a network is too modest, below it too sure. What chance does is drawn in one of two ways:

    - ``bars``: of each dot, the chances of being right from which it is two standard errors away (Wilson's interval,
      :func:`gemsnn.scoring.chance.wilson`). A dot whose bar crosses the line shows nothing.
    - ``consistent``: around the line, where dots lie by chance if all claims are right (quantiles of the binomial
      distribution of as many recordings, :func:`gemsnn.scoring.chance.consistent`). A dot in its box shows nothing.

    Args:
        scores: of :func:`gemsnn.score`, or cells such as ``scores.tempered.reliability``.
        bands: see above.
        label: in a legend, where several are drawn.
        colour: of the dots.
        beside: percentage points by which the dots are moved to the right, where another network's lie there too.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: the scores hold no cells, or there are no such ``bands``.

    >>> from gemsnn import plots
    >>> from matplotlib.figure import Figure
    >>> cells = [{"confidence": 0.9, "accuracy": 0.8, "count": 50}]
    >>> plots.reliability(cells, ax=Figure().subplots()).get_ylabel()
    'right answers, %'
    """
    checks.choice(bands, Bands, "bands")
    cells = [cell for cell in rows_of(scores, "reliability") if at(cell, "count")]
    cells = [cell for cell in cells if at(cell, "accuracy") is not None]
    claimed, reached, count = (column(cells, name) for name in ("confidence", "accuracy", "count"))
    x = 100 * claimed + beside
    with canvas(ax, 2.9, 2.8) as axes:
        colour = colour or look().main
        if not any(line.get_label() == _DIAGONAL for line in axes.lines):
            axes.plot([0, 100], [0, 100], "--", color=look().muted, linewidth=1, label=_DIAGONAL)
        if bands == "bars":
            low, high = around(reached, count)
            axes.vlines(x, 100 * low, 100 * high, color=colour, linewidth=1.3, alpha=0.7)
        elif bands == "consistent":
            limits = [consistent(float(p), int(n)) for p, n in zip(claimed, count, strict=True)]
            low, high = 100 * np.array(limits).reshape(-1, 2).T
            axes.bar(x, high - low, 3.0, low, color=look().muted, alpha=0.25, linewidth=0)
        if len(cells):
            size = 14 + 80 * count / count.max()
            axes.scatter(x, 100 * reached, s=size, color=colour, linewidth=0, zorder=3)
        if label is not None:
            axes.plot([], [], "o", color=colour, markersize=4, label=label)
        axes.set(xlabel="confidence, %", ylabel="right answers, %", xlim=(-3, 104), ylim=(-3, 104))
        legend(axes)
    return axes


def confidences(scores: Row | Sequence[Row], *, colour: str | None = None, ax: Axes | None = None) -> Axes:
    """How many recordings are answered how surely: a bar for each cell of a reliability diagram.

    Args:
        scores: as :func:`reliability` takes them.
        colour: of the bars.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: the scores hold no cells.
    """
    rows = rows_of(scores, "reliability")
    cells = [cell for cell in rows if at(cell, "count")]
    wide = column(rows, "high") - column(rows, "low")
    usual = float(
        np.min(wide[wide > 0], initial=1.0)
    )  # a cell without width, as older runs have it, holds certainty
    own = column(cells, "high") - column(cells, "low")
    with canvas(ax, 2.9, 1.4) as axes:
        axes.bar(
            100 * column(cells, "low"), column(cells, "count"), 100 * np.where(own > 0, own, 0.6 * usual),
            align="edge", color=colour or look().main, edgecolor="none", alpha=0.8,
        )  # fmt: skip
        axes.set(xlabel="confidence, %", ylabel="recordings", xlim=(-3, 104))
    return axes


def selective(
    scores: Row,
    *,
    recordings: int | None = None,
    chance: float | None = None,
    bands: bool = True,
    label: str | None = None,
    colour: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """How often answers are right where only the surest are given, against the share that is answered.

    The band is Wilson's interval of two standard errors. Shares of fewer than 30 recordings are left out where there
    are larger ones. A second call with ``scores.tempered`` and the same Axes draws the answers at a temperature.

    Args:
        scores: of :func:`gemsnn.score`, or what it calls ``selective``.
        recordings: how many were asked; by default what the scores say. Without it there is no band.
        chance: the share that guessing gets right, from which the axis begins; by default the scores' classes tell it.
        bands: whether there is a band.
        label: in a legend, where several are drawn.
        colour: of the line.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: the scores hold no such curve.
    """
    rows = rows_of(scores, "selective")
    recordings, chance = asked_of(scores, recordings, chance)
    rows = [row for row in rows if at(row, "coverage") * (recordings or 0) >= ENOUGH] or rows
    x, share = column(rows, "coverage"), column(rows, "accuracy")
    with canvas(ax) as axes:
        colour = colour or look().main
        if recordings and bands:
            low, high = around(share, x * recordings)
            band(axes, 100 * x, 100 * low, 100 * high, colour)
        axes.plot(100 * x, 100 * share, color=colour, label=label, **marker(len(rows)))
        share_axis(axes, chance)
        axes.set(
            xlabel="recordings answered (the surest), %", ylabel="right answers among them, %", xlim=(0, 103)
        )
        legend(axes)
    return axes


def asked_of(scores: Row, recordings: int | None, chance: float | None) -> tuple[int | None, float | None]:
    """How many recordings scores are of, and what guessing gets right, where it is not given but told."""
    classes = at(scores, "classes")
    return recordings or at(scores, "presentations"), chance or (1 / classes if classes else None)


MOST_NAMES = 40


def confusion(scores: Row | Any, *, names: Sequence[str] = (), ax: Axes | None = None) -> Axes:
    """Which class is taken for which: rows are the true classes, columns the answers, the shade the share of the row.

    Of up to twelve classes the numbers are written in.

    Args:
        scores: of :func:`gemsnn.score`, or numbers ``[C, C]``.
        names: of the classes; by default those of the scores.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: the scores hold no such numbers.
    """
    counts = array(rows_of(scores, "confusion"), "CC", "confusion").astype(float)
    classes, names = len(counts), names or at(scores, "names") or ()
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1e-9)
    shade = np.empty((classes, classes, 4))
    with canvas(ax, 2.9, 2.8) as axes:
        shade[..., :3] = to_rgb(look().on)
        shade[..., 3] = 0.04 + 0.96 * share
        axes.imshow(shade, interpolation="none")
        small = classes <= 12
        for row, answer in np.argwhere(counts >= 0.05) if small else ():
            text = f"{counts[row, answer]:.1f}".removesuffix(".0")
            colour = "white" if share[row, answer] > 0.6 else look().ink
            axes.text(answer, row, text, ha="center", va="center", fontsize="small", color=colour)
        if small:
            axes.set(xticks=range(classes), yticks=range(classes))
        if len(names) == classes <= MOST_NAMES:
            told, size = [called(n, names) for n in range(classes)], "small" if small else 6
            axes.set_xticks(
                range(classes), told, rotation=90 if max(map(len, told)) > 2 else 0, fontsize=size
            )
            axes.set_yticks(range(classes), told, fontsize=size)
        axes.set(xlabel="answer", ylabel="true class")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return axes
