"""What the figures of a run share: colours, style, strokes, and SVG text that is ready to stand inside an HTML page.

The SVG carries no colours of its own: matplotlib draws with placeholder colours, which :func:`to_svg`
replaces by ``currentColor`` and CSS variables, so that the page decides and may be light or dark.
The text stays text. The same data gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gemsnn.report.chance import wilson

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
INPUT_PIXELS = "#7f8896"
MAIN_PIXELS, SECOND_PIXELS = "#2f7fd6", "#e07b1a"

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


LONGEST_NAME = 16


def short(name: str) -> str:
    """A name beside an axis."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an ``<svg>`` element; ``alt`` is its accessible name, ``name`` keeps its ids apart."""
    buffer = io.StringIO()
    with styled(**{"svg.hashsalt": name}):
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


# -- strokes ----------------------------------------------------------------------------------------------


def styled(**changes: Any) -> AbstractContextManager[None]:
    """The style of the figures, while inside."""
    style: dict[Any, Any] = {**_STYLE, **changes}
    return mpl.rc_context(style)


def panel() -> tuple[Figure, Axes]:
    """A figure with one panel."""
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    return figure, figure.subplots()


def column(rows: Sequence[Row], key: str) -> NDArray[np.float64]:
    """One number per row, NaN (a gap in the line) where it is missing."""
    return np.array([np.nan if row.get(key) is None else row[key] for row in rows], dtype=float)


def smoothed(
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


def reference(axes: Axes, value: float | None, colour: str, label: str | None = None) -> None:
    """A share as a dashed line across."""
    if value is not None:
        axes.axhline(100 * value, color=colour, linestyle="--", linewidth=1.2, label=label)


def legend(axes: Axes) -> None:
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


def window(axes: Axes, values: NDArray[np.float64]) -> None:
    """Limits that the wildest hundredth of the values cannot stretch."""
    finite = values[np.isfinite(values)]
    if len(finite):
        low, high = np.quantile(finite, [0.01, 1.0])
        margin = 0.06 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)


def band(
    axes: Axes,
    x: NDArray[np.float64],
    share: NDArray[np.float64],
    count: NDArray[np.float64] | float,
    colour: str,
) -> None:
    """Wilson's interval of :data:`~gemsnn.report.chance.BEYOND` standard errors around shares, in percent."""
    counts = np.broadcast_to(count, share.shape)
    limits = [
        wilson(p, n) if np.isfinite(p) else (np.nan, np.nan) for p, n in zip(share, counts, strict=True)
    ]
    low, high = 100 * np.array(limits).T
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def share_axis(axes: Axes, chance: float | None) -> None:
    """An axis of accuracy: from guessing, where there is nothing to know, to all, whatever the numbers are."""
    bottom = 100 * chance if chance and chance < 1 else 0.0
    lowest = min(
        (float(np.nanmin(line.get_ydata())) for line in axes.lines if np.isfinite(line.get_ydata()).any()),
        default=bottom,
    )
    axes.set(ylabel="accuracy, %", ylim=(min(bottom, lowest) - 2, 102))


def from_zero(axes: Axes, values: NDArray[np.float64]) -> None:
    """Limits for what cannot be negative, with room above."""
    axes.set_ylim(0, 1.12 * float(np.max(values[np.isfinite(values)], initial=0.0)) or 1.0)


def pool(spikes: NDArray[np.uint8], rows: int) -> NDArray[np.float64]:
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


def pixels(strength: NDArray[Any], colour: str) -> NDArray[np.float64]:
    """``[..]`` strengths to ``[.., 4]`` RGBA of one colour; the root lets weak pixels be seen."""
    strength = np.asarray(strength, dtype=float)
    pixels = np.empty((*strength.shape, 4))
    pixels[..., :3] = to_rgb(colour)
    pixels[..., 3] = np.sqrt(strength / max(float(strength.max(initial=0.0)), 1e-9))
    return pixels
