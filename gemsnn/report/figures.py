"""Figures of a run: plain data in, SVG text out, ready to stand inside an HTML page.

The SVG carries no colours of its own: matplotlib draws with placeholder colours, which :func:`to_svg`
replaces by ``currentColor`` and CSS variables, so that the page decides and may be light or dark.
The text stays text. The same data gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

Row = Mapping[str, Any]

# Placeholders: hexadecimal colours that nothing else uses, and what takes their place in the page.
INK, FAINT, MAIN, SECOND, BASELINE, MUTED = (f"#0{i}0{i}0{i}" for i in range(1, 7))
PLACEHOLDERS = {
    INK: "currentColor",
    FAINT: "var(--rule)",
    MAIN: "var(--main)",
    SECOND: "var(--second)",
    BASELINE: "var(--baseline)",
    MUTED: "var(--muted)",
}

# One colour per compartment in the raster (it holds pixels, which cannot use CSS variables): mid tones that
# stand out from white and from near-black. Six, for more could not be told apart.
COMPARTMENTS = ("#2f7fd6", "#e07b1a", "#2a9d6a", "#c8518f", "#8a6fd8", "#a8912b")
_INPUTS = "#7f8896"
_MAIN_PIXELS = "#2f7fd6"

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an ``<svg>`` element; ``alt`` is its accessible name, ``name`` keeps its ids apart."""
    buffer = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    # What a stand-alone file needs and a page does not: metadata, comments, name spaces, ids of groups (they
    # would repeat from figure to figure), and a style sheet that would reach the whole page.
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<g id=\"[^\"]*\"", "<g", svg)
    svg = re.sub(r"\n\s*", "\n", svg)
    for placeholder, css in PLACEHOLDERS.items():
        svg = svg.replace(placeholder, css)
    box = re.search(r"viewBox=\"[^\"]*\"", svg)
    assert box is not None
    return re.sub(r"^<svg[^>]*>", f'<svg {box.group()} role="img" aria-label="{escape(alt)}">', svg)


# -- learning ----------------------------------------------------------------------------------------------


def evidence_curve(rows: Sequence[Row]) -> str:
    """Log-likelihood of the target spikes while learning: the compartments' mean and their bound."""
    with mpl.rc_context(_STYLE):
        figure, axes = _panel()
        x = _column(rows, "presentations")
        _smoothed(axes, x, _column(rows, "bound"), SECOND, "together (bound)")
        _smoothed(axes, x, -_column(rows, "loss"), MAIN, "each alone (mean)")
        axes.set(xlabel="presentations seen", ylabel="log-likelihood, nats")
        _window(axes, np.concatenate([_column(rows, "bound"), -_column(rows, "loss")]))
        _legend(axes)
    return to_svg(figure, "evidence", "Log-likelihood of the target spikes against presentations seen")


def activity_curve(rows: Sequence[Row]) -> str:
    """Spikes per hidden neuron and step while learning."""
    with mpl.rc_context(_STYLE):
        figure, axes = _panel()
        _smoothed(axes, _column(rows, "presentations"), _column(rows, "hidden_rate"), MAIN)
        axes.set(xlabel="presentations seen", ylabel="spikes per neuron and step")
        _from_zero(axes, _column(rows, "hidden_rate"))
    return to_svg(figure, "activity", "Spikes per hidden neuron and step against presentations seen")


def effective_compartments(rows: Sequence[Row]) -> str:
    """Effective sample size of the compartments' weights while learning."""
    with mpl.rc_context(_STYLE):
        figure, axes = _panel()
        _smoothed(axes, _column(rows, "presentations"), _column(rows, "ess"), MAIN)
        axes.set(xlabel="presentations seen", ylabel="effective compartments")
        _from_zero(axes, _column(rows, "ess"))
    return to_svg(figure, "effective", "Effective number of compartments against presentations seen")


def validation_curve(rows: Sequence[Row], chance: float | None) -> str:
    """Accuracy at every evaluation while learning, with guessing as a reference."""
    with mpl.rc_context(_STYLE):
        figure, axes = _panel()
        x, y = _column(rows, "presentations"), 100 * _column(rows, "accuracy")
        axes.plot(x, y, "o-", color=MAIN, markersize=4)
        _reference(axes, chance, MUTED, "guessing")
        axes.set(xlabel="presentations seen", ylabel="accuracy, %", ylim=(0, 102))
        axes.set_xlim(left=0)
        _legend(axes)
    return to_svg(figure, "validation", "Accuracy on held-out recordings against presentations seen")


# -- uncertainty -------------------------------------------------------------------------------------------


def reliability_diagram(rows: Sequence[Row], tempered: Sequence[Row] | None = None) -> str:
    """Accuracy against confidence with the diagonal of perfect honesty, above the count in each cell.

    ``tempered`` cells, those at a temperature, are dots without counts.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5, 4.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        filled = [row for row in rows if row["count"]]
        claimed, reached = 100 * _column(filled, "confidence"), 100 * _column(filled, "accuracy")
        count = _column(filled, "count")
        upper.plot([0, 100], [0, 100], "--", color=MUTED, linewidth=1.2)
        upper.text(7, 11, "as sure as right", rotation=38, rotation_mode="anchor", fontsize=9, color=MUTED)
        upper.vlines(claimed, claimed, reached, color=SECOND, linewidth=4, alpha=0.55)
        upper.plot(claimed, reached, "-", color=MAIN, linewidth=1, alpha=0.5)
        upper.scatter(claimed, reached, s=18 + 160 * count / count.max(), color=MAIN, zorder=3)
        if warm := [row for row in tempered or () if row["count"]]:
            claimed, reached = 100 * _column(warm, "confidence"), 100 * _column(warm, "accuracy")
            upper.plot(claimed, reached, "o", color=SECOND, markersize=4, label="at temperature")
            _legend(upper)
        upper.set(ylabel="actually right, %", ylim=(-4, 104), xlim=(-2, 105))
        # In runs of earlier versions a cell without width holds certainty alone: its bar lies beyond 100 %.
        width = 100 * min(
            (row["high"] - row["low"] for row in rows if row["high"] > row["low"]), default=0.04
        )
        left = [100 * row["low"] for row in filled]
        wide = [width if row["high"] > row["low"] else 0.6 * width for row in filled]
        lower.bar(left, count, wide, align="edge", color=MAIN, edgecolor="none", alpha=0.8)
        lower.set(xlabel="how sure the network says it is, %", ylabel="recordings")
        figure.align_ylabels()
    return to_svg(figure, "reliability", "How often the network is right against how sure it says it is")


def by_compartments(rows: Sequence[Row], baseline: Row | None) -> str:
    """Accuracy and calibration error against the number of compartments asked."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5, 4.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        x = _column(rows, "compartments")
        style = {"color": MAIN, "markersize": 4}
        upper.plot(x, 100 * _column(rows, "accuracy"), "o-", label="network", **style)
        lower.plot(x, 100 * _column(rows, "ece"), "o-", **style)
        if baseline:
            _reference(upper, baseline.get("accuracy"), BASELINE, "baseline")
        upper.set_ylabel("accuracy, %")
        lower.set(xlabel="compartments asked", ylabel="calibration\nerror, %")
        _from_zero(lower, 100 * _column([*rows, baseline or {}], "ece"))
        if baseline:
            _reference(lower, baseline.get("ece"), BASELINE)
        lower.xaxis.get_major_locator().set_params(integer=True)
        if baseline:
            _legend(upper)
        figure.align_ylabels()
    return to_svg(figure, "by-compartments", "Accuracy and calibration error against compartments asked")


def by_time(rows: Sequence[Row], chance: float | None, baseline: Row | None) -> str:
    """Accuracy against the time since the recording began."""
    with mpl.rc_context(_STYLE):
        figure, axes = _panel()
        axes.plot(_column(rows, "ms"), 100 * _column(rows, "accuracy"), color=MAIN, label="network")
        if baseline:
            _reference(axes, baseline.get("accuracy"), BASELINE, "baseline, at the end")
        _reference(axes, chance, MUTED, "guessing")
        axes.set(xlabel="time since the recording began, ms", ylabel="accuracy, %", ylim=(0, 102))
        axes.set_xlim(left=0)
        _legend(axes)
    return to_svg(figure, "by-time", "Accuracy against elapsed time")


def selective_curve(rows: Sequence[Row], tempered: Sequence[Row] | None = None) -> str:
    """Accuracy on the recordings answered, against the share answered; also for ``tempered`` confidences."""
    with mpl.rc_context(_STYLE):
        figure, axes = _panel()
        x, y = 100 * _column(rows, "coverage"), 100 * _column(rows, "accuracy")
        few = {"marker": "o", "markersize": 4} if len(rows) <= 40 else {}
        axes.plot(x, y, color=MAIN, **few)
        if tempered:
            x_warm, y_warm = 100 * _column(tempered, "coverage"), 100 * _column(tempered, "accuracy")
            axes.plot(x_warm, y_warm, color=SECOND, linewidth=1.2, label="at temperature")
            y = np.concatenate([y_warm, y])
        axes.axhline(y[-1], color=MUTED, linestyle="--", linewidth=1.2, label="answering everything")
        axes.set(xlabel="recordings answered (the surest), %", ylabel="accuracy on those, %", xlim=(0, 103))
        _window(axes, np.concatenate([y, [100.0]]))
        _legend(axes)
    return to_svg(figure, "selective", "Accuracy on the recordings answered against the share answered")


def confusion(matrix: Sequence[Sequence[float]]) -> str:
    """Rows: the true class; columns: the answer. The shade is the share of the row."""
    with mpl.rc_context({**_STYLE, "axes.grid": False}):
        counts = np.asarray(matrix, dtype=float)
        classes = len(counts)
        figure = Figure(figsize=(5, 4.6), layout="constrained")
        axes = figure.subplots()
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1e-9)
        pixels = np.empty((classes, classes, 4))
        pixels[..., :3] = to_rgb(_MAIN_PIXELS)
        pixels[..., 3] = 0.04 + 0.96 * share
        axes.imshow(pixels, interpolation="none")
        if classes <= 12:
            for row, column in np.argwhere(counts >= 0.05):
                number = float(counts[row, column])
                text = f"{number:.1f}".removesuffix(".0")
                colour = "white" if share[row, column] > 0.8 else INK
                axes.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
            axes.set_xticks(range(classes))
            axes.set_yticks(range(classes))
        axes.set(xlabel="answer", ylabel="true class")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return to_svg(figure, "confusion", "Confusion matrix: true class against answer")


# -- one recording -----------------------------------------------------------------------------------------


def raster(
    inputs: NDArray[np.uint8],
    hidden: NDArray[np.uint8],
    visible: NDArray[np.uint8],
    label: int,
    votes: NDArray[np.int64],
    bin_us: int,
) -> str:
    """Spikes of one recording: inputs ``[T, M]``, hidden ``[K, T, H]``, outputs ``[K, T, V]``, votes ``[K]``.

    Panels share the time axis. The first six compartments are drawn, each in its colour; all of them vote.
    """
    with mpl.rc_context({**_STYLE, "axes.grid": False}):
        shown, classes = min(len(visible), len(COMPARTMENTS)), visible.shape[2]
        with_hidden = hidden.shape[2] > 0
        ratios = [2.0, 2.6, 2.8] if with_hidden else [2.0, 2.8]
        figure = Figure(figsize=(9.6, 6.8 if with_hidden else 4.8), layout="constrained")
        grid = figure.subplots(len(ratios), 2, width_ratios=[6, 1], height_ratios=ratios, squeeze=False)
        for axes in grid[:-1, 1]:
            axes.set_axis_off()
        end_ms = inputs.shape[0] * bin_us / 1000

        def draw(axes: Axes, image: NDArray[np.float64], rows: float) -> None:
            extent = (0.0, end_ms, rows - 0.5, -0.5)
            axes.imshow(image, aspect="auto", interpolation="none", extent=extent)
            axes.tick_params(labelbottom=axes is grid[-1, 0])
            axes.set_xlim(0, end_ms)

        top = grid[0, 0]
        draw(top, _pixels(_pool(inputs.T, 160), _INPUTS), inputs.shape[1])
        top.set_ylabel("input")
        top.set_title("Inputs: events of the camera", loc="left")

        if with_hidden:
            middle = grid[1, 0]
            bands = [_pixels(_pool(hidden[k].T, max(8, 192 // shown)), COMPARTMENTS[k]) for k in range(shown)]
            draw(middle, np.concatenate(bands), shown)
            middle.set_yticks(range(shown), [str(k + 1) for k in range(shown)])
            middle.hlines(np.arange(1, shown) - 0.5, 0, end_ms, color=FAINT, linewidth=0.8)
            middle.set_ylabel("compartment")
            middle.set_title(f"Hidden neurons: the same {hidden.shape[2]} in every compartment", loc="left")

        # Within the row of a class, one line a compartment.
        bottom, ballot = grid[-1]
        lines = np.concatenate(
            [_pixels(_pool(visible[k].T, classes), COMPARTMENTS[k])[:, None] for k in range(shown)], axis=1
        )
        draw(bottom, lines.reshape(classes * shown, -1, 4), classes)
        bottom.axhspan(label - 0.5, label + 0.5, color=MAIN, alpha=0.14, linewidth=0, zorder=0)
        bottom.hlines(np.arange(1, classes) - 0.5, 0, end_ms, color=FAINT, linewidth=0.6)
        bottom.set(xlabel="time, ms", ylabel="class")
        bottom.set_title(f"Output neurons: the true class is {label}", loc="left")
        if classes <= 12:
            bottom.set_yticks(range(classes))

        place = np.array([(votes[:k] == vote).sum() for k, vote in enumerate(votes)])
        colours = [COMPARTMENTS[k] if k < shown else MUTED for k in range(len(votes))]
        widest = max(6, int(place.max()) + 1)
        ballot.scatter(place, votes, color=colours, s=max(6, min(30, 500 / widest)), linewidth=0)
        ballot.set(xlim=(-0.7, widest - 0.3), ylim=(classes - 0.5, -0.5), yticks=[], xticks=[])
        ballot.axhspan(label - 0.5, label + 0.5, color=MAIN, alpha=0.14, linewidth=0, zorder=0)
        ballot.set_title("Votes", loc="left")
        ballot.spines[["left", "bottom"]].set_visible(False)
        figure.align_ylabels()
    return to_svg(
        figure, "raster", "Spikes of inputs, hidden neurons and output neurons over time, and votes"
    )


# -- strokes -----------------------------------------------------------------------------------------------


def _panel() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    return figure, figure.subplots()


def _column(rows: Sequence[Row], key: str) -> NDArray[np.float64]:
    """One number per row, NaN (a gap in the line) where it is missing."""
    return np.array([np.nan if row.get(key) is None else row[key] for row in rows], dtype=float)


def _smoothed(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], colour: str, label: str | None = None
) -> None:
    """The values, thin and pale, under their running mean over a twentieth of the run.

    Long runs are thinned to about 400 points a line: the page stays small and looks the same.
    """
    width = max(1, len(y) // 20)
    thin = slice(None, None, max(1, len(y) // 400))
    if width > 1:
        axes.plot(x[thin], y[thin], color=colour, linewidth=0.6, alpha=0.35)
    index = np.arange(len(y))
    total, number = np.nancumsum(y), np.cumsum(np.isfinite(y))
    before = np.maximum(index - width, -1)
    total_before = np.where(before >= 0, total[before], 0.0)
    number_before = np.where(before >= 0, number[before], 0)
    seen = number - number_before
    mean = np.where(seen > 0, (total - total_before) / np.maximum(seen, 1), np.nan)
    marker = "o" if len(y) <= 40 else ""
    axes.plot(x[thin], mean[thin], color=colour, label=label, marker=marker, markersize=4)
    axes.set_xlim(left=0)


def _reference(axes: Axes, value: float | None, colour: str, label: str | None = None) -> None:
    if value is not None:
        axes.axhline(100 * value, color=colour, linestyle="--", linewidth=1.2, label=label)


def _legend(axes: Axes) -> None:
    """Names of the lines in a row above the panel, where they hide nothing."""
    names = axes.get_legend_handles_labels()[1]
    if names:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=len(names),
            borderaxespad=0.2,
            borderpad=0.2,
            handlelength=1.5,
            columnspacing=1.2,
        )


def _window(axes: Axes, values: NDArray[np.float64]) -> None:
    """Limits that the wildest hundredth of the values cannot stretch."""
    finite = values[np.isfinite(values)]
    if len(finite):
        low, high = np.quantile(finite, [0.01, 1.0])
        margin = 0.06 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)


def _from_zero(axes: Axes, values: NDArray[np.float64]) -> None:
    """Limits for what cannot be negative, with room above."""
    axes.set_ylim(0, 1.12 * float(np.max(values[np.isfinite(values)], initial=0.0)) or 1.0)


def _pool(spikes: NDArray[np.uint8], rows: int) -> NDArray[np.float64]:
    """``[R, T]`` spikes to at most ``rows`` rows and 1,000 columns: the share of neighbours that spiked.

    A browser that shrinks an image drops lines of it; the mean of neighbours keeps every spike visible.
    """
    for axis, limit in ((0, rows), (1, 1000)):
        if spikes.shape[axis] > limit:
            starts = np.linspace(0, spikes.shape[axis], limit, endpoint=False).astype(int)
            size = np.diff(np.append(starts, spikes.shape[axis]))
            total = np.add.reduceat(spikes.astype(float), starts, axis=axis)
            spikes = total / (size[:, None] if axis == 0 else size)
    return spikes.astype(float)


def _pixels(strength: NDArray[Any], colour: str) -> NDArray[np.float64]:
    """``[..]`` strengths to ``[.., 4]`` RGBA of one colour; the root lets weak pixels be seen."""
    strength = np.asarray(strength, dtype=float)
    pixels = np.empty((*strength.shape, 4))
    pixels[..., :3] = to_rgb(colour)
    pixels[..., 3] = np.sqrt(strength / max(float(strength.max(initial=0.0)), 1e-9))
    return pixels
