"""The look of a page's figures, and SVG text that is ready to stand inside an HTML page.

:mod:`gemsnn.plots` draws them with placeholder colours, which :func:`to_svg` replaces by ``currentColor`` and CSS
variables, so that the page decides and may be light or dark. The text stays text. The same data gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from html import escape
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from gemsnn.plots.looks import COLOURS, SERIES, Look, style

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

PAGE = Look(
    ink=INK,
    faint=FAINT,
    muted=MUTED,
    main=MAIN,
    second=SECOND,
    third=BASELINE,
    on=COLOURS["blue"],
    off=COLOURS["vermillion"],
    pixels="#7f8896",
    series=SERIES,
    settings={
        "font.size": 11,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.linewidth": 0.8,
        "figure.facecolor": "none",
        "grid.linewidth": 0.8,
        "legend.fontsize": 10,
        "lines.linewidth": 1.8,
        "xtick.major.width": 0.8,
        "ytick.major.width": 0.8,
    },
)
"""The page's colours. Pixels, which cannot use CSS variables, have mid tones that stand out from white and black."""


def page(**changes: Any) -> AbstractContextManager[None]:
    """The look of the page's figures, while inside."""
    return style(PAGE, **changes)


def panel(width: float = 5, height: float = 3.4) -> tuple[Figure, Axes]:
    """A figure with one panel."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def small(tall: float = 1.0, lines: int = 1) -> tuple[Figure, Axes]:
    """A figure with one picture of pixels, so many times as tall as it is wide, below so many lines of a title.

    Of several such the page puts as many side by side as there is room for.
    """
    title = 0.18 * lines + 0.04
    figure = Figure(figsize=(SMALL_WIDTH, SMALL_WIDTH * tall + title))
    high = SMALL_WIDTH * tall / (SMALL_WIDTH * tall + title)
    return figure, figure.add_axes((0.01, 0.01, 0.98, high - 0.02))


SMALL_WIDTH = 1.5
"""Of a small picture, in inches."""


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an ``<svg>`` element; ``alt`` is its accessible name, ``name`` keeps its ids apart."""
    buffer = io.StringIO()
    with page(svg_hashsalt=name):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    # What a stand-alone file needs and a page does not: metadata, comments, name spaces, ids of groups (they
    # would repeat from figure to figure), and a style sheet that would reach the whole page.
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<g id=\"[^\"]*\"", "<g", svg)
    svg = re.sub(r"\n\s*", "\n", svg)
    svg = re.sub(r" d=\"[^\"]*\"", _shorter, svg)
    for placeholder, css in PLACEHOLDERS.items():
        svg = svg.replace(placeholder, css)
    box = re.search(r"viewBox=\"[^\"]*\"", svg)
    assert box is not None
    return re.sub(r"^<svg[^>]*>", f'<svg {box.group()} role="img" aria-label="{escape(alt)}">', svg)


def _shorter(path: re.Match[str]) -> str:
    """A path to a hundredth of a point: rasters are long."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path.group()).replace(" \n", "\n")
